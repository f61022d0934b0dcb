"""Shape, stride and dtype rules of the operator kinds, run when an operator is first met on a path of the stream.

Each rule gets (op, layouts of the tensors, classes of the numbers, pattern, attrs, layouts of the tensors to be
written or None) and returns (layouts of new results, info for the planner). It raises the user's errors: PyTorch's
types and leading words.
"""

import math
from operator import index as as_index  # with the TypeError of Python

from . import dtype as dt
from .layout import (broadcast_shapes, broadcast_strides, channels_last_strides, contiguous_layout, contiguous_strides,
                     layout,
                     permuted_strides, stride_order)

NUMBER_DTYPES = {bool: dt.bool_, int: dt.int64}


def joined_dtype(layouts, numbers):
    """torch.result_type of tensor layouts and Python number classes."""
    dims = [x.dtype for x in layouts if x.ndim]
    zeros = [x.dtype for x in layouts if not x.ndim]
    plain = [NUMBER_DTYPES.get(n) or dt.get_default_dtype() for n in numbers]
    return dt.result_type(dims, zeros, plain)


def promoted(op, layouts, numbers, attrs):
    """(dtype that operands are cast to or None, dtype of the result)."""
    rule = op.promote
    if callable(rule):
        return rule(layouts, numbers, attrs)
    if rule == "bool":
        return None, dt.bool_
    if rule == "keep":
        return None, layouts[0].dtype.plain
    joined = joined_dtype(layouts, numbers)
    if rule == "compare":
        return joined, dt.bool_
    if rule == "float":
        joined = as_float(joined)
    return joined, joined


def as_float(dtype):
    """The dtype itself if floating, else the default one."""
    return dtype if dtype.category >= dt.FLOATING else dt.get_default_dtype()


def check_dtype(op, dtype):
    allowed = op.dtypes
    bad = (dtype.is_complex and not op.complex) \
        or (allowed == "numeric" and dtype is dt.bool_) \
        or (allowed == "integral" and dtype.category > dt.INTEGRAL) or (allowed == "integers"
                                                                        and dtype.category != dt.INTEGRAL) \
        or (allowed == "floating" and dtype.category < dt.FLOATING)
    if bad:
        if op.refuse is not None:
            raise RuntimeError(op.refuse)
        raise NotImplementedError(f"\"{op.name}\" not implemented for '{dt.scalar_type(dtype)}'")


def elementwise(op, layouts, numbers, pattern, attrs, given):
    shape = layouts[0].shape
    if any(x.shape != shape for x in layouts):
        shape = broadcast_shapes(*[x.shape for x in layouts])
    joined, result = promoted(op, layouts, numbers, attrs)
    result = result.plain
    check_dtype(op, joined or layouts[0].dtype)
    if given is None and op.contiguous:
        return [contiguous_layout(shape, result)], joined
    if given is None:
        return [layout(tuple(shape), result_strides(shape, layouts), result)], joined
    target = given[0]
    if target.shape != shape:
        raise RuntimeError(f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(shape)}")
    if not dt.can_cast(result, target.dtype):
        raise RuntimeError(f"result type {dt.scalar_type(result)} can't be cast to the desired output type "
                           f"{dt.scalar_type(target.dtype)}")
    return [], joined


def result_strides(shape, layouts):
    """Strides of a new element-wise result, as PyTorch's TensorIterator chooses them."""
    same = [x for x in layouts if x.shape == shape]
    if all(x.contiguous for x in layouts) and len(same) == len(layouts):
        return contiguous_strides(shape)
    if len(same) == len(layouts):
        first = layouts[0]
        if len(shape) == 4 and all(x.strides == channels_last_strides(shape) for x in layouts):
            return first.strides
        if first.dense and all(x.strides == first.strides for x in layouts):
            return first.strides
    operands = [broadcast_strides(x.shape, x.strides, shape) for x in layouts]
    return permuted_strides(shape, stride_order(shape, operands))


