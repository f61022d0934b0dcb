"""`Proxy`: a value that records what is done with it, and what tracers have in common.

A proxy stands for the value of a node. Python's operators, methods, attributes and (through `__torch_function__`)
public functions make new nodes. Next to read: _symbolic_trace.py.
"""

import dis
import inspect
import operator
from collections import OrderedDict

from .. import overrides
from ..core import dispatch
from .codegen import MAGIC, REFLECTABLE
from .graph import Graph
from .node import Node, map_aggregate

__all__ = ["Attribute", "GraphAppendingTracer", "ParameterProxy", "Proxy", "Scope", "ScopeContextManager", "TraceError",
           "TracerBase"]

CONSTANTS = (str, int, float, bool, complex, bytes, type(None), type(Ellipsis), range)


class TraceError(ValueError):
    """What a program does cannot be traced."""


class Scope:
    """The module that is being traced: its path and type."""

    def __init__(self, module_path, module_type):
        self.module_path, self.module_type = module_path, module_type


class ScopeContextManager:
    """Sets a scope for a `with` block."""

    def __init__(self, scope, current_scope):
        self._before = Scope(scope.module_path, scope.module_type)
        scope.module_path, scope.module_type = current_scope.module_path, current_scope.module_type
        self._scope = scope

    def __enter__(self):
        return self._scope

    def __exit__(self, *error):
        self._scope.module_path, self._scope.module_type = self._before.module_path, self._before.module_type


class TracerBase:
    """What makes nodes of calls. Subclasses decide what is traced into, and what control flow on proxies does."""

    graph: Graph
    record_stack_traces = False
    check_mutable_operations = False
    trace_asserts = False
    proxy_buffer_attributes = False
    module_stack = OrderedDict()
    scope = Scope("", None)

    def create_node(self, kind, target, args, kwargs, name=None, type_expr=None):
        """Insert a node with arguments that are nodes and constants."""
        node = self.graph.create_node(kind, target, args, kwargs, name, type_expr)
        if self.module_stack:
            node.meta["nn_module_stack"] = OrderedDict(self.module_stack)
        return node

    def proxy(self, node):
        """The proxy of a node."""
        return Proxy(node, self)

    def create_proxy(self, kind, target, args, kwargs, name=None, type_expr=None, proxy_factory_fn=None):
        """Insert a node with arguments that may be proxies; its proxy."""
        args, kwargs = self.create_arg(args), self.create_arg(kwargs)
        if not isinstance(args, tuple) or not isinstance(kwargs, dict):
            raise AssertionError("create_arg must keep tuples and dictionaries")
        node = self.create_node(kind, target, args, kwargs, name, type_expr)
        if self.record_stack_traces and "stack_trace" not in node.meta:
            node.stack_trace = _stack_of_user()
        return (proxy_factory_fn or self.proxy)(node)

    def create_arg(self, a):
        """A value as an argument of a node: proxies become nodes, containers are copied, constants stay.

        NotImplementedError for other objects, RuntimeError for dictionaries whose keys are proxies.
        """
        if isinstance(a, Proxy):
            return a.node
        if isinstance(a, CONSTANTS) and not hasattr(a, "__fx_create_arg__") and type(a) in CONSTANTS:
            return a
        if hasattr(a, "__fx_create_arg__"):
            return a.__fx_create_arg__(self)
        if isinstance(a, tuple) and hasattr(a, "_fields"):
            return type(a)(*[self.create_arg(v) for v in a])
        if isinstance(a, (tuple, list)):
            return type(a)([self.create_arg(v) for v in a])
        if isinstance(a, dict):
            return self._dictionary_argument(a)
        if isinstance(a, slice):
            return slice(self.create_arg(a.start), self.create_arg(a.stop), self.create_arg(a.step))
        if isinstance(a, (*CONSTANTS, Node)) or self._is_constant(a):
            return a
        raise NotImplementedError(f"argument of type: {type(a)}")

    def _dictionary_argument(self, a):
        result = {}
        for key, value in a.items():
            if isinstance(self.create_arg(key), Node):
                raise RuntimeError(f"Keys for dictionaries used as an argument cannot contain a Node. Got key: {key}")
            result[key] = self.create_arg(value)
        return result

    @staticmethod
    def _is_constant(a):
        """Whether generated code can name an object: dtypes, devices, types, functions, enumerations."""
        module = type(a).__module__.partition(".")[0]
        return isinstance(a, type) or callable(a) or module in (__name__.partition(".")[0], "enum") \
            or hasattr(type(a), "__members__")

    def to_bool(self, obj):
        """What `bool(proxy)` gives: an error, unless a tracer knows better."""
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def iter(self, obj):
        """What iterating a proxy gives."""
        raise TraceError("Proxy object cannot be iterated. This can be attempted when the Proxy is used in a loop or "
                         "as a *args or **kwargs function argument. See the torch.fx docs on pytorch.org for a more "
                         "detailed explanation of what types of control flow can be traced, and check out the Proxy "
                         "docstring for help troubleshooting Proxy iteration errors")

    def keys(self, obj):
        """What `proxy.keys()` gives, which `**proxy` asks for."""
        return Attribute(obj, "keys")()


