"""`GraphModule`: a module whose `forward` is the code of a graph; `recompile` follows changes of the graph."""

import copy
import itertools
import linecache
import pathlib
import types

from .. import api as rl
from ..nn import Module, Parameter
from ..serialization import save
from .codegen import PyTreeCodeGen, custom_builtins
from .graph import Graph

__all__ = ["GraphModule", "reduce_graph_module"]

_USER_PRESERVED_ATTRIBUTES_KEY = "_user_preserved_attributes"
_numbers = itertools.count()


def compiled(src, names):
    """The `forward` that source text defines. Its lines can be read by tracebacks."""
    space = dict(names)
    file = f"<eval_with_key>.{next(_numbers)}"
    linecache.cache[file] = (len(src), None, src.splitlines(True), file)
    exec(compile(src, file, "exec"), space)  # noqa: S102  (code that a graph gave)
    return space["forward"]


def import_block(names):
    """The import statements that give generated code its globals."""
    lines = []
    known = custom_builtins()
    for name, obj in names.items():
        if name in known:
            lines.append(known[name][0])
        elif isinstance(obj, types.ModuleType):
            lines.append(f"import {obj.__name__} as {name}")
        else:
            home, attribute = obj.__module__, obj.__qualname__
            if "." in attribute or "<" in attribute:
                raise RuntimeError(f"cannot pickle a GraphModule that uses {obj!r}: it is not at the top of a module")
            lines.append(f"from {home} import {attribute} as {name}")
    return "\n".join(lines)


# -- attributes of modules -------------------------------------------------------------------------------------------


def _copy_attr(from_module, to_module, target):
    """Copy the attribute at a path, with empty modules on the way."""
    *prefix, field = target.split(".")
    for item in prefix:
        source, there = getattr(from_module, item), getattr(to_module, item, None)
        if source is there:
            return  # copied as a whole
        if there is None:
            there = Module()
            setattr(to_module, item, there)
        from_module, to_module = source, there
    value = getattr(from_module, field)
    if isinstance(value, rl.Tensor) and not isinstance(value, Parameter):
        to_module.register_buffer(field, value)
    else:
        setattr(to_module, field, value)


def _assign_attr(value, to_module, target):
    """Set the attribute at a path, with empty modules on the way."""
    *prefix, field = target.split(".")
    for item in prefix:
        if not hasattr(to_module, item):
            setattr(to_module, item, Module())
        to_module = getattr(to_module, item)
    if isinstance(value, rl.Tensor) and not isinstance(value, Parameter):
        to_module.register_buffer(field, value)
    else:
        setattr(to_module, field, value)


def _has_attr(model, target):
    for item in target.split("."):
        if not hasattr(model, item):
            return False
        model = getattr(model, item)
    return True


class _CodeOnlyModule(Module):
    """A module with the attributes of another one, whose `forward` is set from outside."""

    def __init__(self, body):
        super().__init__()
        self.__dict__ = body


# -- pickles ---------------------------------------------------------------------------------------------------------


def reduce_graph_module(body, import_block):
    """The GraphModule whose code and attributes a pickle holds: the code is traced again."""
    forward = compiled(f"{import_block}\n{body.get('_code') or body['code']}", {})
    return _trace_again(forward, body)


def _trace_again(forward, body):
    tracer_class = body.pop("_tracer_cls", None)
    preserved = body.get("meta")
    shell = type("_CodeOnlyModule", (_CodeOnlyModule,), {"forward": forward})(body)
    graph = _KEEPER(tracer_class).trace(shell)
    graph._tracer_cls = tracer_class
    result = GraphModule(shell, graph)
    for key, value in body.items():
        if not hasattr(result, key):
            setattr(result, key, value)
    if preserved is not None:
        result.meta = preserved
    return result


_KEEPER = None  # set by the package: class of tracers -> a tracer that keeps all modules as they are


