"""The graph of gradients: nodes, edges, saved values, and the modes that decide whether nodes are made.

A node belongs to one public operator. Its edges lead to the nodes that made its inputs, or to the leaf tensors themselves, whose
gradient accumulates. Saved values are storages with views and versions, never the operator's own result tensor, so that reference
counts alone free a graph. `autograd/engine.py` walks the graph.
"""

import itertools
import threading

sequence = itertools.count(1).__next__


class _Mode(threading.local):
    """Per thread: whether operators record gradients, and the saved-tensor hooks in force."""

    grad = True
    inference = False
    anomaly = False
    check_nan = True
    hooks = ()


MODE = _Mode()


class Saved:
    """A value kept for backward: what is needed to make the tensor again, and the version it had."""

    __slots__ = ("storage", "layout", "offset", "versions", "version", "fn", "output", "leaf", "cls", "packed", "hooks", "is_out")

    def unpack(self, node):
        """The tensor, connected to the graph again. RuntimeError if it was modified in place since."""
        if self.hooks is not None:
            return self.hooks[1](self.packed)
        version = self.versions.version if self.versions.__class__ is not list else self.versions[0]
        if version != self.version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"[torch.{_type_name(self.layout.dtype)} {list(self.layout.shape)}]"
                + (f", which is output {self.output} of {node.name()}," if self.is_out else "")
                + f" is at version {version}; expected version {self.version} instead. Hint: enable anomaly detection to find "
                "the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True).")
        if self.leaf is not None:
            return self.leaf
        tensor = make_view(self.storage, self.layout, self.offset)
        if self.is_out:
            tensor._grad_fn, tensor._nr, tensor._rg = node, self.output, True
        elif self.fn is not None:
            tensor._grad_fn, tensor._nr, tensor._rg = self.fn, self.output, True
        if self.versions.__class__ is list:
            tensor._versions = self.versions
        return tensor


def _type_name(dtype):
    return {"float32": "FloatTensor", "float64": "DoubleTensor", "float16": "HalfTensor", "bfloat16": "BFloat16Tensor",
            "int64": "LongTensor"}.get(dtype.name, dtype.name)


make_view = None  # set by core.tensor: (storage, layout, offset) -> Tensor


def save(tensor, is_out=False):
    """Keep a tensor for backward."""
    saved = Saved()
    saved.storage, saved.layout, saved.offset = tensor._storage, tensor._layout, tensor._offset
    versions = tensor._versions
    saved.versions = versions = tensor._storage if versions is None else versions
    saved.version = versions.version if versions.__class__ is not list else versions[0]
    saved.is_out, saved.output, saved.hooks, saved.leaf = is_out, tensor._nr, None, None
    if is_out:
        saved.fn = None
    else:
        saved.fn = tensor._grad_fn if tensor._base is None else tensor.grad_fn
        saved.output = tensor._nr
        if saved.fn is None and tensor._rg:
            saved.leaf = tensor
    if MODE.hooks:
        pack, unpack = MODE.hooks[-1]
        saved.hooks = (pack, unpack)
        view = tensor if not is_out else make_view(tensor._storage, tensor._layout, tensor._offset)
        saved.packed = pack(view)
        saved.storage = saved.leaf = saved.fn = None
    return saved


class Node:
    """A step of the backward pass.

    `edges[i]` leads to where the gradient of input i goes: (Node, output number), (leaf Tensor, 0), or None.
    `apply(grads)` maps the gradients of the outputs (None: zero) to those of the inputs.
    """

    __slots__ = ("op", "edges", "saved", "metas", "seq", "extras", "freed", "metadata", "__weakref__")

    def __init__(self, op, edges, saved, metas):
        self.op, self.edges, self.saved, self.metas = op, edges, saved, metas
        self.seq = sequence()
        self.extras, self.freed, self.metadata = None, False, None

    def name(self):
        """The class name PyTorch gives this node, e.g. "AddBackward0"."""
        return self.op.node_name

    def apply(self, grads):
        return self.op.backward(self, grads)

    def release(self):
        """Free the saved values; a second backward then raises."""
        if self.saved:
            self.saved = None
            self.freed = True

    def __repr__(self):
        return f"<{self.name()} object at {hex(id(self))}>"


class Extras:
    """What few nodes have: hooks, tensors that retain their gradient, the trace of the forward call."""

    __slots__ = ("pre_hooks", "post_hooks", "out_hooks", "retains", "trace")

    def __init__(self):
        self.pre_hooks = self.post_hooks = self.out_hooks = self.retains = self.trace = None


def _extra(name):
    def get(node):
        return None if node.extras is None else getattr(node.extras, name)

    def set_(node, value):
        if node.extras is None:
            node.extras = Extras()
        setattr(node.extras, name, value)
    return property(get, set_)


for _name in Extras.__slots__:
    setattr(Node, _name, _extra(_name))
