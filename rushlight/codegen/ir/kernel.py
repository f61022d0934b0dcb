"""What a planner hands to the runtime: kernel sources, launches and memory operands.

Note [Kernel ABI]
Every kernel is `void kernel(ptr table, ptr static, i64 task)`. `table` belongs to one run of a program: entry 0 is the
error word, the others are addresses of memory slots and scalar arguments. `static` belongs to the launch and is fixed
when the program is planned: sizes, strides, and for each memory operand the pair (table index, byte offset). So a run
fills one table, whatever the number of launches, and a kernel serves every size of its structure.
"""

import dataclasses
import typing


class KernelSource:
    """A kernel by structure: `key` is hashable and complete, `emit(module, name)` writes the function. `address`: of
    its machine code, 0 until the engine has asked for it."""

    __slots__ = ("key", "emit", "address")

    def __init__(self, key, emit):
        self.key, self.emit, self.address = key, emit, 0


class Scratch:
    """Memory that lives for one operation; the buffer plan gives it a place."""

    __slots__ = ("nbytes",)

    def __init__(self, nbytes):
        self.nbytes = nbytes


class Memory:
    """A memory operand of a launch: a slot (or Scratch) and a byte offset."""

    __slots__ = ("slot", "offset")

    def __init__(self, slot, offset=0):
        self.slot, self.offset = slot, offset


class Argument:
    """A scalar operand of a launch: the index of a scalar of the program."""

    __slots__ = ("index",)

    def __init__(self, index):
        self.index = index


@dataclasses.dataclass
class Launch:
    """`tasks` calls of a kernel with the same static block. `cost` is its estimated time in nanoseconds on one
    thread. `beside`: it does not depend on the launch that its plan lists before it. `checking`: which node of a fused
    kernel is which member of its group, by their numbers, for those that check data."""

    source: KernelSource
    static: list
    tasks: int
    cost: float
    reads: typing.Sequence = ()
    writes: typing.Sequence = ()
    beside: bool = False
    checking: dict = None
