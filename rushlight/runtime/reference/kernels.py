"""The generator of the reference device: what runs one instruction, by the kind of its operator.

In: an Instruction of core/block.py. Out: a function of arrays, of operands and results as they lie in memory, and of
numbers, which writes the results. A kernel without a body is looked up in `templates` by the name of its lowering. Read
`ordered` for scans and scatters, `program` next.
"""

from ...base.lazy import numpy as np
from ...core import dtype as dt
from . import ordered, reductions, templates
from .handler import Handler, Value, from_bfloat, to_bfloat
from .operand import Operand


def kernel(instruction):
    """The function of an instruction: (instruction, stored operands, stored results, numbers) -> None, which writes the
    results. None for an operator that has no kernel here."""
    op = instruction.op
    return KINDS.get(op.kind) or templates.TABLE.get(op.lower)


def attributes(instruction):
    """The static attributes that a body takes."""
    return {key: value for key, value in instruction.attrs if key not in ("out", "aligned")}


def number(k, value, cls, joined):
    """A number argument as a value: of the dtype that operands join in, else of its own class."""
    own = dt.float64 if cls is float else dt.int64
    wanted = joined.compute if joined else dt.bool_ if cls is bool else own
    return k.cast(k.const(value, own), wanted)


def arguments(k, instruction, ins, numbers):
    """The arguments of a body: values for operands, and for numbers."""
    return [k.from_memory(instruction.ins[i][1].dtype, ins[i]) if where == "in"
            else number(k, numbers[i], cls[0], instruction.info) for where, i, *cls in instruction.args]


def store(k, value, result, layout):
    """Write a value to where a result lies."""
    result[...] = np.broadcast_to(k.to_memory(value, layout.dtype), result.shape)


def elementwise(instruction, ins, outs, numbers):
    """The body once over whole arrays, which broadcast."""
    op, joined = instruction.op, instruction.info
    k = Handler(op)
    operands = arguments(k, instruction, ins, numbers)
    if joined is not None:
        operands = [k.cast(v, joined) if i >= op.unjoined and v.dtype is not joined.compute else v
                    for i, v in enumerate(operands)]
    layout = instruction.outs[0][1]
    value = op.body(k, *operands, **attributes(instruction))
    store(k, k.cast(value, layout.dtype.plain), outs[0], layout)


def gather(instruction, ins, outs, numbers):
    """The body once over the domain, which is the shape of the result."""
    (_, layout, _), op = instruction.outs[0], instruction.op
    k = Handler(op, tuple(layout.shape))
    aligned = dict(instruction.attrs).get("aligned", op.aligned)
    values = arguments(k, instruction, ins, numbers)
    values = [Operand(k, value) if where == "in" and i not in aligned else value
              for value, (where, i, *_) in zip(values, instruction.args)]
    value = op.body(k, *values, **attributes(instruction))
    store(k, k.cast(value, layout.dtype.plain), outs[0], layout)


def reduction(instruction, ins, outs, numbers):
    """Combine the elements along the reduced dimensions."""
    op, options = instruction.op, dict(instruction.attrs)
    k, layout = Handler(op), instruction.ins[0][1]
    accumulate = op.accumulate(layout.dtype, options).plain
    value = k.cast(k.from_memory(layout.dtype, ins[0]), accumulate)
    results = reductions.reduce(k, op, value, options["dims"])
    for at, (result, array, (_, found, _)) in enumerate(zip(outs, results, instruction.outs)):
        dtype = dt.int64 if at else accumulate
        store(k, Value(k, dtype, np.reshape(array, result.shape)), result, found)


def host(instruction, ins, outs, numbers):
    """The body over arrays; bfloat16 as float32."""
    narrow = [layout.dtype is dt.bfloat16 for _, layout, _ in instruction.outs]
    operands = [from_bfloat(array) if layout.dtype is dt.bfloat16 else array
                for array, (_, layout, _) in zip(ins, instruction.ins)]
    given = [np.empty(array.shape, np.float32) if small else array for array, small in zip(outs, narrow)]
    own = [numbers[arg[1]] for arg in instruction.args if arg[0] == "num"]
    instruction.op.body(given, operands, own, **{k: v for k, v in instruction.attrs if k != "out"})
    for array, values, small in zip(outs, given, narrow):
        if small:
            array[...] = to_bfloat(values)


KINDS = {"elementwise": elementwise, "gather": gather, "reduction": reduction, "host": host, "scan": ordered.scan,
         "scatter": ordered.scatter}
