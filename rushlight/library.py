"""`torch.library`: operators of a program's own, in `torch.ops.namespace.name` beside ours.

`custom_op` makes one of a Python function, with its gradient, its results on the device "meta" and kernels for single
devices registered by it. `Library` is the older way: schemas as text first, implementations for them later.
"""

import inspect
import re
import types
import typing

from . import api as rl
from . import ops as _ops
from .autograd import Function

__all__ = ["CustomOpDef", "Library", "custom_op", "define", "get_ctx", "impl", "infer_schema", "opcheck",
           "register_autograd", "register_fake", "register_kernel", "register_vmap"]

_TYPES = {rl.Tensor: "Tensor", int: "SymInt", float: "float", bool: "bool", str: "str", complex: "Scalar",
          rl.dtype: "ScalarType", rl.device: "Device"}
_KEYS = {"cpu": "cpu", "meta": "meta", "compositeexplicitautograd": None, "compositeimplicitautograd": None, "": None,
         "autograd": "autograd", "autogradcpu": "autograd"}
_SCHEMA = re.compile(r"(?:([\w.]+)::)?([\w.]+)\s*(\(.*\)\s*->.*)", re.DOTALL)


class _Namespace(types.SimpleNamespace):
    """`torch.ops.name`: its operators."""

    def __getattr__(self, name):
        raise AttributeError(f"'_OpNamespace' '{self._name}' object has no attribute '{name}'")


def _namespace(name):
    return _ops.CUSTOM.setdefault(name, _Namespace(_name=name))


class CustomOpDef:
    """An operator of a program's own. Calls run the kernel of the operands' device; a registered gradient makes it a
    node of the graph."""

    def __init__(self, namespace, name, schema, kernel=None, mutates_args=()):
        self._namespace, self._opname, self._qualname = namespace, name, f"{namespace}::{name}"
        self._schema, self.mutates_args = schema, mutates_args
        self._kernels, self._fake, self._vmap = {None: kernel} if kernel else {}, None, None
        self._function = self._backward = self._setup = None
        self.__name__ = name
        setattr(_namespace(namespace), name, self)

    default = property(lambda self: self, doc="The one overload.")

    def __repr__(self):
        return f"<CustomOpDef({self._qualname})>"

    def _kernel_for(self, args, kwargs):
        tensors = [v for v in (*args, *kwargs.values()) if isinstance(v, rl.Tensor)]
        device = tensors[0].device.type if tensors else "cpu"
        if device == "meta":
            found = self._fake or self._kernels.get("meta") or self._kernels.get(None)
        else:
            found = self._kernels.get(device) or self._kernels.get(None)
        if found is None:
            raise NotImplementedError(f"{self._qualname}: no implementation for tensors on the device '{device}'")
        return found

    def __call__(self, *args, **kwargs):
        kernel = self._kernel_for(args, kwargs)
        wanted = rl.is_grad_enabled() and any([isinstance(v, rl.Tensor) and v.requires_grad
                                               for v in (*args, *kwargs.values())])
        if not wanted:
            return kernel(*args, **kwargs)
        if self._backward is None:
            if "autograd" in self._kernels:
                return self._kernels["autograd"](*args, **kwargs)
            with rl.no_grad():
                result = kernel(*args, **kwargs)
            return _Undefined.of(self._qualname, result)
        return self._differentiable().apply(kernel, kwargs, *args)

    def _differentiable(self):
        """The autograd Function around the kernel, made at its first use."""
        if self._function is not None:
            return self._function
        setup, backward, name = self._setup, self._backward, self._opname

        class Node(Function):
            @staticmethod
            def forward(ctx, kernel, kwargs, *args):
                result = kernel(*args, **kwargs)
                if setup is not None:
                    more = {"keyword_only_inputs": kwargs} if kwargs else {}
                    setup(ctx, args, result, **more)
                return result

            @staticmethod
            def backward(ctx, *grads):
                found = backward(ctx, *grads)
                return (None, None, *(found if isinstance(found, tuple) else (found,)))
        title = f"GeneratedBackwardFor_{self._namespace}_{name}_default"
        self._function = type(title, (Node,), {"__module__": __name__})  # its nodes are called after it
        return self._function

    def register_kernel(self, device_types, func=None, /):
        """Enter an implementation for a device, several, or (None) all."""
        def enter(function):
            for device in [device_types] if device_types is None or isinstance(device_types, str) else device_types:
                self._kernels[device] = function
            return function
        return enter if func is None else enter(func)

    def register_fake(self, fn, /):
        """Enter the function that describes results on the device "meta"."""
        self._fake = fn
        return fn

    def register_autograd(self, backward, /, *, setup_context=None):
        """Enter `backward(ctx, *grads)` and what keeps values for it, `setup_context(ctx, inputs, output)`."""
        self._backward, self._setup, self._function = backward, setup_context, None

    def register_vmap(self, func=None):
        """Enter a batching rule `(info, in_dims, *args) -> (result, out_dims)`; kept, and not used: vmap runs the
        operator for each sample."""
        def enter(function):
            self._vmap = function
            return function
        return enter if func is None else enter(func)


