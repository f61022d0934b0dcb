"""The geometric distribution: failures before the first success."""
from .. import api as rl
from ..nn.functional import binary_cross_entropy_with_logits
from . import constraints
from ._probs_or_logits import ProbsOrLogits
from .distribution import Distribution
from .utils import broadcast_all

__all__ = ["Geometric"]


class Geometric(ProbsOrLogits, Distribution):
    """How many trials fail before the first success.

    Args:
        probs: the probability of a success, in (0, 1].
        logits: its log odds, instead of `probs`.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer
    _parameters = ("probs", "logits", "_param")

    def __init__(self, probs=None, logits=None, validate_args=None):
        self._choose(probs, logits)
        Distribution.__init__(self, self._param.size(), validate_args=validate_args)
        if self._validate_args and probs is not None:
            valid = self.probs > 0
            if not valid.all():
                raise ValueError(
                    f"Expected parameter probs ({type(self.probs).__name__} of shape {tuple(self.probs.shape)}) of "
                    f"distribution {self!r} to be positive but found invalid values:\n{self.probs.data[~valid]}")

    @property
    def mean(self):
        """1 / probs - 1."""
        return 1.0 / self.probs - 1.0

    @property
    def mode(self):
        """0."""
        return rl.zeros_like(self.probs)

    @property
    def variance(self):
        """(1 / probs - 1) / probs."""
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape=rl.Size()):
        """Numbers of failures."""
        tiny = rl.finfo(self.probs.dtype).tiny
        with rl.no_grad():
            u = self.probs.new(self._extended_shape(sample_shape)).uniform_(tiny, 1)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value):
        """The logarithm of the probability of `value` failures."""
        self._check(value)
        value, probs = broadcast_all(value, self.probs)
        probs = rl.where((probs == 1) & (value == 0), 0.0, probs)
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self):
        """The expectation of -log_prob."""
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs
