"""Shapes of the values of a program."""
import pytest

import rushlight as torch
from rushlight import fx, nn
from rushlight.fx.passes.shape_prop import ShapeProp, TensorMetadata


def test_shapes():
    module = fx.symbolic_trace(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    assert ShapeProp(module).propagate(torch.ones(2, 3)).shape == (2, 4)
    assert [tuple(n.meta["tensor_meta"].shape) for n in module.graph.nodes] == [(2, 3), (2, 4), (2, 4), (2, 4)]
    assert all(n.meta["type"] is torch.Tensor for n in module.graph.nodes)
    assert module.graph.output_node().meta["tensor_meta"] == TensorMetadata(
        torch.Size([2, 4]), torch.float32, True, (4, 1), torch.contiguous_format, False, {})


def test_memory_formats_and_other_values():
    module = fx.symbolic_trace(lambda x: (x.to(memory_format=torch.channels_last), x.size(0)))
    ShapeProp(module).propagate(torch.ones(2, 3, 4, 5))
    to, size = [n for n in module.graph.nodes if n.op == "call_method"]
    assert to.meta["tensor_meta"].memory_format is torch.channels_last
    assert "tensor_meta" not in size.meta and size.meta["type"] is int


def test_errors():
    with pytest.raises(RuntimeError, match="ShapeProp error for: node=%mm"):
        ShapeProp(fx.symbolic_trace(lambda x: torch.mm(x, x))).propagate(torch.ones(2))
