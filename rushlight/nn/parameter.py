"""Parameters and buffers: tensors that modules register by themselves.

`Parameter` is what optimizers train, `Buffer` is state that is saved but not trained. The uninitialized kinds have no
shape until `materialize` gives them one; lazy modules use them. Next to read: modules/module.py (registration),
modules/lazy.py.
"""
import operator

from .. import api as rl
from ..core.dispatch import disabled

__all__ = [
    "Parameter",
    "UninitializedParameter",
    "is_lazy",
    "Buffer",
    "UninitializedBuffer",
    "UninitializedTensorMixin",
]

Tensor = rl.Tensor


class _ParameterMeta(type(Tensor)):
    """Makes tensors of other classes that were wrapped by `Parameter` count as instances of it."""

    def __instancecheck__(cls, instance):
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that a Module lists in `parameters()` as soon as it is assigned to one of its attributes.

    Args: `data`, the values (shared, not copied; an empty tensor if None); `requires_grad`, True unless the parameter
    is frozen. A leaf of the graph of gradients always. Raises RuntimeError if integers shall require gradients.
    """

    __torch_function__ = staticmethod(disabled)

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = rl.empty(0)
        if requires_grad and not (data.dtype.is_floating_point or data.dtype.is_complex):
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        if type(data) is Tensor or type(data) is Parameter:
            return Tensor._make_subclass(cls, data, requires_grad)
        detached = data.detach().requires_grad_(requires_grad)
        if type(detached) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() returns "
                f"an instance of the same type, but return type {type(detached).__name__} was found instead. To use "
                "the type as a Parameter, please correct the detach() semantics defined by its __torch_dispatch__() "
                "implementation."
            )
        detached._is_param = True
        return detached

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        values = self.data.clone(memory_format=rl.preserve_format)
        result = type(self)(values, self.requires_grad)
        memo[id(self)] = result
        return result

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()

    __str__ = __repr__


class _BufferMeta(type(Tensor)):
    """A buffer is an ordinary tensor with a mark; `isinstance(tensor, Buffer)` looks at the mark."""

    def __instancecheck__(cls, instance):
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Buffer and isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that becomes a buffer of the Module it is assigned to: part of its state, moved with it, not trained.

    Args: `data`, the values (an empty tensor if None); `persistent`, whether `state_dict` includes it.
    The result is of class Tensor.
    """

    def __new__(cls, data=None, *, persistent=True):
        if data is None:
            data = rl.empty(0)
        buffer = data.detach().requires_grad_(data.requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


_NO_SHAPE = (
    "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in `load_state_dict` "
    "when trying to load an uninitialized parameter into an initialized one. Call `forward` to initialize the "
    "parameters before accessing their attributes."
)


class UninitializedTensorMixin:
    """What parameters and buffers without a shape have in common; `materialize` turns them into ordinary ones, in
    place.
    """

    # Operators that make sense before the shape is known: moving, casting and copying.
    _allowed_names = frozenset((
        "size", "copy_", "is_complex", "is_floating_point", "half", "bfloat16", "float", "double", "char", "short",
        "int", "long", "cuda", "cpu", "to", "type", "get_device", "detach", "requires_grad_", "__torch_function__",
    ))  # fmt: skip
    cls_to_become = Tensor
    __torch_function__ = staticmethod(disabled)

    def materialize(self, shape, device=None, dtype=None):
        """Give the tensor memory of this shape (values undefined) and its final class; device and dtype as before by
        default.
        """
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = rl.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self):
        raise RuntimeError(_NO_SHAPE)

    def share_memory_(self):
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters "
            "before calling `module.share_memory()`."
        )

    def __repr__(self):
        return f"<{type(self).__name__}>"

    __str__ = __repr__

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        result = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        memo[id(self)] = result
        return result

    def __reduce_ex__(self, proto):
        return type(self), (self.requires_grad, self.data.device, self.data.dtype)


def _refuse(name):
    """A method that stands for one of Tensor's, and says that there are no values yet."""

    def method(self, *args, **kwargs):
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {name}. This error happens when you are using a "
            f"`LazyModule` or explicitly manipulating `torch.nn.parameter.{type(self).__name__}` objects. When using "
            "LazyModules Call `forward` with a dummy batch to initialize the parameters before calling torch functions"
        )

    method.__name__ = name
    return method


def _is_operator(name):
    """True for the methods of Python's operators: __add__, __radd__, __iadd__, ..."""
    plain = name.strip("_")
    return hasattr(operator, f"__{plain}__") or (plain[:1] in ("r", "i") and hasattr(operator, f"__{plain[1:]}__"))


def _refuse_operators():
    """Replace Tensor's methods that compute; those of other objects and those that the class has itself stay."""
    for name in dir(Tensor):
        hidden = name.startswith("_") and not _is_operator(name)
        if hidden or name in UninitializedTensorMixin._allowed_names or name in vars(UninitializedTensorMixin):
            continue
        if callable(getattr(Tensor, name)) and not hasattr(object, name):
            setattr(UninitializedTensorMixin, name, _refuse(name))


_refuse_operators()


def is_lazy(param):
    """True if the parameter or buffer has no shape yet."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter without a shape; `device` and `dtype` are those it will have. Operators on it raise ValueError."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        return Tensor._make_subclass(cls, rl.empty(0, device=device, dtype=dtype), requires_grad)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer without a shape, otherwise like `UninitializedParameter`."""

    cls_to_become = Tensor

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent=True):
        buffer = Tensor._make_subclass(cls, rl.empty(0, device=device, dtype=dtype), requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer
