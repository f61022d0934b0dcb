"""Indexing: `tensor[...]` and `tensor[...] = value`, the `index` and `index_put` operators.

In: anything PyTorch takes between brackets. Integers, slices, None and Ellipsis are one view, computed at once; index
tensors, lists, arrays and masks then go to `index` or `index_put_` on that view. Masks become indices by `nonzero`, a
sync point; only `x[mask] = number` needs none. Read `fetch` for the kernels.
"""

import functools
import warnings

from ...base.lazy import is_array, is_scalar
from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import REGISTRY, public, register
from ...core.device import CPU
from ...core.grads import GradRule, check_inplace, mark_view, wants_grad
from ...core.graph import MODE
from ...core.infer import as_index
from ...core.layout import broadcast_shapes, layout
from ...core.record import HIGHEST, LOWEST, write_copy, write_number
from ...core.tensor import Tensor
from ...core.tensor import view as raw_view
from ..basic.copy import COPY_FORM, clone, copy_
from ..basic.creation import FILL_FORM, arange, full, index_tensor
from ..basic.fetch import (
    INDEX_DTYPES,
    Place,
    check_writable,
    fetch,
    fetch_operator,
    fetch_rule,
    spread,
    write,
    write_operator,
    written,
)
from ..basic.transfer import to_device
from ..basic.view import SELECT, embed, reshape
from .nonzero import nonzero

INVALID_SCALAR = ("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to "
                  "convert a 0-dim tensor to a number")


def _basic_back(g, shape, items):
    return embed(g, shape, view_at, (items,))


BASIC = {name: GradRule(name, ["input", "shape", "items"], {"input": _basic_back})
         for name in ("select", "slice", "unsqueeze", "alias")}


