"""`torch.utils.checkpoint`: parts of a model that keep no intermediate values but run again in backward.

In: a function and its arguments. Out: its results, with a graph that holds the arguments only. Two ways:

* `use_reentrant=True`: the part is one custom Function whose backward runs it again and starts a backward pass inside
the running one.
* `use_reentrant=False`: the part records its ordinary graph, but hooks on saved tensors keep a place in a list instead
of each value;
  the first value that backward asks for runs the part again, which fills the list, and stops when the list is full.

Read `autograd/graph.py` (saved_tensors_hooks) and `autograd/function.py` next.
"""

import contextlib
import enum
import functools
import warnings
import weakref

from .. import api as rl
from ..autograd.graph import saved_tensors_hooks
from ..core.graph import MODE

__all__ = ["CheckpointError", "CheckpointFunction", "CheckpointPolicy", "DefaultDeviceType", "GraphExecGroup",
           "SAC_IGNORED_OPS",
           "SelectiveCheckpointContext", "check_backward_validity", "checkpoint", "checkpoint_sequential",
           "create_selective_checkpoint_contexts", "detach_variable", "get_device_states", "noop_context_fn",
           "set_checkpoint_debug_enabled", "set_checkpoint_early_stop", "set_device_states"]

IMPLICIT = ("the use_reentrant parameter should be passed explicitly. {} use_reentrant=False is recommended, but if "
            "you need to preserve the current default behavior, you can pass use_reentrant=True. Refer to docs for "
            "more details on the differences between the two variants.")
EARLY_STOP = {"enabled": True}


class CheckpointError(RuntimeError):
    """The part did something else when it ran again."""


class _StopRecomputation(Exception):
    """All values are there: the rest of the part need not run."""


class CheckpointPolicy(enum.Enum):
    """What selective checkpointing may say about an operator."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


SAC_IGNORED_OPS = frozenset()


class SelectiveCheckpointContext:
    """What a policy function is told: whether the part runs again, and an operator's result."""

    def __init__(self, *, is_recompute, op_output=None):
        self.is_recompute, self.op_output = is_recompute, op_output


def create_selective_checkpoint_contexts(policy_fn_or_list, allow_cache_entry_mutation=False):
    """Not there: choosing by operator what is kept."""
    raise NotImplementedError("create_selective_checkpoint_contexts is not implemented in rushlight: a checkpoint "
                              "keeps none of the values inside it")


class GraphExecGroup:
    """Not there: one recomputation for several parts."""

    def __init__(self):
        raise NotImplementedError("GraphExecGroup is not implemented in rushlight")


class DefaultDeviceType:
    """The device whose random state is kept besides the CPU's, when no argument tells."""

    _default = "cuda"

    @staticmethod
    def set_device_type(device="cuda"):
        """Set it."""
        DefaultDeviceType._default = device

    @staticmethod
    def get_device_type():
        """The device's name."""
        return DefaultDeviceType._default


def get_device_states(*args):
    """([], []): no device of the arguments has random state apart from the CPU's."""
    return [], []


def set_device_states(devices, states, *, device_type=None):
    """Nothing to restore for no devices. NotImplementedError for others."""
    if devices:
        raise NotImplementedError("set_device_states: only the CPU has random state in rushlight")


def noop_context_fn():
    """Two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


@contextlib.contextmanager
def set_checkpoint_early_stop(enable):
    """Within this context parts that run again stop (or do not stop) when all values are there."""
    before = EARLY_STOP["enabled"]
    EARLY_STOP["enabled"] = enable
    try:
        yield
    finally:
        EARLY_STOP["enabled"] = before


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled):
    """Accepted with None and False. NotImplementedError with True: there is no trace of operators."""
    if enabled:
        raise NotImplementedError("checkpoint: debug mode is not implemented in rushlight")
    yield


def detach_variable(inputs):
    """The arguments with tensors cut from their graph, as leaves that require grad where the tensors did."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple(x.detach().requires_grad_(x.requires_grad) if isinstance(x, rl.Tensor) else x for x in inputs)


def check_backward_validity(inputs):
    """Warn if no argument requires grad."""
    if not any(isinstance(x, rl.Tensor) and x.requires_grad for x in inputs):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)


