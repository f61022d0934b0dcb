"""Discrete Fourier transforms: the three kinds that pocketfft computes, and `torch.fft` over them.

`c2c` (complex to complex), `r2c` (real to the first half of a Hermitian-symmetric spectrum) and `c2r` (back) are the
operators. Each transforms any number of dimensions in one call and scales the result; the gradient of each is one of
them. Everything else is padding, cropping and checks. Short-time transforms are in `stft`.

Many signals whose length has no large prime factor have a kernel of their own (codegen/cpu/rows/fft.py), one dimension
after the other. All others run on arrays (base/pocketfft.py): SciPy's pocketfft writes into the result's memory and
shares batches between threads; without SciPy NumPy's does the same work on one thread.
"""

import functools
import math

from ...base import pocketfft
from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import REGISTRY, apply, composed, public
from ...core.infer import wrap_dim
from ...core.kinds import Host, Kernel
from ...core.record import record
from ...core.tensor import Tensor
from ..basic.arithmetic import where
from ..basic.creation import arange, array_tensor
from ..basic.shape import roll
from ..basic.view import narrow

NOTHING, ROOT, WHOLE = range(3)  # the scale of a transform: 1, 1/sqrt(n), 1/n
SCALES = {"backward": (NOTHING, WHOLE), "ortho": (ROOT, ROOT), "forward": (WHOLE, NOTHING)}  # forward, inverse


# -- the three operators ----------------------------------------------------------------------------------------------


def _c2c_body(outs, ins, numbers, dims, forward, scale):
    pocketfft.c2c(ins[0], outs[0], dims, forward, scale)


def _r2c_body(outs, ins, numbers, dims, forward, scale):
    pocketfft.r2c(ins[0], outs[0], dims, forward, scale)


def _c2r_body(outs, ins, numbers, dims, forward, scale, size):
    pocketfft.c2r(ins[0], outs[0], dims, forward, scale)


def _half_weights(g, dim, size, inner):
    """g with the frequencies that stand for two multiplied by `inner`: all but the first, and the last if `size` is
    even."""
    count = g._layout.shape[dim]
    last = count - 1 if size % 2 == 0 else count
    at = [1] * g._layout.ndim
    at[dim] = count
    index = arange(count, device=g.device).reshape(at)
    return g * where((index > 0) & (index < last), inner, 1.0).to(g.dtype.to_real())


def _c2c_grad(g, dims, forward, scale):
    return c2c(g, dims, not forward, scale)


def _r2c_grad(g, dims, forward, scale, input_layout):
    return c2r(_half_weights(g, dims[-1], input_layout.shape[dims[-1]], 0.5), dims, not forward, scale,
               input_layout.shape[dims[-1]])


def _c2r_grad(g, dims, forward, scale, size):
    return _half_weights(r2c(g, dims, not forward, scale), dims[-1], size, 2.0)


PARAMS = ("input", "dims", "forward", "scale")
C2C = Host("fft_c2c", _c2c_body, grad={"input": _c2c_grad}, params=PARAMS, node="FftC2CBackward0", conjugates=True)
R2C = Host("fft_r2c", _r2c_body, grad={"input": _r2c_grad}, params=PARAMS, node="FftR2CBackward0", conjugates=True)
C2R = Host("fft_c2r", _c2r_body, grad={"input": _c2r_grad}, params=(*PARAMS, "size"), node="FftC2RBackward0",
           conjugates=True)


def fits_last(input, dim, size):
    """`is_native` for the last dimension of a `c2r`."""
    signals = math.prod(input._layout.shape) // max(input._layout.shape[dim], 1)
    return 1 < size <= LONGEST and signals >= FEWEST and smooth(size)


def _transform(op, input, shape, dtype, dims, forward, scale, *size):
    if is_native(input, dims if op is not C2R else dims[:-1]) and (op is not C2R or fits_last(input, dims[-1], *size)):
        return composed(op.rule, (input, dims, forward, scale, *size), lambda: native(
            op, input, shape, dtype, dims, forward, scale, *size))
    attrs = [("dims", dims), ("forward", forward), ("scale", scale), *[("size", n) for n in size]]
    attrs.append(("out", ((tuple(shape), dtype),)))
    return apply(op, (input, dims, forward, scale, *size), (input,), (), tuple(attrs))[0]


