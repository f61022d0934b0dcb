"""The AccumulateGrad node of leaves, and what programs see of nodes: their neighbours, hooks and saved values.

Edges lead to the leaf itself; the AccumulateGrad object exists for programs that look at the graph or hook it. Read
`engine` next.
"""

import collections
from typing import NamedTuple, Optional

from ..base.hooks import RemovableHandle
from ..core import grads as rules
from ..core.graph import Node, Saved, SavedResult, pack_saved, save
from ..core.tensor import accumulate_node


class AccumulateOp:
    """The operator of AccumulateGrad nodes."""

    node_name = "AccumulateGrad"


class AccumulateGrad(Node):
    """What `next_functions` shows for a leaf; `variable` is the leaf."""

    __slots__ = ("variable",)

    def __init__(self, variable):
        self.fill(AccumulateOp, (), (), (variable._layout,))
        self.variable = variable


class GradientEdge(NamedTuple):
    """A place in the graph that gradients flow to: output `output_nr` of `node`. Stands for a tensor in `grad` and
    `backward`."""

    node: Node
    output_nr: int
    ownership_token: Optional[Node] = None


def edge_of(value):
    """The engine's edge of a tensor or GradientEdge."""
    if not isinstance(value, GradientEdge):
        return rules.edge(value)
    if isinstance(value.node, AccumulateGrad):
        return (value.node.variable, 0)
    return (value.node, value.output_nr)


def next_functions(node):
    """The nodes that this node hands gradients to, as (node, output number) pairs."""
    found = []
    for edge in node.edges:
        if edge is None:
            found.append((None, 0))
        elif isinstance(edge[0], Node):
            found.append((edge[0], edge[1]))
        else:
            found.append((accumulate_node(edge[0], AccumulateGrad), 0))
    return tuple(found)


def register_hook(node, hook):
    """Call `hook(grad_inputs, grad_outputs)` after the node has run; what it returns replaces the grad_inputs."""
    if node.post_hooks is None:
        node.post_hooks = collections.OrderedDict()
    handle = RemovableHandle(node.post_hooks)
    node.post_hooks[handle.id] = hook
    return handle


def register_prehook(node, hook):
    """Call `hook(grad_outputs)` before the node runs; what it returns replaces the grad_outputs."""
    if node.pre_hooks is None:
        node.pre_hooks = collections.OrderedDict()
    handle = RemovableHandle(node.pre_hooks)
    node.pre_hooks[handle.id] = hook
    return handle


def metadata(node):
    """A dictionary of the user's own notes on the node."""
    if node.notes is None:
        node.notes = {}
    return node.notes


def sequence_number(node):
    """The number of the node in the order of recording."""
    return node.seq


class SavedTensor:
    """A saved value as `node._raw_saved_x` gives it; hooks can be put on it."""

    def __init__(self, saved, node):
        self._saved, self._node = saved, node

    def register_hooks(self, pack_hook, unpack_hook):
        """Keep `pack_hook(tensor)` in place of the tensor; `unpack_hook` of that gives the tensor back."""
        if self._node.freed:
            raise RuntimeError(rules.FREED)
        if self._saved.hooks is not None:
            raise RuntimeError("Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only "
                               "one pair of hooks is allowed at a time.")
        pack_saved(self._saved, self._saved.unpack(self._node), (pack_hook, unpack_hook))


SAVED_NAMES = {"self": "input", "result": "out", "dim": "dims"}


def saved_attribute(node, name):
    """`node._saved_self`, `_saved_result`, `_saved_dim` ...: what the node keeps, under PyTorch's names."""
    raw = name.startswith("_raw_saved_")
    key = name.removeprefix("_raw").removeprefix("_saved_")
    names = getattr(node.op, "names", None)
    if not name.startswith(("_saved_", "_raw_saved_")) or names is None:
        raise AttributeError(f"'{node.name()}' object has no attribute '{name}'")
    found = key if key in names else SAVED_NAMES.get(key, key)
    if found not in names:
        raise AttributeError(f"'{node.name()}' object has no attribute '{name}'")
    if node.freed:
        raise RuntimeError(rules.FREED)
    at = names.index(found)
    value, version = node.saved[at], node.versions[at]
    if not raw:
        return rules.unpack(value, version, node)
    if version is not None:
        value = node.saved[at] = save(value)
        node.versions[at], value.version = None, version
    elif value.__class__ is SavedResult:
        kept = value.unpack(node)
        value = node.saved[at] = save(kept, True, value.output)
    if isinstance(value, Saved):
        return SavedTensor(value, node)
    return tuple(SavedTensor(v, node) for v in value)


Node.next_functions = property(next_functions)
Node.register_hook = register_hook
Node.register_prehook = register_prehook
Node.metadata = property(metadata)
Node.requires_grad = True
Node._sequence_nr = sequence_number
Node.__getattr__ = saved_attribute
