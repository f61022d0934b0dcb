"""The graph of gradients: nodes, edges, saved values, and the modes that decide whether nodes are made.

A node belongs to one public operator. Its edges lead to the nodes that made its inputs, or to the leaf tensors
themselves, whose gradient accumulates. A node saves operands as they are, with the versions they had, and results as
`Saved` values: storages with views, never the result tensor itself, so that reference counts alone free a graph.
`autograd/engine.py` walks the graph.
"""

import itertools
import threading
import types

from .dtype import FLOATING, DType
from .layout import Layout

sequence = itertools.count(1).__next__


class _Mode(threading.local):
    """Per thread: whether operators record gradients, and the saved-tensor hooks in force."""

    grad = True
    inference = False
    check_nan = True
    node = None  # the node whose formula runs, in anomaly mode
    task = None  # the backward pass that runs
    disabled = None  # the error of disable_saved_tensors_hooks
    special = False  # whether there are hooks or anomaly mode: the short paths need look at this alone
    _hooks, _anomaly = (), False

    @property
    def hooks(self):
        return self._hooks

    @hooks.setter
    def hooks(self, value):
        self._hooks, self.special = value, bool(value) or self._anomaly

    @property
    def anomaly(self):
        return self._anomaly

    @anomaly.setter
    def anomaly(self, value):
        self._anomaly, self.special = value, value or bool(self._hooks)


MODE = _Mode()


class Saved:
    """A value kept for backward: what is needed to make the tensor again, and the version it had."""

    __slots__ = ("storage", "layout", "offset", "versions", "version", "fn", "output", "leaf", "cls", "packed", "hooks",
                 "is_out")

    def unpack(self, node):
        """The tensor, connected to the graph again. RuntimeError if it was modified in place since."""
        if self.hooks is not None:
            return self.unpack_hooked(node)
        version = self.versions.version if self.versions.__class__ is not list else self.versions[0]
        if version != self.version:
            raise_modified(self.layout, node if self.is_out else self.fn, self.output, version, self.version)
        if self.leaf is not None:
            return self.leaf
        tensor = make_view(self.storage, self.layout, self.offset)
        if self.is_out:
            if self.layout.dtype.category >= FLOATING:
                tensor._grad_fn, tensor._nr, tensor._rg = node, self.output, True
        elif self.fn is not None:
            tensor._grad_fn, tensor._nr, tensor._rg = self.fn, self.output, True
        if self.versions.__class__ is list:
            tensor._versions = self.versions
        return tensor

    def unpack_hooked(self, node):
        """What the unpack hook gives, with the history of the tensor that was packed."""
        found = self.hooks[1](self.packed)
        if not hasattr(found, "_storage"):
            raise TypeError(f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                            f"{type(found).__name__}")
        if self.leaf is found:
            return found
        tensor = make_view(found._storage, found._layout, found._offset)
        tensor._versions = found._versions
        if self.is_out:
            if tensor._layout.dtype.category >= FLOATING:
                tensor._grad_fn, tensor._nr, tensor._rg = node, self.output, True
        elif self.fn is not None:
            tensor._grad_fn, tensor._nr, tensor._rg = self.fn, self.output, True
        elif self.leaf is not None:
            tensor._grad_fn, tensor._nr, tensor._rg = pass_on((self.leaf, 0), self.leaf._layout), 0, True
        return tensor


class SavedResult(Saved):
    """A result of the node that keeps it, without hooks: the common case, with fewer fields to set."""

    __slots__ = ()
    fn = leaf = hooks = None
    is_out = True


def save_result(tensor, number):
    """Keep result `number` of a node for its own backward."""
    return save(tensor, True, number) if MODE.special and MODE.hooks else save_plain_result(tensor, number)


def save_plain_result(tensor, number):
    """`save_result` where there are no hooks."""
    saved = SavedResult()
    saved.storage = storage = tensor._storage
    saved.layout, saved.offset, saved.output = tensor._layout, tensor._offset, number
    versions = tensor._versions
    if versions is None:
        saved.versions, saved.version = storage, storage.version
    else:
        saved.versions, saved.version = versions, versions[0]
    return saved


def raise_modified(layout, fn, output, version, expected):
    """The RuntimeError for a saved tensor, result `output` of node `fn` or None, that was written since."""
    made = "" if fn is None else f", which is output {output} of {short_name(fn)},"
    hint = ("Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
            "torch.autograd.set_detect_anomaly(True, check_nan=False)." if not MODE.anomaly else
            "Hint: the backtrace further above shows the operation that failed to compute its gradient. The variable "
            "in question was changed in there or anywhere later. Good luck!")
    raise RuntimeError("one of the variables needed for gradient computation has been modified by an inplace "
                       f"operation: [torch.{_type_name(layout.dtype)} {list(layout.shape)}]{made} is at version "
                       f"{version}; expected version {expected} instead. {hint}")


def short_name(node):
    """The name of a node's operator: "Exp" for ExpBackward0."""
    name = node.name()
    return name[:name.rfind("Backward")] if "Backward" in name else name


def _type_name(dtype):
    return {"float32": "FloatTensor", "float64": "DoubleTensor", "float16": "HalfTensor", "bfloat16": "BFloat16Tensor",
            "int64": "LongTensor"}.get(dtype.name, dtype.name)


make_view = None  # set by core.tensor: (storage, layout, offset) -> Tensor


