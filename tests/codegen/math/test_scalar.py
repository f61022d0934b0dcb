"""Error bounds and special values of the mathematical functions of generated code."""

import numpy as np
import pytest
from scalar_jit import build, source, ulps
from scalar_literals import ANGLES, PAIRS, VALUES

from rushlight.codegen.cpu.rows.gates import gates
from rushlight.codegen.math import scalar_base
from rushlight.codegen.math.scalar import FUNCTIONS, HOME_OF, HOMES, ULP

DTYPES = ["float32", "float64"]
LONG = np.longdouble
INF, NAN = np.inf, np.nan
# Registered beside the others, but functions of integers: tested elsewhere.
INTEGER = {"gcd", "integer_power"}
needs_long = pytest.mark.skipif(np.finfo(LONG).nmant <= 52, reason="numpy has no longer type than double here")
# Largest argument with a finite exponential.
EXP_TOP = {"float32": 88.7, "float64": 709.7}


def wide(dtype):
    """The type of the reference."""
    return np.float64 if dtype == "float32" else LONG


def grid(dtype, low, high, count=20000):
    random = np.random.default_rng(7)
    return np.concatenate([np.linspace(low, high, count), random.uniform(low, high, count)]).astype(dtype)


def magnitudes(dtype, low, high, count=20000):
    """Numbers of both signs, spread evenly over the exponents."""
    values = np.exp(np.random.default_rng(8).uniform(np.log(low), np.log(high), count)).astype(dtype)
    return np.concatenate([values, -values])


def positive(dtype):
    info = np.finfo(dtype)
    spread = magnitudes(dtype, float(info.smallest_subnormal), float(info.max) / 2)
    return np.concatenate([abs(spread), grid(dtype, 0.3, 3.0)])


def everywhere(dtype, top):
    return np.concatenate([grid(dtype, -top, top), magnitudes(dtype, 1e-30, top)])


def exponential(dtype):
    return everywhere(dtype, EXP_TOP[dtype] * 1.2)


def turns(dtype):
    return np.concatenate([everywhere(dtype, 10.0), everywhere(dtype, 1.0e4)])


def above_overflow(dtype):
    """Where exp(-x) is finite: below, the sigmoid is 0."""
    x = exponential(dtype)
    return x[x > -EXP_TOP[dtype]]


def above_underflow(dtype):
    """Where exp(x) is a normal number, up to 64."""
    x = exponential(dtype)
    return x[(np.exp(x.astype(LONG)) > 1.001 * np.finfo(dtype).tiny) & (x < 64)]


def reference_sigmoid(x):
    z = np.exp(-abs(x))
    return np.where(x < 0, z, 1) / (1 + z)


UNARY = {
    "exp": (exponential, np.exp),
    "exp_below": (above_underflow, np.exp),
    "exp2": (lambda dtype: exponential(dtype) * np.dtype(dtype).type(1.45), np.exp2),
    "expm1": (exponential, np.expm1),
    "sigmoid": (above_overflow, reference_sigmoid),
    "tanh": (lambda dtype: everywhere(dtype, 25.0), np.tanh),
    "sinh": (exponential, np.sinh),
    "cosh": (exponential, np.cosh),
    "log": (positive, np.log),
    "log2": (positive, np.log2),
    "log10": (positive, np.log10),
    "log1p": (lambda dtype: np.concatenate([positive(dtype), grid(dtype, -0.999, 1.0)]), np.log1p),
    "sin": (turns, np.sin),
    "cos": (turns, np.cos),
    "tan": (turns, np.tan),
    "atan": (turns, np.arctan),
    "asin": (lambda dtype: everywhere(dtype, 1.0), np.arcsin),
    "acos": (lambda dtype: everywhere(dtype, 1.0), np.arccos),
    "asinh": (lambda dtype: everywhere(dtype, 1.0e4), np.arcsinh),
    "acosh": (lambda dtype: 1 + abs(everywhere(dtype, 1.0e4)), np.arccosh),
    "atanh": (lambda dtype: everywhere(dtype, 1.0), np.arctanh),
    "sqrt": (positive, np.sqrt),
    "rsqrt": (positive, lambda x: 1 / np.sqrt(x)),
    "floor": (turns, np.floor),
    "ceil": (turns, np.ceil),
    "trunc": (turns, np.trunc),
    "rint": (turns, np.rint),
    "round": (turns, np.rint),
}


