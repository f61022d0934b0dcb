"""Symbolic tracing: a function or module runs on proxies, and what it does becomes a graph.

`Tracer.trace` calls the program with a proxy for each argument. While it runs, calls and attributes of modules pass the
tracer, and functions that were given to `wrap` record themselves. Public functions of tensors record themselves through
the door (`core/dispatch.py`).
"""

import builtins
import functools
import inspect
import math
from collections import OrderedDict

from .. import api as rl
from ..nn import Module, Parameter, Sequential
from . import _pytree
from .codegen import PyTreeCodeGen, PyTreeInfo
from .graph import Graph
from .graph_module import GraphModule
from .node import map_aggregate
from .proxy import ParameterProxy, Proxy, Scope, ScopeContextManager, TracerBase, searching

__all__ = ["PH", "PHBase", "PHWithMeta", "ProxyableClassMeta", "Tracer", "is_fx_tracing", "symbolic_trace", "wrap"]

WRAPPED_FUNCTIONS = {}  # (id of a module's globals, name) -> the globals
WRAPPED_METHODS = []  # (class, name)
VAR_FLAGS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
ROOT_PACKAGE = __name__.partition(".")[0]
_tracing = [0]


def is_fx_tracing():
    """Whether a program is being traced."""
    return _tracing[0] > 0


class PHBase:
    """An entry of `concrete_args` that stays an input."""

    def __repr__(self):
        return "PH"


class PHWithMeta(PHBase):
    """A `PHBase` with notes for the node of the input."""

    def __init__(self, meta=None, ph_key=None):
        self.meta, self.ph_key = meta, ph_key


PH = PHBase()


class ProxyableClassMeta(type):
    """A metaclass of classes whose construction from proxies is recorded."""

    def __call__(cls, *args, **kwargs):
        made = cls.__new__(cls)
        if not is_fx_tracing():
            cls.__init__(made, *args, **kwargs)
            return made
        proxy = find_proxy(args, kwargs)
        if proxy is not None:
            return proxy.tracer.create_proxy("call_function", cls, args, kwargs)
        cls.__init__(made, *args, **kwargs)
        return made


def find_proxy(*values):
    """The first proxy in nested values, None if there is none."""
    found = []
    map_aggregate(values, lambda v: found.append(v) if isinstance(v, Proxy) and not found else None)
    return found[0] if found else None


# -- wrapped functions -----------------------------------------------------------------------------------------------


