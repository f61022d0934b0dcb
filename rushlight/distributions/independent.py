"""Batch dimensions that become part of the event."""
from .. import api as rl
from . import constraints
from .distribution import Distribution
from .utils import _sum_rightmost

__all__ = ["Independent"]


class Independent(Distribution):
    """A distribution whose last `reinterpreted_batch_ndims` batch dimensions belong to the event: `log_prob` sums over
    them. ValueError if it has fewer."""

    arg_constraints = {}
    _parameters = ()

    def __init__(self, base_distribution, reinterpreted_batch_ndims, validate_args=None):
        dims = len(base_distribution.batch_shape)
        if reinterpreted_batch_ndims > dims:
            raise ValueError("Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                             f"{reinterpreted_batch_ndims} vs {dims}")
        shape = base_distribution.batch_shape + base_distribution.event_shape
        cut = dims - reinterpreted_batch_ndims
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        Distribution.__init__(self, shape[:cut], shape[cut:], validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        """With the batch dimensions that are left expanded."""
        new = self._get_checked_instance(Independent, _instance)
        inner = rl.Size(batch_shape) + self.event_shape[:self.reinterpreted_batch_ndims]
        new.base_dist = self.base_dist.expand(inner)
        return super().expand(batch_shape, new)

    @property
    def has_rsample(self):
        """As the distribution inside."""
        return self.base_dist.has_rsample

    @property
    def has_enumerate_support(self):
        """As the distribution inside, if no dimension is reinterpreted."""
        return not self.reinterpreted_batch_ndims and self.base_dist.has_enumerate_support

    @constraints.dependent_property
    def support(self):
        """That of the distribution inside, for each part of an event."""
        support = self.base_dist.support
        if not self.reinterpreted_batch_ndims:
            return support
        return constraints.independent(support, self.reinterpreted_batch_ndims)

    @property
    def mean(self):
        """As the distribution inside."""
        return self.base_dist.mean

    @property
    def mode(self):
        """As the distribution inside."""
        return self.base_dist.mode

    @property
    def variance(self):
        """As the distribution inside."""
        return self.base_dist.variance

    def sample(self, sample_shape=rl.Size()):
        """Samples of the distribution inside."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape=rl.Size()):
        """Samples of the distribution inside, with gradients."""
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value):
        """The sum over the parts of an event."""
        return _sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self):
        """The sum over the parts of an event."""
        return _sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand=True):
        """As the distribution inside. NotImplementedError if dimensions are reinterpreted."""
        if self.reinterpreted_batch_ndims > 0:
            raise NotImplementedError("Enumeration over cartesian product is not implemented")
        return self.base_dist.enumerate_support(expand=expand)

    def __repr__(self):
        return f"{self.__class__.__name__}({self.base_dist}, {self.reinterpreted_batch_ndims})"
