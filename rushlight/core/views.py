"""Views: new tensors over the memory of another, made by stride arithmetic and without an instruction."""

from .grads import mark_view
from .graph import MODE
from .layout import layout
from .tensor import NO_GRAD_MODE, refresh, view


def viewed(source, found, offset, rule, values):
    """`view_of` for a Layout: the hot path."""
    tensor = view(source._storage, found, offset)
    base = source._base
    if base is not None or source._versions is not None:
        mark_view(tensor, source)
    else:
        tensor._base, tensor._view_version = source, source._storage.version
        tensor._creation = 0 if MODE.grad else NO_GRAD_MODE
    if MODE.grad:
        if base is not None:
            refresh(source)
        if source._rg:
            rule.attach(values, (tensor,))
    return tensor


def view_of(source, shape, strides, offset, rule=None, values=(), multi=False):
    """A view of `source` with the layout given, a step of the graph by `rule` (its parameters are `values`)."""
    found = source._layout
    tensor = view(source._storage, layout(tuple(shape), tuple(strides), found.dtype), offset)
    mark_view(tensor, source, multi)
    if MODE.grad and rule is not None and source.requires_grad:
        rule.attach(values, [tensor])
    return tensor


def without_repeats(tensor):
    """The tensor itself, or a view in which dimensions of stride 0 have size 1: the same memory, each element
    once."""
    found = tensor._layout
    if not found.overlaps_itself:
        return tensor
    shape = tuple([1 if s == 0 else n for n, s in zip(found.shape, found.strides)])
    result = view(tensor._storage, layout(shape, found.strides, found.dtype), tensor._offset)
    result._versions = tensor._versions
    return result
