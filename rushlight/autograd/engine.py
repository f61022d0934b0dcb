"""The backward pass: walks the graph of nodes from the newest to the oldest and hands gradients on.

Consumers of a value are always recorded after its producer, so that visiting nodes by falling sequence number meets
every node after all of its gradients have arrived: a heap is all the scheduling there is, and a chain of 100,000
operators needs no recursion. Gradients are ordinary tensors; what the formulas record goes into the same stream as the
forward pass and fuses with it. The stream is flushed at the end, so that a training loop always cuts its blocks at the
same place.
"""

import heapq
import warnings

from ..core import grads as rules
from ..core.declare import REGISTRY
from ..core.dispatch import DOORS, Inside
from ..core.dtype import FLOATING, scalar_type
from ..core.graph import MODE
from ..core.storage import FailedStorage, check
from ..core.stream import STREAM
from ..core.tensor import Tensor
from . import replay
from .anomaly import blame
from .leaf import GradientEdge, edge_of


class Task:
    """One backward pass."""

    def __init__(self, roots, keep_graph, create_graph, capture, needed):
        self.roots, self.keep_graph, self.create_graph = roots, keep_graph, create_graph
        self.capture, self.needed = capture, needed  # capture: {(id of node, output) or id of leaf: position}
        self.captured = {}
        self.buffers, self.heap, self.nodes = {}, [], {}
        self.leaves, self.owned = {}, {}
        self.reached = None
        self.waiting = None  # (-number of the last node that uses it, id) of leaves with hooks
        self.callbacks = []  # functions to call at the end of the pass

    def send(self, edge, grad, source=None, index=0):
        """A gradient arrives at an edge; input `index` of node `source` sent it."""
        target, number = edge
        if isinstance(target, Tensor):
            if self.needed is not None and id(target) not in self.capture:
                return
            known = self.leaves.get(id(target))
            grad = fitted(grad, target._layout, source, index)
            self.leaves[id(target)] = (target, grad if known is None else known[1] + grad)
            if self.waiting is None and is_watched(target):
                self.waiting = last_uses(self.roots)
            return
        if self.needed is not None and id(target) not in self.needed:
            return
        buffer = self.buffers.get(id(target))
        if buffer is None:
            buffer = self.buffers[id(target)] = [None] * len(target.metas)
            self.nodes[id(target)] = target
            heapq.heappush(self.heap, (-target.seq, id(target)))
        grad = fitted(grad, target.metas[number], source, index)
        buffer[number] = grad if buffer[number] is None else buffer[number] + grad

    def run(self):
        while self.heap:
            seq, key = heapq.heappop(self.heap)
            try:
                self.visit(self.nodes.pop(key), self.buffers.pop(key))
            except Exception:
                self.finish_complete(-seq)
                raise
            while self.waiting and self.waiting[0][0] <= seq:
                _, leaf = heapq.heappop(self.waiting)
                if leaf in self.leaves:
                    self.finish_leaf(leaf, *self.leaves.pop(leaf))
        while self.leaves:
            leaf = next(iter(self.leaves))
            self.finish_leaf(leaf, *self.leaves.pop(leaf))

    def finish_complete(self, seq):
        """After an error in node `seq`: leaves that only newer nodes use have their whole gradient."""
        unfinished = last_uses(self.roots, every=True)
        for key, (leaf, grad) in list(self.leaves.items()):
            if unfinished.get(key, seq) > seq:
                self.finish_leaf(key, leaf, grad)

    def visit(self, node, grads):
        """Run one node: hooks, formula, hooks, and on to its edges."""
        extras = node.extras
        if extras is not None:
            self.tensor_hooks(extras, grads)
        if self.capture:
            for number, grad in enumerate(grads):
                at = self.capture.get((id(node), number))
                if at is not None:
                    self.captured[at] = self.shared(grad)
        if self.needed is not None and not self.needed[id(node)]:
            return
        if extras is not None and extras.pre_hooks:
            grads = self.node_hooks(extras.pre_hooks, grads, tuple(grads))
        results = self.compute(node, grads)
        if node.op is None:  # a custom function may have kept what it returns
            for grad in results:
                self.shared(grad)
        if extras is not None and extras.post_hooks:
            results = self.node_hooks(extras.post_hooks, results, tuple(results), tuple(grads))
        if not self.keep_graph:
            node.release()
        index = 0
        for edge, grad in zip(node.edges, results):
            if edge is not None and grad is not None:
                self.send(edge, grad, node, index)
            index += 1

    def meets(self, target):
        """Whether the pass reaches a node or leaf."""
        if self.reached is None:
            self.reached = reachable_ids(self.roots)
        return id(target) in self.reached and (self.needed is None or id(target) in self.needed
                                               or id(target) in self.capture)

    def shared(self, grad):
        """Note that others may hold this gradient, so that no leaf takes its memory."""
        if grad is not None:
            self.owned[id(grad._storage)] = grad._storage
        return grad

    def tensor_hooks(self, extras, grads):
        """The hooks on a node's outputs, then those of `retain_grad`."""
        for number, hooks in (extras.out_hooks or {}).items():
            for hook in list(hooks.values()):
                self.shared(grads[number])
                grads[number] = self.shared(hooked(hook, grads[number]))
        for number, reference in extras.retains or ():
            tensor, grad = reference(), grads[number]
            if tensor is not None and grad is not None:
                self.shared(grad)
                tensor._grad = grad if tensor._grad is None else tensor._grad + grad

    def node_hooks(self, hooks, values, *given):
        """Hooks on a node: what one returns replaces `values`."""
        for hook in list(hooks.values()):
            for grads in given:
                for grad in grads:
                    self.shared(grad)
            changed = hook(*given)
            if changed is not None:
                values = list(changed) if isinstance(changed, (tuple, list)) else [changed]
                given = (tuple(values), *given[1:])
                for grad in values:
                    self.shared(grad)
        return values

    def compute(self, node, grads):
        """The gradients that a node gives. Handlers see the backward passes of custom functions, not formulas."""
        if node.op is not None and (DOORS.watchers or DOORS.instances):
            with Inside():
                return self.formula(node, grads)
        return self.formula(node, grads) if MODE.anomaly else node.apply(grads)

    def formula(self, node, grads):
        """Run a node; in anomaly mode note errors and NaN."""
        if not MODE.anomaly:
            return node.apply(grads)
        before, MODE.node = MODE.node, node
        try:
            results = node.apply(grads)
        except Exception:
            blame(node)
            raise
        finally:
            MODE.node = before
        for number, grad in enumerate(results if MODE.check_nan else ()):
            if grad is not None and bool(REGISTRY["isnan"](grad).any()):
                blame(node)
                raise RuntimeError(f"Function '{node.name()}' returned nan values in its {number}th output.")
        return results

    def finish_leaf(self, key, leaf, grad):
        """A leaf's whole gradient: hooks, capture or accumulation."""
        for hook in list(leaf._hooks.values()) if leaf._hooks else ():
            self.shared(grad)
            grad = self.shared(hooked(hook, grad))
        if leaf._retain and grad is not None and leaf.grad_fn is not None:
            self.shared(grad)
        at = self.capture.get(key) if self.capture else None
        if at is not None:
            self.captured[at] = self.shared(grad)
        if self.capture is not None and not (self.capture.get("accumulate") and at is not None):
            return
        node = leaf._accumulate() if leaf._accumulate is not None else None
        if node is not None and node.pre_hooks:
            grad = self.node_hooks(node.pre_hooks, [grad], (grad,))[0]
        if grad is not None:
            self.accumulate(leaf, grad)
        if "_post_accumulate_hooks" in leaf.__dict__:
            for hook in list(leaf._post_accumulate_hooks.values()):
                if hook(leaf) is not None:
                    raise RuntimeError("Tensor post accumulate grad hooks should return None.")
        if node is not None and node.post_hooks:
            self.node_hooks(node.post_hooks, [], (), (grad,))

    def accumulate(self, leaf, grad):
        old = leaf._grad
        if old is None:
            leaf._grad = self.own(leaf, grad)
        elif MODE.grad or not (old._is_strided and grad._is_strided):
            leaf._grad = old + grad
        else:
            REGISTRY["Tensor.add_"](old, grad)

    def own(self, leaf, grad):
        """The gradient as memory of its own, with the strides of the leaf."""
        if not grad._is_strided:
            return grad.clone() if self.create_graph else grad.detach()
        if self.create_graph:
            return REGISTRY["clone"](grad)
        wanted, found = leaf._layout, grad._layout
        if found.dtype.plain is not found.dtype:
            grad = REGISTRY["clone"](grad)
            found = grad._layout
        shared = id(grad._storage) in self.owned or grad._storage.nbytes != found.nbytes
        if shared or (wanted.dense and found.strides != wanted.strides and found.numel > 1) or not found.dense:
            grad = REGISTRY["Tensor._to_strides"](grad, wanted.strides if wanted.dense else grad.contiguous().stride())
        self.shared(grad)
        return REGISTRY["detach"](grad)