class _Undefined(Function):
    """The history of an operator without a gradient: a backward pass that reaches it is refused."""

    @staticmethod
    def forward(ctx, name, *tensors):
        ctx.operator = name
        return tuple([t.view_as(t) for t in tensors])

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError(f"Trying to backward through {ctx.operator}.default but no autograd formula was registered. "
                           "If you want to use autograd, please register one with torch.library.register_autograd.")

    @staticmethod
    def of(name, result):
        """Results that refuse a backward pass."""
        if isinstance(result, rl.Tensor):
            leaf = result.detach().requires_grad_() if result.is_floating_point() or result.is_complex() else result
            return _Undefined.apply(name, leaf)[0] if leaf.requires_grad else result
        if isinstance(result, (tuple, list)):
            return type(result)([_Undefined.of(name, r) for r in result])
        return result


def _type_text(note):
    """A type of Python as the schema has it."""
    origin, inner = typing.get_origin(note), typing.get_args(note)
    if origin in (typing.Union, types.UnionType):
        left = [a for a in inner if a is not type(None)]
        if len(left) == 1 and len(inner) == 2:
            return f"{_type_text(left[0])}?"
        if set(left) <= {int, float, bool}:
            return "Scalar"
    if origin in (list, tuple) or str(origin).endswith("Sequence'>"):
        return f"{_type_text(inner[0])}[]"
    if note in _TYPES:
        return _TYPES[note]
    raise ValueError(f"infer_schema: unsupported type {note!r}; annotate parameters with tensors, numbers, strings, "
                     "dtypes, devices, or optional ones and sequences of them")


def infer_schema(prototype_function, /, *, mutates_args=(), op_name=None):
    """The schema of a function with annotations: "(Tensor x, SymInt n=1) -> Tensor"."""
    notes = typing.get_type_hints(prototype_function)
    parts, starred = [], False
    for index, (name, p) in enumerate(inspect.signature(prototype_function).parameters.items()):
        if name not in notes:
            raise ValueError(f"infer_schema: parameter {name} must have a type annotation")
        if p.kind is p.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        text = _type_text(notes[name])
        if name in mutates_args:
            text = f"Tensor(a{index}!)" + text.removeprefix("Tensor")
        default = "" if p.default is p.empty else f"={p.default!r}" if not isinstance(p.default, str) else (
            f'="{p.default}"')
        parts.append(f"{text} {name}{default}")
    back = notes.get("return", type(None))
    if back is type(None):
        result = "()"
    elif typing.get_origin(back) is tuple:
        result = f"({', '.join([_type_text(t) for t in typing.get_args(back)])})"
    else:
        result = _type_text(back)
    return f"{op_name or ''}({', '.join(parts)}) -> {result}"


def custom_op(name, fn=None, /, *, mutates_args, device_types=None, schema=None, tags=None):
    """Make `fn` the operator "namespace::name". mutates_args: names of parameters that it writes. device_types: devices
    that this implementation is for (None: all). Also a decorator."""
    def make(function):
        namespace, separator, own = name.partition("::")
        if not separator:
            raise ValueError(f"custom_op: expected a name with a namespace, 'mylib::{name}', got {name!r}")
        text = schema or infer_schema(function, mutates_args=mutates_args)
        made = CustomOpDef(namespace, own, text, mutates_args=mutates_args)
        made.register_kernel(device_types, function)
        made.__doc__, made._init_fn = function.__doc__, function
        return made
    return make if fn is None else make(fn)


def _found(op):
    """The operator of a name, or itself."""
    if isinstance(op, CustomOpDef):
        return op
    namespace, _, name = str(op).partition("::")
    found = vars(_ops.CUSTOM.get(namespace, types.SimpleNamespace())).get(name)
    if found is None:
        raise RuntimeError(f"There was no operator {op} registered: define it with torch.library.custom_op or "
                           "torch.library.define")
    return found


def register_kernel(op, device_types, func=None, /, *, lib=None):
    """Enter an implementation of an operator for devices. Also a decorator."""
    return _found(op).register_kernel(device_types, func)


