"""Hooks of modules, and the call of a module with all hooks around its `forward`.

A mixin of `Module` (module.py), the hooks for all modules (`register_module_*`), and `call_with_hooks`, the slow way of
`Module.__call__`. That looks at one flag, `_has_hooks`: an attribute of the module once it has a hook, of the class
once there is a global one. Gradients are seen by identity functions around `forward`: see `_BackwardHooks`.
"""
import warnings
from collections import OrderedDict

from ... import api as rl
from ...base.hooks import RemovableHandle

_forward_pre_hooks = OrderedDict()
_forward_hooks = OrderedDict()
_forward_hooks_with_kwargs = OrderedDict()
_forward_hooks_always_called = OrderedDict()
_backward_pre_hooks = OrderedDict()
_backward_hooks = OrderedDict()
_GLOBAL = (_forward_pre_hooks, _forward_hooks, _backward_pre_hooks, _backward_hooks)
# Whether the global backward hooks are of the full kind; None before the first one.
_global_full = None

_OWN = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_MIXED = "Cannot use both regular backward hooks and full backward hooks {}. Please use only one of them."
_HERE = "on a single Module"
_EVERYWHERE = "as a global Module hook"
_DEPRECATED = (
    "is deprecated and will be removed in future versions. This hook will be missing {} {}. Please use "
    "register_full_backward_hook to get the documented behavior."
)


