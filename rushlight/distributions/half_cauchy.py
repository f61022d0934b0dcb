"""The half Cauchy distribution."""
from math import inf

from ._half import Half
from .cauchy import Cauchy
from .transforms import AbsTransform

__all__ = ["HalfCauchy"]


class HalfCauchy(Half):
    """The absolute value of a Cauchy number around 0."""

    _parameters = ()

    def __init__(self, scale, validate_args=None):
        super().__init__(Cauchy(0, scale, validate_args=False), AbsTransform(), validate_args=validate_args)

    @property
    def mean(self):
        """Infinite."""
        return self._full(inf, self.scale)

    @property
    def variance(self):
        """Infinite."""
        return self.base_dist.variance
