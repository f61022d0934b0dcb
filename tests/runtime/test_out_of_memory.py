"""Too little memory: refused at the line where the size is known, an ordinary exception elsewhere, and everything works
afterwards.
"""

import os
import subprocess
import sys
import threading

import numpy
import pytest
import rushlight as rl
import source

from rushlight.base import forks
from rushlight.runtime.cpu import jit, llvm, memory, pool

GONE = r"can't allocate memory: you tried to allocate {} bytes. Error code 12 \(Cannot allocate memory\)"
posix = pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")


@pytest.mark.parametrize("make, nbytes", [
    (lambda: rl.empty(10**15), 4 * 10**15),
    (lambda: rl.UntypedStorage(10**15), 10**15),
    (lambda: rl.zeros(10**15), 4 * 10**15),
    (lambda: rl.full((10**15,), 1.0), 4 * 10**15),
    (lambda: rl.arange(10**15), 8 * 10**15),
    (lambda: rl.eye(10**8), 4 * 10**16),
    (lambda: rl.linspace(0, 1, 10**15), 4 * 10**15),
    (lambda: rl.randn(10**15), 4 * 10**15),
    (lambda: rl.ones(1).new_empty(10**15), 4 * 10**15),
    (lambda: rl.empty_strided((10**15,), (1,)), 4 * 10**15),
    (lambda: rl.ones(1).expand(10**15).contiguous(), 4 * 10**15),
    (lambda: rl.ones(1).expand(10**15) + 1, 4 * 10**15),
    (lambda: rl.ones(1).repeat(10**15), 4 * 10**15),
    (lambda: rl.cat([rl.ones(1).expand(10**15)] * 2), 8 * 10**15),
    (lambda: rl.stack([rl.ones(1).expand(10**15)] * 2), 8 * 10**15),
    (lambda: rl.ones(10**6, 1) + rl.ones(1, 10**9), 4 * 10**15),
    (lambda: rl.tril_indices(10**8, 10**8), 80000000800000000),
    (lambda: rl.triu_indices(10**8, 10**8), 80000000800000000),
    (lambda: rl.ones(3).resize_(10**15), 4 * 10**15),
])
def test_sizes_that_cannot_be_had_are_refused_at_the_line(make, nbytes):
    kept = rl.ones(3) * 2
    slack = 4 << 20 if nbytes == 4 * 10**15 else 0
    with pytest.raises(RuntimeError, match="can't allocate memory: you tried to allocate") as error:
        make()
    told = int(str(error.value).split("allocate ")[2].split(" ")[0])
    assert nbytes <= told <= nbytes * 9 // 8 + slack
    assert kept.tolist() == [2, 2, 2]


@pytest.mark.parametrize("make, text", [
    (lambda: rl.empty(2**33, 2**33), r"Storage size calculation overflowed with sizes=\[8589934592, 8589934592\]"),
    (lambda: rl.randn(2**33, 2**33), "Storage size calculation overflowed with sizes="),
    (lambda: rl.ones(1).repeat(2**33, 2**33), "Storage size calculation overflowed with sizes="),
    (lambda: rl.empty_strided((2,), (2**62,)), r"overflowed with sizes=\[2\] and strides=\[4611686018427387904\]"),
    (lambda: rl.ones(1).expand(2**33, 2**33), "numel: integer multiplication overflow"),
    (lambda: rl.empty(0, 2**62, 2**62), "Stride calculation overflowed"),
    (lambda: rl.arange(0, 1e300), "invalid size, possible overflow?"),
])
def test_sizes_beyond_64_bits(make, text):
    with pytest.raises(RuntimeError, match=text):
        make()


def test_numbers_beyond_64_bits():
    with pytest.raises(TypeError, match=r"empty\(\): argument 'size' failed to unpack the object at pos 2"):
        rl.empty(1, 2**63)
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        rl.UntypedStorage(2**63)
    with pytest.raises(RuntimeError, match="negative"):
        rl.UntypedStorage(-1)


def test_an_expanded_tensor_of_any_size_is_fine():
    assert rl.ones(1).expand(10**15).shape == (10**15,)


def test_indices_of_triangles():
    for row, col, offset in [(3, 4, 0), (3, 4, 1), (3, 4, -2), (4, 3, 5), (0, 3, 0), (4, 2, -5), (5, 3, -1),
                             (2, 3, 10**18)]:
        inside = numpy.tri(row, col, offset, dtype=bool) if abs(offset) < 99 else numpy.ones((row, col), bool)
        assert rl.tril_indices(row, col, offset).tolist() == [part.tolist() for part in inside.nonzero()]
        above = ~numpy.tri(row, col, offset - 1, dtype=bool) if abs(offset) < 99 else numpy.zeros((row, col), bool)
        assert rl.triu_indices(row, col, offset).tolist() == [part.tolist() for part in above.nonzero()]


# -- injected failures -------------------------------------------------------------------------------------------------


def _program(seed):
    x = rl.arange(12.0).reshape(3, 4) + seed
    y = (x * 2).t().contiguous()
    return [y.sum(), (y @ x).relu(), y[1:].clone(), rl.cat([x, x])]


