"""The functional form of the layers: `relu`, `conv2d`, `cross_entropy` and the others, from the operator registry."""

from ..namespace import fill as _fill

_fill(globals(), "nn.functional")
