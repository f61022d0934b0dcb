"""The common base of tensors that know what they show, and what operations on them return."""
from ... import api as rl
from ...core.dispatch import DisableSubclasses

_kept = (rl.Tensor.clone, rl.Tensor.to, rl.Tensor.detach, rl.Tensor.requires_grad_, rl.Tensor.pin_memory)
_state = {"wraps": False}


class TVTensor(rl.Tensor):
    """A tensor that knows what it shows.

    Operations give plain tensors, except `clone`, `to`, `detach`, `requires_grad_` and `pin_memory`; see
    `set_return_type`. A subclass with facts about its data overrides `_wrap_output` and `wrap`.
    """

    @staticmethod
    def _to_tensor(data, dtype=None, device=None, requires_grad=None):
        if requires_grad is None:
            requires_grad = data.requires_grad if isinstance(data, rl.Tensor) else False
        return rl.as_tensor(data, dtype=dtype, device=device).requires_grad_(requires_grad)

    @classmethod
    def wrap(cls, tensor, like, **kwargs):
        """`tensor` as an instance of this class."""
        return tensor.as_subclass(cls)

    @classmethod
    def _like(cls, tensor, source):
        """`tensor`, a result of an operation on `source`, as an instance of this class."""
        return tensor.as_subclass(cls)

    @classmethod
    def _wrap_output(cls, output, args=(), kwargs=None):
        if isinstance(output, (tuple, list)):
            parts = [cls._wrap_output(part, args, kwargs) for part in output]
            return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
        if isinstance(output, rl.Tensor) and not isinstance(output, cls):
            return cls._like(output, _first(cls, (args, tuple((kwargs or {}).values()))))
        return output

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if not all([issubclass(cls, kind) for kind in types]):
            return NotImplemented
        with DisableSubclasses():
            output = func(*args, **kwargs or {})
        if _state["wraps"] or (func in _kept and isinstance(args[0], cls)):
            return cls._wrap_output(output, args, kwargs)
        # In-place operations return their first argument.
        return output.as_subclass(rl.Tensor) if isinstance(output, cls) else output

    def _make_repr(self, **facts):
        extra = ", ".join([f"{name}={value}" for name, value in facts.items()])
        return f"{super().__repr__()[:-1]}, {extra})"

    @property
    def shape(self):
        with DisableSubclasses():
            return super().shape

    @property
    def ndim(self):
        with DisableSubclasses():
            return super().ndim

    @property
    def device(self):
        with DisableSubclasses():
            return super().device

    @property
    def dtype(self):
        with DisableSubclasses():
            return super().dtype

    def __deepcopy__(self, memo):
        return self.detach().clone().requires_grad_(self.requires_grad)


def _first(cls, values):
    """The first instance of a class in nested lists and tuples."""
    for value in values:
        found = _first(cls, value) if isinstance(value, (tuple, list)) else value
        if isinstance(found, cls):
            return found
    return None


class _Restore:
    """What `set_return_type` returns: a context that undoes it at its end."""

    def __init__(self, before):
        self.before = before

    def __enter__(self):
        return self

    def __exit__(self, *error):
        _state["wraps"] = self.before


def set_return_type(return_type):
    """Let operations on these tensors return "Tensor" (the default) or "TVTensor"; also as a context.

    Raises:
        ValueError: for any other word.
    """
    choices = {"tensor": False, "tvtensor": True}
    if return_type.lower() not in choices:
        raise ValueError(f"return_type must be 'TVTensor' or 'Tensor', got {return_type}")
    before = _state["wraps"]
    _state["wraps"] = choices[return_type.lower()]
    return _Restore(before)


def wrap(wrappee, *, like, **kwargs):
    """`wrappee` as a tensor of the class of `like`, with its facts, or those in `kwargs` instead."""
    method = getattr(type(like), "wrap", None)
    return wrappee.as_subclass(type(like)) if method is None else method(wrappee, like, **kwargs)
