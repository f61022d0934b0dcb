"""Exponential families: entropy from the gradient of the log normaliser."""
from .. import api as rl
from .distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """Distributions with the density exp(t(x) . theta - F(theta) + k(x)).

    Subclasses give `_natural_params` (theta), `_log_normalizer` (F) and `_mean_carrier_measure` (the expectation of k).
    """

    @property
    def _natural_params(self):
        """The natural parameters, a tuple of tensors."""
        raise NotImplementedError

    def _log_normalizer(self, *natural_params):
        """F of natural parameters."""
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self):
        """The expectation of k."""
        raise NotImplementedError

    def entropy(self):
        """F(theta) - theta . F'(theta) less the expectation of k."""
        params = [p.detach().requires_grad_() for p in self._natural_params]
        normalizer = self._log_normalizer(*params)
        gradients = rl.autograd.grad(normalizer.sum(), params, create_graph=True)
        result = normalizer - self._mean_carrier_measure
        for param, gradient in zip(params, gradients):
            result = result - (param * gradient).reshape(self._batch_shape + (-1,)).sum(-1)
        return result
