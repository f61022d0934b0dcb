"""`Interpreter`: runs a graph node by node. `Transformer`: runs it on proxies, which gives a new graph."""

from ._symbolic_trace import Tracer
from .codegen import last_uses
from .graph import Graph
from .graph_module import GraphModule
from .node import map_aggregate, map_arg
from .proxy import Proxy, searching

__all__ = ["Interpreter", "Transformer"]


class Interpreter:
    """Runs the graph of a module node by node; subclasses override what an operation does.

    Args:
        module (Module): whose modules and attributes nodes name.
        garbage_collect_values (bool): whether values are dropped after their last use.
        graph (Graph): the program, that of `module` by default.

    Example:
        >>> class Names(torch.fx.Interpreter):
        ...     def run_node(self, n):
        ...         print(n.op, n.name)
        ...         return super().run_node(n)
        >>> Names(torch.fx.symbolic_trace(lambda x: torch.relu(x))).run(torch.tensor([-1.0]))
        placeholder x call_function relu output output tensor([0.])
    """

    def __init__(self, module, garbage_collect_values=True, graph=None):
        self.module = module
        self.submodules = dict(module.named_modules())
        self.graph = module.graph if graph is None else graph
        self.env = {}
        self.name = "Interpreter"
        self.garbage_collect_values = garbage_collect_values
        self.extra_traceback = True
        self.user_to_last_uses = last_uses(list(self.graph.nodes)) if garbage_collect_values else {}

    def run(self, *args, initial_env=None, enable_io_processing=True):
        """Run the program with these arguments; what its output node gives.

        initial_env (dict): values of nodes that then do not run.
        """
        self.env = dict(initial_env or {})
        if enable_io_processing:
            args = self.graph.process_inputs(*args)
        self.args_iter = iter(args)
        for node in self.graph.nodes:
            if node in self.env:
                continue
            try:
                self.env[node] = self.run_node(node)
            except Exception as error:
                if self.extra_traceback:
                    note = f"While executing {node.format_node()}"
                    error.args = (f"{error.args[0]}\n\n{note}" if error.args else note, *error.args[1:])
                raise
            if self.garbage_collect_values:
                for done in self.user_to_last_uses.get(node, ()):
                    del self.env[done]
            if node.op == "output":
                value = self.env[node]
                return self.graph.process_outputs(value) if enable_io_processing else value
        return None

    def boxed_run(self, args_list):
        """`run` with a list of arguments, which is emptied so that they can be freed."""
        values = iter(args_list)
        env = {node: next(values) for node in self.graph.nodes if node.op == "placeholder"}
        args_list.clear()
        return self.run(initial_env=env)

    def run_node(self, n):
        """The value of one node."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return getattr(self, n.op)(n.target, args, kwargs)

    def placeholder(self, target, args, kwargs):
        """The next argument, or the default. RuntimeError if there is neither."""
        if target.startswith("**"):
            return {}
        if target.startswith("*"):
            return list(self.args_iter)
        try:
            return next(self.args_iter)
        except StopIteration:
            if args:
                return args[0]
            raise RuntimeError(f"Expected positional argument for parameter {target}, but one was not passed in!") \
                from None

    def get_attr(self, target, args, kwargs):
        """The attribute at a path."""
        return self.fetch_attr(target)

    def call_function(self, target, args, kwargs):
        """What a function gives."""
        return target(*args, **kwargs)

    def call_method(self, target, args, kwargs):
        """What a method of the first argument gives."""
        owner, *rest = args
        return getattr(owner, target)(*rest, **kwargs)

    def call_module(self, target, args, kwargs):
        """What a module gives."""
        return self.fetch_attr(target)(*args, **kwargs)

    def output(self, target, args, kwargs):
        """The result of the program."""
        return args[0]

    def fetch_attr(self, target):
        """The attribute of the module at a path. RuntimeError if there is none."""
        value, parts = self.module, target.split(".")
        for i, part in enumerate(parts):
            if not hasattr(value, part):
                raise RuntimeError(f"Node referenced nonexistent target {'.'.join(parts[:i + 1])}")
            value = getattr(value, part)
        return value

    def fetch_args_kwargs_from_env(self, n):
        """(args, kwargs) of a node with values for nodes."""
        return self.map_nodes_to_values(n.args, n), self.map_nodes_to_values(n.kwargs, n)

    def map_nodes_to_values(self, args, n):
        """A nested argument with values for nodes."""
        def load(node):
            if node not in self.env:
                raise RuntimeError(f"Node {n} referenced nonexistent value {node}! Run Graph.lint() to diagnose such "
                                   "issues")
            return self.env[node]
        return map_arg(args, load)


class _NewGraph(Tracer):
    """Appends to a new graph and keeps all modules as they are."""

    def __init__(self, graph, root):
        super().__init__()
        self.graph, self.root, self.tensor_attrs, self._kept = graph, root, {}, []

    def is_leaf_module(self, m, module_qualified_name):
        return True


class Transformer(Interpreter):
    """An interpreter on proxies: `transform` gives a module with the program that the overridden methods made.

    Example:
        >>> class Swap(torch.fx.Transformer):
        ...     def call_function(self, target, args, kwargs):
        ...         return super().call_function(torch.sigmoid if target is torch.relu else target, args, kwargs)
        >>> swapped = Swap(torch.fx.symbolic_trace(lambda x: torch.relu(x))).transform()
        >>> swapped(torch.zeros(1))
        tensor([0.5000])
    """

    def __init__(self, module):
        super().__init__(module)
        self.new_graph = Graph()
        self.new_graph.set_codegen(module.graph._codegen)
        self.tracer = _NewGraph(self.new_graph, module)

    def placeholder(self, target, args, kwargs):
        """An input of the new program."""
        node = self.new_graph.placeholder(target, default_value=args[0] if args else None)
        return Proxy(node, self.tracer)

    def get_attr(self, target, args, kwargs):
        """An attribute in the new program."""
        return self.tracer.create_proxy("get_attr", target, args, kwargs)

    def call_module(self, target, args, kwargs):
        """A call of a module in the new program."""
        return self.tracer.create_proxy("call_module", target, args, kwargs)

    def call_function(self, target, args, kwargs):
        """A call of a function in the new program."""
        return self.tracer.create_proxy("call_function", target, args, kwargs)

    def transform(self):
        """The module of the new program."""
        with searching():
            result = super().run(enable_io_processing=False)
        if result is not None:
            output = self.new_graph.output(map_aggregate(result, _without_proxy))
            before = self.graph.output_node()
            output.type = before.type
            output.meta.update(before.meta)
        return GraphModule(self.module, self.new_graph)

    def run_node(self, n):
        """The proxy of one node; it keeps the notes of the node."""
        result = super().run_node(n)
        if isinstance(result, Proxy) and not result.node.meta:
            result.node.meta.update(n.meta)
            result.node.type = result.node.type or n.type
        return result


def _without_proxy(value):
    return value.node if isinstance(value, Proxy) else value
