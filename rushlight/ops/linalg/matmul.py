"""Matrix products: mm, bmm, addmm and its family, matmul, linear, dot, outer, bilinear, einsum, tensordot.

Everything ends in one template operator, `gemm`: out = beta * bias + alpha * a @ b with any strides and leading batch
dimensions.
"""

import functools
import math
from typing import NamedTuple

from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import REGISTRY, apply_form, composed, into_out, public
from ...core.graph import MODE
from ...core.infer import wrap_dim
from ...core.kinds import Template
from ...core.layout import Layout, contiguous_layout, layout
from ...core.macro import macro
from ...core.record import Form, binary, record_form
from ...core.tensor import Tensor, view
from ..basic.complex import conj, resolve_conj, times_i, view_as_complex, view_as_real
from ..basic.shape import stack
from ..basic.view import MOST_FORMS, reshaped, t


def _t(x):
    return x.transpose(-2, -1)


def _gemm(name, grad, params, node=None):
    return Template(name, lower="gemm.products:gemm", reads="any", grad=grad, params=params, node=node)


def _left_grad(g, b, found):
    """The gradient g @ b.T of a left factor of layout `found`, in the memory order of that factor."""
    return _t(product(b, _t(g))) if column_major(found) else product(g, _t(b))


def _right_grad(g, a, found):
    """The gradient a.T @ g of a right factor of layout `found`: that of a weight seen through `.t()` is the weight's.
    """
    return _t(product(_t(g), a)) if column_major(found) else product(_t(a), g)


def column_major(found):
    """Whether the elements of a column are neighbours in memory, and those of a row are not."""
    return found.strides[-2] == 1 and found.strides[-1] != 1


GRADS = {"input": lambda g, mat2, input_layout: _left_grad(g, mat2, input_layout),
         "mat2": lambda g, input, mat2_layout: _right_grad(g, input, mat2_layout)}
MM = _gemm("mm", GRADS, ("input", "mat2"))
BMM = _gemm("bmm", GRADS, ("input", "mat2"))


def _scaled(value, factor):
    return value if factor == 1 else value * factor


ADD_GRADS = {"input": lambda g, beta: _scaled(g, beta),
             "mat1": lambda g, mat2, mat1_layout, alpha: _scaled(_left_grad(g, mat2, mat1_layout), alpha),
             "mat2": lambda g, mat1, mat2_layout, alpha: _scaled(_right_grad(g, mat1, mat2_layout), alpha)}
ADD_PARAMS = ("input", "mat1", "mat2", "beta", "alpha")
ADDMM = _gemm("addmm", ADD_GRADS, ADD_PARAMS)
BADDBMM = _gemm("baddbmm", ADD_GRADS, ADD_PARAMS)


def product(a, b):
    """a @ b for matrices or batches of matrices of the same batch shape."""
    return mm(a, b) if a._layout.ndim == 2 else bmm(a, b)


def same_dtype(name, first, *others):
    """RuntimeError unless all dtypes are equal; of layouts."""
    for found in others:
        if found.dtype.plain is not first.dtype.plain:
            raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: "
                               f"{first.dtype.name.replace('float32', 'float')} != "
                               f"{found.dtype.name.replace('float32', 'float')} ({name})")
    if first.dtype is dt.bool_:
        raise NotImplementedError(f"\"{name}_impl_cpu_\" not implemented for 'Bool'")


def _tensors(name, **values):
    for label, value in values.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}(): argument '{label}' must be Tensor, not {type(value).__name__}")


def _shape_text(found):
    return "x".join(map(str, found.shape))


def result_of(shape, dtype):
    """The attributes of a product with this result."""
    return (("out", ((shape, dtype),)),)


@functools.lru_cache(MOST_FORMS)
def _mm_form(a, b):
    """The form of a product of two matrices, from their layouts."""
    if a.ndim != 2 or b.ndim != 2:
        raise RuntimeError(f"{'self' if a.ndim != 2 else 'mat2'} must be a matrix")
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({_shape_text(a)} and {_shape_text(b)})")
    same_dtype("mm", a, b)
    return MM.form("tt", result_of((a.shape[0], b.shape[1]), a.dtype))


