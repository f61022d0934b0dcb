"""The parameter of discrete distributions, which is given as probabilities or as logits, and computed as the other."""
from .utils import Number, broadcast_all, lazy_property, logits_to_probs, probs_to_logits


class ProbsOrLogits:
    """A mixin: `probs` and `logits` of one probability (`_is_binary`), or of one for each category."""

    _is_binary = True

    def _choose(self, probs, logits, *others):
        """Set the given one of both, broadcast with `others`, which are returned. ValueError unless exactly one."""
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        name, value = ("probs", probs) if probs is not None else ("logits", logits)
        *others, self._param = broadcast_all(*others, value)
        setattr(self, name, self._param)
        return others

    def _given(self):
        """The one that was given: its value as a keyword argument."""
        return {"probs": self.probs} if "probs" in self.__dict__ else {"logits": self.logits}

    def _new(self, *args, **kwargs):
        return self._param.new(*args, **kwargs)

    @lazy_property
    def logits(self):
        """Log odds, or log probabilities."""
        return probs_to_logits(self.probs, is_binary=self._is_binary)

    @lazy_property
    def probs(self):
        """Probabilities."""
        return logits_to_probs(self.logits, is_binary=self._is_binary)

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self._param.size()


def is_number(value):
    """Whether a parameter was given as a Python number."""
    return isinstance(value, Number)