def _register(hooks, hook, prepend=False, also=()):
    """Add a hook; its number is also put into the dictionaries `also`, which say how it is to be called."""
    handle = RemovableHandle(hooks, extra_dict=list(also))
    hooks[handle.id] = hook
    for marks in also:
        marks[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class HookMethods:
    """The methods of `Module` that register hooks. All return a handle with `remove()`."""

    _has_hooks = False

    def _register_hook(self, hooks, hook, prepend=False, also=()):
        self.__dict__["_has_hooks"] = True
        return _register(hooks, hook, prepend, also)

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Call hook(module, args) before forward; it may return new arguments (one value, or a tuple of them).

        with_kwargs: call hook(module, args, kwargs), which returns None or a tuple (new args, new kwargs).
        """
        also = (self._forward_pre_hooks_with_kwargs,) if with_kwargs else ()
        return self._register_hook(self._forward_pre_hooks, hook, prepend, also)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """Call hook(module, args, output) after forward; what it returns, unless None, becomes the output.

        with_kwargs: call hook(module, args, kwargs, output). always_call: call it even if forward raises, with output
        None.
        """
        also = [self._forward_hooks_with_kwargs] if with_kwargs else []
        if always_call:
            also.append(self._forward_hooks_always_called)
        return self._register_hook(self._forward_hooks, hook, prepend, also)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Call hook(module, grad_output) before the module's gradients are computed; it may return a new
        grad_output.
        """
        return self._register_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Call hook(module, grad_input, grad_output) once the gradients of the inputs are known; it may return new
        ones.

        grad_input and grad_output are tuples as long as the positional arguments and the outputs; an entry that is not
        a tensor, or has no gradient, is None. Raises RuntimeError if the module has hooks of `register_backward_hook`.
        """
        if self._is_full_backward_hook is False:
            raise RuntimeError(_MIXED.format(_HERE))
        self._is_full_backward_hook = True
        return self._register_hook(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook):
        """Deprecated: call hook(module, grad_input, grad_output) at the last node of forward only."""
        if self._is_full_backward_hook is True:
            raise RuntimeError(_MIXED.format(_HERE))
        self._is_full_backward_hook = False
        return self._register_hook(self._backward_hooks, hook)

    def _get_backward_hooks(self):
        """Two lists: the full backward hooks for this module, the global ones first, and the others."""
        full, partial = [], []
        if _global_full is not None:
            (full if _global_full else partial).extend(_backward_hooks.values())
        if self._is_full_backward_hook is not None:
            (full if self._is_full_backward_hook else partial).extend(self._backward_hooks.values())
        return full, partial

    def _get_backward_pre_hooks(self):
        return [*_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]


# -- hooks for all modules ------------------------------------------------------


def _register_global(hooks, hook, also=()):
    HookMethods._has_hooks = True
    return _register(hooks, hook, also=also)


def register_module_forward_pre_hook(hook):
    """As `Module.register_forward_pre_hook`, for all modules; these run before the modules' own."""
    return _register_global(_forward_pre_hooks, hook)


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    """As `Module.register_forward_hook`, for all modules; these run before the modules' own."""
    also = [_forward_hooks_with_kwargs] if with_kwargs else []
    if always_call:
        also.append(_forward_hooks_always_called)
    return _register_global(_forward_hooks, hook, also)


def register_module_full_backward_pre_hook(hook):
    """As `Module.register_full_backward_pre_hook`, for all modules; these run before the modules' own."""
    return _register_global(_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook):
    """As `Module.register_full_backward_hook`, for all modules; these run before the modules' own."""
    return _register_global_backward(hook, True)


def register_module_backward_hook(hook):
    """Deprecated: as `Module.register_backward_hook`, for all modules."""
    return _register_global_backward(hook, False)


def _register_global_backward(hook, full):
    global _global_full
    if _global_full is (not full):
        raise RuntimeError(_MIXED.format(_EVERYWHERE))
    _global_full = full
    return _register_global(_backward_hooks, hook)


# -- calling --------------------------------------------------------------------


def call_with_hooks(module, args, kwargs):
    """module(*args, **kwargs) with every hook that is registered for it."""
    if not any(_GLOBAL):
        HookMethods._has_hooks = False
    if not HookMethods._has_hooks and not any(getattr(module, name) for name in _OWN):
        module.__dict__.pop("_has_hooks", None)
        return module.forward(*args, **kwargs)
    called = set()
    try:
        return _call(module, args, kwargs, called)
    except Exception:
        _call_always_called(module, args, kwargs, called)
        raise


def _call(module, args, kwargs, called):
    full, partial, before = (), (), ()
    if module._backward_pre_hooks or _backward_pre_hooks:
        before = module._get_backward_pre_hooks()
    if module._backward_hooks or _backward_hooks:
        full, partial = module._get_backward_hooks()
    args, kwargs = _call_forward_pre_hooks(module, args, kwargs)
    backward = None
    if full or before:
        backward = _BackwardHooks(module, full, before)
        args = backward.watch_inputs(args)
    result = module.forward(*args, **kwargs)
    for hook_id, hook in (*_forward_hooks.items(), *module._forward_hooks.items()):
        called.add(hook_id)
        changed = _call_forward_hook(module, hook_id, hook, args, kwargs, result)
        result = result if changed is None else changed
    if backward is not None:
        if not isinstance(result, (rl.Tensor, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received "
                f"{type(result)}",
                stacklevel=5,
            )
        result = backward.watch_outputs(result)
    if partial:
        _watch_last_node(module, partial, args, result)
    return result


def _call_forward_pre_hooks(module, args, kwargs):
    for hook_id, hook in (*_forward_pre_hooks.items(), *module._forward_pre_hooks.items()):
        if hook_id in module._forward_pre_hooks_with_kwargs:
            changed = hook(module, args, kwargs)
            if changed is None:
                continue
            if not isinstance(changed, tuple) or len(changed) != 2:
                raise RuntimeError(
                    f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                )
            args, kwargs = changed
        else:
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
    return args, kwargs


def _call_forward_hook(module, hook_id, hook, args, kwargs, result):
    if hook_id in module._forward_hooks_with_kwargs or hook_id in _forward_hooks_with_kwargs:
        return hook(module, args, kwargs, result)
    return hook(module, args, result)


def _call_always_called(module, args, kwargs, called):
    """Run the hooks that were to run even if the call raises, and did not; their own exceptions become warnings."""
    for hooks, always in (
        (_forward_hooks, _forward_hooks_always_called),
        (module._forward_hooks, module._forward_hooks_always_called),
    ):
        for hook_id, hook in hooks.items():
            if hook_id not in always or hook_id in called:
                continue
            try:
                _call_forward_hook(module, hook_id, hook, args, kwargs, None)
            except Exception as error:
                where = "global module " if hooks is _forward_hooks else "module "
                warnings.warn(
                    f"{where}forward hook with ``always_call=True`` raised an exception that was silenced as another "
                    f"error was raised in forward: {error!s}",
                    stacklevel=4,
                )


# -- full backward hooks ----------------------------------------------------------


class BackwardHookFunction(rl.autograd.Function):
    """The identity on tensors; its backward hands the gradients to `callback`, which returns those that go on.

    `materialize`: gradients that are missing are zeros instead of None.
    """

    @staticmethod
    def forward(ctx, callback, materialize, *tensors):
        ctx.callback = callback
        ctx.set_materialize_grads(materialize)
        ctx.mark_non_differentiable(*[tensor for tensor in tensors if not tensor.requires_grad])
        return tensors

    @staticmethod
    def backward(ctx, *grads):
        return None, None, *ctx.callback(grads)


class _BackwardHooks:
    """The full backward hooks around one call of a module.

    The tensors that go into `forward` and those that come out of it pass through `BackwardHookFunction`. In backward,
    the outer function is reached first: it remembers grad_output, which the hooks get together with grad_input once the
    inner one is reached. If no input requires a gradient, the inner one does not exist, and the hooks run at the outer
    one.
    """

    def __init__(self, module, hooks, pre_hooks):
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs = None
        self.input_places = None
        self.input_count = -1
        self.output_places = None
        self.output_count = -1

    def watch_inputs(self, args):
        """The arguments with their tensors passed through the identity."""
        self.input_count = len(args)
        args, self.input_places = _pass_through(self._on_inputs, True, args)
        return args

    def watch_outputs(self, result):
        """The result with its tensors, if it is one or a tuple of them, passed through the identity."""
        single = not isinstance(result, tuple)
        outputs = (result,) if single else result
        self.output_count = len(outputs)
        outputs, self.output_places = _pass_through(self._on_outputs, False, outputs)
        return outputs[0] if single else outputs

    def _on_inputs(self, grads):
        if self.grad_outputs is None:  # gradients went around the module's outputs
            return grads
        grad_inputs = _spread(grads, self.input_places, self.input_count)
        for hook in self.hooks:
            changed = hook(self.module, grad_inputs, self.grad_outputs)
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != len(grad_inputs):
                raise RuntimeError(
                    f"Backward hook returned an invalid number of grad_input, got {len(changed)}, but expected "
                    f"{len(grad_inputs)}"
                )
            grad_inputs = changed
        self.grad_outputs = None
        return tuple(grad_inputs[place] for place in self.input_places)

    def _on_outputs(self, grads):
        grad_outputs = _spread(grads, self.output_places, self.output_count)
        for hook in self.pre_hooks:
            changed = hook(self.module, grad_outputs)
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != len(grad_outputs):
                raise RuntimeError(
                    f"Backward pre hook returned an invalid number of grad_output, got {len(changed)}, but expected "
                    f"{len(grad_outputs)}"
                )
            grad_outputs = changed
        self.grad_outputs = grad_outputs
        if self.input_places is None:
            self._call_without_inputs(grad_outputs)
        return tuple(grad_outputs[place] for place in self.output_places)

    def _call_without_inputs(self, grad_outputs):
        if self.hooks:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs since no "
                "inputs require gradients. See "
                "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
                "#torch.nn.Module.register_full_backward_hook for more details.",
                stacklevel=5,
            )
        for hook in self.hooks:
            changed = hook(self.module, (None,) * self.input_count, grad_outputs)
            if changed is not None and not (isinstance(changed, tuple) and all(grad is None for grad in changed)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always return None or None for "
                    "all gradients."
                )
        self.grad_outputs = None


def _pass_through(callback, materialize, values):
    """The tuple with its tensors passed through the identity, and their places; (values, None) if none requires a
    gradient.
    """
    places = [place for place, value in enumerate(values) if isinstance(value, rl.Tensor)]
    tensors = [values[place] for place in places]
    if not (rl.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)):
        return values, None
    passed = BackwardHookFunction.apply(callback, materialize, *tensors)
    replaced = list(values)
    for place, tensor in zip(places, passed if isinstance(passed, tuple) else (passed,)):
        replaced[place] = tensor
    if type(values) is tuple:
        return tuple(replaced), places
    return type(values)(*replaced), places  # a named tuple


