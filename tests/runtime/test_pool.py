import os
import subprocess
import sys
import threading

import numpy
import pytest
import source

from rushlight.runtime.cpu import cpuinfo, jit, pool, program

BIG = 1e6


@pytest.fixture(autouse=True)
def _restore():
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_every_task_runs_once(add, table, threads):
    pool.set_num_threads(threads)
    assert pool.get_num_threads() == threads
    address = jit.compile_kernels([add(1)])["test.add", 1]
    data = numpy.zeros(64 * 100, dtype=numpy.int64)
    run = program.Program([(address, [1, 100], 64, BIG)] * 3).run
    args = table(data)
    for _ in range(200):
        assert run(args.address) == 0
    assert (data == 600).all()
    assert pool.workers() == threads - 1


def test_launches_run_in_order(add, table):
    known = jit.compile_kernels([add(1), add(5)])
    data = numpy.zeros(8, dtype=numpy.int64)
    other = numpy.zeros(8, dtype=numpy.int64)
    launches = [(known["test.add", 1], [1, 2], 4, BIG), (known["test.add", 5], [2, 8], 1, 10.0)]
    run = program.Program(launches).run
    args = table(data, other)
    assert run(args.address) == 0
    assert (data == 1).all() and (other == 5).all()


@pytest.mark.parametrize("release", [False, True, None])
def test_error_word_comes_back_and_is_cleared(add, fail, table, release):
    known = jit.compile_kernels([add(1), fail])
    args = table(numpy.zeros(4, dtype=numpy.int64))
    bad = program.Program([(known["test.fail",], [42], 1)], release=release)
    good = program.Program([(known["test.add", 1], [1, 4], 1)], release=release)
    assert bad.run(args.address) == 42
    assert args.words[0] == 42
    assert good.run(args.address) == 0
    with pytest.raises(TypeError):
        good.run("no address")


def test_batches(add, table):
    address = jit.compile_kernels([add(1)])["test.add", 1]
    arrays = [numpy.zeros(tasks * 3, dtype=numpy.int64) for tasks in (1, 5, 2, 1, 30)]
    blocks = [([slot + 1, 3], len(array) // 3) for slot, array in enumerate(arrays)]
    for cost in (10.0, BIG):
        run = program.Program([(address, program.Batch(blocks), 0, cost)]).run
        args = table(*arrays)
        assert run(args.address) == 0
    assert all((array == 2).all() for array in arrays)


def test_concurrent_callers(add, table):
    pool.set_num_threads(3)
    address = jit.compile_kernels([add(1)])["test.add", 1]
    run = program.Program([(address, [1, 500], 16, BIG)], release=True).run
    results = []

    def work():
        data = numpy.zeros(16 * 500, dtype=numpy.int64)
        args = table(data)
        for _ in range(200):
            run(args.address)
        results.append(bool((data == 200).all()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    pool.set_num_threads(2)
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_bad_thread_counts():
    with pytest.raises(RuntimeError, match="positive"):
        pool.set_num_threads(0)
    with pytest.raises(TypeError):
        pool.set_num_threads(1.5)


def test_cpu_information():
    assert cpuinfo.vector_bytes() in (16, 32, 64)
    assert cpuinfo.vector_registers() in (16, 32)
    first, second, third = cpuinfo.cache_sizes()
    assert 8 << 10 <= first <= second
    assert third >= 1 << 20
    assert cpuinfo.available_cpus() >= 1
    assert isinstance(cpuinfo.name(), str) and cpuinfo.features()


CHILD = """
import os, signal, sys, threading, time
sys.path[:0] = {path!r}
import numpy
import conftest
from rushlight.codegen.ir.kernel import KernelSource
from rushlight.runtime.cpu import jit, pool, program
assert "llvmlite" not in sys.modules
source = KernelSource(("test.add", 1), lambda module, name: conftest._emit_add(module, name, 1))
pool.set_num_threads(3)
address = jit.compile_kernels([source])[source.key]
run = program.Program([(address, [1, 100], 16, 1e6)]).run
data = numpy.zeros(1600, dtype=numpy.int64)
args = conftest.Table(data)
def work(times):
    for _ in range(times):
        run(args.address)
work(100)
"""


def _life(body, code=0):
    here = os.path.dirname(os.path.abspath(__file__))
    text = CHILD.format(path=[here, os.path.dirname(os.path.dirname(here))]) + body
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (done.returncode, done.stderr)
    return done


@pytest.mark.parametrize("body", ["", "time.sleep(0.05)", "threading.Thread(target=work, args=(2000,)).start()"])
def test_exit(body):
    assert _life(body).stderr == ""


def test_exit_by_exception():
    assert "boom" in _life("raise KeyError('boom')", 1).stderr


def test_fork():
    body = """
for _ in range(5):
    child = os.fork()
    if child == 0:
        assert pool.workers() == 0
        work(50)
        os._exit(0 if (data == 150 + 100 * _).all() and pool.workers() == 2 else 9)
    work(100)
    assert os.waitpid(child, 0)[1] == 0
assert (data == 600).all() and pool.workers() == 2
"""
    _life(body)


def test_fork_while_another_thread_runs():
    body = """
thread = threading.Thread(target=work, args=(3000,))
thread.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        mine = conftest.Table(numpy.zeros(1600, dtype=numpy.int64))
        for i in range(20):
            run(mine.address)
        os._exit(0 if (mine.arrays[0] == 20).all() else 9)
    assert os.waitpid(child, 0)[1] == 0
thread.join()
assert (data == 3100).all()
"""
    _life(body)


def test_keyboard_interrupt():
    body = """
signal.signal(signal.SIGALRM, signal.default_int_handler)
for _ in range(3):
    signal.setitimer(signal.ITIMER_REAL, 0.03)
    try:
        while True:
            run(args.address)
    except KeyboardInterrupt:
        pass
data[:] = 0
work(100)
assert (data == 100).all()
"""
    _life(body)


def test_signals_reach_the_main_thread():
    body = """
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.1)
start = time.monotonic()
try:
    time.sleep(20)
except KeyboardInterrupt:
    assert time.monotonic() - start < 15
else:
    assert False
"""
    _life(body)


def test_idle_workers_use_no_cpu():
    body = """
time.sleep(0.05)
before = time.process_time()
time.sleep(0.5)
assert time.process_time() - before < 0.05
"""
    _life(body)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
def test_one_cpu_for_three_threads():
    body = """
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
pool.set_num_threads(3)
work(300)
assert (data == 400).all()
"""
    _life(body)


def test_threads_without_asking_for_them():
    """A program that never calls a thread function uses as many as RUSHLIGHT_THREADS says."""
    script = """
import rushlight as rl
x = rl.ones(1 << 22)
assert x.exp().sum().isfinite().item()
from rushlight.runtime.cpu import pool
print(pool.workers())
"""
    environ = {**os.environ, "PYTHONPATH": str(source.ROOT), "RUSHLIGHT_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True)
    assert done.stdout.split() == ["2"], done.stderr