# -- random state ----------------------------------------------------------------------------------------------------


def random_snapshot(preserve):
    """The state of the default generator (seed and state tensor: nothing has to wait for it), or None."""
    generator = rl.default_generator
    return (generator._seed, generator.state()) if preserve else None


@contextlib.contextmanager
def random_replay(snapshot):
    """Within this context the default generator starts from the snapshot; afterwards it goes on where it was."""
    if snapshot is None:
        yield
        return
    generator = rl.default_generator
    before = generator._seed, generator.state()
    generator._seed, generator._state = snapshot
    try:
        yield
    finally:
        generator._seed, generator._state = before


# -- one custom function ---------------------------------------------------------------------------------------------


class CheckpointFunction(rl.autograd.Function):
    """The part as one node: backward runs it again and starts a backward pass of its own."""

    @staticmethod
    def forward(ctx, run_function, preserve_rng_state, *args):
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.snapshot = random_snapshot(preserve_rng_state)
        ctx.inputs = [None if isinstance(x, rl.Tensor) else x for x in args]
        ctx.places = [i for i, x in enumerate(args) if isinstance(x, rl.Tensor)]
        ctx.save_for_backward(*[args[i] for i in ctx.places])
        with rl.no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx, *grads):
        if MODE.task is not None and MODE.task.capture is not None:
            raise RuntimeError("When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                               "passing an `inputs` parameter to .backward(). To resolve this error, you can either "
                               "set use_reentrant=False, or call .backward() without passing the `inputs` argument.")
        inputs = list(ctx.inputs)
        for i, tensor in zip(ctx.places, ctx.saved_tensors):
            inputs[i] = tensor
        detached = detach_variable(tuple(inputs))
        with random_replay(ctx.snapshot), rl.enable_grad():
            outputs = ctx.run_function(*detached)
        outputs = (outputs,) if isinstance(outputs, rl.Tensor) else outputs
        pairs = [(o, g) for o, g in zip(outputs, grads) if isinstance(o, rl.Tensor) and o.requires_grad]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        rl.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
        return (None, None, *[x.grad if isinstance(x, rl.Tensor) else None for x in detached])


# -- hooks on saved tensors ------------------------------------------------------------------------------------------


class _SaveArguments(rl.autograd.Function):
    """Keeps arguments as saved tensors of a node, so that a checkpoint around this one does not keep their values
    either."""

    @staticmethod
    def forward(ctx, dummy, *tensors):
        ctx.save_for_backward(*tensors)
        return rl.empty((0,))

    @staticmethod
    def backward(ctx, *grads):
        raise AssertionError("the node of a checkpoint's arguments takes no part in backward")


class _Place:
    """Stands for a saved tensor: its number, and what it looked like."""

    __slots__ = ("number", "looks", "__weakref__")

    def __init__(self, number, tensor):
        self.number = number
        self.looks = {"shape": tensor.shape, "dtype": tensor.dtype, "device": tensor.device}