def _spread(grads, places, count):
    """A tuple of `count` entries with the gradients at their places and None elsewhere."""
    entries = [None] * count
    for place, grad in zip(places, grads):
        entries[place] = grad
    return tuple(entries)


# -- the deprecated backward hooks -------------------------------------------------


def _watch_last_node(module, hooks, args, result):
    """Hang the hooks of `register_backward_hook` on the graph node that made the (first) output."""
    value = result
    while not isinstance(value, rl.Tensor):
        if isinstance(value, dict):
            value = next(entry for entry in value.values() if isinstance(entry, rl.Tensor))
        else:
            value = value[0]
    node = value.grad_fn
    if node is None:
        return
    for hook in hooks:
        node.register_hook(_ModuleHook(hook, module))
    problem = _partial_hook_problem(args, result, node)
    if problem:
        warnings.warn(problem, FutureWarning, stacklevel=5)


class _ModuleHook:
    """A hook of a graph node that calls hook(module, grad_input, grad_output)."""

    def __init__(self, hook, module):
        self.hook = hook
        self.module = module

    def __call__(self, grad_input, grad_output):
        return self.hook(self.module, grad_input, grad_output)


def _is_tensors(values):
    return isinstance(values, tuple) and all(isinstance(value, rl.Tensor) for value in values)


def _partial_hook_problem(args, result, node):
    """What the deprecated hook will not see in a call like this one, or None."""
    results = result if isinstance(result, tuple) else (result,)
    inputs = args if isinstance(args, tuple) else (args,)
    if not _is_tensors(results):
        return (
            "Using non-full backward hooks on a Module that does not return a single Tensor or a tuple of Tensors "
            + _DEPRECATED.format("some of the", "grad_output")
        )
    if not _is_tensors(inputs):
        return (
            "Using non-full backward hooks on a Module that does not take as input a single Tensor or a tuple of "
            "Tensors "
            + _DEPRECATED.format("some of the", "grad_input")
        )
    if len({tensor.grad_fn for tensor in results if tensor.grad_fn is not None}) > 1:
        return (
            "Using a non-full backward hook when outputs are generated by different autograd Nodes "
            + _DEPRECATED.format("some", "grad_output")
        )
    inputs_nodes = {tensor.grad_fn for tensor in inputs if tensor.grad_fn is not None}
    next_nodes = {edge[0] for edge in node.next_functions}
    if inputs_nodes != next_nodes:
        return (
            "Using a non-full backward hook when the forward contains multiple autograd Nodes "
            + _DEPRECATED.format("some", "grad_input")
        )
    return None
