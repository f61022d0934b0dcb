"""What operators do with sparse tensors: each is written once, on indices and values, and entered under its names.

`operator("add Tensor.add Tensor.__add__")` enters a function for `torch.add` and for the method, for sparse operands on
any side (Note [Operators of sparse tensors] in tensor.py).
"""
from .. import api as rl
from ..core import dispatch
from ..core.tensor import Tensor
from .construct import (
    back, coalesce, places, sparse_mask, to_coo, to_dense, to_sparse, to_sparse_coo, to_sparse_csc, to_sparse_csr,
)
from .tensor import COMPRESSED, PLAIN, TABLE, CooTensor, SparseTensor


def operator(names):
    """Enter a function under public names; names of methods also become methods of sparse tensors."""
    def enter(function):
        for name in names.split():
            entry = dispatch.ENTRIES.get(name)
            if entry is not None:
                TABLE[entry.function] = TABLE[entry.copy] = function
            if name.startswith("Tensor."):
                setattr(SparseTensor, name.removeprefix("Tensor."), function)
        return function
    return enter


def sparse(value):
    """Whether a value is a sparse tensor."""
    return isinstance(value, SparseTensor)


def _number(value):
    """Whether a value is a number, or a dense tensor of one."""
    return not isinstance(value, Tensor) or (not sparse(value) and value.dim() == 0)


# -- addition ------------------------------------------------------------------------------------------------


@operator("add Tensor.add Tensor.__add__ Tensor.__radd__")
def add(input, other, *, alpha=1, out=None):
    """Sparse and sparse of one size is sparse; dense and sparse is dense."""
    if _number(input) or _number(other):
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    if not sparse(other):
        return add(other if alpha == 1 else other * alpha, input)
    if not sparse(input):
        coo = to_coo(other)
        return input.index_put(tuple(coo._idx), coo._val * alpha, accumulate=True)
    if input.shape != other.shape:
        raise RuntimeError(f"add: expected 'self' and 'other' to have same sizes, but self.sizes() == "
                           f"{list(input.shape)} and other.sizes() == {list(other.shape)}")
    a, b = to_coo(input), to_coo(other)
    values = [a._val, b._val * alpha if alpha != 1 else b._val]
    if a._idx is b._idx:
        return back(a._with(values[0] + values[1]), input)
    dtype = rl.promote_types(a.dtype, b.dtype)
    found = CooTensor._make((rl.cat([a._idx, b._idx], 1),), rl.cat([v.to(dtype) for v in values]), a.shape)
    return back(coalesce(found) if (a._coal and b._coal) or not isinstance(input, CooTensor) else found, input)


@operator("sub subtract Tensor.sub Tensor.subtract Tensor.__sub__")
def sub(input, other, *, alpha=1):
    """input - alpha * other."""
    return add(input, other, alpha=-alpha)


@operator("Tensor.__rsub__")
def rsub(input, other):
    """other - input."""
    return sub(other, input)


@operator("Tensor.add_ Tensor.__iadd__")
def add_(self, other, *, alpha=1):
    """Add to a dense or sparse tensor in place."""
    if not sparse(self):
        coo = to_coo(other)
        if self.shape != coo.shape:
            raise RuntimeError(f"add_: expected both tensors to have the same size, got {list(self.shape)} and "
                               f"{list(coo.shape)}")
        return self.index_put_(tuple(coo._idx), coo._val * alpha if alpha != 1 else coo._val, accumulate=True)
    return _replace(self, add(self, other, alpha=alpha))


@operator("Tensor.sub_ Tensor.__isub__")
def sub_(self, other, *, alpha=1):
    """Subtract from a dense or sparse tensor in place."""
    return add_(self, other, alpha=-alpha)


def _replace(target, source):
    """Give a sparse tensor the parts of another one."""
    if source.dtype is not target.dtype or source.shape != target.shape:
        raise RuntimeError(f"result of size {list(source.shape)} and type {source.dtype} can't be written into a "
                           f"sparse tensor of size {list(target.shape)} and type {target.dtype}")
    for name in (*target._fields, "_val", "_coal"):
        if hasattr(source, name):
            setattr(target, name, getattr(source, name))
    return target


# -- products ------------------------------------------------------------------------------------------------


