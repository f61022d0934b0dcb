"""Code that is needed at once: made without optimising first, replaced by good code when there is time.

Note [Doors]
LLVM takes a tenth of the time for code that is not optimised, and what runs for the first time and on little data does
not notice which it gets. So the kernels of launch records are compiled in a hurry where they are not on disk. Whoever
asks for such a kernel gets the address of its *door*, a function that jumps to where a *cell* in memory points. A
thread of low priority compiles the kernel again, keeps it on disk and makes the cell point to it: nobody who holds the
address has to know. Both codes compute the same bits, as instructions carry no flag that lets LLVM choose; kernels
with such flags do not come here.

Note [At the end of a process]
What the thread has not reached is compiled when the process ends, or the next process would begin without kernels too.
Where nothing is kept on disk it is dropped.

`jit` gives what was compiled in a hurry to `later`. Read llvm.py for the two ways of compiling.
"""

import atexit
import collections
import contextlib
import ctypes
import os
import threading
import time

from ...base import forks

QUIET_SECONDS = 0.1  # without new work, before the thread begins: until then the program waits for code
BATCH_MILLISECONDS = 20.0  # of LLVM: a fork waits that long
PRIORITY = 10  # of the thread: "nice"
FREE = ("contract", "reassoc", "afn", "arcp", "nnan", "ninf", "nsz", "fast", "llvm.fmuladd")  # leave results to LLVM
DOOR = """
@cell_{name} = dso_local global ptr @{name}, align 8
define void @door_{name}(ptr %table, ptr %static, i64 %task) nounwind {{
  %code = load ptr, ptr @cell_{name}, align 8
  musttail call void %code(ptr %table, ptr %static, i64 %task)
  ret void
}}
"""

_lock = threading.RLock()  # held while code is made: forks wait for it
_waiting = collections.deque()  # (milliseconds, what to improve)
_state = {"thread": None, "last": 0.0, "ending": False}
stats = {"improved": 0}


def suits(text):
    """Whether kernels, given as IR, compute the same bits without optimising."""
    return not any([word in text for word in FREE])


def with_doors(names, text):
    """A text of IR with a door for each of its kernels."""
    return text + "".join([DOOR.format(name=name) for name in names])


def enter(cell, address):
    """Make a door lead to this address."""
    ctypes.c_int64.from_address(cell).value = address


def later(milliseconds, work, improve):
    """Have `improve(list of work)` called by the thread, or before the process ends. `milliseconds`: about how long
    this one takes."""
    _waiting.append((milliseconds, work, improve))
    _state["last"] = time.monotonic()
    thread = _state["thread"]
    if (thread is None or not thread.is_alive()) and not _state["ending"]:
        thread = _state["thread"] = threading.Thread(target=_work, daemon=True, name="rushlight-compiler")
        with contextlib.suppress(RuntimeError):  # the system gives no thread: the work is done at the end
            thread.start()


def settle():
    """Do what is waiting now, on all threads."""
    with _lock:
        _improve(len(_waiting), float("inf"))


def _work():
    """The thread."""
    with contextlib.suppress(OSError, AttributeError):  # Linux gives each thread a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), PRIORITY)
    while _waiting and not _state["ending"]:
        if time.monotonic() - _state["last"] < QUIET_SECONDS:
            time.sleep(QUIET_SECONDS / 4)
            continue
        with _lock:
            _improve(len(_waiting), BATCH_MILLISECONDS)


def _improve(most, milliseconds):
    """Improve what waits, until it is so many or so much. Code that cannot be improved stays as it is: it is right."""
    batches = {}
    while _waiting and most > 0 and milliseconds > 0:
        cost, work, improve = _waiting.popleft()
        batches.setdefault(improve, []).append(work)
        most, milliseconds = most - 1, milliseconds - cost
    for improve, works in batches.items():
        with contextlib.suppress(RuntimeError, MemoryError):
            improve(works)
            stats["improved"] += len(works)


@atexit.register
def _end():
    """Note [At the end of a process]."""
    _state["ending"] = True
    thread = _state["thread"]
    if thread is not None and thread.is_alive():
        thread.join()
    settle()


def _forget():
    """A child process has no thread, and leaves the work to its parent."""
    _waiting.clear()
    _state["thread"] = None


forks.hold(_lock, forks.IMPROVER)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