@functools.lru_cache(MOST_FORMS)
def _bmm_form(a, b):
    """The form of a product of two batches of matrices, from their layouts."""
    if a.ndim != 3 or b.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor" if a.ndim != 3 else "batch2 must be a 3D tensor")
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: [{a.shape[0]}, "
                           f"{a.shape[2]}] but got: [{b.shape[0]}, {b.shape[1]}].")
    same_dtype("bmm", a, b)
    return BMM.form("tt", result_of((a.shape[0], a.shape[1], b.shape[2]), a.dtype))


def _pair(form, a, b):
    """Record a product of two tensors, with its node."""
    if a._layout.dtype.is_complex:
        return composed(form.op.rule, (a, b), lambda: complex_product(a, b))
    out = binary(form, a, b)
    if MODE.grad:
        form.op.rule.attach_pair(a, b, out)
    return out


def complex_product(a, b):
    """The product of complex matrices (or batches of them) as one real product.

    A row of a, seen as real numbers, is (Re a1, Im a1, Re a2, ...). It meets a matrix in which each row of b is
    followed by i times that row: the result is the row of the product, seen as real numbers."""
    a, b = resolve_conj(a), resolve_conj(b)
    *lead, n, m = a._layout.shape
    p = b._layout.shape[-1]
    left = view_as_real(a).reshape(*lead, n, 2 * m)
    right = view_as_real(stack([b, times_i(b)], -2)).reshape(*lead, 2 * m, 2 * p)
    return view_as_complex(product(left, right).reshape(*lead, n, p, 2))


@public("mm", cast="lower", quick=True)
def mm(input, mat2):
    """(n, m) @ (m, p) -> (n, p). RuntimeError if the shapes do not fit."""
    if not (isinstance(input, Tensor) and isinstance(mat2, Tensor)):
        _tensors("mm", input=input, mat2=mat2)
    return _pair(_mm_form(input._layout, mat2._layout), input, mat2)


@public("bmm", cast="lower", quick=True)
def bmm(input, mat2):
    """(b, n, m) @ (b, m, p) -> (b, n, p)."""
    if not (isinstance(input, Tensor) and isinstance(mat2, Tensor)):
        _tensors("bmm", input=input, mat2=mat2)
    return _pair(_bmm_form(input._layout, mat2._layout), input, mat2)


def _factors(input, beta, alpha):
    """beta and alpha as integers for integer tensors, as PyTorch's kernels take them."""
    return (int(beta), int(alpha)) if input._layout.dtype.category < dt.FLOATING else (beta, alpha)


@functools.lru_cache(MOST_FORMS)
def _sum_forms(op, name, added, a, b):
    """The forms of added + a @ b and of beta * added + alpha * a @ b, from the layouts."""
    shape = (*a.shape[:-1], b.shape[-1])
    same_dtype(name, a, b, added)
    try:
        fits = rules.broadcast_shapes(tuple(added.shape), shape) == shape
    except RuntimeError:
        fits = False
    if not fits:
        raise RuntimeError(f"The expanded size of the tensor must match the existing size: {name} expected input to "
                           f"broadcast to {list(shape)}, got {list(added.shape)}")
    result = result_of(shape, a.dtype)
    return op.form("ttt", result), op.form("tttnn", result)


def _complex_sum(input, a, b, beta, alpha):
    result = _scaled(complex_product(a, b), alpha)
    if beta != 0:
        return result + _scaled(input, beta)
    return result


def _add_product(op, name, input, a, b, beta, alpha):
    """beta * input + alpha * a @ b with checks."""
    plain, scaled = _sum_forms(op, name, input._layout, a._layout, b._layout)
    if input._layout.dtype.category < dt.FLOATING and (isinstance(beta, float) or isinstance(alpha, float)):
        raise RuntimeError("For integral input tensors, argument beta must not be a floating point number.")
    values = (input, a, b, beta, alpha)
    if a._layout.dtype.is_complex:
        return composed(op.rule, values, lambda: _complex_sum(input, a, b, beta, alpha))
    if beta == 0:
        return _scaled(product(a, b), alpha)
    if alpha == 1 and beta == 1:
        return apply_form(plain, values, (a, b, input))[0]
    return apply_form(scaled, values, (a, b, input), (float(alpha), float(beta)))[0]


