"""Lowerings of operators that are not loop kernels: name -> function(instruction) -> list of Launches.

An operator declared with kind "template" or "native" names its lowering in `options["lower"]`; the modules that hold
templates enter
them here with `@lowering("gemm")`.
"""

from .kernel import Memory

LOWERINGS = {}


def lowering(name):
    """Enter a lowering under its name."""
    def enter(function):
        assert name not in LOWERINGS, f"lowering {name} is defined twice"
        LOWERINGS[name] = function
        return function
    return enter


def memory(ref):
    """The Memory operand of an instruction's (slot, layout, offset)."""
    slot, layout, offset = ref
    return Memory(slot, offset * layout.dtype.itemsize)


def number_of(instruction, position):
    """("num", scalar position, class) of the n-th number argument of an instruction."""
    return [a for a in instruction.args if a[0] == "num"][position]
