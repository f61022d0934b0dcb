"""`torch.fx`: trace programs to graphs, read and change these, and run them as modules.

Read `node`, `graph` and `codegen` for what a program is; `proxy` and `_symbolic_trace` for how it is recorded;
`graph_module`, `interpreter` and `subgraph_rewriter` for what is done with it.
"""

from . import _symbolic_trace, graph_module, immutable_collections, proxy
from ._symbolic_trace import PH, ProxyableClassMeta, Tracer, symbolic_trace, wrap
from .graph import CodeGen, Graph
from .graph_module import GraphModule
from .interpreter import Interpreter, Transformer
from .node import Node, has_side_effect, map_arg
from .proxy import Proxy
from .subgraph_rewriter import replace_pattern
from . import interpreter, node, passes, subgraph_rewriter

__all__ = ["symbolic_trace", "Tracer", "wrap", "Graph", "GraphModule", "Interpreter", "Transformer", "Node", "Proxy",
           "replace_pattern", "has_side_effect", "map_arg"]


def _keeper(tracer_class):
    """A tracer that keeps all modules as they are."""
    class KeepModules(tracer_class or Tracer):
        def is_leaf_module(self, m, module_qualified_name):
            return True
    return KeepModules()


graph_module._KEEPER = _keeper
