"""`torch.overrides`: intercepting calls of public functions, from tensor-like classes and from modes.

A class takes part by a class method `__torch_function__(cls, func, types, args=(), kwargs=None)`; a `TorchFunctionMode`
sees all calls of a `with` block. `core/dispatch.py` decides who is asked, and in which order.
"""

import contextlib
import functools
import inspect
import sys
import types
import warnings

from .core import dispatch
from .core.tensor import Tensor

__all__ = [
    "BaseTorchFunctionMode", "TorchFunctionMode", "enable_reentrant_dispatch", "get_default_nowrap_functions",
    "get_ignored_functions", "get_overridable_functions", "get_testing_overrides", "handle_torch_function",
    "has_torch_function", "has_torch_function_unary", "has_torch_function_variadic", "is_tensor_like",
    "is_tensor_method_or_property", "redispatch_function", "resolve_name", "wrap_torch_function",
]  # fmt: skip

_disabled_torch_function_impl = dispatch.disabled
DisableTorchFunctionSubclass = dispatch.DisableSubclasses


class TorchFunctionMode:
    """A context in which a class sees every call of a public function, with or without tensors among its arguments.

    Subclasses define `__torch_function__(self, func, types, args=(), kwargs=None)`. Inside it the mode itself is off:
    `func(*args, **kwargs)` asks the modes around it, then `__torch_function__` of the arguments, then computes. Results
    other than NotImplemented end the call.

    Example:
        >>> class Log(torch.overrides.TorchFunctionMode):
        ...     def __torch_function__(self, func, types, args=(), kwargs=None):
        ...         print(torch.overrides.resolve_name(func))
        ...         return func(*args, **(kwargs or {}))
        >>> with Log():
        ...     x = torch.ones(2) + 1
        torch.ones torch.Tensor.add
    """

    inner: "TorchFunctionMode"

    def __init__(self):
        pass

    def __torch_function__(self, func, types, args=(), kwargs=None):
        raise NotImplementedError

    def __enter__(self):
        dispatch.push(self)
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        dispatch.pop()

    @classmethod
    def push(cls, *args, **kwargs):
        """Deprecated: an instance, to be entered by `with`."""
        warnings.warn("`Mode.push()` is no longer necessary and can be replaced with just `with Mode()`", stacklevel=2)
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def _get_current_function_mode():
    """The innermost mode, None if there is none."""
    modes = dispatch.LOCAL.modes
    return modes[-1] if modes else None


def _get_current_function_mode_stack():
    """All modes, the innermost last."""
    return list(dispatch.LOCAL.modes)


@contextlib.contextmanager
def _pop_mode_temporarily():
    """A context without the innermost mode, which it gives."""
    before = dispatch.LOCAL.modes
    dispatch.LOCAL.modes = before[:-1]
    try:
        yield before[-1]
    finally:
        dispatch.LOCAL.modes = before


@contextlib.contextmanager
def enable_reentrant_dispatch():
    """A context in which handlers are asked again, for code that runs inside an operator."""
    local = dispatch.LOCAL
    before = local.enabled, local.subclasses
    local.enabled = local.subclasses = True
    try:
        yield
    finally:
        local.enabled, local.subclasses = before


def redispatch_function(func, types, args=(), kwargs=None):
    """Run a function without asking `__torch_function__` of its arguments."""
    return dispatch.disabled(func, types, args, kwargs)


def has_torch_function(relevant_args):
    """Whether a mode is active or one of the arguments (a sequence) overrides."""
    return dispatch.is_active(relevant_args)


def has_torch_function_variadic(*relevant_args):
    """`has_torch_function` of the arguments given."""
    return dispatch.is_active(relevant_args)


def has_torch_function_unary(relevant_arg):
    """`has_torch_function` of one argument."""
    return dispatch.is_active((relevant_arg,))


def handle_torch_function(public_api, relevant_args, *args, **kwargs):
    """What the active mode, or else the overriding ones of `relevant_args`, give for `public_api(*args, **kwargs)`.

    Raises TypeError if all return NotImplemented. Call it where `has_torch_function(relevant_args)` holds."""
    found = dispatch.overriding(tuple(relevant_args), {})
    return dispatch.ask(public_api, found, args, kwargs, in_python=True)


def wrap_torch_function(dispatcher):
    """Decorate a function to ask the arguments that `dispatcher(*args, **kwargs)` names (an iterable)."""
    def decorate(function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            relevant = tuple(dispatcher(*args, **kwargs))
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)
        return wrapped
    return decorate


def is_tensor_like(inp):
    """Whether an object is a tensor or has `__torch_function__`."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def is_tensor_method_or_property(func):
    """Whether a function that a handler sees is a method of Tensor or an accessor of one of its attributes."""
    path = _paths().get(func)
    if path is None:
        return getattr(func, "__name__", None) == "__get__"
    return path.startswith("Tensor.")


def resolve_name(f):
    """The name by which a public function is called ("torch.Tensor.add"), None for functions that are not public."""
    if f is None:
        return None
    if isinstance(f, str):
        return f
    path = _paths().get(f)
    return None if path is None else f"torch.{path}"


def _paths():
    """The paths of all public functions."""
    found = _paths.found
    if len(found[1]) != len(dispatch.ENTRIES):
        paths = {}
        for path, entry in dispatch.ENTRIES.items():
            paths.setdefault(entry.function, path)
        for path, entry in dispatch.ENTRIES.items():  # a dunder is known by the method that stands for it
            paths.setdefault(entry.copy, path)
        found = _paths.found = (paths, dict.fromkeys(dispatch.ENTRIES))
    return found[0]


_paths.found = ({}, {})


def get_overridable_functions():
    """{namespace: [public functions that handlers see]}; namespaces are modules and the class Tensor."""
    known = _paths()
    spaces = {Tensor: [function for function, path in known.items() if path.startswith("Tensor.")]}
    parents = {path.rpartition(".")[0] for path in dispatch.ENTRIES if not path.startswith("Tensor.")}
    for parent in sorted(parents):
        module = sys.modules.get(f"{__package__}.{parent}".rstrip("."))
        if module is not None:
            spaces[module] = [value for name, value in vars(module).items()
                              if isinstance(value, types.FunctionType) and value in known and name[0] != "_"]
    return spaces


def get_testing_overrides():
    """{public function: a function with its signature that returns -1}."""
    found = {}
    for function in _paths():
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            signature = None
        found[function] = _minus_one(signature)
    return found


def _minus_one(signature):
    def override(*args, **kwargs):
        return -1
    if signature is not None:
        override.__signature__ = signature
    return override


def get_ignored_functions():
    """The functions of Tensor that handlers never see."""
    return {vars(Tensor)[name] for name in ("as_subclass", "__hash__", "__torch_function__", "_make_subclass")
            if name in vars(Tensor)}


def get_default_nowrap_functions():
    """Accessors whose results the `__torch_function__` of Tensor does not turn into subclasses."""
    return set(dispatch.UNWRAPPED)
