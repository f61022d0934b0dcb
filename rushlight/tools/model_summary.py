"""A table of a model: its layers with shapes, parameters, multiply-adds and memory, from one recorded forward pass.

    print(rushlight.tools.summary(model, torch.randn(1, 3, 32, 32)))

Multiply-adds are counted from the operators that ran (utils/module_trace.py), so they include products in the code of
`forward` itself and not only those of known layers.
"""
import dataclasses

from ..utils.module_trace import trace


@dataclasses.dataclass
class Row:
    """One call of a module. Figures include its children; `depth` is 0 for the model itself."""

    name: str
    kind: str
    depth: int
    input_shapes: list
    output_shapes: list
    parameters: int
    trainable: int
    multiply_adds: int
    activation_bytes: int
    repeated: bool  # whether the module has been called before, so that its parameters are counted there


@dataclasses.dataclass
class Summary:
    """What `summary` returns: rows in the order of the calls, and totals. `str()` is the table."""

    rows: list
    parameters: int
    trainable: int
    multiply_adds: int
    parameter_bytes: int
    buffer_bytes: int
    input_bytes: int
    activation_bytes: int
    most_depth: int | None = None

    @property
    def total_bytes(self):
        """Input, parameters, buffers and all results of operators; a forward pass that frees results needs less."""
        return self.input_bytes + self.parameter_bytes + self.buffer_bytes + self.activation_bytes

    def __str__(self):
        head = ("layer", "output", "parameters", "multiply-adds", "memory")
        rows = [_cells(row) for row in self.rows if self.most_depth is None or row.depth <= self.most_depth]
        widths = [max(map(len, column)) for column in zip(head, *rows)]

        def line(cells):
            left = [f"{cell:<{width}}" for cell, width in zip(cells[:2], widths)]
            return "  ".join(left + [f"{cell:>{width}}" for cell, width in zip(cells[2:], widths[2:])]).rstrip()

        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        totals = [
            f"parameters     {self.parameters:,} ({self.trainable:,} trainable)",
            f"multiply-adds  {self.multiply_adds:,}",
            f"memory         {amount(self.total_bytes)}: input {amount(self.input_bytes)}, parameters "
            f"{amount(self.parameter_bytes)}, buffers {amount(self.buffer_bytes)}, results of operators "
            f"{amount(self.activation_bytes)}",
        ]
        return "\n".join([line(head), rule, *map(line, rows), rule, *totals])

    __repr__ = __str__


def _cells(row):
    label = f"{row.name.rpartition('.')[2]}: {row.kind}" if row.name else row.kind
    shapes = ", ".join("x".join(map(str, shape)) or "scalar" for shape in row.output_shapes) or "-"
    parameters = "(again)" if row.repeated and row.parameters else f"{row.parameters:,}"
    return ("  " * row.depth + label, shapes, parameters, f"{row.multiply_adds:,}", amount(row.activation_bytes))


def amount(count):
    """A number of bytes as text: "1.5 MiB"."""
    if count < 1024:
        return f"{count} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def _nbytes(tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def summary(model, *inputs, depth=None, **named):
    """Run a model once, in evaluation mode and without gradients, and describe what ran.

    Args:
        model: the module.
        inputs, named: the arguments of its forward.
        depth: the deepest level of modules in the table; by default all of them.

    Returns:
        A `Summary`, whose text is a table, with rows and totals as attributes.

    Example::

        >>> import torch, rushlight.tools
        >>> found = rushlight.tools.summary(torch.nn.Linear(4, 3), torch.zeros(2, 4))
        >>> found.parameters, found.multiply_adds
        (15, 24)
    """
    found = trace(model, inputs, named)
    own = {call: (sum(op.multiply_adds() for op in call.operators), sum(op.nbytes() for op in call.operators))
           for call in found.calls}
    sums = {call: list(own[call]) for call in found.calls}
    for call in reversed(found.calls):  # children come after their parents
        if call.parent is not None:
            sums[call.parent][0] += sums[call][0]
            sums[call.parent][1] += sums[call][1]
    rows, seen = [], set()
    for call in found.calls:
        parameters = list(call.module.parameters())
        rows.append(Row(call.name, type(call.module).__name__, _depth(call), call.input_shapes, call.output_shapes,
                        sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad),
                        *sums[call], call.module in seen))
        seen.add(call.module)
    parameters = list(model.parameters())
    roots = [sums[call] for call in found.calls if call.parent is None]
    return Summary(rows, sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad),
                   sum(root[0] for root in roots), _nbytes(parameters), _nbytes(model.buffers()), _nbytes(found.inputs),
                   sum(root[1] for root in roots), depth)


def _depth(call):
    depth = 0
    while call.parent is not None:
        call, depth = call.parent, depth + 1
    return depth
