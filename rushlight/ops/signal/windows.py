"""Window functions of signal processing: `torch.signal.windows.*`, `torch.hann_window` and its kin.

A window is a formula over the positions 0, 1, ..., M - 1 and the length of one period: M - 1 for a symmetric window, M
for a periodic one (A. Nuttall, Some windows with very good sidelobe behavior, 1981). Computed in float64.
"""

import inspect
import math

from ...core import dtype as dt
from ...core.declare import REGISTRY, public
from ..basic.creation import arange, ones


def _options(name, M, dtype, layout):
    """The dtype of a window. ValueError for a negative length, another dtype or layout."""
    dtype = dtype or dt.get_default_dtype()
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not None and repr(layout) != "torch.strided":
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if dtype not in (dt.float32, dt.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    return dtype


def _window(formula, M, sym, dtype, device, requires_grad, own):
    if M < 2:
        return ones(M, dtype=dtype, device=device, requires_grad=requires_grad)
    position = arange(M, dtype=dt.float64, device=device)
    return formula(position, M - 1 if sym else M, **own).to(dtype).requires_grad_(requires_grad)


def window(name, reported=None):
    """Declare a window from its formula(position, period, own parameters...); errors call it `reported`."""
    def declare(formula):
        own = list(inspect.signature(formula).parameters.values())[2:]
        allowed = {p.name for p in own}
        required = [p.name for p in own if p.default is p.empty]

        def function(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False, **given):
            for key in given:
                if key not in allowed:
                    raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
            for key in required:
                if key not in given:
                    raise TypeError(f"{name}() missing 1 required keyword-only argument: '{key}'")
            dtype = _options(reported or name, M, dtype, layout)
            check = CHECKS.get(name)
            if check is not None:
                check(sym, **given)
            return _window(formula, M, sym, dtype, device, requires_grad, given)
        function.__name__ = function.__qualname__ = name
        function.__doc__ = formula.__doc__
        common = [p for p in inspect.signature(function).parameters.values() if p.kind != p.VAR_KEYWORD]
        mine = [p.replace(kind=p.KEYWORD_ONLY) for p in own]
        function.__signature__ = inspect.Signature([common[0], *mine, *common[1:]])
        REGISTRY[f"signal.windows.{name}"] = function
        return formula
    return declare


def cosines(position, period, coefficients):
    """a0 - a1 cos(t) + a2 cos(2 t) - ..., t once around in a period."""
    turn = position * (2 * math.pi / period)
    return sum([(turn * i).cos() * (a if i % 2 == 0 else -a) for i, a in enumerate(coefficients)])


@window("general_cosine")
def general_cosine(position, period, a):
    """The sum of cosines with the coefficients `a`, their signs alternating."""
    return cosines(position, period, a)


@window("general_hamming", "general_cosine")
def general_hamming(position, period, alpha=0.54):
    """alpha - (1 - alpha) cos(t)."""
    return cosines(position, period, (alpha, 1 - alpha))


@window("hamming", "general_cosine")
def hamming(position, period):
    """0.54 - 0.46 cos(t)."""
    return cosines(position, period, (0.54, 0.46))


@window("hann", "general_cosine")
def hann(position, period):
    """0.5 - 0.5 cos(t)."""
    return cosines(position, period, (0.5, 0.5))


@window("blackman")
def blackman(position, period):
    """Blackman's three cosines."""
    return cosines(position, period, (0.42, 0.5, 0.08))


@window("nuttall", "general_cosine")
def nuttall(position, period):
    """Nuttall's four cosines, the first with a continuous derivative."""
    return cosines(position, period, (0.3635819, 0.4891775, 0.1365995, 0.0106411))


@window("bartlett")
def bartlett(position, period):
    """A triangle from 0 to 1 to 0."""
    return 1 - (position * (2 / period) - 1).abs()


@window("cosine")
def cosine(position, period):
    """Half a period of the sine, between the zeros."""
    return ((position + 0.5) * (math.pi / (period + 1))).sin()


@window("exponential")
def exponential(position, period, center=None, tau=1.0):
    """exp(-|position - center| / tau)."""
    return (-(position - (period / 2 if center is None else center)).abs() / tau).exp()


@window("gaussian")
def gaussian(position, period, std=1.0):
    """exp(-(distance from the middle / std)**2 / 2)."""
    return (((position - period / 2) / std) ** 2 * -0.5).exp()


@window("kaiser")
def kaiser(position, period, beta=12.0):
    """I0(beta sqrt(1 - x**2)) / I0(beta), x from -1 to 1."""
    x = position * (2 / period) - 1
    i0 = REGISTRY["special.i0"]
    return i0((1 - x * x).clamp(min=0).sqrt() * beta) / i0(position.new_full((), beta))


def _check_exponential(sym, center=None, tau=1.0):
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")


def _check_gaussian(sym, std=1.0):
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")


def _check_kaiser(sym, beta=12.0):
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")


def _check_cosines(sym, a):
    if not hasattr(a, "__iter__"):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")


CHECKS = {"exponential": _check_exponential, "gaussian": _check_gaussian, "kaiser": _check_kaiser,
          "general_cosine": _check_cosines}


# -- the older names -------------------------------------------------------------------------------------------------


def _older(name, formula, window_length, periodic, dtype, layout, device, requires_grad, **own):
    if window_length < 0:
        raise RuntimeError(f"{name}: requires non-negative window_length, got window_length={window_length}")
    dtype = dtype or dt.get_default_dtype()
    if dtype.category < dt.FLOATING:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dt.scalar_type(dtype)}")
    return _window(formula, window_length, not periodic, dtype, device, requires_grad, own)


@public("torch.hann_window", out=False)
def hann_window(window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False,
                requires_grad=False):
    """0.5 - 0.5 cos(t)."""
    return _older("hann_window", hann, window_length, periodic, dtype, layout, device, requires_grad)


@public("torch.hamming_window", out=False)
def hamming_window(window_length, periodic=True, alpha=0.54, beta=0.46, *, dtype=None, layout=None, device=None,
                   pin_memory=False, requires_grad=False):
    """alpha - beta cos(t)."""
    return _older("hamming_window", cosines, window_length, periodic, dtype, layout, device, requires_grad,
                  coefficients=(alpha, beta))


@public("torch.blackman_window", out=False)
def blackman_window(window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False,
                    requires_grad=False):
    """0.42 - 0.5 cos(t) + 0.08 cos(2 t)."""
    return _older("blackman_window", cosines, window_length, periodic, dtype, layout, device, requires_grad,
                  coefficients=(0.42, 0.5, 0.08))


@public("torch.bartlett_window", out=False)
def bartlett_window(window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False,
                    requires_grad=False):
    """A triangle from 0 to 1 to 0."""
    return _older("bartlett_window", bartlett, window_length, periodic, dtype, layout, device,
                  requires_grad)


@public("torch.kaiser_window", out=False)
def kaiser_window(window_length, periodic=True, beta=12.0, *, dtype=None, layout=None, device=None, pin_memory=False,
                  requires_grad=False):
    """I0(beta sqrt(1 - x**2)) / I0(beta), x from -1 to 1."""
    return _older("kaiser_window", kaiser, window_length, periodic, dtype, layout, device, requires_grad,
                  beta=beta)
