"""`torch.autograd.graph`: nodes and edges, hooks on saved tensors, hooks on several gradients.

In: tensors and hooks. Out: context managers and handles over the state that core/graph.py keeps. Read `engine` next.
"""

import contextlib
import functools
import threading

from ..core.declare import REGISTRY
from ..core.graph import MODE, Node, under_grad
from ..core.tensor import Tensor
from .leaf import GradientEdge, edge_of

__all__ = ["GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks",
           "get_gradient_edge",
           "increment_version", "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks"]


def get_gradient_edge(tensor):
    """The edge that the gradient of `tensor` arrives at. RuntimeError if it does not require grad."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    fn = tensor.grad_fn
    return GradientEdge(tensor._accumulate_grad() if fn is None else fn, tensor.output_nr)


def increment_version(tensor):
    """Count a write that autograd has not seen, for a tensor or several. RuntimeError for tensors made in inference
    mode."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        if t._versions is None:
            t._storage.version += 1
        else:
            t._versions[0] += 1


class saved_tensors_hooks:
    """Within this context every tensor saved for backward goes through `pack_hook(tensor)`, and backward gets
    `unpack_hook(packed)`.

    The unpacked tensor must have the values, shape and dtype of the packed one. Contexts nest: the innermost hooks
    count.
    """

    def __init__(self, pack_hook, unpack_hook):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self):
        if MODE.disabled is not None:
            raise RuntimeError(MODE.disabled)
        MODE.hooks = (*MODE.hooks, (self.pack_hook, self.unpack_hook))

    def __exit__(self, *error):
        MODE.hooks = MODE.hooks[:-1]

    def __call__(self, function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with type(self)(self.pack_hook, self.unpack_hook):
                return function(*args, **kwargs)
        return wrapper


class save_on_cpu(saved_tensors_hooks):
    """Tensors saved for backward wait in the CPU's memory. On the CPU each is copied, as in PyTorch."""

    def __init__(self, pin_memory=False, device_type="cuda"):
        super().__init__(self._pack, self._unpack)

    def __call__(self, function):
        return saved_tensors_hooks(self._pack, self._unpack)(function)

    @staticmethod
    def _pack(tensor):
        return tensor.device, tensor.detach().clone()

    @staticmethod
    def _unpack(packed):
        device, tensor = packed
        return tensor.to(device)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message):
    """Within this context `saved_tensors_hooks` raises RuntimeError with the message."""
    before, MODE.disabled = MODE.disabled, error_message
    try:
        if MODE.hooks:
            raise RuntimeError(error_message)
        yield
    finally:
        MODE.disabled = before


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Call `fn` with the gradients of several tensors (None: not needed) when all have been computed, once a backward
    pass.

    mode "any": call `fn(grad)` with the first that is computed."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = threading.Lock()
    state = {"task": None, "grads": None, "count": 0}

    def hook(index, grad):
        with lock:
            if state["task"] is not MODE.task:
                expected = [edge_reached(t) for t in tensors] if mode == "all" else []
                state.update(task=MODE.task, grads=[None] * len(tensors), count=0, expected=sum(expected))
            state["grads"][index] = grad
            state["count"] += 1
            ready = state["count"] == (state["expected"] if mode == "all" else 1)
        if ready:
            under_grad(False, fn, state["grads"] if mode == "all" else grad)
    return Handles([t.register_hook(functools.partial(hook, i)) for i, t in enumerate(tensors)])


def edge_reached(tensor):
    """Whether the backward pass that runs now will meet a tensor."""
    target, number = edge_of(tensor)
    return MODE.task.meets(target)


class Handles:
    """Removes several hooks at once."""

    def __init__(self, handles):
        self.handles = tuple(handles)

    def remove(self):
        """Take all hooks out."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()


@contextlib.contextmanager
def allow_mutation_on_saved_tensors():
    """Within this context saved tensors may be written in place: backward uses the values from before the write.

    Every saved tensor is copied."""
    with saved_tensors_hooks(REGISTRY["clone"], lambda kept: kept):
        yield


def region_activation_memory_budget(budget):
    """The memory budget of compiled regions, which Rushlight does not have."""
    raise NotImplementedError("region_activation_memory_budget is not implemented in rushlight")


def set_warn_on_accumulate_grad_stream_mismatch(enabled):
    """Accepted: there is one stream."""


