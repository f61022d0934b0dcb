"""Features that agree with those of other programs."""

from . import kaldi

__all__ = ["kaldi"]