@public("addmm", cast="lower", quick=True)
def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """beta * input + alpha * (mat1 @ mat2); input broadcasts."""
    _tensors("addmm", input=input, mat1=mat1, mat2=mat2)
    if mat1._layout.ndim != 2 or mat2._layout.ndim != 2:
        raise RuntimeError(f"mat1 and mat2 must be matrices, got {mat1._layout.ndim}-D and {mat2._layout.ndim}-D")
    if mat1._layout.shape[1] != mat2._layout.shape[0]:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({_shape_text(mat1._layout)} and "
                           f"{_shape_text(mat2._layout)})")
    return _add_product(ADDMM, "addmm", input, mat1, mat2, beta, alpha)


@public("baddbmm", cast="lower")
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta * input + alpha * bmm(batch1, batch2)."""
    a, b = batch1._layout, batch2._layout
    if a.ndim != 3 or b.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor" if a.ndim != 3 else "batch2 must be a 3D tensor")
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: [{a.shape[0]}, "
                           f"{a.shape[2]}] but got: [{b.shape[0]}, {b.shape[1]}].")
    beta, alpha = _factors(input, beta, alpha)
    return _add_product(BADDBMM, "baddbmm", input, batch1, batch2, beta, alpha)


@public("addbmm", cast="lower")
def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta * input + alpha * sum over the batch of batch1 @ batch2."""
    a, b = batch1._layout, batch2._layout
    if a.ndim != 3 or b.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor" if a.ndim != 3 else "batch2 must be a 3D tensor")
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise RuntimeError(f"Incompatible matrix sizes for bmm ({a.shape[1]}x{a.shape[2]} and "
                           f"{b.shape[1]}x{b.shape[2]})")
    beta, alpha = _factors(input, beta, alpha)
    wide = batch1.transpose(0, 1).reshape(a.shape[1], a.shape[0] * a.shape[2])
    tall = batch2.reshape(a.shape[0] * a.shape[2], b.shape[2])
    return addmm(input, wide, tall, beta=beta, alpha=alpha)


@public("mv")
def mv(input, vec):
    """(n, m) @ (m) -> (n)."""
    if input._layout.ndim != 2 or vec._layout.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {vec._layout.ndim}, {input._layout.ndim}, "
                           f"{vec._layout.ndim}")
    if input._layout.shape[1] != vec._layout.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({input._layout.shape[0]}), mat ({_shape_text(input._layout)}), vec "
            f"({vec._layout.shape[0]})"
        )
    return matrix_vector(input, vec)


def _outer(a, b):
    return a.unsqueeze(1) * b.unsqueeze(0)


@public("Tensor._matrix_vector", node="MvBackward0", out=False,
        grad={"input": lambda g, vec: _outer(g, vec), "vec": lambda g, input: matrix_vector(input.t(), g)})
def matrix_vector(input, vec):
    """Matrix times vector as one node."""
    return mm(input, vec.unsqueeze(1)).squeeze(1)


@public("addmv")
def addmv(input, mat, vec, *, beta=1, alpha=1):
    """beta * input + alpha * (mat @ vec)."""
    if mat._layout.ndim != 2 or vec._layout.ndim != 1 or mat._layout.shape[1] != vec._layout.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({list(input._layout.shape)}), mat ({_shape_text(mat._layout)}), vec "
            f"({_shape_text(vec._layout)})"
        )
    beta, alpha = _factors(input, beta, alpha)
    result = _scaled(mv(mat, vec), alpha)
    return result if beta == 0 else _scaled(input, beta) + result