@operator("mul multiply Tensor.mul Tensor.multiply Tensor.__mul__ Tensor.__rmul__")
def mul(input, other):
    """Element by element: by a number, a dense tensor, or another sparse one. The result is sparse."""
    if not sparse(input):
        return mul(other, input)
    if _number(other):
        return input._with(input._val * other)
    if not sparse(other):
        coo = to_coo(input)
        wide = other.expand(coo.shape)
        return back(coo._with(coo._val * wide[tuple(coo._idx)]), input)
    a, b = coalesce(to_coo(input)), coalesce(to_coo(other))
    if a.shape != b.shape:
        raise RuntimeError(f"mul: expected both sparse tensors to have the same size, got {list(a.shape)} and "
                           f"{list(b.shape)}")
    here, there = places(a), places(b)
    at = rl.searchsorted(there, here).clamp(max=max(b._nnz() - 1, 0))
    both = there[at] == here if b._nnz() else rl.zeros(a._nnz(), dtype=rl.bool)
    values = a._val[both] * b._val[at[both]]
    return back(CooTensor._make((a._idx[:, both],), values, a.shape, True), input)


@operator("div divide true_divide Tensor.div Tensor.divide Tensor.true_divide Tensor.__truediv__")
def div(input, other, *, rounding_mode=None):
    """A sparse tensor by a number."""
    if not sparse(input) or not _number(other):
        raise RuntimeError("Sparse division requires a scalar or zero-dim dense tensor divisor (got shape "
                           f"{list(other.shape)} for divisor)")
    return input._with(rl.div(input._val, other, rounding_mode=rounding_mode))


def _in_place(function):
    return lambda self, *args, **kwargs: _replace(self, function(self, *args, **kwargs))


operator("Tensor.mul_ Tensor.__imul__")(_in_place(mul))
operator("Tensor.div_ Tensor.__itruediv__")(_in_place(div))


def _check_matrices(a, b):
    if a.dim() != 2 or b.dim() != 2:
        raise RuntimeError(f"mm: expected two matrices, got {a.dim()}-D and {b.dim()}-D tensors")
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and "
                           f"{b.shape[0]}x{b.shape[1]})")


def _times_dense(a, dense):
    """A sparse matrix times a dense one: rows of the second are weighed and added."""
    rows, columns = a._idx
    terms = a._val.unsqueeze(-1) * dense[columns]
    return rl.zeros((a.shape[0], dense.shape[1]), dtype=terms.dtype).index_add(0, rows, terms)


def _times_sparse(a, b):
    """The product of two sparse matrices: every element of the first meets the row of the second that it selects."""
    a, b = coalesce(a), coalesce(b)
    counts = rl.bincount(b._idx[0], minlength=b.shape[0])
    starts = counts.cumsum(0) - counts
    each = counts[a._idx[1]]
    owner = rl.repeat_interleave(rl.arange(a._nnz()), each)
    first = (each.cumsum(0) - each)[owner]
    partner = starts[a._idx[1][owner]] + rl.arange(owner.shape[0]) - first
    indices = rl.stack([a._idx[0][owner], b._idx[1][partner]])
    found = CooTensor._make((indices,), a._val[owner] * b._val[partner], (a.shape[0], b.shape[1]))
    return coalesce(found)


@operator("mm Tensor.mm smm Tensor.smm sparse.mm")
def mm(input, mat2, *, out=None):
    """The product of two matrices, of which one or both are sparse: sparse only if both are."""
    _check_matrices(input, mat2)
    if not sparse(mat2):
        return _times_dense(to_coo(input), mat2)
    if not sparse(input):
        return _times_dense(to_coo(transpose(mat2, 0, 1)), input.t()).t()
    return back(_times_sparse(to_coo(input), to_coo(mat2)), input)


@operator("bmm Tensor.bmm")
def bmm(input, mat2, *, out=None):
    """Sparse matrices (B, M, K) times dense ones (B, K, N)."""
    if not sparse(input) or sparse(mat2):
        raise NotImplementedError("bmm: only a sparse first and a dense second operand are supported in rushlight")
    coo = to_coo(input)
    if coo.dim() != 3 or mat2.dim() != 3 or coo.shape[0] != mat2.shape[0] or coo.shape[2] != mat2.shape[1]:
        raise RuntimeError(f"bmm: sizes {list(input.shape)} and {list(mat2.shape)} do not fit")
    batch, rows, columns = coo._idx
    terms = coo._val.unsqueeze(-1) * mat2[batch, columns]
    found = rl.zeros((coo.shape[0] * coo.shape[1], mat2.shape[2]), dtype=terms.dtype)
    return found.index_add(0, batch * coo.shape[1] + rows, terms).view(coo.shape[0], coo.shape[1], mat2.shape[2])


@operator("mv Tensor.mv")
def mv(input, vec, *, out=None):
    """A sparse matrix times a vector."""
    return mm(input, vec.unsqueeze(1)).squeeze(1)


