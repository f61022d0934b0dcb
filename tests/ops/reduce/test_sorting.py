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


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int32", "int8", "uint8"])
@pytest.mark.parametrize("shape, dim", [((1,), 0), ((2,), 0), ((7,), 0), ((5, 20), 1), ((40, 3), 0), ((2, 3, 57), 1)])
def test_medians_of_ties_are_those_of_the_stable_order(dtype, shape, dim):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, shape).astype(dtype)
    order = np.argsort(values, dim, kind="stable")
    place = (shape[dim] - 1) // 2
    expected = np.take(order, place, dim)
    x = rl.from_numpy(values)
    for name in ("median", "nanmedian"):
        found = getattr(x, name)(dim)
        assert found.indices.tolist() == expected.tolist()
        assert found.values.tolist() == np.take_along_axis(values, np.expand_dims(expected, dim), dim).squeeze(
            dim).tolist()
    ranked = np.sort(values, dim)
    for k in {1, place + 1, shape[dim]}:
        found = x.kthvalue(k, dim)
        assert found.values.tolist() == np.take(ranked, k - 1, dim).tolist()
        assert x.gather(dim, found.indices.unsqueeze(dim)).squeeze(dim).tolist() == found.values.tolist()


def test_medians_and_nan():
    nan = float("nan")
    x = rl.tensor([[1.0, nan, 0.0, nan, 2.0], [nan] * 5, [-0.0, 0.0, 3.0, 0.0, -1.0]])
    found = x.median(1)
    assert found.indices.tolist() == [1, 0, 1] and found.values.isnan().tolist() == [True, True, False]
    found = x.nanmedian(1)
    assert found.indices.tolist() == [0, 0, 1] and found.values.tolist()[0] == 1 and found.values.isnan()[1]
    assert x.kthvalue(5, 1).values.isnan().tolist() == [True, True, False]


def test_distinct_rows_with_nan_stay_behind_it():
    """PyTorch's sort by insertion, where comparisons with NaN are false; equal rows are neighbours then."""
    nan = float("nan")
    values, inverse, counts = rl.unique(rl.tensor([nan, 0, 0, nan, nan, 1]), return_inverse=True, return_counts=True,
                                        dim=0)
    assert [v if v == v else None for v in values.tolist()] == [None, 0, None, None, 1]
    assert inverse.tolist() == [0, 1, 1, 2, 3, 4] and counts.tolist() == [1, 2, 1, 1, 1]
