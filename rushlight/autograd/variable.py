"""`Variable`: the old name of a tensor in a graph."""

from ..core.tensor import Tensor
from . import engine


class VariableMeta(type):
    """Every tensor is an instance of Variable; calling it gives a tensor."""

    def __instancecheck__(cls, other):
        return isinstance(other, Tensor)

    def __call__(cls, data=None, requires_grad=False, volatile=None):
        if data is None:
            raise TypeError("Variable(): argument 'data' is missing")
        return data.detach().requires_grad_(bool(requires_grad)) if data.dtype.category >= 2 else data.detach()


class Variable(metaclass=VariableMeta):
    """Variable(tensor, requires_grad=False): a leaf over the memory of the tensor."""

    _execution_engine = engine  # programs call Variable._execution_engine.queue_callback
