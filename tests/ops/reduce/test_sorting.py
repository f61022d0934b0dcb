"""The first k of rows against a stable sort: vectors of keys, rows that are not neighbours, ties, special values."""
import numpy as np
import pytest

import rushlight as rl

RNG = np.random.default_rng(0)


def rows(dtype, length):
    if dtype.startswith("float"):
        found = RNG.standard_normal((4, length)).round(1).astype(dtype)
        found[0, :3], found[1, -1], found[2, length // 2] = (np.nan, -0.0, 0.0), np.inf, -np.inf
        return found
    return RNG.integers(-40 if dtype != "uint8" else 0, 40, (4, length)).astype(dtype)


def order(row, largest):
    """Positions in order: NaN above all, equal ones as they stand."""
    ranks = np.unique(row, return_inverse=True)[1]  # NaN comes last
    return np.argsort(-ranks if largest else ranks, kind="stable")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("length", [7, 33, 1000])
@pytest.mark.parametrize("largest", [True, False])
def test_topk_takes_the_first_of_a_stable_order(dtype, length, largest):
    values = rows(dtype, length)
    expected = np.stack([order(row, largest)[:7] for row in values])
    neighbours, apart = rl.tensor(values), rl.tensor(values.T.copy()).t()
    for tensor in (neighbours, apart):
        found, positions = tensor.topk(7, largest=largest)
        np.testing.assert_array_equal(positions.numpy(), expected)
        np.testing.assert_array_equal(found.numpy(), np.take_along_axis(values, expected, 1))
