"""Samples whose parameters have gradients: gamma and Dirichlet; and binomial.

Takes shapes, or numbers of trials and probabilities; returns samples of the generator's draws, in PyTorch's order.

Note [Implicit reparameterisation]
A sample x of a distribution with the cumulative function F(x; a) moves with its parameter as
dx/da = -(dF/da) / (dF/dx). For gamma and beta, F is a prefactor times a series of positive terms (or a continued
fraction), which is differentiated term by term: `_gamma_terms` and `_beta_terms` return the sum and its derivative, and
the rest is closed form. Read `random` and `sampling` first.
"""

from ..base.lazy import numpy as np

from ..core import dtype as dt
from ..core import infer as rules
from ..core.declare import REGISTRY, operator, public
from ..core.record import record
from .generator import draw
from .random import check_floating, zero_gradient

MOST_TERMS = 100_000  # of a series; large parameters need about ten square roots of them

GAMMA = operator("standard_gamma", "native", rules.strided, lower="random_gamma", reads=("contiguous",) * 2)
BINOMIAL = operator("binomial", "native", rules.strided, lower="random_binomial", reads=("contiguous",) * 3)


def _out(tensor):
    found = tensor._layout
    strides = tensor.contiguous()._layout.strides
    return (tuple(found.shape), strides, found.dtype)


# -- samples -------------------------------------------------------------------------------------------------


def _gamma_gradient(g, input, out):
    return g * REGISTRY["_standard_gamma_grad"](input, out)


@public("_standard_gamma", grad={"input": _gamma_gradient}, node="StandardGammaBackward0", out=False)
def standard_gamma(input, generator=None):
    """A gamma number of rate 1 for each shape (concentration); differentiable in the shape."""
    check_floating(input.dtype, "gamma_cpu")
    if not input.numel():
        return REGISTRY["empty_like"](input)
    shapes = input.detach().contiguous()
    return draw(GAMMA, generator, (_out(shapes),), "tt", (shapes,))[0]


def _dirichlet_gradient(g, input, out):
    total = input.sum(-1, keepdim=True).expand_as(input)
    slope = REGISTRY["_dirichlet_grad"](out, input, total)
    return slope * (g - (out * g).sum(-1, keepdim=True))


@public("_sample_dirichlet", grad={"input": _dirichlet_gradient}, node="DirichletBackward0", out=False)
def sample_dirichlet(input, generator=None):
    """A point of the simplex for each row of concentrations: gamma numbers over their sum, all inside of (0, 1)."""
    check_floating(input.dtype, "dirichlet")
    shares = standard_gamma(input.detach().double(), generator)
    shares = (shares / shares.sum(-1, keepdim=True)).to(input.dtype)
    info = dt.finfo(input.dtype)
    return shares.clamp(min=info.tiny, max=1 - info.eps / 2)


@public("torch.binomial", grad={"count": zero_gradient, "prob": zero_gradient}, node="BinomialBackward0", out=False)
def binomial(count, prob, generator=None):
    """The successes among `count` trials of probability `prob`, for each element of both."""
    if count.dtype is not prob.dtype:
        raise RuntimeError(f"Found dtype {dt.scalar_type(prob.dtype)} but expected {dt.scalar_type(count.dtype)}")
    check_floating(count.dtype, "binomial_cpu")
    shape = rules.broadcast_shapes(count.shape, prob.shape)
    totals, chances = count.detach().expand(shape).contiguous(), prob.detach().expand(shape).contiguous()
    if not totals.numel():
        return REGISTRY["empty_like"](totals)
    return draw(BINOMIAL, generator, (_out(totals),), "ttt", (totals, chances))[0]


# -- gradients -----------------------------------------------------------------------------------------------


def _sums(terms, *parameters):
    """Two sums over the arrays that the generator `terms` yields, until the last ones add nothing any more."""
    total, slope = np.zeros(parameters[0].shape), np.zeros(parameters[0].shape)
    for count, (term, change) in enumerate(terms):
        total += term
        slope += change
        small = np.abs(term) <= 1e-17 * np.abs(total)
        if count > 1 and np.all((small & (np.abs(change) <= 1e-17 * np.abs(slope))) | ~np.isfinite(term)):
            break
        if count == MOST_TERMS:
            break
    return total, slope


def _gamma_terms(outs, ins, numbers):
    """Of the lower series where x < a + 1, else of the continued fraction of the upper function: value and d/da."""
    a, x = (array.astype(np.float64).reshape(-1) for array in ins)
    value, slope = np.empty(a.shape), np.empty(a.shape)
    low = ~(x >= a + 1)
    with np.errstate(all="ignore"):
        value[low], slope[low] = _sums(_lower_series(a[low], x[low]), a[low])
        value[~low], slope[~low] = _upper_fraction(a[~low], x[~low])
    for out, found in zip(outs, (value, slope)):
        out[...] = found.reshape(out.shape)


