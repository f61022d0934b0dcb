"""Custom functions: `Function` with user-written forward and backward.

The context `ctx` that forward and backward get is the graph node itself, as in PyTorch: its class is named after the
function ("CubeBackward"), and `grad_fn` of the results is this object.
"""

import functools
import inspect

from ..core import grads as rules
from ..core.declare import REGISTRY
from ..core.graph import MODE, Node, save
from ..core.tensor import Tensor
from .modes import no_grad

FREED = ("Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved "
         "intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need "
         "to backward through the graph a second time or if you need to access saved tensors after calling backward.")


class FunctionCtx:
    """What `ctx` offers in forward and backward."""

    def save_for_backward(self, *tensors):
        """Keep tensors for backward, read there as `ctx.saved_tensors` (None allowed). Call at most once, in forward."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward can only save variables, but argument is of type {type(t).__name__}")
        self.to_save = tensors

    def save_for_forward(self, *tensors):
        """Keep tensors for `jvp`."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors):
        """Say which inputs forward has written in place."""
        self.dirty_tensors = tensors

    def mark_non_differentiable(self, *tensors):
        """Say which outputs have no gradient."""
        self.non_differentiable = tensors

    def set_materialize_grads(self, value):
        """Whether gradients of unused outputs are zeros (the default) or None."""
        self.materialize_grads = value

    @property
    def saved_tensors(self):
        """The tensors given to `save_for_backward`. RuntimeError after the graph was freed or a tensor was modified in place."""
        if self.freed:
            raise RuntimeError(FREED)
        return tuple(None if s is None else s.unpack(self) for s in self.saved)

    saved_variables = saved_tensors


class FunctionNode(Node, FunctionCtx):
    """A node of a custom function; subclasses carry the function's name."""

    function = None
    to_save, dirty_tensors, non_differentiable, materialize_grads = (), (), (), True

    def __init__(self):
        super().__init__(None, (), (), ())

    def name(self):
        return type(self).__name__

    def apply(self, grads):
        if self.freed:
            raise RuntimeError(FREED)
        if self.materialize_grads:
            grads = [rules.make_zeros(m) if g is None else g for g, m in zip(grads, self.metas)]
        results = self.function.backward(self, *grads)
        results = list(results) if isinstance(results, (tuple, list)) else [results]
        while len(results) > len(self.edges) and results[-1] is None:
            results.pop()
        if len(results) != len(self.edges):
            raise RuntimeError(f"function {self.name()} returned an incorrect number of gradients (expected {len(self.edges)}, got "
                               f"{len(results)})")
        for edge, result in zip(self.edges, results):
            if result is not None and not isinstance(result, Tensor):
                raise RuntimeError(f"function {self.name()} returned a gradient of type {type(result).__name__}, expected a Tensor or None")
        return results

    def release(self):
        if self.saved:
            self.saved, self.freed = (), True


class FunctionMeta(type):
    """Gives every Function its node class."""

    def __init__(cls, name, bases, attributes):
        super().__init__(name, bases, attributes)
        cls._backward_cls = type(f"{name}Backward", (FunctionNode,), {"function": cls})


class Function(metaclass=FunctionMeta):
    """Base class of custom differentiable functions.

    Subclasses define static methods `forward(ctx, *args)` and `backward(ctx, *grad_outputs)`, or `forward(*args)` with
    `setup_context(ctx, inputs, output)`; use them by `MyFunction.apply(*args)`.
    """

    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        raise RuntimeError(f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should invoke "
                           "them on the class itself. Instantiating an autograd function will raise an error in a future version.")

    @staticmethod
    def forward(*args, **kwargs):
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        raise NotImplementedError("You must implement either the backward or vjp method for your custom autograd.Function to use it with "
                                  "backward mode AD.")

    @classmethod
    def apply(cls, *args, **kwargs):
        """Run forward and, where an input requires grad, put a node into the graph."""
        if kwargs:
            args = inspect.signature(cls.forward).bind(None, *args, **kwargs).args[1:]
        node = cls._backward_cls()
        wanted = MODE.grad and any([isinstance(a, Tensor) and a.requires_grad for a in args])
        node.needs_input_grad = tuple([isinstance(a, Tensor) and a.requires_grad for a in args])
        node.edges = tuple([rules.edge(a) if wanted and isinstance(a, Tensor) else None for a in args])
        with no_grad():
            if cls.setup_context is Function.setup_context:
                output = cls.forward(node, *args)
            else:
                output = cls.forward(*args)
                cls.setup_context(node, args, output)
        return finish(node, args, output, wanted)


def finish(node, args, output, wanted):
    """Connect the outputs of a forward with the node."""
    single = not isinstance(output, (tuple, list))
    outputs = [output] if single else list(output)
    inputs = {id(a) for a in args if isinstance(a, Tensor)}
    dirty = {id(t) for t in node.dirty_tensors}
    plain = {id(t) for t in node.non_differentiable}
    replaced = {}
    for i, out in enumerate(outputs):
        if isinstance(out, Tensor) and id(out) in inputs and id(out) not in dirty:
            outputs[i] = replaced[id(out)] = REGISTRY["detach"](out)
        elif isinstance(out, Tensor) and out._base is not None and id(out) not in dirty:
            outputs[i] = replaced[id(out)] = REGISTRY["detach"](out)
    node.metas = tuple([o._layout if isinstance(o, Tensor) else None for o in outputs])
    if wanted:
        for number, out in enumerate(outputs):
            if not isinstance(out, Tensor) or id(out) in plain or out.dtype.category < 2:
                continue
            if id(out) in dirty:
                rules.check_inplace(out, True)
                rules.rebase(out, node)
            else:
                out._grad_fn, out._nr, out._rg = node, number, True
    made = {id(o): n for n, o in enumerate(outputs) if isinstance(o, Tensor)}
    saved = []
    for t in node.to_save:
        t = replaced.get(id(t), t)
        if t is None:
            saved.append(None)
        elif id(t) in made and wanted and id(t) not in plain:
            saved.append(rules.save_output(t, made[id(t)]))
        else:
            saved.append(save(t))
    node.saved = tuple(saved)
    node.to_save = ()
    return outputs[0] if single else tuple(outputs)


def once_differentiable(function):
    """Decorator of a `backward` whose own gradient is not defined: a second differentiation raises."""
    @functools.wraps(function)
    def wrapper(ctx, *grads):
        with no_grad():
            outputs = function(ctx, *grads)
        if not MODE.grad or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return outputs
        return Refuse.apply_to(outputs, grads)
    return wrapper


class Refuse(Function):
    """Passes values; its backward raises."""

    @staticmethod
    def forward(ctx, value, *grads):
        return value.clone()

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")

    @classmethod
    def apply_to(cls, outputs, grads):
        found = outputs if isinstance(outputs, tuple) else (outputs,)
        result = tuple(cls.apply(o, *grads) if isinstance(o, Tensor) else o for o in found)
        return result if isinstance(outputs, tuple) else result[0]
