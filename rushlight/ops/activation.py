"""Activations (being written): relu first."""

from ..core.declare import elementwise


@elementwise("relu relu_ nn.functional.relu_", dtypes="numeric", grad={"input": lambda g, out: g * (out > 0)})
def relu(k, input):
    """max(input, 0)."""
    return k.maximum(input, k.const(0, input.dtype))


from ..core.declare import REGISTRY  # noqa: E402

REGISTRY["nn.functional.relu"] = lambda input, inplace=False: relu.inplace(input) if inplace else relu(input)
