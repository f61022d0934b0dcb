"""The CPU runtime: machine code of kernels, run on a pool of native threads.

jit.py            kernel sources -> addresses of machine code (llvm.py makes it, object_cache.py keeps it on disk)
program.py        planned launches -> one native call (native.py: thread pool and executor, written in LLVM IR)
pool.py           how many threads
memory.py         the caching allocator
cpuinfo.py        what the processor can do, for code generators
platform.py       what differs between operating systems and processors, as rows of a table

Nothing here imports llvmlite before the first kernel is asked for, and no module is imported before it is needed. Read
next: program.py.
"""

from ...base.lazy import Lazy
from ...core.device import Parts
from ...core.stream import STREAM

PARTS = Parts("cpu", lambda device: STREAM, Lazy(f"{__name__}.memory"), Lazy(f"{__name__}.jit"))
