"""The device "reference": operator bodies run one by one over NumPy. It is the executable specification of the bodies,
and the example of docs/add-a-device.md.

memory.py         the allocator: blocks of bytes, and arrays over them
handler.py        the handler `k` of bodies over arrays; functions.py: the mathematical functions
kernels.py        the generator: an instruction -> a function of arrays, by the kind of its operator
templates/        what kernels without a body compute, by the name of their lowering
program.py        the launcher: a block -> its kernels, run in program order

No loop, no thread and no vector is written here: an element's value depends on the body alone.
"""

from ...core.device import Parts
from ...core.elsewhere import PendingStream
from . import kernels, memory, program

PARTS = Parts("reference", PendingStream, memory, kernels, program.Launcher)
