"""Pooling with windows of one size: max_pool, avg_pool, lp_pool and max_unpool over one to three dimensions.

In: (N, C, ...) or (C, ...) and window sizes. Out: one value per window. One dimension is done as two, with a unit
dimension, as PyTorch shows it in graphs. The kernels are in `windows`; read `adaptive_pooling` next.
"""

import functools
import math
import numbers as number_types

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import REGISTRY, public
from ...core.grads import wants_grad
from ...core.graph import MODE
from ...core.tensor import Tensor
from ..basic.arithmetic import div
from ..basic.copy import in_format_of
from ..basic.creation import alert_not_deterministic, zeros
from ..basic.fetch import write, write_operator
from ..basic.pointwise import sign
from .activation import functional_relu
from .windows import (
    MAX_BACK,
    Geometry,
    channels_last,
    pick_flat,
    plane_place,
    put_flat,
    reach,
    run,
    wide,
    window_max,
    window_sum,
    window_sum_back,
)

WORDS = {1: "one", 2: "two", 3: "three"}
GATHERED = 9  # windows over one position up to which the gradient of maxima is gathered


# -- arguments -------------------------------------------------------------------------------------------------------


def check_tensor(op, input):
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")


def sizes_of(value, n, text):
    """n ints from an int or a sequence; RuntimeError with `text`."""
    if isinstance(value, number_types.Integral) and not isinstance(value, bool):
        return (int(value),) * n
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{text.partition(':')[0]}(): argument must be tuple of ints, not {type(value).__name__}")
    if len(value) not in (1, n):
        raise RuntimeError(text)
    for v in value:
        if isinstance(v, float) or not hasattr(v, "__index__"):
            raise TypeError(
                f"{text.partition(':')[0]}(): argument must be tuple of ints, but found element of type "
                f"{type(v).__name__}"
            )
    return tuple([int(v) for v in value]) * (n // len(value) if len(value) != n else 1)


def window_arguments(op, n, kernel_size, stride, padding, dilation):
    """The sizes of windows as tuples."""
    word = WORDS[n]
    kernel = sizes_of(kernel_size, n, f"{op}: kernel_size must either be a single int, or a tuple of {word} ints")
    empty = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    stride = (
        kernel
        if empty
        else sizes_of(stride, n, f"{op}: stride must either be omitted, a single int, or a tuple of {word} ints")
    )
    padding = sizes_of(padding, n, f"{op}: padding must either be a single int, or a tuple of {word} ints")
    dilation = sizes_of(dilation, n, f"{op}: dilation must be either a single int, or a tuple of {word} ints")
    return kernel, stride, padding, dilation


def pooled_size(size, kernel, stride, padding, dilation, ceil_mode):
    """How many windows there are; RuntimeError for windows that make no sense."""
    if stride == 0:
        raise RuntimeError("stride should not be zero")
    if padding < 0:
        raise RuntimeError(f"pad must be non-negative, but got pad: {padding}")
    if padding > ((kernel - 1) * dilation + 1) // 2:
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={padding}, kernel_size={kernel} and "
            f"dilation={dilation}"
        )
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    found = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (found - 1) * stride >= size + padding:
        found -= 1
    return found


@functools.lru_cache(maxsize=512)
def geometry(ins, kernel, stride, padding, dilation, ceil_mode, mean=None, shape_text=None):
    """The windows of a pooling. `mean`: None for maxima, or (count_include_pad, divisor_override)."""
    outs = tuple([pooled_size(*x, ceil_mode) for x in zip(ins, kernel, stride, padding, dilation)])
    axes = "THW"[-len(ins) :]
    for name, word, values in (
        ("kernel size", "k", kernel),
        ("stride", "d", stride),
        ("dilation", "dilation", dilation),
    ):
        if min(values) <= 0:
            shown = " ".join([f"{word}{axis}: {v}" for axis, v in zip(axes, values)])
            raise RuntimeError(f"{name} should be greater than zero, but got {shown}")
    if mean and len(ins) == 3 and any([n + 2 * p < m for n, p, m in zip(ins, padding, kernel)]):
        sizes = [" ".join([f"{a}{axis}: {v}" for axis, v in zip(axes, x)]) for a, x in (("", ins), ("k", kernel))]
        raise RuntimeError(f"input image ({sizes[0]}) smaller than kernel size ({sizes[1]})")
    if min(outs) < 1:
        before, after = ["x".join([str(n) for n in (shape_text, *x)]) for x in (ins, outs)]
        raise RuntimeError(f"Given input size: ({before}). Calculated output size: ({after}). Output size is too small")
    windows, counts = [], []
    for n, o, m, s, p, d in zip(ins, outs, kernel, stride, padding, dilation):
        windows.append(("fixed", m, s, p, d, bool(p) or (o - 1) * s + d * (m - 1) + 1 > n))
        if mean is not None:
            start = np.arange(o) * s - p
            end = np.minimum(start + m, n + p)
            counts.append(end - start if mean[0] else np.minimum(end, n) - np.maximum(start, 0))
    if mean is None:
        return Geometry(windows, ins, outs)
    if mean[1] is not None:
        return Geometry(windows, ins, outs, mean[1])
    even = all([(c == c[0]).all() for c in counts])
    return Geometry(windows, ins, outs, math.prod([int(c[0]) for c in counts]) if even else counts)