@public("addr")
def addr(input, vec1, vec2, *, beta=1, alpha=1):
    """beta * input + alpha * outer(vec1, vec2)."""
    if vec1._layout.ndim != 1 or vec2._layout.ndim != 1:
        raise RuntimeError(f"addr: Expected 1-D argument vec1 and vec2, but got {vec1._layout.ndim}-D and "
                           f"{vec2._layout.ndim}-D")
    if any(isinstance(v, float) for v in (beta, alpha)) and input._layout.dtype.category < dt.FLOATING:
        raise RuntimeError("For integral input tensors, argument beta must not be a floating point number.")
    result = _outer(vec1, vec2)
    if dt.promote(input._layout.dtype, result._layout.dtype) is not dt.bool_:
        for name, factor in (("beta", beta), ("alpha", alpha)):
            if isinstance(factor, bool):
                raise RuntimeError(f"Boolean {name} only supported for Boolean results.")
    if input._layout.dtype is dt.bool_ and result._layout.dtype is dt.bool_:
        result = result & bool(alpha)
        return result if beta == 0 else input & bool(beta) | result
    result = _scaled(result, alpha)
    return result.clone() if beta == 0 else _scaled(input, beta) + result


@public("dot")
def dot(input, tensor):
    """The inner product of two vectors of equal length."""
    a, b = input._layout, tensor._layout
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    if a.dtype.plain is not b.dtype.plain:
        raise RuntimeError(f"dot : expected both vectors to have same dtype, but found {dt.scalar_type(a.dtype)} and "
                           f"{dt.scalar_type(b.dtype)}")
    if a.shape != b.shape:
        raise RuntimeError(f"inconsistent tensor size, expected tensor [{a.shape[0]}] and src [{b.shape[0]}] to have "
                           f"the same number of elements, but got {a.shape[0]} and {b.shape[0]} elements respectively")
    same_dtype("dot", input._layout, tensor._layout)
    return inner_product(input, tensor)


@public("Tensor._inner_product", node="DotBackward0", out=False,
        grad={"input": lambda g, tensor: g * tensor, "tensor": lambda g, input: g * input})
def inner_product(input, tensor):
    """Sum of products as one node."""
    return sum_of_products(input, tensor)


@macro("sum_of_products", 2)
def sum_of_products(a, b):
    return (a * b).sum(dtype=a.dtype)


@public("vdot")
def vdot(input, other):
    """`dot` of the conjugate of `input`, for complex numbers."""
    return dot(conj(input), other)


@public("outer ger")
def outer(input, vec2):
    """The matrix of products of two vectors."""
    if input._layout.ndim != 1 or vec2._layout.ndim != 1:
        raise RuntimeError(f"outer: Expected 1-D argument {'self' if input._layout.ndim != 1 else 'vec2'}, but got "
                           f"{input._layout.ndim if input._layout.ndim != 1 else vec2._layout.ndim}-D")
    return _outer(input, vec2)


def _inner_cast(input, other, **rest):
    """Autocast: products of vectors and numbers run as they are, others as matrix products."""
    return "lower" if min(input.dim(), other.dim()) and max(input.dim(), other.dim()) > 1 else None


@public("inner", cast=_inner_cast)
def inner(input, other):
    """Sum of products over the last dimension of both."""
    if not input._layout.ndim or not other._layout.ndim:
        return input * other
    if input._layout.shape[-1] != other._layout.shape[-1]:
        raise RuntimeError("inner() the last dimension must match on both input tensors but got shapes "
                           f"{list(input._layout.shape)} and {list(other._layout.shape)}")
    return tensordot(input, other, ([-1], [-1]))


