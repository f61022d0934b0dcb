"""Distributions of transformed samples."""
from .. import api as rl
from . import constraints
from .distribution import Distribution
from .independent import Independent
from .transforms import ComposeTransform, Transform
from .utils import _sum_rightmost

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """Samples of a distribution, passed through transforms; `log_prob` goes back through their inverses.

    Args:
        base_distribution: the distribution of the first transform's argument.
        transforms: a `Transform` or a list of them.
    """

    arg_constraints = {}
    _parameters = ()

    def __init__(self, base_distribution, transforms, validate_args=None):
        if isinstance(transforms, Transform):
            transforms = [transforms]
        elif not isinstance(transforms, list):
            raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
        elif not all(isinstance(t, Transform) for t in transforms):
            raise ValueError("transforms must be a Transform or a list of Transforms")
        self.transforms = transforms
        shape = base_distribution.batch_shape + base_distribution.event_shape
        base_dims, transform = len(base_distribution.event_shape), ComposeTransform(transforms)
        domain_dims, codomain_dims = transform.domain.event_dim, transform.codomain.event_dim
        if len(shape) < domain_dims:
            raise ValueError(f"base_distribution needs to have shape with size at least {domain_dims}, but got "
                             f"{shape}.")
        forward_shape = transform.forward_shape(shape)
        expanded = transform.inverse_shape(forward_shape)
        if shape != expanded:  # a transform's parameters are wider
            base_distribution = base_distribution.expand(expanded[:len(expanded) - base_dims])
        if domain_dims > base_dims:
            base_distribution = Independent(base_distribution, domain_dims - base_dims)
        self.base_dist = base_distribution
        cut = len(forward_shape) - max(codomain_dims, base_dims + codomain_dims - domain_dims)
        assert cut >= 0
        Distribution.__init__(self, forward_shape[:cut], forward_shape[cut:], validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        """With the distribution inside expanded; transforms stay as they are."""
        owner = next(cls for cls in type(self).__mro__ if "_parameters" in vars(cls))
        new = self._get_checked_instance(owner, _instance)
        shape = rl.Size(batch_shape) + self.event_shape
        for transform in reversed(self.transforms):
            shape = transform.inverse_shape(shape)
        new.base_dist = self.base_dist.expand(shape[:len(shape) - len(self.base_dist.event_shape)])
        return super().expand(batch_shape, new)

    @constraints.dependent_property(is_discrete=False)
    def support(self):
        """The codomain of the last transform."""
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        extra = len(self.event_shape) - support.event_dim
        return constraints.independent(support, extra) if extra > 0 else support

    @property
    def has_rsample(self):
        """As the distribution inside."""
        return self.base_dist.has_rsample

    def _forward(self, x):
        for transform in self.transforms:
            x = transform(x)
        return x

    def sample(self, sample_shape=rl.Size()):
        """Transformed samples, without gradients."""
        with rl.no_grad():
            return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape=rl.Size()):
        """Transformed samples with gradients."""
        return self._forward(self.base_dist.rsample(sample_shape))

    def log_prob(self, value):
        """That of the distribution inside, less the logarithms of the Jacobians' determinants."""
        self._check(value)
        event_dim, result, y = len(self.event_shape), 0.0, value
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            event_dim += transform.domain.event_dim - transform.codomain.event_dim
            result = result - _sum_rightmost(transform.log_abs_det_jacobian(x, y),
                                             event_dim - transform.domain.event_dim)
            y = x
        return result + _sum_rightmost(self.base_dist.log_prob(y), event_dim - len(self.base_dist.event_shape))

    def _monotonize_cdf(self, value):
        """A probability p, or 1 - p where the transforms turn the order round."""
        sign = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        return value if isinstance(sign, int) and sign == 1 else sign * (value - 0.5) + 0.5

    def cdf(self, value):
        """The probability of samples up to a value, if the transforms are monotonic."""
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        self.base_dist._check(value)
        return self._monotonize_cdf(self.base_dist.cdf(value))

    def icdf(self, value):
        """The quantile of a probability, if the transforms are monotonic."""
        return self._forward(self.base_dist.icdf(self._monotonize_cdf(value)))
