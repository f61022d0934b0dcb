"""Special functions: values from tables and from NumPy, gradients by differences."""
import math

import numpy as np
import pytest

import rushlight as rl
from numeric import check_gradients, tensor

# At 0.5, 1.5 and 4.25, from mpmath.
VALUES = {
    "gammaln": [0.5723649429247001, -0.12078223763524522, 2.1144569274503713],
    "digamma": [-1.9635100260214235, 0.03648997397857652, 1.3246832187604867],
    "i0": [1.0634833707413236, 1.646723189772891, 14.041263683000611],
    "i1": [0.2578943053908963, 0.9816664285779075, 12.250874667409308],
    "bessel_j0": [0.9384698072408129, 0.5118276717359181, -0.3691997702998954],
    "ndtr": [0.6914624612740131, 0.9331927987311419, 0.9999893114742251],
    "erfcx": [0.6156903441929259, 0.3215854164543175, 0.12934527478598792],
    "entr": [0.34657359027997264, -0.6081976621622466, -6.1494056774793835],
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    got = getattr(rl.special, name)(rl.tensor([0.5, 1.5, 4.25], dtype=rl.float64)).numpy()
    np.testing.assert_allclose(got, VALUES[name], rtol=2e-13)


@pytest.mark.parametrize("name", ["gammaln", "digamma", "i0", "i0e", "i1", "i1e", "ndtr", "log_ndtr", "erfcx", "entr",
                                  "ndtri", "logit", "expit"])
def test_gradients(name):
    check_gradients(getattr(rl.special, name), [0.3, 0.6, 0.9])


def test_functions_of_two():
    x, y = np.array([0.0, 0.5, 2.0]), np.array([0.5, 1.5, 2.5])
    np.testing.assert_allclose(rl.special.xlog1py(tensor(x), tensor(y)).numpy(), x * np.log1p(y))
    np.testing.assert_allclose(rl.special.zeta(rl.tensor(2.0, dtype=rl.float64), 1.0).item(), math.pi**2 / 6)
    np.testing.assert_allclose(rl.special.gammainc(tensor([1.0]), tensor([0.7])).item(), 1 - math.exp(-0.7))
    np.testing.assert_allclose(rl.special.polygamma(1, tensor([1.0])).item(), math.pi**2 / 6)
    check_gradients(rl.special.xlog1py, x[1:], y[1:])
    check_gradients(lambda b: rl.special.gammaincc(tensor(y), b), y)
    with pytest.raises(NotImplementedError, match="not implemented"):
        rl.igamma(tensor(y, True), tensor(y)).sum().backward()
    with pytest.raises(RuntimeError, match="negative n"):
        rl.polygamma(-1, tensor(y))


def test_multivariate_gamma():
    x = np.array([2.0, 3.5])
    expected = [math.lgamma(v) + math.lgamma(v - 0.5) + 0.5 * math.log(math.pi) for v in x]
    np.testing.assert_allclose(rl.mvlgamma(tensor(x), 2).numpy(), expected)


@pytest.mark.parametrize("degree", [0, 1, 2, 5, 12])
def test_polynomials(degree):
    x = np.linspace(-1.5, 1.5, 9)
    series = np.zeros(degree + 1)
    series[degree] = 1
    families = {
        "chebyshev_polynomial_t": np.polynomial.chebyshev.chebval,
        "legendre_polynomial_p": np.polynomial.legendre.legval,
        "hermite_polynomial_h": np.polynomial.hermite.hermval,
        "hermite_polynomial_he": np.polynomial.hermite_e.hermeval,
        "laguerre_polynomial_l": np.polynomial.laguerre.lagval,
    }
    for name, reference in families.items():
        got = getattr(rl.special, name)(tensor(x), degree).numpy()
        np.testing.assert_allclose(got, reference(x, series), rtol=1e-8, atol=1e-9, err_msg=name)
    shifted = rl.special.shifted_chebyshev_polynomial_t(tensor((x + 1) / 2), degree).numpy()
    np.testing.assert_allclose(shifted, np.polynomial.chebyshev.chebval(x, series), rtol=1e-8, atol=1e-9)


def test_airy():
    x = [-7.0, -2.0, 0.0, 1.0, 5.0]
    expected = [
        0.18428083525050609,
        0.22740742820168558,
        0.35502805388781722,
        0.13529241631288142,
        1.0834442813607442e-4,
    ]
    np.testing.assert_allclose(rl.special.airy_ai(tensor(x)).numpy(), expected, rtol=1e-11)
