"""`Node`: one step of a graph, linked to the steps before and after it, and to those that use its value.

`args` and `kwargs` are nested lists, tuples, dictionaries and slices of nodes and constants; assigning them keeps
`users` of the nodes concerned true. Next to read: graph.py.
"""

import builtins
import types
from collections.abc import Callable
from typing import Any

from .. import api as rl
from .immutable_collections import immutable_dict, immutable_list

__all__ = ["Node", "has_side_effect", "map_aggregate", "map_arg"]

Target = Callable[..., Any] | str
Argument = Any
BaseArgumentTypes = str | int | float | bool | complex

OPS = ("placeholder", "call_method", "call_module", "call_function", "get_attr", "output", "root")
ROOT = __name__.partition(".")[0]
SIDE_EFFECTS = {rl._assert}


def has_side_effect(fn):
    """Mark a function as one that has to run even if its result is not used; the function."""
    SIDE_EFFECTS.add(fn)
    return fn


# -- names -----------------------------------------------------------------------------------------------------------


def as_torch(module):
    """The name by which programs know a module of ours."""
    if module == ROOT or module.startswith(f"{ROOT}."):
        return f"torch{module[len(ROOT):]}"
    return module


def qualified_name(func):
    """The name of a function or class with its module: "torch.relu", "torch.nn.functional.relu", "math.sqrt"."""
    name = func.__name__
    if getattr(builtins, name, None) is func:
        return name
    if getattr(func, "__qualname__", "").startswith("Tensor.") and getattr(rl.Tensor, name, None) is func:
        return f"torch.Tensor.{name}"
    if func is rl.Tensor:
        return "torch.Tensor"
    if isinstance(func, type) and getattr(rl, name.lower(), None) is func:
        return f"torch.{name.lower()}"
    if name == "<lambda>":
        name = func.__qualname__.replace("<", "_").replace(">", "_")
    module = getattr(func, "__module__", None)
    if module is None:
        module = _home_of(func)
    return f"{as_torch(module)}.{name}"


def _home_of(func):
    owner = getattr(func, "__self__", None)
    if isinstance(owner, types.ModuleType):
        return owner.__name__
    raise RuntimeError(f"cannot find module for {func}")


def type_name(kind):
    """A type annotation as text, as it stands in generated code."""
    if kind is None or kind is type(None):
        return "None"
    if isinstance(kind, str):
        return kind
    if isinstance(kind, type) and not isinstance(kind, types.GenericAlias):
        return kind.__qualname__ if kind.__module__ == "builtins" else qualified_name(kind)
    return as_torch_text(repr(kind))


def as_torch_text(text):
    """A text in which our tensor class has its public name."""
    return text.replace(f"{ROOT}.core.tensor.Tensor", "torch.Tensor").replace(f"{ROOT}.", "torch.")


def pretty_target(target):
    """A target as text, in descriptions of nodes."""
    if isinstance(target, str):
        return target
    if not hasattr(target, "__module__"):
        raise AssertionError(f"{target!r} has no module")
    if target.__module__ == "builtins":
        return f"builtins.{target.__name__}"
    if target.__module__ == "_operator":
        return f"operator.{target.__name__}"
    return qualified_name(target)


