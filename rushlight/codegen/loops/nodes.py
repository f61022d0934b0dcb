"""The nodes of a fused kernel: each is a value, made of the nodes before it, which it names by their numbers.

A `LoopSpec` has them in order. They are part of a kernel's key: two nodes of different classes are never equal as
tuples, since they differ in length or in the type of the first field.
"""

from typing import NamedTuple


class Load(NamedTuple):
    """A value read from memory by the access of this number."""

    access: int

    def arguments(self):
        return ()

    def renumbered(self, index):
        return self


class Number(NamedTuple):
    """A number argument of the kernel, stored as double ("d") or int64 ("q")."""

    number: int
    letter: str
    dtype: str

    def arguments(self):
        return ()

    def renumbered(self, index):
        return self


class Apply(NamedTuple):
    """The body of an element-wise operator. `joined`: the dtype that the arguments are cast to, or None."""

    op: str
    attrs: tuple
    args: tuple
    joined: str
    dtype: str

    def arguments(self):
        return self.args

    def renumbered(self, index):
        return Apply(self.op, self.attrs, tuple([index[arg] for arg in self.args]), self.joined, self.dtype)


class Gather(NamedTuple):
    """The body of a gathering operator. `args`: ("node", number) or ("random", number of an operand that the body
    reads at positions of its own choice)."""

    op: str
    attrs: tuple
    args: tuple
    dtype: str

    def arguments(self):
        return [arg for where, arg in self.args if where == "node"]

    def renumbered(self, index):
        args = tuple([(where, index[arg] if where == "node" else arg) for where, arg in self.args])
        return Gather(self.op, self.attrs, args, self.dtype)


class Reduce(NamedTuple):
    """A value of a whole row. `combine`: a name of reductions.py, or of an operator that has its own."""

    combine: str
    arg: int
    dtype: str

    def arguments(self):
        return (self.arg,)

    def renumbered(self, index):
        return Reduce(self.combine, index[self.arg], self.dtype)


class Pick(NamedTuple):
    """One of the results of a reduction."""

    reduction: int
    output: int

    def arguments(self):
        return (self.reduction,)

    def renumbered(self, index):
        return Pick(index[self.reduction], self.output)


COMPUTED = frozenset([Apply, Gather, Reduce])  # nodes that compute, with a dtype of their own