def register_fake(op, func=None, /, *, lib=None, _stacklevel=1, allow_override=False):
    """Enter the function that describes an operator's results on the device "meta". Also a decorator."""
    enter = _found(op).register_fake
    return enter if func is None else enter(func)


def register_autograd(op, backward, /, *, setup_context=None, lib=None):
    """Enter the gradient of an operator."""
    _found(op).register_autograd(backward, setup_context=setup_context)


def register_vmap(op, func=None, /, *, lib=None):
    """Enter a batching rule of an operator; kept, and not used."""
    return _found(op).register_vmap(func)


def define(qualname, schema, *, lib=None, tags=()):
    """Declare the operator "namespace::name" with a schema; `impl` gives it implementations."""
    namespace, separator, name = qualname.partition("::")
    if not separator:
        raise ValueError(f"define: expected a name with a namespace, 'mylib::{qualname}', got {qualname!r}")
    CustomOpDef(namespace, name, schema)


def impl(qualname, types, func=None, *, lib=None):
    """Enter an implementation for device types ("cpu", "default" for all) of a declared operator. Also a decorator."""
    def enter(function):
        for kind in [types] if isinstance(types, str) else types:
            _enter(_found(qualname), kind, function)
        return function
    return enter if func is None else enter(func)


def _enter(op, key, function):
    known = _KEYS.get(key.lower(), key.lower())
    op._kernels[None if key == "default" else known] = function


class Library:
    """A namespace to which a program adds operators: `kind` is "DEF" (new), "FRAGMENT" (more of one) or "IMPL"."""

    def __init__(self, ns, kind, dispatch_key=""):
        if kind not in ("DEF", "IMPL", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}")
        self.ns, self.kind, self.dispatch_key, self._made = ns, kind, dispatch_key, []

    def define(self, schema, alias_analysis="", *, tags=()):
        """Declare an operator: "name(Tensor x) -> Tensor"; its name."""
        found = _SCHEMA.fullmatch(schema.strip())
        if found is None:
            raise RuntimeError(f"Library.define: cannot read the schema {schema!r}")
        name = found.group(2)
        CustomOpDef(self.ns, name.partition(".")[0], found.group(3))
        self._made.append(name)
        return name

    def impl(self, op_name, fn, dispatch_key="", *, with_keyset=False, allow_override=False):
        """Enter an implementation for a dispatch key ("CPU", "Meta", "Autograd", "CompositeExplicitAutograd")."""
        name = op_name if isinstance(op_name, str) else op_name._qualname
        name = name.partition("::")[2] or name
        _enter(_found(f"{self.ns}::{name.partition('.')[0]}"), dispatch_key or self.dispatch_key, fn)

    def _destroy(self):
        for name in self._made:
            vars(_ops.CUSTOM.get(self.ns, types.SimpleNamespace())).pop(name, None)


def get_ctx():
    """The context of a fake implementation that runs."""
    raise NotImplementedError("torch.library.get_ctx is not implemented in rushlight: there are no symbolic sizes")


def opcheck(op, args, kwargs=None, *, test_utils=("test_schema", "test_faketensor"), raise_exception=True, atol=None,
            rtol=None):
    """Check an operator on arguments: what it writes is declared, and its fake results have the shapes and dtypes of
    its results. {test: "SUCCESS" or an exception}."""
    op, kwargs, found = _found(op), kwargs or {}, {}

    def run(name, check):
        try:
            check()
            found[name] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                raise
            found[name] = error

    def writes():
        before = [(v, v._version) for v in (*args, *kwargs.values()) if isinstance(v, rl.Tensor)]
        op(*args, **kwargs)
        changed = [v for v, version in before if v._version != version]
        if changed and not op.mutates_args:
            raise RuntimeError(f"{op._qualname}: an argument was written, but mutates_args says that none is")

    def fakes():
        real = op(*args, **kwargs)
        fake = op(*[v.to("meta") if isinstance(v, rl.Tensor) else v for v in args], **kwargs)
        for a, b in zip(real if isinstance(real, tuple) else (real,), fake if isinstance(fake, tuple) else (fake,)):
            if isinstance(a, rl.Tensor) and (a.shape != b.shape or a.dtype is not b.dtype):
                raise AssertionError(f"{op._qualname}: the fake result {tuple(b.shape)} {b.dtype} is not the real one, "
                                     f"{tuple(a.shape)} {a.dtype}")
    if "test_schema" in test_utils:
        run("test_schema", writes)
    if "test_faketensor" in test_utils:
        run("test_faketensor", fakes)
    return found
