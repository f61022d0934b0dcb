"""Reading a kernel's static block from its beginning: for kernels that take their operands one after the other.

In: a kernel function (table, static block, task). Out: its words and pointers, in order. See `kernel` for the ABI.
"""


class StaticReader:
    """Base of kernels with the function `fn`; the place of the next word is a state of the emission, which begins where
    `fn` is set."""

    @property
    def fn(self):
        return self._fn

    @fn.setter
    def fn(self, fn):
        self._fn, self.at = fn, 0

    def word(self):
        self.at += 1
        return self.fn.load_at(self.fn.args[1], self.at - 1, "i64")

    def words(self, count):
        return [self.word() for _ in range(count)]

    def pointer(self):
        """A memory operand: its place in the table, then its offset in bytes."""
        fn = self.fn
        base = fn.load(fn.gep(fn.args[0], self.word(), "i64"), "ptr")
        return fn.gep(base, self.word())