class GraphModule(Module):
    """A module made of a graph: `graph` says what it does, `code` is its source, attributes come from `root`.

    Args:
        root (Module or dict): where modules and attributes that nodes name are taken from (a dictionary by path).
        graph (Graph): the program.
        class_name (str): the name of the class in what is printed.

    Example:
        >>> traced = torch.fx.symbolic_trace(torch.nn.Sequential(torch.nn.ReLU()))
        >>> for node in traced.graph.nodes:
        ...     if node.op == "call_module":
        ...         node.op, node.target = "call_function", torch.sigmoid
        >>> traced.recompile().src.strip().splitlines()[2].strip()
        '_0 = torch.sigmoid(input_1);  input_1 = None'
    """

    def __new__(cls, *args, **kwargs):
        for kind in cls.__mro__:
            if kind.__qualname__.split(".")[-1] != "GraphModuleImpl":
                cls = kind
                break

        class GraphModuleImpl(cls):
            """The class of one graph module: it has the code as `forward`."""

        GraphModuleImpl.__doc__ = cls.__doc__
        return super().__new__(GraphModuleImpl)

    def __init__(self, root, graph, class_name="GraphModule"):
        super().__init__()
        self.__class__.__name__ = class_name
        if isinstance(root, Module):
            if hasattr(root, "training"):
                self.training = root.training
            self._take(root, graph)
        elif isinstance(root, dict):
            self._take_entries(root, graph)
        else:
            raise RuntimeError(f"Unsupported type {root} passed for root!")
        self.graph = graph
        self._tracer_cls = None
        if graph._tracer_cls is not None and "<locals>" not in graph._tracer_cls.__qualname__:
            self._tracer_cls = graph._tracer_cls
        self.meta = dict(getattr(root, "meta", {}) or {}) if isinstance(root, Module) else {}

    def _take(self, root, graph):
        for node in graph.nodes:
            if node.op in ("get_attr", "call_module"):
                _copy_attr(root, self, node.target)

    def _take_entries(self, root, graph):
        targets = []
        for node in graph.nodes:
            if node.op in ("get_attr", "call_module"):
                if node.target not in root:
                    raise RuntimeError(f"Node {node} referenced target {node.target} but that target was not provided "
                                       "in ``root``!")
                targets.append(node.target)
        for target in sorted(targets, key=lambda t: t.count(".")):
            _assign_attr(root[target], self, target)

    __jit_unused_properties__ = ["graph"]

    @property
    def graph(self):
        """The graph. Assigning one makes a module of it; after changes in place call `recompile`."""
        return self._graph

    @graph.setter
    def graph(self, g):
        if not isinstance(g, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(g)}")
        self._graph = g
        g.owning_module = self
        self.recompile()

    @property
    def code(self):
        """The source of `forward`."""
        if not hasattr(self, "_code"):
            raise RuntimeError("Code has not been generated! Please report a bug to PyTorch")
        return self._code

    def recompile(self):
        """Make code of the graph as it is now; the PythonCode."""
        if isinstance(self._graph._codegen, PyTreeCodeGen):
            info = self._graph._codegen.pytree_info
            self._in_spec, self._out_spec = info.in_spec, info.out_spec
        found = self._graph.python_code(root_module="self")
        self._code = found.src
        type(self).forward = compiled(found.src, found.globals)
        return found

    # -- modules ---------------------------------------------------------------------

    def add_submodule(self, target, m):
        """Install a module at a path, with empty modules on the way; False if something else is in the way."""
        *prefix, field = target.split(".")
        owner = self
        for item in prefix:
            there = getattr(owner, item, None)
            if there is None:
                there = Module()
                setattr(owner, item, there)
            if not isinstance(there, Module):
                return False
            owner = there
        owner.add_module(field, m)
        return True

    def delete_submodule(self, target):
        """Delete the module at a path; False if there is none."""
        *prefix, field = target.split(".")
        owner = self
        for item in prefix:
            owner = getattr(owner, item, None)
            if not isinstance(owner, Module):
                return False
        if not isinstance(getattr(owner, field, None), Module):
            return False
        delattr(owner, field)
        return True

    def delete_all_unused_submodules(self):
        """Delete the modules that no node uses, nor any module that one uses."""
        used = set()
        for node in self.graph.nodes:
            if node.op not in ("call_module", "get_attr"):
                continue
            parts = node.target.split(".")
            used.update(".".join(parts[:i + 1]) for i in range(len(parts)))
            if node.op == "call_module":
                try:
                    inner = self.get_submodule(node.target)
                except AttributeError:
                    continue
                used.update(f"{node.target}.{name}" for name, _ in inner.named_modules() if name)
        for name, _ in list(self.named_modules()):
            if name and name not in used:
                self.delete_submodule(name)

    # -- copies and text ---------------------------------------------------------------

    def _state(self):
        state = self.__dict__.copy()
        state.pop("_graph", None)
        return state

    def __reduce__(self):
        return reduce_graph_module, (self._state(), import_block(self.graph.python_code("self").globals))

    def __reduce_ex__(self, protocol):
        return self.__reduce__()

    @classmethod
    def _deepcopy_init(cls):
        """What initializes a copy: a function of the copy, its root and its graph."""
        return cls.__init__

    def __deepcopy__(self, memo):
        body = copy.deepcopy(self.__dict__, memo)
        return self._again(_CodeOnlyModule(body), body["_graph"], body)

    def __copy__(self):
        body = self.__dict__.copy()
        return self._again(_CodeOnlyModule(body), copy.deepcopy(self._graph), body)

    def _again(self, root, graph, body):
        """A module of the same kind with the attributes of `root`."""
        result = type(self).__new__(type(self))
        self._deepcopy_init()(result, root, graph)
        type(result).__name__ = type(self).__name__
        for key, value in body.items():
            if key not in result.__dict__ or key.endswith("hooks") or key == "meta":
                result.__dict__[key] = value
        return result

    def to_folder(self, folder, module_name="FxModule"):
        """Write the code and the modules to a folder that can be imported as a package."""
        folder = pathlib.Path(folder)
        folder.mkdir(exist_ok=True)
        lines = [f"import {rl.__package__} as torch", import_block(self.graph.python_code("self").globals), "",
                 f"class {module_name}(torch.nn.Module):", "    def __init__(self):", "        super().__init__()"]
        for name, child in self.named_children():
            save(child, folder / f"{name}.pt")
            lines.append(f"        self.add_module({name!r}, torch.load({str(folder / f'{name}.pt')!r}, "
                         "weights_only=False))")
        save(self.state_dict(), folder / "state_dict.pt")
        for kind, items in (("buffer", self._buffers), ("parameter", self._parameters)):
            for name, value in items.items():
                if value is not None:
                    made = f"torch.empty({list(value.shape)}, dtype={value.dtype})"
                    made = made if kind == "buffer" else f"torch.nn.Parameter({made})"
                    lines.append(f"        self.register_{kind}({name!r}, {made})")
        lines.append(f"        self.load_state_dict(torch.load({str(folder / 'state_dict.pt')!r}))")
        lines += [f"    {line}" for line in self.code.strip("\n").splitlines()]
        (folder / "module.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "__init__.py").write_text("from .module import *\n", encoding="utf-8")

    def __str__(self):
        return "\n".join([super().__str__(), self._code,
                          "# To see more debug info, please use `graph_module.print_readable()`"])

    def print_readable(self, print_output=True, include_stride=False, include_device=False, colored=False, **options):
        """The code as a class, also that of graph modules inside; prints and returns it."""
        code = self._graph.python_code("self", verbose=True).src.lstrip("\n")
        text = f"class {self._get_name()}(torch.nn.Module):\n" + _indented(code, 4)
        inner = [child.print_readable(False) for child in self.children() if isinstance(child, GraphModule)]
        text = "\n".join([text, *[_indented(part, 4) for part in inner]])
        if print_output:
            print(text)
        return text


def _indented(text, count):
    return "\n".join(" " * count + line if line.strip() else line.strip() for line in text.split("\n"))
