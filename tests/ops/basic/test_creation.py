"""Creation: evenly spaced numbers, strides of new tensors, window functions, errors."""
import numpy as np
import pytest

import rushlight as rl
from numeric import tensor


def test_spacing_of_integers():
    # the ends are cut to integers first, the values afterwards
    assert rl.linspace(4.3, -3, 8, dtype=rl.int64).tolist() == [4, 3, 2, 1, 0, -1, -2, -3]
    assert rl.linspace(-2.7, 7.2, 5, dtype=rl.int64).tolist() == [-2, 0, 2, 4, 7]
    assert rl.logspace(1, 1.2, 4, 5.0, dtype=rl.int64).tolist() == [5, 5, 5, 5]
    assert rl.logspace(rl.tensor(0), rl.tensor(3.0), 7, 3.7, dtype=rl.int64).tolist() == [1, 1, 3, 7, 13, 26, 50]


def test_arange_of_integers_from_floats():
    assert rl.arange(-0.9, 2.1, 2.0, dtype=rl.int32).tolist() == [0, 2]
    assert rl.arange(0, 6, 1.5, dtype=rl.uint8).tolist() == [0, 1, 2, 3]
    assert rl.arange(0, 6, 1.5, dtype=rl.int64).tolist() == [0, 1, 2, 3, 4, 5]
    assert rl.arange(0.2, 0.9, 1, dtype=rl.int64).tolist() == []


def test_spacing_errors():
    with pytest.raises(TypeError, match="steps"):
        rl.linspace(0, 3, 1.0)
    with pytest.raises(NotImplementedError, match="not implemented for 'Bool'"):
        rl.linspace(0, 3, 4, dtype=rl.bool)
    with pytest.raises(RuntimeError, match="unsupported range"):
        rl.arange(0, float("inf"))
    with pytest.raises(ValueError, match="step must be nonzero"):
        rl.arange(0, 64, 0.5, dtype=rl.int64)


