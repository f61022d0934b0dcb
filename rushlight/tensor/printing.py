"""The text of tensors: what `print` shows.

In: a tensor; only the values that are shown are read. Out: PyTorch's text, to the character: the width of all numbers
is that of the widest shown, floats are shown as integers with a dot where all are whole, in scientific form where they
span more than three orders of magnitude or are very large or small; above `threshold` elements only the edges of each
dimension are shown.
"""

import math

from ..core import dtype as dt
from ..core.declare import public
from ..core.device import CPU
from ..core.tensor import Tensor

PROFILES = {
    "default": dict(precision=4, threshold=1000, edgeitems=3, linewidth=80),
    "short": dict(precision=2, threshold=1000, edgeitems=2, linewidth=80),
    "full": dict(precision=4, threshold=math.inf, edgeitems=3, linewidth=80),
}


class Options:
    """How tensors are printed."""

    def __init__(self):
        self.sci_mode = None
        self.__dict__.update(PROFILES["default"])


OPTIONS = Options()


@public("torch.set_printoptions", out=False)
def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """How tensors are printed: digits behind the point (4), the number of elements from which on only edges are shown
    (1000), how many at each edge (3), characters a line (80); `profile`: "default", "short" or "full"; `sci_mode`:
    True, False or None (by the values)."""
    if profile is not None:
        OPTIONS.__dict__.update(PROFILES.get(profile, {}))
    given = dict(precision=precision, threshold=threshold, edgeitems=edgeitems, linewidth=linewidth)
    OPTIONS.__dict__.update({name: value for name, value in given.items() if value is not None})
    OPTIONS.sci_mode = sci_mode


@public("torch.get_printoptions", out=False)
def get_printoptions():
    """The present options as a dictionary."""
    return dict(OPTIONS.__dict__)


# -- numbers ----------------------------------------------------------------------------------------------------


class Formatter:
    """Makes texts of equal width for the numbers of a list, all of one kind."""

    def __init__(self, values):
        kind = values[0].__class__
        self.floating = kind is float
        self.whole, self.scientific, self.width = True, False, 1
        if self.floating:
            self._measure_floats(values)
        elif kind is bool:
            self.width = 4 if all(values) else 5
        else:
            # the widest integer is the smallest or the largest
            self.width = max(1, len(str(min(values))), len(str(max(values))))

    def _measure_floats(self, values):
        finite = [v for v in values if v and math.isfinite(v)]
        if finite:
            sizes = [abs(v) for v in finite]
            low, high = min(sizes), max(sizes)
            self.whole = all([v == math.ceil(v) for v in finite])
            self.scientific = OPTIONS.sci_mode
            if self.scientific is None:
                self.scientific = high / low > 1000.0 or high > 1.0e8 or (not self.whole and low < 1.0e-4)
            form = f"%.{OPTIONS.precision}e" if self.scientific else "%.0f" if self.whole else f"%.{OPTIONS.precision}f"
            dot = self.whole and not self.scientific
            self.width = max([len(form % v) for v in finite]) + dot

    def texts(self, values):
        """The numbers of a list as texts, right-aligned."""
        width, precision = self.width, OPTIONS.precision
        if not self.floating:
            return [str(v).rjust(width) for v in values]
        if self.scientific:
            return [f"{v:{width}.{precision}e}" for v in values]
        if self.whole:
            return [(f"{v:.0f}." if math.isfinite(v) else f"{v:.0f}").rjust(width) for v in values]
        return [f"{v:.{precision}f}".rjust(width) for v in values]


class ComplexFormatter:
    """Real and imaginary parts, each of its own width."""

    def __init__(self, values):
        self.real = Formatter([v.real for v in values])
        self.imaginary = Formatter([v.imag for v in values])
        self.width = self.real.width + self.imaginary.width + 1

    def texts(self, values):
        real = self.real.texts([v.real for v in values])
        imaginary = [text.lstrip() + "j" for text in self.imaginary.texts([v.imag for v in values])]
        return [r + (i if i[0] in "+-" else "+" + i) for r, i in zip(real, imaginary)]


# -- lists ------------------------------------------------------------------------------------------------------