@public("matmul Tensor.__matmul__ linalg.matmul", cast="lower", quick=True)
def matmul(input, other):
    """Matrix product with PyTorch's rules for vectors and batches; leading dimensions broadcast."""
    if not isinstance(other, Tensor):
        raise TypeError(f"matmul(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    a, b = input._layout, other._layout
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError("both arguments to matmul need to be at least 1D, but they are " f"{a.ndim}D and {b.ndim}D")
    if a.ndim == 2 and b.ndim == 2:
        return mm(input, other)
    if a.ndim == 1 and b.ndim == 1:
        return dot(input, other)
    if a.ndim == 2 and b.ndim == 1:
        return mv(input, other)
    if a.ndim == 1 and b.ndim == 2:
        return mm(input.unsqueeze(0), other).squeeze(0)
    return batched(input, other)


def batched(input, other):
    """matmul where one operand has three or more dimensions."""
    a, b = input._layout, other._layout
    if b.ndim <= 2:
        rows = math.prod(a.shape[:-1])
        folded = input.reshape(rows, a.shape[-1])
        if b.ndim == 1:
            return mv(folded, other).reshape(a.shape[:-1])
        return mm(folded, other).reshape(*a.shape[:-1], b.shape[-1])
    if a.ndim == 1:
        return batched(input.unsqueeze(0), other).squeeze(-2)
    if a.ndim == 2:
        return broadcast_batches(input, other)
    return broadcast_batches(input, other)


def broadcast_batches(input, other):
    a, b = input._layout, other._layout
    if a.shape[-1] != b.shape[-2]:
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: "
                           f"[{math.prod(a.shape[:-2])}, {a.shape[-1]}] but "
                           f"got: [{math.prod(b.shape[:-2])}, {b.shape[-2]}].")
    lead = rules.broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2]))
    count = math.prod(lead)
    left = input.expand(*lead, *a.shape[-2:]).reshape(count, *a.shape[-2:])
    right = other.expand(*lead, *b.shape[-2:]).reshape(count, *b.shape[-2:])
    return bmm(left, right).reshape(*lead, a.shape[-2], b.shape[-1])


@public("Tensor.__rmatmul__", out=False, cast="lower")
def rmatmul(input, other):
    """other @ input."""
    if not isinstance(other, Tensor):
        raise TypeError(f"matmul(): argument 'input' (position 1) must be Tensor, not {type(other).__name__}")
    return matmul(other, input)


class Linear(NamedTuple):
    """How a linear map is recorded where no graph is: the layouts of its input and weight as matrices, the form of the
    product, the layout of the result."""

    folded: Layout
    turned: Layout
    form: Form
    shaped: Layout


@functools.lru_cache(MOST_FORMS)
def _linear_plan(x, w, bias):
    """The Linear of an input, a weight and a bias (or None), from their layouts; None where `linear` needs more than
    that."""
    if x.ndim < 2 or w.ndim != 2 or x.dtype.is_complex or x.shape[-1] != w.shape[1] or not x.numel:
        return None
    folded = reshaped(x, (x.numel // x.shape[-1], x.shape[-1]))
    if folded is None:
        return None
    turned = layout(w.shape[::-1], w.strides[::-1], w.dtype)
    form = _mm_form(folded, turned) if bias is None else _sum_forms(ADDMM, "addmm", bias, folded, turned)[0]
    return Linear(folded, turned, form, contiguous_layout((*x.shape[:-1], w.shape[0]), x.dtype))


@public("nn.functional.linear", cast="lower", quick=True)
def linear(input, weight, bias=None, *, out=None):
    """input @ weight.T + bias; input (..., in), weight (out, in) or (in), bias (out)."""
    if out is not None:
        return into_out("linear", linear, out, (input, weight, bias), {})
    x, w = input._layout, weight._layout
    plan = None if MODE.grad else _linear_plan(x, w, None if bias is None else bias._layout)
    if plan is not None:
        a = view(input._storage, plan.folded, input._offset)
        b = view(weight._storage, plan.turned, weight._offset)
        result = binary(plan.form, a, b) if bias is None else record_form(plan.form, (a, b, bias))[0]
        return result if x.ndim == 2 else view(result._storage, plan.shaped, 0)
    if w.ndim == 1:
        result = matmul(input, weight)
        return result if bias is None else result + bias
    if not x.ndim or x.shape[-1] != w.shape[1]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied "
                           f"({math.prod(x.shape[:-1])}x{x.shape[-1] if x.ndim else 1} and {w.shape[1]}x{w.shape[0]})")
    if x.ndim == 2:
        turned = t(weight)
        return mm(input, turned) if bias is None else _add_product(ADDMM, "addmm", bias, input, turned, 1, 1)
    if x.ndim == 1:
        result = mm(input.unsqueeze(0), weight.t()).squeeze(0)
        return result if bias is None else result + bias
    folded = input.reshape(-1 if x.numel else math.prod(x.shape[:-1]), x.shape[-1])
    result = mm(folded, weight.t()) if bias is None else addmm(bias, folded, weight.t())
    return result.view(*x.shape[:-1], w.shape[0])


@public("torch.bilinear nn.functional.bilinear", out=False)
def bilinear(input1, input2, weight, bias=None):
    """y[o] = x1 @ weight[o] @ x2 + bias[o]; input1 (..., a), input2 (..., b), weight (o, a, b)."""
    a, b, w = input1._layout, input2._layout, weight._layout
    if a.shape[:-1] != b.shape[:-1]:
        raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim 0: got {list(a.shape)} and "
                           f"{list(b.shape)}")
    if a.shape[-1] != w.shape[1] or b.shape[-1] != w.shape[2]:
        raise RuntimeError(f"bilinear(): input1 size does not match weight size: got {a.shape[-1]}, {b.shape[-1]} but "
                           f"expected {w.shape[1]}, {w.shape[2]}")
    rows = math.prod(a.shape[:-1])
    left = mm(input1.reshape(rows, w.shape[1]), weight.permute(1, 0, 2).reshape(w.shape[1], w.shape[0] * w.shape[2]))
    result = (left.view(rows, w.shape[0], w.shape[2]) * input2.reshape(rows, 1, w.shape[2])).sum(-1)
    result = result.view(*a.shape[:-1], w.shape[0])
    return result if bias is None else result + bias


