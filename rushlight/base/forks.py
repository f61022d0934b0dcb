"""Locks that a fork waits for, so that a child process starts with none that a thread it does not have would hold.

Takes locks with an order. Users: the stream, the compiler, the allocator.

Note [Forks]
`os.fork` copies one thread. What another thread was changing stays half changed in the child, and the lock that it held
stays taken. So a fork first takes all locks of this module, which lets every thread inside one finish. The order is
that in which a thread that needs several takes them, outermost first; in another order fork and thread would wait for
each other. The child makes new locks instead of releasing the old ones, because a fork goes on even if an interrupt
ended the wait.
"""

import os

STREAM, IMPROVER, COMPILER, ALLOCATOR = range(4)
_locks = {}
waiting = False  # whether a thread waits to fork: whoever takes a lock again and again should let it


def hold(lock, order):
    """Have forks wait for an RLock. `order`: one of the numbers above; locks of lower numbers are taken first."""
    _locks[order] = lock


def _before():
    global waiting
    waiting = True
    for order in sorted(_locks):
        _locks[order].acquire()
    waiting = False


def _after_in_parent():
    for order in sorted(_locks, reverse=True):
        try:
            _locks[order].release()
        except RuntimeError:
            continue  # the wait was interrupted before this lock was taken


def _after_in_child():
    for lock in _locks.values():
        lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