def bound(name, dtype):
    return ULP[name][DTYPES.index(dtype)]


@needs_long
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_unary_bound(name, dtype):
    points, reference = UNARY[name]
    x = points(dtype)
    with np.errstate(all="ignore"):
        expected = reference(x.astype(wide(dtype)))
    assert ulps(build(name, dtype)(x), expected).max() <= bound(name, dtype)


def scaled_pairs(dtype):
    """Pairs of numbers of moderate and of extreme exponents, with both signs."""
    random = np.random.default_rng(9)
    near = np.ldexp(random.uniform(-1, 1, (2, 20000)), random.integers(-20, 20, (2, 20000)))
    far = np.ldexp(random.uniform(-1, 1, (2, 20000)), random.integers(-120, 120, (2, 20000)))
    return np.concatenate([near, far], axis=1).astype(dtype)


def power_pairs(dtype):
    """Bases of all sizes with exponents that keep the power in range, and small whole exponents."""
    random = np.random.default_rng(10)
    top = EXP_TOP[dtype]
    x = np.concatenate([abs(magnitudes(dtype, 1e-30, 1e30)), abs(magnitudes(dtype, 0.5, 2.0))])
    y = random.uniform(-top, top, x.size) / np.where(x == 1, 1, np.log(x.astype(np.float64)))
    signed = random.uniform(-20, 20, x.size)
    whole = random.integers(-20, 20, x.size)
    return np.concatenate([x, signed]).astype(dtype), np.concatenate([y, whole]).astype(dtype)


BINARY = {
    "pow": (power_pairs, np.power),
    "atan2": (scaled_pairs, np.arctan2),
    "hypot": (scaled_pairs, np.hypot),
    "copysign": (scaled_pairs, np.copysign),
    "fmod": (scaled_pairs, np.fmod),
}


@needs_long
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_binary_bound(name, dtype):
    points, reference = BINARY[name]
    x, y = points(dtype)
    with np.errstate(all="ignore"):
        expected = reference(x.astype(wide(dtype)), y.astype(wide(dtype)))
    assert ulps(build(name, dtype, operands=2)(x, y), expected).max() <= bound(name, dtype)


@needs_long
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in VALUES if name in HOME_OF])
def test_literals(name, dtype):
    x = np.array([row[0] for row in VALUES[name]])
    expected = np.array([LONG(row[1]) for row in VALUES[name]])
    exact = x.astype(dtype) == x
    distance = ulps(build(name, dtype)(x.astype(dtype)), expected)
    if name in ("lgamma", "digamma") or name.startswith("bessel"):
        # These cross zero between numbers: units of 1 there.
        distance = distance * np.minimum(1, abs(expected))
    assert distance[exact].max() <= bound(name, dtype)


@needs_long
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PAIRS)
def test_literal_pairs(name, dtype):
    a, b = (np.array([row[i] for row in PAIRS[name]], dtype) for i in range(2))
    expected = np.array([LONG(row[2]) for row in PAIRS[name]])
    assert ulps(build(name, dtype, operands=2)(a, b), expected).max() <= bound(name, dtype)


@needs_long
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 8])
def test_large_angles(dtype, width):
    rows = [row for row in ANGLES if row[0] < float(np.finfo(dtype).max)]
    x = np.array([row[0] for row in rows], dtype)
    exact = x.astype(np.float64) == [row[0] for row in rows]
    for column, name in enumerate(["sin", "cos"], 1):
        expected = np.array([LONG(row[column]) for row in rows])
        assert ulps(build(name, dtype, width)(x), expected)[exact].max() <= bound(name, dtype)