def test_strides_of_empty_tensors():
    assert rl.empty_permuted((1, 0, 5, 1), (0, 1, 2, 3)).stride() == (5, 5, 1, 1)
    assert rl.empty_permuted((1, 0, 5, 2), (0, 3, 1, 2)).stride() == (10, 5, 1, 5)
    array = np.empty((0, 5, 0))
    assert rl.from_numpy(array).stride() == tuple(s // 8 for s in array.strides)
    assert rl.empty_like(rl.empty(0, 5, 0)).stride() == (5, 1, 1)


FORMULAS = {
    "hann": lambda t, n: 0.5 - 0.5 * np.cos(t),
    "hamming": lambda t, n: 0.54 - 0.46 * np.cos(t),
    "blackman": lambda t, n: 0.42 - 0.5 * np.cos(t) + 0.08 * np.cos(2 * t),
    "nuttall": lambda t, n: (0.3635819 - 0.4891775 * np.cos(t) + 0.1365995 * np.cos(2 * t)
                             - 0.0106411 * np.cos(3 * t)),
    "bartlett": lambda t, n: 1 - np.abs(t / np.pi - 1),
    "cosine": lambda t, n: np.sin(np.pi / (n + 1) * (t / (2 * np.pi) * n + 0.5)),
    "gaussian": lambda t, n: np.exp(-0.5 * (t / (2 * np.pi) * n - n / 2) ** 2),
    "exponential": lambda t, n: np.exp(-np.abs(t / (2 * np.pi) * n - n / 2)),
    "kaiser": lambda t, n: np.i0(12 * np.sqrt(np.maximum(1 - (t / np.pi - 1) ** 2, 0))) / np.i0(12.0),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("sym", [True, False])
def test_windows(name, sym):
    period = 6 if sym else 7
    expected = FORMULAS[name](2 * np.pi * np.arange(7) / period, period)
    function = getattr(rl.signal.windows, name)
    np.testing.assert_allclose(function(7, sym=sym, dtype=rl.float64).numpy(), expected, rtol=1e-9, atol=1e-12)
    if name in ("hann", "hamming", "blackman", "bartlett", "kaiser"):
        older = getattr(rl, f"{name}_window")
        np.testing.assert_allclose(older(7, not sym).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert function(0).tolist() == [] and function(1).tolist() == [1]
    with pytest.raises(ValueError, match="non-negative window length"):
        function(-1)
    with pytest.raises(ValueError, match="expects float32 or float64"):
        function(3, dtype=rl.int64)


def test_window_parameters():
    windows = rl.signal.windows
    np.testing.assert_allclose(windows.general_cosine(5, a=[0.5, 0.5]).numpy(), windows.hann(5).numpy(), atol=1e-7)
    np.testing.assert_allclose(windows.general_hamming(5).numpy(), windows.hamming(5).numpy(), atol=1e-7)
    np.testing.assert_allclose(windows.exponential(3, center=0, tau=2, sym=False).numpy(), np.exp([0, -0.5, -1]),
                               rtol=1e-6)
    with pytest.raises(ValueError, match="Center must be None"):
        windows.exponential(3, center=1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'tau'"):
        windows.hann(3, tau=1)


def test_unravel_index():
    rows, columns = rl.unravel_index(tensor(np.array([3, 7])), (2, 5))
    assert rows.tolist() == [0, 1] and columns.tolist() == [3, 2]
    assert rl.unravel_index(rl.tensor([3], dtype=rl.uint8), (2, 500))[1].dtype is rl.int64
    assert [t.item() for t in rl.unravel_index(rl.tensor(11), (2, 2, 3))] == [1, 1, 2]
    with pytest.raises(TypeError, match="integer dtype"):
        rl.unravel_index(rl.ones(2), (2, 2))


@pytest.mark.parametrize("fill, values", [
    (lambda out: rl.arange(4.0, out=out), [0, 1, 2, 3]),
    (lambda out: rl.linspace(0, 3, 4, out=out), [0, 1, 2, 3]),
    (lambda out: rl.logspace(0, 3, 4, base=2.0, out=out), [1, 2, 4, 8]),
    (lambda out: rl.range(0, 3, out=out), [0, 1, 2, 3]),
])
def test_a_view_is_filled_in_its_own_order(fill, values):
    whole = rl.zeros(2, 3)
    fill(whole.narrow(1, 1, 2))
    assert whole.tolist() == [[0, *values[:2]], [0, *values[2:]]]
    with pytest.warns(UserWarning, match="resized"):
        assert fill(rl.zeros(2)).tolist() == values


def test_ravel_of_a_strided_vector_is_a_copy():
    x = rl.zeros(6)
    x[::2].ravel().fill_(1)
    assert x.tolist() == [0] * 6
    x.view(2, 3).ravel().fill_(1)
    assert x.tolist() == [1] * 6


def test_fill_where_the_graph_need_not_know():
    x = rl.zeros(3, 4)
    before = x._version
    x[1].fill_(2)
    x[:, 1].fill_(1.5)
    assert x.tolist() == [[0, 1.5, 0, 0], [2, 1.5, 2, 2], [0, 1.5, 0, 0]] and x._version == before + 2
    assert rl.zeros(2, dtype=rl.int64).fill_(2.7).tolist() == [2, 2] and rl.zeros(1, dtype=rl.bool).fill_(5).item()
    w = rl.ones(3, requires_grad=True)
    for target in (w, w[0]):
        with pytest.raises(RuntimeError, match="leaf Variable"):
            target.fill_(1)
    z = w * 2
    z[1].fill_(3)
    z.sum().backward()
    assert w.grad.tolist() == [2, 0, 2] and z.tolist() == [2, 3, 2]
    assert rl.zeros(1, 3).expand(2, 3).fill_(1.0).tolist() == [[1, 1, 1]] * 2
    c = rl.zeros(2, dtype=rl.complex64)
    c.conj().imag.fill_(3.0)
    assert c.tolist() == [-3j, -3j]
