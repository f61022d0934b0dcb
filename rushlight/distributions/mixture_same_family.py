"""Mixtures of distributions of one family."""
from .. import api as rl
from . import constraints
from .categorical import Categorical
from .constraints import MixtureSameFamilyConstraint
from .distribution import Distribution

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """One of the components of `component_distribution` (its last batch dimension), chosen by `mixture_distribution`.

    Args:
        mixture_distribution: a `Categorical`, whose categories are the components.
        component_distribution: a distribution; its last batch dimension counts the components.
    """

    arg_constraints = {}
    has_rsample = False
    _parameters = ("_component_distribution", "_mixture_distribution")

    def __init__(self, mixture_distribution, component_distribution, validate_args=None):
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(" The Mixture distribution needs to be an  instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution needs to be an instance of torch.distributions.Distribution")
        weights, batch = mixture_distribution.batch_shape, component_distribution.batch_shape[:-1]
        if any(a != 1 and b != 1 and a != b for a, b in zip(reversed(weights), reversed(batch))):
            raise ValueError(f"`mixture_distribution.batch_shape` ({weights}) is not compatible with "
                             f"`component_distribution.batch_shape`({batch})")
        categories, components = mixture_distribution.logits.shape[-1], component_distribution.batch_shape[-1]
        if categories != components:
            raise ValueError(f"`mixture_distribution component` ({categories}) does not equal "
                             f"`component_distribution.batch_shape[-1]` ({components})")
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        self._num_component = categories
        self._event_ndims = len(component_distribution.event_shape)
        Distribution.__init__(self, batch, component_distribution.event_shape, validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        """With both distributions expanded; the mixture's own batch may have fewer dimensions."""
        new = self._get_checked_instance(MixtureSameFamily, _instance)
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        return super().expand(batch_shape, new)

    @constraints.dependent_property
    def support(self):
        """What is in the support of all components."""
        return MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self):
        """The distribution of the component's number."""
        return self._mixture_distribution

    @property
    def component_distribution(self):
        """The components."""
        return self._component_distribution

    def _weights(self):
        """The probabilities of the components, shaped to multiply values of them."""
        probs, dims = self.mixture_distribution.probs, len(self.mixture_distribution.batch_shape)
        pad = 0 if dims == 1 else len(self.batch_shape) - dims
        return probs.reshape(probs.shape[:-1] + (1,) * pad + probs.shape[-1:] + (1,) * self._event_ndims)

    def _averaged(self, values):
        return (self._weights() * values).sum(dim=-1 - self._event_ndims)

    def _pad(self, x):
        return x.unsqueeze(-1 - self._event_ndims)

    @property
    def mean(self):
        """The mean of the components' means."""
        return self._averaged(self.component_distribution.mean)

    @property
    def variance(self):
        """The mean of the components' variances and the variance of their means."""
        distance = (self.component_distribution.mean - self._pad(self.mean)).pow(2.0)
        return self._averaged(self.component_distribution.variance) + self._averaged(distance)

    def cdf(self, x):
        """The probability of samples up to a value."""
        return (self.component_distribution.cdf(self._pad(x)) * self.mixture_distribution.probs).sum(dim=-1)

    def log_prob(self, x):
        """The logarithm of the density."""
        self._check(x)
        weights = rl.log_softmax(self.mixture_distribution.logits, dim=-1)
        return rl.logsumexp(self.component_distribution.log_prob(self._pad(x)) + weights, dim=-1)

    def sample(self, sample_shape=rl.Size()):
        """Samples of all components, of which one is taken."""
        with rl.no_grad():
            dim = len(sample_shape) + len(self.batch_shape)
            chosen = self.mixture_distribution.sample(sample_shape)
            samples = self.component_distribution.sample(sample_shape)
            index = chosen.reshape(chosen.shape + (1,) * (len(self.event_shape) + 1))
            index = index.expand(chosen.shape + (1,) + self.event_shape)
            return rl.gather(samples, dim, index).squeeze(dim)

    def __repr__(self):
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
