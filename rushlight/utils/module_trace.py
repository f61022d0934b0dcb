"""A recorded forward pass of a model: which modules were called, and which operators ran inside each.

    found = trace(model, (x,))
    for call in found.calls: print(call.name, call.output_shapes)
    for op in found.operators: print(op.call.name, op.instruction)

In: a module and its arguments. Out: a `ModuleTrace`, read from the stream itself: hooks note where in the stream a
module's call begins and ends, and every block that is flushed meanwhile hands over its instructions. Views and reshapes
are arithmetic on layouts and record nothing, so they are not among the operators. Used by tensorboard/_pytorch_graph.py
and by tools/.
"""
import contextlib
import dataclasses
import math

from .. import api as rl
from ..core.stream import STREAM
from ..nn.modules.module import Module


@dataclasses.dataclass(eq=False)
class Call:
    """One call of a module. `name` is its path in the model; `shapes` are lists, one entry a tensor."""

    name: str
    module: Module
    parent: "Call | None"
    input_shapes: list
    output_shapes: list = dataclasses.field(default_factory=list)
    operators: list = dataclasses.field(default_factory=list)  # those outside its children


@dataclasses.dataclass(eq=False)
class Operator:
    """One instruction that ran inside `call`. `sources` and `results` are the storages it read and wrote."""

    instruction: object
    call: Call
    sources: tuple
    results: tuple

    @property
    def name(self):
        """The operator's name; variants that the recorder chose for speed count as the operator itself."""
        return self.instruction.op.name.removesuffix("_plain")

    @property
    def shapes(self):
        """The shapes of the results."""
        return [tuple(layout.shape) for _, layout, _ in self.instruction.outs]

    def multiply_adds(self):
        """How many multiplications with addition the operator does: products, convolutions, attention, recurrences."""
        counter = MULTIPLY_ADDS.get(self.name)
        ins = [layout.shape for _, layout, _ in self.instruction.ins]
        return 0 if counter is None else counter(ins, [layout.shape for _, layout, _ in self.instruction.outs])

    def nbytes(self):
        """The bytes of the results; none for writes into memory that was there before."""
        return 0 if self.instruction.given else sum(layout.nbytes for _, layout, _ in self.instruction.outs)


@dataclasses.dataclass(eq=False)
class ModuleTrace:
    """A forward pass. `inputs` and `outputs` are its tensors, in order; `constants` names the model's storages."""

    calls: list
    operators: list
    inputs: list
    outputs: list
    constants: dict  # id of a storage -> name of the parameter or buffer


def _product(ins, outs, first):
    """Elements of the result times the length of the sums, which is the first factor's last dimension."""
    return math.prod(outs[0]) * ins[first][-1]


def _attention(ins, outs):
    query, key, value = ins[:3]  # (..., L, E), (..., S, E), (..., S, V)
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


MULTIPLY_ADDS = {
    "mm": lambda ins, outs: _product(ins, outs, 0),
    "bmm": lambda ins, outs: _product(ins, outs, 0),
    "addmm": lambda ins, outs: _product(ins, outs, 0),
    "baddbmm": lambda ins, outs: _product(ins, outs, 0),
    "convolution": lambda ins, outs: math.prod(outs[0]) * math.prod(ins[1][1:]),
    "convolution_input": lambda ins, outs: math.prod(ins[0]) * math.prod(ins[1][1:]),
    "attention": _attention,
    "attention_kernel": _attention,
    # The products with the input are an operator of their own; here, all gates (T, B, G * H) times the state (H).
    "recurrent_layer": lambda ins, outs: math.prod(ins[0]) * outs[0][-1],
}


def tensors_of(value):
    """The tensors in nested tuples, lists and dictionaries, in order."""
    if isinstance(value, rl.Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (tuple, list)):
        return []
    return [tensor for item in value for tensor in tensors_of(item)]


@contextlib.contextmanager
def evaluation_mode(model):
    """Every module in evaluation mode, and back in the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def trace(model, args=(), kwargs=None):
    """Call model(*args, **kwargs) without gradients and in evaluation mode; the `ModuleTrace` of it.

    One trace at a time: RuntimeError if the stream is watched already.
    """
    if STREAM.watch is not None:
        raise RuntimeError("trace: the stream is being watched already")
    STREAM.flush()
    recorder = _Recorder(model)
    handles = [handle for name, module in model.named_modules() for handle in recorder.hooks(name, module)]
    STREAM.watch = recorder.block
    try:
        with evaluation_mode(model), rl.no_grad():
            result = model(*args, **(kwargs or {}))
            STREAM.flush()
    finally:
        STREAM.watch = None
        for handle in handles:
            handle.remove()
    constants = {id(t._storage): name for name, t in (*model.named_buffers(), *model.named_parameters())}
    return ModuleTrace(recorder.calls, recorder.operators(), tensors_of([args, kwargs or {}]), tensors_of(result),
                       constants)


class _Recorder:
    """Blocks of the stream, and marks of calls: (number of the block, depth in it, innermost call from there on)."""

    def __init__(self, model):
        self.calls, self.marks, self.blocks, self.current = [], [], [], None

    def block(self, block):
        """Called by the stream for each block that runs. Holding its list of slots, not their entries, keeps liveness
        exact."""
        self.blocks.append((block.step.path(), block.slots))

    def mark(self, call):
        self.current = call
        self.marks.append((len(self.blocks), STREAM.block.step.depth, call))

    def hooks(self, name, module):
        """Register the two hooks of a module."""
        def enter(module, args, kwargs):
            found = Call(name, module, self.current, [tuple(t.shape) for t in tensors_of([args, kwargs])])
            self.calls.append(found)
            self.mark(found)

        def leave(module, args, output):
            self.current.output_shapes = [tuple(t.shape) for t in tensors_of(output)]
            self.mark(self.current.parent)

        return (module.register_forward_pre_hook(enter, with_kwargs=True),
                module.register_forward_hook(leave))

    def operators(self):
        """All instructions with the call they ran in, also entered into the calls."""
        found, marks, call = [], iter([*self.marks, (math.inf, 0, None)]), None
        block, depth, following = next(marks)
        for number, (instructions, slots) in enumerate(self.blocks):
            for position, instruction in enumerate(instructions):
                while (block, depth) <= (number, position):
                    call = following
                    block, depth, following = next(marks)
                if call is None:
                    continue
                operator = Operator(instruction, call, tuple(slots[slot] for slot, _, _ in instruction.ins),
                                    tuple(slots[slot] for slot, _, _ in instruction.outs))
                call.operators.append(operator)
                found.append(operator)
        return found