def queue_callback(callback):
    """Call a function without arguments at the end of the backward pass that is running."""
    if MODE.task is None:
        raise RuntimeError("Final callbacks can only be installed during backward pass.")
    MODE.task.callbacks.append(callback)


def is_watched(leaf):
    """Whether hooks look at the gradient of a leaf, so that it has to be complete as early as possible."""
    return bool(leaf._hooks) or leaf._accumulate is not None or "_post_accumulate_hooks" in leaf.__dict__


def reachable_ids(roots):
    """The ids of all nodes and leaves below the roots."""
    seen, todo = set(), [fn for fn, _ in roots]
    while todo:
        target = todo.pop()
        if id(target) not in seen:
            seen.add(id(target))
            if not isinstance(target, Tensor):
                todo += [edge[0] for edge in target.edges if edge is not None]
    return seen


def last_uses(roots, every=False):
    """For each leaf with hooks the node of the lowest number that uses it: a heap of (-number, id of leaf).

    When the walk has passed that number, the gradient of the leaf is complete. With `every`: {id of leaf: number} for
    all leaves."""
    found, seen, todo = {}, set(), [fn for fn, _ in roots if not isinstance(fn, Tensor)]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        for edge in node.edges:
            if edge is None:
                continue
            if not isinstance(edge[0], Tensor):
                todo.append(edge[0])
            elif every or is_watched(edge[0]):
                key = id(edge[0])
                found[key] = min(node.seq, found.get(key, node.seq))
    if every:
        return found
    waiting = [(-seq, key) for key, seq in found.items()]
    heapq.heapify(waiting)
    return waiting


def hooked(hook, grad):
    """What a tensor hook makes of a gradient (None if the tensor was not used)."""
    changed = hook(grad)
    if changed is None:
        return grad
    if not isinstance(changed, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(changed).__name__}'")
    if grad is not None and changed._layout.shape != grad._layout.shape:
        raise RuntimeError(f"hook '{getattr(hook, '__name__', hook)}' has changed the size of value")
    return changed


def fitted(grad, layout, node, index=0):
    """The gradient in the shape and dtype of the value it belongs to: summed over what was broadcast."""
    found = grad._layout
    if found is layout:
        return grad
    if found.shape != layout.shape:
        lead = found.ndim - layout.ndim
        if lead < 0 or any(n not in (1, m) for n, m in zip(layout.shape, found.shape[lead:])):
            name = node.name() if node is not None else "Function"
            raise RuntimeError(f"Function {name} returned an invalid gradient at index {index} - got "
                               f"{list(found.shape)} but expected shape compatible with {list(layout.shape)}")
        grad = REGISTRY["Tensor.sum_to_size"](grad, *layout.shape) if layout.shape else grad.sum()
    if grad._layout.dtype.plain is not layout.dtype.plain:
        if layout.dtype.category < FLOATING:
            raise RuntimeError(f"gradients of integer tensors are not defined, but one arrived at a "
                               f"{scalar_type(layout.dtype)} tensor {list(layout.shape)}")
        grad = grad._cast(layout.dtype.plain)
    return grad