SPECIAL = {
    "exp": [(INF, INF), (-INF, 0.0), (NAN, NAN), (0.0, 1.0), (-0.0, 1.0), (1e4, INF), (-1e4, 0.0)],
    "exp_below": [(-INF, 0.0), (NAN, NAN), (0.0, 1.0), (-0.0, 1.0), (-1e4, 0.0), (-709.0, 0.0)],
    "expm1": [(INF, INF), (-INF, -1.0), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e4, INF), (-1e4, -1.0)],
    "log": [(INF, INF), (-INF, NAN), (NAN, NAN), (0.0, -INF), (-0.0, -INF), (-1.0, NAN), (1.0, 0.0)],
    "log2": [(INF, INF), (0.0, -INF), (-1.0, NAN), (8.0, 3.0), (0.125, -3.0)],
    "log1p": [(INF, INF), (NAN, NAN), (-1.0, -INF), (-2.0, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-40, 1e-40)],
    "sin": [(INF, NAN), (-INF, NAN), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "cos": [(INF, NAN), (-INF, NAN), (NAN, NAN), (0.0, 1.0), (-0.0, 1.0)],
    "tan": [(INF, NAN), (NAN, NAN), (-0.0, -0.0)],
    "tanh": [(INF, 1.0), (-INF, -1.0), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-40, 1e-40)],
    "sinh": [(INF, INF), (-INF, -INF), (NAN, NAN), (-0.0, -0.0), (1e4, INF)],
    "cosh": [(INF, INF), (-INF, INF), (NAN, NAN), (0.0, 1.0)],
    "sigmoid": [(INF, 1.0), (-INF, 0.0), (NAN, NAN), (0.0, 0.5)],
    "asin": [(1.5, NAN), (NAN, NAN), (-0.0, -0.0)],
    "acos": [(-1.5, NAN), (1.0, 0.0)],
    "atan": [(INF, np.pi / 2), (-INF, -np.pi / 2), (NAN, NAN), (-0.0, -0.0)],
    "acosh": [(0.5, NAN), (-INF, NAN), (INF, INF), (1.0, 0.0)],
    "asinh": [(INF, INF), (-INF, -INF), (NAN, NAN), (-0.0, -0.0)],
    "atanh": [(1.0, INF), (-1.0, -INF), (2.0, NAN), (-0.0, -0.0)],
    "erf": [(INF, 1.0), (-INF, -1.0), (NAN, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "erfc": [(INF, 0.0), (-INF, 2.0), (NAN, NAN), (0.0, 1.0)],
    "erfinv": [(1.0, INF), (-1.0, -INF), (1.5, NAN), (NAN, NAN), (-0.0, -0.0)],
    "lgamma": [(INF, INF), (-INF, INF), (NAN, NAN), (0.0, INF), (-3.0, INF), (1.0, 0.0), (2.0, 0.0)],
    "digamma": [(INF, INF), (NAN, NAN), (0.0, -INF), (-0.0, INF), (-2.0, NAN)],
    "rsqrt": [(0.0, INF), (-0.0, -INF), (INF, 0.0), (-1.0, NAN)],
    "round": [(0.5, 0.0), (1.5, 2.0), (-0.5, -0.0), (INF, INF), (NAN, NAN)],
    "entr": [(0.0, 0.0), (-1.0, -INF), (NAN, NAN)],
    "sinc": [(0.0, 1.0)],
    "ndtri": [(0.0, -INF), (1.0, INF), (-0.5, NAN), (0.5, 0.0)],
    "frexp_mantissa": [(0.0, 0.0), (-3.0, -0.75), (INF, INF), (2.0**-140, 0.5)],
    "frexp_exponent": [(0.0, 0.0), (-3.0, 2.0), (INF, 0.0), (2.0**-140, -139.0)],
}
SPECIAL_PAIRS = {
    "pow": [
        (0.0, 0.0, 1.0), (NAN, 0.0, 1.0), (1.0, NAN, 1.0), (-1.0, INF, 1.0), (-1.0, -INF, 1.0), (2.0, NAN, NAN),
        (-0.0, -3.0, -INF), (-0.0, -2.0, INF), (-0.0, 3.0, -0.0), (0.0, -0.5, INF), (-2.0, 3.0, -8.0), (-2.0, 0.5, NAN),
        (INF, -1.0, 0.0), (-INF, 3.0, -INF), (-INF, 2.0, INF), (-INF, -3.0, -0.0), (0.5, INF, 0.0), (2.0, INF, INF),
        (0.5, -INF, INF), (2.0, -INF, 0.0), (10.0, 400.0, INF), (10.0, -400.0, 0.0), (3.0, 4.0, 81.0),
        (2.0, -149.0, 2.0**-149),
    ],
    "atan2": [
        (0.0, 0.0, 0.0), (0.0, -0.0, np.pi), (-0.0, -0.0, -np.pi), (-0.0, 0.0, -0.0), (INF, INF, np.pi / 4),
        (INF, -INF, 3 * np.pi / 4), (1.0, -INF, np.pi), (-1.0, INF, -0.0), (1.0, 0.0, np.pi / 2), (NAN, 1.0, NAN),
    ],
    "hypot": [(INF, NAN, INF), (3.0, 4.0, 5.0), (NAN, 1.0, NAN), (-INF, 1.0, INF), (0.0, -0.0, 0.0)],
    "fmod": [(5.0, 3.0, 2.0), (-5.0, 3.0, -2.0), (5.0, INF, 5.0), (INF, 3.0, NAN), (5.0, 0.0, NAN), (-0.0, 3.0, -0.0)],
    "remainder": [(5.0, 3.0, 2.0), (-5.0, 3.0, 1.0), (5.0, -3.0, -1.0), (6.0, 3.0, 0.0), (5.0, 0.0, NAN)],
    "nextafter": [(0.0, -0.0, -0.0), (NAN, 1.0, NAN), (INF, INF, INF)],
    "ldexp": [(1.5, 4.0, 24.0), (1.0, 2000.0, INF), (1.0, -2200.0, 0.0), (2.0**-130, 250.0, 2.0**120)],
    "xlogy": [(0.0, 0.0, 0.0), (0.0, NAN, NAN), (0.0, INF, 0.0), (1.0, 0.0, -INF)],
    "xlog1py": [(0.0, -1.0, 0.0), (0.0, NAN, NAN)],
    "logaddexp": [(-INF, -INF, -INF), (INF, INF, INF), (INF, -INF, INF), (NAN, 1.0, NAN), (1.0, NAN, NAN)],
    "logaddexp2": [(-INF, -INF, -INF), (INF, 0.0, INF), (3.0, 3.0, 4.0)],
    "zeta": [(1.0, 2.0, INF), (0.5, 2.0, NAN), (2.0, -1.0, INF), (2.5, -0.5, NAN)],
    "gammainc": [(0.0, 0.0, NAN), (0.0, 1.0, 1.0), (1.0, 0.0, 0.0), (1.0, INF, 1.0), (-1.0, 1.0, NAN)],
    "gammaincc": [(0.0, 1.0, 0.0), (1.0, 0.0, 1.0), (1.0, INF, 0.0), (1.0, -1.0, NAN)],
}


def agree(found, expected):
    """Equal up to rounding, with the same sign of zero; NaN equals NaN."""
    if np.isnan(expected):
        return np.isnan(found)
    close = found == expected or abs(found - expected) <= 1e-6 * abs(expected)
    return close and np.signbit(found) == np.signbit(expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name, dtype):
    x, expected = np.array(SPECIAL[name], dtype).T
    found = build(name, dtype)(x)
    wrong = [row for row in zip(x, found, expected) if not agree(*row[1:])]
    assert not wrong


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECIAL_PAIRS)
def test_special_pairs(name, dtype):
    with np.errstate(over="ignore"):
        x, y, expected = np.array(SPECIAL_PAIRS[name], np.float64).T.astype(dtype)
    found = build(name, dtype, operands=2)(x, y)
    wrong = [row for row in zip(x, y, found, expected) if not agree(*row[2:])]
    assert not wrong