def check_rank(input, n, op=None):
    """RuntimeError unless the input is (C, ...) or (N, C, ...) without empty dimensions behind the batch."""
    shape = input._layout.shape
    if len(shape) not in (n + 1, n + 2) or 0 in shape[-n - 1 :]:
        if n == 2 and len(shape) in (3, 4):
            raise RuntimeError(
                "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but got: "
                f"{list(shape)}"
            )
        raise RuntimeError(f"non-empty {n + 1}D or {n + 2}D (batch mode) tensor expected for input")


def check_dtype(input, name, integers):
    """NotImplementedError for dtypes that PyTorch does not pool."""
    dtype = input._layout.dtype
    if dtype.is_floating_point or (integers == "all" and dtype is not dt.bool_ and not dtype.is_complex):
        return
    if integers == "long" and dtype is dt.int64:
        return
    raise NotImplementedError(f"\"{name}\" not implemented for '{dt.scalar_type(dtype)}'")


# -- maxima ----------------------------------------------------------------------------------------------------------


def _max_back(g, indices, geo):
    """Every position's sum of the gradients of windows whose maximum it is."""
    fixed = geo.windows and not geo.adaptive()
    reaches = tuple([reach(w, o) for w, o in zip(geo.windows, geo.outs)]) if fixed else ()
    if not channels_last(g, geo.rank) or not fixed or math.prod([count for count, _ in reaches]) > GATHERED:
        return put_flat(g, indices, geo.ins)
    attrs = (("windows", geo.windows), ("reaches", reaches))
    return run(MAX_BACK, [g, indices], geo.ins, g._layout.dtype, attrs, geo.ins)


def _both(input, geo):
    return window_max(input, geo, True)


def max_node(kind, n, suffix=""):
    """The pooling function (input, geometry) -> (values, indices) with the node that PyTorch shows."""
    back = public(
        "",
        node=f"{kind}{n}D{suffix}BackwardBackward0",
        out=False,
        grad={"g": lambda g, indices, geo: pick_flat(g, indices, geo.rank)},
    )(_max_back)
    formula = {"input": lambda g, out1, geo: back(g[0], out1, geo)}
    return public("", node=f"{kind}{n}D{suffix}Backward0", out=False, grad=formula)(_both)


MAX_NODES = {n: max_node("MaxPool", n, "WithIndices") for n in (2, 3)}


def max_pool(op, n, input, kernel_size, stride, padding, dilation, ceil_mode, indices):
    """(values, indices or None) over n = 2 or 3 dimensions."""
    check_tensor(op, input)
    arguments = window_arguments(op, n, kernel_size, stride, padding, dilation)
    found = input._layout
    check_rank(input, n, op)
    geo = geometry(tuple(found.shape[-n:]), *arguments, bool(ceil_mode), None, found.shape[-n - 1])
    check_dtype(input, op, "all")
    if indices or (MODE.grad and wants_grad(input)):
        return MAX_NODES[n](input, geo)
    return window_max(input, geo, False)


def one(value, name):
    """The int of a one-dimensional pooling."""
    if isinstance(value, (tuple, list)):
        if len(value) != 1:
            raise RuntimeError(
                f"max_pool1d() {name} must be an int, list of ints or tuple of ints of size 1 but got size {len(value)}"
            )
        return value[0]
    return value


