"""Tiers: what is new runs directly by launch records, what comes back is planned, and the numbers are the same."""
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from programs import run

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.base import switches
from rushlight.core import stream
from rushlight.core.stream import STREAM
from rushlight.engine import direct

auto = pytest.mark.skipif(switches.EAGER or switches.TIER != "auto", reason="asks when blocks are planned")


def grown(before, *names):
    now = rl.engine.statistics()
    return [now[name] - before[name] for name in names]


@auto
def test_a_program_that_runs_once_plans_nothing():
    x = rl.randn(50, 6)
    rl.synchronize()
    before = rl.engine.statistics()
    y = rl.zeros(50, 6)
    for i in range(50):
        y[i] = x[i] * 2 + 1
    found = y.tolist()
    assert grown(before, "programs_planned", "direct_runs") == [0, 1]
    assert np.array_equal(np.array(found, np.float32), x.numpy() * 2 + 1)


@auto
def test_a_new_offset_plans_nothing():
    x = rl.arange(400.0).reshape(100, 4)
    (x[0] * 3).tolist()
    before = rl.engine.statistics()
    for i in range(1, 100):
        assert (x[i] * 3).tolist() == [12.0 * i, 12.0 * i + 3, 12.0 * i + 6, 12.0 * i + 9]
    assert grown(before, "programs_planned", "records_made", "kernels_compiled") == [0, 0, 0]


