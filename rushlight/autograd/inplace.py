"""What in-place writes to views do to the graph (Note [Views and in-place writes] in core/tensor.py).

`CopySlices` is the new history of a base one of whose views was written: the gradient of the base, with the part that
was written sent through the operator's node. `AsStridedBackward0` is the new history of the other views.
"""

from ..core import dtype as dt
from ..core import grads as rules
from ..core import tensor as tensors
from ..core.declare import REGISTRY
from ..core.graph import MODE
from ..core.layout import layout
from ..core.record import REPEATED


class CopySlices:
    """The operator of CopySlices nodes; `node.saved` = (layout of the base, its offset, layout of the view, its
    offset, inner node)."""

    node_name = "CopySlices"

    @staticmethod
    def backward(node, grads):
        if node.freed:
            raise RuntimeError(rules.FREED)
        base_layout, base_offset, view_layout, view_offset, inner = node.saved
        if grads[0] is None:
            return [None] * len(node.edges)
        if base_layout.dense or base_layout.overlaps_itself:
            strides = base_layout.strides if base_layout.dense else None
            whole = tensors.empty(base_layout.shape, base_layout.dtype, grads[0].device, strides)
        else:
            whole = REGISTRY["empty_strided"](base_layout.shape, base_layout.strides, dtype=base_layout.dtype,
                                              device=grads[0].device)
        whole.copy_(grads[0])
        if view_layout.overlaps_itself:
            raise RuntimeError(REPEATED)
        if base_layout.overlaps_itself:
            raise NotImplementedError("backward of an in-place write to a view of a base whose elements share memory "
                                      "is not implemented in rushlight")
        part = part_of(whole, base_offset, view_layout, view_offset)
        results = inner.apply([part.clone()])
        found = list(results)
        first = node.counts
        if first is not None:
            if found[first] is None:
                part.zero_()
            else:
                part.copy_(found[first])
            found[first] = whole
        else:
            part.zero_()
            found.append(whole)
        return found


def part_of(whole, start, found, offset):
    """The view of layout `found` of a new tensor `whole`, where their offsets in the storage were `start` and `offset`.

    The view may have another dtype: parts or conjugates of complex numbers. Their gradient by the rule of complex
    numbers (Note [Complex gradients]) then lies in the gradient of the base as they lie in the base."""
    if found.dtype is whole._layout.dtype:
        return REGISTRY["as_strided"](whole, found.shape, found.strides, offset - start)
    first = offset * found.dtype.itemsize - start * whole._layout.dtype.itemsize
    part = tensors.view(whole._storage, found, first // found.dtype.itemsize)
    return rules.mark_view(part, whole)


def copy_slices(base, view, inner, own=None):
    """The node for `base` after the operator of node `inner` wrote to `view`; its edge `own` leads to what the view
    was before."""
    own = rules.edge_before_write(view, inner) if own is None else own
    edges = list(inner.edges)
    base_edge = rules.edge(base) if base._rg else None
    if own is not None:
        edges[own] = base_edge
    else:
        edges.append(base_edge)
    saved = (base._layout, base._offset, view._layout, view._offset, inner)
    node = rules.node_class("CopySlices")().fill(CopySlices, tuple(edges), saved, (base._layout,))
    node.counts = own
    return node


class AsStrided:
    """The operator of the node that a stale view takes; `node.saved` = (base layout, base offset, view layout, view
    offset)."""

    node_name = "AsStridedBackward0"

    @staticmethod
    def backward(node, grads):
        return [as_strided_back(grads[0], *node.saved)]


def as_strided_node(base, view):
    saved = (base._layout, base._offset, view._layout, view._offset)
    return rules.node_class("AsStridedBackward0")().fill(AsStrided, (rules.edge(base),), saved, (view._layout,))


def as_strided_back(g, base, base_offset, view, offset):
    """The gradient of the base of a strided view: summed over elements that the view shows more than once."""
    if base.dense and view.dense or (base.dense and distinct(view)):
        whole = tensors.empty(base.shape, base.dtype, g.device, base.strides)
        whole.zero_()
        part_of(whole, base_offset, view, offset).copy_(g)
        return whole
    if base.dtype.plain is not view.dtype.plain:
        raise NotImplementedError("backward of an in-place write to overlapping views of complex numbers is not "
                                  "implemented in rushlight")
    return scatter_strided(g, base, base_offset, view, offset)


def distinct(view):
    """Whether no two indices of the view reach the same element (a sufficient test by sorted strides)."""
    reach = 1
    for s, n in sorted((s, n) for s, n in zip(view.strides, view.shape) if n > 1):
        if s < reach:
            return False
        reach = s * (n - 1) + reach
    return True


def positions(found, offset, g):
    """The storage position of every element of a layout, as an int64 tensor."""
    where = REGISTRY["full"]((), offset, dtype=dt.int64)
    for d, (n, s) in enumerate(zip(found.shape, found.strides)):
        steps = REGISTRY["arange"](n, dtype=dt.int64) * s
        where = where + steps.reshape([n if e == d else 1 for e in range(found.ndim)])
    return where.expand(found.shape)


def scatter_strided(g, base, base_offset, view, offset):
    size = max(base_offset + base.reach, offset + view.reach)
    flat = REGISTRY["zeros"]((size,), dtype=g.dtype)
    flat = flat.index_add(0, positions(view, offset, g).reshape(-1), g.reshape(-1))
    where = positions(base, base_offset, g).reshape(-1)
    count = REGISTRY["zeros"]((size,), dtype=g.dtype).index_add(0, where, REGISTRY["ones"](where.shape, dtype=g.dtype))
    values = (flat / count.clamp(min=1))[where]
    return values.reshape(base.shape)


tensors.make_as_strided_node = as_strided_node
rules.make_copy_slices = copy_slices

AS_STRIDED = rules.GradRule("as_strided", ("input", "base", "base_offset", "found", "offset"),
                            {"input": lambda g, base, base_offset, found, offset: as_strided_back(g, base, base_offset,
                                                                                                  found, offset)})


def as_strided(input, size, stride, storage_offset=None):
    """A view of the storage with any sizes, strides (in elements, not negative) and offset. RuntimeError where it
    leaves the storage."""
    size, stride = tuple(int(n) for n in size), tuple(int(s) for s in stride)
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    offset = input._offset if storage_offset is None else int(storage_offset)
    found = layout(size, stride, input._layout.dtype)
    if (offset + found.reach) * found.dtype.itemsize > input._storage.nbytes and found.numel:
        raise RuntimeError(f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and "
                           f"itemsize {found.dtype.itemsize} requiring a storage size of "
                           f"{(offset + found.reach) * found.dtype.itemsize} are out of bounds for storage of size "
                           f"{input._storage.nbytes}")
    tensor = tensors.view(input._storage, found, offset)
    rules.mark_view(tensor, input)
    if MODE.grad and input.requires_grad:
        AS_STRIDED.attach((input, input._layout, input._offset, found, offset), [tensor])
    return tensor


REGISTRY["as_strided"] = REGISTRY["Tensor.as_strided"] = as_strided
