"""L-BFGS: what its history costs. Its numbers are tested with those of the other optimizers."""

import pytest

import rushlight as rl


@pytest.mark.skipif(rl.base.switches.EAGER, reason="counts planned programs")
def test_a_growing_history_plans_nothing_new():
    rl.manual_seed(0)
    scale, target = rl.linspace(1.0, 40.0, 60), rl.randn(60)
    x = rl.zeros(60, requires_grad=True)
    optimizer = rl.optim.LBFGS([x], lr=0.05, max_iter=1, tolerance_grad=0.0, tolerance_change=0.0)

    def closure():
        optimizer.zero_grad()
        loss = (scale * (x - target).square()).sum()
        loss.backward()
        return loss

    def steps(count):
        before = rl.engine.statistics()["programs_planned"]
        for _ in range(count):
            optimizer.step(closure)
        return rl.engine.statistics()["programs_planned"] - before
    assert steps(26) > 0
    assert steps(8) == 0
