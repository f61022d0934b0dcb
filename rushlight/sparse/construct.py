"""Making sparse tensors: from indices and values, from dense tensors, and from one layout to another."""
from .. import api as rl
from ..core.tensor import Tensor
from .tensor import COMPRESSED, LAYOUTS, CooTensor, SparseTensor, layout_named  # noqa: F401


class check_sparse_tensor_invariants:
    """Whether constructors check indices: a context, a decorator, or `enable()` and `disable()`. Off by default, where
    each constructor's argument `check_invariants` may switch it on. Sizes and dtypes are always checked."""

    enabled = False

    @staticmethod
    def is_enabled():
        """Whether checks are on."""
        return check_sparse_tensor_invariants.enabled

    @staticmethod
    def enable():
        """Switch checks on."""
        check_sparse_tensor_invariants.enabled = True

    @staticmethod
    def disable():
        """Switch checks off."""
        check_sparse_tensor_invariants.enabled = False

    def __init__(self, enable=True):
        self.state, self.saved = enable, []

    def __enter__(self):
        self.saved.append(self.is_enabled())
        check_sparse_tensor_invariants.enabled = self.state

    def __exit__(self, *error):
        check_sparse_tensor_invariants.enabled = self.saved.pop()

    def __call__(self, function):
        def checked(*args, **kwargs):
            with type(self)(self.state):
                return function(*args, **kwargs)

        return checked


def _values(values, dtype, device, requires_grad):
    """The values of a constructor; a leaf of their own where the sparse tensor is to be one."""
    values = rl.as_tensor(values, dtype=dtype, device=device)
    return values.detach().requires_grad_() if requires_grad else values


def _bounds(indices, size):
    """RuntimeError for indices outside of a size."""
    if indices.numel():
        low, high = indices.min(1)[0].tolist(), indices.max(1)[0].tolist()
        for dim, (least, most, length) in enumerate(zip(low, high, size)):
            if least < 0:
                raise RuntimeError(f"found negative index {least} for dim {dim}")
            if most >= length:
                raise RuntimeError(f"size is inconsistent with indices: for dim {dim}, size is {length} but found "
                                   f"index {most}")


def sparse_coo_tensor(indices=None, values=None, size=None, *, dtype=None, device=None, pin_memory=False,
                      requires_grad=False, check_invariants=None, is_coalesced=None):
    """A sparse tensor in coordinates.

    Args:
        indices: integers (sparse dimensions, nnz).
        values: (nnz, *dense dimensions); values at the same indices count as their sum.
        size: the whole size; by default the smallest that holds the indices.
        is_coalesced: say that indices are sorted and differ.

    Raises:
        RuntimeError: indices and values that do not fit each other, or the size.

    Example::

        >>> import torch
        >>> torch.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)).to_dense()
        tensor([[0., 0., 3.],
                [4., 0., 0.]])
    """
    if values is None:  # sparse_coo_tensor(size)
        size = rl.Size(size if indices is None else indices)
        empty = rl.empty((len(size), 0), dtype=rl.int64)
        return CooTensor._make((empty,), rl.zeros(0, dtype=dtype, requires_grad=requires_grad), size, True)
    indices = rl.as_tensor(indices).detach().to(rl.int64)
    values = _values(values, dtype, device, requires_grad)
    if indices.dim() != 2:
        raise RuntimeError("indices must be sparse_dim x nnz, but got: " + str(list(indices.shape)))
    if values.dim() == 0:
        values = values.expand(indices.shape[1])
    if indices.shape[1] != values.shape[0]:
        raise RuntimeError(f"indices and values must have same nnz, but got nnz from indices: {indices.shape[1]}, nnz "
                           f"from values: {values.shape[0]}")
    if size is None:
        if indices.numel() and (indices < 0).any():
            _bounds(indices, ())
            raise RuntimeError("found negative index")
        sparse = (indices.max(1)[0] + 1).tolist() if indices.shape[1] else [0] * indices.shape[0]
        size = (*sparse, *values.shape[1:])
    size = rl.Size(size)
    if len(size) != indices.shape[0] + values.dim() - 1:
        raise RuntimeError(f"number of dimensions must be sparse_dim ({indices.shape[0]}) + dense_dim "
                           f"({values.dim() - 1}), but got {len(size)}")
    if tuple(size[indices.shape[0]:]) != tuple(values.shape[1:]):
        raise RuntimeError(f"values has incorrect size, expected {[values.shape[0], *size[indices.shape[0]:]]}, got "
                           f"{list(values.shape)}")
    _bounds(indices, size)
    return CooTensor._make((indices,), values, size, bool(is_coalesced))