class Selection:
    """What an index says about dimensions: one view (`items`, kind of its last step), and index tensors per dimension
    of that view.

    items: per step an int (a position), (start, stop, step), or None (a new dimension of size 1).
    """

    __slots__ = ("items", "shape", "strides", "offset", "last", "indices", "dim")

    def __init__(self, found):
        self.items, self.shape, self.strides, self.offset = [], [], [], 0
        self.last, self.indices, self.dim = None, None, 0

    def integer(self, found, index):
        size = found.shape[self.dim]
        if not -size <= index < size:
            raise IndexError(f"index {index} is out of bounds for dimension {self.dim} with size {size}")
        index = index + size if index < 0 else index
        self.offset += index * found.strides[self.dim]
        self.items.append(index)
        self.dim += 1
        self.last = "select"

    def slice(self, found, index):
        size, stride = found.shape[self.dim], found.strides[self.dim]
        start, stop, step = slice_bounds(index, size)
        self.dim += 1
        self.last = "slice"
        self.items.append((start, stop, step))
        self.shape.append(max(0, -(-(stop - start) // step)))
        self.strides.append(stride * step)
        self.offset += start * stride

    def keep(self, found, count=1):
        """Dimensions as they are."""
        for _ in range(count):
            size = found.shape[self.dim]
            self.items.append((0, size, 1))
            self.shape.append(size)
            self.strides.append(found.strides[self.dim])
            self.dim += 1

    def new_axis(self, found):
        self.strides.append(found.shape[self.dim] * found.strides[self.dim] if self.dim < found.ndim else 1)
        self.shape.append(1)
        self.items.append(None)
        self.last = "unsqueeze"

    def tensor(self, found, index):
        """An index tensor for the next dimension(s)."""
        if self.indices is None:
            self.indices = {}
        self.indices[len(self.shape)] = index
        self.keep(found, index._layout.ndim if index._layout.dtype in (dt.bool_, dt.uint8) else 1)

    def truth(self, value):
        """A bool: a new dimension of size 1 or 0."""
        if self.indices is None:
            self.indices = {}
        self.indices[len(self.shape)] = arange(1 if value else 0)
        self.strides.append(1)
        self.shape.append(1)
        self.items.append(None)


def slice_bounds(index, size):
    """(start, stop, step) of a slice over `size` positions, with start <= stop."""
    try:
        start, stop, step = index.indices(size)
    except ValueError:
        raise ValueError("step must be greater than zero") from None
    if step <= 0:
        raise ValueError("step must be greater than zero")
    return start, max(start, stop), step


def view_at(tensor, items):
    """The view that normalised `items` select (see Selection)."""
    return take_view(tensor, selection_of(tensor._layout, items))


def selection_of(found, items):
    """A Selection from normalised items."""
    chosen = Selection(found)
    for item in items:
        if item is None:
            chosen.new_axis(found)
        elif item.__class__ is tuple:
            chosen.slice(found, slice(*item))
        else:
            chosen.integer(found, item)
    return chosen


def take_view(tensor, chosen):
    """The view of a Selection as a step of the graph."""
    found = tensor._layout
    target = layout(tuple(chosen.shape), tuple(chosen.strides), found.dtype)
    view = raw_view(tensor._storage, target, tensor._offset + chosen.offset)
    mark_view(view, tensor)
    if MODE.grad and tensor.requires_grad:
        BASIC[chosen.last or "alias"].attach((tensor, found.shape, tuple(chosen.items)), [view])
    return view


# -- reading what stands between the brackets ------------------------------------------------------------------------


def parse(tensor, index):
    """A Selection for any index. IndexError and TypeError as PyTorch raises them."""
    chosen = Selection(tensor._layout)
    read_items(chosen, tensor._layout, as_tuple(index))
    return chosen


def read_items(chosen, found, items):
    """Enter the items of an index into a Selection."""
    given = dims_of(items, found.ndim)
    for item in items:
        kind = item.__class__
        if kind is slice:
            need_dim(chosen, found)
            chosen.slice(found, item)
        elif kind is int:
            need_dim(chosen, found)
            chosen.integer(found, item)
        elif item is None:
            chosen.new_axis(found)
        elif item is Ellipsis:
            chosen.keep(found, max(0, found.ndim - given))
        elif kind is bool:
            chosen.truth(item)
        else:
            parse_object(chosen, found, item)
    chosen.keep(found, found.ndim - chosen.dim)


def need_dim(chosen, found):
    if chosen.dim >= found.ndim:
        raise IndexError(f"too many indices for tensor of dimension {found.ndim}")


def parse_object(chosen, found, item):
    """Tensors, sequences, arrays and other numbers."""
    if isinstance(item, Tensor):
        parse_tensor(chosen, found, item)
    elif isinstance(item, (list, tuple, range)) or is_array(item):
        parse_tensor(chosen, found, sequence_tensor(item))
    elif isinstance(item, str):
        raise TypeError("new(): invalid data type 'str'")
    elif hasattr(item, "__index__") and not is_scalar_bool(item):
        need_dim(chosen, found)
        chosen.integer(found, as_index(item))
    else:
        raise IndexError("only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
                         f"indices (got {type_name(item)})")


def is_scalar_bool(value):
    """Whether a value is NumPy's bool, which is a mask and no number."""
    return is_scalar(value) and isinstance(value, np.bool_)


def type_name(value):
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def parse_tensor(chosen, found, item):
    kind = item._layout.dtype
    if kind is dt.uint8:
        warnings.warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
                      stacklevel=5)
    if kind.category > dt.INTEGRAL or kind in (dt.uint16, dt.uint32, dt.uint64):
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    if not item._layout.ndim:
        if kind is dt.bool_ or kind is dt.uint8:
            chosen.truth(bool(item.item()))
            return
        need_dim(chosen, found)
        chosen.integer(found, item.item())
        return
    if kind is dt.bool_ or kind is dt.uint8:
        check_mask(chosen, found, item)
    else:
        need_dim(chosen, found)
    chosen.tensor(found, item)


def check_mask(chosen, found, mask):
    shape = mask._layout.shape
    if chosen.dim + len(shape) > found.ndim:
        raise IndexError(f"too many indices for tensor of dimension {found.ndim}")
    for d, n in enumerate(shape):
        if found.shape[chosen.dim + d] != n:
            raise IndexError(f"The shape of the mask {list(shape)} at index {d} does not match the shape of the "
                             f"indexed tensor {list(found.shape)} at index {chosen.dim + d}")


def sequence_tensor(item):
    """A list, tuple or array as an index tensor."""
    values = item if is_array(item) else np.asarray(plain_sequence(item))
    if values.size == 0 and not is_array(item):
        values = values.astype(np.int64)
    if values.dtype.kind in "US":
        raise TypeError("new(): invalid data type 'str'")
    return index_tensor(values)


def plain_sequence(item):
    """Nested sequences with tensors read."""
    if isinstance(item, Tensor):
        return item.tolist()
    if isinstance(item, (list, tuple, range)):
        return [plain_sequence(x) for x in item]
    return item


def as_tuple(index):
    """The items of an index: a tuple as it is; short lists that hold slices, sequences or tensors count as tuples, as
    in PyTorch.
    """
    if index.__class__ is tuple:
        return index
    if isinstance(index, tuple):
        return tuple(index)
    if isinstance(index, list) and len(index) < 32 and any(
            x is None or x is Ellipsis or isinstance(x, (Tensor, slice, list, tuple)) or is_array(x) for x in index):
        warnings.warn("Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in "
                      "pytorch 2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as "
                      "tensor index, x[torch.tensor(seq)], which will result either in an error or a different "
                      "result", stacklevel=4)
        return tuple(index)
    return (index,)


def dims_of(items, rank):
    """How many dimensions the items take up. IndexError if that is too many for the tensor."""
    count = 0
    for item in items:
        if item is None or item is Ellipsis or item is True or item is False:
            continue
        if isinstance(item, Tensor) and item._layout.dtype in (dt.bool_, dt.uint8):
            count += item._layout.ndim
        elif is_array(item) and item.dtype == np.bool_:
            count += item.ndim
        elif isinstance(item, (list, tuple)):
            count += mask_depth(item)
        else:
            count += 1
    if count > rank:
        if not rank and len(items) == 1:
            raise IndexError(INVALID_SCALAR)
        raise IndexError(f"too many indices for tensor of dimension {rank}")
    return count


def mask_depth(item):
    """The dimensions that a nested list takes up: its depth if it holds bools."""
    depth = 0
    while isinstance(item, (list, tuple)) and item:
        item, depth = item[0], depth + 1
    return depth if item is True or item is False else 1


# -- tensor[...] -----------------------------------------------------------------------------------------------------


_ROWS = {}


def row_layout(found):
    """The layout of one position of the first dimension, remembered."""
    row = _ROWS.get(found)
    if row is None:
        if len(_ROWS) > 20_000:
            _ROWS.clear()
        row = _ROWS[found] = layout(tuple(found.shape[1:]), found.strides[1:], found.dtype)
    return row


@public("Tensor.__getitem__", out=False, quick=True)
def getitem(self, index):
    """`self[index]`: a view for integers, slices, None and Ellipsis; a new tensor for index tensors, lists and
    masks."""
    found = self._layout
    kind = index.__class__
    if kind is int and found.ndim:
        size = found.shape[0]
        if not -size <= index < size:
            raise IndexError(f"index {index} is out of bounds for dimension 0 with size {size}")
        index = index + size if index < 0 else index
        view = raw_view(self._storage, row_layout(found), self._offset + index * found.strides[0])
        mark_view(view, self)
        if MODE.grad and self.requires_grad:
            SELECT.attach((self, found.shape, 0, index), [view])
        return view
    if kind is Tensor:
        if index._layout.dtype in INDEX_DTYPES and index._layout.ndim and found.ndim:
            return index_rows(self, index)
        if index._layout.dtype is dt.bool_ and index._layout.shape == found.shape and found.ndim:
            return REGISTRY["Tensor._index_masked"](self, found.shape, index)
    if kind is slice and found.ndim and not (MODE.grad and (self._rg or self._base is not None)):
        view = rows_between(self, found, index)
        if view is not None:
            return view
    if kind is not tuple:
        index = as_tuple(index)
    known = known_view(found, index)
    if known is not None:
        offset = known.place(index)
        if offset is not None:
            view = raw_view(self._storage, known.layout, self._offset + offset)
            mark_view(view, self)
            if MODE.grad and (self._rg or self._base is not None) and self.requires_grad:
                known.rule.attach((self, found.shape, known.path(index)), [view])
            return view
    chosen = parse(self, index)
    if chosen.indices is None:
        return take_view(self, chosen)
    source = self if chosen.last is None and not any(i is None for i in chosen.items) else take_view(self, chosen)
    return index_(source, index_list(chosen, source))


def rows_between(tensor, found, index):
    """The view of the neighbouring rows that a slice of integers chooses; None for other slices. Nothing is remembered
    about the slice: bounds often never come back."""
    for bound in (index.start, index.stop):
        if bound is not None and bound.__class__ is not int:
            return None
    if index.step is not None and index.step != 1:
        return None
    start, stop, _ = index.indices(found.shape[0])
    rows = layout((stop - start if stop > start else 0, *found.shape[1:]), found.strides, found.dtype)
    view = raw_view(tensor._storage, rows, tensor._offset + start * found.strides[0])
    mark_view(view, tensor)
    return view


def index_list(chosen, source):
    """The index tensors per dimension of the view, None where there is none."""
    found = []
    for d in sorted(chosen.indices):
        found += [None] * (d - len(found))
        found.append(chosen.indices[d])
        if chosen.indices[d]._layout.dtype in (dt.bool_, dt.uint8):
            found[-1:] = nonzero_columns(chosen.indices[d])
    return found


def nonzero_columns(mask):
    """The index tensors of a mask, one per dimension. Sync point."""
    return list(nonzero(mask, as_tuple=True))


class Known:
    """A view that an index of a certain form makes of a certain layout: its layout, its offset but for the integers in
    the index (`integers`: place in the index, size and stride of the dimension), and how the graph calls it."""

    __slots__ = ("layout", "offset", "integers", "rule", "items")

    def __init__(self, found, index, chosen):
        self.layout = layout(tuple(chosen.shape), tuple(chosen.strides), found.dtype)
        self.rule, self.items = BASIC[chosen.last or "alias"], tuple(chosen.items)
        self.integers, self.offset = [], chosen.offset
        dims = [d for d, item in enumerate(i for i in chosen.items if i is not None) if item.__class__ is int]
        for at, item in enumerate(index):
            if item.__class__ is int:
                size, stride = found.shape[dims[len(self.integers)]], found.strides[dims[len(self.integers)]]
                self.integers.append((at, size, stride))
                self.offset -= (item + size if item < 0 else item) * stride

    def place(self, index):
        """The offset for the integers of this index, or None where one is out of range."""
        offset = self.offset
        for at, size, stride in self.integers:
            i = index[at]
            if i < 0:
                i += size
            if not 0 <= i < size:
                return None
            offset += i * stride
        return offset

    def path(self, index):
        """The normalised items with the integers of this index."""
        given = iter([index[at] + size if index[at] < 0 else index[at] for at, size, _ in self.integers])
        return tuple([next(given) if item.__class__ is int else item for item in self.items])


_KNOWN = {}


def known_view(found, index):
    """The Known of an index tuple of ints, slices, None and Ellipsis; None for any other index and for one that is out
    of range."""
    key = [found]
    for item in index:
        kind = item.__class__
        if kind is int:
            key.append(int)
        elif kind is slice:
            key += (slice, item.start, item.stop, item.step)
        elif item is None or item is Ellipsis:
            key.append(item)
        else:
            return None
    key = tuple(key)
    try:
        known = _KNOWN.get(key)
    except TypeError:
        return None
    if known is None:
        if len(_KNOWN) > 50_000:
            _KNOWN.clear()
        chosen = Selection(found)
        read_items(chosen, found, index)
        known = _KNOWN[key] = Known(found, index, chosen)
    return known


INDEX, INDEX_RULE = fetch_operator("index"), fetch_rule("index")
PUT = write_operator("index_put", repeats=True)


def placement(shape, indices):
    """(Place, index tensors over its domain) of PyTorch's `index(tensor, indices)`."""
    place, trailing = find_place(shape, tuple([i if i is None else i._layout.shape for i in indices]))
    if not trailing:
        return place, [i for i in indices if i is not None]
    return place, [spread(i, trailing) for i in indices if i is not None]


@functools.lru_cache(20_000)
def find_place(shape, given):
    """(Place, number of dimensions of the result after those of the indices) from the shapes of the indices, None where
    there is none."""
    used = [d for d, i in enumerate(given) if i is not None]
    try:
        common = broadcast_shapes(*[given[d] for d in used])
    except RuntimeError:
        shapes = ", ".join(str(list(given[d])) for d in used)
        raise IndexError("shape mismatch: indexing tensors could not be broadcast together with shapes "
                         f"{shapes}") from None
    first = used[0] if used[-1] - used[0] + 1 == len(used) else 0
    before = [d for d in range(len(shape)) if d not in used and d < first]
    after = [d for d in range(len(shape)) if d not in used and d >= first]
    domain = [*[shape[d] for d in before], *common, *[shape[d] for d in after]]
    spec = []
    for d in range(len(shape)):
        if d in used:
            spec.append(("i", used.index(d)))
        else:
            spec.append(("d", before.index(d) if d in before else len(before) + len(common) + after.index(d)))
    return Place(tuple(spec), domain, True), len(after)


def normal_indices(input, indices):
    """Index tensors per dimension: masks expanded. IndexError for wrong dtypes and for too many."""
    found = []
    for index in indices:
        if index is None:
            found.append(None)
            continue
        if not isinstance(index, Tensor):
            index = sequence_tensor(index)
        kind = index._layout.dtype
        if kind is dt.bool_ or kind is dt.uint8:
            for d, n in enumerate(index._layout.shape):
                at = len(found) + d
                if at >= input._layout.ndim:
                    raise IndexError(f"too many indices for tensor of dimension {input._layout.ndim}")
                if input._layout.shape[at] != n:
                    raise IndexError(f"The shape of the mask {list(index._layout.shape)} at index {d} does not match "
                                     f"the shape of the indexed tensor {list(input._layout.shape)} at index {at}")
            found += nonzero_columns(index)
        elif kind in INDEX_DTYPES or kind in (dt.int8, dt.int16):
            found.append(index)
        else:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    if len(found) > input._layout.ndim:
        raise IndexError(f"too many indices for tensor of dimension {input._layout.ndim} (got {len(found)})")
    return found


@functools.lru_cache(20_000)
def rows_place(found, index):
    """(Place, layout of the index over its domain) of one index tensor for the first dimension."""
    place, trailing = find_place(found.shape, (index.shape,))
    return place, layout((*index.shape, *[1] * trailing), (*index.strides, *[0] * trailing), index.dtype)


def index_rows(input, index):
    """`input[index]` for one tensor of integers."""
    place, spread_layout = rows_place(input._layout, index._layout)
    if spread_layout is not index._layout:
        plain = index
        index = raw_view(plain._storage, spread_layout, plain._offset)
        index._versions = plain._versions
    return fetch(INDEX, INDEX_RULE, input, beside(input, [index]), place)


def beside(input, tensors):
    """Index tensors on the device of what they index; those of the CPU may index any tensor."""
    device = input._storage.device
    if device is CPU:
        return tensors
    return [to_device(t, device) if t._storage.device is CPU else t for t in tensors]


def index_(input, indices):
    """The elements at the positions that `indices` give (a sequence of index tensors, masks or None per dimension)."""
    indices = normal_indices(input, indices)
    if all(i is None for i in indices):
        return clone(input)
    place, tensors = placement(input._layout.shape, indices)
    return fetch(INDEX, INDEX_RULE, input, beside(input, tensors), place)


register("Tensor._index", index_)


# -- tensor[...] = value -----------------------------------------------------------------------------------------------


@public("Tensor.__setitem__", out=False, quick=True)
def setitem(self, index, value):
    """`self[index] = value`: copies or fills the part that `index` selects. RuntimeError where the shapes do not
    fit."""
    tensor = isinstance(value, Tensor)
    if not tensor:
        check_assigned(self, value)
        if value.__class__ is int and not LOWEST <= value <= HIGHEST:
            raise ValueError("Overflow when unpacking long long")
        if index.__class__ is Tensor and index._layout.dtype is dt.bool_ and index._layout.shape == self._layout.shape:
            REGISTRY["Tensor.masked_fill_"](self, index, value)
            return
    recorded = MODE.grad and (may_want_grad(self) or tensor and may_want_grad(value))
    if self._versions is None and self._storage.version >= 0 and not recorded:
        if set_quietly(self, index, value):
            return
    chosen = None
    if index is Ellipsis:
        target = self
    else:
        chosen = parse(self, index)
        target = take_view(self, chosen)
    if chosen is None or chosen.indices is None:
        assign(target, value)
        return
    masks = list(chosen.indices.values())
    if len(masks) == 1 and masks[0]._layout.dtype is dt.bool_ and not (tensor and value._layout.ndim):
        at = next(iter(chosen.indices))
        mask = spread(masks[0], target._layout.ndim - at - masks[0]._layout.ndim)
        REGISTRY["Tensor.masked_fill_"](target, mask, same_type(target, value))
        return
    if isinstance(value, Tensor):
        value = strip_ones(value)
    else:
        value = full((), value, dtype=self.dtype, device=self._storage.device)
    REGISTRY["Tensor.index_put_"](target, index_list(chosen, target), value)


def may_want_grad(tensor):
    """Whether a tensor may take part in differentiation (a view may, whatever its flag says)."""
    return tensor._rg or tensor._base is not None


def set_quietly(tensor, index, value):
    """`tensor[index] = value` where the graph need not know and the index is plain; whether that was so."""
    index = index if index.__class__ is tuple else as_tuple(index)
    known = known_view(tensor._layout, index)
    offset = None if known is None else known.place(index)
    if offset is None or known.layout.overlaps_itself:
        return False
    target, offset = known.layout, offset + tensor._offset
    if value.__class__ in (int, float, bool):
        write_number(FILL_FORM, value, tensor._storage, target, offset)
        return True
    if not isinstance(value, Tensor) or value._storage.device is not tensor._storage.device:
        return False
    given = value._layout
    if given.shape != target.shape and (given.ndim > target.ndim or value._storage is tensor._storage):
        value = fitting(value, tensor, target.shape)
    if value._storage is not tensor._storage or value._offset != offset or value._layout is not target:
        write_copy(COPY_FORM, value, tensor._storage, target, offset)
    return True


def same_type(target, value):
    return value.to(target.dtype) if isinstance(value, Tensor) else value


def check_assigned(self, value):
    """TypeError for what cannot be assigned."""
    if value.__class__ in (int, float, bool) or isinstance(value, (int, float)):
        return
    if isinstance(value, complex):
        if not self._layout.dtype.is_complex:
            raise RuntimeError(f"value cannot be converted to type {self.dtype.name} without overflow")
        return
    if hasattr(value, "__index__") and not is_array(value):
        return
    raise TypeError(f"can't assign a {type_name(value)} to a torch.{dt.scalar_type(self._layout.dtype)}Tensor")


def strip_ones(value):
    """Without leading dimensions of size 1."""
    shape = value._layout.shape
    at = 0
    while at < len(shape) and shape[at] == 1:
        at += 1
    return reshape(value, shape[at:]) if at else value


def fitting(value, target, shape):
    """An assigned value seen in the shape it is written to; leading dimensions of size 1 do not count."""
    if value._storage is target._storage and not value._layout.ndim:
        value = value.clone()
    return strip_ones(value).expand(shape)


def assign(target, value):
    """Copy or fill."""
    if not isinstance(value, Tensor):
        check_writable(target)
        REGISTRY["Tensor.fill_"](target, value if value.__class__ in (int, float, bool, complex)
                                 else plain_number(value))
        return
    if value._storage is target._storage and value._layout is target._layout and value._offset == target._offset:
        check_inplace(target, wants_grad(value))
        return  # what `x[i] += y` ends with: the part is already there
    if value._layout.shape != target._layout.shape:
        if not value._layout.ndim and MODE.grad and value.requires_grad:  # as PyTorch: its node is a fill
            REGISTRY["Tensor.fill_"](target, value)
            return
        value = fitting(value, target, target._layout.shape)
    copy_(target, value)


def plain_number(value):
    return float(value) if isinstance(value, float) else as_index(value)


# -- index_put ---------------------------------------------------------------------------------------------------------


def _put_input(g, tensors, place, accumulate):
    return g if accumulate else put_values(g, tensors, 0, place, False)


def _put_values(g, tensors, place):
    return fetch(INDEX, INDEX_RULE, g, tensors, place)


@written("Tensor._put_values Tensor._put_values_", {"input": _put_input, "values": _put_values}, "IndexPutBackward0",
         "index_put", keeps_strides=True)
def put_values(input, tensors, values, place, accumulate):
    """Write (or add) values at a placement."""
    write(PUT, input, beside(input, tensors), values, place, "add" if accumulate else "set")


def prepared_put(input, indices, values):
    """Checked arguments of `put_values`."""
    if not isinstance(values, Tensor):
        raise TypeError(f"index_put_(): argument 'values' must be Tensor, not {type(values).__name__}")
    if values.dtype is not input.dtype:
        raise RuntimeError("Index put requires the source and destination dtypes match, got "
                           f"{dt.scalar_type(input._layout.dtype)} for the destination and "
                           f"{dt.scalar_type(values._layout.dtype)} for the source.")
    found = normal_indices(input, indices)
    if all([i is None for i in found]):
        raise RuntimeError("index_put_(): at least one index tensor is needed")
    place, tensors = placement(input._layout.shape, found)
    shape = values._layout.shape
    lead = len(shape) - len(place.domain)
    if lead > 0 or any(n not in (1, m) for n, m in zip(shape, place.domain[-lead:] if lead else place.domain)):
        raise RuntimeError(f"shape mismatch: value tensor of shape {list(shape)} cannot be broadcast to indexing "
                           f"result of shape {list(place.domain)}")
    return tensors, place


@public("index_put", out=False)
def index_put(input, indices, values, accumulate=False):
    """A copy of `input` with `values` at the positions that the tuple of index tensors gives; `accumulate`: added to
    what is there."""
    tensors, place = prepared_put(input, indices, values)
    return put_values(input, tensors, values, place, bool(accumulate))


@public("index_put_ Tensor.index_put_", out=False)
def index_put_(input, indices, values, accumulate=False):
    """`index_put` in place. IndexError at the flush for positions out of range."""
    tensors, place = prepared_put(input, indices, values)
    return put_values.inplace(input, tensors, values, place, bool(accumulate))