def refuse_inference():
    """The RuntimeError for an inference tensor that a node needs (Note [Inference tensors] in storage.py)."""
    raise RuntimeError("Inference tensors cannot be saved for backward. Please do not use Tensors created in inference "
                       "mode in computation tracked by autograd. To work around this, you can make a clone to get a "
                       "normal tensor and use it in autograd, or use `torch.no_grad()` instead of "
                       "`torch.inference_mode()`.")


def save(tensor, is_out=False, number=0):
    """Keep a tensor for backward; `is_out`: it is result `number` of the node that keeps it."""
    saved = Saved()
    saved.storage, saved.layout, saved.offset = tensor._storage, tensor._layout, tensor._offset
    versions = tensor._versions
    saved.versions = versions = tensor._storage if versions is None else versions
    saved.version = versions.version if versions.__class__ is not list else versions[0]
    if saved.version < 0:
        refuse_inference()
    saved.is_out, saved.output, saved.hooks, saved.leaf = is_out, number, None, None
    if is_out:
        saved.fn = None
    else:
        saved.fn = tensor._grad_fn if tensor._base is None else tensor.grad_fn
        saved.output = tensor._nr
        if saved.fn is None and tensor._rg:
            saved.leaf = tensor
    if MODE.hooks:
        pack_saved(saved, tensor, MODE.hooks[-1])
    return saved


def under_grad(mode, function, *args):
    """Call a function while gradients are recorded (`mode` True) or not.

    The mode changes inside `try` and is set back in the body and in the handler: an exception that arrives at any line,
    an interrupt or one of a trace function, leaves it as it was. A `finally` could end before its own first line.
    """
    before = MODE.grad
    try:
        MODE.grad = mode
        result = function(*args)
        MODE.grad = before
    except BaseException:
        MODE.grad = before
        raise
    return result


def without_grad(function, *args):
    """Call a function without recording gradients."""
    return under_grad(False, function, *args)


def pack_saved(saved, tensor, hooks):
    """Hand a saved tensor to the pack hook (which records no gradients) and keep what it returns."""
    view = tensor if saved.leaf is tensor else make_view(tensor._storage, tensor._layout, tensor._offset)
    if saved.fn is not None:
        view._grad_fn, view._nr, view._rg = saved.fn, saved.output, True
    inside, version = MODE.hooks, view._version
    try:
        MODE.hooks = ()
        saved.packed = under_grad(False, hooks[0], view)
        MODE.hooks = inside
    except BaseException:
        MODE.hooks = inside
        raise
    if view._version != version:
        raise RuntimeError("A saved tensor pack hook is modifying its input in place. Tensors provided as input to "
                           "pack hook can not be modified by in-place operations as this can lead to unexpected "
                           "side-effects. Please open an issue if you need to perform in-place operations on the input "
                           "to a pack hook.")
    saved.hooks = hooks
    saved.storage = saved.versions = None


class Node:
    """A step of the backward pass.

    `edges[i]` leads to where the gradient of input i goes: (Node, output number), (leaf Tensor, 0), or None.
    `apply(grads)` maps the gradients of the outputs (None: zero) to those of the inputs. `place`: the slot of the
    result in the pending block `block`, where the instruction in that slot tells what the node saved (numbers apart);
    else -1. See Note [Replay].
    """

    __slots__ = ("op", "edges", "saved", "versions", "metas", "seq", "extras", "freed", "counts", "place", "block",
                 "__weakref__")

    def fill(self, op, edges, saved, metas):
        """Set all fields; the node. (Not an __init__: the short paths of grads.py set them themselves.)"""
        self.op, self.edges, self.saved, self.versions, self.metas = op, edges, saved, (), metas
        self.seq = sequence()
        self.extras, self.freed, self.counts, self.place = None, False, None, -1
        return self

    def name(self):
        """The class name PyTorch gives this node, e.g. "AddBackward0"."""
        return self.op.node_name

    def apply(self, grads):
        return self.op.backward(self, grads)

    def release(self):
        """Free the saved tensors; a second backward then raises. A node that keeps only sizes and numbers, as those of
        views and sums do, can run again."""
        if self.saved and (getattr(self.op, "keeps_tensors", False) or holds_tensors(self.saved)):
            self.saved = None
            self.freed = True

    def __repr__(self):
        return f"<{self.name()} object at {hex(id(self))}>"


NUMBERS = frozenset((int, float, bool, str, type(None), Layout, DType, types.FunctionType))


def holds_tensors(value):
    """Whether a saved value keeps a tensor. What is not known to keep none counts as one that does; the node of an
    operator that wrote to a view is released itself."""
    if isinstance(value, Node):
        value.release()
        return value.freed
    if isinstance(value, (tuple, list)):
        return any([v.__class__ not in NUMBERS and holds_tensors(v) for v in value])
    return value.__class__ not in NUMBERS and not getattr(value, "tensorless", False)


class PassOn:
    """The operator of a node that hands its gradient on as it is."""

    node_name = "AliasBackward0"

    @staticmethod
    def backward(node, grads):
        return [grads[0]]


def pass_on(edge, layout):
    """A node in front of an edge: gives a new tensor the history of another."""
    return Node().fill(PassOn, (edge,), (), (layout,))


class Extras:
    """What few nodes have: hooks, tensors that retain their gradient, the trace of the forward call, the user's
    notes."""

    __slots__ = ("pre_hooks", "post_hooks", "out_hooks", "retains", "trace", "parent", "notes")

    def __init__(self):
        self.pre_hooks = self.post_hooks = self.out_hooks = self.retains = self.trace = self.parent = self.notes = None


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