def sparse_compressed_tensor(compressed_indices, plain_indices, values, size=None, *, dtype=None, layout=None,
                             device=None, pin_memory=False, requires_grad=False, check_invariants=None):
    """A matrix with rows (torch.sparse_csr) or columns (torch.sparse_csc) compressed.

    Args:
        compressed_indices: where each row (or column) starts among the values, and the end.
        plain_indices: the column (or row) of each value.
        values: the values, (nnz).
        size: the size; by default the smallest that holds the indices.

    Raises:
        NotImplementedError: block layouts and batches.
        RuntimeError: parts that do not fit each other.
    """
    kind = COMPRESSED.get(getattr(layout, "name", None))
    if kind is None:
        raise NotImplementedError(f"sparse_compressed_tensor: layout {layout} is not supported in rushlight")
    starts, others = (rl.as_tensor(index).detach() for index in (compressed_indices, plain_indices))
    values = _values(values, dtype, device, requires_grad)
    first, second = (name[1:] for name in kind._fields)
    if starts.dim() != 1 or values.dim() != 1:
        raise NotImplementedError("sparse_compressed_tensor: batches and blocks are not supported in rushlight")
    if others.shape[0] != values.shape[0]:
        raise RuntimeError(f"number of elements in {second} ({others.shape[0]}) and values ({values.shape[0]}) must be "
                           "equal")
    if size is None:
        plain = int(others.max()) + 1 if others.numel() else 0
        size = (starts.shape[0] - 1, plain) if kind is COMPRESSED["sparse_csr"] else (plain, starts.shape[0] - 1)
    size = rl.Size(size)
    compressed, plain = size if kind is COMPRESSED["sparse_csr"] else size[::-1]
    if starts.shape[0] != compressed + 1:
        raise RuntimeError(f"{first}.shape[-1] must be equal to the number of "
                           f"{'rows' if first == 'crow_indices' else 'columns'} + 1 ({compressed + 1}), but got "
                           f"{starts.shape[0]}")
    edges = starts.tolist()
    if edges[0] != 0 or edges[-1] != values.shape[0] or any(a > b for a, b in zip(edges, edges[1:])):
        raise RuntimeError(f"{first} must grow from 0 to nnz ({values.shape[0]}), but got {edges}")
    if others.numel() and not (0 <= int(others.min()) and int(others.max()) < plain):
        raise RuntimeError(f"all values in {second} must be in [0, {plain})")
    return kind._make((starts, others), values, size)


def _compressed(layout):
    def construct(compressed_indices, plain_indices, values, size=None, *, dtype=None, device=None, pin_memory=False,
                  requires_grad=False, check_invariants=None):
        return sparse_compressed_tensor(compressed_indices, plain_indices, values, size, dtype=dtype,
                                        layout=LAYOUTS[layout], device=device, requires_grad=requires_grad)

    construct.__name__ = construct.__qualname__ = f"{layout}_tensor"
    construct.__doc__ = f"`sparse_compressed_tensor` of the layout torch.{layout}."
    return construct


sparse_csr_tensor, sparse_csc_tensor = _compressed("sparse_csr"), _compressed("sparse_csc")
sparse_bsr_tensor, sparse_bsc_tensor = _compressed("sparse_bsr"), _compressed("sparse_bsc")


# -- from one to another -------------------------------------------------------------------------------------


def places(coo):
    """The position of each stored element in the sparse dimensions, counted row by row."""
    position = rl.zeros(coo._nnz(), dtype=rl.int64)
    for dim in range(coo.sparse_dim()):
        position = position * coo.shape[dim] + coo._idx[dim]
    return position


def coalesce(self):
    """The same tensor with sorted indices, each of them once; values of equal indices are added."""
    if self._coal:
        return self
    unique, inverse = rl.unique(places(self), sorted=True, return_inverse=True)
    values = rl.zeros((unique.shape[0], *self._val.shape[1:]), dtype=self.dtype).index_add(0, inverse, self._val)
    indices, rest = [], unique
    for length in reversed(self.shape[:self.sparse_dim()]):
        indices.append(rest % max(length, 1))
        rest = rest // max(length, 1)
    stacked = rl.stack(indices[::-1]) if indices else self._idx[:, :unique.shape[0]]
    return CooTensor._make((stacked,), values, self.shape, True)