def max_pool_line(input, kernel_size, stride, padding, dilation, ceil_mode, indices):
    """(values, indices or None) over the last dimension."""
    check_tensor("max_pool1d", input)
    shape = input._layout.shape
    if len(shape) not in (2, 3):
        raise RuntimeError(
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:"
            f"{list(shape)}"
        )
    kernel = one(kernel_size, "kernel_size")
    stride = kernel if stride is None or stride == () or stride == [] else one(stride, "stride")
    padding, dilation = one(padding, "padding"), one(dilation, "dilation")
    for name, value in (("kernel_size", kernel), ("stride", stride)):
        if value <= 0:
            raise RuntimeError(f"max_pool1d() {name} must be greater than zero, but got {value}")
    if padding < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {padding}")
    if padding > kernel // 2:
        raise RuntimeError(
            f"max_pool1d() padding should be at most half of kernel size, but got padding={padding} and "
            f"kernel_size={kernel}"
        )
    if dilation <= 0:
        raise RuntimeError(f"max_pool1d() dilation must be greater than zero, but got {dilation}")
    size = pooled_size(shape[-1], kernel, stride, padding, dilation, ceil_mode)
    if size <= 0:
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {size}")
    check_dtype(input, "max_pool1d_impl", "floating")
    values, where = max_pool(
        "max_pool2d", 2, input.unsqueeze(-2), (1, kernel), (1, stride), (0, padding), (1, dilation), ceil_mode, indices
    )
    return values.squeeze(-2), where.squeeze(-2) if indices else None


@public("nn.functional.max_pool1d", out=False)
def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The maximum of every window of the last dimension; with `return_indices` also its position. Input (N, C, L) or
    (C, L).
    """
    values, where = max_pool_line(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return (values, where) if return_indices else values


@public("nn.functional.max_pool2d", out=False)
def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The maximum of every window of an image; with `return_indices` also its flat position. Input (N, C, H, W) or
    (C, H, W).
    """
    values, where = max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return (values, where) if return_indices else values


def _max_pool3d_cast(*args, return_indices=False, **rest):
    """Autocast: only the form without positions has a policy."""
    return None if return_indices or len(args) > 6 and args[6] else "float32"


@public("nn.functional.max_pool3d", out=False, cast=_max_pool3d_cast)
def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The maximum of every window of a volume; with `return_indices` also its flat position. Input (N, C, D, H, W) or
    (C, D, H, W).
    """
    values, where = max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return (values, where) if return_indices else values


@public("torch.max_pool1d", out=False)
def plain_max_pool1d(input, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):
    """The maximum of every window of the last dimension."""
    return max_pool_line(input, kernel_size, stride, padding, dilation, ceil_mode, False)[0]


@public("torch.max_pool2d", out=False)
def plain_max_pool2d(input, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):
    """The maximum of every window of an image."""
    return max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, False)[0]


@public("torch.max_pool3d", out=False)
def plain_max_pool3d(input, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):
    """The maximum of every window of a volume."""
    return max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, False)[0]


@public("torch.max_pool1d_with_indices", out=False)
def max_pool1d_with_indices_of(input, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):
    """The maxima of the windows of the last dimension and their positions."""
    return max_pool_line(input, kernel_size, stride, padding, dilation, ceil_mode, True)


@public("nn.functional.max_pool1d_with_indices", out=False)
def max_pool1d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """`max_pool1d` with indices."""
    return max_pool_line(input, kernel_size, stride, padding, dilation, ceil_mode, True)


@public("nn.functional.max_pool2d_with_indices", out=False)
def max_pool2d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """`max_pool2d` with indices."""
    return max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, True)


@public("nn.functional.max_pool3d_with_indices", out=False)
def max_pool3d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """`max_pool3d` with indices."""
    return max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, True)


# -- means -----------------------------------------------------------------------------------------------------------


def divided(total, geo, dtype):
    """Sums of windows as means."""
    divisor = geo.divisors(wide(dtype), total.device)
    if dtype.is_floating_point:
        total = total / (divisor if isinstance(divisor, Tensor) else float(divisor))
        return total if total._layout.dtype is dtype else total._cast(dtype)
    return div(total, divisor, rounding_mode="trunc")


def _mean(input, geo):
    return divided(window_sum(input, geo), geo, input._layout.dtype)


def _mean_back(g, geo):
    divisor, dtype = geo.divisors(wide(g._layout.dtype), g.device), g._layout.dtype
    if wide(dtype) is not dtype:
        g = g._cast(wide(dtype))
    found = window_sum_back(g / (divisor if isinstance(divisor, Tensor) else float(divisor)), geo)
    return found if found._layout.dtype is dtype else found._cast(dtype)


def mean_node(kind, n):
    """The pooling function (input, geometry) -> means, with the node that PyTorch shows."""
    pair = {}
    pair["back"] = public(
        "", node=f"{kind}{n}DBackwardBackward0", out=False, grad={"g": lambda g, geo: pair["mean"](g, geo)}
    )(_mean_back)
    pair["mean"] = public(
        "", node=f"{kind}{n}DBackward0", out=False, grad={"input": lambda g, geo: pair["back"](g, geo)}
    )(_mean)
    return pair["mean"]


MEAN_NODES = {n: mean_node("AvgPool", n) for n in (2, 3)}


def avg_pool(op, n, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """Means over n = 2 or 3 dimensions."""
    check_tensor(op, input)
    kernel, stride, padding, dilation = window_arguments(op, n, kernel_size, stride, padding, 1)
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    found = input._layout
    if n == 2 and found.ndim < 3:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-found.ndim}, {found.ndim - 1}], but got -3)"
        )
    check_rank(input, n, op)
    geo = geometry(
        tuple(found.shape[-n:]),
        kernel,
        stride,
        padding,
        dilation,
        bool(ceil_mode),
        (bool(count_include_pad), divisor_override),
        found.shape[-n - 1],
    )
    check_dtype(input, op if n == 2 else "avg_pool3d_out_frame", "long")
    return MEAN_NODES[n](input, geo)


@public("avg_pool1d nn.functional.avg_pool1d", out=False)
def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of every window of the last dimension. Input (N, C, L) or (C, L)."""
    check_tensor("avg_pool1d", input)
    rank = input._layout.ndim
    if rank not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {rank}-dimensional tensor for argument #1 'self' (while checking "
            "arguments for avg_pool1d)"
        )
    values = []
    for name, value in (("kernel_size", kernel_size), ("stride", stride), ("padding", padding)):
        if isinstance(value, (tuple, list)):
            if len(value) != 1 and not (name == "stride" and not value):
                raise RuntimeError(f"avg_pool1d() argument '{name}' should contain one int (got {len(value)})")
            value = value[0] if value else None
        values.append(value)
    kernel, stride, padding = values
    stride = kernel if stride is None else stride
    result = avg_pool(
        "avg_pool2d", 2, input.unsqueeze(-2), (1, kernel), (1, stride), (0, padding), ceil_mode, count_include_pad, None
    )
    return result.squeeze(-2)


