"""The von Mises distribution: an angle."""
import math

from .. import api as rl
from . import constraints
from .distribution import Distribution
from .utils import lazy_property

__all__ = ["VonMises"]


def _log_bessel(x, order):
    """log I0(x) or log I1(x), from the scaled functions, which do not overflow."""
    scaled = rl.special.i0e(x) if order == 0 else rl.special.i1e(x)
    return scaled.log() + x


def _rejection_sample(loc, concentration, proposal_r, x):
    """Angles by Best and Fisher's rejection (1979) from a wrapped Cauchy distribution; `x` gives shape and dtype."""
    done = rl.zeros(x.shape, dtype=rl.bool, device=loc.device)
    while not done.all():
        u1, u2, u3 = rl.rand((3,) + tuple(x.shape), dtype=loc.dtype, device=loc.device).unbind()
        z = rl.cos(math.pi * u1)
        f = (1 + proposal_r * z) / (proposal_r + z)
        c = concentration * (proposal_r - f)
        accept = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
        x = rl.where(accept, (u3 - 0.5).sign() * f.acos(), x)
        done = done | accept
    return (x + math.pi + loc) % (2 * math.pi) - math.pi


class VonMises(Distribution):
    """Density proportional to exp(concentration * cos(x - loc)) for angles x.

    Args:
        loc: the mean angle in radians.
        concentration: the larger, the nearer to `loc`.
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _parameters = ("loc", "concentration")

    def __init__(self, loc, concentration, validate_args=None):
        self._start(validate_args, loc=loc, concentration=concentration)

    def log_prob(self, value):
        """The logarithm of the density."""
        self._check(value)
        cosine = self.concentration * rl.cos(value - self.loc)
        return cosine - math.log(2 * math.pi) - _log_bessel(self.concentration, 0)

    @lazy_property
    def _loc(self):
        return self.loc.double()

    @lazy_property
    def _concentration(self):
        return self.concentration.double()

    @lazy_property
    def _proposal_r(self):
        kappa = self._concentration
        tau = 1 + (1 + 4 * kappa**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        return rl.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))

    def sample(self, sample_shape=rl.Size()):
        """Angles in [-pi, pi)."""
        with rl.no_grad():
            x = rl.empty(self._extended_shape(sample_shape), dtype=self._loc.dtype, device=self.loc.device)
            return _rejection_sample(self._loc, self._concentration, self._proposal_r, x).to(self.loc.dtype)

    @property
    def mean(self):
        """loc."""
        return self.loc

    @property
    def mode(self):
        """loc."""
        return self.loc

    @lazy_property
    def variance(self):
        """The circular variance: 1 - I1(concentration) / I0(concentration)."""
        return 1 - (_log_bessel(self.concentration, 1) - _log_bessel(self.concentration, 0)).exp()