def first_grads(tensors, grad_tensors, create_graph):
    """The gradients to start from, None for the ones of scalars. RuntimeErrors as PyTorch raises them."""
    found = []
    for i, (tensor, grad) in enumerate(zip(tensors, grad_tensors)):
        layout = start_layout(i, tensor)
        if grad is None:
            if layout.numel != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if layout.dtype.category != 2:
                raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got "
                                   f"{layout.dtype}")
            found.append(None)
            continue
        if not isinstance(grad, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")
        if grad._layout.shape != layout.shape:
            raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {grad.shape} and output[{i}] has "
                               f"a shape of {layout.size}.")
        found.append(grad if create_graph else REGISTRY["detach"](grad))
    return found


def start_layout(i, tensor):
    """The layout of root number `i` of a pass."""
    if isinstance(tensor, GradientEdge):
        target, number = edge_of(tensor)
        return target._layout if isinstance(target, Tensor) else target.metas[number]
    if not tensor.requires_grad:
        raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
    return tensor._layout


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
    """Run a backward pass. With `inputs`: returns their gradients (or accumulates only into them, if `accumulate` is
    None)."""
    if STREAM.dirty:
        with STREAM.lock:
            STREAM.repair()
    grads = first_grads(tensors, grad_tensors, create_graph)
    roots = [edge_of(t) for t in tensors]
    capture, needed = None, None
    if inputs is not None:
        edges = [edge_of(t) for t in inputs]
        capture = {(id(fn) if isinstance(fn, Tensor) else (id(fn), nr)): i for i, (fn, nr) in enumerate(edges)}
        capture["accumulate"] = accumulate is None
        needed = reachable(roots, edges)

    def walk():
        task = Task(roots, keep_graph, create_graph, capture, needed)
        for grad in grad_tensors:
            task.shared(grad)
        before = MODE.grad, MODE.task
        try:  # the modes change inside: an interrupt between the lines must not leave them changed
            MODE.grad, MODE.task = create_graph, task
            for i, (edge, grad) in enumerate(zip(roots, grads)):
                if grad is None:
                    layout = start_layout(i, tensors[i])
                    grad = REGISTRY["ones"](layout.shape, dtype=layout.dtype,
                                            device=getattr(tensors[i], "device", None))
                task.send(edge, grad)
            task.run()
            MODE.grad, MODE.task = before
        except BaseException:
            MODE.grad, MODE.task = before
            raise
        for callback in task.callbacks:
            callback()
        return task.captured

    if inputs is None and not create_graph:
        replay.run(roots, grads, keep_graph, walk)
        captured = None
    else:
        captured = walk()
    STREAM.flush()
    for tensor in tensors:
        if isinstance(tensor, Tensor) and tensor._storage.__class__ is FailedStorage:
            check(tensor._storage)
    if inputs is None:
        return None
    keys = [id(fn) if isinstance(fn, Tensor) else (id(fn), nr) for fn, nr in edges]
    return [captured.get(capture[key]) for key in keys]


