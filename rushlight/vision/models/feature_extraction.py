"""Features from the middle of models: trace a model, and make the results of chosen nodes its results.

A node is named by the path of its module, and of the operation inside it where a module's own code was traced; a name
that appears again gets a number.
"""

import collections
import copy
import inspect
import math
import re
import warnings

from ... import fx
from ...fx.graph_module import _copy_attr
from ...nn.modules.module import Module
from .. import ops
from . import maxvit, swin_transformer, video

__all__ = ["create_feature_extractor", "get_graph_node_names"]

# Modules whose code depends on sizes of their inputs, beside those of vision.ops: each is one node.
WHOLE = (
    maxvit.RelativePositionalMultiHeadAttention, swin_transformer.PatchMerging, swin_transformer.PatchMergingV2,
    swin_transformer.ShiftedWindowAttention, video.swin_transformer.PatchEmbed3d, video.mvit.MultiscaleAttention,
    video.mvit.Pool,
)
FUNCTIONS = (video.mvit.as_video,)  # the same for functions
NUMBERED = re.compile(r".+_[0-9]+$")


class LeafModuleAwareTracer(fx.Tracer):
    """A tracer for which modules of the classes `leaf_modules` are single nodes too."""

    def __init__(self, *args, **kwargs):
        self.leaf_modules = tuple(kwargs.pop("leaf_modules", ()))
        super().__init__(*args, **kwargs)

    def is_leaf_module(self, m, module_qualname):
        return isinstance(m, self.leaf_modules) or super().is_leaf_module(m, module_qualname)