def to_coo(tensor):
    """Any tensor in coordinates."""
    if isinstance(tensor, CooTensor):
        return tensor
    if not isinstance(tensor, SparseTensor):
        return to_sparse(tensor)
    starts, others = (getattr(tensor, name) for name in tensor._fields)
    counts = (starts[1:] - starts[:-1]).long()
    lines = rl.repeat_interleave(rl.arange(counts.shape[0]), counts)
    rows = tensor._kind == "sparse_csr"
    indices = rl.stack([lines, others.long()] if rows else [others.long(), lines])
    return CooTensor._make((indices,), tensor._val, tensor.shape, rows)


def to_dense(self, dtype=None, *, masked_grad=None):
    """The dense tensor."""
    if not isinstance(self, SparseTensor):
        return self if dtype is None else self.to(dtype)
    coo = to_coo(self)
    if coo.dtype is rl.bool:
        dense = rl.zeros(coo.shape, dtype=rl.uint8).index_put(tuple(coo._idx), coo._val.to(rl.uint8)).bool()
    elif not coo.sparse_dim():
        dense = coo._val.sum(0)
    else:
        dense = rl.zeros(coo.shape, dtype=coo.dtype).index_put(tuple(coo._idx), coo._val, accumulate=True)
    return dense if dtype is None else dense.to(dtype)


def _compress(coo, kind):
    if coo.dim() != 2 or coo.sparse_dim() != 2:
        raise NotImplementedError(f"to_{kind}: only matrices without dense dimensions are supported in rushlight")
    coo = coalesce(coo)
    lines, others, values, count = coo._idx[0], coo._idx[1], coo._val, coo.shape[0]
    if kind == "sparse_csc":
        order = rl.argsort(others * max(coo.shape[0], 1) + lines)
        lines, others, values, count = others[order], lines[order], values[order], coo.shape[1]
    starts = rl.zeros(count + 1, dtype=rl.int64)
    starts[1:] = rl.bincount(lines, minlength=count).cumsum(0)
    return COMPRESSED[kind]._make((starts, others), values, coo.shape)


def to_sparse(self, sparse_dim=None, *, layout=None, blocksize=None, dense_dim=None):
    """The tensor in a sparse layout: coordinates by default.

    Args:
        sparse_dim: how many of the first dimensions have indices; by default all.
        layout: torch.sparse_coo, torch.sparse_csr or torch.sparse_csc.
    """
    if layout is not None and layout is not LAYOUTS["sparse_coo"]:
        if getattr(layout, "name", None) not in COMPRESSED:
            raise NotImplementedError(f"to_sparse: layout {layout} is not supported in rushlight")
        return self if getattr(self, "_kind", None) == layout.name else _compress(to_coo(self), layout.name)
    if isinstance(self, SparseTensor):
        return to_coo(self)
    dims = self.dim() if sparse_dim is None else sparse_dim
    if not 0 <= dims <= self.dim() or (dims == 0 and self.dim()):
        raise IndexError(f"Dimension out of range (expected to be in range of [1, {self.dim()}], but got {dims})")
    used = self.detach() != 0
    for _ in range(self.dim() - dims):
        used = used.any(-1)
    indices = used.nonzero().t()
    values = self[tuple(indices)] if dims else self.reshape(1)[used.reshape(1)]
    return CooTensor._make((indices,), values, self.shape, True)


def to_sparse_csr(self, dense_dim=None):
    """`to_sparse(layout=torch.sparse_csr)`."""
    return to_sparse(self, layout=LAYOUTS["sparse_csr"])


def to_sparse_csc(self, dense_dim=None):
    """`to_sparse(layout=torch.sparse_csc)`."""
    return to_sparse(self, layout=LAYOUTS["sparse_csc"])


def to_sparse_coo(self):
    """`to_sparse()`."""
    return to_sparse(self)


def back(tensor, like):
    """Coordinates in the layout of another sparse tensor."""
    return tensor if isinstance(like, CooTensor) or not isinstance(like, Tensor) else _compress(tensor, like._kind)


def sparse_mask(self, mask):
    """The elements of a dense or sparse tensor at the indices of a sparse one."""
    coo = to_coo(mask)
    dense = to_dense(self)
    return back(coo._with(dense[tuple(coo._idx)]), mask)
