"""Module, the base class of all layers and models: a tree of the tensors and modules assigned to its attributes.

Here are construction, attributes, calling, and what changes all tensors of a tree (`to`, `float`, `zero_grad` ...). The
rest of the class is in mixins: _tree.py (names, walking, repr), _state.py (state_dict), _hooks.py. How attributes are
found is told in _registry.py, Note [Mirrored registries].
"""
import warnings
import weakref
from collections import OrderedDict
from typing import TypeVar

from .conversions import enter_parameter
from ... import api as rl
from ...base import errors
from ..parameter import Buffer, Parameter, is_lazy
from ...base.hooks import RemovableHandle
from ._hooks import (
    HookMethods,
    call_with_hooks,
    register_module_backward_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
)
from ._registry import Registry
from ._state import StateMethods, _IncompatibleKeys, _WrappedHook  # noqa: F401, programs import the two from here
from ._tree import TreeMethods

__all__ = [
    "register_module_forward_pre_hook",
    "register_module_forward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_backward_hook",
    "register_module_full_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
    "Module",
]

_REGISTRIES = ("_parameters", "_buffers", "_modules")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
# Attributes of a module whose assignment means more than setting them.
_SPECIAL = frozenset(_REGISTRIES + _HOOKS)
# Attributes added since modules were first pickled, with what makes their default.
_LATER = {
    "_forward_pre_hooks": OrderedDict,
    "_forward_pre_hooks_with_kwargs": OrderedDict,
    "_forward_hooks_with_kwargs": OrderedDict,
    "_forward_hooks_always_called": OrderedDict,
    "_state_dict_hooks": OrderedDict,
    "_state_dict_pre_hooks": OrderedDict,
    "_load_state_dict_pre_hooks": OrderedDict,
    "_load_state_dict_post_hooks": OrderedDict,
    "_non_persistent_buffers_set": set,
    "_is_full_backward_hook": None,
    "_backward_pre_hooks": OrderedDict,
}

_parameter_registration_hooks = OrderedDict()
_buffer_registration_hooks = OrderedDict()
_module_registration_hooks = OrderedDict()


def register_module_parameter_registration_hook(hook):
    """Call hook(module, name, parameter) when any module registers a parameter; it may return another one."""
    return _add(_parameter_registration_hooks, hook)


def register_module_buffer_registration_hook(hook):
    """Call hook(module, name, buffer) when any module registers a buffer; it may return another one."""
    return _add(_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook):
    """Call hook(module, name, submodule) when any module registers a submodule; it may return another one."""
    return _add(_module_registration_hooks, hook)


def _add(hooks, hook):
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def _run_registration_hooks(hooks, module, name, value):
    for hook in hooks.values():
        changed = hook(module, name, value)
        value = value if changed is None else changed
    return value


def _check_name(module, name, kind, registry):
    """Raise unless `name` may become the name of a parameter, buffer or submodule (`kind`) of the module."""
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {rl.typename(name)}")
    if kind == "module" and hasattr(module, name) and name not in registry:
        raise KeyError(f"attribute '{name}' already exists")
    if "." in name:
        raise KeyError(f'{kind} name can\'t contain "."' + (f", got: {name}" if kind == "module" else ""))
    if name == "":
        raise KeyError(f'{kind} name can\'t be empty string ""')
    if hasattr(module, name) and name not in registry:
        raise KeyError(f"attribute '{name}' already exists")


_PLAIN_TYPES = frozenset((bool, int, float, str, type(None), tuple, list, dict))

_set_attribute = object.__setattr__


_WANTED = {
    "parameter": "torch.nn.Parameter",
    "child module": "torch.nn.Module",
    "buffer": "torch.nn.Buffer, torch.Tensor",
}


def _wrong_assignment(value, kind, name):
    return TypeError(f"cannot assign '{rl.typename(value)}' as {kind} '{name}' ({_WANTED[kind]} or None expected)")


