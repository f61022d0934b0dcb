"""`Graph`: a program as a list of nodes that can be read, changed and turned into Python code.

Nodes form a ring through a root that is not a node of the program. `python_code` gives source text, `GraphModule` runs
it.
Next to read: codegen.py, graph_module.py.
"""

import copy
import re

from .codegen import CodeGen, Namespace, PythonCode, PyTreeCodeGen
from .node import Node, map_arg

__all__ = ["CodeGen", "Graph", "PyTreeCodeGen", "PythonCode"]


def snake_case(text):
    """A name in lower case with underscores."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", text).lower()


class _NodeList:
    """The nodes of a graph, in order; nodes may be inserted and erased while one iterates."""

    def __init__(self, graph, direction="_next"):
        self.graph, self.direction = graph, direction

    def __len__(self):
        return self.graph._len

    def __iter__(self):
        root, current = self.graph._root, getattr(self.graph._root, self.direction)
        while current is not root:
            if not current._erased:
                yield current
            current = getattr(current, self.direction)

    def __reversed__(self):
        return _NodeList(self.graph, "_prev" if self.direction == "_next" else "_next")


class _InsertPoint:
    """A context in which new nodes are inserted at another place."""

    def __init__(self, graph, insert):
        self.graph, self.before = graph, graph._insert
        graph._insert = insert

    def __enter__(self):
        return None

    def __exit__(self, *error):
        self.graph._insert = self.before


class Graph:
    """A program: placeholders, calls, and an output, in the order in which they run.

    Example:
        >>> graph = torch.fx.Graph()
        >>> x = graph.placeholder("x")
        >>> _ = graph.output(graph.call_function(torch.relu, (x,)))
        >>> print(torch.fx.GraphModule(torch.nn.Module(), graph)(torch.tensor([-1.0, 2.0])))
        tensor([0., 2.])
    """

    def __init__(self, owning_module=None, tracer_cls=None, tracer_extras=None):
        self._root = Node(self, "", "root", "", (), {})
        self._insert = self._root.prepend
        self._len = 0
        self._graph_namespace = Namespace()
        self._owning_module = owning_module
        self._owners = 0
        self._tracer_cls, self._tracer_extras = tracer_cls, tracer_extras
        self._codegen = CodeGen()

    @property
    def owning_module(self):
        """The GraphModule that the graph belongs to; None if there is none or several."""
        return self._owning_module

    @owning_module.setter
    def owning_module(self, module):
        if module is not None:
            self._owning_module = module if not self._owners else None
            self._owners += 1

    @property
    def nodes(self):
        """The nodes, in order."""
        return _NodeList(self)

    def output_node(self):
        """The node of the output."""
        return next(node for node in reversed(self.nodes) if node.op == "output")

    def find_nodes(self, *, op, target=None, sort=True):
        """The nodes with this operation and (if given) target."""
        if op == "call_function" and target is None:
            raise AssertionError("target must be specified for call_function")
        return [n for n in self.nodes if n.op == op and (target is None or n.target == target)]

    # -- building --------------------------------------------------------------------

    def create_node(self, op, target, args=None, kwargs=None, name=None, type_expr=None):
        """Insert a node; its name is made of `name` or the target."""
        if args is not None and not isinstance(args, tuple):
            raise AssertionError("args must be a tuple")
        if kwargs is not None and not isinstance(kwargs, dict):
            raise AssertionError("kwargs must be a dict")
        if op not in ("call_function", "call_method", "get_attr", "call_module", "placeholder", "output"):
            raise AssertionError(f"op '{op}' is not in _legal_ops")
        candidate = name if name is not None else self._target_to_str(target)
        node = Node(self, self._graph_namespace.create_name(candidate), op, target, args or (), kwargs or {}, type_expr)
        self._graph_namespace.associate(node.name, node)
        self._insert(node)
        self._len += 1
        return node

    def _target_to_str(self, target):
        name = target if isinstance(target, str) else target.__name__
        if name.startswith("__") and name.endswith("__") and isinstance(target, str):
            name = name[2:-2]
        return snake_case(name)

    def placeholder(self, name, type_expr=None, default_value=None, **given):
        """Insert an input. `name` may start with * or ** for all further arguments."""
        return self.create_node("placeholder", name, () if default_value is None else (default_value,),
                                type_expr=type_expr)

    def get_attr(self, qualified_name, type_expr=None):
        """Insert the reading of a parameter, buffer or attribute at a path below the root module."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_module(self, module_name, args=None, kwargs=None, type_expr=None, name=None):
        """Insert the call of a module at a path below the root module."""
        return self.create_node("call_module", module_name, args, kwargs, name, type_expr)

    def call_method(self, method_name, args=None, kwargs=None, type_expr=None, name=None):
        """Insert the call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, name, type_expr)

    def call_function(self, the_function, args=None, kwargs=None, type_expr=None, name=None):
        """Insert the call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, name, type_expr)

    def output(self, result, type_expr=None):
        """Insert the output."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def node_copy(self, node, arg_transform=lambda x: x):
        """Insert a copy of a node of another graph; `arg_transform` gives the nodes of this graph for its arguments."""
        result = self.create_node(node.op, node.target, map_arg(node.args, arg_transform),
                                  dict(map_arg(node.kwargs, arg_transform)), node.name, node.type)
        result.meta = copy.copy(node.meta)
        return result

    def graph_copy(self, g, val_map, return_output_node=False):
        """Insert copies of all nodes of another graph but its output; `val_map` (node to node) is filled.

        Returns what the output of `g` has as argument, in terms of this graph, None without output.
        """
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                value = map_arg(node.args[0], val_map.__getitem__)
                return (value, node) if return_output_node else value
            val_map[node] = self.node_copy(node, val_map.__getitem__)
        return None

    def __deepcopy__(self, memo=None):
        graph = Graph(tracer_cls=self._tracer_cls, tracer_extras=self._tracer_extras)
        graph._codegen = copy.deepcopy(self._codegen, memo)
        values = {}
        output = graph.graph_copy(self, values, return_output_node=True)
        if isinstance(output, tuple) and len(output) == 2 and isinstance(output[1], Node) and output[1].graph is self:
            node = graph.output(output[0], type_expr=output[1].type)
            node.meta = copy.copy(output[1].meta)
        if memo is not None:
            memo[id(self)] = graph
        return graph

    def inserting_before(self, n=None):
        """A context in which new nodes are inserted before a node (None: at the start)."""
        if n is None:
            return self.inserting_after(self._root)
        if n.graph is not self:
            raise AssertionError("Node to insert before is not in graph.")
        return _InsertPoint(self, n.prepend)

    def inserting_after(self, n=None):
        """A context in which new nodes are inserted after a node, each after the one before (None: at the end)."""
        if n is None:
            return self.inserting_before(self._root)
        if n.graph is not self:
            raise AssertionError("Node to insert after is not in graph.")
        return _InsertPoint(self, n.append)

    def erase_node(self, to_erase):
        """Take a node out. RuntimeError if its value is used."""
        if to_erase.users:
            raise RuntimeError(f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in the "
                               f"graph: {to_erase.users}!")
        if to_erase.graph is not self:
            raise RuntimeError(f"Attempting to remove {to_erase} from wrong graph!")
        if to_erase._erased:
            return
        to_erase._unlink()
        to_erase._erased = True
        self._len -= 1
        to_erase._set_arguments((), {})

    # -- checks ----------------------------------------------------------------------

    def lint(self):
        """Check that nodes belong to this graph, use values of earlier nodes, have names of their own, and that modules
        and attributes exist. RuntimeError if not."""
        seen, names = set(), set()
        for node in self.nodes:
            if node.op not in ("placeholder", "call_method", "call_module", "call_function", "get_attr", "output"):
                raise RuntimeError(f"Node {node} had unknown opcode {node.op}!")
            if node.graph is not self:
                raise RuntimeError(f"Node '{node}' does not belong to this Graph!")
            for used in node._input_nodes:
                self._check_use(node, used, seen)
            seen.add(node)
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            names.add(node.name)
        if self.owning_module is not None:
            self._check_targets(self.owning_module)

    def _check_use(self, node, used, seen):
        if used.graph is not self:
            raise RuntimeError(f"Argument '{used}' of Node '{node}' does not belong to this Graph, but was used as an "
                               "argument! If you are copying nodes from another graph, make sure to use "
                               "``arg_transform`` on node_copy() to remap values")
        if used not in seen:
            raise RuntimeError(f"Argument '{used}' of Node '{node}' was used before it has been defined! Please check "
                               f"that Nodes in the graph are topologically ordered\n{self}")

    def _check_targets(self, module):
        for node in self.nodes:
            if node.op not in ("get_attr", "call_module"):
                continue
            owner = module
            for part in node.target.split("."):
                if not hasattr(owner, part):
                    raise RuntimeError(f"Node {node} target {node.target} references nonexistent attribute {part} of "
                                       f"{type(owner).__name__}")
                owner = getattr(owner, part)

    def eliminate_dead_code(self, is_impure_node=None):
        """Erase nodes without users that need not run; whether there were any."""
        self.lint()
        before = self._len
        for node in reversed(self.nodes):
            impure = is_impure_node(node) if is_impure_node is not None else node.is_impure()
            if not impure and not node.users:
                self.erase_node(node)
        return self._len < before

    # -- text ------------------------------------------------------------------------

    def python_code(self, root_module, *, verbose=False, **options):
        """The code of a function that does what the graph says (a PythonCode); modules are attributes of the name
        `root_module`."""
        namespace = Namespace()
        for node in self.nodes:  # names of globals may not collide with those of values
            namespace.associate(node.name, node)
        return self._codegen._gen_python_code(self.nodes, root_module, namespace, verbose=verbose)

    def set_codegen(self, codegen):
        """Set how the graph becomes code."""
        self._codegen = codegen

    def on_generate_code(self, make_transformer):
        """Let a function rewrite the lines of generated code; a context manager that undoes it.

        `make_transformer` gets the present function (or None) and gives the new one, lines -> lines.
        """
        before = self._codegen._body_transformer
        self._codegen._body_transformer = make_transformer(before)
        return _Restore(self, before)

    def process_inputs(self, *args):
        """The arguments of a call as values of the placeholders."""
        return self._codegen.process_inputs(*args)

    def process_outputs(self, out):
        """The value of the output node as the result of a call."""
        return self._codegen.process_outputs(out)

    def print_tabular(self):
        """Print the nodes as a table."""
        rows = [("opcode", "name", "target", "args", "kwargs")]
        rows += [(n.op, n.name, str(n.target), str(n.args), str(n.kwargs)) for n in self.nodes]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        rows.insert(1, tuple("-" * width for width in widths))
        for row in rows:
            print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())

    def __str__(self):
        lines = [node.format_node() for node in self.nodes]
        return "\n    ".join(["graph():", *lines])


class _Restore:
    """Puts a transformer of code back."""

    def __init__(self, graph, before):
        self.graph, self.before = graph, before

    def __enter__(self):
        return None

    def __exit__(self, *error):
        self.graph._codegen._body_transformer = self.before
