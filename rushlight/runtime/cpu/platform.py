"""What differs between operating systems and processors, as rows of two tables. Read next: native.py, which the rows
complete.

A system without a row has no native threads here: kernels run on the calling thread.
"""

import dataclasses
import sys

from . import cpuinfo


@dataclasses.dataclass(frozen=True)
class System:
    """How one operating system parks threads: IR text of @park and @wake, numbers of its constants."""

    name: str
    declarations: str
    park: str
    wake: str
    thread_id: str
    symbols: tuple
    affinity: bool
    monotonic_clock: int
    set_mask: int
    bus_signal: int


_LINUX = System(
    name="linux",
    declarations="declare i64 @syscall(i64, ...)",
    park="%r = call i64 (i64, ...) @syscall(i64 $FUTEX, ptr %word, i64 128, i32 %seen, ptr null, ptr null, i64 0)",
    wake="%r = call i64 (i64, ...) @syscall(i64 $FUTEX, ptr %word, i64 129, i32 %count, ptr null, ptr null, i64 0)",
    thread_id="%tid = call i64 (i64, ...) @syscall(i64 $GETTID)",
    symbols=("syscall", "sched_getcpu", "sched_setaffinity", "sched_getaffinity"),
    affinity=True,
    monotonic_clock=1,
    set_mask=2,
    bus_signal=7,
)
# __ulock_*: operation 1 compares a 32-bit word and waits; 0x100 wakes all who wait on it.
_DARWIN = System(
    name="darwin",
    declarations="declare i32 @__ulock_wait(i32, ptr, i64, i32)\ndeclare i32 @__ulock_wake(i32, ptr, i64)",
    park="%wide = zext i32 %seen to i64\n  %r = call i32 @__ulock_wait(i32 1, ptr %word, i64 %wide, i32 0)",
    wake="%r = call i32 @__ulock_wake(i32 257, ptr %word, i64 0)",
    thread_id="%tid = add i64 0, 0",
    symbols=("__ulock_wait", "__ulock_wake"),
    affinity=False,
    monotonic_clock=6,
    set_mask=3,
    bus_signal=10,
)


@dataclasses.dataclass(frozen=True)
class Processor:
    """One processor's instruction for "I am spinning" and its Linux system call numbers."""

    name: str
    declarations: str
    pause: str
    futex: int
    gettid: int


_PROCESSORS = {
    "x86_64": Processor("x86_64", "declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()", 202, 186),
    "aarch64": Processor(
        "aarch64", "declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)", 98, 178
    ),
}
_SYSTEMS = {"linux": _LINUX, "darwin": _DARWIN}


def rows():
    """(System, Processor) of this machine; None where one of the two has no row."""
    system = _SYSTEMS.get(sys.platform)
    processor = _PROCESSORS.get(cpuinfo.architecture())
    return None if system is None or processor is None else (system, processor)
