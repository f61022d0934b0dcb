"""Memory of others: asarray, frombuffer, DLPack; and methods that call Python for each element."""
import numpy as np
import pytest

import rushlight as rl


def test_asarray_shares_where_it_can():
    array = np.arange(3.0)
    shared = rl.asarray(array)
    array[0] = 7
    assert shared.tolist() == [7, 1, 2]
    copied = rl.asarray(array, copy=True)
    array[0] = 0
    assert copied[0].item() == 7
    x = rl.ones(2, requires_grad=True)
    assert rl.asarray(x) is x
    assert rl.asarray([1, 2], dtype=rl.float64).dtype is rl.float64 and rl.asarray(3.0).dim() == 0
    assert rl.asarray(bytearray(b"abcd"), dtype=rl.int16).tolist() == [25185, 25699]
    with pytest.raises(ValueError, match="can't alias arbitrary sequence"):
        rl.asarray([1], copy=False)
    with pytest.raises(ValueError, match="'Double' into dtype 'Float'"):
        rl.asarray(array, dtype=rl.float32, copy=False)


def test_frombuffer():
    data = bytearray(b"abcdefgh")
    found = rl.frombuffer(data, dtype=rl.int16, offset=2, count=2)
    assert found.tolist() == [25699, 26213]
    data[2] = 0
    assert found[0].item() == 25600
    for arguments, text in (
        ((b"", rl.int8, -1, 0), "must not be 0"), ((b"abc", rl.int16, -1, 0), "must be a multiple of element size"),
        ((b"abc", rl.int8, -1, 4), "no greater than buffer length"), ((b"abc", rl.int8, 4, 0), "must not be greater"),
        (([1], rl.int8, -1, 0), "does not implement Python buffer protocol"),
    ):
        buffer, dtype, count, offset = arguments
        with pytest.raises(ValueError, match=text):
            rl.frombuffer(buffer, dtype=dtype, count=count, offset=offset)


def test_dlpack():
    array = np.arange(6.0).reshape(2, 3).T
    x = rl.from_dlpack(array)
    array[0, 0] = 5
    assert x.stride() == (1, 3) and x[0, 0].item() == 5
    y = rl.utils.dlpack.from_dlpack(rl.utils.dlpack.to_dlpack(x))
    assert y.data_ptr() == x.data_ptr()
    assert np.from_dlpack(x).tolist() == x.tolist()


def test_elements_by_python():
    x = rl.ones(3)
    assert x.apply_(lambda v: v + 1) is x and x.tolist() == [2, 2, 2]
    assert x.map_(rl.arange(3.0), lambda a, b: a + 2 * b).tolist() == [2, 4, 6]
    assert x.map2_(rl.ones(1), rl.ones(3), lambda a, b, c: a - b - c).tolist() == [0, 2, 4]
    with pytest.raises(RuntimeError, match="Can't call apply_"):
        rl.ones(3, requires_grad=True).apply_(abs)


def test_python_operators_beside_arrays():
    x, a = rl.tensor([1.0, 2.0]), np.array([1.0, 5.0])
    assert (x + a).tolist() == [2, 7] and (x + a).dtype is rl.float64
    assert (x == a).tolist() == (a == x).tolist() == [True, False]
    assert (a / x).tolist() == [1, 2.5] and (x @ a).item() == 11
    for wrong in (lambda: a + x, lambda: a * x, lambda: x < a, lambda: a @ x, lambda: x + None, lambda: x < "a",
                  lambda: x @ 2, lambda: np.float64(2) @ x):
        with pytest.raises(TypeError):
            wrong()
    assert type(np.float64(0.5) * x) is rl.Tensor and (np.float64(0.5) * x).dtype is rl.float32
    assert (rl.tensor([1, 2]) ** np.int64(2)).dtype is rl.int64
    assert type(np.add(x, a)) is rl.Tensor and np.equal(x, a).dtype is rl.uint8
    w = rl.ones(2, requires_grad=True)
    assert (np.sqrt(4.0) * w).requires_grad
    with rl.no_grad():
        assert w.numpy().tolist() == [1, 1]


def test_python_operators_ask_unknown_operands():
    class Other:
        def __radd__(self, other):
            return "radd"

        def __rmatmul__(self, other):
            return "rmatmul"

        def __gt__(self, other):
            return "gt"

    x = rl.ones(1)
    assert (x + Other(), x @ Other(), x < Other()) == ("radd", "rmatmul", "gt")
    assert (x == Other()) is False and (x != None) is True and (x == "a") is False  # noqa: E711
    assert x in (None, x) and [0] * rl.tensor(2) == [0, 0]


def test_asarray_of_numbers_and_capsules():
    assert rl.asarray(np.float64(0.5)).dtype is rl.float64 and rl.asarray(np.int64(3)).item() == 3
    x = rl.ones(3)
    rl.asarray(rl.utils.dlpack.to_dlpack(x))[0] = 5
    rl.asarray(rl.utils.dlpack.to_dlpack(x), copy=True)[1] = 7
    assert x.tolist() == [5, 1, 1]


def test_read_only_memory_warns():
    array = np.ones(2)
    array.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        rl.from_numpy(array)


def test_numbers_make_the_tensors_that_arrays_make():
    cases = [0.0, -0.0, 3, True, 2**62, 1e-300, [1, 2, 3], [[1.5, 2], [3, 4]], [[True, False]], [1, True], (1, 2),
             [0.1], [], [[]]]
    for data in cases:
        found, expected = rl.tensor(data), np.array(data)
        expected = expected.astype(np.float32) if expected.dtype == np.float64 else expected
        assert found.numpy().dtype == expected.dtype and found.shape == expected.shape
        assert found.numpy().tobytes() == expected.tobytes()
    for data, dtype in (([1, 2], rl.float64), ([1.7, 2], rl.int64), ([1, 0], rl.bool), (3, rl.int32)):
        expected = np.array(data).astype(dtype.numpy if hasattr(dtype, "numpy") else dtype)
        assert rl.tensor(data, dtype=dtype).numpy().tobytes() == expected.tobytes()
    with pytest.raises(ValueError, match="expected sequence of length 2 at dim 1"):
        rl.tensor([[1, 2], [3]])
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        rl.tensor([2**70])