class Module(TreeMethods, StateMethods, HookMethods):
    """Base class of all neural network modules.

    A subclass calls `super().__init__()`, assigns parameters and submodules to attributes, and defines `forward`.
    Calling the module runs `forward` with its hooks. `training` says in which mode it is: see `train` and `eval`.

    Example:
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.fc = nn.Linear(4, 2)
        ...
        ...     def forward(self, x):
        ...         return self.fc(x).relu()
        >>> [name for name, _ in Net().named_parameters()]
        ['fc.weight', 'fc.bias']
    """

    # The type of the dictionary that `state_dict` fills, for annotations.
    T_destination = TypeVar("T_destination", bound=dict)
    dump_patches = False
    # Written with every state_dict; a class that changes what its state means raises it.
    _version = 1
    call_super_init = False

    def __init__(self, *args, **kwargs):
        if not self.call_super_init:
            if kwargs:
                name = next(iter(kwargs))
                raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument '{name}'")
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
                )
        owner = weakref.ref(self)
        attributes = self.__dict__
        attributes["training"] = True
        attributes["_parameters"] = Registry(owner)
        attributes["_buffers"] = Registry(owner)
        attributes["_modules"] = Registry(owner)
        attributes["_backward_hooks"] = OrderedDict()
        attributes["_forward_hooks"] = OrderedDict()
        for name, make in _LATER.items():
            attributes[name] = make and make()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *input):
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args, **kwargs):
        if self._has_hooks:
            return call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    _call_impl = __call__
    _wrapped_call_impl = __call__

    # -- attributes ----------------------------------------------------------

    def __getattr__(self, name):
        # Registered things are ordinary attributes as well, so this runs for names that do not exist, for modules that
        # did not call Module.__init__, and where a subclass or a copy went its own way.
        attributes = self.__dict__
        for registry in _REGISTRIES:
            entries = attributes.get(registry)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name, value):
        # Most values are of a few built-in types, for which a look-up of the type is cheaper than isinstance.
        if value.__class__ not in _PLAIN_TYPES and isinstance(value, (rl.Tensor, Module)):
            self._register_value(name, value)
            return
        attributes = self.__dict__
        if name in attributes:
            try:
                if (
                    name in attributes["_parameters"]
                    or name in attributes["_modules"]
                    or name in attributes["_buffers"]
                    or name in _SPECIAL
                ):
                    self._set_registered(name, value)
                    return
            except KeyError:  # before Module.__init__ nothing is registered
                attributes[name] = value
                return
        _set_attribute(self, name, value)

    def _register_value(self, name, value):
        """Assign a tensor or module: it is registered by its kind, or becomes an ordinary attribute."""
        attributes = self.__dict__
        if isinstance(value, Module):
            if "_modules" not in attributes:
                raise AttributeError("cannot assign module before Module.__init__() call")
            if name in self._parameters:
                raise _wrong_assignment(value, "parameter", name)
            self._forget(name, "_buffers")
            self._modules[name] = _run_registration_hooks(_module_registration_hooks, self, name, value)
            attributes[name] = self._modules[name]
        elif value.__class__ is not rl.Tensor and isinstance(value, Parameter):
            if "_parameters" not in attributes:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_buffers", "_modules")
            self.register_parameter(name, value)
        elif name in attributes.get("_buffers", ()):
            self._set_buffer(name, value)
        elif not self._set_registered(name, value):
            if isinstance(value, Buffer):
                if hasattr(self, name):
                    raise KeyError(f"attribute '{name}' already exists")
                self._set_buffer(name, value)
            else:
                _set_attribute(self, name, value)

    def _set_buffer(self, name, value):
        attributes = self.__dict__
        if "_buffers" not in attributes:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        if name not in self._buffers:
            self._forget(name)
            self.register_buffer(name, value, getattr(value, "persistent", True))
            return
        value = _run_registration_hooks(_buffer_registration_hooks, self, name, value)
        if isinstance(value, Buffer):
            keep = self._non_persistent_buffers_set
            keep.discard(name) if value.persistent else keep.add(name)
        self._buffers[name] = value
        attributes[name] = value

    def _set_registered(self, name, value):
        """Assign to a registered name or a registry itself; False if the name is an ordinary attribute."""
        attributes = self.__dict__
        if name in _SPECIAL:
            if name in _REGISTRIES and not isinstance(value, Registry):
                for old in attributes.get(name, ()):
                    attributes.pop(old, None)
                value = Registry(weakref.ref(self), value)
            attributes[name] = value
            attributes["_has_hooks"] = True  # found out by the next call
            return True
        for registry, kind in (("_parameters", "parameter"), ("_modules", "child module"), ("_buffers", "buffer")):
            if name in attributes.get(registry, ()):
                if value is not None:
                    raise _wrong_assignment(value, kind, name)
                if registry == "_parameters":
                    self.register_parameter(name, None)
                else:
                    attributes[registry][name] = attributes[name] = None
                return True
        return False

    def _forget(self, name, *registries):
        """Remove what is known under a name that will be registered otherwise."""
        attributes = self.__dict__
        if name in attributes and name not in attributes["_parameters"] and name not in attributes["_modules"]:
            if name not in attributes["_buffers"]:
                del attributes[name]
        for registry in registries:
            attributes[registry].pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name):
        for registry in _REGISTRIES:
            if name in self.__dict__.get(registry, ()):
                del self.__dict__[registry][name]
                self.__dict__.pop(name, None)
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def register_buffer(self, name, tensor, persistent=True):
        """Make a tensor (or None) part of the module's state: moved and saved with it (unless not persistent), not
        trained.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        _check_name(self, name, "buffer", self._buffers)
        if tensor is not None and not isinstance(tensor, rl.Tensor):
            raise TypeError(
                f"cannot assign '{rl.typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        tensor = _run_registration_hooks(_buffer_registration_hooks, self, name, tensor)
        self._buffers[name] = tensor
        self.__dict__[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name, param):
        """Make a Parameter (or None) an attribute that `parameters()` lists."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        _check_name(self, name, "parameter", self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{rl.typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None "
                    "required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                    f"explicitly. To express '{name}' as a function of another Tensor, compute the value in the "
                    "forward() method."
                )
            param = _run_registration_hooks(_parameter_registration_hooks, self, name, param)
        self._parameters[name] = param
        self.__dict__[name] = param

    def add_module(self, name, module):
        """Make a module (or None) a submodule, found as the attribute `name`."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{rl.typename(module)} is not a Module subclass")
        _check_name(self, name, "module", self._modules)
        module = _run_registration_hooks(_module_registration_hooks, self, name, module)
        self._modules[name] = module
        self.__dict__[name] = module

    def register_module(self, name, module):
        """The same as `add_module`."""
        self.add_module(name, module)

    # -- copies --------------------------------------------------------------

    def __getstate__(self):
        attributes = self.__dict__
        mirrored = {name for registry in _REGISTRIES for name in attributes.get(registry, ())}
        return {name: value for name, value in attributes.items() if name not in mirrored}

    def __setstate__(self, state):
        attributes = self.__dict__
        attributes.update(state)
        for name, make in _LATER.items():
            if name not in attributes:
                attributes[name] = make and make()
        owner = weakref.ref(self)
        for name in _REGISTRIES:
            attributes[name] = Registry(owner, attributes.get(name, ()))
        attributes["_has_hooks"] = True  # found out by the first call

    def _replicate_for_data_parallel(self):
        """A copy that shares all values but has registries of its own."""
        replica = self.__new__(type(self))
        replica.__setstate__(self.__getstate__())
        return replica

    # -- all tensors of the tree ---------------------------------------------

    def _apply(self, fn, recurse=True):
        """Replace every tensor t by fn(t): parameters and their gradients in place, so that optimizers keep them."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for key, parameter in list(self._parameters.items()):
            if parameter is None:
                continue
            with rl.no_grad():
                changed = fn(parameter)
                grad = parameter.grad
                if changed is not parameter:
                    parameter = enter_parameter(self, key, parameter, changed)
                if grad is not None:
                    changed = fn(grad)
                    if changed is not grad:
                        # Through the gradient itself, which would be refused while its parameter has another dtype.
                        grad.data = changed
        for name, buffer in self._buffers.items():
            if is_lazy(buffer):
                buffer.data = fn(buffer)
            elif buffer is not None:
                self._buffers[name] = self.__dict__[name] = fn(buffer)
        return self

    def apply(self, fn):
        """Call fn(module) for every descendant, children first, and for this module; returns the module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args, **kwargs):
        """Move and cast in place: to(device), to(dtype), to(device, dtype), to(tensor), to(memory_format=...).

        Only floating point and complex tensors are cast; another dtype raises TypeError. Returns the module.
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None:
            _check_dtype(dtype)

        def convert(tensor):
            options = {} if device is None else {"device": device}
            if dtype is not None and (tensor.is_floating_point() or tensor.is_complex()):
                options["dtype"] = dtype
            if memory_format is not None and tensor.dim() in (4, 5):
                options["memory_format"] = memory_format
            try:
                return tensor.to(non_blocking=non_blocking, **options) if options else tensor
            except NotImplementedError as error:
                if str(error) == "Cannot copy out of meta tensor; no data!":
                    raise NotImplementedError(
                        f"{error} Please use torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving "
                        "module from meta to a different device."
                    ) from None
                raise

        return self._apply(convert)

    def to_empty(self, *, device, recurse=True):
        """Move to a device without copying the values, which are undefined afterwards; returns the module."""
        return self._apply(lambda tensor: rl.empty_like(tensor, device=device), recurse=recurse)

    def cpu(self):
        """Move all parameters and buffers to the CPU; returns the module."""
        return self._apply(lambda tensor: tensor.cpu())

    def cuda(self, device=None):
        """Move all parameters and buffers to a GPU; returns the module."""
        return self._apply(lambda tensor: tensor.cuda(device))

    def ipu(self, device=None):
        """Move all parameters and buffers to an IPU; returns the module."""
        return self._apply(lambda tensor: tensor.ipu(device))

    def xpu(self, device=None):
        """Move all parameters and buffers to an XPU; returns the module."""
        return self._apply(lambda tensor: tensor.xpu(device))

    def mtia(self, device=None):
        """Move all parameters and buffers to an MTIA; returns the module."""
        return self._apply(lambda tensor: tensor.mtia(device))

    def type(self, dst_type):
        """Cast all parameters and buffers, of whatever dtype; returns the module."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self):
        """Cast all floating point parameters and buffers to float32; returns the module."""
        return self._apply(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)

    def double(self):
        """Cast all floating point parameters and buffers to float64; returns the module."""
        return self._apply(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)

    def half(self):
        """Cast all floating point parameters and buffers to float16; returns the module."""
        return self._apply(lambda tensor: tensor.half() if tensor.is_floating_point() else tensor)

    def bfloat16(self):
        """Cast all floating point parameters and buffers to bfloat16; returns the module."""
        return self._apply(lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor)

    def share_memory(self):
        """Move all parameters and buffers into memory that other processes can map; returns the module."""
        return self._apply(lambda tensor: tensor.share_memory_())

    # -- modes and gradients -------------------------------------------------

    def train(self, mode=True):
        """Set training mode (or evaluation mode) here and in all descendants; matters to dropout, batch norm and the
        like.
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """The same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Set whether gradients of the parameters are computed, here and in all descendants; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Drop the gradients of all parameters, or fill them with zeros if not set_to_none."""
        if getattr(self, "_is_replica", False):
            warnings.warn(
                "Calling .zero_grad() from a module created with nn.DataParallel() has no effect. The parameters are "
                "copied (in a differentiable manner) from the original module. This means they are not leaf nodes in "
                "autograd and so don't accumulate gradients. If you need gradients in your forward method, consider "
                "using autograd.grad instead.",
                stacklevel=2,
            )
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
                continue
            if parameter.grad.grad_fn is not None:
                parameter.grad.detach_()
            else:
                parameter.grad.requires_grad_(False)
            parameter.grad.zero_()

    def compile(self, *args, **kwargs):
        """Compile `forward`, with the arguments of `rushlight.compile`."""
        raise errors.missing("Module.compile", "compiling a module in place", "calls are recorded and compiled anyway")