def format_argument(value):
    """An argument as text, in descriptions of nodes: nodes as %name, strings without quotes."""
    if isinstance(value, Node):
        return f"%{value.name}"
    if hasattr(value, "_fx_str"):
        return value._fx_str()
    if isinstance(value, list):
        return f"[{', '.join(map(format_argument, value))}]"
    if isinstance(value, tuple) and not hasattr(value, "_fields") and type(value) is tuple:
        inner = ", ".join(map(format_argument, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {format_argument(v)}' for k, v in value.items())}}}"
    if isinstance(value, types.FunctionType):
        return pretty_target(value)
    return str(value)


# -- nested arguments ------------------------------------------------------------------------------------------------


def map_aggregate(a, fn):
    """`fn` of all leaves of nested tuples, lists, dictionaries and slices; containers become immutable ones."""
    if isinstance(a, tuple):
        items = [map_aggregate(v, fn) for v in a]
        if hasattr(a, "_fields"):
            return type(a)(*items)
        return tuple(items) if type(a) is tuple else a if not items or _same(items, a) else tuple(items)
    if isinstance(a, list):
        return immutable_list([map_aggregate(v, fn) for v in a])
    if isinstance(a, dict):
        return immutable_dict({k: map_aggregate(v, fn) for k, v in a.items()})
    if isinstance(a, slice):
        return slice(map_aggregate(a.start, fn), map_aggregate(a.stop, fn), map_aggregate(a.step, fn))
    return fn(a)


def _same(items, values):
    return len(items) == len(values) and all(a is b for a, b in zip(items, values))


def map_arg(a, fn):
    """`fn` of all nodes of a nested argument."""
    if not callable(fn):
        raise AssertionError("torch.fx.map_arg(a, fn): fn must be a callable")
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


class Node:
    """One step of a graph: an input, a call, an attribute, or the output.

    Attributes:
        op (str): "placeholder", "get_attr", "call_function", "call_method", "call_module" or "output".
        target: what is called: a function, or the name of a method, module, attribute or input.
        args (tuple), kwargs (dict): the arguments; nodes stand for the values they will have.
        name (str): the name of the value in generated code, unique in the graph.
        users (dict): the nodes that use the value, as keys.
        meta (dict): anything that passes want to note.
    """

    def __init__(self, graph, name, op, target, args, kwargs, return_type=None):
        if op == "call_function":
            if not callable(target):
                raise ValueError(f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)} but "
                                 "a Callable is expected")
        elif op not in OPS or not isinstance(target, str):
            if op not in OPS:
                raise AssertionError(f"op '{op}' is not in _legal_ops")
            raise ValueError(f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)} but a "
                             "str is expected")
        self.graph, self.name, self.op, self.target, self.type = graph, name, op, target, return_type
        self._input_nodes, self.users = {}, {}
        self._prev = self._next = self
        self._erased = False
        self.meta = {}
        self._repr_fn = None
        self._args, self._kwargs = (), {}
        self._set_arguments(map_arg(args, lambda n: n), map_arg(kwargs, lambda n: n))

    # -- neighbours ------------------------------------------------------------------

    @property
    def next(self):
        """The node after this one."""
        return self._next

    @property
    def prev(self):
        """The node before this one."""
        return self._prev

    def prepend(self, x):
        """Move a node of the same graph (or a new one) in front of this one."""
        if self.graph is not x.graph:
            raise AssertionError("Attempting to move a Node into a different Graph")
        if self is x:
            return
        x._unlink()
        before = self._prev
        before._next, x._prev = x, before
        x._next, self._prev = self, x

    def append(self, x):
        """Move a node behind this one."""
        self._next.prepend(x)

    def _unlink(self):
        self._prev._next, self._next._prev = self._next, self._prev

    _remove_from_list = _unlink

    def __lt__(self, other):
        return self._position() < other._position()

    def __gt__(self, other):
        return other < self

    def _position(self):
        """The number of nodes before this one."""
        for i, node in enumerate(self.graph.nodes):
            if node is self:
                return i
        return -1

    # -- arguments -------------------------------------------------------------------

    @property
    def args(self):
        """The positional arguments; assigning them updates `users`."""
        return self._args

    @args.setter
    def args(self, value):
        self._set_arguments(map_arg(value, lambda n: n), self._kwargs)

    @property
    def kwargs(self):
        """The keyword arguments; assigning them updates `users`."""
        return self._kwargs

    @kwargs.setter
    def kwargs(self, value):
        self._set_arguments(self._args, map_arg(value, lambda n: n))

    def _set_arguments(self, args, kwargs):
        for node in self._input_nodes:
            node.users.pop(self, None)
        self._input_nodes = {}
        self._args, self._kwargs = args, kwargs

        def use(node):
            self._input_nodes.setdefault(node)
            node.users.setdefault(self)
            return node
        map_arg(args, use)
        map_arg(kwargs, use)

    def update_arg(self, idx, arg):
        """Replace one positional argument."""
        args = list(self.args)
        args[idx] = arg
        self.args = tuple(args)

    def insert_arg(self, idx, arg):
        """Insert a positional argument."""
        if not 0 <= idx <= len(self.args):
            raise AssertionError("insert_args index must be between 0 and len(self.args)")
        self.args = (*self.args[:idx], arg, *self.args[idx:])

    def update_kwarg(self, key, arg):
        """Set one keyword argument."""
        self.kwargs = {**self.kwargs, key: arg}

    @property
    def all_input_nodes(self):
        """The nodes among the arguments, each once, in order."""
        return list(self._input_nodes)

    def replace_all_uses_with(self, replace_with, delete_user_cb=None, *, propagate_meta=False):
        """Use another node wherever this one is used (and `delete_user_cb(user)` is true); the nodes changed."""
        if propagate_meta:
            if replace_with.meta:
                raise AssertionError("Called node.replace_all_uses_with(replace_with, propagate_meta=True), but "
                                     "replace_with already has .meta keys")
            replace_with.meta.update(self.meta)
        users = [user for user in self.users if delete_user_cb is None or delete_user_cb(user)]
        for user in users:
            user.replace_input_with(self, replace_with)
        return users

    def replace_input_with(self, old_input, new_input):
        """Use `new_input` wherever `old_input` stands among the arguments."""
        def swap(node):
            return new_input if node is old_input else node
        self._set_arguments(map_arg(self.args, swap), map_arg(self.kwargs, swap))

    # -- meaning ---------------------------------------------------------------------

    @property
    def stack_trace(self):
        """The text of where the node was traced, None if it was not noted."""
        return self.meta.get("stack_trace")

    @stack_trace.setter
    def stack_trace(self, trace):
        self.meta["stack_trace"] = trace

    def is_impure(self, impure_random=True):
        """Whether the node has to run even if its value is not used."""
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_function":
            return self.target in SIDE_EFFECTS
        if self.op == "call_module":
            module = self.graph.owning_module
            if module is None:
                raise AssertionError("self.graph.owning_module not set for purity check")
            return getattr(module.get_submodule(self.target), "_is_impure", False)
        return False

    def _pretty_print_target(self, target):
        return pretty_target(target)

    def format_node(self, placeholder_names=None, maybe_return_typename=None, *, include_tensor_metadata=False):
        """One line that describes the node; appends to the lists given what belongs to the head of the graph."""
        kind = f"{type_name(self.type)} " if self.type else ""
        head = f"%{self.name} : {kind}[num_users={len(self.users)}] = {self.op}"
        if self.op == "placeholder":
            if placeholder_names is not None:
                placeholder_names.append(self.target + (f" : {type_name(self.type)}" if self.type else ""))
            default = f"(default={self.args[0]})" if self.args else ""
            return f"{head}[target={self.target}]{default}"
        if self.op == "get_attr":
            return f"{head}[target={pretty_target(self.target)}]"
        if self.op == "output":
            if self.type and maybe_return_typename:
                maybe_return_typename[0] = f" -> {type_name(self.type)}"
            return f"return {self.args[0]}"
        return (f"{head}[target={pretty_target(self.target)}](args = {format_argument(self.args)}, "
                f"kwargs = {format_argument(self.kwargs)})")

    def __repr__(self):
        return self._repr_fn(self) if self._repr_fn else self.name
