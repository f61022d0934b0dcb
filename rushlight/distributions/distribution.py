"""The base class of all distributions: shapes, checks of parameters and samples, expansion, text.

Note [Parameters] A class lists the attributes that have the shape of the batch in `_parameters`. From that list
`expand` works for every class: tensors and distributions in it are expanded, all else is shared. A class that has its
own `__init__` has its own list.
"""
import warnings

from .. import api as rl
from . import constraints
from .utils import broadcast_all, lazy_property

__all__ = ["Distribution"]

Size = rl.Size


class Distribution:
    """A probability distribution.

    Args:
        batch_shape: the shape of the parameters: how many distributions there are.
        event_shape: the shape of one sample of one of them.
        validate_args: check parameters and samples; by default what `set_default_validate_args` says.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    @staticmethod
    def set_default_validate_args(value):
        """Switch checks on or off for distributions that do not say it themselves. ValueError unless a bool."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: expected True or False, got {value!r}")
        Distribution._validate_args = value

    def __init__(self, batch_shape=Size(), event_shape=Size(), validate_args=None):
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _start(self, validate_args, **parameters):
        """Broadcast numbers and tensors, set them as attributes, and start with their shape as the batch's."""
        for name, value in zip(parameters, broadcast_all(*parameters.values())):
            setattr(self, name, value)
        Distribution.__init__(self, value.size(), validate_args=validate_args)

    def _check_parameters(self):
        try:
            arg_constraints = self.arg_constraints
        except NotImplementedError:
            warnings.warn(f"{self.__class__} does not define `arg_constraints`. Please set `arg_constraints = {{}}` or "
                          "initialize the distribution with `validate_args=False` to turn off validation.",
                          stacklevel=4)
            return
        for name, constraint in arg_constraints.items():
            lazy = name not in self.__dict__ and isinstance(getattr(type(self), name, None), lazy_property)
            if constraints.is_dependent(constraint) or lazy:
                continue
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}")

    # -- expansion -------------------------------------------------------------

    def expand(self, batch_shape, _instance=None):
        """The distribution with its batch dimensions expanded to `batch_shape`; parameters take no new memory.

        `_instance`: the object to fill in, for subclasses that extend this method.
        """
        owner = next((cls for cls in type(self).__mro__ if "_parameters" in vars(cls)), None)
        if owner is None:
            raise NotImplementedError
        new = self._get_checked_instance(owner, _instance)
        batch_shape = Size(batch_shape)
        for name, value in self.__dict__.items():
            if name in new.__dict__:
                continue
            if name in owner._parameters:
                value = self._expanded(value, batch_shape)
            elif isinstance(getattr(type(self), name, None), lazy_property):
                continue  # computed from the old shape
            new.__dict__[name] = value
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _expanded(self, value, batch_shape):
        """A parameter, or a distribution that is one, with the new batch dimensions before its own further ones."""
        shape = value._batch_shape if isinstance(value, Distribution) else value.shape
        return value.expand(batch_shape + shape[len(self._batch_shape):])

    def _get_checked_instance(self, cls, _instance=None):
        if _instance is None and type(self).__init__ != cls.__init__:
            raise NotImplementedError(
                f"Subclass {self.__class__.__name__} of {cls.__name__} that defines a custom __init__ method must also "
                "define a custom .expand() method.")
        return self.__new__(type(self)) if _instance is None else _instance

    # -- what a distribution tells -------------------------------------------------

    @property
    def batch_shape(self):
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self):
        """The shape of one sample of one distribution."""
        return self._event_shape

    @property
    def arg_constraints(self):
        """{name of a parameter: its constraint}."""
        raise NotImplementedError

    @property
    def support(self):
        """The constraint that all samples satisfy."""
        raise NotImplementedError

    @property
    def mean(self):
        """The expectation."""
        raise NotImplementedError

    @property
    def mode(self):
        """The most probable value."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self):
        """The expectation of the squared distance from the mean."""
        raise NotImplementedError

    @property
    def stddev(self):
        """The square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape=Size()):
        """Samples of shape sample_shape + batch_shape + event_shape, without gradients."""
        with rl.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=Size()):
        """Samples through which gradients reach the parameters."""
        raise NotImplementedError

    def sample_n(self, n):
        """Deprecated: `sample((n,))`."""
        warnings.warn("`sample_n(n)` will be deprecated. Use `sample((n,))` instead.", FutureWarning, stacklevel=2)
        return self.sample(Size((n,)))

    def log_prob(self, value):
        """The logarithm of the density or probability of a value."""
        raise NotImplementedError

    def cdf(self, value):
        """The probability of samples up to a value."""
        raise NotImplementedError

    def icdf(self, value):
        """The inverse of `cdf`: the quantile of a probability."""
        raise NotImplementedError

    def enumerate_support(self, expand=True):
        """All values of a discrete distribution along a new first dimension. `expand`: for each distribution of the
        batch, instead of once for all."""
        raise NotImplementedError

    def entropy(self):
        """The expectation of -log_prob."""
        raise NotImplementedError

    def perplexity(self):
        """exp of the entropy."""
        return rl.exp(self.entropy())

    # -- helpers -----------------------------------------------------------------

    def _extended_shape(self, sample_shape=Size()):
        return Size(tuple(sample_shape) + self._batch_shape + self._event_shape)

    def _full(self, number, like):
        """A tensor of the distribution's shape with one value."""
        return rl.full(self._extended_shape(), number, dtype=like.dtype, device=like.device)

    def _enumerated(self, values, expand):
        """Values of a univariate distribution along a first dimension, before the batch's."""
        values = values.view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1,) + self._batch_shape) if expand else values

    def _check(self, value):
        """`_validate_sample` where checks are on."""
        if self._validate_args:
            self._validate_sample(value)

    def _validate_sample(self, value):
        """ValueError for a value of the wrong type or shape, or outside of the support."""
        if not isinstance(value, rl.Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        found, expected = value.size(), self._batch_shape + self._event_shape
        if found[len(found) - len(self._event_shape):] != self._event_shape:
            raise ValueError(f"The right-most size of value must match event_shape: {found} vs {self._event_shape}.")
        if any(i != 1 and j != 1 and i != j for i, j in zip(reversed(found), reversed(expected))):
            raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {found} vs {expected}.")
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(f"{self.__class__} does not define `support` to enable sample validation. Please initialize "
                          "the distribution with `validate_args=False` to turn off validation.", stacklevel=4)
            return
        if not support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the "
                f"support ({support!r}) of the distribution {self!r}, but found invalid values:\n{value}")

    def __repr__(self):
        values = {name: self.__dict__[name] for name in self.arg_constraints if name in self.__dict__}
        shown = ", ".join(f"{name}: {v if v.numel() == 1 else v.size()}" for name, v in values.items())
        return f"{self.__class__.__name__}({shown})"
