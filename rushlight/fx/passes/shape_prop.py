"""`ShapeProp`: run a program and note shape, dtype and strides of each value."""

from typing import NamedTuple

from ... import api as rl
from ..interpreter import Interpreter
from ..node import map_aggregate

__all__ = ["ShapeProp", "TensorMetadata"]


class TensorMetadata(NamedTuple):
    """What a tensor is, without its values."""

    shape: tuple
    dtype: object
    requires_grad: bool
    stride: tuple
    memory_format: object
    is_quantized: bool
    qparams: dict


def _extract_tensor_metadata(result, include_contiguity=True):
    """The description of a tensor."""
    kept = None
    if include_contiguity:
        for memory_format in (rl.contiguous_format, rl.channels_last, rl.channels_last_3d):
            rank = {rl.channels_last: 4, rl.channels_last_3d: 5}.get(memory_format)
            if rank in (None, result.dim()) and result.is_contiguous(memory_format=memory_format):
                kept = memory_format
                break
    return TensorMetadata(result.shape, result.dtype, result.requires_grad, result.stride(), kept, result.is_quantized,
                          {})


class ShapeProp(Interpreter):
    """Runs a program with example inputs; afterwards `node.meta["tensor_meta"]` describes the value of each node.

    Example:
        >>> gm = torch.fx.symbolic_trace(torch.nn.Linear(3, 4))
        >>> _ = torch.fx.passes.shape_prop.ShapeProp(gm).propagate(torch.ones(2, 3))
        >>> gm.graph.output_node().meta["tensor_meta"].shape
        torch.Size([2, 4])
    """

    def run_node(self, n):
        """The value of one node, noted in its `meta`."""
        try:
            result = super().run_node(n)
        except Exception as error:
            raise RuntimeError(f"ShapeProp error for: node={n.format_node()} with meta={n.meta}") from error
        found = []

        def describe(value):
            if not isinstance(value, rl.Tensor):
                return value
            found.append(value)
            return _extract_tensor_metadata(value)
        meta = map_aggregate(result, describe)
        if found:
            n.meta["tensor_meta"] = meta
        n.meta["type"] = type(result)
        return result

    def propagate(self, *args):
        """Run the program; its result."""
        return super().run(*args)
