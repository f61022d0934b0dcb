"""Layouts: the shape, strides and dtype of a tensor, interned so that equal layouts are one object.

The recorder compares layouts by identity; everything that can be derived from a layout (number of elements,
contiguity) is derived once.
Read `storage` next.
"""

import functools
import operator

from .dtype import DType
from .room import check_extent


class Size(tuple):
    """A tensor's shape: a tuple of ints with `numel()`."""

    __slots__ = ()

    def __new__(cls, iterable=()):
        return tuple.__new__(cls, [operator.index(n) for n in iterable])

    def numel(self):
        count = 1
        for n in self:
            count *= n
        return count

    def __repr__(self):
        return f"torch.Size({list(self)})"

    __str__ = __repr__

    def __getitem__(self, key):
        found = tuple.__getitem__(self, key)
        return Size(found) if isinstance(key, slice) else found

    def __add__(self, value):
        return Size(tuple.__add__(self, tuple(value)))

    def __radd__(self, value):
        return Size(tuple(value) + tuple(self))

    def __mul__(self, value):
        return Size(tuple.__mul__(self, value))

    __rmul__ = __mul__

    def __reduce__(self):
        return (Size, (tuple(self),))


def contiguous_strides(shape):
    """Row-major strides: PyTorch counts a size of 0 as 1."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n if n > 1 else 1
    return tuple(reversed(strides))


def channels_last_strides(shape):
    """Strides of memory_format channels_last (4-d) or channels_last_3d (5-d)."""
    order = [0, *range(2, len(shape)), 1]
    strides, step = [0] * len(shape), 1
    for d in reversed(order):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def strides_of_format(name, shape):
    """Strides that the name of a memory format asks of a shape, row-major for all but channels_last. RuntimeError for
    a shape of another rank."""
    if not name.startswith("channels_last"):
        return contiguous_strides(shape)
    rank = 5 if name == "channels_last_3d" else 4
    if len(shape) != rank:
        raise RuntimeError(f"required rank {rank} tensor to use {name} format")
    return channels_last_strides(shape)


def seems_channels_last(found):
    """Whether PyTorch takes a layout for channels_last: the channels are innermost in the order of strides, be there
    gaps or not."""
    if found.ndim not in (4, 5) or not found.strides[1]:
        return False
    least = 0
    for d in (1, *range(found.ndim - 1, 1, -1), 0):
        n, stride = found.shape[d], found.strides[d]
        if not n or stride < least or d == 0 and least == found.strides[1]:
            return False
        least = stride * n if n > 1 else stride
    return True


def dense_strides_like(shape, strides):
    """Strides of a new tensor that keeps the order of dimensions of a given one (PyTorch's preserve_format)."""
    if is_dense(shape, strides):
        return tuple(strides)
    return permuted_strides(shape, stride_order(shape, [strides]))


def permuted_strides(shape, order):
    """Dense strides with `order` the dimensions from innermost to outermost."""
    result, step = [0] * len(shape), 1
    for d in order:
        result[d] = step
        step *= shape[d] if shape[d] > 1 else 1
    return tuple(result)


def stride_order(shape, operands, reduces=False):
    """Dimensions from innermost to outermost, as PyTorch's TensorIterator orders them by the operands' strides;
    `reduces`: the first operand is the result of a reduction, and the dimensions in which it has stride 0 come first.
    """
    order = list(range(len(shape)))[::-1]

    def ambiguous_or_larger(d0, d1):
        if reduces and (operands[0][d0] == 0) != (operands[0][d1] == 0):
            return 1 if operands[0][d1] == 0 else -1
        for strides in operands:
            s0, s1 = strides[d0], strides[d1]
            if s0 == 0 or s1 == 0:
                continue
            if s0 < s1:
                return -1
            if s0 > s1:
                return 1
            if shape[d0] > shape[d1]:
                return 1
        return 0

    for i in range(1, len(order)):
        at = i
        for j in range(i - 1, -1, -1):
            found = ambiguous_or_larger(order[j], order[at])
            if found > 0:
                order[j], order[at] = order[at], order[j]
                at = j
            elif found < 0:
                break
    return order


def coalesce(dims):
    """Neighbouring dimensions that every operand walks as one, merged; those of size 1 go. `dims`: (size, strides of
    the operands), outermost first."""
    merged = []
    for n, strides in dims:
        if n == 1:
            continue
        if merged and all(outer == n * inner for outer, inner in zip(merged[-1][1], strides)):
            merged[-1] = (merged[-1][0] * n, strides)
        else:
            merged.append((n, strides))
    return merged


def is_contiguous(shape, strides):
    if 0 in shape:
        return True
    expected = 1
    for n, s in zip(reversed(shape), reversed(strides)):
        if n != 1:
            if s != expected:
                return False
            expected *= n
    return True


def is_dense(shape, strides):
    """Non-overlapping and dense: some permutation of the dimensions is contiguous."""
    dims = sorted((s, n) for n, s in zip(shape, strides) if n != 1)
    if 0 in shape:
        return True
    expected = 1
    for s, n in dims:
        if s != expected:
            return False
        expected *= n
    return True


class Layout:
    """Shape, strides and dtype of a view. Make one with `layout(...)`, which interns."""

    __slots__ = ("shape", "size", "strides", "dtype", "numel", "ndim", "contiguous", "dense", "reach", "nbytes",
                 "alone", "__weakref__")

    def __init__(self, shape, strides, dtype):
        self.shape, self.strides, self.dtype = shape, strides, dtype
        self.size = Size(shape)  # what users see; the plain tuple is faster to look into
        self.ndim = len(shape)
        self.numel = self.size.numel()
        self.contiguous = is_contiguous(shape, strides)
        self.dense = self.contiguous or is_dense(shape, strides)
        # elements from the first to the last that the view touches
        self.reach = 1 + sum((n - 1) * s for n, s in zip(shape, strides)) if self.numel else 0
        self.nbytes = self.reach * dtype.itemsize
        self.alone = (self,)  # what nodes with one result keep
        check_extent(self)

    def __repr__(self):
        return f"Layout({self.shape}, {self.strides}, {self.dtype.name})"

    @property
    def overlaps_itself(self):
        """Some element is surely reachable by two indices (PyTorch's MemOverlap::Yes)."""
        return not self.dense and any(s == 0 and n > 1 for n, s in zip(self.shape, self.strides))


_LAYOUTS = {}


def layout(shape, strides, dtype):
    """The one Layout of this shape (tuple of ints), strides (tuple) and dtype."""
    key = (shape, strides, dtype)
    found = _LAYOUTS.get(key)
    if found is None:
        shape, strides = tuple(map(int, shape)), tuple(map(int, strides))
        if not isinstance(dtype, DType):
            raise TypeError(f"argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
        if len(_LAYOUTS) > 200_000:
            _LAYOUTS.clear()
        found = _LAYOUTS[shape, strides, dtype] = Layout(shape, strides, dtype)
    return found


def contiguous_layout(shape, dtype):
    """The Layout of a row-major tensor."""
    return _contiguous(tuple(shape), dtype)


@functools.lru_cache(50_000)
def _contiguous(shape, dtype):
    return layout(shape, contiguous_strides(shape), dtype)


def broadcast_shapes(*shapes):
    """The common shape; RuntimeError with PyTorch's text if there is none."""
    rank = max(map(len, shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        shift = rank - len(shape)
        for d, n in enumerate(shape):
            if n != 1 and n != result[d + shift]:
                if result[d + shift] != 1:
                    raise RuntimeError(f"The size of tensor a ({result[d + shift]}) must match the size of tensor b "
                                       f"({n}) at non-singleton dimension {d + shift}")
                result[d + shift] = n
    return tuple(result)


def broadcast_strides(shape, strides, target):
    """Strides of a view of `shape` seen as `target` (0 in the dimensions that are repeated)."""
    shift = len(target) - len(shape)
    return (0,) * shift + tuple(0 if n == 1 and m != 1 else s for n, s, m in zip(shape, strides, target[shift:]))


def view_strides(shape, strides, target):
    """Strides of `target` over the same memory, or None where a copy is needed (the rule of Tensor.view)."""
    if not shape:
        return (1,) * len(target)
    if 0 in shape:
        return strides if tuple(shape) == tuple(target) else contiguous_strides(target)
    result = [0] * len(target)
    view_d, base, count, view_count = len(target) - 1, strides[-1], 1, 1
    for d in range(len(shape) - 1, -1, -1):
        count *= shape[d]
        if d == 0 or (shape[d - 1] != 1 and strides[d - 1] != count * base):
            while view_d >= 0 and (view_count < count or target[view_d] == 1):
                result[view_d] = view_count * base
                view_count *= target[view_d]
                view_d -= 1
            if view_count != count:
                return None
            if d > 0:
                base = strides[d - 1]
                count = view_count = 1
    return tuple(result) if view_d == -1 else None