def _stack_of_user():
    """The lines of the program that led here, without those of the package."""
    lines, frame = [], inspect.currentframe()
    while frame is not None:
        if not (frame.f_globals.get("__name__") or "").startswith(f"{__name__.partition('.')[0]}."):
            info = inspect.getframeinfo(frame)
            code = (info.code_context or [""])[0].strip()
            lines.append(f'  File "{info.filename}", line {info.lineno}, in {info.function}\n    {code}\n')
        frame = frame.f_back
    return "".join(reversed(lines))


class GraphAppendingTracer(TracerBase):
    """A tracer that appends to a graph that is there."""

    def __init__(self, graph):
        self.graph = graph
        self.scope = Scope("", None)
        self.module_stack = OrderedDict()


class Proxy:
    """Stands for the value of a node in a program that is being traced. What is done with it makes nodes.

    Example:
        >>> graph = torch.fx.Graph()
        >>> x = torch.fx.Proxy(graph.placeholder("x"))
        >>> (torch.relu(x) + 1).node.format_node()
        '%add : [num_users=0] = call_function[target=operator.add](args = (%relu, 1), kwargs = {})'
    """

    def __init__(self, node, tracer=None):
        self.tracer = GraphAppendingTracer(node.graph) if tracer is None else tracer
        self.node = node

    def __repr__(self):
        return f"Proxy({self.node.name})"

    def __getattr__(self, k):
        return Attribute(self, k)

    def __getstate__(self):
        return self.__dict__

    def __setstate__(self, state):
        self.__dict__ = state

    def __deepcopy__(self, memo):
        result = Proxy.__new__(Proxy)
        result.__dict__.update(self.__dict__)
        return result

    def __call__(self, *args, **kwargs):
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self):
        count = _unpacked_count(inspect.currentframe().f_back)
        if count is not None:
            return iter([self[i] for i in range(count)])
        return self.tracer.iter(self)

    def __abs__(self):
        return self.tracer.create_proxy("call_function", operator.abs, (self,), {})

    def __bool__(self):
        return self.tracer.to_bool(self)

    def __len__(self):
        raise RuntimeError("'len' is not supported in symbolic tracing by default. If you want this call to be "
                           "recorded, please call torch.fx.wrap('len') at module scope")

    def keys(self):
        """What `**proxy` asks for."""
        return self.tracer.keys(self)

    @classmethod
    def __torch_function__(cls, orig_method, types, args=None, kwargs=None):
        args, kwargs = args or (), kwargs or {}
        tracers = {}

        def note(value):
            if isinstance(value, Proxy):
                tracers[id(value.tracer)] = value.tracer
            return value
        map_aggregate(args, note)
        map_aggregate(kwargs, note)
        if len(tracers) > 1:
            raise RuntimeError("Found multiple different tracers in one expression")
        tracer = next(iter(tracers.values()))
        if overrides.is_tensor_method_or_property(orig_method):
            return tracer.create_proxy("call_method", orig_method.__name__, args, kwargs)
        return tracer.create_proxy("call_function", orig_method, args, kwargs,
                                   name=tracer.graph._target_to_str(orig_method.__name__))


def _unpacked_count(frame):
    """Into how many names the running line of a frame unpacks a value, None if it does something else."""
    if frame is None:
        return None
    for instruction in dis.get_instructions(frame.f_code):
        if instruction.offset == frame.f_lasti:
            return instruction.argval if instruction.opname == "UNPACK_SEQUENCE" else None
    return None


class Attribute(Proxy):
    """An attribute of a proxy: called, a method; used otherwise, a value."""

    def __init__(self, root, attr):
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node = None

    @property
    def node(self):
        """The node of the attribute's value, made when it is first asked for."""
        if self._node is None:
            self._node = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {}).node
        return self._node

    def __call__(self, *args, **kwargs):
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


class ParameterProxy(Proxy):
    """A proxy of a parameter whose shape is known while tracing."""

    def __init__(self, tracer, node, name, param):
        super().__init__(node, tracer)
        self.param, self.name = param, name

    def __repr__(self):
        return f"ParameterProxy({self.name})"

    @property
    def shape(self):
        """The sizes of the parameter."""
        return self.param.shape

    def size(self):
        """The sizes of the parameter."""
        return self.param.size()

    def dim(self):
        """The number of dimensions of the parameter."""
        return self.param.dim()

    @property
    def ndim(self):
        """The number of dimensions of the parameter."""
        return self.param.ndim

    def numel(self):
        """The number of elements of the parameter."""
        return self.param.numel()

    def nelement(self):
        """The number of elements of the parameter."""
        return self.param.nelement()


def _operator_method(name):
    target = getattr(operator, name)

    def method(self, *args):
        return self.tracer.create_proxy("call_function", target, (self, *args), {})
    method.__name__ = f"__{name.strip('_')}__"
    return method


def _reflected_method(name):
    target = getattr(operator, name)

    def method(self, other):
        return self.tracer.create_proxy("call_function", target, (other, self), {})
    method.__name__ = f"__r{name.strip('_')}__"
    return method


for _name in MAGIC:
    if hasattr(operator, _name):
        setattr(Proxy, f"__{_name.strip('_')}__", _operator_method(_name))
for _name in REFLECTABLE:
    if hasattr(operator, _name):
        setattr(Proxy, f"__r{_name.strip('_')}__", _reflected_method(_name))
Proxy.__hash__ = object.__hash__
searching = dispatch.searching  # entered by those who run programs on proxies
