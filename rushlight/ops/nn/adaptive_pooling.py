"""Pooling to a given size: adaptive_avg_pool, adaptive_max_pool, and fractional_max_pool with random windows.

Where the output divides the input the windows are those of plain pooling. The kernels are in `windows`.
"""

import functools
import itertools

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import public
from ...core.kinds import Gather
from ...core.record import record
from ..random.random import rand
from .pooling import check_dtype, check_tensor, max_node, mean_node, sizes_of
from .windows import Geometry, adaptive_windows, pick_flat, put_flat

MEANS = {n: mean_node("AdaptiveAvgPool", n) for n in (2, 3)}
MAXIMA = {n: max_node("AdaptiveMaxPool", n) for n in (2, 3)}


@functools.lru_cache(maxsize=512)
def even_geometry(ins, outs):
    """Windows that divide the input evenly."""
    counts = []
    for n, o in zip(ins, outs):
        at = np.arange(o)
        counts.append(-(-(at + 1) * n // max(o, 1)) - at * n // max(o, 1))
    return Geometry(adaptive_windows(ins, outs), ins, outs, counts)


def output_sizes(op, input, output_size, n, text):
    """The spatial sizes asked for; None keeps the input's."""
    shape = input._layout.shape
    if output_size is None:
        output_size = (None,) * n
    if not isinstance(output_size, (tuple, list)):
        output_size = (output_size,) * n
    elif len(shape) <= len(output_size):
        raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
    if len(output_size) == 1 and n > 1:
        output_size = tuple(output_size) * n
    if len(output_size) != n:
        raise RuntimeError(text)
    return tuple([shape[d - n] if size is None else sizes_of(size, 1, text)[0] for d, size in enumerate(output_size)])


def check_shape(op, shape, n, colon=""):
    if len(shape) not in (n + 1, n + 2):
        raise RuntimeError(f"{op}(): Expected {n + 1}D or {n + 2}D tensor, but got{colon} {list(shape)}")


def check_full(op, shape, start):
    for d in range(start, len(shape)):
        if not shape[d]:
            raise RuntimeError(
                f"{op}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
                f"{list(shape)} with dimension {d} being empty"
            )


def adaptive_avg_pool(op, n, input, output_size):
    """Means over n = 2 or 3 dimensions."""
    check_tensor(op, input)
    shape = input._layout.shape
    sizes = output_sizes(op, input, output_size, n, f"{op}: output_size must be {n}")
    if min(sizes) < 0:
        shown = ", ".join([str(v) for v in sizes])
        raise RuntimeError(f"{op}: elements of output_size must be greater than or equal to 0 but received {{{shown}}}")
    if len(shape) >= n and sizes == (1,) * n and input._layout.dtype.is_floating_point and len(shape) in (n + 1, n + 2):
        return input.mean(list(range(-n, 0)), True)
    check_shape(op, shape, n)
    check_full(op, shape, len(shape) - n)
    check_dtype(input, op if n == 2 else "adaptive_avg_pool3d_cpu", "floating")
    return MEANS[n](input, even_geometry(tuple(shape[-n:]), sizes))


def check_line(op, input, output_size):
    """The output size of a one-dimensional pooling."""
    check_tensor(op, input)
    rank = input._layout.ndim
    if rank not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {rank}-dimensional tensor for argument #1 'self' (while checking "
            f"arguments for {op})"
        )
    if isinstance(output_size, (tuple, list)):
        if len(output_size) != 1:
            raise RuntimeError(f"{op}() argument 'output_size' should contain one int (got {len(output_size)})")
        output_size = output_size[0]
    return output_size


@public("adaptive_avg_pool1d nn.functional.adaptive_avg_pool1d", out=False)
def adaptive_avg_pool1d(input, output_size):
    """Means of `output_size` even parts of the last dimension. Input (N, C, L) or (C, L)."""
    size = check_line("adaptive_avg_pool1d", input, output_size)
    return adaptive_avg_pool("adaptive_avg_pool2d", 2, input.unsqueeze(-2), (1, size)).squeeze(-2)


@public("nn.functional.adaptive_avg_pool2d", out=False)
def adaptive_avg_pool2d(input, output_size):
    """Means of even parts of an image, `output_size` of them in height and width (None: as many as the input)."""
    return adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


@public("nn.functional.adaptive_avg_pool3d", out=False, cast="float32")
def adaptive_avg_pool3d(input, output_size):
    """Means of even parts of a volume, `output_size` of them in each dimension (None: as many as the input)."""
    return adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size)


