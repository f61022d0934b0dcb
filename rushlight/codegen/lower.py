"""Lowerings of operators that have kernels of their own: functions from an instruction to a list of Launches.

The declaration of such an operator names its lowering, `lower="rows.fft:lower_fft"` for a function of a module in the
folder of the target, which is loaded when a program first has the operator; or it gives the function.
"""

import importlib

from ..core.kinds import OUTSIDE
from .ir.kernel import KernelSource, Memory

LOWERINGS = {}


def launches(op, instruction):
    """The launches of an operator with kernels of its own. `instruction`: its attributes and operands."""
    found = (op.lower if callable(op.lower) else find(op.lower))(instruction)
    if op.name in OUTSIDE:
        for launch in found:
            launch.source = KernelSource((*launch.source.key, OUTSIDE[op.name]), launch.source.emit)
    return found


def find(path):
    """The lowering "module:function"."""
    lowering = LOWERINGS.get(path)
    if lowering is None:
        module, _, function = path.partition(":")
        lowering = LOWERINGS[path] = getattr(importlib.import_module(f"{__package__}.cpu.{module}"), function)
    return lowering


def memory(ref):
    """The Memory operand of an instruction's (slot, layout, offset)."""
    slot, layout, offset = ref
    return Memory(slot, offset * layout.dtype.itemsize)


def number_of(instruction, position):
    """("num", scalar position, class) of the n-th number argument of an instruction."""
    return [a for a in instruction.args if a[0] == "num"][position]
