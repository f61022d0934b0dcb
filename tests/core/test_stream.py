"""The deferred stream: nothing runs before a sync point, order is kept, known sequences plan nothing, blocks are
bounded."""
import threading

import numpy as np
import pytest

import rushlight as rl
from rushlight.base import switches
from rushlight.core.block import HARD_LENGTH
from rushlight.core.stream import STREAM

lazy = pytest.mark.skipif(switches.EAGER, reason="the eager mode runs every operator at once")


def pending():
    return STREAM.block.step.depth


@lazy
def test_operators_wait_for_a_sync_point():
    rl.synchronize()
    x = rl.ones(3) + 1
    assert pending() == 2 and not x._storage.address
    assert x.tolist() == [2.0, 2.0, 2.0] and pending() == 0


@lazy
def test_a_known_sequence_plans_and_compiles_nothing():
    def step(scale):
        return (rl.ones(5) * scale).sum().item()
    step(1.0)
    step(2.0)
    before = rl.engine.statistics()
    assert [step(float(s)) for s in range(3, 8)] == [15.0, 20.0, 25.0, 30.0, 35.0]
    after = rl.engine.statistics()
    assert (
        after["programs_planned"] == before["programs_planned"]
        and after["kernels_compiled"] == before["kernels_compiled"]
    )
    assert after["flushes"] == before["flushes"] + 5


@lazy
def test_a_loop_that_never_reads_runs_in_bounded_blocks():
    x, one = rl.zeros(4), rl.ones(4)
    for _ in range(20_000):
        x = x + one
        assert pending() <= HARD_LENGTH
    assert x.tolist() == [20_000.0] * 4


@lazy
def test_bytes_held_back_end_a_block():
    parts = []
    for _ in range(5):
        parts.append(rl.ones(1 << 24) + 1)  # 64 MB each
    assert pending() < 10
    assert sum(float(p[0]) for p in parts) == 10.0


@lazy
def test_results_that_nobody_sees_do_not_end_a_block():
    """A chain over a large tensor stays one block, so that it fuses, however many bytes its steps would take."""
    x = rl.zeros(10 << 20)
    rl.synchronize()
    y = x
    for _ in range(30):
        y = y * 0.5 + 1
    assert pending() == 60
    assert abs(y[5].item() - 2) < 1e-6


def test_dead_results_cost_no_memory():
    rl.synchronize()
    allocated = rl.cpu.memory_allocated()
    x = rl.ones(1000)
    for _ in range(10):
        x = x * 2 + 1
    total = x.sum()
    assert total.item() == pytest.approx((2**11 - 1) * 1000)
    del x
    assert rl.cpu.memory_allocated() <= allocated + 8192


def test_hazards_keep_program_order():
    x = rl.arange(6.0)
    before = x * 10
    x.add_(1)
    after = x * 10
    x[2:] = 0
    assert before.tolist() == [0, 10, 20, 30, 40, 50] and after.tolist() == [10, 20, 30, 40, 50, 60]
    assert x.tolist() == [1, 2, 0, 0, 0, 0]


def test_overlapping_writes_are_refused():
    x = rl.zeros(3, 3)
    with pytest.raises(RuntimeError, match="single memory location"):
        x.t().add_(x)
    with pytest.raises(RuntimeError, match="single memory location"):
        rl.zeros(1).expand(3).add_(1)


def test_exposed_memory_sees_every_write_at_once():
    array = np.zeros(3, np.float32)
    x = rl.from_numpy(array)
    x.add_(1)
    assert array.tolist() == [1, 1, 1]
    y = rl.zeros(2)
    seen = y.numpy()
    y += 5
    assert seen.tolist() == [5, 5]
    seen[0] = 7
    assert (y + 0).tolist() == [7, 5]


def test_memory_of_an_array_outlives_its_tensor():
    view = (rl.arange(4.0) + 1).numpy()
    junk = [rl.zeros(4) + i for i in range(50)]
    rl.synchronize()
    assert view.tolist() == [1, 2, 3, 4] and len(junk) == 50


@lazy
def test_errors_of_data_name_the_operator_and_the_line():
    x = rl.arange(3.0)
    with pytest.raises(IndexError, match="test_stream.py"):
        rl.index_select(x, 0, rl.tensor([5]) + 0).tolist()
    assert (x + 1).tolist() == [1, 2, 3]


def test_several_python_threads():
    results = {}

    def work(name):
        x = rl.full((50,), float(name))
        for _ in range(200):
            x = x + 1
        results[name] = x.sum().item()
    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {i: 50.0 * (200 + i) for i in range(4)}


def test_thread_count_does_not_change_bits():
    x = rl.arange(300_000.0).sin()
    m = rl.arange(200.0 * 300).cos().view(200, 300)
    seen = set()
    before = rl.get_num_threads()
    try:
        for threads in (1, 2, 3):
            rl.set_num_threads(threads)
            values = (x.sum(), (x * x).mean(), m.softmax(1).sum(0), (m @ m.t()).sum(1), m.sum(0))
            seen.add(tuple(v.numpy().tobytes() for v in values))
    finally:
        rl.set_num_threads(before)
    assert len(seen) == 1


@lazy
def test_an_expression_of_large_tensors_is_one_block():
    x = rl.ones(1 << 26)  # 256 MB
    rl.synchronize()
    before = rl.engine.statistics()["flushes"]
    y = rl.where(x > 0, x * 2 + 1, x * 0.01).clamp(-1, 1)
    assert rl.engine.statistics()["flushes"] == before
    assert float(y[-1]) == 1.0