def adaptive_max_pool(op, n, input, output_size):
    """(values, indices) over n = 2 or 3 dimensions."""
    check_tensor(op, input)
    shape = input._layout.shape
    sizes = output_sizes(op, input, output_size, n, f"{op}(): internal error: output_size.size() must be {n}")
    check_shape(op, shape, n, ":")
    check_full(op, shape, 1 if len(shape) == n + 2 else 0)
    if min(sizes) < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(sizes)}: {[*shape[:-n], *sizes]}")
    check_dtype(input, op, "floating")
    return MAXIMA[n](input, even_geometry(tuple(shape[-n:]), sizes))


def _line_max(input, output_size):
    size = check_line("adaptive_max_pool1d", input, output_size)
    values, where = adaptive_max_pool("adaptive_max_pool2d", 2, input.unsqueeze(-2), (1, size))
    return values.squeeze(-2), where.squeeze(-2)


@public("torch.adaptive_max_pool1d", out=False)
def plain_adaptive_max_pool1d(input, output_size):
    """Maxima of even parts of the last dimension, and their positions."""
    return _line_max(input, output_size)


@public("nn.functional.adaptive_max_pool1d", out=False)
def adaptive_max_pool1d(input, output_size, return_indices=False):
    """Maxima of `output_size` even parts of the last dimension; with `return_indices` also their positions."""
    found = _line_max(input, output_size)
    return found if return_indices else found[0]


@public("nn.functional.adaptive_max_pool2d", out=False)
def adaptive_max_pool2d(input, output_size, return_indices=False):
    """Maxima of even parts of an image; with `return_indices` also their flat positions."""
    found = adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size)
    return found if return_indices else found[0]


@public("nn.functional.adaptive_max_pool3d", out=False, cast="float32")
def adaptive_max_pool3d(input, output_size, return_indices=False):
    """Maxima of even parts of a volume; with `return_indices` also their flat positions."""
    found = adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size)
    return found if return_indices else found[0]


@public("nn.functional.adaptive_max_pool1d_with_indices", out=False)
def adaptive_max_pool1d_with_indices(input, output_size, return_indices=False):
    """`adaptive_max_pool1d` with indices."""
    return _line_max(input, output_size)


@public("nn.functional.adaptive_max_pool2d_with_indices", out=False)
def adaptive_max_pool2d_with_indices(input, output_size, return_indices=False):
    """`adaptive_max_pool2d` with indices."""
    return adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size)


@public("nn.functional.adaptive_max_pool3d_with_indices", out=False)
def adaptive_max_pool3d_with_indices(input, output_size, return_indices=False):
    """`adaptive_max_pool3d` with indices."""
    return adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size)


# -- random windows --------------------------------------------------------------------------------------------------


def _fractional_body(k, x, samples, *numbers, kernel, what):
    """numbers: per dimension the output size and the mean step between windows."""
    n, rank = len(kernel), len(x.shape)
    parts = []
    for d, count in enumerate(kernel):
        out, step = numbers[2 * d], k.cast(numbers[2 * d + 1], samples.dtype)
        at, size = k.index(rank - n + d), x.shape[rank - n + d]
        sample = samples.load([k.index(0), k.index(1), n - 1 - d if n == 2 else d])
        moved = k.cast((k.cast(at, samples.dtype) + sample) * step, dt.int64) - k.cast(sample * step, dt.int64)
        start = k.where((at + 1).eq(out), size - count, moved)
        parts.append([start + j for j in range(count)])
    best = where = None
    for chosen in itertools.product(*parts):
        flat = None
        for d, i in enumerate(chosen):
            flat = i if flat is None else flat * x.shape[rank - n + d] + i
        value = x.load([*[k.index(d) for d in range(rank - n)], *chosen])
        if best is None:
            best, where = value, flat
            continue
        better = k.logical_or(value > best, k.isnan(value))
        best, where = k.where(better, value, best), k.where(better, flat, where)
    return best if what == "values" else where


FRACTIONAL = Gather("fractional_max", _fractional_body)