# Functions whose `out` has exactly the dtype of the result; into all others results are cast.
EXACT = frozenset("""
    abs absolute addmm addmv alias_copy amax amin argmax argmin baddbmm bitwise_not bmm ceil chain_matmul clamp
    clamp_max clamp_min clip complex conj_physical cross cummax cummin detach_copy diag dot fix floor frac gather
    hardshrink heaviside histc index_add index_copy index_select inner inverse kthvalue log_softmax logcumsumexp
    masked_select matmul max median min mm mode msort mv nan_to_num nanmedian nanquantile neg negative polar
    quantile renorm round scatter scatter_add sgn sign slice_copy slice_scatter softmax sort squeeze_copy t_copy
    take take_along_dim tensordot topk tril triu trunc vdot where
""".split())


def check_out(name, result, out):
    """RuntimeError where a result cannot be written to `out` because of its dtype."""
    if name in EXACT and result.dtype.plain is not out.dtype.plain:
        raise RuntimeError(f"{name}: Expected out tensor to have dtype {result.dtype}, but got {out.dtype} instead")
    if not dt.can_cast(result.dtype, out.dtype):
        raise RuntimeError(f"{name}: result type {dt.scalar_type(result.dtype)} can't be cast to the desired output "
                           f"type {dt.scalar_type(out.dtype)}")


def wrap_dim(dim, rank, scalar_ok=True):
    """A dimension as a non-negative number. IndexError with PyTorch's text if out of range."""
    if not isinstance(dim, int):
        dim = as_index(dim)
    limit = max(rank, 1) if scalar_ok else rank
    if not -limit <= dim < limit:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})")
    return dim + limit if dim < 0 else dim


MOST_REDUCED = 64  # dimensions of a tensor that reductions take, as in PyTorch


def wrap_dims(dims, rank):
    """Several dimensions, all of them for None or (). RuntimeError for a repeated one."""
    if rank > MOST_REDUCED:
        raise RuntimeError(f"only tensors with up to {MOST_REDUCED} dims are supported")
    if dims is None:
        return tuple(range(rank))
    if not isinstance(dims, (tuple, list)):
        return (wrap_dim(dims, rank),) if rank else ()
    found = [wrap_dim(d, rank) for d in dims]
    for i, d in enumerate(found):
        if d in found[:i]:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return tuple(sorted(found)) if found and rank else tuple(range(rank))


def reduced_shape(shape, dims, keepdim):
    if keepdim:
        return tuple([1 if d in dims else n for d, n in enumerate(shape)])
    return tuple([n for d, n in enumerate(shape) if d not in dims])


def reduction(op, layouts, numbers, pattern, attrs, given):
    """attrs: (("dims", tuple), ("keepdim", bool), ("dtype", result dtype)). Outputs: values, and indices for
    arg-reductions.
    """
    options = dict(attrs)
    if layouts[0].dtype.is_complex and op.combine not in ("sum", "prod", "any", "all"):
        raise NotImplementedError(f"\"{op.name.removesuffix('_reduce')}\" not implemented for "
                                  f"'{dt.scalar_type(layouts[0].dtype)}'")
    shape = reduced_shape(layouts[0].shape, options["dims"], options["keepdim"])
    outs = [contiguous_layout(shape, dtype.plain) for dtype in op.outs(layouts[0].dtype, options)]
    if given is not None:
        return [], None
    return outs, None


def explicit(op, layouts, numbers, pattern, attrs, given):
    """For operators whose public function has worked out the results: attrs ("out", ((shape, dtype), ...))."""
    if given is not None:
        return [], None
    return [contiguous_layout(shape, dtype.plain) for shape, dtype in dict(attrs)["out"]], None


def strided(op, layouts, numbers, pattern, attrs, given):
    """As `explicit`, with strides: attrs ("out", ((shape, strides, dtype), ...))."""
    if given is not None:
        return [], None
    return [layout(tuple(shape), tuple(strides), dtype.plain) for shape, strides, dtype in dict(attrs)["out"]], None


def numel(shape):
    return math.prod(shape)
