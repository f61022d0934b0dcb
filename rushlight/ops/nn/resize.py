"""Resizing of sequences, images and volumes: interpolate and the upsample functions.

Every mode is a linear map along each spatial dimension: result position o is the sum of a few input positions with
weights. NumPy works out these tables once per size (they are kept), and one gather kernel applies those of all
dimensions. The gradient is the same operator with the tables transposed. Formulas: linear and cubic (Keys, a = -0.75)
interpolation; with `antialias` filters (triangle, Keys with a = -0.5, Lanczos of 3 lobes) as wide as the reduction.
"""

import functools
import itertools
import math
import warnings

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import public
from ...core.kinds import Gather
from ..linalg.matmul import matmul
from .adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from .pooling import check_tensor
from .windows import run, table, wide

DIRECT = 9  # positions that one kernel adds up for each result
LONGEST = 64  # positions along one dimension above which the map is a matrix product


# -- tables ----------------------------------------------------------------------------------------------------------


class Line:
    """The map of one dimension: `index` and `weight` (taps, outputs); weight None means 1."""

    __slots__ = ("size", "out", "index", "weight", "tensors", "_transposed")
    tensorless = True  # a node that keeps one can run again: see Node.release

    def __init__(self, size, out, index, weight):
        self.size, self.out, self.index, self.weight = size, out, index, weight
        self.tensors, self._transposed = None, None

    @property
    def taps(self):
        return len(self.index)

    def operands(self):
        """The tables as tensors."""
        if self.tensors is None:
            self.tensors = [table(self.index)] + ([] if self.weight is None else [table(self.weight)])
        return self.tensors

    def transposed(self):
        """The map from gradients of outputs to gradients of inputs."""
        if self._transposed is None:
            weight = np.ones(self.index.shape, np.float32) if self.weight is None else self.weight
            out = np.broadcast_to(np.arange(self.out), self.index.shape)
            keep = weight.ravel() != 0
            places, outs, values = self.index.ravel()[keep], out.ravel()[keep], weight.ravel()[keep]
            order = np.argsort(places * self.out + outs, kind="stable")
            places, outs, values = places[order], outs[order], values[order]
            counts = np.bincount(places, minlength=self.size)
            slots = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
            index = np.zeros((max(1, counts.max(initial=0)), self.size), np.int64)
            found = np.zeros(index.shape, weight.dtype)
            index[slots, places], found[slots, places] = outs, values
            self._transposed = Line(self.out, self.size, index, found)
        return self._transposed

    def matrix(self):
        """The map as a matrix (outputs, inputs)."""
        weight = np.ones(self.index.shape, np.float32) if self.weight is None else self.weight
        found = np.zeros((self.out, self.size), weight.dtype)
        np.add.at(found, (np.broadcast_to(np.arange(self.out), self.index.shape), self.index), weight)
        return table(found)


def step_of(size, out, align, scale, kind):
    """How far input positions of neighbouring outputs lie apart."""
    if align:
        return kind(size - 1) / kind(out - 1) if out > 1 else kind(0)
    return kind(1.0 / scale) if scale is not None and scale > 0 else kind(size) / kind(out)


def keys(t, a):
    """Weights of the cubic kernel at distances 1 + t, t, 1 - t, 2 - t."""

    def near(x):
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x):
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)])


FILTERS = {
    "bilinear": (1.0, lambda x: np.maximum(0, 1 - x)),
    "bicubic": (
        2.0,
        lambda x: np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0)),
    ),
    "lanczos": (3.0, lambda x: np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)),
}


def smooth_table(mode, size, out, step, kind):
    """(index, weight) of a filter that is stretched where the result is smaller."""
    reach, shape = FILTERS[mode]
    stretch = max(float(step), 1.0)
    support = reach * stretch
    center = float(step) * (np.arange(out) + 0.5)
    start = np.maximum((center - support + 0.5).astype(np.int64), 0)
    end = np.minimum((center + support + 0.5).astype(np.int64), size)
    taps = max(1, int((end - start).max(initial=1)))
    index = start + np.arange(taps)[:, None]
    weight = np.where(index < end, shape(np.abs((index - center + 0.5) / stretch)), 0)
    weight = weight / weight.sum(0)
    return np.minimum(index, size - 1), weight.astype(kind)


