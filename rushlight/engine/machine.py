"""Tells the code generators what the processor has: importing this module does it.

Whoever asks a generator for kernels imports it first. One that asked before would get kernels for the smallest
processor, whose sums add in another order.
"""

from ..codegen.ir import target
from ..runtime.cpu import cpuinfo


def describe():
    """Set the target of generated code to this processor."""
    caches = cpuinfo.cache_sizes()
    registers, stack = cpuinfo.vector_registers(), cpuinfo.stack_bytes()
    target.set_current(target.Target(cpuinfo.vector_bytes(), registers, *caches, cpuinfo.matrix_unit(), stack))


describe()