class NodePathTracer(LeafModuleAwareTracer):
    """A tracer that names nodes by paths, in `node_to_qualname`, in the order of their execution."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.current_module_qualname = ""
        self.node_to_qualname = collections.OrderedDict()

    def call_module(self, m, forward, args, kwargs):
        outer = self.current_module_qualname
        try:
            self.current_module_qualname = path = self.path_of_module(m)
            if not self.is_leaf_module(m, path):
                return forward(*args, **kwargs)
            return self.create_proxy("call_module", path, args, kwargs)
        finally:
            self.current_module_qualname = outer

    def create_proxy(self, *args, **kwargs):
        proxy = super().create_proxy(*args, **kwargs)
        self.node_to_qualname[proxy.node] = self._name(proxy.node)
        return proxy

    def _name(self, node):
        """The path of a node, with a number if the path alone is taken."""
        path = self.current_module_qualname
        if node.op != "call_module":
            path = f"{path}.{node}" if path else str(node)
        if NUMBERED.match(path):  # fx counts over the whole graph, this counts within the parent
            path = path.rpartition("_")[0]
        pattern = re.compile(rf"{re.escape(path)}(?:_([0-9]+))?$")
        for other in reversed(self.node_to_qualname.values()):
            found = pattern.match(other)
            if found:
                return f"{path}_{int(found.group(1) or 0) + 1}"
        return path


class DualGraphModule(fx.GraphModule):
    """A module of two graphs, one for training and one for evaluation.

    Args:
        root (Module): where modules and attributes that nodes name are taken from.
        train_graph, eval_graph (fx.Graph): the programs.
        class_name (str): the name of the class in what is printed.
    """

    def __init__(self, root, train_graph, eval_graph, class_name="GraphModule"):
        Module.__init__(self)
        self.__class__.__name__ = class_name
        self.train_graph, self.eval_graph = train_graph, eval_graph
        for graph in (train_graph, eval_graph):
            for node in graph.nodes:
                if node.op in ("get_attr", "call_module"):
                    if not isinstance(node.target, str):
                        raise TypeError(f"node.target should be of type str instead of {type(node.target)}")
                    _copy_attr(root, self, node.target)
        self.train()
        self.graph = train_graph
        if eval_graph._tracer_cls != train_graph._tracer_cls:
            raise TypeError("Train mode and eval mode should use the same tracer class. Instead got "
                            f"{eval_graph._tracer_cls} for eval vs {train_graph._tracer_cls} for train")
        self._tracer_cls = train_graph._tracer_cls

    def train(self, mode=True):
        """Choose the mode, and with it the graph."""
        if mode != self.training:
            self.graph = self.train_graph if mode else self.eval_graph
        return super().train(mode)

    def __deepcopy__(self, memo):
        root = Module()
        root.__dict__ = {key: copy.deepcopy(value, memo) for key, value in self.__dict__.items() if key != "_graph"}
        made = DualGraphModule(root, root.__dict__["train_graph"], root.__dict__["eval_graph"], type(self).__name__)
        memo[id(self)] = made
        return made.train(self.training)


def _tracer_options(given):
    """The arguments of the tracer: those of the caller, and what every model of vision needs."""
    found = dict(given or {})
    modules = tuple(found.get("autowrap_modules", ()))
    found["autowrap_modules"] = modules + tuple([m for m in (math, ops) if m not in modules])
    found["autowrap_functions"] = (*found.get("autowrap_functions", ()), *FUNCTIONS)
    layers = [value for value in vars(ops).values() if inspect.isclass(value) and issubclass(value, Module)]
    found["leaf_modules"] = [*found.get("leaf_modules", ()), *layers, *WHOLE]
    return found


def _is_subsequence(part, whole):
    rest = iter(whole)
    return all(any(item == other for other in rest) for item in part)


def _warn_of_differences(train_nodes, eval_nodes):
    if train_nodes == eval_nodes:
        return
    text = "The nodes obtained by tracing the model in train mode are different to those obtained in eval mode. "
    nodes = {"eval": eval_nodes, "train": train_nodes}
    for part, whole in (("eval", "train"), ("train", "eval")):
        if _is_subsequence(nodes[part], nodes[whole]):
            text = (f"NOTE: The nodes obtained by tracing the model in {part} mode are a subsequence of those obtained "
                    f"in {whole} mode. ")
            break
    warnings.warn(f"{text}When choosing nodes for feature extraction, you may need to specify output nodes for train "
                  "and eval mode separately.", stacklevel=4)


def _traced(model, options, concrete_args):
    """{mode: (tracer, graph)} of a model, whose own mode stays."""
    training, found = model.training, {}
    try:
        for mode in ("train", "eval"):
            tracer = NodePathTracer(**options)
            graph = tracer.trace(model.train(mode == "train"), concrete_args=concrete_args)
            found[mode] = (tracer, graph)
    finally:
        model.train(training)
    return found


def get_graph_node_names(model, tracer_kwargs=None, suppress_diff_warning=False, concrete_args=None):
    """Return the names of the nodes of a model in training and in evaluation mode, two lists.

    Args:
        model (Module): the model.
        tracer_kwargs (dict, optional): arguments of `NodePathTracer`.
        suppress_diff_warning (bool): do not warn if the lists differ.
        concrete_args (dict, optional): values of arguments, which are then not inputs of the graph.

    Example:
        >>> from torchvision.models.feature_extraction import get_graph_node_names
        >>> get_graph_node_names(torchvision.models.resnet18())[0][-3:]
        ['avgpool', 'flatten', 'fc']
    """
    traced = _traced(model, _tracer_options(tracer_kwargs), concrete_args)
    names = [list(traced[mode][0].node_to_qualname.values()) for mode in ("train", "eval")]
    if not suppress_diff_warning:
        _warn_of_differences(*names)
    return tuple(names)


def create_feature_extractor(model, return_nodes=None, train_return_nodes=None, eval_return_nodes=None,
                             tracer_kwargs=None, suppress_diff_warning=False, concrete_args=None):
    """Make a module that returns the results of chosen nodes of a model. It shares the model's parameters, and leaves
    out what the nodes do not need.

    Args:
        model (Module): the model.
        return_nodes (list of str, or dict, optional): names of nodes (see `get_graph_node_names`), or the beginnings of
            their paths, which stand for the last node there; a dictionary gives the results other names.
        train_return_nodes, eval_return_nodes (list of str, or dict, optional): the same for each mode, in place of
            `return_nodes`.
        tracer_kwargs, suppress_diff_warning, concrete_args: see `get_graph_node_names`.

    Returns:
        Module: it returns a dictionary of tensors.

    Raises:
        ValueError: a node does not exist, or the arguments do not say which nodes.

    Example:
        >>> from torchvision.models.feature_extraction import create_feature_extractor
        >>> model = create_feature_extractor(torchvision.models.resnet18(), {"layer1": "low", "layer3": "high"})
        >>> {name: tuple(value.shape) for name, value in model(torch.rand(1, 3, 64, 64)).items()}
        {'low': (1, 64, 16, 16), 'high': (1, 256, 4, 4)}
    """
    wanted = _wanted(return_nodes, train_return_nodes, eval_return_nodes)
    traced = _traced(model, _tracer_options(tracer_kwargs), concrete_args)
    names = {mode: list(tracer.node_to_qualname.values()) for mode, (tracer, _) in traced.items()}
    name = type(model).__name__
    graphs = {}
    for mode, (tracer, graph) in traced.items():
        for query in wanted[mode]:
            if not any(path == query or path.startswith(f"{query}.") for path in names[mode]):
                raise ValueError(
                    f"node: '{query}' is not present in model. Hint: use `get_graph_node_names` to make sure the "
                    "`return_nodes` you specified are present. It may even be that you need to specify "
                    "`train_return_nodes` and `eval_return_nodes` separately.")
        owner = fx.GraphModule(tracer.root, graph, name)  # says which nodes have effects
        graphs[mode] = _with_results(owner.graph, tracer.node_to_qualname, wanted[mode])
    if not suppress_diff_warning:
        _warn_of_differences(names["train"], names["eval"])
    made = DualGraphModule(model, graphs["train"], graphs["eval"], class_name=name)
    return made.train(model.training)


def _wanted(return_nodes, train_return_nodes, eval_return_nodes):
    """{mode: {query: name of the result}}."""
    both = (train_return_nodes, eval_return_nodes)
    if return_nodes is None and both == (None, None):
        raise ValueError("Either `return_nodes` or `train_return_nodes` and `eval_return_nodes` together, should be "
                         "specified")
    if (train_return_nodes is None) != (eval_return_nodes is None):
        raise ValueError("If any of `train_return_nodes` and `eval_return_nodes` are specified, then both should be "
                         "specified")
    if return_nodes is not None and train_return_nodes is not None:
        raise ValueError("If `train_return_nodes` and `eval_return_nodes` are specified, then both should be specified")
    found = (return_nodes, return_nodes) if train_return_nodes is None else both
    return {mode: {str(key): str(value) for key, value in (nodes.items() if isinstance(nodes, dict)
                                                           else zip(nodes, nodes))}
            for mode, nodes in zip(("train", "eval"), found)}


def _with_results(graph, paths, wanted):
    """The graph with a dictionary of results in place of its own, and nothing that they do not need."""
    for node in reversed(list(graph.nodes)):
        if node.op == "output":
            graph.erase_node(node)
    left, results = dict(wanted), []
    for node in reversed(list(graph.nodes)):
        steps = paths.get(node, "").split(".")
        for query in left:
            if ".".join(steps[:query.count(".") + 1]) == query:
                results.append((left.pop(query), node))
                break
    graph.output(collections.OrderedDict(reversed(results)))
    graph.eliminate_dead_code()
    return graph
