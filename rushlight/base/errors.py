"""Error messages: one line of text from an operator's name, what it expected and what it got.

Every message of Rushlight has the same parts, in this order:

    conv2d: expected input.shape[1] == weight.shape[1] * groups, got 3 != 8 * 1 (input (2, 3, 28, 28)). Hint: ...

The exception's type is PyTorch's and chosen where it is raised: `raise ValueError(expected("softmax", ...))`.
Where programs look for PyTorch's own words, `message` puts them behind the name. Imports nothing of Rushlight.
"""


def message(op, text, hint="", **operands):
    """`op: text (name operand, ...). Hint: hint`; of an operand that is a tensor the shape is shown, else the repr."""
    parts = [f"{op}: {text}" if op else text]
    if operands:
        parts.append(" (" + ", ".join(f"{name} {describe(value)}" for name, value in operands.items()) + ")")
    if hint:
        parts.append(f". Hint: {hint}")
    return "".join(parts)


def expected(op, rule, got, hint="", **operands):
    """`op: expected rule, got got (operands). Hint: hint`, the usual form: both sides with names and values."""
    return message(op, f"expected {rule}, got {describe(got)}", hint, **operands)


def missing(op, what, hint=""):
    """A NotImplementedError to raise where PyTorch can do something that Rushlight cannot: names what is missing."""
    return NotImplementedError(message(op, f"{what} is not implemented in Rushlight", hint))


def wrong_type(op, argument, wanted, value):
    """A TypeError to raise, in PyTorch's words: `op(): argument 'dim' must be int, not str`."""
    return TypeError(f"{op}(): argument '{argument}' must be {wanted}, not {type(value).__name__}")


def out_of_range(dim, ndim):
    """An IndexError to raise for a dimension that a tensor of ndim dimensions does not have, in PyTorch's words."""
    limit = max(ndim, 1)
    return IndexError(f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})")


def describe(value):
    """A short text for an operand: a tensor's shape as a tuple, text as it is, else the repr, cut at 200."""
    if isinstance(value, str):
        return value
    shape = getattr(value, "shape", None)
    if shape is not None:
        return str(tuple(shape))
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."
