"""`torch.autograd.forward_ad`: forward-mode differentiation, which Rushlight does not have: every function says so."""

from typing import NamedTuple, Optional

from ..core.tensor import Tensor

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """A value and its tangent."""

    primal: Tensor
    tangent: Optional[Tensor]


def _missing(name):
    raise NotImplementedError(f"forward_ad.{name}: forward-mode differentiation is not implemented in rushlight; "
                              "autograd.functional.jvp computes the same products in reverse mode")


def enter_dual_level():
    """NotImplementedError."""
    _missing("enter_dual_level")


def exit_dual_level(*, level=None):
    """NotImplementedError."""
    _missing("exit_dual_level")


def make_dual(tensor, tangent, *, level=None):
    """NotImplementedError."""
    _missing("make_dual")


def unpack_dual(tensor, *, level=None):
    """A tensor without a tangent as (tensor, None)."""
    return UnpackedDualTensor(tensor, None)


class dual_level:
    """NotImplementedError on entering."""

    def __enter__(self):
        _missing("dual_level")

    def __exit__(self, *error):
        return None