@operator("matmul Tensor.matmul Tensor.__matmul__")
def matmul(input, other, *, out=None):
    """The product of matrices, or of a matrix and a vector."""
    if other.dim() == 1 and not sparse(other):
        return mv(input, other)
    if input.dim() == 1 and not sparse(input):
        return mm(input.unsqueeze(0), other).squeeze(0)
    return bmm(input, other) if input.dim() == 3 else mm(input, other)


@operator("Tensor.__rmatmul__")
def rmatmul(input, other):
    """other @ input."""
    return matmul(other, input)


@operator("addmm Tensor.addmm sspaddmm")
def addmm(input, mat1, mat2, *, beta=1, alpha=1, out=None):
    """beta * input + alpha * (mat1 @ mat2)."""
    return (input * beta if beta != 1 else input) + mm(mat1, mat2) * alpha


# -- reductions ----------------------------------------------------------------------------------------------


@operator("sum Tensor.sum")
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum of all elements, or over dimensions: sparse as long as a dimension with indices is left."""
    coo = to_coo(input)
    values = coo._val if dtype is None else coo._val.to(dtype)
    if dim is None or dim == ():
        return values.sum()
    dims = sorted({d % coo.dim() for d in ((dim,) if isinstance(dim, int) else dim)})
    if keepdim:
        raise NotImplementedError("sum: keepdim is not supported for sparse tensors in rushlight")
    count = coo.sparse_dim()
    inner = [d - count + 1 for d in dims if d >= count]
    if inner:
        values = values.sum(inner)
    kept = [d for d in range(count) if d not in dims]
    if not kept:
        return values.sum(0)
    size = [coo.shape[d] for d in kept] + list(values.shape[1:])
    found = CooTensor._make((coo._idx[kept],), values, size, coo._coal and len(kept) == count)
    return coalesce(found) if not found._coal else found


@operator("norm Tensor.norm")
def norm(input, p=2, dim=None, keepdim=False, dtype=None):
    """The norm of all elements."""
    if dim is not None:
        raise NotImplementedError("norm: a dimension is not supported for sparse tensors in rushlight")
    return coalesce(to_coo(input))._val.norm(p)


def _softmax(input, dim, dtype, log):
    """Softmax over the stored elements along a dimension; the others count as minus infinity."""
    coo = coalesce(to_coo(input))
    values = coo._val if dtype is None else coo._val.to(dtype)
    dim = dim % coo.dim()
    if dim >= coo.sparse_dim():
        inner = dim - coo.sparse_dim() + 1
        return coo._with(values.log_softmax(inner) if log else values.softmax(inner))
    group = rl.zeros(coo._nnz(), dtype=rl.int64)
    for d in range(coo.sparse_dim()):
        if d != dim:
            group = group * coo.shape[d] + coo._idx[d]
    _, group = rl.unique(group, return_inverse=True)
    count = int(group.max()) + 1 if coo._nnz() else 0
    index = group.view(-1, *[1] * (values.dim() - 1)).expand(values.shape)
    start = values.new_full((count, *values.shape[1:]), float("-inf"))
    shifted = values - start.scatter_reduce(0, index, values.detach(), "amax")[group]
    powers = shifted.exp()
    total = rl.zeros_like(start).index_add(0, group, powers)[group]
    return coo._with(shifted - total.log() if log else powers / total)


@operator("softmax Tensor.softmax nn.functional.softmax")
def softmax(input, dim, *, dtype=None):
    """Softmax over the stored elements along a dimension."""
    return _softmax(input, dim, dtype, log=False)


@operator("log_softmax Tensor.log_softmax nn.functional.log_softmax")
def log_softmax(input, dim, *, dtype=None):
    """The logarithm of `softmax`."""
    return _softmax(input, dim, dtype, log=True)


# -- indices -------------------------------------------------------------------------------------------------


@operator("permute Tensor.permute")
def permute(input, *dims):
    """The sparse dimensions in another order; dense dimensions stay behind them."""
    dims = list(dims[0]) if len(dims) == 1 and not isinstance(dims[0], int) else list(dims)
    coo = to_coo(input)
    dims, count = [d % coo.dim() for d in dims], coo.sparse_dim()
    if sorted(dims) != list(range(coo.dim())):
        raise RuntimeError(f"permute(sparse_coo): {dims} is not an order of {coo.dim()} dimensions")
    if sorted(dims[:count]) != list(range(count)):
        raise RuntimeError("permute: sparse and dense dimensions cannot change places")
    inner, same = [0, *[d - count + 1 for d in dims[count:]]], dims[:count] == list(range(count))
    values = coo._val if inner == sorted(inner) else coo._val.permute(inner)
    return CooTensor._make((coo._idx[dims[:count]],), values, [coo.shape[d] for d in dims], coo._coal and same)


@operator("transpose swapaxes swapdims Tensor.transpose Tensor.swapaxes Tensor.swapdims")
def transpose(input, dim0, dim1):
    """Two dimensions in each other's place; a compressed matrix changes between rows and columns."""
    order = list(range(input.dim()))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    if not isinstance(input, CooTensor) and order != [0, 1]:
        kind = {"sparse_csr": "sparse_csc", "sparse_csc": "sparse_csr"}[input._kind]
        parts = [getattr(input, name) for name in input._fields]
        return COMPRESSED[kind]._make(parts, input._val, input.shape[::-1])
    return back(permute(input, order), input)


