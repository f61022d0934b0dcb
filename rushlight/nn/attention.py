"""Which implementation computes attention: the choices programs make are accepted and remembered.

Here one implementation serves all; the choice changes neither results nor speed.
"""
import contextlib
from enum import IntEnum

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(IntEnum):
    """PyTorch's implementations of `scaled_dot_product_attention`."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __repr__(self):
        return f"<SDPBackend.{self.name}: {self.value}>"

    def __str__(self):
        return f"SDPBackend.{self.name}"


@contextlib.contextmanager
def sdpa_kernel(backends, set_priority=False):
    """Allow only these implementations, an SDPBackend or a list of them, inside a `with` block or a decorated
    function.
    """
    chosen = [backends] if isinstance(backends, SDPBackend) else list(dict.fromkeys(backends))
    for backend in chosen:
        if not isinstance(backend, SDPBackend):
            raise AssertionError(
                "Backend must be an instance of SDPBackend or a list of SDPBackend instances, got "
                f"{type(backend).__name__}"
            )
    yield {}