def wrap(fn_or_name):
    """Record calls of a function of this module instead of tracing into it; call it at the top of the module.

    Takes the function (also as a decorator) or its name; names of built-in functions work too. Returns its argument.

    Example:
        >>> torch.fx.wrap("len")
        'len'
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    if callable(fn_or_name):
        if isinstance(fn_or_name, str):
            raise AssertionError("fn_or_name should not be a string")
        name = fn_or_name.__name__
    else:
        name = fn_or_name
    frame = inspect.currentframe().f_back
    if frame.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    WRAPPED_FUNCTIONS[id(frame.f_globals), name] = frame.f_globals
    return fn_or_name


def recording(function):
    """A function that records its calls with proxies."""
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        proxy = find_proxy(args, kwargs)
        if proxy is None:
            return function(*args, **kwargs)
        result = proxy.tracer.create_proxy("call_function", function, args, kwargs)
        result.node.meta["is_wrapped"] = True
        return result
    wrapped.__fx_wrapped__ = True
    return wrapped


class Patches:
    """Attributes and entries that are replaced for a `with` block."""

    def __init__(self):
        self.undo, self.visited = [], set()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for action in reversed(self.undo):
            action()

    def attribute(self, owner, name, value):
        """Replace an attribute of a class."""
        before = vars(owner).get(name, self)
        setattr(owner, name, value)
        self.undo.append(lambda: delattr(owner, name) if before is self else setattr(owner, name, before))

    def entry(self, table, name, value):
        """Replace an entry of a dictionary."""
        before = table.get(name, self)
        table[name] = value
        self.undo.append(lambda: table.pop(name) if before is self else table.__setitem__(name, before))

    def wrap_functions(self):
        """Let the functions that were given to `wrap` record themselves."""
        for (_, name), table in list(WRAPPED_FUNCTIONS.items()):
            original = table.get(name, getattr(builtins, name, None))
            if original is not None and not getattr(original, "__fx_wrapped__", False):
                self.entry(table, name, recording(original))

    def wrap_known(self, table, functions):
        """Let all functions of a dictionary that are among `functions` (ids) record themselves."""
        if id(table) in self.visited:
            return
        self.visited.add(id(table))
        for name, value in list(table.items()):
            if not name.startswith("_") and callable(value) and id(value) in functions:
                self.entry(table, name, recording(value))


# -- the tracer ------------------------------------------------------------------------------------------------------


class Tracer(TracerBase):
    """Traces a module or function to a `Graph`. Subclasses may override `is_leaf_module`, `call_module`, `create_arg`,
    `getattr` and others.

    Args:
        autowrap_modules (tuple): modules whose functions are recorded instead of traced into.
        autowrap_functions (tuple): functions that are recorded.
        param_shapes_constant (bool): whether shapes of parameters are constants of the graph.

    Example:
        >>> class Layers(torch.fx.Tracer):
        ...     def is_leaf_module(self, m, module_qualified_name):
        ...         return not list(m.children())
        >>> [node.name for node in Layers().trace(torch.nn.Sequential(torch.nn.ReLU())).nodes]
        ['input_1', '_0', 'output']
    """

    def __init__(self, autowrap_modules=(math,), autowrap_functions=(), param_shapes_constant=False):
        self._autowrap_function_ids = {id(value) for module in autowrap_modules for name, value in vars(module).items()
                                       if not name.startswith("_") and callable(value)}
        self._autowrap_function_ids.update(map(id, autowrap_functions))
        self._autowrap_search = list(autowrap_modules)
        self.param_shapes_constant = param_shapes_constant
        self.submodule_paths = None
        self.root_module_name = ""
        self.scope = Scope("", None)
        self.module_stack = OrderedDict()
        self.num_calls = {}

    # -- what is traced ----------------------------------------------------------------

    def is_leaf_module(self, m, module_qualified_name):
        """Whether a call of a module is one node: layers of the library are, except Sequential."""
        return (m.__module__.startswith(f"{ROOT_PACKAGE}.nn") or m.__module__.startswith("torch.nn")) \
            and not isinstance(m, Sequential)

    def path_of_module(self, mod):
        """The path of a module below the root. NameError if it is not there."""
        if self.submodule_paths:
            path = self.submodule_paths.get(mod)
            if path is None:
                raise NameError("module is not installed as a submodule")
            return path
        for name, module in self.root.named_modules():
            if module is mod:
                return name
        raise NameError("module is not installed as a submodule")

    def call_module(self, m, forward, args, kwargs):
        """What a call of a module does: one node for leaves, else `forward(*args, **kwargs)`."""
        path = self.path_of_module(m)
        with ScopeContextManager(self.scope, Scope(path, type(m))) as scope:
            count = self.num_calls.get(path, 0)
            self.num_calls[path] = count + 1
            key = f"{scope.module_path}@{count}" if count > 0 else scope.module_path
            self.module_stack[key] = (path, scope.module_type)
            try:
                if not self.is_leaf_module(m, path):
                    return forward(*args, **kwargs)
                return self.create_proxy("call_module", path, args, kwargs)
            finally:
                self.module_stack.popitem()

    def getattr(self, attr, attr_val, parameter_proxy_cache):
        """What reading an attribute of a module gives: a proxy for parameters (and for buffers if those are proxied),
        else the value."""
        if isinstance(attr_val, Parameter):
            make = None
            if self.param_shapes_constant:
                def make(node, name):
                    return ParameterProxy(self, node, name, attr_val)
            found = self._proxy_of(attr_val, self.root.named_parameters(), parameter_proxy_cache, make)
        elif self.proxy_buffer_attributes and isinstance(attr_val, rl.Tensor):
            found = self._proxy_of(attr_val, self.root.named_buffers(), parameter_proxy_cache, None)
        else:
            found = None
        return attr_val if found is None else found

    def _proxy_of(self, value, named, cache, make):
        for name, tensor in named:
            if tensor is value:
                if name not in cache:
                    factory = None if make is None else lambda node: make(node, name)
                    cache[name] = self.create_proxy("get_attr", name, (), {}, proxy_factory_fn=factory)
                return cache[name]
        return None

    def create_arg(self, a):
        """A value as an argument of a node: parameters, buffers and tensors become attributes of the root."""
        if isinstance(a, Parameter):
            for name, parameter in self.root.named_parameters():
                if a is parameter:
                    return self.create_node("get_attr", name, (), {})
            raise NameError("parameter is not a member of this module")
        if isinstance(a, rl.Tensor):
            for name, buffer in self.root.named_buffers():
                if a is buffer:
                    return self.create_node("get_attr", name, (), {})
        if isinstance(a, tuple) and hasattr(a, "_fields"):
            return type(a)(*[self.create_arg(v) for v in a])
        if isinstance(a, rl.Tensor):
            return self.create_node("get_attr", self._attribute_of(a), (), {})
        if type(type(a)) is ProxyableClassMeta:
            name = self._free_name(f"_{type(a).__name__}_constant_")
            setattr(self.root, name, a)
            return self.create_node("get_attr", name, (), {})
        return super().create_arg(a)

    def _attribute_of(self, tensor):
        """The path of a tensor below the root; one that is not there becomes a constant of the root."""
        path = self.tensor_attrs.get(id(tensor))
        if path is None:
            path = self._free_name("_tensor_constant")
            self.tensor_attrs[id(tensor)] = path
            self._kept.append(tensor)
            setattr(self.root, path, tensor)
        return path

    def _free_name(self, prefix):
        number = 0
        while hasattr(self.root, f"{prefix}{number}"):
            number += 1
        return f"{prefix}{number}"

    # -- inputs ------------------------------------------------------------------------

    def create_args_for_root(self, root_fn, is_module, concrete_args=None):
        """(a function of proxies, the proxies) for the root: a placeholder for each argument of its signature.

        `concrete_args`: values of arguments by name, which are then checked instead of being inputs; nested values with
        `PH` inputs become flat inputs.
        """
        function = inspect.unwrap(root_fn)
        code = function.__code__
        count = code.co_argcount + code.co_kwonlyargcount
        names = list(code.co_varnames[:count])
        args = [self.root] if is_module else []
        concrete_args = concrete_args or {}
        self._concrete_count = 0
        signature = inspect.signature(function)
        for name in names[len(args):]:
            args.append(self._input(function, signature, name, concrete_args))
        if concrete_args and any(not isinstance(v, (bool, int, float, str, type(None), PHBase))
                                 for v in concrete_args.values()):
            return self._nested_inputs(root_fn, args, names, is_module)
        if not code.co_kwonlyargcount and not code.co_flags & VAR_FLAGS:
            return root_fn, args
        position = count
        for flag, stars in ((inspect.CO_VARARGS, "*"), (inspect.CO_VARKEYWORDS, "**")):
            if code.co_flags & flag:
                args.append(self._placeholder(f"{stars}{code.co_varnames[position]}", function, signature))
                position += 1
        return _with_plain_arguments(function, len(args)), args

    def _placeholder(self, name, function, signature):
        default = ()
        if not name.startswith("*"):
            parameter = signature.parameters.get(name)
            if parameter is not None and parameter.default is not inspect.Parameter.empty:
                default = (parameter.default,)
        return self.create_proxy("placeholder", name, default, {}, type_expr=function.__annotations__.get(name))

    def _input(self, function, signature, name, concrete_args):
        if name not in concrete_args:
            return self._placeholder(name, function, signature)
        value = concrete_args[name]

        def leaf(item):
            if isinstance(item, PHBase):
                if item is value:
                    return self._placeholder(name, function, signature)
            self._concrete_count += 1
            proxy = self.create_proxy("placeholder", f"{name}_{self._concrete_count}", (), {})
            if isinstance(item, PHBase):
                if isinstance(item, PHWithMeta) and item.meta:
                    proxy.node.meta.update(item.meta)
                return proxy
            self._check_concrete(proxy, name, item)
            return item
        return _pytree.tree_map(leaf, value)

    def _check_concrete(self, proxy, name, value):
        """Nodes that check an input against the value it was traced for."""
        text = f"{name} has been specialized to have value {value} but got another value"
        if value is None:
            self.create_proxy("call_function", _assert_is_none, (proxy, text), {})
        elif type(value) in (bool, int, float, str):
            self.create_proxy("call_function", rl._assert, (proxy == value, text), {})

    def _nested_inputs(self, root_fn, args, names, is_module):
        """The function and inputs for nested concrete arguments."""
        start = 1 if is_module else 0
        leaves, spec = _pytree.tree_flatten(list(args[start:]))

        def flat(*values):
            result = root_fn(*args[:start], *_pytree.tree_unflatten(list(values[start:]), spec))
            out, out_spec = _pytree.tree_flatten(result)
            if not isinstance(self.graph._codegen, PyTreeCodeGen):
                raise AssertionError("expected a PyTreeCodeGen")
            self.graph._codegen.pytree_info = self.graph._codegen.pytree_info._replace(out_spec=out_spec)
            return out
        self.graph._codegen = PyTreeCodeGen(PyTreeInfo(names[start:] if is_module else names, spec, None))
        flat.__annotations__ = {}
        return flat, [*args[:start], *leaves]

    # -- tracing -----------------------------------------------------------------------

    def trace(self, root, concrete_args=None):
        """The graph of a module or function."""
        if isinstance(root, Module):
            self.root = root
            if not hasattr(type(root), self.traced_func_name):
                raise AssertionError(f"traced_func_name={self.traced_func_name} doesn't exist in {type(root).__name__}")
            function = getattr(type(root), self.traced_func_name)
            self.root_module_name = root._get_name()
            self.submodule_paths = {module: name for name, module in root.named_modules()}
        else:
            self.root = Module()
            function = root
        self.graph = Graph(tracer_cls=getattr(self, "__class__", None))
        self.tensor_attrs, self._kept, self.num_calls = {}, [], {}
        self._collect_tensors(self.root, ())
        function, args = self.create_args_for_root(function, isinstance(root, Module), concrete_args)
        cache = {}
        _tracing[0] += 1
        try:
            with searching(), Patches() as patches:
                self._patch_modules(patches, cache)
                patches.wrap_functions()
                patches.wrap_known(getattr(function, "__globals__", {}), self._autowrap_function_ids)
                for module in self._autowrap_search:
                    patches.wrap_known(vars(module), self._autowrap_function_ids)
                result = self.create_arg(function(*args))
                self.create_node("output", "output", (result,), {},
                                 type_expr=getattr(function, "__annotations__", {}).get("return"))
        finally:
            _tracing[0] -= 1
            self.submodule_paths = None
        return self.graph

    traced_func_name = "forward"

    def _collect_tensors(self, module, prefix):
        """Note the tensors that are plain attributes of modules."""
        for name, value in vars(module).items():
            if isinstance(value, rl.Tensor):
                self.tensor_attrs[id(value)] = ".".join([*prefix, name])
        for name, child in module.named_children():
            self._collect_tensors(child, (*prefix, name))

    def _patch_modules(self, patches, cache):
        """Let calls and attributes of modules pass this tracer."""
        plain_call, plain_getattr = Module.__call__, Module.__getattr__

        @functools.wraps(plain_call)
        def call(module, *args, **kwargs):
            def forward(*args, **kwargs):
                return plain_call(module, *args, **kwargs)
            forward_globals = getattr(getattr(module, "forward", module), "__globals__", {})
            patches.wrap_known(forward_globals, self._autowrap_function_ids)
            return self.call_module(module, forward, args, kwargs)

        @functools.wraps(plain_getattr)
        def get(module, name):
            return self.getattr(name, plain_getattr(module, name), cache)

        def get_mirrored(module, name):  # nn/modules/_registry.py, Note [Mirrored registries]
            value = object.__getattribute__(module, name)
            if isinstance(value, (rl.Tensor, Module)) and is_registered(module, name):
                return self.getattr(name, value, cache)
            return value
        patches.attribute(Module, "__call__", call)
        patches.attribute(Module, "__getattr__", get)
        patches.attribute(Module, "__getattribute__", get_mirrored)


def is_registered(module, name):
    """Whether an attribute of a module is one of its parameters, buffers or modules."""
    own = object.__getattribute__(module, "__dict__")
    return any(name in own.get(registry, ()) for registry in ("_parameters", "_buffers", "_modules"))


def _assert_is_none(value, message):
    """Raise AssertionError with the message unless the value is None."""
    assert value is None, message


def _with_plain_arguments(function, count):
    """The function with all parameters, also * and ** ones, as plain positional ones."""
    code = function.__code__.replace(co_flags=function.__code__.co_flags & ~VAR_FLAGS, co_argcount=count,
                                     co_posonlyargcount=0, co_kwonlyargcount=0)
    plain = type(function)(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    plain.__annotations__ = function.__annotations__
    return plain


def symbolic_trace(root, concrete_args=None):
    """Trace a module or function; a GraphModule that does the same.

    Args:
        root (Module or function): what is traced. Its arguments become proxies; control flow on them cannot be traced.
        concrete_args (dict): values of arguments that are not inputs.

    Raises:
        TraceError: if the program branches on, or iterates over, values.

    Example:
        >>> traced = torch.fx.symbolic_trace(lambda x, w: torch.relu(x) @ w)
        >>> print(traced.code.strip())
        def forward(self, x, w):
            relu = torch.relu(x);  x = None
            matmul = relu @ w;  relu = w = None
            return matmul
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = root.__class__.__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)