@operator("t Tensor.t")
def t(input):
    """The transposed matrix."""
    if input.dim() > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 sparse and 0 dense dimensions, but self is {input.dim()}D")
    return transpose(input, 0, 1) if input.dim() == 2 else input


@operator("unsqueeze Tensor.unsqueeze")
def unsqueeze(input, dim):
    """A new dimension of size 1."""
    coo = to_coo(input)
    dim = dim % (coo.dim() + 1)
    size = [*coo.shape[:dim], 1, *coo.shape[dim:]]
    if dim > coo.sparse_dim():
        return CooTensor._make((coo._idx,), coo._val.unsqueeze(dim - coo.sparse_dim() + 1), size, coo._coal)
    zero = rl.zeros((1, coo._nnz()), dtype=rl.int64)
    return CooTensor._make((rl.cat([coo._idx[:dim], zero, coo._idx[dim:]]),), coo._val, size, coo._coal)


@operator("index_select Tensor.index_select")
def index_select(input, dim, index):
    """The slices at the given positions of a dimension."""
    coo = to_coo(input)
    dim = dim % coo.dim()
    if dim >= coo.sparse_dim():
        return coo._with(coo._val.index_select(dim - coo.sparse_dim() + 1, index))
    match = coo._idx[dim].unsqueeze(1) == index.unsqueeze(0)
    element, position = match.nonzero().unbind(1)
    indices = coo._idx[:, element].clone()
    indices[dim] = position
    size = [*coo.shape[:dim], index.shape[0], *coo.shape[dim + 1:]]
    return CooTensor._make((indices,), coo._val[element], size)


@operator("select Tensor.select")
def select(input, dim, index):
    """One slice of a dimension; dense if no dimension with indices is left."""
    coo = to_coo(input)
    dim, index = dim % coo.dim(), index % input.shape[dim]
    size = [*coo.shape[:dim], *coo.shape[dim + 1:]]
    if dim >= coo.sparse_dim():
        return CooTensor._make((coo._idx,), coo._val.select(dim - coo.sparse_dim() + 1, index), size, coo._coal)
    chosen = (coo._idx[dim] == index).nonzero().squeeze(1)
    if coo.sparse_dim() == 1:
        return coo._val[chosen].sum(0)
    rest = [d for d in range(coo.sparse_dim()) if d != dim]
    return CooTensor._make((coo._idx[rest][:, chosen],), coo._val[chosen], size, coo._coal)


@operator("Tensor.__getitem__")
def getitem(self, index):
    """A slice of the first dimension."""
    if not isinstance(index, int):
        raise NotImplementedError("indexing a sparse tensor: only an int is supported in rushlight")
    return select(self, 0, index)


@operator("cat concat concatenate")
def cat(tensors, dim=0, *, out=None):
    """Sparse tensors one behind the other."""
    parts = [to_coo(tensor) for tensor in tensors]
    first = parts[0]
    dim = dim % first.dim()
    size = list(first.shape)
    size[dim] = 0
    indices, values = [], []
    if dim >= first.sparse_dim():
        raise NotImplementedError("cat: dense dimensions of sparse tensors are not supported in rushlight")
    for part in parts:
        moved = part._idx.clone()
        moved[dim] += size[dim]
        size[dim] += part.shape[dim]
        indices.append(moved)
        values.append(part._val)
    return CooTensor._make((rl.cat(indices, 1),), rl.cat(values), size)


operator("Tensor.sparse_mask")(sparse_mask)


@operator("stack")
def stack(tensors, dim=0, *, out=None):
    """Sparse tensors along a new dimension."""
    return cat([unsqueeze(tensor, dim) for tensor in tensors], dim)


@operator("any Tensor.any")
def any(input):
    """Whether any element is not zero."""
    return coalesce(to_coo(input))._val.any()


