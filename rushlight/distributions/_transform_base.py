"""The base classes of transforms. Next to read: transforms.py and _shaped_transforms.py."""
from .. import api as rl
from . import constraints


class Transform:
    """A differentiable function. With `cache_size=1`, the inverse of the last result is the argument itself.

    Subclasses give `_call`, `_inverse` and `log_abs_det_jacobian`, and say whether they are `bijective`; `sign` is that
    of the derivative of a function of numbers.
    """

    bijective = False

    def __init__(self, cache_size=0):
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size, self._inv = cache_size, None
        self._cached_x_y = None, None

    def __getstate__(self):
        return {**self.__dict__, "_inv": None}

    @property
    def event_dim(self):
        """The dimensions that are transformed together, where they are as many before as after."""
        if self.domain.event_dim == self.codomain.event_dim:
            return self.domain.event_dim
        raise ValueError("Please use either .domain.event_dim or .codomain.event_dim")

    @property
    def inv(self):
        """The inverse, a transform."""
        if self._inv is None:
            self._inv = _InverseTransform(self)
        return self._inv

    @property
    def sign(self):
        """The sign of the derivative: 1, -1, or a tensor of them."""
        raise NotImplementedError

    def _arguments(self):
        """The arguments that make an equal transform; None where that is not known."""
        return () if type(self).__init__ is Transform.__init__ else None

    def with_cache(self, cache_size=1):
        """The same transform with another size of its cache."""
        if self._cache_size == cache_size:
            return self
        arguments = self._arguments()
        if arguments is None:
            raise NotImplementedError(f"{type(self)}.with_cache is not implemented")
        return type(self)(*arguments, cache_size=cache_size)

    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__

    def __call__(self, x):
        """The transformed value."""
        if self._cache_size == 0:
            return self._call(x)
        if x is not self._cached_x_y[0]:
            self._cached_x_y = x, self._call(x)
        return self._cached_x_y[1]

    def _inv_call(self, y):
        if self._cache_size == 0:
            return self._inverse(y)
        if y is not self._cached_x_y[1]:
            self._cached_x_y = self._inverse(y), y
        return self._cached_x_y[0]

    def _call(self, x):
        raise NotImplementedError

    def _inverse(self, y):
        raise NotImplementedError

    def log_abs_det_jacobian(self, x, y):
        """log |det dy/dx| for each event."""
        raise NotImplementedError

    def __repr__(self):
        return f"{type(self).__name__}()"

    def forward_shape(self, shape):
        """The shape of the result for the shape of an argument."""
        return shape

    def inverse_shape(self, shape):
        """The shape of the argument for the shape of a result."""
        return shape


class _InverseTransform(Transform):
    """The inverse of another transform, which it calls."""

    def __init__(self, transform):
        super().__init__(transform._cache_size)
        self._inv = transform

    @constraints.dependent_property(is_discrete=False)
    def domain(self):
        """The other's codomain."""
        return self._inv.codomain

    @constraints.dependent_property(is_discrete=False)
    def codomain(self):
        """The other's domain."""
        return self._inv.domain

    @property
    def bijective(self):
        """As the other."""
        return self._inv.bijective

    @property
    def sign(self):
        """As the other's."""
        return self._inv.sign

    @property
    def inv(self):
        """The other."""
        return self._inv

    def with_cache(self, cache_size=1):
        """The inverse of the other with that cache."""
        return self.inv.with_cache(cache_size).inv

    def __eq__(self, other):
        return isinstance(other, _InverseTransform) and self._inv == other._inv

    __hash__ = object.__hash__

    def __repr__(self):
        return f"{type(self).__name__}({self._inv!r})"

    def __call__(self, x):
        return self._inv._inv_call(x)

    def log_abs_det_jacobian(self, x, y):
        """The negative of the other's."""
        return -self._inv.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape):
        """The other's inverse shape."""
        return self._inv.inverse_shape(shape)

    def inverse_shape(self, shape):
        """The other's forward shape."""
        return self._inv.forward_shape(shape)


class _Simple(Transform):
    """Bijections without parameters: two of one class are equal."""

    bijective = True

    def __eq__(self, other):
        return isinstance(other, type(self))

    __hash__ = object.__hash__


def _clipped_sigmoid(x):
    info = rl.finfo(x.dtype)
    return rl.sigmoid(x).clamp(min=info.tiny, max=1.0 - info.eps)