def _parse_to(args, kwargs):
    """(device, dtype, non_blocking, memory_format) from the arguments of `Tensor.to`, in any of its forms."""
    options = dict(kwargs)
    memory_format = options.pop("memory_format", None)
    rest = list(args)
    device, dtype = None, None
    if rest and isinstance(rest[0], rl.dtype):
        dtype = rest.pop(0)
    elif rest and isinstance(rest[0], rl.Tensor) or "tensor" in options:
        other = rest.pop(0) if rest else options.pop("tensor")
        device, dtype = other.device, other.dtype
    else:
        device = rest.pop(0) if rest else options.pop("device", None)
        dtype = rest.pop(0) if rest else options.pop("dtype", None)
    dtype = options.pop("dtype", None) if dtype is None else dtype
    non_blocking = rest.pop(0) if rest else options.pop("non_blocking", False)
    if rest:
        rest.pop(0)
    options.pop("copy", None)
    malformed = bool(rest or options) or not isinstance(non_blocking, (bool, int))
    if malformed or not isinstance(dtype, (rl.dtype, type(None))):
        rl.empty(0).to(*args, **kwargs)  # raises the error that tensors raise
        raise TypeError(f"to() received an invalid combination of arguments - got {args} {kwargs}")
    if device is not None and not isinstance(device, rl.device):
        device = rl.device(device)
    return device, dtype, non_blocking, memory_format


def _check_dtype(dtype):
    if not (dtype.is_floating_point or dtype.is_complex):
        raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}")
    if dtype.is_complex:
        warnings.warn(
            "Complex modules are a new feature under active development whose design may change, and some modules "
            "might not work as expected when using complex tensors as parameters or buffers. Please file an issue at "
            "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml if a complex module does not work "
            "as expected.",
            stacklevel=3,
        )