def _lower_series(a, x):
    """The terms x**n / ((a + 1) ... (a + n)), and their derivatives."""
    term, harmonic, n = np.ones_like(a), np.zeros_like(a), 0
    while True:
        yield term, -term * harmonic
        n += 1
        term = term * (x / (a + n))
        harmonic = harmonic + 1 / (a + n)


def _upper_fraction(a, x):
    """1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / ...)) by forward recurrence, and its derivative."""
    one, zero = np.ones_like(a), np.zeros_like(a)
    # convergents p / q, the ones before them, and their derivatives
    p, q, dp, dq = one, x + 1 - a, zero, -one
    before = (zero, one, zero, zero)
    value, slope = p / q, -dq / (q * q)
    for n in range(1, MOST_TERMS):
        factor, base = -n * (n - a), x + 2 * n + 1 - a
        p0, q0, dp0, dq0 = before
        before = (p, q, dp, dq)
        p, q, dp, dq = (base * p + factor * p0, base * q + factor * q0,
                        base * dp - p + factor * dp0 + n * p0, base * dq - q + factor * dq0 + n * q0)
        scale = 1 / q
        p, q, dp, dq = (part * scale for part in (p, q, dp, dq))
        before = tuple(part * scale for part in before)
        last, last_slope = value, slope
        value, slope = p, dp - p * dq
        still = np.abs(slope - last_slope) <= 1e-15 * np.abs(slope)
        if np.all((np.abs(value - last) <= 1e-16 * np.abs(value)) & still | ~np.isfinite(value)):
            break
    return value, slope


def _beta_terms(outs, ins, numbers):
    """The series of the incomplete beta function at `x` for (a, b), its derivatives in a and in b."""
    x, a, b = (array.astype(np.float64).reshape(-1) for array in ins)
    with np.errstate(all="ignore"):
        value, slope = _sums(_beta_series(x, a, b, 1), a)
        _, second = _sums(_beta_series(x, a, b, 0), a)
    for out, found in zip(outs, (value, slope, second)):
        out[...] = found.reshape(out.shape)


def _beta_series(x, a, b, both):
    """The terms of x**n (a + b) ... (a + b + n - 1) / ((a + 1) ... (a + n)), and their derivatives in a (both) or b."""
    term, change, n = np.ones_like(a), np.zeros_like(a), 0
    while True:
        yield term, term * change
        term = term * (x * (a + b + n) / (a + 1 + n))
        change = change + 1 / (a + b + n) - both / (a + 1 + n)
        n += 1


GAMMA_TERMS = operator("gamma_terms", "host", rules.explicit, _gamma_terms)
BETA_TERMS = operator("beta_terms", "host", rules.explicit, _beta_terms)


def _arrays(*tensors):
    """Detached doubles of one shape, and the shape."""
    shape = rules.broadcast_shapes(*(t.shape for t in tensors))
    return [t.detach().double().expand(shape).contiguous() for t in tensors], tuple(shape)


@public("_standard_gamma_grad", out=False)
def standard_gamma_grad(self, output):
    """The derivative of a standard gamma sample `output` in its shape `self`. Note [Implicit reparameterisation]."""
    (a, x), shape = _arrays(self, output)
    if not x.numel():
        return REGISTRY["empty_like"](output)
    value, slope = record(GAMMA_TERMS, "tt", (("out", ((shape, dt.float64),) * 2),), (a, x))
    low = (x * value + x * slope) * 0  # keeps not-a-number of either
    log, digamma = REGISTRY["log"](x), REGISTRY["digamma"]
    below = -(x / a) * (value * (log - digamma(a + 1)) + slope)
    above = x * (value * (log - digamma(a)) + slope)
    return (REGISTRY["where"](x < a + 1, below, above) + low).to(output.dtype)


@public("_dirichlet_grad", out=False)
def dirichlet_grad(x, alpha, total):
    """The derivative of a beta sample `x` of (alpha, total - alpha) in alpha, divided by 1 - x."""
    (p, a, s), shape = _arrays(x, alpha, total)
    if not p.numel():
        return REGISTRY["empty_like"](x)
    where, digamma = REGISTRY["where"], REGISTRY["digamma"]
    b = s - a
    low = p * (s + 2) <= a + 1
    terms = (where(low, p, 1 - p), where(low, a, b), where(low, b, a))
    value, first, second = record(BETA_TERMS, "ttt", (("out", ((shape, dt.float64),) * 3),), terms)
    logarithm = REGISTRY["log"](p) + digamma(s)
    below = -(p / a) * (value * (logarithm - digamma(a + 1)) + first)
    above = (p / b) * (value * (logarithm - digamma(a)) + second)
    return where(low, below, above).to(x.dtype)
