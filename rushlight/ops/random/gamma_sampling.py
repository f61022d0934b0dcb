"""Samples whose parameters have gradients: gamma and Dirichlet; and binomial.

Takes shapes, or numbers of trials and probabilities; returns samples of the generator's draws, in PyTorch's order.
Gradients are implicit: see Note [Implicit reparameterisation] in codegen/math/sample_gradients.py.

Read `random` and `sampling` first.
"""

from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import elementwise, public
from ...core.kinds import Kernel
from ..basic.creation import empty_like
from .generator import draw
from .random import check_floating, zero_gradient

GAMMA = Kernel("standard_gamma", layouts=rules.strided, lower="rows.sampling:lower_gamma", reads=("contiguous",) * 2)
BINOMIAL = Kernel("binomial", layouts=rules.strided, lower="rows.sampling:lower_binomial", reads=("contiguous",) * 3)


def _out(tensor):
    found = tensor._layout
    strides = tensor.contiguous()._layout.strides
    return (tuple(found.shape), strides, found.dtype)


# -- samples -------------------------------------------------------------------------------------------------


def _gamma_gradient(g, input, out):
    return g * standard_gamma_grad(input, out)


@public("_standard_gamma", grad={"input": _gamma_gradient}, node="StandardGammaBackward0", out=False)
def standard_gamma(input, generator=None):
    """A gamma number of rate 1 for each shape (concentration); differentiable in the shape."""
    check_floating(input.dtype, "gamma_cpu")
    if not input.numel():
        return empty_like(input)
    shapes = input.detach().contiguous()
    return draw(GAMMA, generator, (_out(shapes),), input.device, "tt", (shapes,))[0]


def _dirichlet_gradient(g, input, out):
    total = input.sum(-1, keepdim=True).expand_as(input)
    slope = dirichlet_grad(out, input, total)
    return slope * (g - (out * g).sum(-1, keepdim=True))


@public("_sample_dirichlet", grad={"input": _dirichlet_gradient}, node="DirichletBackward0", out=False)
def sample_dirichlet(input, generator=None):
    """A point of the simplex for each row of concentrations: gamma numbers divided by their sum, inside of (0, 1)."""
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
        return empty_like(totals)
    return draw(BINOMIAL, generator, (_out(totals),), count.device, "ttt", (totals, chances))[0]


# -- gradients -----------------------------------------------------------------------------------------------


@elementwise("_standard_gamma_grad Tensor._standard_gamma_grad", promote="default", dtypes="floating", heavy=True,
             tensors=2)
def standard_gamma_grad(k, input, output):
    """The derivative of a standard gamma number `output` in its shape `input`."""
    return k.gamma_slope(input, output)


@elementwise("Tensor._beta_slope", promote="default", dtypes="floating", heavy=True, tensors=3)
def beta_slope(k, x, alpha, beta):
    """The derivative of a beta number x of (alpha, beta) in alpha, divided by 1 - x."""
    return k.beta_slope(x, alpha, beta)


@public("_dirichlet_grad", out=False)
def dirichlet_grad(x, alpha, total):
    """The derivative of a beta number x of (alpha, total - alpha) in alpha, divided by 1 - x."""
    return beta_slope(x, alpha, total - alpha)