def test_failure_at_every_allocation():
    """Whatever allocation fails, the results are right or the exception is PyTorch's, and the program is right the next
    time."""
    expected = [t.tolist() for t in _program(1)]
    number, refused = 0, True
    while refused:
        count = 0

        def refuses(nbytes):
            nonlocal count
            count += 1
            return count == number + 1
        with memory.failing(refuses):
            try:
                got = [t.tolist() for t in _program(1)]
            except RuntimeError as error:
                assert "can't allocate memory" in str(error)
            else:  # none failed, or the engine got along without
                assert got == expected
        refused = count > number
        assert [t.tolist() for t in _program(1)] == expected
        number += 1
    assert number > 3


def test_cached_blocks_are_given_back_before_the_error(monkeypatch):
    blocks = [memory.allocate(3 << 20) for _ in range(5)]
    del blocks
    real, calls = memory._anonymous, []

    def once(nbytes):
        calls.append(memory.memory_reserved())
        if len(calls) == 1:
            raise OSError(12, "Cannot allocate memory")
        return real(nbytes)
    monkeypatch.setattr(memory, "_anonymous", once)
    memory.anonymous(1 << 20).close()
    assert len(calls) == 2 and calls[1] < calls[0]

    def never(nbytes):
        raise OSError(12, "Cannot allocate memory")
    monkeypatch.setattr(memory, "_anonymous", never)
    with pytest.raises(RuntimeError, match=GONE.format(1 << 20)):
        memory.anonymous(1 << 20)


def test_threads_that_do_not_start_are_done_without(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")
    texts = [f"define i64 @f{i}() {{\n  ret i64 {i}\n}}\n" for i in range(4)]
    monkeypatch.setattr(llvm, "count_threads", lambda: 4)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert all(code[:4] == b"\x7fELF" for code in llvm.compile_texts(texts)) or sys.platform != "linux"


def test_interrupts_in_finalizers_are_not_swallowed():
    """No Python code runs when a block dies: a signal that is waiting then is raised by the next line."""
    code = """
import signal, sys
from rushlight.runtime.cpu import memory
unraisable = []
sys.unraisablehook = unraisable.append
def interrupt(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
caught, before = 0, memory.memory_allocated()
while caught < 500:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002 + caught * 1e-7)
        while True:
            memory.allocate(1000)
    except KeyboardInterrupt:
        caught += 1
print(len(unraisable), (memory.memory_allocated() - before) // 1024 <= 500)
"""
    environ = {**os.environ, "PYTHONPATH": str(source.ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=120)
    assert done.stdout == "0 True\n", (done.stdout, done.stderr)


# -- little address space ----------------------------------------------------------------------------------------------

LIMITED = """
import resource, sys
import rushlight as rl
def used():
    return int(open("/proc/self/statm").read().split()[0]) * 4096
{before}
resource.setrlimit(resource.RLIMIT_AS, (used() + ({room} << 20),) * 2)
failed, kept = 0, []
try:
    while True:
        kept.append(rl.ones(4 << 20) + len(kept))
        assert kept[-1][-1].item() == len(kept)
except (RuntimeError, MemoryError, ImportError, OSError) as error:
    failed += 1
del kept[-1:]  # it has no memory
for i, t in enumerate(kept):
    assert t[0].item() == t[-1].item() == i + 1
del kept[:]
t = None
try:
    a = rl.rand(300, 300)
    new = ((a @ a).softmax(1).std(0) * 3).exp().sum().item()
    many = [(rl.ones(n, n).cumsum(0) @ rl.ones(n, 3)).sum().item() for n in (3, 17, 64)]
    solved = rl.linalg.solve(rl.eye(3) * 2, rl.ones(3)).tolist()
    assert solved == [0.5] * 3 and many == [54.0, 7803.0, 399360.0]
except (RuntimeError, MemoryError, ImportError, OSError) as error:
    print("afterwards", type(error), error)
print("done", failed)
"""


@posix
@pytest.mark.parametrize("room, before", [(700, ""), (700, "rl.ones(3).tolist()"), (60, "rl.ones(3).tolist()"),
                                          (20, "")])
def test_little_address_space(tmp_path, room, before):
    """The process computes until the limit, gets an ordinary exception there, and goes on when tensors have died. Where
    the limit leaves no room for the compiler itself, that is an ordinary exception too."""
    environ = {**os.environ, "PYTHONPATH": str(source.ROOT), "RUSHLIGHT_CACHE": str(tmp_path)}
    script = LIMITED.format(room=room, before=before)
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=300)
    lines = done.stdout.split("\n")
    assert done.returncode == 0 and lines[-2] == "done 1", (done.returncode, done.stdout, done.stderr)
    if room >= 700:
        assert lines[0] == "done 1", done.stdout


# -- forks -------------------------------------------------------------------------------------------------------------


@posix
def test_fork_beside_threads_that_hold_locks():
    """The child has allocator, compiler and pool in a defined state, whatever other threads do."""
    stop = threading.Event()

    def work():
        kept = []
        while not stop.is_set():
            kept.append(memory.allocate(2 << 20))
            if len(kept) > 20:
                kept.clear()
                memory.empty_cache()
            with jit.hold():
                pass
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            child = os.fork()
            if not child:
                try:
                    memory.allocate(2 << 20)
                    memory.empty_cache()
                    with jit.hold():
                        os._exit(0 if pool.workers() == 0 else 2)
                finally:
                    os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_forks_take_outer_locks_first():
    assert forks.STREAM < forks.COMPILER < forks.ALLOCATOR
    assert forks._locks[forks.COMPILER] is jit.hold() and forks._locks[forks.ALLOCATOR] is memory._lock
