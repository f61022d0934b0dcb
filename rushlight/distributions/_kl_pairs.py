"""Divergences between distributions of different families, entered into the table of kl.py."""
import math
from math import inf

from .. import api as rl
from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .continuous_bernoulli import ContinuousBernoulli
from .exponential import Exponential
from .gamma import Gamma
from .gumbel import Gumbel
from .kl import register_kl
from .laplace import Laplace
from .normal import Normal
from .pareto import Pareto
from .poisson import Poisson
from .uniform import Uniform
from .utils import euler_constant


def _infinite(pairs, parameter):
    """Enter pairs whose second density vanishes on a part of the first support."""
    def formula(p, q):
        return rl.full_like(getattr(p, parameter), inf)

    for pair in pairs:
        register_kl(*pair)(formula)


_infinite([(Beta, Pareto)], "concentration1")
_infinite([(ContinuousBernoulli, Pareto)], "probs")
_infinite([(Exponential, q) for q in (Beta, ContinuousBernoulli, Pareto, Uniform)], "rate")
_infinite([(Gamma, q) for q in (Beta, ContinuousBernoulli, Pareto, Uniform)], "concentration")
_infinite([(p, q) for p in (Gumbel, Laplace, Normal)
           for q in (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)], "loc")
_infinite([(Pareto, q) for q in (Beta, ContinuousBernoulli, Uniform)], "scale")
_infinite([(Poisson, q) for q in (Bernoulli, Binomial)], "rate")


def _x_log_x(x):
    return rl.special.xlogy(x, x)


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p, q):
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, ContinuousBernoulli)
def _beta_continuous_bernoulli(p, q):
    return -p.entropy() - p.mean * q.logits - rl.log1p(-q.probs) - q._cont_bern_log_norm()


@register_kl(Beta, Exponential)
def _beta_exponential(p, q):
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Gamma)
def _beta_gamma(p, q):
    log_mean = p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    return (-p.entropy() + q.concentration.lgamma() - q.concentration * q.rate.log() - (q.concentration - 1) * log_mean
            + q.rate * p.mean)


@register_kl(Beta, Normal)
def _beta_normal(p, q):
    variance = q.scale.pow(2)
    square = (p.variance + p.mean.pow(2)) * 0.5 - q.loc * p.mean + q.loc.pow(2) * 0.5
    return -p.entropy() + 0.5 * (variance * 2 * math.pi).log() + square / variance


@register_kl(Beta, Uniform)
def _beta_uniform(p, q):
    return rl.where((q.low > 0) | (q.high < 1), inf, -p.entropy() + (q.high - q.low).log())


@register_kl(ContinuousBernoulli, Exponential)
def _continuous_bernoulli_exponential(p, q):
    return -p.entropy() - rl.log(q.rate) + q.rate * p.mean


@register_kl(ContinuousBernoulli, Normal)
def _continuous_bernoulli_normal(p, q):
    norm = 0.5 * (math.log(2.0 * math.pi) + rl.square(q.loc / q.scale)) + rl.log(q.scale)
    return -p.entropy() + norm + (p.variance + p.mean.square() - 2.0 * q.loc * p.mean) / (2.0 * q.scale.square())


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_bernoulli_uniform(p, q):
    return rl.where((q.low >= 0) | (q.high <= 1), inf, -p.entropy() + (q.high - q.low).log())


@register_kl(Exponential, Gamma)
def _exponential_gamma(p, q):
    ratio = q.rate / p.rate
    return (-q.concentration * rl.log(ratio) + ratio + q.concentration.lgamma() + q.concentration * euler_constant
            - (1 + euler_constant))


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p, q):
    product, ratio = p.rate * q.scale, q.loc / q.scale
    return product.log() - 1 - ratio + rl.exp(ratio) * product / (product + 1) + product.reciprocal()


@register_kl(Exponential, Normal)
def _exponential_normal(p, q):
    variance, square = q.scale.pow(2), p.rate.pow(2)
    return (0.5 * rl.log(square * variance * 2 * math.pi) - 1
            + (square.reciprocal() - q.loc / p.rate + q.loc.pow(2) * 0.5) / variance)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p, q):
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p, q):
    product, ratio = p.rate * q.scale, q.loc / q.scale
    own = (p.concentration - 1) * p.concentration.digamma() - p.concentration.lgamma() - p.concentration
    return (own + product.log() + p.concentration / product
            + rl.exp(ratio) * (1 + product.reciprocal()).pow(-p.concentration) - ratio)


@register_kl(Gamma, Normal)
def _gamma_normal(p, q):
    variance, square, a = q.scale.pow(2), p.rate.pow(2), p.concentration
    moments = 0.5 * (a.pow(2) + a) / square - q.loc * a / p.rate + 0.5 * q.loc.pow(2)
    return (0.5 * rl.log(square * variance * 2 * math.pi) - a - a.lgamma() + (a - 1) * a.digamma()
            + moments / variance)


