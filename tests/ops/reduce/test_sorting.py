"""The first k of rows against a stable sort: vectors of keys, rows that are not neighbours, ties, special values."""
import numpy as np
import pytest

import rushlight as rl
from rushlight.ops.reduce import order_statistics

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


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8"])
def test_medians_of_short_and_long_rows(dtype, monkeypatch):
    values = rows(dtype, 37)
    values[3] = np.arange(37)
    if dtype.startswith("float"):
        values[3, 5:20] = np.nan
    x = rl.from_numpy(values)

    def found():
        pairs = [x.median(1), x.nanmedian(1), x.nanmedian(0), x.kthvalue(9, 1), x.kthvalue(2, 0, keepdim=True)]
        return [p.values.numpy() for p in pairs] + [x.median(1).indices.numpy()[3:], x.median().numpy()]
    sorted_rows = found()
    monkeypatch.setattr(order_statistics, "MOST_SORTED", 0)
    for ours, partitioned in zip(sorted_rows, found()):
        np.testing.assert_array_equal(ours, partitioned)
    if dtype.startswith("float"):
        assert np.isnan(sorted_rows[0][3]) and x.median(1).indices[3] == 5
        np.testing.assert_array_equal(sorted_rows[1][3], np.sort(values[3])[(22 - 1) // 2])