@public("nn.functional.avg_pool2d")
def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of every window of an image; `divisor_override` replaces the count. Input (N, C, H, W) or (C, H, W)."""
    return avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@public("nn.functional.avg_pool3d", cast="float32")
def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of every window of a volume; `divisor_override` replaces the count. Input (N, C, D, H, W) or (C, D, H,
    W).
    """
    return avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


# -- power means -----------------------------------------------------------------------------------------------------


def lp_pool(pool, input, norm_type, kernel_size, stride, ceil_mode, count):
    """(sum of x ** p over the window) ** (1 / p), from means as PyTorch computes it."""
    mean = pool(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return (
        (sign(mean) * functional_relu(REGISTRY["abs"](mean))).mul(count).pow(1.0 / norm_type)
    )


def unpacked(kernel_size, n):
    """The product of n sizes."""
    if isinstance(kernel_size, number_types.Integral):
        return int(kernel_size) ** n
    if len(kernel_size) > n:
        raise ValueError(f"too many values to unpack (expected {n})")
    if len(kernel_size) < n:
        raise ValueError(f"not enough values to unpack (expected {n}, got {len(kernel_size)})")
    return math.prod(kernel_size)


@public("nn.functional.lp_pool1d", out=False)
def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(sum of x ** norm_type) ** (1 / norm_type) over windows of the last dimension."""
    count = kernel_size if isinstance(kernel_size, number_types.Integral) else kernel_size[0]
    return lp_pool(avg_pool1d, input, norm_type, kernel_size, stride, ceil_mode, count)


@public("nn.functional.lp_pool2d", out=False)
def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(sum of x ** norm_type) ** (1 / norm_type) over windows of an image."""
    return lp_pool(avg_pool2d, input, norm_type, kernel_size, stride, ceil_mode, unpacked(kernel_size, 2))


@public("nn.functional.lp_pool3d", out=False)
def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(sum of x ** norm_type) ** (1 / norm_type) over windows of a volume."""
    return lp_pool(avg_pool3d, input, norm_type, kernel_size, stride, ceil_mode, unpacked(kernel_size, 3))


# -- unpooling -------------------------------------------------------------------------------------------------------


UNPOOL = write_operator("max_unpool")


def _unpool(input, indices, sizes):
    """Zeros with the values at flat positions of planes."""
    rank, shape = len(sizes), input._layout.shape
    lead = shape[: len(shape) - rank]
    count, size = math.prod(lead), math.prod(shape[len(shape) - rank :])
    result = zeros((*lead, *sizes), dtype=input.dtype, device=input.device)
    if count and size:
        check_places(indices, sizes)
        flat = result.reshape(count, -1)
        write(UNPOOL, flat, [indices.reshape(count, size)], input.reshape(count, size), plane_place(count, size))
    return in_format_of(result, input) if rank == 2 else result


def check_places(indices, sizes):
    """RuntimeError for positions outside the plane."""
    low, high = indices.min().item(), indices.max().item()
    if low < 0 or high >= math.prod(sizes):
        shown = "x".join([str(n) for n in sizes])
        raise RuntimeError(
            f"Found an invalid max index: {low if low < 0 else high} (output volumes are of size {shown})"
        )


UNPOOLS = {
    n: public(
        "",
        node=f"MaxUnpool{n}DBackward0",
        out=False,
        grad={"input": lambda g, indices, sizes: pick_flat(g, indices, len(sizes))},
    )(_unpool)
    for n in (2, 3)
}


def unpool_sizes(input, kernel, stride, padding, output_size, n):
    """The spatial sizes of the result: what the pooling came from, or `output_size` where it is near that."""
    shape = input._layout.shape
    usual = [(shape[-n + d] - 1) * stride[d] + kernel[d] - 2 * padding[d] for d in range(n)]
    if output_size is None:
        return tuple(usual)
    if len(output_size) == n + 2:
        output_size = output_size[2:]
    if len(output_size) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a length of "
            f"'{len(output_size)}'"
        )
    for d in range(n):
        low, high = usual[d] - stride[d], usual[d] + stride[d]
        if not low < output_size[d] < high:
            raise ValueError(f'invalid output_size "{output_size}" (dim {d} must be between {low} and {high})')
    return tuple([int(v) for v in output_size])


def max_unpool(n, input, indices, kernel_size, stride, padding, output_size):
    """Values at the positions that a max pooling gave, zeros elsewhere."""
    check_tensor(f"max_unpool{n}d", input)
    kernel = sizes_of(kernel_size, n, f"max_unpool{n}d: kernel_size must be a single int or a tuple of {WORDS[n]} ints")
    stride = (
        kernel
        if stride is None
        else sizes_of(stride, n, f"max_unpool{n}d: stride must be a single int or a tuple of {WORDS[n]} ints")
    )
    padding = sizes_of(padding, n, f"max_unpool{n}d: padding must be a single int or a tuple of {WORDS[n]} ints")
    sizes = unpool_sizes(input, kernel, stride, padding, output_size, n)
    if indices._layout.dtype is not dt.int64:
        raise RuntimeError(
            "elements in indices should be type int64"
            + (f" but got: {dt.scalar_type(indices._layout.dtype)}" if n < 3 else "")
        )
    shape, rank = input._layout.shape, max(n, 2)
    if len(shape) not in (n + 1, n + 2):
        raise RuntimeError(
            f"Input to max_unpooling{rank}d should be a {rank + 1}d or {rank + 2}d Tensor, but got a tensor with "
            f"{len(shape)} dimensions."
        )
    if indices._layout.shape != shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(shape)}) but got indices tensor "
            f"with shape: {list(indices._layout.shape)}"
        )
    if 0 in shape[1:]:
        raise RuntimeError(
            f"max_unpooling{rank}d_forward_out_cpu(): Expected input to have non-zero size for non-batch dimensions, "
            f"but got {list(shape)} with dimension {shape.index(0, 1)} being empty."
        )
    alert_not_deterministic(f"max_unpooling{rank}d_forward_out")
    if n == 1:
        return UNPOOLS[2](input.unsqueeze(-1), indices.unsqueeze(-1), (*sizes, 1)).squeeze(-1)
    return UNPOOLS[n](input, indices, sizes)


@public("nn.functional.max_unpool1d", out=False, cast="float32")
def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """The partial inverse of `max_pool1d`: its values at their positions, zeros elsewhere. RuntimeError for positions
    outside.
    """
    return max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


@public("nn.functional.max_unpool2d", out=False, cast="float32")
def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """The partial inverse of `max_pool2d`: its values at their positions, zeros elsewhere. RuntimeError for positions
    outside.
    """
    return max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


@public("nn.functional.max_unpool3d", out=False, cast="float32")
def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """The partial inverse of `max_pool3d`: its values at their positions, zeros elsewhere. RuntimeError for positions
    outside.
    """
    return max_unpool(3, input, indices, kernel_size, stride, padding, output_size)