# -- values --------------------------------------------------------------------------------------------------

KEEP_ZERO = """abs absolute neg negative positive sign sgn sqrt square sin sinh asin arcsin asinh arcsinh tan tanh atan
arctan atanh arctanh expm1 log1p ceil floor round trunc relu erf erfinv deg2rad rad2deg isinf isnan signbit conj
""".split()


def _on_values(name, in_place):
    function = getattr(rl, name)

    def apply(input, *args, **kwargs):
        found = input if not isinstance(input, CooTensor) else coalesce(input)
        result = found._with(function(found._val, *args, **kwargs))
        return _replace(input, result) if in_place else result

    apply.__name__, apply.__doc__ = name, f"`{name}` of the values: zero stays zero."
    return apply


for _name in KEEP_ZERO:
    operator(f"{_name} Tensor.{_name} nn.functional.{_name}")(_on_values(_name, False))
    operator(f"{_name}_ Tensor.{_name}_")(_on_values(_name, True))
operator("Tensor.__neg__")(_on_values("neg", False))
operator("Tensor.__abs__")(_on_values("abs", False))


@operator("pow Tensor.pow Tensor.__pow__")
def power(input, exponent, *, out=None):
    """The values to a positive power."""
    if not isinstance(exponent, (int, float)) or exponent <= 0:
        raise RuntimeError("pow: sparse tensors need a positive number as exponent")
    found = coalesce(input) if isinstance(input, CooTensor) else input
    return found._with(found._val**exponent)


@operator("clone Tensor.clone")
def clone(input, *, memory_format=None):
    """A copy."""
    parts = tuple(getattr(input, name).clone() for name in input._fields)
    more = (input._coal,) if isinstance(input, CooTensor) else ()
    return type(input)._make(parts, input._val.clone(), input.shape, *more)


@operator("detach Tensor.detach Tensor.data.__get__")
def detach(input):
    """The tensor without history."""
    return input._with(input._val.detach())


@operator("Tensor.to")
def to(self, *args, **kwargs):
    """Another dtype or device, as for dense tensors."""
    values = self._val.to(*args, **kwargs)
    return self if values is self._val else self._with(values)


def _caster(name):
    return lambda self, memory_format=None: to(self, getattr(rl, name))


for _name in ("float", "double", "half", "bfloat16", "int", "long", "bool", "short"):
    operator(f"Tensor.{_name}")(_caster(_name))
operator("Tensor.cpu")(lambda self, memory_format=None: self)
SparseTensor.data = property(detach)


@operator("zeros_like")
def zeros_like(input, **options):
    """A sparse tensor without elements."""
    coo = to_coo(input)
    values = coo._val.new_zeros((0, *coo._val.shape[1:]))
    return CooTensor._make((coo._idx[:, :0],), values, coo.shape, True)


@operator("Tensor.zero_")
def zero_(self):
    """Take all elements out."""
    return _replace(self, zeros_like(self))


@operator("Tensor.copy_")
def copy_(self, src, non_blocking=False):
    """Take the elements of another sparse tensor."""
    if not (sparse(self) and sparse(src)):
        raise RuntimeError("copy_() between dense and sparse Tensors is not implemented! Found self type = "
                           f"{type(self).__name__} and src type = {type(src).__name__}")
    return _replace(self, clone(to_coo(src) if isinstance(self, CooTensor) else src))


@operator("is_same_size Tensor.is_same_size")
def is_same_size(input, other):
    """Whether two tensors have one size."""
    return input.shape == other.shape


@operator("equal Tensor.equal")
def equal(input, other):
    """Whether two sparse tensors have the same size and elements."""
    return input.shape == other.shape and rl.equal(to_dense(input), to_dense(other))


def _reading():
    """Enter what reads a tensor's layout, and the conversions as methods of sparse tensors."""
    for name in ("shape", "dtype", "device", "ndim", "layout"):
        entry = dispatch.ENTRIES.get(f"Tensor.{name}.__get__")
        if entry is not None:
            PLAIN.add(entry.function)
    for name in ("Tensor.size", "Tensor.dim", "Tensor.numel", "numel", "is_floating_point", "is_complex",
                 "Tensor.is_floating_point", "Tensor.is_complex", "Tensor.nelement", "Tensor.element_size"):
        entry = dispatch.ENTRIES.get(name)
        if entry is not None:
            PLAIN.add(entry.function)
    CooTensor.coalesce = coalesce
    for function in (to_dense, to_sparse, to_sparse_coo, to_sparse_csr, to_sparse_csc):
        setattr(SparseTensor, function.__name__, function)


_reading()
