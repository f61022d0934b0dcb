"""Macros: several operators recorded as one instruction.

    @macro("layer_norm", 3)
    def layer_norm(x, weight, bias, dims, eps): ...   # plain Python over operators; three tensors, the rest static

    @macro("sgd_update", 3, numbers=2, writes=2)
    def sgd_update(param, momentum_buffer, grad, momentum, scale): ...   # writes the first two, returns nothing

In: a function of tensors (or None), numbers (or None) that may change from call to call, and static values.
Out: a function that records one instruction. When a program is planned, `fuse/expand.py` puts the instructions of the
body in its place, so that they fuse as if they had been recorded one by one; recording costs one step instead of
twenty. Where gradients are recorded, or a tensor stands in for a number, the body runs as it is, operator by operator.

Note [Tracing]
The body runs once for each combination of layouts and static values, on placeholders and on a private stream. What it
records is a `Trace`: instructions whose slots are places among the inputs, the results, and temporaries. A body may not
read values. It either writes its first tensors and returns None, or its results are whole new tensors. Numbers that the
body was given reach its operators as they are: each stands for itself by its identity, so that a body that calculates
with one is refused. All others are constants of the program.
"""

import dataclasses

from . import dtype as dt
from . import signatures
from .block import Step, new_block
from .kinds import Macro
from .device import CPU
from .grads import wants_grad
from .graph import MODE
from .record import Form, binary, record_form, unary
from .storage import new_storage
from .stream import STREAM
from .tensor import Tensor, view

MOST_TRACES = 4096


@dataclasses.dataclass
class Trace:
    """The instructions of a body. `scalars`: their numbers, constants or `Given`; `places`: for each slot ("in", i),
    ("out", i) or ("temp", i); `temps`: their bytes; `given`: which of the body's results are tensors, not None."""

    instructions: list
    scalars: list
    places: list
    temps: list
    results: list
    given: tuple


@dataclasses.dataclass
class Given:
    """A number of a trace that is number `index` of the macro's own."""

    index: int


class PrivateBlock:
    """A block of its own for what a traced body records. If `__exit__` is not reached, `Stream.repair` leaves it."""

    def __enter__(self):
        block = new_block(Step())
        self.block = block
        block.outer, block.grad = STREAM.block, MODE.grad
        STREAM.block, MODE.grad = block, False
        return block

    def __exit__(self, *error):
        STREAM.block, MODE.grad = self.block.outer, self.block.grad


def placeholder(kind, index):
    """A number of a class that no other object is."""
    return float(f"{index}.5") if kind is float else kind(10**6 + index)


def trace(body, present, numbers, statics, layouts):
    """Run the body on placeholders; the Trace. `present`: which of its tensors and numbers are not None."""
    tensors = [view(new_storage(x.nbytes, CPU), x, 0) for x in layouts]
    values = [placeholder(kind, i) for i, kind in enumerate(numbers)]
    given = iter([*tensors, *values])
    with PrivateBlock() as block:
        found = body(*[next(given) if here else None for here in present], *statics)
        found = [found] if found is None or isinstance(found, Tensor) else list(found)
        results = [t for t in found if t is not None]
        instructions, slots, scalars = block.step.path(), block.slots, block.scalars
    names = {id(value): i for i, value in enumerate(values)}
    scalars = [Given(names[id(s)]) if id(s) in names else s for s in scalars]
    unused = set(names.values()) - {s.index for s in scalars if s.__class__ is Given}
    assert not unused, f"{body.__name__} calculates with its numbers, or does not use them: {sorted(unused)}"
    places, temps = [], []
    ins, outs = [t._storage for t in tensors], [t._storage for t in results]
    for storage in slots:
        if storage in outs:
            places.append(("out", outs.index(storage)))
        elif storage in ins:
            places.append(("in", ins.index(storage)))
        else:
            places.append(("temp", len(temps)))
            temps.append(storage.nbytes)
    for t in results:
        fresh = (
            t._storage in slots and t._storage not in ins and t._offset == 0 and t._storage.nbytes == t._layout.nbytes
        )
        assert fresh, f"a result of {body.__name__} is not a new tensor of its own"
    assert len(set(map(id, outs))) == len(outs), f"two results of {body.__name__} share memory"
    return Trace(
        instructions, scalars, places, temps, [t._layout for t in results], tuple([t is not None for t in found])
    )


NUMBERS = (float, int)


class MacroForm(Form):
    """One way to call a macro: which tensors and numbers are given, and the static values. Its instructions have it as
    their attributes."""

    __slots__ = ("present", "statics", "all_tensors", "given", "short", "traces")

    def __init__(self, op, present, statics, tensors):
        super().__init__(op, "t" * sum(present[:tensors]) + "n" * sum(present[tensors:]), self)
        self.present, self.statics = present, statics
        self.all_tensors = all(present[:tensors])
        # Known after the first call: which results are tensors, whether the form is short; and traces by layouts.
        self.given, self.short, self.traces = None, False, {}

    def __repr__(self):
        return f"present={self.present}, statics={self.statics}"


def macro(name, tensors, numbers=0, writes=0, failures=None):
    """Declare a function as a macro: its first `tensors` parameters are tensors or None, the next `numbers` ones
    numbers or None, the others static and hashable.

    `writes`: how many of the first parameters the body writes, instead of returning results. `failures`: those
    that operators of the body declare."""
    def declare(body):
        forms = {}
        last = tensors + numbers

        def infer(op, layouts, kinds, pattern, form, given):
            key = (dt.get_default_dtype(), *kinds, *layouts)
            found = form.traces.get(key)
            if found is None:
                if len(form.traces) > MOST_TRACES:
                    form.traces.clear()
                found = form.traces[key] = trace(body, form.present, kinds, form.statics, layouts)
                form.given = found.given
                reporting = [i.op for i in found.instructions if i.op.checks]
                assert all(part.failures == op.failures for part in reporting), f"{name}: parts report other failures"
            return found.results, found
        op = Macro(name, body, layouts=infer, failures=failures or {})

        @signatures.named(body)
        def call(*values):
            given = values[:tensors]
            if MODE.grad and any([t is not None and wants_grad(t) for t in given]):
                return body(*values)
            key = (tuple([v is not None for v in values[:last]]), values[last:])
            form = forms.get(key)
            if form is None:
                form = forms[key] = MacroForm(op, *key, tensors)
            if form.short:  # the common case: one or two tensors in, one out
                return unary(form, *given) if tensors == 1 else binary(form, *given)
            chosen = given if form.all_tensors else [t for t in given if t is not None]
            figures = [n for n in values[tensors:last] if n is not None] if numbers else ()
            for n in figures:
                if n.__class__ not in NUMBERS:
                    return body(*values)
            if writes:
                record_form(form, chosen, figures, [t for t in given[:writes] if t is not None])
                return None
            outs = record_form(form, chosen, figures)
            if len(form.given) == 1:
                form.short = form.all_tensors and tensors <= 2 and not numbers and not op.checks
                return outs[0]
            if len(outs) == len(form.given):
                return outs
            left = iter(outs)
            return [next(left) if here else None for here in form.given]
        call.op = op
        return call
    return declare
