"""Errors that only data shows: what kernels put into the error word, and the exceptions that are made of it.

Note [The error word]
Entry 0 of a run's table is 0 as long as all is well. A kernel that meets bad data stores 8 bits that say which of the
failures that its operator declares, 8 bits that tell the reporting node of a fused kernel, and an offending value above
them; then it goes on without touching memory outside of its operands. The program ends after that launch.
"""

from typing import NamedTuple


class BadData(NamedTuple):
    """What an operator says about data that it cannot take: the exception as PyTorch's, and its text, in which
    "{value}" stands for the offending value."""

    exception: type
    text: str


DIVISION = BadData(RuntimeError, "ZeroDivisionError")  # of integers, with PyTorch's text
DIVISION_CODE = 255  # of operators that divide and do not declare it, because their divisors are not 0


def exception(word, op, where):
    """The exception of an error word that a kernel of `op` has left; `where` names the operator and the user's line."""
    found = op.failure(word & 255)
    return found.exception(found.text.replace("{value}", str(word >> 16)) + where)


def node_of(word):
    """The number of the node that reported."""
    return word >> 8 & 255