@functools.lru_cache(maxsize=256)
def line(mode, size, out, align, scale, antialias, dtype):
    """The map of one dimension."""
    kind = dtype.numpy.type
    at, step = np.arange(out).astype(kind), step_of(size, out, align, scale, kind)
    if mode in ("nearest", "nearest-exact"):
        source = np.floor((at if mode == "nearest" else at + kind(0.5)) * step).astype(np.int64)
        return Line(size, out, np.minimum(source, size - 1)[None], None)
    if antialias:
        return Line(size, out, *smooth_table(mode, size, out, step, kind))
    source = step * at if align else step * (at + kind(0.5)) - kind(0.5)
    if mode == "bicubic":
        low = np.minimum(np.floor(source), kind(size - 1))
        weight = keys(np.clip(source - low, 0, 1), kind(-0.75)).astype(kind)
        index = np.clip(low.astype(np.int64) + np.arange(-1, 3)[:, None], 0, size - 1)
        return Line(size, out, index, weight)
    if size == out:
        return Line(size, out, np.arange(out)[None], None)
    source = np.maximum(source, 0)
    low = np.minimum(source.astype(np.int64), size - 1)
    part = np.clip(source - low.astype(kind), 0, 1).astype(kind)
    return Line(size, out, np.stack([low, np.minimum(low + 1, size - 1)]), np.stack([1 - part, part]))


# -- the operator ----------------------------------------------------------------------------------------------------


def _resize_body(k, x, *tables, plan, first):
    """plan: per dimension (taps, whether weighted), taps 0 for a dimension that stays."""
    parts, at = [], 0
    for d, (taps, weighted) in enumerate(plan):
        o = k.index(first + d)
        if not taps:
            parts.append([(o, None)])
            continue
        index, weight = tables[at], tables[at + 1] if weighted else None
        at += 2 if weighted else 1
        parts.append([(index.load([t, o]), weight.load([t, o]) if weighted else None) for t in range(taps)])
    total = None
    for chosen in itertools.product(*parts):
        place, factor = [k.index(d) for d in range(len(x.shape))], None
        for d, (i, w) in enumerate(chosen):
            place[first + d] = i
            if w is not None:
                factor = w if factor is None else factor * w
        value = x.load(place)
        value = value if factor is None else value * factor
        total = value if total is None else total + value
    return total


RESIZE = Gather("resize_lines", _resize_body)


def applied(x, lines, dtype):
    """Apply the maps of the last dimensions (None: unchanged); the result has `dtype`."""
    sizes = [n if found is None else found.out for found, n in zip(lines, x._layout.shape[-len(lines) :])]
    plan = tuple([(0, False) if found is None else (found.taps, found.weight is not None) for found in lines])
    tables = [t.to(x.device) for found in lines if found is not None for t in found.operands()]
    return run(RESIZE, [x], tuple(sizes), dtype, (("plan", plan),), (), tables)


def map_lines(x, lines):
    """The maps of all dimensions, together where that takes few steps."""
    dtype = x._layout.dtype
    if math.prod([found.taps for found in lines]) <= DIRECT:
        return applied(x, lines, dtype)
    kept = wide(dtype)
    for d in reversed(range(len(lines))):
        if lines[d].taps > LONGEST:
            axis = d - len(lines)
            x = (
                matmul(x.to(kept).movedim(axis, -1), lines[d].matrix().to(x.device, kept).t())
                .movedim(-1, axis)
                .contiguous()
            )
        else:
            x = applied(x, [found if i == d else None for i, found in enumerate(lines)], kept)
    return x if x._layout.dtype is dtype else x._cast(dtype)


def _forward(input, lines):
    return map_lines(input, lines)


def _backward(g, lines):
    return map_lines(g, [found.transposed() for found in lines])


def resize_node(name):
    """The resizing function (input, lines) with the node that PyTorch shows."""
    pair = {}
    pair["back"] = public(
        "", node=f"{name}BackwardBackward0", out=False, grad={"g": lambda g, lines: pair["forward"](g, lines)}
    )(_backward)
    pair["forward"] = public(
        "", node=f"{name}Backward0", out=False, grad={"input": lambda g, lines: pair["back"](g, lines)}
    )(_forward)
    return pair["forward"]


NODES = {
    (mode, n, smooth): resize_node(f"Upsample{word}{n}D{'Aa' if smooth else ''}")
    for mode, word, ranks, smooths in (
        ("nearest", "Nearest", (1, 2, 3), (False,)),
        ("nearest-exact", "NearestExact", (1, 2, 3), (False,)),
        ("linear", "Linear", (1,), (False,)),
        ("bilinear", "Bilinear", (2,), (False, True)),
        ("bicubic", "Bicubic", (2,), (False, True)),
        ("lanczos", "Lanczos", (2,), (True,)),
        ("trilinear", "Trilinear", (3,), (False,)),
    )
    for n in ranks
    for smooth in smooths
}
RANKS = {"linear": 3, "bilinear": 4, "trilinear": 5}
AXES = {1: "L", 2: "HW", 3: "DHW"}


def check_sizes(ins, outs, shape):
    """RuntimeError for sizes of zero."""
    if min(*ins, *outs) <= 0:
        axes = ("W",) if len(ins) == 1 else AXES[len(ins)]
        before, after = [", ".join([f"{a}: {n}" for a, n in zip(axes, x)]) for x in (ins, outs)]
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({before}) output ({after})"
        )
    if not shape[1]:
        raise RuntimeError(f"Non-empty {len(shape)}D data tensor expected but got a tensor with sizes {list(shape)}")


