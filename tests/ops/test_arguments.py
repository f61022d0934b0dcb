"""What public functions take and refuse: spellings of arguments, numbers that do not fit, `out=`.

Values follow from the definitions of the operators; errors are those that PyTorch documents or raises."""

import warnings

import numpy as np
import pytest

import rushlight as rl


@pytest.mark.parametrize("call", [
    lambda x: rl.cumsum(x, axis=1), lambda x: x.cumsum(axis=1), lambda x: rl.cumsum(a=x, axis=1),
    lambda x: rl.cumsum(x, dim=1, dtype=float).float(),
])
def test_names_of_numpy(call):
    assert call(rl.ones(2, 2)).tolist() == [[1, 2], [1, 2]]


def test_an_unknown_name_is_refused():
    with pytest.raises(TypeError):
        rl.cumsum(rl.ones(2), axes=0)
    with pytest.raises(TypeError):
        rl.cumsum(rl.ones(2), dim=0, axis=0)


@pytest.mark.parametrize("kind, dtype", [(float, rl.float64), (int, rl.int64), (bool, rl.bool)])
def test_types_of_python_are_dtypes(kind, dtype):
    x = rl.ones(2)
    for result in (rl.zeros(2, dtype=kind), rl.tensor([1], dtype=kind), x.to(kind), x.to(dtype=kind),
                   rl.empty_like(x, dtype=kind), x.new_zeros(2, dtype=kind)):
        assert result.dtype is dtype
    assert x.sum(dtype=float).dtype is rl.float64 and x.mean(dtype=float).dtype is rl.float64


def test_sizes_by_keyword():
    for make in (rl.zeros, rl.ones, rl.empty, rl.rand, rl.randn, rl.ones(1).new_zeros, rl.ones(6).view):
        assert make(size=(2, 3)).shape == (2, 3)


def test_numbers_alone():
    assert rl.add(1, 2).item() == 3 and rl.add(1, 2).dtype is rl.int64
    assert rl.mul(2, 2.5).item() == 5 and rl.div(1, 2).item() == 0.5 and rl.floor_divide(7, 2).item() == 3
    with pytest.raises(TypeError):
        rl.fmod(1, 2)


@pytest.mark.parametrize("write", [
    lambda t, n: t.fill_(n), lambda t, n: rl.full((1,), n, dtype=t.dtype), lambda t, n: rl.full_like(t, n),
    lambda t, n: t.masked_fill(rl.tensor([True]), n), lambda t, n: t.index_fill(0, rl.tensor([0]), n),
    lambda t, n: t.scatter(0, rl.tensor([0]), n), lambda t, n: t.new_full((1,), n),
    lambda t, n: rl.nn.functional.pad(t, (1, 0), value=n)[:1], lambda t, n: rl.tensor([n], dtype=t.dtype),
])
def test_numbers_have_to_fit(write):
    small, signed = rl.zeros(1, dtype=rl.uint8), rl.zeros(1, dtype=rl.int8)
    assert write(small, 255).item() == 255 and write(small, -1).item() == 255  # as the bits of -1
    assert write(signed, -128).item() == -128
    for target, number in ((small, 256), (small, -256), (signed, 128), (signed, -129), (signed, float("inf"))):
        with pytest.raises(RuntimeError, match="without overflow"):
            write(target, number)


def test_floats_have_to_fit():
    assert rl.full((1,), float("inf"), dtype=rl.float16).item() == float("inf")
    with pytest.raises(RuntimeError, match="without overflow"):
        rl.full((1,), 1e5, dtype=rl.float16)
    with pytest.raises(RuntimeError, match="without overflow"):
        rl.zeros(1).fill_(1e300)


def test_out_takes_the_strides_of_the_result():
    x = rl.ones(2, 3).t()
    for call in (rl.exp, rl.neg, lambda x, out: rl.add(x, x, out=out)):
        assert call(x, out=rl.empty(0)).stride() == (1, 3)


def test_out_of_another_size_warns():
    for call in (lambda out: rl.exp(rl.ones(3), out=out), lambda out: rl.zeros(3, out=out),
                 lambda out: rl.eye(3, out=out)):
        with pytest.warns(UserWarning, match="resized"):
            call(rl.ones(2))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call(rl.empty(0))


@pytest.mark.parametrize("name", ["abs", "neg", "floor", "ceil", "round", "trunc", "frac", "sign"])
def test_out_of_another_dtype_is_refused(name):
    with pytest.raises(RuntimeError, match="dtype"):
        getattr(rl, name)(rl.ones(2), out=rl.empty(2, dtype=rl.float64))
    assert rl.sqrt(rl.ones(2), out=rl.empty(2, dtype=rl.float64)).tolist() == [1, 1]


def test_out_of_positions_has_integers():
    for call in (lambda out: rl.nonzero(rl.ones(2), out=out),
                 lambda out: rl.nonzero_static(rl.ones(2), size=2, out=out)):
        with pytest.raises(RuntimeError):
            call(rl.empty(2, 1))


def test_tensors_of_data_can_grow_and_others_cannot():
    for target in (rl.tensor([]), rl.tensor([1.0]), rl.tensor(np.ones(1, np.float32)), rl.ones(1).new_tensor([1.0])):
        assert target.resize_(0).resize_(3).shape == (3,)
    with pytest.raises(RuntimeError, match="not resizable"):
        rl.from_numpy(np.ones(1, np.float32)).resize_(3)


def test_resize_counts_as_a_write_and_knows_memory_formats():
    x = rl.zeros(1)
    x.resize_(1, 2)
    assert x._version == 1
    x = rl.zeros(24).resize_((2, 3, 2, 2), memory_format=rl.channels_last)
    assert x.stride() == (12, 1, 6, 3)


class Row:
    """A sequence of the user."""

    def __len__(self):
        return 2

    def __getitem__(self, at):
        return float(range(2)[at])


@pytest.mark.parametrize("data, expected", [
    (range(3), [0, 1, 2]), (Row(), [0, 1]), ([Row(), Row()], [[0, 1], [0, 1]]), (memoryview(b"ab"), [97, 98]),
    (bytearray(b"ab"), [97, 98]), ([rl.tensor([1]), rl.tensor([3])], [1, 3]), ([(rl.tensor([1]), 2)], [[1, 2]]),
    ([rl.tensor(1.5), 2], [1.5, 2]),
])
def test_data_of_all_kinds(data, expected):
    assert rl.tensor(data).tolist() == expected


def test_data_that_is_refused():
    ring = [0]
    ring.append(ring)
    for data, error in ((ring, TypeError), ([rl.ones(2)], ValueError), ([[1], [2, 3]], ValueError), ("a", TypeError),
                        ([2**63], ValueError), (b"ab", TypeError)):
        with pytest.raises(error):
            rl.tensor(data)


def test_kinds_of_errors():
    for call, error in ((lambda: int(rl.ones(2)), ValueError), (lambda: ~rl.ones(1), TypeError),
                        (lambda: rl.ones(2).item(), RuntimeError),
                        (lambda: rl.einsum("ij->k", rl.ones(2, 2)), RuntimeError),
                        (lambda: rl.einsum("ij->ii", rl.ones(2, 2)), RuntimeError),
                        (lambda: rl.ones(1).new_empty_strided((3,), (3, 2)), RuntimeError)):
        with pytest.raises(error):
            call()
    assert rl.equal(rl.tensor([1]), rl.tensor([1.0]))
    assert rl.searchsorted(rl.tensor([1, 3, 5]), rl.tensor([2.5])).tolist() == [1]
