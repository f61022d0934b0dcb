"""Selection kernels: the position of the k-th smallest element or of the median of rows.

A row is copied to scratch memory and partitioned there (quickselect with a median of three); tasks share rows. Among
equal elements PyTorch's medians are those of the stable order, so that positions take part in comparisons; its kthvalue
is whatever its quickselect leaves there, so that this one does the same exchanges.
`ops/reduce/order_statistics.py` declares the operators.
"""

from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.vectors import lshr
from .sort import OrderKernel, rows_of, share, static_of


class SelectKernel(OrderKernel):
    """Positions of chosen elements of rows. `which`: kthvalue, median or nanmedian."""

    def __init__(self, which, dtype, rank):
        super().__init__(dtype, rank, False)
        self.which = which

    def emit(self, module, name):
        self.begin(module, name)
        fn = self.fn
        self.read_rows()
        k = self.word()
        scratch, span = self.pointer(), self.word()
        self.base = fn.gep(scratch, fn.args[2] * span)
        start = fn.args[2] * self.chunk
        with fn.loop(start, fn.minimum(start + self.chunk, self.count)) as row:
            source, target = self.row_pointers(row)
            step = self.ends[0][2]
            with fn.loop(0, self.length) as j:
                self.store(self.element(fn.gep(source, j * step), j), self.base, j)
            if self.which == "kthvalue":
                fn.store(self.kth(k), target)
            else:
                fn.store(self.median(), target)
        fn.ret()

    # -- elements in scratch memory ----------------------------------------------------------------------------------

    def rank_of(self, at):
        """What orders the element at a place: its key, for medians with its position."""
        if self.which != "kthvalue":
            return self.load(self.base, at)
        word = self.fn.load_at(self.base, at * self.words, "i64")
        return lshr(self.fn, word, 32) if self.words == 1 else word,

    def above(self, a, b):
        """Whether rank a is above rank b."""
        found = a[0].compare("gt", b[0], unsigned=True)
        if len(a) == 2:
            found = found | (a[0].eq(b[0]) & a[1].compare("gt", b[1], unsigned=True))
        return found

    def swap(self, i, j):
        a, b = self.load(self.base, i), self.load(self.base, j)
        self.store(b, self.base, i)
        self.store(a, self.base, j)

    def swap_if_above(self, i, j):
        with self.fn.if_(self.above(self.rank_of(i), self.rank_of(j))):
            self.swap(i, j)

    def position_at(self, at):
        return self.position(self.load(self.base, at))

    def flag(self):
        """A variable that says whether a loop goes on, and how to end it."""
        go = self.fn.variable("i1", self.fn.constant(1, "i1"))
        return go, lambda: go.set(self.fn.constant(0, "i1"))

    # -- kthvalue ----------------------------------------------------------------------------------------------------

    def kth(self, k):
        """The position of the element of rank k (from 0)."""
        fn = self.fn
        left, right = fn.variable("i64", 0), fn.variable("i64", self.length - 1)
        go, stop = self.flag()

        def pair():
            self.swap_if_above(left.get(), right.get())
            stop()

        def split():
            fn.if_else(right.get().eq(left.get() + 1), pair, lambda: self.halve(k, left, right))
        with fn.while_(go.get):
            fn.if_else(right.get() <= left.get(), stop, split)
        return self.position_at(k)

    def halve(self, k, left, right):
        """One partition between `left` and `right` around the median of three; the side that holds rank k remains."""
        fn, low, high = self.fn, left.get(), right.get()
        self.swap(low + (high - low) // 2, low + 1)
        self.swap_if_above(low + 1, high)
        self.swap_if_above(low, high)
        self.swap_if_above(low + 1, low)
        i, j, pivot = fn.variable("i64", low + 1), fn.variable("i64", high), self.rank_of(low)
        go, stop = self.flag()
        with fn.while_(go.get):
            i.set(i.get() + 1)
            with fn.while_(lambda: self.above(pivot, self.rank_of(i.get()))):
                i.set(i.get() + 1)
            j.set(j.get() - 1)
            with fn.while_(lambda: self.above(self.rank_of(j.get()), pivot)):
                j.set(j.get() - 1)
            fn.if_else(j.get() < i.get(), stop, lambda: self.swap(i.get(), j.get()))
        self.swap(low, j.get())
        with fn.if_(j.get() <= k):
            left.set(i.get())
        with fn.if_(j.get() >= k):
            right.set(j.get() - 1)

    # -- medians -----------------------------------------------------------------------------------------------------

    def median(self):
        """The position of the lower median; of the first NaN, if there is one and it counts."""
        fn, found = self.fn, self.fn.variable("i64", 0)
        if not self.dtype.is_floating_point:
            return self.kth((self.length - 1) // 2)
        nans, first = fn.variable("i64", 0), fn.variable("i64", self.length)
        highest = fn.constant((1 << self.bits) - 1 if self.bits < 64 else -1)
        with fn.loop(0, self.length) as j:
            key = self.load(self.base, j)[0]
            with fn.if_((lshr(fn, key, 32) if self.words == 1 else key).eq(highest)):
                nans.set(nans.get() + 1)
                first.set(fn.minimum(first.get(), j))

        def choose(count):
            found.set(self.kth((count - 1) // 2))  # rounded towards zero: the first of a row of NaN
        if self.which == "nanmedian":
            choose(self.length - nans.get())
        else:
            fn.if_else(nans.get() > 0, lambda: found.set(first.get()), lambda: choose(self.length))
        return found.get()


def lower_select(instruction):
    """ins: a tensor; attrs dim, which, k (rank from 0, of kthvalue); out: int64 positions with size 1 in dim."""
    options, source, out, rows, results = rows_of(instruction)
    if not out[1].numel:
        return []
    kernel = SelectKernel(options["which"], source[1].dtype, len(rows.sizes))
    each = rows.length * 8.0
    chunk, tasks = share(rows, each)
    span = -(-rows.length * kernel.size // 64) * 64
    static = static_of(source, out, rows, results, chunk) + [options["k"], Memory(Scratch(span * tasks)), span]
    key = ("select_position", options["which"], source[1].dtype.name, len(rows.sizes))
    return [Launch(KernelSource(key, kernel.emit), static, tasks, rows.count * each)]
