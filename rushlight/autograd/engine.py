"""The backward pass: walks the graph of nodes from the newest to the oldest and hands gradients on.

Consumers of a value are always recorded after its producer, so that visiting nodes by falling sequence number meets every node after all
of its gradients have arrived: a heap is all the scheduling there is, and a chain of 100,000 operators needs no recursion. Gradients are
ordinary tensors; what the formulas record goes into the same stream as the forward pass and fuses with it. The stream is flushed at the
end, so that a training loop always cuts its blocks at the same place.
"""

import heapq
import traceback

from ..core import grads as rules
from ..core.declare import REGISTRY
from ..core.graph import MODE
from ..core.stream import STREAM
from ..core.tensor import Tensor


class Task:
    """One backward pass."""

    def __init__(self, keep_graph, create_graph, capture, needed):
        self.keep_graph, self.create_graph = keep_graph, create_graph
        self.capture, self.needed = capture, needed  # capture: {(id of node, output) or id of leaf: position}
        self.captured = {}
        self.buffers, self.heap, self.nodes = {}, [], {}
        self.leaves, self.owned = {}, {}

    def send(self, edge, grad):
        """A gradient arrives at an edge."""
        target, number = edge
        if isinstance(target, Tensor):
            known = self.leaves.get(id(target))
            grad = fitted(grad, target._layout, None)
            self.leaves[id(target)] = (target, grad if known is None else known[1] + grad)
            return
        if self.needed is not None and id(target) not in self.needed:
            return
        buffer = self.buffers.get(id(target))
        if buffer is None:
            buffer = self.buffers[id(target)] = [None] * len(target.metas)
            self.nodes[id(target)] = target
            heapq.heappush(self.heap, (-target.seq, id(target)))
        grad = fitted(grad, target.metas[number], target)
        buffer[number] = grad if buffer[number] is None else buffer[number] + grad

    def run(self):
        while self.heap:
            _, key = heapq.heappop(self.heap)
            self.visit(self.nodes.pop(key), self.buffers.pop(key))
        for key, (leaf, grad) in list(self.leaves.items()):
            self.finish_leaf(key, leaf, grad)

    def visit(self, node, grads):
        """Run one node: hooks, formula, hooks, and on to its edges."""
        extras = node.extras
        if extras is not None:
            grads = self.before(node, extras, grads)
        if self.capture:
            for number, grad in enumerate(grads):
                at = self.capture.get((id(node), number))
                if at is not None:
                    self.captured[at] = grad
        if extras is not None and extras.retains:
            for number, reference in extras.retains:
                tensor = reference()
                if tensor is not None and grads[number] is not None:
                    tensor._grad = grads[number] if tensor._grad is None else tensor._grad + grads[number]
        if self.needed is not None and not self.needed[id(node)]:
            return
        results = self.compute(node, grads)
        if extras is not None and extras.post_hooks:
            for hook in list(extras.post_hooks.values()):
                changed = hook(tuple(results), tuple(grads))
                if changed is not None:
                    results = list(changed) if isinstance(changed, (tuple, list)) else [changed]
        if not self.keep_graph:
            node.release()
        for edge, grad in zip(node.edges, results):
            if edge is not None and grad is not None:
                self.send(edge, grad)

    @staticmethod
    def before(node, extras, grads):
        """The hooks on a node's outputs and on the node itself."""
        for number, hooks in (extras.out_hooks or {}).items():
            for hook in list(hooks.values()):
                if grads[number] is not None:
                    grads[number] = hooked(hook, grads[number])
        for hook in list((extras.pre_hooks or {}).values()):
            changed = hook(tuple(grads))
            if changed is not None:
                grads = list(changed) if isinstance(changed, (tuple, list)) else [changed]
        return grads

    def compute(self, node, grads):
        try:
            results = node.apply(grads)
        except Exception:
            if MODE.anomaly and node.trace:
                print(f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{node.trace}")
            raise
        if MODE.anomaly and MODE.check_nan:
            for number, grad in enumerate(results):
                if grad is not None and bool(grad.isnan().any()):
                    trace = node.trace or "(forward pass was not recorded with anomaly detection)"
                    print(f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{trace}")
                    raise RuntimeError(f"Function '{node.name()}' returned nan values in its {number}th output.")
        return results

    def finish_leaf(self, key, leaf, grad):
        """A leaf's whole gradient: hooks, capture or accumulation."""
        if leaf._hooks:
            for hook in list(leaf._hooks.values()):
                grad = hooked(hook, grad)
        node = leaf._accumulate() if leaf._accumulate is not None else None
        if node is not None and node.pre_hooks:
            for hook in list(node.pre_hooks.values()):
                changed = hook((grad,))
                grad = grad if changed is None else changed[0]
        at = self.capture.get(key) if self.capture else None
        if at is not None:
            self.captured[at] = grad
        if self.capture is None or self.capture.get("accumulate") and at is not None:
            self.accumulate(leaf, grad)
            if node is not None and node.post_hooks:
                for hook in list(node.post_hooks.values()):
                    hook((), (grad,))
            for hook in list(getattr(leaf, "_post_accumulate_hooks", {}).values()):
                hook(leaf)

    def accumulate(self, leaf, grad):
        old = leaf._grad
        if old is None:
            leaf._grad = self.own(leaf, grad)
        elif MODE.grad:
            leaf._grad = old + grad
        else:
            REGISTRY["Tensor.add_"](old, grad)

    def own(self, leaf, grad):
        """The gradient as memory of its own, with the strides of the leaf."""
        wanted, found = leaf._layout, grad._layout
        shared = id(grad._storage) in self.owned or grad._storage.nbytes != found.nbytes
        if self.create_graph:
            return REGISTRY["clone"](grad) if shared else grad
        if shared or (wanted.dense and found.strides != wanted.strides and found.numel > 1) or not found.dense:
            grad = REGISTRY["Tensor._to_strides"](grad, wanted.strides if wanted.dense else grad.contiguous().stride())
        self.owned[id(grad._storage)] = grad._storage
        return REGISTRY["detach"](grad)


def hooked(hook, grad):
    changed = hook(grad)
    if changed is None:
        return grad
    if not isinstance(changed, Tensor):
        raise TypeError(f"hook '{getattr(hook, '__name__', hook)}' has returned an incorrect type (should be Tensor or None)")
    if changed._layout.shape != grad._layout.shape:
        raise RuntimeError(f"hook '{getattr(hook, '__name__', hook)}' has changed the size of value")
    return changed


def fitted(grad, layout, node):
    """The gradient in the shape and dtype of the value it belongs to: summed over what was broadcast."""
    found = grad._layout
    if found is layout:
        return grad
    if found.shape != layout.shape:
        lead = found.ndim - layout.ndim
        if lead < 0 or any(n not in (1, m) for n, m in zip(layout.shape, found.shape[lead:])):
            name = node.name() if node is not None else "Function"
            raise RuntimeError(f"Function {name} returned an invalid gradient at index 0 - got {list(found.shape)} but expected shape "
                               f"compatible with {list(layout.shape)}")
        grad = REGISTRY["Tensor.sum_to_size"](grad, *layout.shape) if layout.shape else grad.sum()
    if grad._layout.dtype is not layout.dtype:
        grad = grad._cast(layout.dtype)
    return grad


def first_grads(tensors, grad_tensors, create_graph):
    """The gradients to start from; ones for scalars. RuntimeErrors as PyTorch raises them."""
    found = []
    for tensor, grad in zip(tensors, grad_tensors):
        if not tensor.requires_grad:
            raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
        if grad is None:
            if tensor.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not tensor.is_floating_point():
                raise RuntimeError("grad can be implicitly created only for real scalar outputs but got " + str(tensor.dtype))
            found.append(REGISTRY["ones_like"](tensor))
            continue
        if not isinstance(grad, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")
        if grad._layout.shape != tensor._layout.shape:
            raise RuntimeError(f"Mismatch in shape: grad_output[0] has a shape of {grad.shape} and output[0] has a shape of {tensor.shape}.")
        found.append(grad if create_graph else REGISTRY["detach"](grad))
    return found


def reachable(roots, inputs):
    """For `inputs`: {id of node: whether its formula must run} over the nodes on paths from the roots to the inputs."""
    wanted_nodes = {id(fn) for fn, _ in inputs if not isinstance(fn, Tensor)}
    wanted_leaves = {id(leaf) for leaf, _ in inputs if isinstance(leaf, Tensor)}
    order, seen, todo = [], set(), [fn for fn, _ in roots if not isinstance(fn, Tensor)]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        order.append(node)
        todo += [e[0] for e in node.edges if e is not None and not isinstance(e[0], Tensor)]
    needed = {}
    for node in sorted(order, key=lambda n: n.seq):
        onward = any(e is not None and (id(e[0]) in wanted_leaves or id(e[0]) in needed) for e in node.edges)
        if onward or id(node) in wanted_nodes:
            needed[id(node)] = onward
    return needed


def execute(tensors, grad_tensors, keep_graph, create_graph, inputs=None, accumulate=True):
    """Run a backward pass. With `inputs`: returns their gradients (or accumulates only into them)."""
    grads = first_grads(tensors, grad_tensors, create_graph)
    roots = [rules.edge(t) for t in tensors]
    capture, needed = None, None
    if inputs is not None:
        edges = [rules.edge(t) for t in inputs]
        capture = {(id(fn) if isinstance(fn, Tensor) else (id(fn), nr)): i for i, (fn, nr) in enumerate(edges)}
        capture["accumulate"] = accumulate is None
        needed = reachable(roots, edges)
    task = Task(keep_graph, create_graph, capture, needed)
    for tensor, grad in zip(tensors, grad_tensors):
        if grad is not None:
            task.owned[id(grad._storage)] = grad._storage
    before = MODE.grad
    MODE.grad = create_graph
    try:
        for edge, grad in zip(roots, grads):
            task.send(edge, grad)
        task.run()
    finally:
        MODE.grad = before
    STREAM.flush()
    if inputs is None:
        return None
    keys = [id(fn) if isinstance(fn, Tensor) else (id(fn), nr) for fn, nr in edges]
    return [task.captured.get(capture[key]) for key in keys]


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Sum the gradients of `tensors` into the leaves of their graph (or into `inputs` only).

    tensors: a tensor or sequence of tensors; grad_tensors: the vectors of the vector-Jacobian product (None: 1 for scalars).
    RuntimeError for non-scalar tensors without a gradient, for tensors without a graph, and for a graph that was freed.
    """
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if grad_tensors is None:
        grad_tensors = [None] * len(tensors)
    elif isinstance(grad_tensors, Tensor):
        grad_tensors = [grad_tensors]
    if inputs is not None:
        inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        execute(tensors, list(grad_tensors), keep, create_graph)
        return
    found = execute(tensors, list(grad_tensors), keep, create_graph, inputs, None)
    for tensor, grad in zip(inputs, found):
        if grad is not None and tensor.grad_fn is not None:
            tensor._grad = grad if tensor._grad is None else tensor._grad + grad


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=None, is_grads_batched=False,
         materialize_grads=False):
    """Gradients of `outputs` with respect to `inputs`, as a tuple; nothing is accumulated.

    allow_unused: None for inputs that the outputs do not depend on, instead of RuntimeError.
    """
    if is_grads_batched:
        raise NotImplementedError("autograd.grad: is_grads_batched is not implemented in rushlight")
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.")
    if grad_outputs is None:
        grad_outputs = [None] * len(outputs)
    elif isinstance(grad_outputs, Tensor):
        grad_outputs = [grad_outputs]
    for tensor in inputs:
        if not tensor.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    keep = create_graph if retain_graph is None else retain_graph
    found = execute(outputs, list(grad_outputs), keep, create_graph, inputs, False)
    for i, (tensor, value) in enumerate(zip(inputs, found)):
        if value is None:
            if materialize_grads:
                found[i] = REGISTRY["zeros_like"](tensor)
            elif not allow_unused:
                raise RuntimeError("One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True "
                                   "if this is the desired behavior.")
    return tuple(found)


def forward_trace():
    """The user's stack, for anomaly detection."""
    return "".join(traceback.format_stack()[:-3])


rules.anomaly_trace = forward_trace
