"""Errors that only data shows: what kernels put into the error word, and the exceptions that are made of it.

Note [The error word]
Entry 0 of a run's table is 0 as long as all is well. A kernel that meets bad data stores 8 bits of an error's code,
8 bits that tell the reporting node of a fused kernel, and an offending value above them; then it goes on without
touching memory outside of its operands. The program ends after that launch.
"""

_ERRORS = (  # name, exception, text
    ("index", IndexError, "index out of range in self"),
    ("division", RuntimeError, "ZeroDivisionError"),
    ("target", IndexError, "Target {value} is out of bounds."),
    ("value", RuntimeError, "invalid value in operand"),
    ("bounds", RuntimeError, "index is out of bounds for the dimension it indexes"),
    ("classes", RuntimeError, "Class values must be non-negative and smaller than num_classes."),
    ("take", IndexError, "out of range: tried to access an index outside the tensor"),
    ("source", RuntimeError,
     "masked_scatter: expected self and source to have same dtypes and enough elements in source"),
    ("probability", RuntimeError, "Expected p_in >= 0 && p_in <= 1 to be true, but got false."),
    ("unit", RuntimeError, "all elements of input should be between 0 and 1"),
    ("variance", ValueError, "var has negative entry/entries"),
)

ERROR_CODES = {name: code for code, (name, _, _) in enumerate(_ERRORS, 1)}


def exception(word, where):
    """The exception of an error word; `where` names the operator and the user's line."""
    _, kind, text = _ERRORS[(word & 255) - 1]
    return kind(text.replace("{value}", str(word >> 16)) + where)


def node_of(word):
    """The number of the node that reported."""
    return word >> 8 & 255
