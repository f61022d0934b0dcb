"""`torch.autograd.forward_ad`: forward-mode derivatives, from tangents of the inputs to tangents of the results.

Note [Forward mode]
The vector-Jacobian product of a graph is linear in its vector; its own vector-Jacobian product, taken at the tangents,
is the Jacobian-vector product. So every operator with a gradient has forward mode, without a second table of formulas.
Nothing is paid twice: work is deferred, and of the first pass only what the second one reads is computed. The planner
drops the rest.

A dual tensor is a tensor of a graph of its own that knows its tangent. `unpack_dual` differentiates from any result
back to the dual tensors of the level. What is computed under `no_grad` has no tangent.
"""

from typing import NamedTuple, Optional

from ..core.declare import REGISTRY
from ..core.graph import MODE, Node
from ..core.tensor import Tensor
from .engine import grad
from .leaf import edge_of
from .modes import enable_grad

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]

_LEVELS = []  # of the process: the dual tensors of each level with their tangents


class UnpackedDualTensor(NamedTuple):
    """A value and its tangent."""

    primal: Tensor
    tangent: Optional[Tensor]


def pullback(outputs, inputs):
    """(vectors, products): vector-Jacobian products of the outputs with vectors that are to be differentiated by. The
    products are None for inputs that no output depends on."""
    with enable_grad():
        vectors = [REGISTRY["zeros_like"](o.detach()).requires_grad_() for o in outputs]
        if not outputs:
            return vectors, [None] * len(inputs)
        return vectors, grad(outputs, inputs, vectors, create_graph=True, allow_unused=True)


def pushforward(vectors, products, tangents, create_graph=False, retain_graph=None):
    """The Jacobian-vector products of what `pullback` gave: a tangent for each output, None where there is none."""
    pairs = [(p, t) for p, t in zip(products, tangents) if p is not None and p.requires_grad and t is not None]
    if not pairs or not vectors:
        return [None] * len(vectors)
    return list(grad([p for p, _ in pairs], vectors, [t for _, t in pairs], create_graph=create_graph,
                     retain_graph=retain_graph, allow_unused=True))


def foreign_leaves(outputs, own):
    """Whether the graph of the outputs reaches a leaf outside `own`, so that an outer function may differentiate the
    results."""
    known = {id(t) for t in own}
    seen, waiting = set(), [edge_of(o)[0] for o in outputs if o.requires_grad]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Node):
            if id(node) not in known:
                return True
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        waiting += [e[0] for e in node.edges if e is not None]
    return False


def enter_dual_level():
    """Open a level of dual tensors; its number. RuntimeError if one is open: levels do not nest."""
    if _LEVELS:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _LEVELS.append([])
    return 0


def exit_dual_level(*, level=None):
    """Close the level: its dual tensors lose their tangents."""
    if not _LEVELS or level not in (None, -1, len(_LEVELS) - 1):
        raise RuntimeError("Trying to exit a forward AD level that was not the last one that was created. This is not "
                           "supported.")
    for dual, _ in _LEVELS.pop():
        dual.__dict__.pop("_dual", None)


def make_dual(tensor, tangent, *, level=None):
    """A dual tensor: the tensor with a tangent of its shape and dtype.

    Raises RuntimeError outside of a level, TypeError for anything but tensors of floating point or complex dtype."""
    if not _LEVELS:
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, make sure to "
                           "enter_dual_level() first.")
    if not isinstance(tensor, Tensor) or not tensor.dtype.is_floating_point and not tensor.dtype.is_complex:
        kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor)
        raise ValueError(f"Expected primal to be floating point or complex, but got: {kind}")
    if not tangent.dtype.is_floating_point and not tangent.dtype.is_complex:
        raise ValueError(f"Expected tangent to be floating point or complex, but got: {tangent.dtype}")
    if tensor.shape != tangent.shape:
        raise RuntimeError("Expected tangent to have the same shape as the primal: "
                           f"{list(tensor.shape)} and {list(tangent.shape)}")
    if tensor.dtype is not tangent.dtype:
        raise RuntimeError(f"Expected tangent of dtype {tensor.dtype}, but got {tangent.dtype}")
    with enable_grad():
        dual = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
    dual._dual = (tensor, tangent)
    _LEVELS[-1].append((dual, tangent))
    return dual


def unpack_dual(tensor, *, level=None):
    """(primal, tangent) of a tensor; the tangent is None where it depends on no dual tensor of the level."""
    if not _LEVELS:
        return UnpackedDualTensor(tensor, None)
    own = tensor.__dict__.get("_dual")
    if own is not None:
        return UnpackedDualTensor(*own)
    duals = _LEVELS[-1]
    if not tensor.requires_grad or not duals:
        return UnpackedDualTensor(tensor, None)
    vectors, products = pullback([tensor], [d for d, _ in duals])
    tangents = [t for _, t in duals]
    outer = MODE.grad and (any([t.requires_grad for t in tangents]) or foreign_leaves([tensor], [d for d, _ in duals]))
    tangent = pushforward(vectors, products, tangents, create_graph=outer)[0]
    if tangent is None and any([p is not None for p in products]):
        tangent = REGISTRY["zeros_like"](tensor.detach())
    return UnpackedDualTensor(tensor if outer else tensor.detach(), tangent)


class dual_level:
    """A level of dual tensors.

        with dual_level():
            x = make_dual(torch.ones(2), torch.ones(2))
            tangent = unpack_dual(x * x).tangent  # 2, 2
    """

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, *error):
        exit_dual_level()
