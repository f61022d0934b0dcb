"""The classes of sparse tensors: what they hold, and what they answer without computing.

A sparse tensor is a Tensor without memory of its own: it holds dense tensors of indices and of values, and operators
compute on these. So gradients are those of the values: `requires_grad`, `grad_fn` and `grad` are passed on.

Note [Operators of sparse tensors] `x.add(y)` finds the methods of these classes, which operators.py binds.
`torch.add(x, y)` and methods of dense operands come through `__torch_function__`, which looks the public function up in
`TABLE`. An operator that is in neither raises NotImplementedError with its name; one that would reach the memory meets
a failed storage and raises it as well. Read operators.py next.
"""
from .. import api as rl
from ..tensor.conversion import Layout
from ..core import block, dispatch
from ..core.layout import contiguous_layout
from ..core.storage import fail, storage_on
from ..core.tensor import Tensor, make
from ..tensor.printing import suffixes_of, values_text

TABLE = {}  # public function -> what it does with sparse arguments
PLAIN = set()  # public functions that read what every tensor has: shape, dtype, device


class SparseLayout(Layout):
    """The kind of a sparse tensor's memory."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return layout_named, (self.name,)


LAYOUTS = {name: SparseLayout(name) for name in ("sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc")}


def layout_named(name):
    """The layout of a name."""
    return LAYOUTS[name.removeprefix("torch.")]


class SparseTensor(Tensor):
    """What all sparse tensors share. `_val` are the values, a dense tensor; the subclasses hold the indices."""

    _is_strided = False
    _fields = ()  # names of the dense tensors of indices

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        function = TABLE.get(func)
        if function is not None:
            return function(*args, **(kwargs or {}))
        if func in PLAIN:
            with dispatch.DisableSubclasses():
                return func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", str(func))
        raise NotImplementedError(f"{name}: sparse tensors are not supported by this operator in rushlight")

    @property
    def requires_grad(self):
        """Whether operators on the values record gradients."""
        return self._val.requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        self._val.requires_grad = value

    def requires_grad_(self, requires_grad=True):
        """Set `requires_grad` and return the tensor."""
        self._val.requires_grad = requires_grad
        return self

    @property
    def grad_fn(self):
        """The node that made the values."""
        return self._val.grad_fn

    @property
    def is_leaf(self):
        """Whether no operator made the values."""
        return self._val.is_leaf

    @property
    def grad(self):
        """The gradient of the values, as a sparse tensor of the same indices."""
        gradient = self._val.grad
        return None if gradient is None else self._with(gradient)

    @grad.setter
    def grad(self, value):
        self._val.grad = None if value is None else value._val

    @property
    def layout(self):
        """The kind of memory."""
        return LAYOUTS[self._kind]

    is_cuda = is_meta = is_nested = is_quantized = False

    def _nnz(self):
        """The number of stored elements."""
        return self._val.shape[0]

    def _values(self):
        """The values as they are stored."""
        return self._val.detach()

    def dense_dim(self):
        """The dimensions of a stored element."""
        return self._val.dim() - 1

    def _with(self, values):
        """The same indices with other values."""
        return type(self)._make(tuple(getattr(self, name) for name in self._fields), values, self._resized(values))

    def _resized(self, values):
        """The size for other values, which may differ in their own dimensions."""
        kept = self.dim() - self.dense_dim()
        return (*self.shape[:kept], *values.shape[1:])

    def stride(self, dim=None):
        """RuntimeError: there are no strides."""
        raise RuntimeError("Sparse tensors do not have strides" if self._kind == "sparse_coo"
                           else f"Sparse{self._kind[7:].upper()} tensors do not have strides")

    def is_contiguous(self, memory_format=None):
        """RuntimeError: there is no memory of a single piece."""
        raise RuntimeError("Tensors of type SparseTensorImpl do not have is_contiguous")

    def numpy(self, *, force=False):
        """TypeError: an array is dense."""
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")

    def storage_offset(self):
        """RuntimeError: there is no memory of a single piece."""
        raise RuntimeError("sparse tensors do not have storage_offset")

    data_ptr = untyped_storage = storage = storage_offset

    def __repr__(self, *, tensor_contents=None):
        parts = [(name[1:] if name != "_idx" else "indices", getattr(self, name)) for name in self._fields]
        parts.append(("values", self._val.detach()))
        lines = []
        for name, tensor in parts:
            lead = f"{name}=tensor("
            text = values_text(tensor, 7 + len(lead)) if tensor.numel() else "[]"
            size = "" if tensor.numel() else f", size={tuple(tensor.shape)}"
            lines.append(f"{lead}{text}{size})")
        text = "tensor(" + (",\n" + " " * 7).join(lines)
        suffixes = [f"size={tuple(self.shape)}", f"nnz={self._nnz()}"]
        history = suffixes_of(self._val) if self._val.numel() else []
        usual = (rl.get_default_dtype(), rl.int64, rl.bool)
        if self.dtype not in usual:
            suffixes.append(f"dtype={self.dtype!r}")
        suffixes.append(f"layout={self.layout!r}")
        suffixes += [part for part in history if part.startswith(("grad_fn", "requires_grad"))]
        return joined(text, suffixes, newline=self._kind == "sparse_coo") + ")"

    def __deepcopy__(self, memo):
        if not self.is_leaf:
            raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                               "protocol at the moment")
        return memo.setdefault(id(self), self.detach().clone().requires_grad_(self.requires_grad))

    __str__ = __repr__
    __hash__ = Tensor.__hash__

    def __len__(self):
        return self.shape[0]

    def __format__(self, spec):
        return object.__format__(self, spec)

    def __bool__(self):
        return bool(self.to_dense())

    def item(self):
        """The value of a tensor of one element."""
        return self.to_dense().item()


def joined(text, suffixes, newline, width=80):
    """A text with suffixes behind it, broken at the line's width as PyTorch breaks it."""
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if newline or length + len(suffix) + 2 > width:
            text += ",\n" + " " * 7 + suffix
            length, newline = 7 + len(suffix), False
        else:
            text += ", " + suffix
            length += len(suffix) + 2
    return text