def edges(tensor):
    """The values that are shown of a tensor above the threshold: both ends of each long dimension."""
    def collect(part, dim):
        if dim == part.dim():
            return part.tolist()
        n, edge = part.shape[dim], OPTIONS.edgeitems
        if n <= 2 * edge:
            return collect(part, dim + 1)
        return joined(*[collect(part.narrow(dim, start, edge), dim + 1) for start in (0, n - edge)], dim)
    return collect(tensor, 0)


def joined(a, b, dim):
    """Two nested lists, one behind the other along a dimension."""
    return a + b if dim == 0 else [joined(x, y, dim - 1) for x, y in zip(a, b)]


def flat(values):
    """The numbers of a nested list in one list."""
    if values.__class__ is not list:
        return [values]
    if not values or values[0].__class__ is not list:
        return values
    return [number for part in values for number in flat(part)]


def vector_text(values, indent, formatter, hidden):
    """One row. `hidden`: whether numbers are left out in the middle."""
    texts = formatter.texts(values)
    if hidden:
        texts.insert(len(texts) // 2, " ..." if OPTIONS.edgeitems else "...")
    per_line = max(1, (OPTIONS.linewidth - indent) // (formatter.width + 2))
    lines = [", ".join(texts[i:i + per_line]) for i in range(0, len(texts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def array_text(values, shape, indent, formatter, summarise):
    """The shown values of a tensor of this shape, a nested list."""
    if not shape:
        return formatter.texts([values])[0]
    hidden = summarise and shape[0] > 2 * OPTIONS.edgeitems
    if len(shape) == 1:
        return vector_text(values, indent, formatter, hidden)
    rows = [array_text(row, shape[1:], indent + 1, formatter, summarise) for row in values]
    if hidden:
        rows.insert(len(rows) // 2, "...")
    return "[" + ("," + "\n" * (len(shape) - 1) + " " * (indent + 1)).join(rows) + "]"


def values_text(tensor, indent):
    """The values of a tensor with at least one element."""
    summarise = tensor.numel() > OPTIONS.threshold
    values = edges(tensor) if summarise else tensor.tolist()
    numbers = flat(values) or [0]  # no edge items
    formatter = ComplexFormatter(numbers) if numbers[0].__class__ is complex else Formatter(numbers)
    return array_text(values, tuple(tensor.shape), indent, formatter, summarise)


# -- the whole text ---------------------------------------------------------------------------------------------


def suffixes_of(tensor):
    """What stands behind the values: device, size, dtype, history."""
    found, dtype = [], tensor.dtype
    if tensor.device != CPU:
        found.append(f"device='{tensor.device}'")
    usual = (dt.get_default_dtype(), dt.get_default_dtype().to_complex(), dt.int64, dt.bool_)
    if tensor.device.type == "meta":
        shows_size = True
    elif tensor.numel():
        shows_size = not OPTIONS.edgeitems
    else:
        usual, shows_size = usual[:1], tensor.dim() != 1
    if shows_size:
        found.append(f"size={tuple(tensor.shape)}")
    if dtype not in usual:
        found.append(f"dtype={dtype!r}")
    try:
        node = tensor.grad_fn
    except RuntimeError:  # a view whose base was written in a way that its history cannot tell
        found.append("grad_fn=<Invalid>")
        return found
    if node is not None:
        found.append(f"grad_fn=<{node.name()}>")
    elif tensor.requires_grad:
        found.append("requires_grad=True")
    return found


def format_tensor(tensor, name="tensor", contents=None):
    """PyTorch's text of a tensor; `name` stands before the parenthesis, `contents` instead of the values if given."""
    indent = len(name) + 1
    if contents is None and tensor.device.type == "meta":
        contents = "..."
    if contents is None:
        contents = values_text(tensor.detach().cpu(), indent) if tensor.numel() else "[]"
    text = f"{name}({contents}"
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes_of(tensor):
        if length + len(suffix) + 2 > OPTIONS.linewidth:
            text += ",\n" + " " * indent + suffix
            length = indent + len(suffix)
        else:
            text += ", " + suffix
            length += len(suffix) + 2
    return text + ")"


def __repr__(self, *, tensor_contents=None):
    kind = type(self).__name__
    return format_tensor(self, "tensor" if kind in ("Tensor", "Parameter", "Buffer") else kind, tensor_contents)


Tensor.__repr__ = Tensor.__str__ = __repr__