# -- sums of products over named dimensions --------------------------------------------------------------------------


def _tensordot_cast(a, b, dims=2, **rest):
    """Autocast: a sum over all elements runs as it is, others as matrix products."""
    count = dims if isinstance(dims, int) else len(dims[0]) if hasattr(dims[0], "__len__") else 1
    return None if count == a.dim() == b.dim() else "lower"


@public("tensordot", cast=_tensordot_cast)
def tensordot(a, b, dims=2):
    """Contract the last `dims` dimensions of a with the first of b, or the pairs of dimensions given."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        dims_a, dims_b = list(range(a._layout.ndim - dims, a._layout.ndim)), list(range(dims))
    else:
        dims_a, dims_b = [list(d) if isinstance(d, (list, tuple)) else [d] for d in dims]
    if len(dims_a) != len(dims_b):
        raise RuntimeError("both dimension lists should have same length")
    dims_a = [wrap_dim(d, a._layout.ndim) for d in dims_a]
    dims_b = [wrap_dim(d, b._layout.ndim) for d in dims_b]
    sa, sb = a._layout.shape, b._layout.shape
    for i, j in zip(dims_a, dims_b):
        if sa[i] == 1 and sb[j] != 1:
            b = b.sum(j, keepdim=True, dtype=b.dtype)
        elif sb[j] == 1 and sa[i] != 1:
            a = a.sum(i, keepdim=True, dtype=a.dtype)
        elif sa[i] != sb[j]:
            raise RuntimeError(f"contracted dimensions need to match, but first has size {sa[i]} in dim {i} and second "
                               f"has size {sb[j]} in dim {j}")
    sa, sb = a._layout.shape, b._layout.shape
    free_a = [d for d in range(len(sa)) if d not in dims_a]
    free_b = [d for d in range(len(sb)) if d not in dims_b]
    k = math.prod(sa[d] for d in dims_a)
    left = a.permute(*free_a, *dims_a).reshape(math.prod(sa[d] for d in free_a), k)
    right = b.permute(*dims_b, *free_b).reshape(k, math.prod(sb[d] for d in free_b))
    return mm(left, right).reshape([sa[d] for d in free_a] + [sb[d] for d in free_b])


def _einsum_cast(equation, *operands):
    """Autocast: matrix products are sums over an index of several operands."""
    if not isinstance(equation, str):
        return "lower"
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    for letter in set(inputs) - set(",."):
        summed = letter not in output if arrow else inputs.count(letter) > 1
        if summed and sum([letter in part for part in inputs.split(",")]) > 1:
            return "lower"
    return None


@public("einsum", out=False, cast=_einsum_cast)
def einsum(equation, *operands):
    """Sums of products in Einstein's notation, e.g. einsum("ij,jk->ik", a, b); "..." stands for broadcast
    dimensions."""
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError("einsum(): must specify the equation string and at least one operand, or at least one operand "
                         "and its subscripts list")
    if not isinstance(equation, str):
        equation, operands = sublists(equation, operands)
    for i, x in enumerate(operands):
        if not isinstance(x, Tensor):
            raise TypeError(f"einsum(): operand {i} must be a Tensor, not {type(x).__name__}")
    inputs, output = parse_equation(equation, operands)
    sizes = label_sizes(inputs, operands)
    terms = [(prepare(x, labels, sizes)) for x, labels in zip(operands, inputs)]
    result, labels = terms[0]
    for i, (other, other_labels) in enumerate(terms[1:], 1):
        later = set(output).union(*(ls for _, ls in terms[i + 1:]))
        result, labels = contract(result, labels, other, other_labels, later)
    drop = [d for d, label in enumerate(labels) if label not in output]
    if drop:
        result = result.sum(drop)
        labels = [label for label in labels if label in output]
    return result.permute(*[labels.index(label) for label in output]) if labels else result


def sublists(first, rest):
    """einsum's second form: operand, [0, 1], operand, [1, 2], [0, 2]."""
    items = [first, *rest]
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    def spell(sub):
        return "".join("..." if i is Ellipsis else letters[i] for i in sub)

    pairs = [(items[i], items[i + 1]) for i in range(0, len(items) - 1, 2)]
    text = ",".join(spell(sub) for _, sub in pairs)
    return text + ("->" + spell(items[-1]) if len(items) % 2 else ""), [x for x, _ in pairs]