# -- many signals of a length that has no large prime factor ---------------------------------------


SIGNALS = Kernel("fft_signals", lower="rows.fft:lower_fft", reads=("any", "contiguous"))
FEWEST, LONGEST = 16, 4096  # signals; the longest of them


def is_native(input, dims):
    """Whether each of these dimensions is one that the kernel (codegen/cpu/rows/fft.py) is made for."""
    shape = input._layout.shape
    count = math.prod(shape)
    return all([1 < shape[d] <= LONGEST and count >= FEWEST * shape[d] and smooth(shape[d]) for d in dims])


@functools.lru_cache(4096)
def smooth(n):
    """Whether n has no prime factor above 13."""
    for p in (2, 3, 5, 7, 11, 13):
        while n % p == 0:
            n //= p
    return n == 1


@functools.lru_cache(256)
def roots(n, kind, sign, dtype):
    """exp(sign 2 pi i k / m), k < m, for the complex transform of length m that does the work; for real signals of even
    length n then exp(sign 2 pi i k / n), k <= n / 2."""
    half = kind != "c2c" and n % 2 == 0
    m = n // 2 if half else n
    turns = [np.arange(m) / m, np.arange(n // 2 + 1) / n if half else np.arange(0)]
    return array_tensor(np.exp(sign * 2j * np.pi * np.concatenate(turns)), dtype)


def along(kind, input, dim, shape, dtype, size, forward, scale):
    """Record the transforms along one dimension."""
    factor = (1.0, 1 / math.sqrt(size), 1 / size)[scale]
    sign = {"c2c": -1 if forward else 1, "r2c": -1, "c2r": 1}[kind]
    attrs = (("kind", kind), ("dim", dim), ("size", size), ("forward", forward), ("factor", factor),
             ("out", ((tuple(shape), dtype),)))
    return record(SIGNALS, "tt", attrs, (input, roots(size, kind, sign, dtype.to_complex()).to(input.device)))[0]


def native(op, input, shape, dtype, dims, forward, scale, size=None):
    """The transform as one along each dimension; the real one comes first (r2c) or last (c2r)."""
    sizes = input._layout.shape
    order = dims if op is C2R else dims[::-1]
    for d in order:
        kind = "c2c" if op is C2C or d != dims[-1] else "r2c" if op is R2C else "c2r"
        step = list(input._layout.shape)
        if kind == "r2c":
            step[d] = shape[d]
        elif kind == "c2r":
            step[d] = size
        length = size if kind == "c2r" else sizes[d]
        kept = dtype if kind == "c2r" else dtype.to_complex()
        input = along(kind, input, d, step, kept, length, forward, scale)
    return input


def c2c(input, dims, forward, scale):
    """The transform of complex numbers over `dims` (a tuple, none negative)."""
    if not dims:
        return input.clone()
    return _transform(C2C, input, input._layout.shape, input.dtype, dims, forward, scale)


def r2c(input, dims, forward, scale):
    """The transform of real numbers over `dims`; of the last one half of the frequencies, the others mirror them."""
    shape = list(input._layout.shape)
    shape[dims[-1]] = shape[dims[-1]] // 2 + 1
    return _transform(R2C, input, shape, input.dtype.to_complex(), dims, forward, scale)


def c2r(input, dims, forward, scale, size):
    """The inverse of `r2c`: `size` real numbers along the last of `dims` from half of their frequencies."""
    shape = list(input._layout.shape)
    shape[dims[-1]] = size
    return _transform(C2R, input, shape, input.dtype.to_real(), dims, forward, scale, size)


# -- arguments --------------------------------------------------------------------------------------------------------


def scale_of(norm, forward):
    """The scale that a `norm` argument means. RuntimeError for an unknown one."""
    if norm is None:
        norm = "backward"
    if norm not in SCALES:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return SCALES[norm][0 if forward else 1]


def operand(name, input, real=False, complex_=False):
    """The operand as a floating or complex tensor. RuntimeError for a dtype that has no transform."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    dtype = input.dtype
    if real and dtype.is_complex:
        raise RuntimeError(f"{name} expects a real input tensor, but got {dt.scalar_type(dtype)}")
    if dtype.category < dt.FLOATING:
        dtype = dt.get_default_dtype()
    if dtype.to_real() not in dt.COMPLEX_OF:
        raise RuntimeError(f"Unsupported dtype {dt.scalar_type(dtype)}")
    if complex_:
        dtype = dtype.to_complex()
    return REGISTRY["Tensor.to"](input, dtype)


def resized(input, dims, sizes):
    """The input cropped or padded with zeros to `sizes` along `dims` (None keeps one). RuntimeError for a size below
    1."""
    pad = [0] * (2 * input._layout.ndim)
    for d, n in zip(dims, sizes):
        have = input._layout.shape[d]
        if n is None:
            n = have
        if n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
        if n < have:
            input = narrow(input, d, 0, n)
        pad[2 * (input._layout.ndim - 1 - d) + 1] = max(0, n - have)
    return REGISTRY["nn.functional.pad"](input, pad) if any(pad) else input


def last_size(input, dim, n):
    """The length of a real result of which `input` holds half of the frequencies."""
    size = 2 * (input._layout.shape[dim] - 1) if n is None else n
    if size < 1:
        raise RuntimeError(f"Invalid number of data points ({size}) specified")
    return size


def one_dim(name, input, dim):
    if not input._layout.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return wrap_dim(dim, input._layout.ndim)


def many_dims(input, s, dim):
    """(dims, sizes) of a transform over several dimensions: None for sizes that stay. RuntimeErrors as PyTorch's."""
    rank = input._layout.ndim
    if dim is not None:
        given = [dim] if isinstance(dim, int) else list(dim)
        dims = tuple([one_dim("fftn", input, d) for d in given])
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
    if s is None:
        return (tuple(range(rank)) if dim is None else dims), [None] * (rank if dim is None else len(dims))
    sizes = [None if n == -1 else int(n) for n in ([s] if isinstance(s, int) else s)]
    if dim is None:
        if len(sizes) > rank:
            raise RuntimeError(f"Got shape with {len(sizes)} values but input tensor only has {rank} dimensions.")
        return tuple(range(rank - len(sizes), rank)), sizes
    if len(sizes) != len(dims):
        raise RuntimeError("When given, dim and shape arguments must have the same length")
    return dims, sizes


def need_axis(name, dims):
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")


def _full(name, input, dims, sizes, norm, forward):
    input = resized(operand(name, input, complex_=True), dims, sizes)
    return c2c(input, tuple(dims), forward, scale_of(norm, forward))


def _to_half(name, input, dims, sizes, norm, forward):
    need_axis(name, dims)
    input = resized(operand(name, input, real=True), dims, sizes)
    return r2c(input, tuple(dims), forward, scale_of(norm, forward))


def _from_half(name, input, dims, sizes, norm, forward):
    need_axis(name, dims)
    size = last_size(input, dims[-1], sizes[-1])
    input = resized(operand(name, input, complex_=True), dims, [*sizes[:-1], size // 2 + 1])
    return c2r(input, tuple(dims), forward, scale_of(norm, forward), size)


# -- torch.fft --------------------------------------------------------------------------------------------------------

TEXTS = {
    "fft": "The discrete Fourier transform along `dim`",
    "ifft": "The inverse discrete Fourier transform along `dim`",
    "rfft": "The first half of the discrete Fourier transform of a real signal along `dim`; the rest mirrors it",
    "irfft": "The real signal along `dim` of which `input` is the first half of the Fourier transform",
    "hfft": "The real Fourier transform along `dim` of a Hermitian-symmetric signal, given by its first half",
    "ihfft": "The inverse of `hfft`: the first half of the inverse Fourier transform of a real signal along `dim`",
}
KINDS = {"fft": (_full, True), "ifft": (_full, False), "rfft": (_to_half, True), "irfft": (_from_half, False),
         "hfft": (_from_half, True), "ihfft": (_to_half, False)}

DETAILS = """

    Args:
        input: the signal{kind}.
        {size}: the length of the transformed signal{many}: zeros are appended or the end is cut off. Default: as long
            as `input`{half}.
        {dim}: which dimension{many} to transform{default}.
        norm: "backward" (scale the inverse by 1/n, the default), "ortho" (1/sqrt(n) both ways) or "forward" (scale the
            forward transform by 1/n).

    Returns:
        A {result} tensor.
    """


def _document(function, name, many):
    """The docstring of one of the family."""
    plain = name.rstrip("n2")
    kind, _ = KINDS[plain]
    function.__name__ = name
    text = TEXTS[plain].replace("along `dim`", "over several dimensions") if many else TEXTS[plain]
    function.__doc__ = text + "." + DETAILS.format(
        kind=", real" if kind is _to_half else "", size="s" if many else "n", dim="dim", many="s" * many,
        half=", or 2 (n - 1) along the last dimension" if kind is _from_half else "",
        default=", the last by default" if not many else ", the last two by default" if name.endswith("2") else
        ", all by default, or as many of the last as `s` has", result="real" if kind is _from_half else "complex")
    return function


def _one(name):
    kind, forward = KINDS[name]

    def call(input, n=None, dim=-1, norm=None):
        at = one_dim(name, input, dim) if isinstance(input, Tensor) else dim
        return kind(name, input, (at,), (n,), norm, forward)
    return public(f"fft.{name}")(_document(call, name, False))


def _several(name, default):
    plain = name.rstrip("n2")
    kind, forward = KINDS[plain]

    def call(input, s=None, dim=default, norm=None):
        if not isinstance(input, Tensor):
            operand(name, input)
        dims, sizes = many_dims(input, s, dim)
        return kind(name, input, dims, sizes, norm, forward)
    return public(f"fft.{name}")(_document(call, name, True))


for _name in KINDS:
    _one(_name)
    _several(_name + "2", (-2, -1))
    _several(_name + "n", None)


def _frequencies(name, n, count, d, out, options):
    dtype = options.pop("dtype", None) or (out.dtype if out is not None else dt.get_default_dtype())
    if dtype.category < dt.FLOATING:
        raise RuntimeError(f"{name} requires a floating point or complex dtype")
    wanted = options.pop("requires_grad", False)
    index = arange(count, dtype=dtype, device=options.pop("device", None))
    if name == "fftfreq":
        index[(n + 1) // 2:] -= n
    found = index * (1.0 / (n * d))
    if out is not None:
        return out._make_room(found.shape).copy_(found)
    return found.requires_grad_(wanted)


@public("fft.fftfreq", out=False)
def fftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequencies of a transform of `n` samples that are `d` apart: 0, 1, ..., -2, -1 divided by n d.

    Example::

        >>> torch.fft.fftfreq(4)
        tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return _frequencies("fftfreq", n, n, d, out, dict(dtype=dtype, requires_grad=requires_grad))


@public("fft.rfftfreq", out=False)
def rfftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequencies of `rfft` of `n` samples that are `d` apart: 0, 1, ..., n // 2 divided by n d.

    Example::

        >>> torch.fft.rfftfreq(4)
        tensor([0.0000, 0.2500, 0.5000])
    """
    return _frequencies("rfftfreq", n, n // 2 + 1, d, out, dict(dtype=dtype, requires_grad=requires_grad))


def _shift_dims(input, dim):
    rank = input._layout.ndim
    dims = range(rank) if dim is None else [dim] if isinstance(dim, int) else dim
    return [wrap_dim(d, rank) for d in dims]


@public("fft.fftshift", out=False)
def fftshift(input, dim=None):
    """The frequencies of a transform in rising order: the zero frequency moves to the middle of each dimension."""
    dims = _shift_dims(input, dim)
    return roll(input, [input._layout.shape[d] // 2 for d in dims], dims)


@public("fft.ifftshift", out=False)
def ifftshift(input, dim=None):
    """The inverse of `fftshift`: the zero frequency moves from the middle of each dimension to the front."""
    dims = _shift_dims(input, dim)
    return roll(input, [-(input._layout.shape[d] // 2) for d in dims], dims)