@pytest.mark.parametrize("dtype", DTYPES)
def test_nextafter(dtype):
    x, y = scaled_pairs(dtype)
    assert np.array_equal(build("nextafter", dtype, operands=2)(x, y), np.nextafter(x, y))


@pytest.mark.parametrize("dtype", DTYPES)
def test_ldexp_rounds_once(dtype):
    x = magnitudes(dtype, float(np.finfo(dtype).smallest_subnormal), float(np.finfo(dtype).max) / 2)
    n = np.random.default_rng(11).integers(-300, 300, x.size)
    with np.errstate(all="ignore"):
        expected = np.ldexp(x, n)
    assert np.array_equal(build("ldexp", dtype, operands=2)(x, n.astype(dtype)), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_remainder_has_the_sign_of_the_divisor(dtype):
    x, y = scaled_pairs(dtype)
    rest = np.fmod(x, y)
    expected = np.where((rest != 0) & ((rest < 0) != (y < 0)), rest + y, rest)
    assert np.array_equal(build("remainder", dtype, operands=2)(x, y), expected)


def test_width_does_not_change_results():
    x = magnitudes("float32", 1e-3, 50.0, 500)
    for name in ["exp", "tanh", "erf", "sin", "sigmoid"]:
        results = [build(name, "float32", width)(x) for width in (1, 4, 16, 32)]
        assert all(np.array_equal(results[0], other, equal_nan=True) for other in results[1:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_scaling_by_powers_of_two_rounds_once(dtype):
    """Results that are denormal, or too large, are those of the scalar code, whatever instruction scales."""
    top = 800.0 if dtype == "float64" else 110.0
    x = np.concatenate([np.linspace(-top, top, 4001), [np.inf, -np.inf, np.nan, 0.0, 1e30, -1e30]]).astype(dtype)
    for name in ("exp", "exp2", "cosh"):
        single, wide = (build(name, dtype, width)(x) for width in (1, 16))
        assert np.array_equal(single, wide, equal_nan=True)


@pytest.mark.parametrize("name", sorted(set(HOME_OF) - INTEGER))
def test_no_function_calls_a_library(name):
    taken = {"gamma_slope": 2, "beta_slope": 3}
    pairs = name in BINARY or name in PAIRS or name in SPECIAL_PAIRS or "_polynomial_" in name
    operands = taken.get(name, 2 if pairs else 1)
    text = source(name, "float", 8, operands, results=2 if name == "frexp" else 1, store=name != "frexp")
    allowed = ("fma", "fabs", "floor", "ceil", "trunc", "rint", "roundeven", "sqrt", "copysign", "x86")  # instructions
    declared = [line for line in text.splitlines() if line.startswith("declare")]
    assert all(line.split("@llvm.")[1].split(".")[0] in allowed for line in declared)
    assert " inttoptr " not in text and " ptrtoint " not in text


def test_gates(monkeypatch):
    """Quotients of polynomials for recurrent kernels; sigmoids and tanhs share divisions."""
    monkeypatch.setitem(scalar_base.FUNCTIONS, "gates",
                        lambda fn, a, b, c: [v for part in gates(fn, [a, b], [c]) for v in part])
    x = np.concatenate([np.linspace(-30, 30, 200001), np.geomspace(1e-30, 9.1, 100000)]).astype(np.float32)
    y = np.random.default_rng(0).permutation(x)
    exact = [1 / (1 + np.exp(-v.astype(float))) for v in (x, y)] + [np.tanh(x.astype(float))]
    for found, expected in zip(build("gates", np.float32, 16, 3, 3)(x, y, x), exact):
        np.testing.assert_allclose(found, expected, rtol=5e-7, atol=0 if expected is exact[2] else 2e-7)
    ends = np.array([-np.inf, -100, 0, 100, np.inf, np.nan], np.float32)
    first, second, third = build("gates", np.float32, 16, 3, 3)(ends, np.zeros(6), ends)
    np.testing.assert_allclose(first, [0, 0, 0.5, 1, 1, np.nan], atol=2e-7)
    np.testing.assert_allclose(second[:5], 0.5)
    np.testing.assert_allclose(third, [-1, -1, 0, 1, 1, np.nan], atol=2.4e-7)


def test_homes_hold_what_they_say():
    for name in HOME_OF:
        assert callable(FUNCTIONS[name])
    own = {function.__module__.rpartition(".")[2] for function in scalar_base.FUNCTIONS.values()}
    assert own <= set(HOMES) | {"test_scalar"} and set(scalar_base.FUNCTIONS) == set(HOME_OF)
    for home, names in HOMES.items():
        assert {FUNCTIONS[name].__module__.rpartition(".")[2] for name in names.split()} <= {home}


def test_bounds_are_stated():
    for name in HOME_OF:
        assert callable(FUNCTIONS[name])
    assert set(HOME_OF) - INTEGER <= set(ULP)