def without_memory(cls, values, size):
    """A tensor of a sparse class with a size and a dtype, whose storage cannot be used."""
    storage = storage_on(0, values.device)
    error = NotImplementedError("a sparse tensor has no dense memory; this operator does not know sparse tensors")
    fail(storage, block.Failure(error, None))
    tensor = make(cls, storage, contiguous_layout(tuple(int(n) for n in size), values.dtype), 0)
    tensor._val = values
    return tensor


class CooTensor(SparseTensor):
    """Coordinates: `_idx` (sparse dimensions, nnz), `_val` (nnz, *dense dimensions); `_coal`: sorted, all different."""

    _kind = "sparse_coo"
    _fields = ("_idx",)
    is_sparse = True
    is_sparse_csr = False

    @classmethod
    def _make(cls, indices, values, size, coalesced=False):
        tensor = without_memory(cls, values, size)
        tensor._idx, tensor._coal = indices[0], coalesced
        return tensor

    def _with(self, values):
        return CooTensor._make((self._idx,), values, self._resized(values), self._coal)

    def sparse_dim(self):
        """The dimensions that have indices."""
        return self._idx.shape[0]

    def is_coalesced(self):
        """Whether indices are sorted and differ."""
        return self._coal

    def _coalesced_(self, coalesced):
        """Say whether indices are sorted and differ."""
        self._coal = coalesced
        return self

    def _indices(self):
        """The indices as they are stored."""
        return self._idx

    def _need_coalesced(self, name):
        if not self._coal:
            raise RuntimeError(f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first")

    def indices(self):
        """The indices (sparse dimensions, nnz). RuntimeError for an uncoalesced tensor."""
        self._need_coalesced("indices")
        return self._idx

    def values(self):
        """The values (nnz, *dense dimensions), with their history. RuntimeError for an uncoalesced tensor."""
        self._need_coalesced("values")
        return self._val

    def __reduce_ex__(self, protocol):
        return rebuild_sparse, (self.layout, (self._idx, self._val.detach(), self.shape, self._coal))


class CompressedTensor(SparseTensor):
    """Matrices with one dimension compressed: `_starts` of rows (csr) or columns (csc), the indices of the other."""

    is_sparse = False

    @classmethod
    def _make(cls, indices, values, size):
        tensor = without_memory(cls, values, size)
        for name, index in zip(cls._fields, indices):
            setattr(tensor, name, index)
        return tensor

    def values(self):
        """The values, in the order of the compressed dimension."""
        return self._val

    def sparse_dim(self):
        """2."""
        return 2

    def __reduce_ex__(self, protocol):
        first, second = (getattr(self, name) for name in self._fields)
        return rebuild_sparse, (self.layout, (first, second, self._val.detach(), self.shape))


class CsrTensor(CompressedTensor):
    """Rows one after the other."""

    _kind = "sparse_csr"
    _fields = ("_crow_indices", "_col_indices")
    is_sparse_csr = True

    def crow_indices(self):
        """Where each row starts among the values, and the end."""
        return self._crow_indices

    def col_indices(self):
        """The column of each value."""
        return self._col_indices


class CscTensor(CompressedTensor):
    """Columns one after the other."""

    _kind = "sparse_csc"
    _fields = ("_ccol_indices", "_row_indices")
    is_sparse_csr = False

    def ccol_indices(self):
        """Where each column starts among the values, and the end."""
        return self._ccol_indices

    def row_indices(self):
        """The row of each value."""
        return self._row_indices


COMPRESSED = {"sparse_csr": CsrTensor, "sparse_csc": CscTensor}


def rebuild_sparse(layout, data):
    """What files say of a sparse tensor: its layout, and the parts of it."""
    if layout is LAYOUTS["sparse_coo"]:
        indices, values, size, *coalesced = data
        return CooTensor._make((indices,), values, size, bool(coalesced and coalesced[0]))
    if layout.name not in COMPRESSED:
        raise NotImplementedError(f"rebuilding a sparse tensor: layout {layout} is not supported in rushlight")
    *indices, values, size = data
    return COMPRESSED[layout.name]._make(indices, values, size)
