"""Small tools of the contraction templates: named entries of a static block, bottom-tested loops, index arithmetic.

A template declares one `Layout` (see kernel.py, Note [Kernel ABI]); the planner packs values by name, the kernel
reads them by name.
"""

import contextlib


class Layout:
    """Entry names in order: "@x" is a memory operand (two entries), "$x" a scalar argument, "x" a plain integer."""

    def __init__(self, *names):
        self.names = names
        self.places = {}
        place = 0
        for name in names:
            self.places[name.lstrip("@$")] = (place, name[0])
            place += 2 if name[0] == "@" else 1

    def values(self, **given):
        """The static list of a launch; every declared name must be given and no other."""
        assert given.keys() == self.places.keys(), f"static block: {sorted(given.keys() ^ self.places.keys())}"
        return [given[name] for name in self.places]

    def open(self, fn):
        """Load every entry at the current place of a kernel (normally its start): a `Statics`."""
        return Statics(self, fn)


class Statics:
    """The entries of a static block as values of a kernel: integers i64, memory operands ptr, scalars double."""

    def __init__(self, layout, fn):
        table, static = fn.args[0], fn.args[1]
        for name, (place, sort) in layout.places.items():
            entry = fn.load_at(static, place, "i64")
            if sort == "@":
                base = fn.load_at(table, entry, "ptr")
                entry = fn.gep(base, fn.load_at(static, place + 1, "i64"))
            elif sort == "$":
                entry = fn.load_at(table, entry, "double")
            setattr(self, name, entry)


KERNEL = [("ptr", "table"), ("ptr", "static"), ("i64", "task")]


def kernel(module, name):
    """Start a kernel function with the arguments every kernel has."""
    return module.function(name, KERNEL)


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