@register_kl(Gumbel, Normal)
def _gumbel_normal(p, q):
    ratio = p.scale / q.scale
    distance = ((p.loc + p.scale * euler_constant - q.loc) / q.scale).pow(2) * 0.5
    return (-(ratio / math.sqrt(2 * math.pi)).log() + (math.pi * ratio * 0.5).pow(2) / 3 + distance
            - (euler_constant + 1))


@register_kl(Laplace, Normal)
def _laplace_normal(p, q):
    variance = q.scale.pow(2)
    ratio = p.scale.pow(2) / variance
    distance = 0.5 * p.loc.pow(2) - p.loc * q.loc + 0.5 * q.loc.pow(2)
    return -0.5 * rl.log(2 * ratio / math.pi) + ratio + distance / variance - 1


@register_kl(Normal, Gumbel)
def _normal_gumbel(p, q):
    own, square, its = p.loc / q.scale, (p.scale / q.scale).pow(2), q.loc / q.scale
    return (-square.log() * 0.5 + own - its + rl.exp(-own + 0.5 * square + its)
            - 0.5 * (1 + math.log(2 * math.pi)))


@register_kl(Normal, Laplace)
def _normal_laplace(p, q):
    distance = p.loc - q.loc
    scaled = distance / p.scale
    spread = math.sqrt(2 / math.pi) * p.scale * rl.exp(-0.5 * scaled.pow(2))
    mean = spread + distance * rl.erf(math.sqrt(0.5) * scaled)
    return -rl.log(p.scale / q.scale) + mean / q.scale - 0.5 * (1 + math.log(0.5 * math.pi))


@register_kl(Pareto, Exponential)
def _pareto_exponential(p, q):
    product = p.scale * q.rate
    kl = (p.alpha / product).log() - p.alpha.reciprocal() + p.alpha * product / (p.alpha - 1) - 1
    return rl.where(p.alpha <= 1, inf, kl)


@register_kl(Pareto, Gamma)
def _pareto_gamma(p, q):
    log_mean = p.scale.log() + p.alpha.reciprocal()
    kl = (p.alpha.log() - log_mean + q.concentration.lgamma() - q.concentration * q.rate.log()
          + (1 - q.concentration) * log_mean + q.rate * p.alpha * p.scale / (p.alpha - 1) - 1)
    return rl.where(p.alpha <= 1, inf, kl)


@register_kl(Pareto, Normal)
def _pareto_normal(p, q):
    part = p.scale / (p.alpha - 1)
    moments = p.alpha * part.pow(2) / (p.alpha - 2) + (p.alpha * part - q.loc).pow(2)
    kl = ((math.sqrt(2 * math.pi) * q.scale * p.alpha / p.scale).log() - p.alpha.reciprocal()
          + moments / (2 * q.scale.pow(2)) - 1)
    return rl.where(p.alpha <= 2, inf, kl)


@register_kl(Uniform, Beta)
def _uniform_beta(p, q):
    width = p.high - p.low
    one = (q.concentration1 - 1) * (_x_log_x(p.high) - _x_log_x(p.low) - width) / width
    zero = (q.concentration0 - 1) * (_x_log_x(1 - p.high) - _x_log_x(1 - p.low) + width) / width
    beta = q.concentration1.lgamma() + q.concentration0.lgamma() - (q.concentration1 + q.concentration0).lgamma()
    return rl.where((p.high > 1) | (p.low < 0), inf, zero + beta - rl.log(width) - one)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p, q):
    kl = -p.entropy() - p.mean * q.logits - rl.log1p(-q.probs) - q._cont_bern_log_norm()
    return rl.where((p.high >= 1) | (p.low <= 0), inf, kl)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p, q):
    kl = q.rate * (p.high + p.low) / 2 - ((p.high - p.low) * q.rate).log()
    return rl.where(p.low < 0, inf, kl)


@register_kl(Uniform, Gamma)
def _uniform_gamma(p, q):
    width = p.high - p.low
    logs = (1 - q.concentration) * (_x_log_x(p.high) - _x_log_x(p.low) - width) / width
    kl = (-width.log() + q.concentration.lgamma() - q.concentration * q.rate.log() + logs
          + q.rate * (p.high + p.low) / 2)
    return rl.where(p.low < 0, inf, kl)


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p, q):
    part, high, low = q.scale / (p.high - p.low), (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    return part.log() + 0.5 * (high + low) - part * (rl.exp(-high) - rl.exp(-low))


@register_kl(Uniform, Normal)
def _uniform_normal(p, q):
    width = p.high - p.low
    square = width.pow(2) / 12 + ((p.high + p.low - 2 * q.loc) / 2).pow(2)
    return (math.sqrt(math.pi * 2) * q.scale / width).log() + 0.5 * square / q.scale.pow(2)


@register_kl(Uniform, Pareto)
def _uniform_pareto(p, q):
    width = p.high - p.low
    norm = (q.alpha * q.scale.pow(q.alpha) * width).log()
    kl = (_x_log_x(p.high) - _x_log_x(p.low) - width) / width * (q.alpha + 1) - norm
    return rl.where(p.low < q.scale, inf, kl)