def resized(input, outs, mode, align, scales, antialias):
    """Resize the dimensions behind the second with checked arguments."""
    found = input._layout
    n, dtype = found.ndim - 2, found.dtype
    ins = found.shape[2:]
    check_sizes(ins, outs, found.shape)
    near = mode.startswith("nearest")
    if not dtype.is_floating_point and dtype is not dt.uint8:
        layout = "_channels_last" if not antialias else ""
        raise NotImplementedError(
            f"\"upsample_{mode.replace('-', '_')}{n}d{layout}\" not implemented for '{dt.scalar_type(dtype)}'"
        )
    if not dtype.is_floating_point and not near:
        result = resized(input.to(dt.float32), outs, mode, align, scales, antialias)
        return result.round().clamp(0, 255).to(dtype)
    kind = dtype.compute if dtype.is_floating_point else dt.float32
    basic = "linear" if mode.endswith("linear") and not antialias else mode
    lines = [line(basic, i, o, align, s, antialias, kind) for i, o, s in zip(ins, outs, scales)]
    return NODES[mode, n, antialias](input, lines)


def asked_sizes(input, size, scale_factor, mode, recompute):
    """(output sizes, scale factors that count in the formulas)."""
    n, shape = input.dim() - 2, input._layout.shape
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if size is not None:
        if isinstance(size, (list, tuple)):
            if len(size) != n:
                raise ValueError(
                    "Input and output must have the same number of spatial dimensions, but got input with spatial "
                    f"dimensions of {list(shape[2:])} and output size of {size}. Please provide input tensor in (N, C, "
                    "d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) format."
                )
            for v in size:
                if isinstance(v, float):
                    raise TypeError(
                        "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int], but "
                        f"got size with types {[type(v) for v in size]}"
                    )
        else:
            if isinstance(size, (bool, float, str)):
                raise TypeError(f"interpolate(): argument 'size' must be int or tuple of ints, not "
                                f"{type(size).__name__}")
            size = [size] * n
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return [int(v) for v in size], [None] * n
    if isinstance(scale_factor, (list, tuple)):
        if len(scale_factor) != n:
            raise ValueError(
                "Input and scale_factor must have the same number of spatial dimensions, but got input with spatial "
                f"dimensions of {list(shape[2:])} and scale_factor of shape {scale_factor}. Please provide input "
                "tensor in (N, C, d1, d2, ...,dK) format and scale_factor in (s1, s2, ...,sK) format."
            )
        scales = [float(s) for s in scale_factor]
    else:
        scales = [float(scale_factor)] * n
    outs = [math.floor(i * s) for i, s in zip(shape[2:], scales)]
    return outs, [None] * n if recompute or mode == "area" else scales


MODES = "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact"


def check_mode(input, mode, align_corners, antialias):
    """The errors of modes that do not fit the input."""
    rank = input.dim()
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | "
                "trilinear"
            )
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and rank == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    known = {"nearest": (3, 4, 5), "nearest-exact": (3, 4, 5), "area": (3, 4, 5), "bicubic": (4,), "lanczos": (4,)}
    if mode in RANKS and rank in (3, 4, 5):
        if rank != RANKS[mode]:
            raise NotImplementedError(f"Got {rank}D input, but {mode} mode needs {RANKS[mode]}D input")
    elif rank not in known.get(mode, ()):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {rank}D) for the modes: {MODES} (got {mode})"
        )
    if mode == "lanczos" and not antialias:
        raise ValueError("lanczos mode requires antialias=True")


@public("nn.functional.interpolate", out=False)
def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """Resize the dimensions behind the second of (N, C, L), (N, C, H, W) or (N, C, D, H, W) to `size`, or by
    `scale_factor`.

    mode: "nearest", "nearest-exact", "linear" (3-d), "bilinear", "bicubic" (4-d), "trilinear" (5-d), "area".
    align_corners: the corner pixels of input and result coincide. ValueError and NotImplementedError as PyTorch's."""
    check_tensor("interpolate", input)
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        check_mode(input, mode, align_corners, False)
    outs, scales = asked_sizes(input, size, scale_factor, mode, recompute_scale_factor)
    check_mode(input, mode, align_corners, antialias)
    if mode == "area":
        pools = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
        return pools[input.dim() - 2](input, outs)
    return resized(input, outs, mode, bool(align_corners), scales, bool(antialias))


@public("nn.functional.upsample", out=False)
def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """`interpolate` under its old name."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


@public("nn.functional.upsample_nearest", out=False)
def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` in mode "nearest" under its old name."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode="nearest")


@public("nn.functional.upsample_bilinear", out=False)
def upsample_bilinear(input, size=None, scale_factor=None):
    """`interpolate` in mode "bilinear" with aligned corners under its old name."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
