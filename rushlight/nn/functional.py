"""The functional form of the layers: `nn.functional.relu`, `conv2d`, `cross_entropy`, ... from the operator registry."""

from ..namespace import fill as _fill

_fill(globals(), "nn.functional")
