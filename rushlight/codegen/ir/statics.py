"""The static block of a kernel: how a planner writes it and a kernel reads it, and small tools of CPU templates.

Note [Kernel ABI] in kernel.py says what a block holds. Every kernel reads its block through `StaticBlock`, in one of
three ways: by position, one entry after the other (`StaticReader`), or by name (`StaticLayout`, which also orders the
values for the planner).
"""

import contextlib

KERNEL = [("ptr", "table"), ("ptr", "static"), ("i64", "task")]


def kernel(module, name):
    """Start a kernel function with the arguments every kernel has."""
    return module.function(name, KERNEL)


class StaticBlock:
    """The entries of a kernel's static block by their positions."""

    def __init__(self, fn):
        self.fn = fn
        self.table, self.static = fn.args[:2]

    def word(self, position):
        """The integer at a position."""
        return self.fn.load_at(self.static, position, "i64")

    def words(self, position, count):
        """`count` integers from a position on."""
        return [self.word(position + i) for i in range(count)]

    def pointer(self, position):
        """The address of a memory operand: an index of the table, then an offset in bytes."""
        base = self.fn.load_at(self.table, self.word(position), "ptr")
        return self.fn.gep(base, self.word(position + 1))

    def scalar_address(self, position):
        """The address of a scalar argument, which lies in the table."""
        return self.fn.gep(self.table, self.word(position), "i64")

    def scalar(self, position, kind):
        """A scalar argument as a value of an LLVM type of eight bytes."""
        return self.fn.load(self.scalar_address(position), kind)


class StaticReader:
    """Base of kernels that read their static block from its beginning, one entry after the other.

    `at` is the position of the next entry. Setting the function `fn` sets it to 0, so that a kernel can be emitted
    again."""

    @property
    def fn(self):
        return self._fn

    @fn.setter
    def fn(self, fn):
        self._fn, self.entries, self.at = fn, StaticBlock(fn), 0

    def word(self):
        """The next integer."""
        self.at += 1
        return self.entries.word(self.at - 1)

    def words(self, count):
        """The next `count` integers."""
        return [self.word() for _ in range(count)]

    def pointer(self):
        """The address of the next memory operand, which takes two entries."""
        self.at += 2
        return self.entries.pointer(self.at - 2)

    def argument(self, kind):
        """The next scalar argument."""
        self.at += 1
        return self.entries.scalar(self.at - 1, kind)


class StaticLayout:
    """A static block whose entries have names: the planner orders values by it, the kernel reads them by name.

    Names in order: "@x" is a memory operand (two entries), "$x" a scalar argument, "x" an integer."""

    def __init__(self, *names):
        self.positions = {}
        position = 0
        for name in names:
            self.positions[name.lstrip("@$")] = (position, name[0])
            position += 2 if name[0] == "@" else 1

    def values(self, **given):
        """The static list of a launch; every declared name must be given and no other."""
        assert given.keys() == self.positions.keys(), f"static block: {sorted(given.keys() ^ self.positions.keys())}"
        return [given[name] for name in self.positions]

    def open(self, fn):
        """Load every entry where the kernel stands (normally at its start): a `Statics`."""
        return Statics(self, fn)


class Statics:
    """The entries of a static block as values of a kernel: integers i64, memory operands ptr, scalars double."""

    def __init__(self, layout, fn):
        entries = StaticBlock(fn)
        for name, (position, sort) in layout.positions.items():
            if sort == "@":
                value = entries.pointer(position)
            elif sort == "$":
                value = entries.scalar(position, "double")
            else:
                value = entries.word(position)
            setattr(self, name, value)


def ceil_div(a, b):
    return -(-a // b)


def split(fn, task, count):
    """(task // count, task % count) of two i64 values."""
    outer = fn.emit("i64", f"udiv i64 {task.name}, {count.name}")
    return outer, task - outer * count


@contextlib.contextmanager
def repeat(fn, start, stop, step=1):
    """`fn.loop` with the test at the bottom: what a loop with many accumulators needs to keep them in place (a test
    at the top makes LLVM copy every one of them in each round)."""
    stop = fn.convert(stop, "i64")
    start = fn.convert(start, "i64")
    counter = fn.variable("i64", start)
    body, done = fn.fresh("round"), fn.fresh("done")
    fn.branch_if(start < stop, body, done)
    fn.label(body)
    index = counter.get()
    yield index
    following = fn.emit("i64", f"add nsw i64 {index.name}, {fn.convert(step, 'i64').name}")
    counter.set(following)
    fn.branch_if(following < stop, body, done)
    fn.label(done)
