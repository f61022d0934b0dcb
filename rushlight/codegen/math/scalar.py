"""The mathematical functions of generated code: `FUNCTIONS[name](fn, *values)` emits IR, `ULP[name]` bounds its error.

Float and double, scalar and vector of any width; special values as in C99. See `elementary` and `special_functions`
for the bodies, `scalar_base` for what they share.
"""

from . import (
    airy_function,
    bessel_functions,
    elementary,
    gamma_functions,
    integer_functions,
    orthogonal_polynomials,
    powers,
    sample_gradients,
    special_functions,
)
from .scalar_base import FUNCTIONS, ULP

__all__ = [
    "FUNCTIONS",
    "ULP",
    "airy_function",
    "bessel_functions",
    "elementary",
    "gamma_functions",
    "integer_functions",
    "orthogonal_polynomials",
    "powers",
    "sample_gradients",
    "special_functions",
]
