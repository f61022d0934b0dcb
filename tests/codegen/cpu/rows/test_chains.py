"""Chains of steps shared by the tasks of a launch: every step once and in order, whoever takes it."""

import numpy as np
import pytest

from rushlight.codegen.ir.builder import LINE
from rushlight.codegen.cpu.rows.chains import stretches
from rushlight.codegen.ir.statics import StaticLayout, kernel
from rushlight.codegen.ir.kernel import KernelSource
from rushlight.runtime.cpu import jit, pool, program

LAYOUT = StaticLayout("@words", "@values", "count", "steps", "longest")


def emit(module, name):
    """values[chain] = 31 values[chain] + step for the steps of every chain."""
    fn = kernel(module, name)
    s = LAYOUT.open(fn)
    with stretches(fn, s.words, s.count, s.steps, s.longest) as (chain, start, stop):
        with fn.loop(start, stop) as step:
            fn.store_at(fn.load_at(s.values, chain, "i64") * 31 + step, s.values, chain)
    fn.ret()


@pytest.fixture(autouse=True)
def _restore():
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count, steps, longest", [(4, 1000, 7), (1, 50, 3), (3, 5, 100), (7, 64, 1)])
def test_every_step_once_and_in_order(threads, count, steps, longest):
    pool.set_num_threads(threads)
    source = KernelSource(("test.chains",), emit)
    words, values = np.zeros(count * LINE // 8, np.int64), np.zeros(count, np.int64)
    table = np.array([0, words.ctypes.data, values.ctypes.data], np.int64)
    static = [1, 0, 2, 0, count, steps, longest]
    run = program.Program([(jit.compile_kernels([source])[source.key], static, count, 1e6)]).run
    expected = 0
    for step in range(steps):
        expected = (expected * 31 + step) % 2**64
    for _ in range(50):
        words[:] = values[:] = 0
        assert run(table.ctypes.data) == 0
        assert (values.view(np.uint64) == expected).all()
        assert (words[:: LINE // 8] == 2 * steps).all()