class _Part:
    """A checkpointed call: how to run it again, and the values that a second run has found."""

    def __init__(self, function, args, kwargs, snapshot, context, check, early_stop):
        self.function, self.kwargs = function, kwargs
        self.snapshot, self.context, self.check, self.early_stop = snapshot, context, check, early_stop
        self.places = []  # weak references, in the order of saving
        self.values = {}  # number -> tensor, after a second run
        self.others = [None if isinstance(x, rl.Tensor) else x for x in args]
        self.at = [i for i, x in enumerate(args) if isinstance(x, rl.Tensor)]
        with rl.enable_grad():
            self.node = _SaveArguments.apply(rl.empty((0,), requires_grad=True), *[args[i] for i in self.at]).grad_fn

    def arguments(self):
        """The positional arguments of the call."""
        found = list(self.others)
        for i, tensor in zip(self.at, self.node.saved_tensors):
            found[i] = tensor
        return found

    def pack(self, tensor):
        place = _Place(len(self.places), tensor)
        self.places.append(weakref.ref(place))
        return place

    def unpack(self, place):
        if place.number not in self.values:
            self.run_again()
        tensor = self.values.pop(place.number)
        looks = {"shape": tensor.shape, "dtype": tensor.dtype, "device": tensor.device}
        return tensor if looks == place.looks or not self.check else self.complain_looks()

    def run_again(self):
        """Run the function once more and keep the values that it saves, as far as somebody still wants them."""
        found = []

        def keep(tensor):
            number = len(found)
            found.append(tensor.detach() if number < len(self.places) and self.places[number]() is not None else None)
            self.looks = getattr(self, "looks", {})
            self.looks[number] = {"shape": tensor.shape, "dtype": tensor.dtype, "device": tensor.device}
            if len(found) == len(self.places) and self.early_stop:
                raise _StopRecomputation
            return number

        def refuse(number):
            raise CheckpointError("torch.utils.checkpoint: a backward pass inside a checkpointed function is not "
                                  "implemented in rushlight")

        args = [x.detach().requires_grad_(x.requires_grad) if isinstance(x, rl.Tensor) else x for x in self.arguments()]
        with random_replay(self.snapshot), self.context, rl.enable_grad(), saved_tensors_hooks(keep, refuse):
            try:
                self.function(*args, **self.kwargs)
            except _StopRecomputation:
                pass  # everything that was asked for is in `found`
        if len(found) != len(self.places) and self.check:
            raise CheckpointError("torch.utils.checkpoint: A different number of tensors was saved during the "
                                  "original forward and recomputation.\nNumber of tensors saved during forward: "
                                  f"{len(self.places)}\nNumber of tensors saved during recomputation: {len(found)}.")
        self.values = {i: t for i, t in enumerate(found) if t is not None}

    def complain_looks(self):
        """CheckpointError that lists the tensors which look different."""
        lines = []
        for number, reference in enumerate(self.places):
            place = reference()
            if place is not None and self.looks.get(number) != place.looks:
                lines.append(f"tensor at position {number}:\nsaved metadata: {place.looks}\nrecomputed metadata: "
                             f"{self.looks.get(number)}")
        raise CheckpointError("torch.utils.checkpoint: Recomputed values for the following tensors have different "
                              "metadata than during the forward pass.\n" + "\n".join(lines) + "\n.")


def checkpoint(function, *args, use_reentrant=None, context_fn=noop_context_fn, determinism_check="default",
               debug=False, early_stop=True,
               **kwargs):
    """function(*args, **kwargs) without keeping its intermediate values: backward runs it again.

    use_reentrant: see the module's docstring; False is recommended. preserve_rng_state (True): random operators draw
    the same numbers the second time. context_fn: gives the context of the first and of the second run.
    determinism_check: "default" compares shapes, dtypes and devices of both runs, "none" does not. CheckpointError
    where the second run differs. debug=True raises NotImplementedError.
    """
    if use_reentrant is None:
        warnings.warn("torch.utils.checkpoint: " + IMPLICIT.format("Starting in PyTorch 2.9, calling checkpoint "
                                                                   "without use_reentrant will "
                                                                   "raise an exception."), stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs and use_reentrant:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant:
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve, *args)
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
    if debug:
        raise NotImplementedError("checkpoint: debug=True is not implemented in rushlight")
    first, second = context_fn()
    if not rl.is_grad_enabled():
        with first:
            return function(*args, **kwargs)
    part = _Part(function, args, kwargs, random_snapshot(preserve), second, determinism_check == "default",
                 early_stop and EARLY_STOP["enabled"])
    with saved_tensors_hooks(part.pack, part.unpack), first:
        return function(*args, **kwargs)


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """A chain of functions (or a Sequential) in `segments` pieces; all but the last piece are checkpointed."""
    if use_reentrant is None:
        warnings.warn("torch.utils.checkpoint.checkpoint_sequential: "
                      + IMPLICIT.format("In version 2.9 we will raise an exception if use_reentrant is not passed."),
                      stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    functions = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size, end = len(functions) // segments, -1
    for start in range(0, size * (segments - 1), size):
        end = start + size - 1
        piece = functools.partial(run_piece, functions, start, end)
        input = checkpoint(piece, input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return run_piece(functions, end + 1, len(functions) - 1, input)


def run_piece(functions, start, end, value):
    """The functions from `start` to `end` (included), one after the other."""
    for i in range(start, end + 1):
        value = functions[i](value)
    return value
