"""A training loop settles: from its third step on nothing is planned and nothing compiled."""
import pytest

import rushlight as rl
from rushlight.base import switches


def work(before):
    now = rl.engine.statistics()
    return {name: now[name] - before[name] for name in ("programs_planned", "kernels_compiled", "kernels_loaded")}


class Loop:
    """Adam, a schedule, dropout."""

    def __init__(self):
        rl.manual_seed(0)
        self.net = rl.nn.Sequential(rl.nn.Linear(8, 32), rl.nn.ReLU(), rl.nn.Dropout(0.3), rl.nn.Linear(32, 4))
        self.optimizer = rl.optim.Adam(self.net.parameters(), lr=1e-2)
        self.schedule = rl.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 100)

    def step(self, count=16):
        x, y = rl.randn(count, 8), rl.randint(0, 4, (count,))
        self.optimizer.zero_grad()
        loss = rl.nn.functional.cross_entropy(self.net(x), y)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return loss.item()


def test_nothing_is_planned_from_the_third_step_on():
    loop = Loop()
    for _ in range(3):
        loop.step()
    before = rl.engine.statistics()
    for _ in range(5):
        loop.step()
    assert work(before) == {"programs_planned": 0, "kernels_compiled": 0, "kernels_loaded": 0}


def test_batch_sizes_share_kernels():
    def step(count):
        x = rl.randn(count, 24).requires_grad_()
        y = rl.nn.functional.dropout(rl.softmax(x * 2 + 1, 1), 0.2)
        (y * x).mean(0).sum().backward()
        return x.grad.sum().item()

    for count in (64, 65, 80):
        step(count)
    before = rl.engine.statistics()
    for count in (96, 33, 128, 77):
        step(count)
    found = work(before)
    # two flushes a step
    assert found["kernels_compiled"] == found["kernels_loaded"] == 0 and found["programs_planned"] <= 8


@pytest.mark.skipif(switches.EAGER, reason="the eager mode has no blocks")
def test_every_step_launches_the_same_programs():
    loop, counts = Loop(), []
    for _ in range(3):
        loop.step()
    for _ in range(3):
        before = rl.engine.statistics()
        loop.step()
        now = rl.engine.statistics()
        counts.append({name: now[name] - before[name] for name in ("flushes", "instructions", "launches")})
    assert counts[0] == counts[1] == counts[2] and counts[0]["flushes"] <= 2  # backward, and the loss as a number
