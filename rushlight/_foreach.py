"""`torch._foreach_*`: one operator over lists of tensors. Each returns a tuple of results, or writes into the list.

Nothing is special about a list here: what is recorded for its tensors is fused and launched together anyway.
"""

from . import api
from .core.tensor import Tensor

UNARY = ("abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal "
         "round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc").split()
BINARY = "add sub mul div pow clamp_max clamp_min maximum minimum mm".split()
TERNARY = "addcdiv addcmul lerp".split()


def check_lists(first, *others):
    """RuntimeError for empty lists and lists of other lengths."""
    if len(first) == 0:
        raise RuntimeError("Tensor list must have at least one tensor.")
    for other in others:
        if len(other) != len(first):
            raise RuntimeError(f"Tensor lists must have the same number of tensors, got {len(first)} and {len(other)}")


def is_list(value):
    """Whether an argument has a value for each tensor."""
    return isinstance(value, (list, tuple))


def columns(tensors, values):
    """The arguments of each tensor's call."""
    tensors = list(tensors)
    check_lists(tensors, *[v for v in values if is_list(v)])
    spread = [v if is_list(v) else v.unbind(0) if isinstance(v, Tensor) and v.ndim == 1 and len(values) > 1
              else [v] * len(tensors) for v in values]
    return list(zip(tensors, *spread))


def method(name):
    """The method of tensors that does it for one; those that PyTorch gives no numbers to are written with others."""
    if name.rstrip("_") in ("maximum", "minimum"):
        other = ("clamp_min" if name.startswith("max") else "clamp_max") + name[7:]
        plain = getattr(Tensor, name, None)
        return lambda t, v: plain(t, v) if isinstance(v, Tensor) else getattr(Tensor, other)(t, v)
    found = getattr(Tensor, name)
    if name.rstrip("_") in ("addcdiv", "addcmul"):
        return lambda t, a, b, value=1: found(t, a, b, value=value)
    return found


def out_of_place(name):
    """The function of lists that gives new tensors."""
    one = method(name)

    def foreach(self, *values, **options):
        if name == "pow" and isinstance(self, (int, float)):
            check_lists(values[0])
            return tuple([api.pow(self, t) for t in values[0]])
        return tuple([one(*row, **options) for row in columns(self, values)])
    return named(foreach, name)


def in_place(name):
    """The function of lists that writes its first one."""
    one = method(f"{name}_")

    def foreach(self, *values, **options):
        for row in columns(self, values):
            one(*row, **options)
        return self
    return named(foreach, f"{name}_")


def named(function, name):
    """The function under its public name."""
    function.__name__ = function.__qualname__ = f"_foreach_{name}"
    function.__doc__ = f"`{name}` of each tensor of a list, with one value for all or a list of values."
    return function


def _foreach_norm(self, ord=2, dtype=None):
    """The vector norm of each tensor."""
    check_lists(self)
    return tuple([api.linalg.vector_norm(t, ord, dtype=dtype) for t in self])


def _foreach_powsum(self, ord=2, dtype=None):
    """The sum of |x| ** ord of each tensor."""
    check_lists(self)
    return tuple([(t if dtype is None else t.to(dtype)).abs().pow(ord).sum() for t in self])


def _foreach_max(self):
    """The largest element of each tensor."""
    check_lists(self)
    return tuple([t.max() for t in self])


def _foreach_clone(self, *, memory_format=None):
    """A copy of each tensor."""
    check_lists(self)
    return tuple([t.clone() if memory_format is None else t.clone(memory_format=memory_format) for t in self])


def _foreach_copy_(self, src, non_blocking=False):
    """Copy each tensor of `src` into the one of `self`."""
    check_lists(self, src)
    for target, value in zip(self, src):
        target.copy_(value)
    return self


def _foreach_zero_(self):
    """Set each tensor to zero."""
    check_lists(self)
    for t in self:
        t.zero_()
    return self


for _name in UNARY + BINARY + TERNARY:
    globals()[f"_foreach_{_name}"] = out_of_place(_name)
    if _name != "mm":
        globals()[f"_foreach_{_name}_"] = in_place(_name)
__all__ = [name for name in globals() if name.startswith("_foreach_")]
