"""Custom functions: `Function` with user-written forward and backward.

The context `ctx` that forward and backward get is the graph node itself, as in PyTorch: its class is named after the
function ("CubeBackward"), and `grad_fn` of the results is this object. Read `engine` next.
"""

import functools
import inspect
import warnings

from ..core import dispatch
from ..core import grads as rules
from ..core.declare import REGISTRY
from ..core.graph import MODE, Node, save, sequence
from ..core.tensor import CUSTOM, Tensor
from .modes import enable_grad, no_grad


under_transform = None  # set by func: (Function, args, kwargs) -> the result under vmap, or NotImplemented


class FunctionCtx:
    """What `ctx` offers in forward and backward."""

    def save_for_backward(self, *tensors):
        """Keep tensors for backward, read there as `ctx.saved_tensors` (None allowed). Call at most once, in
        forward."""
        self.to_save = tensors

    def save_for_forward(self, *tensors):
        """Keep tensors for `jvp`, read there as `ctx.saved_tensors`."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise AssertionError("save_for_forward expects all arguments to be tensors; you should save "
                                     f"non-tensors as attributes on ctx. Got {type(t)}")
        self.saved_for_forward = tensors

    def mark_dirty(self, *args):
        """Say which inputs forward has written in place; they must be outputs too."""
        self.dirty_tensors = args

    def mark_shared_storage(self, *pairs):
        """Deprecated; nothing to do."""
        warnings.warn("mark_shared_storage is deprecated. Tensors with shared storages are automatically tracked. Note "
                      "that calls to `set_()` are not tracked", FutureWarning, stacklevel=2)

    def mark_non_differentiable(self, *args):
        """Say which outputs have no gradient."""
        self.non_differentiable = args

    def set_materialize_grads(self, value):
        """Whether gradients of unused outputs are zeros (the default) or None."""
        self.materialize_grads = value


class FunctionNode(Node, FunctionCtx):
    """A node of a custom function; subclasses carry the function's name."""

    function = None
    to_save, dirty_tensors, non_differentiable, materialize_grads, saved_for_forward = (), (), (), True, ()
    needs_input_grad = ()
    left = ()  # outputs whose missing gradients stay None
    _materialize_non_diff_grads = True

    def __init__(self, edges):
        self.fill(None, edges, (), ())

    def __getattr__(self, name):
        raise AttributeError(f"'{self.name()}' object has no attribute '{name}'")

    def name(self):
        """The function's name with "Backward"."""
        return type(self).__name__

    def __repr__(self):
        return f"<torch.autograd.function.{self.name()} object at {hex(id(self))}>"

    @property
    def saved_tensors(self):
        """The tensors given to `save_for_backward`. RuntimeError after the graph was freed or a tensor was modified in
        place."""
        if self.freed:
            raise RuntimeError(rules.FREED)
        if not self.saved and self.saved_for_forward:
            return tuple(self.saved_for_forward)
        return tuple([None if s is None else s.unpack(self) for s in self.saved])

    saved_variables = saved_tensors

    def apply(self, grads):
        """The user's backward with its results checked."""
        if self.freed and self.to_save:
            raise RuntimeError(rules.FREED)
        if self.materialize_grads:
            grads = [rules.make_zeros(m, grads) if g is None and m is not None and i not in self.left else g
                     for i, (g, m) in enumerate(zip(grads, self.metas))]
        results = user_backward(self.function)(self, *grads)
        results = list(results) if isinstance(results, (tuple, list)) else [results]
        count = len(self.edges)
        while len(results) > count and results[-1] is None:
            results.pop()
        if len(results) != count:
            raise RuntimeError(f"function {self.name()} returned an incorrect number of gradients (expected {count}, "
                               f"got {len(results)})")
        for i, (edge, result) in enumerate(zip(self.edges, results)):
            if result is None:
                continue
            if not isinstance(result, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(result).__name__})")
            if edge is None and not self.needs_input_grad[i] and i in self.plain_inputs:
                raise RuntimeError(f"function {self.name()} returned a gradient different than None at position "
                                   f"{i + 1}, but the corresponding forward input was not a Variable")
        return results

    def release(self):
        """Free the saved tensors."""
        if self.saved:
            self.saved, self.freed = (), True


def user_backward(function):
    """The `backward` or `vjp` that a Function defines. RuntimeError for both."""
    if function.vjp is Function.vjp:
        if function.backward is Function.backward and function.jvp is not Function.jvp:
            return turned_jvp(function)
        return function.backward
    if function.backward is not Function.backward:
        raise RuntimeError("Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should "
                           "only implement one of them.")
    return function.vjp


