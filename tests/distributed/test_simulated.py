"""The simulation of large jobs: costs, and how DistributedDataParallel and fully_shard behave on its clock."""
import pytest

import rushlight as torch
import rushlight.distributed as dist
from rushlight import nn
from rushlight.distributed import simulated
from rushlight.distributed.fsdp import fully_shard
from rushlight.nn.parallel import DistributedDataParallel

FLAT = dict(node=1, outer_latency=1e-5, outer_bandwidth=1e9)


@pytest.fixture
def job():
    """A function that starts a job; it is ended after the test."""
    yield simulated.start
    if dist.is_initialized():
        dist.destroy_process_group()


def network():
    torch.manual_seed(0)
    return nn.Sequential(*[nn.Linear(32, 32) for _ in range(4)])


def test_costs():
    ring = simulated.Network(algorithm="ring", **FLAT)
    assert ring.all_reduce(4, 4e6) == pytest.approx(2 * 3 * (1e-5 + 1e6 / 1e9))
    assert simulated.Network(algorithm="tree", **FLAT).all_reduce(1024, 0) == pytest.approx(2 * 10 * 1e-5)
    assert ring.all_reduce(1, 1e9) == ring.half(1, 1e9) == 0
    best = simulated.Network(algorithm="best")
    for ranks in (8, 64, 4096):
        for size in (1e3, 1e6, 1e9):
            others = [simulated.Network(algorithm=name).all_reduce(ranks, size) for name in ("ring", "tree", "levels")]
            assert best.all_reduce(ranks, size) == min(others)


def test_waiting_is_for_what_was_started_before(job):
    clock = job(4, simulated.Network(algorithm="ring", **FLAT))
    cost = simulated.Network(algorithm="ring", **FLAT).all_reduce(4, 4000)
    first, second = (dist.all_reduce(torch.ones(1000), async_op=True) for _ in range(2))
    assert clock.now == 0
    clock.compute(cost / 2)
    second.wait()
    assert clock.now == pytest.approx(2 * cost) and clock.computed == pytest.approx(cost / 2)
    first.wait()
    assert clock.now == pytest.approx(2 * cost)


def test_values_are_those_of_equal_ranks(job):
    job(1000)
    x = torch.full((3,), 2.0)
    dist.all_reduce(x)
    assert x.tolist() == [2000.0] * 3
    dist.all_reduce(x, dist.ReduceOp.AVG)
    assert x.tolist() == [2000.0] * 3
    with pytest.raises(NotImplementedError, match="product"):
        dist.all_reduce(x, dist.ReduceOp.PRODUCT)


@pytest.mark.parametrize("wrap", [DistributedDataParallel, fully_shard])
def test_gradients_and_the_overlap_of_communication(job, wrap):
    clock = job(64, simulated.Network(outer_latency=1e-6, outer_bandwidth=1e12))
    model = network()
    simulated.count_time(model, clock, 1000, 1e9)
    options = {"bucket_cap_mb": 0.001} if wrap is DistributedDataParallel else {}
    model = wrap(model, **options)
    began, computed = clock.now, clock.computed
    model(torch.ones(2, 32)).sum().backward()
    if wrap is DistributedDataParallel:  # gathered parameters would be this rank's rows many times
        plain = network()
        plain(torch.ones(2, 32)).sum().backward()
        for ours, theirs in zip(model.parameters(), plain.parameters()):
            torch.testing.assert_close(ours.grad, theirs.grad)
    needed = clock.computed - computed
    assert needed == pytest.approx(4 * 6 * 32 * 32 * 1000 / 1e9)
    # A fast network hides behind the computation, but for the first gather and the last bucket.
    assert needed < clock.now - began < 1.1 * needed
