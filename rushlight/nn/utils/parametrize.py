"""Parametrizations: a tensor of a module becomes the result of a function.

Note [Parametrized modules]: the tensor that is trained moves to `module.parametrizations.<name>.original` (or
original0, original1, ... if the inverse gives several), and the module gets a class of its own, derived from the one it
had, with a property <name> that computes the value. Next to read: parametrizations.py, the parametrizations that exist.
"""
import contextlib
import copy
from collections.abc import Sequence

from ... import api as rl
from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

__all__ = [
    "cached",
    "ParametrizationList",
    "register_parametrization",
    "is_parametrized",
    "remove_parametrizations",
    "type_before_parametrizations",
    "transfer_parametrizations_and_params",
]

# How many `cached()` blocks there are around, and the values computed inside: {(id of the module, name): tensor}.
_cache_depth = 0
_cache = {}


@contextlib.contextmanager
def cached():
    """Inside this `with` block every parametrized tensor is computed once."""
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if not _cache_depth:
            _cache.clear()


def _register_parameter_or_buffer(module, name, X):
    if isinstance(X, Parameter):
        module.register_parameter(name, X)
    else:
        module.register_buffer(name, X)


def _kind(tensor):
    return f"{tensor.dtype}", f"{tensor.shape}"


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied in order, and what they start from: `original`, or original0, ...

    Args: `modules`; `original`, the tensor before; `unsafe`, whether dtype and shape may change. Raises ValueError if
    they do otherwise, or for an inverse that returns no tensor.
    """

    def __init__(self, modules, original, unsafe=False):
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        start = original
        with rl.no_grad():
            for module in reversed(self):
                start = _inverse(module, start)
        if not isinstance(start, (rl.Tensor, Sequence)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                f"{type(start).__name__}"
            )
        self.is_tensor = isinstance(start, rl.Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        if self.is_tensor:
            self._store_one(original, start)
        else:
            self._store_several(original, start)
        if not unsafe:
            self._check(original)

    def _store_one(self, original, start):
        if original.dtype != start.dtype:
            raise ValueError(
                "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {start.dtype}"
            )
        if original.device != start.device:
            raise ValueError(
                "When `right_inverse` outputs one tensor, it may not change the device.\n"
                f"original.device: {original.device}\nright_inverse(original).device: {start.device}"
            )
        if start is not original:
            original.data = start.detach()  # the same object, which optimizers may hold
        _register_parameter_or_buffer(self, "original", original)

    def _store_several(self, original, starts):
        for place, start in enumerate(starts):
            if not isinstance(start, rl.Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got element "
                    f"{place} of the sequence with type {type(start).__name__}."
                )
            if isinstance(original, Parameter):
                start = Parameter(start, original.requires_grad)
            start.requires_grad_(original.requires_grad)
            _register_parameter_or_buffer(self, f"original{place}", start)

    def _check(self, original):
        value = self()
        if not isinstance(value, rl.Tensor):
            raise ValueError(f"A parametrization must return a tensor. Got {type(value).__name__}.")
        for what, before, after in zip(("dtype", "shape"), _kind(original), _kind(value)):
            if before != after:
                raise ValueError(
                    f"Registering a parametrization may not change the {what} of the tensor, unless `unsafe` flag is "
                    f"enabled.\nunparametrized {what}: {before}\nparametrized {what}: {after}"
                )

    def right_inverse(self, value):
        """Set the original tensors so that the parametrized one becomes `value`, by the inverses in reverse order.

        Raises RuntimeError for a parametrization without inverse, ValueError if an inverse changes dtype or shape.
        """
        with rl.no_grad():
            for module in reversed(self):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                value = module.right_inverse(value)
            if self.is_tensor:
                self._set_one(value)
                return
            if not isinstance(value, Sequence):
                raise ValueError(f"'right_inverse' must return a sequence of tensors. Got {type(value).__name__}.")
            if len(value) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got a sequence of "
                    f"length {len(value)}."
                )
            for place, tensor in enumerate(value):
                self._set_several(place, tensor)

    def _set_one(self, value):
        original = self.original
        if not isinstance(value, rl.Tensor):
            raise ValueError(f"`right_inverse` should return a tensor. Got {type(value).__name__}")
        if value.dtype != original.dtype:
            raise ValueError(
                f"The tensor returned by `right_inverse` has dtype {value.dtype} while `original` has dtype "
                f"{original.dtype}"
            )
        original.data = value.detach()

    def _set_several(self, place, tensor):
        original = getattr(self, f"original{place}")
        if not isinstance(tensor, rl.Tensor):
            raise ValueError(
                f"`right_inverse` must return a sequence of tensors. Got element {place} of type "
                f"{type(tensor).__name__}"
            )
        if original.dtype != tensor.dtype:
            raise ValueError(
                f"Tensor {place} returned by `right_inverse` has dtype {tensor.dtype} while `original{place}` has "
                f"dtype {original.dtype}"
            )
        original.data = tensor.detach()

    def forward(self):
        first, *rest = self._modules.values()
        if self.is_tensor:
            value = first(self.original)
        else:
            value = first(*[getattr(self, f"original{place}") for place in range(self.ntensors)])
        for module in rest:
            value = module(value)
        return value


def _inverse(module, value):
    """The module's right inverse of a value, or the value where it has none."""
    if not hasattr(module, "right_inverse"):
        return value
    try:
        return module.right_inverse(value)
    except NotImplementedError:
        return value