def parse_equation(equation, operands):
    """Lists of labels per operand and of the output; the broadcast dimensions get labels 0, 1, ..."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    subscripts = left.split(",")
    check_output(left, right)
    if len(subscripts) != len(operands):
        raise RuntimeError("einsum(): more operands were provided than specified in the equation"
                           if len(operands) > len(subscripts)
                           else "einsum(): fewer operands were provided than specified in the equation")
    most, inputs = 0, []
    for text, x in zip(subscripts, operands):
        named = len(text.replace("...", "", 1))
        if named and not text.replace("...", "", 1).isalpha():
            raise RuntimeError(f"einsum(): invalid subscript given for operand {len(inputs)}, subscripts must be in "
                               "[a-zA-Z], and '.' part of one ellipsis (...)")
        extra = x._layout.ndim - named
        if ("..." not in text and extra) or extra < 0:
            raise RuntimeError(f"einsum(): the number of subscripts in the equation ({named}) does not match the "
                               f"number of dimensions "
                               f"({x._layout.ndim}) for operand {len(inputs)}" + ("" if "..." in text
                                                                                  else " and no ellipsis was given"))
        most = max(most, extra)
        inputs.append((text, extra))
    expanded = [expand_labels(text, extra, most) for text, extra in inputs]
    if arrow:
        for label in right.replace("...", ""):
            if right.count(label) > 1:
                raise RuntimeError(f"einsum(): output subscript {label} appears more than once in the output")
            if not any([label in labels for labels in expanded]):
                raise RuntimeError(f"einsum(): output subscript {label} does not appear in the equation for any input "
                                   "operand")
        return expanded, expand_labels(right, most if "..." in right else 0, most)
    count = {}
    for labels in expanded:
        for label in labels:
            count[label] = count.get(label, 0) + 1
    single = sorted(label for label, n in count.items() if n == 1 and isinstance(label, str))
    return expanded, [*range(most), *single]


def check_output(inputs, output):
    """RuntimeError for subscripts of the output that are not letters, are repeated, or are in no operand."""
    for label in output.replace("...", "", 1):
        if not label.isalpha():
            raise RuntimeError(f"einsum(): found '{label}' for output, subscripts must be in [a-zA-Z], and '.' part of "
                               "one ellipsis (...)")
        if label not in inputs:
            raise RuntimeError(f"einsum(): output subscript {label} does not appear in the equation for any input "
                               "operand")
        if output.count(label) > 1:
            raise RuntimeError(f"einsum(): output subscript {label} appears more than once in the output")


def expand_labels(text, extra, most):
    before, dots, after = text.partition("...")
    return [*before, *range(most - extra, most), *after] if dots else list(text)


def label_sizes(inputs, operands):
    sizes = {}
    for number, (labels, x) in enumerate(zip(inputs, operands)):
        for label, n in zip(labels, x._layout.shape):
            if sizes.get(label, 1) == 1:
                sizes[label] = n
            elif n not in (1, sizes[label]):
                raise RuntimeError(f"einsum(): subscript {label} has size {n} for operand {number} which does not "
                                   f"broadcast with previously seen size {sizes[label]}")
    return sizes


def prepare(x, labels, sizes):
    """The operand with repeated labels reduced to their diagonal."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            x = x.diagonal(0, i, j)
            labels = [v for d, v in enumerate(labels) if d not in (i, j)] + [label]
    return x, labels


def contract(a, la, b, lb, keep):
    """The product of two operands, summed over the labels that are not needed later, as one batched matrix product."""
    drop_a = [d for d, v in enumerate(la) if v not in lb and v not in keep]
    if drop_a:
        a, la = a.sum(drop_a), [v for v in la if v in lb or v in keep]
    drop_b = [d for d, v in enumerate(lb) if v not in la and v not in keep]
    if drop_b:
        b, lb = b.sum(drop_b), [v for v in lb if v in la or v in keep]
    size_a, size_b = dict(zip(la, a._layout.shape)), dict(zip(lb, b._layout.shape))
    for x, other in ((size_a, size_b), (size_b, size_a)):
        for v in x:
            if v in other and x[v] == 1:
                x[v] = other[v]
    a, b = a.expand([size_a[v] for v in la]), b.expand([size_b[v] for v in lb])
    batch = [v for v in la if v in lb and v in keep]
    summed = [v for v in la if v in lb and v not in keep]
    free_a, free_b = [v for v in la if v not in lb], [v for v in lb if v not in la]
    count = [math.prod(size_a[v] for v in vs) for vs in (batch, free_a, summed)]
    left = a.permute([la.index(v) for v in (*batch, *free_a, *summed)]).reshape(count)
    right = b.permute([lb.index(v) for v in (*batch, *summed, *free_b)]).reshape(count[0], count[2],
                                                                                 math.prod(size_b[v] for v in free_b))
    if not summed:
        result = left * right
    else:
        result = bmm(left, right)
    labels = [*batch, *free_a, *free_b]
    return result.reshape([size_a.get(v, size_b.get(v)) for v in labels]), labels


@public("chain_matmul", out=False, cast="lower")
def chain_matmul(*matrices):
    """The product of one matrix or several."""
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    for matrix in matrices:
        if matrix.dim() != 2:
            raise RuntimeError(f"Tensor dimension is {matrix.dim()}, expected 2 instead.")
    return multi_dot(matrices) if len(matrices) > 1 else matrices[0]


@public("linalg.multi_dot", cast="lower")
def multi_dot(tensors):
    """The product of several matrices in the order that needs the fewest multiplications; first and last may be
    vectors."""
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got " + str(len(tensors)))
    first, last = tensors[0]._layout.ndim == 1, tensors[-1]._layout.ndim == 1
    if first:
        tensors[0] = tensors[0].unsqueeze(0)
    if last:
        tensors[-1] = tensors[-1].unsqueeze(1)
    sizes = [t._layout.shape[0] for t in tensors] + [tensors[-1]._layout.shape[1]]
    result = REGISTRY["Tensor._chain"](tensors, sizes)
    result = result.squeeze(0) if first else result
    return result.squeeze(-1) if last else result


@public("Tensor._chain", out=False)
def chain(tensors, sizes):
    """Multiply in the cheapest order (dynamic programming over the split points)."""
    n = len(tensors)
    cost, cut = [[0] * n for _ in range(n)], [[0] * n for _ in range(n)]
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            options = [(cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)]
            cost[i][j], cut[i][j] = min(options)

    def build(i, j):
        return tensors[i] if i == j else mm(build(i, cut[i][j]), build(cut[i][j] + 1, j))
    return build(0, n - 1)
