"""The functional form of the layers: `relu`, `conv2d`, `cross_entropy` and the others, from the operator registry."""

from .. import _C
from ..core.namespace import NATIVE as _NATIVE
from ..core.namespace import fill as _fill

_fill(globals(), "nn.functional")


def sigmoid(input):
    """`input.sigmoid()`: that is what handlers see."""
    return input.sigmoid()


def tanh(input):
    """`input.tanh()`: that is what handlers see."""
    return input.tanh()


vars(_C._nn).update({name: globals()[name] for name in _NATIVE if name in globals()})