def _getstate(self):
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(). See:\n"
        "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
    )


def _deepcopy(self, memo):
    if id(self) in memo:
        return memo[id(self)]
    replica = self.__new__(type(self))
    memo[id(self)] = replica
    replica.__setstate__(copy.deepcopy(Module.__getstate__(self), memo))
    return replica


def _inject_new_class(module):
    """Give a module a class of its own; see Note [Parametrized modules]."""
    cls = type(module)
    members = {"__getstate__": _getstate}
    if not hasattr(cls, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopy
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)


def _inject_property(module, tensor_name):
    """Add the property that computes a parametrized tensor to the class of the module."""
    if hasattr(type(module), tensor_name):
        raise AssertionError(f"Module already has an attribute named '{tensor_name}'")

    def get(self):
        if not _cache_depth:
            return self.parametrizations[tensor_name]()
        key = (id(self), tensor_name)
        if key not in _cache:
            _cache[key] = self.parametrizations[tensor_name]()
        return _cache[key]

    def set_original(self, value):
        self.parametrizations[tensor_name].right_inverse(value)

    setattr(type(module), tensor_name, property(get, set_original))


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """Make a tensor of a module the result of a parametrization, a module that maps tensors to tensors.

    Its optional method `right_inverse` says where to start from, and is used when the tensor is assigned to. A second
    one is applied to the result of the first. `unsafe`: dtype and shape may change. Returns the module. Raises
    ValueError for a name the module does not have, or a result of another dtype or shape.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_further(tensor_name, getattr(module, tensor_name), parametrization)
        module.parametrizations[tensor_name].append(parametrization)
        module.parametrizations[tensor_name].unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        parametrizations = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _inject_new_class(module)
            module.parametrizations = ModuleDict()
        _inject_property(module, tensor_name)
        module.parametrizations[tensor_name] = parametrizations
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def _check_further(name, before, parametrization):
    """Raise ValueError if a further parametrization changes dtype or shape, or its inverse those of its result."""
    after = parametrization(before)
    if not isinstance(after, rl.Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(after).__name__}.")
    for what, old, new in zip(("dtype", "shape"), _kind(before), _kind(after)):
        if old != new:
            raise ValueError(
                f"Registering a parametrization may not change the {what} of the tensor, unless the `unsafe` flag is "
                f"enabled.\nmodule.{name}.{what}: {old}\nparametrization(module.{name}).{what}: {new}"
            )
    back = _inverse(parametrization, after)
    if not isinstance(back, rl.Tensor):
        raise ValueError(f"parametrization.right_inverse must return a tensor. Got: {type(back).__name__}")
    for what, old, new in zip(("dtype", "shape"), _kind(before), _kind(back)):
        if old != new:
            raise ValueError(
                f"The tensor returned by parametrization.right_inverse must have the same {what} as the tensor before, "
                f"unless the `unsafe` flag is enabled.\nmodule.{name}.{what}: {old}\nreturned {what}: {new}"
            )


def is_parametrized(module, tensor_name=None):
    """True if the module, or this tensor of it, is parametrized."""
    parametrizations = getattr(module, "parametrizations", None)
    if not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Make a parametrized tensor an ordinary one: with its present value, or (not leave_parametrized) the original one.

    Returns the module. Raises ValueError if it is not parametrized, or has several originals and none shall be left.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    parametrizations = module.parametrizations[tensor_name]
    if parametrizations.is_tensor:
        original = parametrizations.original
        if leave_parametrized:
            with rl.no_grad():
                original.data = getattr(module, tensor_name).detach()
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register_parameter_or_buffer(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module):
    """The class that the module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module, to_module, tensor_name=None):
    """Give a module the parametrizations and values of another one, of all its tensors or of one; returns it."""
    if not is_parametrized(from_module):
        return to_module
    if not isinstance(from_module.parametrizations, ModuleDict):
        raise AssertionError("from_module.parametrizations must be a ModuleDict")
    names = from_module.parametrizations if tensor_name is None else [tensor_name]
    for name in list(names):
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach().clone()))
        for parametrization in from_module.parametrizations[name]:
            register_parametrization(to_module, name, parametrization)
        source, target = from_module.parametrizations[name], to_module.parametrizations[name]
        places = ["original"] if source.is_tensor else [f"original{place}" for place in range(source.ntensors)]
        for place in places:
            setattr(target, place, getattr(source, place))
    return to_module