SIZES = {
    "chain": lambda n, m: (rl.ones(n, m) * 2 + rl.arange(float(m))).exp().relu(),
    "rows": lambda n, m: rl.arange(float(n * m)).reshape(n, m)[1:, 2:].contiguous(),
    "transposed": lambda n, m: rl.arange(float(n * m)).reshape(n, m).t() * rl.ones(m, 1),
    "in place": lambda n, m: rl.ones(n, m).mul_(3.0)[:, 1].add_(rl.arange(float(n))),
    "in place with a number": lambda n, m: rl.ones(n, m).add_(rl.arange(float(m)), alpha=3.5).mul_(0.5),
    "maximum": lambda n, m: rl.arange(float(n * m)).reshape(n, m).amax(0),
    "sum": lambda n, m: rl.arange(float(n * m)).reshape(n, m).sum(1),
    "mean": lambda n, m: rl.arange(float(n * m)).mean(),
    "choice": lambda n, m: rl.where(rl.arange(n) > 2, 1.0, rl.zeros(n)),
    "gathered": lambda n, m: rl.arange(float(n * m)).reshape(n, m)[rl.arange(n) // 2],
    "integers": lambda n, m: (rl.arange(n * m) // 3).to(rl.int16),
}


@switches.env(TIER="0")
@pytest.mark.parametrize("name", SIZES)
def test_a_new_size_plans_nothing(name):
    build = SIZES[name]
    for size in ((20, 17), (17, 20), (18, 18)):
        build(*size).tolist()
    before = rl.engine.statistics()
    found = [build(n, m).tolist() for n, m in ((31, 19), (45, 45), (18, 33))]
    assert grown(before, "records_made", "programs_planned", "kernels_compiled") == [0, 0, 0]
    with switches.env(TIER="1"):
        assert found == [build(n, m).tolist() for n, m in ((31, 19), (45, 45), (18, 33))]


@auto
def test_the_third_pass_of_a_loop_is_fused():
    w = rl.ones(6, 5)
    launches = []
    for _ in range(5):  # the first pass may begin with other slots than the later ones
        before = rl.engine.statistics()
        w = ((w * 0.5 + 1).tanh() - w).exp()
        w.sum().item()
        launches.append(grown(before, "launches", "programs_planned"))
    assert launches[2][0] < launches[0][0] and [planned for _, planned in launches[3:]] == [0, 0]


@auto
def test_one_short_instruction_is_planned_when_it_has_come_back_often():
    x = rl.arange(5.0)
    before = rl.engine.statistics()
    for runs in range(1, direct.SHORT_RUNS + 3):
        assert x.amin().item() == 0
        if runs == direct.SHORT_RUNS - 2:
            assert grown(before, "programs_planned") == [0]
    assert grown(before, "programs_planned") == [1]


@auto
def test_the_tree_keeps_what_is_in_use():
    x = rl.ones(3, 4)
    for _ in range(4):
        (x * 2).sum().item()  # planned
    (x / 2).sum().item()
    (x / 2).sum().item()
    before = rl.engine.statistics()
    for round in range(4):
        with STREAM.lock:
            STREAM.turn()
        (x * 2).sum().item()
    assert grown(before, "programs_planned", "direct_runs") == [0, 0]
    (x / 2).sum().item()  # not used for two generations
    assert grown(before, "direct_runs") == [1]


@auto
def test_the_tree_is_bounded(monkeypatch):
    monkeypatch.setattr(stream, "MOST_STEPS", 50)
    x = rl.ones(600)
    for i in range(400):
        (x[i] + 1).item()

    def count(step):
        return 1 + sum(map(count, step.next.values()))
    assert count(STREAM.root) + count(STREAM.root.past) <= 2 * 60
    assert STREAM.root.past.past is None


FUNCTIONS = {
    "normalised": lambda x, y, w: F.layer_norm(x + y, x.shape[-1:], w[:x.shape[-1]]),
    "softmax": lambda x, y, w: (x * 0.5).softmax(-1),
    "softmax of columns": lambda x, y, w: (x * y).softmax(0),
    "log_softmax": lambda x, y, w: (x + y.tanh()).log_softmax(-1),
    "sums": lambda x, y, w: (x * y).sum(-1),
    "sums of columns": lambda x, y, w: (x * y).sum(0),
    "sum of exponentials": lambda x, y, w: x.exp().sum(),
    "sums of exponentials": lambda x, y, w: x.exp().sum(-1),
    "mean": lambda x, y, w: (x - y).pow(2).mean(),
    "std": lambda x, y, w: (x * 2).std(-1),
    "var": lambda x, y, w: (x * y).var(0),
    "logsumexp": lambda x, y, w: (x - y).logsumexp(-1),
    "norm": lambda x, y, w: (x - y).norm(dim=-1),
    "product": lambda x, y, w: (x * 0.1 + 1).prod(-1),
    "transposed": lambda x, y, w: (x.transpose(0, -1) * y.transpose(0, -1)).sum(0),
    "gelu": lambda x, y, w: F.gelu(x + y).sum(-1),
    "half": lambda x, y, w: (x.half() * y.half()).sum(-1).float(),
    "gradients": lambda x, y, w: gradients(x, y, w),
}


def gradients(x, y, w):
    x, w = x.clone().requires_grad_(), w[:x.shape[-1]].clone().requires_grad_()
    F.layer_norm(F.gelu(x * y), x.shape[-1:], w).softmax(-1).pow(2).sum().backward()
    return rl.cat([x.grad.flatten(), w.grad])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_do_not_depend_on_the_tier(name):
    rl.manual_seed(3)
    for shape in ((7, 33), (64, 256), (3, 50, 17), (5, 3)):
        x, y, w = rl.randn(shape), rl.randn(shape), rl.randn(256)
        rl.synchronize()
        found = []
        for tier in "01":
            with switches.env(TIER=tier):
                found.append(FUNCTIONS[name](x, y, w).numpy())
        assert np.array_equal(*found, equal_nan=True)


@switches.env(TIER="0")
def test_operands_of_one_storage():
    a = rl.arange(24.0)
    a[1:].copy_(a[:-1].clone())
    assert a.tolist() == [0.0, *range(23)]
    a[4:8] += a[:4]
    assert a.tolist()[4:8] == [3.0, 4, 6, 8]
    b = rl.arange(8, dtype=rl.int32)
    halves = b.view(rl.int16)
    halves[3:5].add_(halves[0:2])  # a view of another dtype that does not begin at a whole element of the first
    assert b.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    halves[2:4].mul_(halves[2:4])
    assert halves.tolist()[:8] == [0, 0, 1, 0, 2, 0, 3, 0]
    found = []
    for tier in "01":
        with switches.env(TIER=tier):
            c = rl.arange(24.0)
            c[::2].mul_(c[:12])  # reads what it has written, element by element
            found.append(c.tolist())
    assert found[0] == found[1] and found[0][:9] == [0, 1, 2, 3, 8, 5, 18, 7, 64]


@pytest.mark.skipif(switches.EAGER, reason="the eager mode keeps no block")
@switches.env(TIER="0")
def test_temporary_results_share_memory(monkeypatch):
    monkeypatch.setattr(direct, "SMALL_TEMPORARIES", 1000)
    taken = []
    allocate = direct.memory.allocate
    monkeypatch.setattr(direct.memory, "allocate", lambda n: taken.append(n) or allocate(n))
    x = rl.arange(1000.0)
    y = x
    for _ in range(20):
        y = (y + 1) * 1
    assert y.tolist() == [n + 20 for n in range(1000)]
    assert len([n for n in taken if n == 4000]) <= 5


@switches.env(TIER="0")
def test_a_library_is_called_between_queues():
    x = rl.tensor([[4.0, 1.0], [2.0, 3.0]])
    for _ in range(20):  # temporary results of the library have their own place among the others
        values = rl.linalg.inv(rl.linalg.inv(x * 2) * 1) @ rl.linalg.inv(x * 2) + x * 0 + 1
        assert np.allclose(values.numpy(), np.eye(2) + 1, atol=1e-5)
    y = rl.randn(40, 3, dtype=rl.float64)
    found = rl.linalg.qr(y)[0] * 1
    other = rl.linalg.qr(y * 2)[0] * 1
    assert np.allclose(found.numpy(), other.numpy())


@pytest.mark.skipif(switches.EAGER, reason="the eager mode raises at the line")
@pytest.mark.parametrize("tier", "01")
def test_an_instruction_that_cannot_run_fails_alone(tier):
    with switches.env(TIER=tier):
        table, good, bad = rl.arange(15.0).reshape(5, 3), rl.tensor([1, 2]), rl.tensor([1, 7])
        other = rl.zeros(3)
        rl.synchronize()
        first = table[good] * 2
        line = sys._getframe().f_lineno + 1
        second = table[bad + 0]  # pending, so that the kernel checks it
        third, fourth = second + 1, first + 1
        other += third[0]
        fifth = fourth.sum()
        rl.synchronize()
        assert first.tolist() == [[6, 8, 10], [12, 14, 16]] and fifth.item() == 72
        for failed in (second, third, other):
            with pytest.raises(IndexError, match=rf"in index, recorded at .*test_tiers.py:{line}"):
                failed.tolist()
        other.fill_(2)
        assert (other * 2).tolist() == [4.0, 4.0, 4.0]


def test_all_tiers_at_random():
    with switches.env(TIER="random"):
        for seed in range(12):
            rng = np.random.default_rng(seed % 3)
            x = rng.standard_normal((6, 5)).astype(np.float32)
            t = rl.tensor(x)
            y = (t * 2 + 1).tanh()
            y[1:3] += t[2:4]
            wanted = np.tanh(x * 2 + 1)
            wanted[1:3] += x[2:4]
            assert np.allclose(y.numpy(), wanted, atol=1e-6)


@switches.env(TIER="0")
def test_threads_run_directly_at_the_same_time():
    found = {}

    def work(seed):
        x = rl.full((200,), float(seed))
        for i in range(200):
            x = x + x[i % 7] * 0 + 1
        found[seed] = x.tolist()
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {seed: [seed + 200.0] * 200 for seed in range(4)}


PROGRAM = """
import sys
import rushlight as rl
x = rl.arange(12.0).reshape(3, 4)
y = rl.softmax(x * 2, 1) @ x.t() + rl.linalg.inv(rl.eye(3) * 2)
print(y.tolist())
print(sys.modules["rushlight.engine.records"].made)
late = ("rushlight.fuse.plan", "rushlight.codegen.loops.emitter", "llvmlite.binding")
print([name for name in late if name in sys.modules])
"""


def test_records_on_disk_need_no_planner(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    environment = {"RUSHLIGHT_CACHE": str(tmp_path / "cache"), "RUSHLIGHT_EAGER": "0", "RUSHLIGHT_TIER": "auto"}
    first, second = (run(path, **environment)[0].splitlines() for _ in range(2))
    assert first[0] == second[0]
    assert int(first[1]) > 3 and second[1] == "0"
    assert "rushlight.fuse.plan" in first[2] and second[2] == "[]"


def test_records_tell_conjugates_from_what_they_conjugate(tmp_path):
    """In a fresh cache, where the record of a plain copy is on disk before that of a conjugate is asked for."""
    program = ("import rushlight as rl; x = rl.tensor([1 + 2j, 3 - 4j]); "
               "print(x.clone().tolist(), rl.conj(x).clone().tolist(), rl.conj(x).imag.clone().tolist())")
    env = {**os.environ, "RUSHLIGHT_TIER": "0", "RUSHLIGHT_CACHE": str(tmp_path)}
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
        assert done.stdout == "[(1+2j), (3-4j)] [(1-2j), (3+4j)] [-2.0, 4.0]\n"
