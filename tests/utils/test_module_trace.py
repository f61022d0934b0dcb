"""`module_trace.trace`: calls, operators in them, and multiply-adds against formulas."""
import pytest

import rushlight as torch
from rushlight.core.stream import STREAM
from rushlight.utils.module_trace import trace

nn = torch.nn


class Shared(nn.Module):
    """Calls one layer twice, and reads a value in between, which ends a block of the stream."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x, scale=None):
        found = self.layer(x)
        if found.sum().item() > 1e9:
            return found
        return self.layer(torch.relu(found)) * scale


def test_calls_and_operators_across_blocks():
    x = torch.randn(2, 4)
    for _ in range(3):  # the steps of the stream are known from the second time on
        found = trace(Shared(), (x,), {"scale": torch.ones(4)})
        assert [call.name for call in found.calls] == ["", "layer", "layer"]
        assert [call.output_shapes for call in found.calls] == [[(2, 4)]] * 3
        assert found.calls[0].input_shapes == [(2, 4), (4,)] and found.calls[1].parent is found.calls[0]
        assert [op.name for op in found.calls[1].operators] == ["addmm"] == [op.name for op in found.calls[2].operators]
        assert [op.name for op in found.calls[0].operators] == ["ordered_sum", "relu", "mul"]
    assert STREAM.watch is None


def multiply_adds(model, *args):
    found = trace(model, args)
    return sum(op.multiply_adds() for op in found.operators)


@pytest.mark.parametrize("model, shape, expected", [
    (nn.Linear(3, 5), (7, 2, 3), 7 * 2 * 3 * 5),
    (nn.Linear(3, 5, bias=False), (7, 3), 7 * 3 * 5),
    (nn.Conv2d(4, 6, 3, groups=2), (2, 4, 8, 8), 2 * 6 * 36 * 2 * 9),
    (nn.ConvTranspose2d(3, 4, 3), (1, 3, 5, 5), 25 * 3 * 4 * 9),
    (nn.LSTM(4, 5), (3, 2, 4), 3 * 2 * 20 * 4 + 3 * 2 * 20 * 5),
    (nn.ReLU(), (3,), 0),
])
def test_multiply_adds(model, shape, expected):
    assert multiply_adds(model, torch.randn(shape)) == expected


def test_attention_counts_both_products():
    attention = nn.MultiheadAttention(16, 2, bias=False)
    x = torch.randn(5, 3, 16)
    assert multiply_adds(attention, x, x, x) == 5 * 3 * (48 + 16) * 16 + 3 * 5 * 5 * (16 + 16)


def test_modes_and_hooks_are_put_back():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3).eval())
    trace(model, (torch.randn(2, 3),))
    assert [module.training for module in model.modules()] == [True, True, False]
    assert not model[0]._forward_hooks and not model[0]._forward_pre_hooks


def test_a_model_that_fails_leaves_no_trace():
    model = nn.Linear(3, 2)
    with pytest.raises(RuntimeError):
        trace(model, (torch.randn(2, 4),))
    assert STREAM.watch is None and not model._forward_hooks
