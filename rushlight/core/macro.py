"""Macros: several operators recorded as one instruction.

    @macro("layer_norm", 3)
    def layer_norm(x, weight, bias, dims, eps): ...   # plain Python over other operators; three tensors, the rest static

What comes in: a function of tensors (or None) and static values. What goes out: a function that records one
instruction. When a program is planned, `fuse/expand.py` puts the instructions of the body in its place, so that they
fuse as if they had been recorded one by one; recording costs one step instead of twenty. Where gradients are recorded
the body runs as it is, operator by operator, so that it can be differentiated.

Note [Tracing]
The body runs once for each combination of layouts and static values, on placeholders and on a private stream. What it
records is a `Trace`: instructions whose slots are places among the inputs, the results, and temporaries. Numbers in it
are constants of the program. A body may not read values, and its results must be whole new tensors.
"""

import dataclasses
import functools

from .declare import Op
from .device import CPU
from .grads import wants_grad
from .graph import MODE
from .record import record
from .storage import Storage
from .stream import STREAM, Step
from .tensor import Tensor, view

MOST_TRACES = 4096


@dataclasses.dataclass
class Trace:
    """The instructions of a body. `places`: for each slot ("in", i), ("out", i) or ("temp", i); `temps`: how many;
    `given`: which of the body's results are tensors, not None."""

    instructions: list
    scalars: list
    places: list
    temps: int
    results: list
    given: tuple


class PrivateStream:
    """The stream set aside while a body is traced."""

    FIELDS = ("root", "step", "slots", "scalars", "epoch", "held", "steps", "wheres", "tracing")

    def __enter__(self):
        self.kept = [getattr(STREAM, name) for name in self.FIELDS]
        self.grad, MODE.grad = MODE.grad, False
        root = Step(None, None, (), 0)
        for name, value in zip(self.FIELDS, (root, root, [], [], -2 - STREAM.traces, 0, 0, [], True)):
            setattr(STREAM, name, value)
        STREAM.traces += 1
        return STREAM

    def __exit__(self, *error):
        for name, value in zip(self.FIELDS, self.kept):
            setattr(STREAM, name, value)
        MODE.grad = self.grad


def trace(body, present, statics, layouts):
    """Run the body on placeholders; the Trace."""
    given = iter([view(Storage(x.nbytes, CPU), x, 0) for x in layouts])
    placeholders = [next(given) if here else None for here in present]
    tensors = [t for t in placeholders if t is not None]
    with PrivateStream() as stream:
        found = body(*placeholders, *statics)
        found = [found] if isinstance(found, Tensor) else list(found)
        results = [t for t in found if t is not None]
        instructions, slots, scalars = stream.step.path(), stream.slots, stream.scalars
    places, temps = [], 0
    ins, outs = [t._storage for t in tensors], [t._storage for t in results]
    for storage in slots:
        if storage in outs:
            places.append(("out", outs.index(storage)))
        elif storage in ins:
            places.append(("in", ins.index(storage)))
        else:
            places.append(("temp", temps))
            temps += 1
    for t in results:
        fresh = (
            t._storage in slots and t._storage not in ins and t._offset == 0 and t._storage.nbytes == t._layout.nbytes
        )
        assert fresh, f"a result of {body.__name__} is not a new tensor of its own"
    assert len(set(map(id, outs))) == len(outs), f"two results of {body.__name__} share memory"
    return Trace(
        instructions, scalars, places, temps, [t._layout for t in results], tuple([t is not None for t in found])
    )


def macro(name, tensors, checks=False):
    """Declare a function as a macro: its first `tensors` parameters are tensors or None, the others static and
    hashable.

    `checks`: the body has operators that check data."""
    def declare(body):
        traces, patterns = {}, {}
        op = Op(name, "macro", body, None, checks=checks)
        op.params = ()

        def infer(layouts, numbers, pattern, attrs, given):
            key = (attrs, *layouts)
            found = traces.get(key)
            if found is None:
                if len(traces) > MOST_TRACES:
                    traces.clear()
                (_, present), (_, statics) = attrs
                found = traces[key] = trace(body, present, statics, layouts)
                patterns[attrs] = found.given
            return found.results, found
        op.infer = infer

        @functools.wraps(body)
        def call(*values):
            given = values[:tensors]
            if MODE.grad and any([t is not None and wants_grad(t) for t in given]):
                return body(*values)
            present = tuple([t is not None for t in given])
            chosen = [t for t in given if t is not None]
            attrs = (("present", present), ("statics", values[tensors:]))
            outs = record(op, "t" * len(chosen), attrs, chosen)
            pattern = patterns[attrs]
            if len(pattern) == 1:
                return outs[0]
            if len(outs) == len(pattern):
                return outs
            left = iter(outs)
            return [next(left) if here else None for here in pattern]
        call.op = op
        return call
    return declare