def as_list(values):
    """One tensor or edge, a sequence or a dictionary of them, as a list."""
    if isinstance(values, (Tensor, GradientEdge)):
        return [values]
    return list(values.values()) if isinstance(values, dict) else list(values)


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None):
    """Sum the gradients of `tensors` into the leaves of their graph (or into `inputs` only).

    tensors: a tensor or gradient edge, or a sequence; grad_tensors: the vectors of the vector-Jacobian product (None:
    1 for scalars).
    RuntimeError for non-scalar tensors without a gradient, for tensors without a graph, and for a graph that was freed.
    """
    if grad_variables is not None:
        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError("`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
                               "`backward()`. Please only use `grad_tensors`.")
        grad_tensors = grad_variables
    tensors = as_list(tensors)
    grad_tensors = start_list(grad_tensors, tensors)
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        execute(tensors, grad_tensors, keep, create_graph)
        return
    inputs = as_list(inputs)
    if not inputs:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    for i, tensor in enumerate(inputs):
        if not isinstance(tensor, GradientEdge) and not tensor.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    found = execute(tensors, grad_tensors, keep, create_graph, inputs, None)
    for tensor, grad in zip(inputs, found):
        if grad is not None and not isinstance(tensor,
                                               GradientEdge) and tensor.grad_fn is not None and not tensor._retain:
            tensor._grad = grad if tensor._grad is None else tensor._grad + grad


def start_list(grads, tensors):
    """The gradients to start from, as a list as long as `tensors`."""
    if grads is None:
        return [None] * len(tensors)
    if isinstance(grads, Tensor):
        return [grads]
    if not isinstance(grads, (list, tuple)):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(grads).__name__}")
    return list(grads)


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, only_inputs=True, allow_unused=None,
         is_grads_batched=False, materialize_grads=False):
    """Gradients of `outputs` with respect to `inputs`, as a tuple (a dictionary for a dictionary); nothing is
    accumulated.

    allow_unused: None for inputs that the outputs do not depend on, instead of RuntimeError. is_grads_batched: the
    first dimension of each of `grad_outputs` counts vectors, for each of which the product is computed; gradients get
    it as first dimension.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
                         "allow_unused=False.")
    if not only_inputs:
        warnings.warn("only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate "
                      "gradient for other parts of "
                      "the graph, please use torch.autograd.backward.", FutureWarning, stacklevel=2)
    if isinstance(inputs, dict):
        found = grad(outputs, list(inputs.values()), grad_outputs, retain_graph, create_graph, True, allow_unused,
                     is_grads_batched,
                     materialize_grads)
        return dict(zip(inputs, found))
    outputs, inputs = as_list(outputs), as_list(inputs)
    grad_outputs = start_list(grad_outputs, outputs)
    if not inputs:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    for tensor in inputs:
        if not isinstance(tensor, GradientEdge) and not tensor.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        found = batched(outputs, inputs, grad_outputs, keep, create_graph)
    else:
        found = execute(outputs, grad_outputs, keep, create_graph, inputs, False)
    for i, (tensor, value) in enumerate(zip(inputs, found)):
        if value is None:
            if materialize_grads:
                if isinstance(tensor, GradientEdge):
                    raise RuntimeError("materialize_grads cannot be used when the given input is a GradientEdge")
                shape = (grad_outputs[0].shape[0], *tensor.shape) if is_grads_batched else tensor.shape
                found[i] = REGISTRY["zeros"](shape, dtype=tensor.dtype)
            elif not allow_unused:
                raise RuntimeError(f"The differentiated Tensor at index {i} appears to not have been used in the "
                                   "graph. Set allow_unused=True if this is the desired behavior.")
    return tuple(found)


def batched(outputs, inputs, grad_outputs, keep, create_graph):
    """The gradients for each vector of a batch, stacked: one pass a vector."""
    if any(g is None for g in grad_outputs):
        raise RuntimeError("is_grads_batched: every element of grad_outputs must be a tensor with a leading batch "
                           "dimension")
    count = grad_outputs[0].shape[0]
    rows = []
    for i in range(count):
        rows.append(execute(outputs, [g[i] for g in grad_outputs], keep or i < count - 1, create_graph, inputs, False))
    return [None if column[0] is None else REGISTRY["stack"](list(column)) for column in zip(*rows)]


def differentiate(outputs, inputs, grad_outputs):
    """Gradients with a graph of their own, None for inputs without: for formulas that are differentiated again."""
    return grad(outputs, inputs, grad_outputs, create_graph=True, allow_unused=True)


rules.differentiate = differentiate
