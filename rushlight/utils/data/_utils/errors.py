"""Exceptions that travel from a worker to the main process and are raised there."""

import sys
import traceback


class KeyErrorMessage(str):
    """A text whose repr is the text itself, because a KeyError shows the repr of what it is given."""

    def __repr__(self):
        return str(self)


class ExceptionWrapper:
    """The exception that is being handled, as text and type: tracebacks themselves cannot be pickled.

    Args:
        exc_info: as of `sys.exc_info()`, which is also the default.
        where: where it happened, for the message.
    """

    def __init__(self, exc_info=None, where="in background"):
        exc_info = sys.exc_info() if exc_info is None else exc_info
        self.exc_type = exc_info[0]
        self.exc_msg = "".join(traceback.format_exception(*exc_info))
        self.where = where

    def reraise(self):
        """Raises an exception of the same type, whose text carries the traceback; a RuntimeError if its type takes no
        text.
        """
        text = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            raise KeyError(KeyErrorMessage(text))
        if getattr(self.exc_type, "message", None):
            raise self.exc_type(message=text)
        try:
            exception = self.exc_type(text)
        except Exception:
            raise RuntimeError(text) from None
        raise exception