def _fractional(input, samples, kernel, sizes):
    shape, dtype = input._layout.shape, input._layout.dtype
    n, numbers, results = len(kernel), [], []
    for size, count, out in zip(shape[-n:], kernel, sizes):
        numbers += [out, (size - count) / (out - 1) if out > 1 else 0.0]
    whole = input if input._layout.ndim == n + 2 else input.unsqueeze(0)
    for what, found in (("values", dtype), ("indices", dt.int64)):
        attrs = (("kernel", kernel), ("what", what), ("out", (((*whole._layout.shape[:2], *sizes), found),)))
        result = record(FRACTIONAL, "tt" + "n" * len(numbers), attrs, (whole, samples), tuple(numbers))[0]
        results.append(result if whole is input else result.reshape(result._layout.shape[1:]))
    return tuple(results)


def _fractional_back(n):
    put = public(
        "",
        node=f"FractionalMaxPool{n}DBackwardBackward0",
        out=False,
        grad={"g": lambda g, indices: pick_flat(g, indices, n)},
    )(lambda g, indices, sizes: put_flat(g, indices, sizes))
    return {"input": lambda g, out1, input_layout: put(g[0], out1, tuple(input_layout.shape[-n:]))}


FRACTIONALS = {
    n: public("", node=f"FractionalMaxPool{n}DBackward0", out=False, grad=_fractional_back(n))(_fractional)
    for n in (2, 3)
}
SIDES = {2: ("height", "width"), 3: ("time", "height", "width")}


def fractional_max_pool(n, input, kernel_size, output_size, output_ratio, samples):
    """(values, indices) of pseudo-random windows."""
    op = f"fractional_max_pool{n}d"
    check_tensor(op, input)
    if output_size is None and output_ratio is None:
        raise ValueError(f"{op} requires specifying either an output_size or an output_ratio")
    shape = input._layout.shape
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * n
        if len(ratios) > n:
            raise ValueError(f"{op} requires output_ratio to either be a single Int or tuple of Ints.")
        output_size = [int(shape[d - n] * r) for d, r in enumerate(ratios)]
    if len(shape) < n + 1 and samples is None:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-len(shape)}, {len(shape) - 1}], but got {-n - 1})"
        )
    if samples is None:
        batch = 1 if len(shape) == n + 1 else shape[0]
        samples = rand(batch, shape[-n - 1], n, dtype=input.dtype, device=input.device)
    kernel = sizes_of(kernel_size, n, f"{op}: kernel_size must either be a single Int or tuple of Ints")
    sizes = sizes_of(output_size, n, f"{op}: output_size must either be a single Int or tuple of Ints")
    if len(shape) not in (n + 1, n + 2) or 0 in shape[1:]:
        raise RuntimeError(f"{op}(): Expected {n + 1}D or {n + 2}D tensor, but got: {list(shape)}")
    if samples._layout.shape[2:] != (n,):
        raise RuntimeError(f"Expect _random_samples.size(2) equals to {n}; got {samples._layout.shape[2]}.")
    if samples._layout.shape[0] < (1 if len(shape) == n + 1 else shape[0]):
        raise RuntimeError("Expect _random_samples.size(0) no less then input batch size.")
    if samples._layout.shape[1] != shape[-n - 1]:
        raise RuntimeError("Expect _random_samples.size(1) equals to input channel size.")
    for side, size, count, out in zip(SIDES[n], shape[-n:], kernel, sizes):
        if out + count - 1 > size:
            name = op if n == 2 else f"{op}_out"
            raise RuntimeError(f"{name}(): pool {side} {count} too large relative to input {side} {size}")
    check_dtype(input, op, "floating")
    return FRACTIONALS[n](input, samples, kernel, sizes)


def _fractional_public(n, named):
    word = "an image" if n == 2 else "a volume"

    def pool(input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None):
        found = fractional_max_pool(n, input, kernel_size, output_size, output_ratio, _random_samples)
        return found if return_indices or named else found[0]

    pool.__name__ = f"fractional_max_pool{n}d" + ("_with_indices" if named else "")
    pool.__doc__ = (
        f"Maxima of windows of {word} at random steps (Graham, 2014), `output_size` of them or `output_ratio` of the "
        "input's size; the positions too" + ("." if named else " with `return_indices`.")
    )
    return public(f"nn.functional.{pool.__name__}", out=False, cast="float32")(pool)


POOLS = [_fractional_public(n, named) for n in (2, 3) for named in (False, True)]
