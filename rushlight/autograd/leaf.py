"""The AccumulateGrad node of leaves: edges lead to the leaf itself; this object exists for programs that look at the graph or hook it."""

import collections

from ..base.hooks import RemovableHandle
from ..core.graph import Node


class AccumulateOp:
    node_name = "AccumulateGrad"


class AccumulateGrad(Node):
    """What `next_functions` shows for a leaf; `variable` is the leaf."""

    __slots__ = ("variable",)

    def __init__(self, variable):
        super().__init__(AccumulateOp, (), (), (variable._layout,))
        self.variable = variable


def next_functions(node):
    """The nodes that this node hands gradients to, as (node, output number) pairs."""
    found = []
    for edge in node.edges:
        if edge is None:
            found.append((None, 0))
        elif isinstance(edge[0], Node):
            found.append((edge[0], edge[1]))
        else:
            found.append((edge[0]._accumulate_grad(), 0))
    return tuple(found)


def register_hook(node, hook):
    """Call `hook(grad_inputs, grad_outputs)` after the node has run."""
    if node.post_hooks is None:
        node.post_hooks = collections.OrderedDict()
    handle = RemovableHandle(node.post_hooks)
    node.post_hooks[handle.id] = hook
    return handle


def register_prehook(node, hook):
    """Call `hook(grad_outputs)` before the node runs."""
    if node.pre_hooks is None:
        node.pre_hooks = collections.OrderedDict()
    handle = RemovableHandle(node.pre_hooks)
    node.pre_hooks[handle.id] = hook
    return handle


Node.next_functions = property(next_functions)
Node.register_hook = register_hook
Node.register_prehook = register_prehook
