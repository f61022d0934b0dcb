"""The mathematical functions of generated code: `FUNCTIONS[name](fn, *values)` emits IR, `ULP[name]` bounds its error.

Float and double, scalar and vector of any width; special values as in C99. HOMES says which module holds which, so that
a kernel loads the functions that it uses. See `elementary` and `special_functions` for bodies, `scalar_base` for what
they share.
"""

import importlib

from . import scalar_base
from .scalar_base import ULP

HOMES = {
    "elementary": "exp exp_below exp2 expm1 sigmoid tanh sinh cosh log log2 log10 log1p sin cos tan atan atan2 asin "
                  "acos asinh acosh atanh",
    "powers": "sqrt rsqrt hypot pow floor ceil trunc rint roundeven round copysign fmod remainder nextafter ldexp "
              "frexp_mantissa frexp_exponent frexp",
    "special_functions": "erf erfc erfcx ndtr log_ndtr entr xlogy xlog1py logaddexp logaddexp2 sinc erfinv ndtri",
    "gamma_functions": "lgamma digamma zeta polygamma gammainc gammaincc",
    "bessel_functions": "bessel_j0 bessel_j1 bessel_y0 bessel_y1 spherical_bessel_j0 i0 i0e i1 i1e modified_bessel_k0 "
                        "modified_bessel_k1 scaled_modified_bessel_k0 scaled_modified_bessel_k1",
    "airy_function": "airy_ai",
    "integer_functions": "gcd integer_power",
    "orthogonal_polynomials": "chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v "
                              "chebyshev_polynomial_w shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u "
                              "shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w hermite_polynomial_h "
                              "hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p",
    "sample_gradients": "gamma_slope beta_slope",
}
HOME_OF = {name: home for home, names in HOMES.items() for name in names.split()}


class Functions:
    """The registry; a module is loaded when one of its functions is first asked for."""

    def __getitem__(self, name):
        found = scalar_base.FUNCTIONS.get(name)
        if found is None:
            importlib.import_module(f"{__package__}.{HOME_OF[name]}")
            found = scalar_base.FUNCTIONS[name]
        return found


FUNCTIONS = Functions()
__all__ = ["FUNCTIONS", "HOMES", "HOME_OF", "ULP"]