def turned_jvp(function):
    """The backward of a Function that defines forward mode alone: its `jvp` is linear in the tangents, and is
    differentiated by them."""
    def backward(ctx, *grads):
        with enable_grad():
            tangents = [None if e is None else REGISTRY["zeros"](m.shape, dtype=m.dtype).requires_grad_()
                        for e, m in zip(ctx.edges, ctx.input_layouts)]
            outputs = function.jvp(ctx, *tangents)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            pairs = [(o, g) for o, g in zip(outputs, grads) if o is not None and g is not None and o.requires_grad]
            wanted = [t for t in tangents if t is not None]
            found = iter(rules.differentiate([o for o, _ in pairs], wanted, [g for _, g in pairs]))
        return tuple([None if t is None else next(found) for t in tangents])
    return backward


BackwardCFunction = FunctionNode


class FunctionMeta(type):
    """Gives every Function its node class."""

    def __init__(cls, name, bases, attributes):
        super().__init__(name, bases, attributes)
        cls._backward_cls = type(f"{name}Backward", (FunctionNode,), {"function": cls,
                                                                      "__module__": "torch.autograd.function"})


class Function(FunctionCtx, metaclass=FunctionMeta):
    """Base class of custom differentiable functions.

    Subclasses define static methods `forward(ctx, *args)` and `backward(ctx, *grad_outputs)`, or `forward(*args)` with
    `setup_context(ctx, inputs, output)`; use them by `MyFunction.apply(*args)`.
    """

    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        warnings.warn(f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you "
                      "should invoke them on the class itself. Instantiating an autograd function will raise an error "
                      "in a future version of PyTorch.",
                      DeprecationWarning, stacklevel=2)

    def __call__(self, *args, **kwargs):
        raise RuntimeError("Legacy autograd function with non-static forward method is deprecated. Please use "
                           "new-style autograd function with static forward method. (Example: "
                           "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)")

    @staticmethod
    def forward(*args, **kwargs):
        """Compute the results: `forward(ctx, *args)`, or `forward(*args)` beside `setup_context`."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Fill `ctx` after a forward that does not take it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """The gradients of the arguments of forward, None for those without."""
        raise NotImplementedError("You must implement either the backward or vjp method for your custom "
                                  "autograd.Function to use it with backward mode AD.")

    @staticmethod
    def vjp(ctx, *grad_outputs):
        """Another name of `backward`."""
        raise NotImplementedError("You must implement either the backward or vjp method for your custom "
                                  "autograd.Function to use it with backward mode AD.")

    @staticmethod
    def jvp(ctx, *grad_inputs):
        """The tangents of the outputs, for functions without `backward`: linear in the tangents of the inputs (None for
        those without)."""
        raise NotImplementedError("You must implement the jvp function for custom autograd.Function to use it with "
                                  "forward mode AD.")

    @staticmethod
    def vmap(info, in_dims, *args):
        """The rule for batches: (outputs, the dimension that counts samples in each), for arguments that are batched
        along `in_dims`. `info` has `batch_size` and `randomness`."""
        raise NotImplementedError("To use autograd.Function with vmap, you must either override the vmap staticmethod "
                                  "or set generate_vmap_rule=True.")

    @classmethod
    def apply(cls, *args, **kwargs):
        """Run forward and, where an input requires grad, put a node into the graph."""
        if dispatch.LOCAL.beneath and under_transform is not None:
            found = under_transform(cls, args, kwargs)
            if found is not NotImplemented:
                return found
        own_context = cls.setup_context is Function.setup_context
        if kwargs:
            args = filled(cls.forward, (None, *args) if own_context else args, kwargs, own_context)
        elif not own_context:
            args = filled(cls.forward, args, {}, False)
        needs = tuple([isinstance(a, Tensor) and a.requires_grad for a in args])
        wanted = MODE.grad and any(needs)
        node = cls._backward_cls(tuple([rules.edge(a) if wanted and need else None for a, need in zip(args, needs)]))
        node.needs_input_grad = needs
        node.input_layouts = [getattr(a, "_layout", None) for a in args]
        node.plain_inputs = frozenset([i for i, a in enumerate(args) if not isinstance(a, Tensor)])
        if MODE.anomaly:
            rules.anomaly_trace(node)
        with no_grad():
            if own_context:
                output = cls.forward(node, *args)
            else:
                output = cls.forward(*args)
                cls.setup_context(node, args, output)
        return finish(node, args, output, wanted)


def filled(forward, args, kwargs, skip_first):
    """The arguments of forward by position, defaults included."""
    bound = inspect.signature(forward).bind(*args, **kwargs)
    bound.apply_defaults()
    if bound.kwargs:
        raise TypeError(f"apply(): keyword-only arguments of forward are not supported: {', '.join(bound.kwargs)}")
    return bound.args[1:] if skip_first else bound.args


def finish(node, args, output, wanted):
    """Connect the outputs of a forward with the node."""
    single = not isinstance(output, tuple)
    outputs = [output] if single else list(output)
    positions = {id(a): i for i, a in enumerate(args) if isinstance(a, Tensor)}
    dirty = {id(t) for t in node.dirty_tensors}
    if dirty - {id(o) for o in outputs}:
        raise RuntimeError("Some elements marked as dirty during the forward method were not returned as output. The "
                           "inputs that are modified inplace must all be outputs of the Function.")
    replaced = {}
    for i, out in enumerate(outputs):
        if isinstance(out, Tensor) and id(out) in positions and id(out) not in dirty:
            with no_grad():
                outputs[i] = replaced[id(out)] = REGISTRY["Tensor.alias"](out)
    node.metas = tuple([o._layout if isinstance(o, Tensor) else None for o in outputs])
    if wanted:
        plain = {id(replaced.get(id(t), t)) for t in node.non_differentiable}
        connect(node, outputs, dirty, plain, positions, single)
        if not node._materialize_non_diff_grads:
            node.left = frozenset([i for i, o in enumerate(outputs) if id(o) in plain])
    keep(node, outputs, replaced, wanted)
    return outputs[0] if single else tuple(outputs)


def connect(node, outputs, dirty, plain, positions, single):
    """Give the outputs that have gradients the node as history."""
    node.seq = max(node.seq, sequence())
    for number, out in enumerate(outputs):
        if not isinstance(out, Tensor) or id(out) in plain or out.dtype.category < 2:
            continue
        if id(out) not in dirty:
            out._grad_fn, out._nr, out._rg = node, number, True
            if out._base is not None:
                out._creation = CUSTOM
                out._view_version = out._version
            continue
        if out._base is not None and sum(isinstance(o, Tensor) for o in outputs) > 1:
            raise RuntimeError("If your Function modifies inplace an input that is a view of another Tensor, your "
                               "Function cannot return more than one Tensor. This is not supported by the current "
                               "autograd engine. You should either make sure the input is not a view (using .clone() "
                               "for example) or make your Function only return one Tensor.")
        if out._base is None and out._rg and out._grad_fn is None:
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
        own = positions.get(id(out))
        if out._base is not None:
            out._view_version = out._version
            rules.check_inplace(out, True)
        if out._layout.dtype.category >= rules.FLOATING:
            rules.rebase(out, node, own if own is not None and node.edges[own] is not None else None)
        if out._base is None:
            out._nr = number


def keep(node, outputs, replaced, wanted):
    """Turn what `save_for_backward` got into saved values."""
    made = {id(o): n for n, o in enumerate(outputs) if isinstance(o, Tensor) and o._grad_fn is node}
    saved = []
    for i, t in enumerate(node.to_save):
        if t is not None and not isinstance(t, Tensor):
            raise TypeError(f"save_for_backward can only save variables, but argument {i} is of type "
                            f"{type(t).__name__}")
        t = replaced.get(id(t), t)
        if t is None or not wanted:
            saved.append(None)
        else:
            saved.append(save(t, True, made[id(t)]) if id(t) in made else save(t))
            if id(t) not in made and saved[-1].hooks is None:
                saved[-1].leaf = t  # backward gets the very tensor
    node.saved = tuple(saved)
    node.to_save = bool(saved)
    node.dirty_tensors = node.non_differentiable = ()


def once_differentiable(fn):
    """Decorator of a `backward` whose own gradient is not defined: a second differentiation raises."""
    @functools.wraps(fn)
    def wrapper(ctx, *grads):
        with no_grad():
            outputs = fn(ctx, *grads)
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
        """The outputs of a backward, connected with its gradients by a node that raises."""
        found = outputs if isinstance(outputs, tuple) else (outputs,)
        result = tuple(cls.apply(o, *grads) if isinstance(o, Tensor) else o for o in found)
        return result if isinstance(outputs, tuple) else result[0]


class InplaceFunction(Function):
    """A Function whose instances know whether they work in place (kept for old programs)."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace


class NestedIOFunction(Function):
    """The old interface for nested arguments, which Rushlight does not have."""

    def __init__(self, *args, **kwargs):
        raise NotImplementedError("NestedIOFunction is not implemented in rushlight; use autograd.Function")
