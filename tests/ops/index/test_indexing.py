"""Tensor indexing and assignment against NumPy, with the errors PyTorch raises."""

import numpy as np
import pytest

import rushlight as rl

CUBE = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)


def cube():
    return rl.from_numpy(CUBE.copy())


def same(tensor, array):
    assert tuple(tensor.shape) == array.shape
    np.testing.assert_array_equal(tensor.detach().numpy(), array)


PLAIN = [
    0,
    -1,
    slice(1, None),
    slice(None, None, 2),
    (0, 1),
    (0, 1, 2),
    (slice(None), 1),
    (Ellipsis, 0),
    (0, Ellipsis, slice(1, 3)),
    None,
    (slice(None), None, 1),
    (slice(None), slice(None, None, 2), slice(1, None, 2)),
    (),
    Ellipsis,
    (1, slice(5, 2)),
    (Ellipsis, None),
    (slice(-2, -1), -1),
]


@pytest.mark.parametrize("index", PLAIN, ids=str)
def test_views(index):
    x = cube()
    part = x[index]
    same(part, CUBE[index])
    if part.dim():
        part.fill_(-1.0)
        wanted = CUBE.copy()
        wanted[index] = -1
        same(x, wanted)


GIVEN = [
    ([0, 1, 1],), (slice(None), [0, 2]), (slice(None), [0, 2], 1), (0, [0, 2]), ([0, 1], slice(None), [0, 1]),
    ([[0, 1], [1, 0]], 1), (slice(None), [-1, 0], [[1], [2]]), (1, [[0, 1], [1, 2]], None, slice(2, None)), ([],),
    (Ellipsis, [3, 0]),
]


@pytest.mark.parametrize("index", GIVEN, ids=str)
def test_index_tensors(index):
    arrays = tuple(np.array(i, np.int64) if isinstance(i, list) else i for i in index)
    tensors = tuple(rl.tensor(i, dtype=rl.int64) if isinstance(i, list) else i for i in index)
    wanted = CUBE[arrays]
    if index[0] == 1:  # NumPy counts an int among the index arrays; here it is applied first
        wanted = CUBE[1][arrays[1:]]
    elif index[0] == 0:
        wanted = CUBE[0][arrays[1:]]
    elif index[-1] == 1:
        wanted = CUBE[..., 1][arrays[:-1]] if len(index) == 3 else CUBE[:, 1][arrays[:-1]]
    same(cube()[tensors], wanted)
    same(cube()[arrays if len(arrays) > 1 else arrays[0]], wanted)


def test_masks():
    x = cube()
    same(x[x > 5], CUBE[CUBE > 5])
    same(x[x[:, 0, 0] > 1], CUBE[CUBE[:, 0, 0] > 1])
    same(x[:, x[0] > 1], CUBE[:, CUBE[0] > 1])
    same(x.transpose(0, 2)[x.transpose(0, 2) > 20], CUBE.transpose(2, 1, 0)[CUBE.transpose(2, 1, 0) > 20])
    same(x[True], CUBE[None])
    same(x[rl.tensor(False)], CUBE[None][:0])
    big = np.random.default_rng(0).normal(size=(300, 500)).astype(np.float32)
    t = rl.from_numpy(big.copy())
    same(t[t > 0], big[big > 0])
    same((t > 1).nonzero(), np.argwhere(big > 1))
    for got, wanted in zip((t > 2).nonzero(as_tuple=True), np.nonzero(big > 2)):
        same(got, wanted)


def test_zero_dim_tensors_are_ints():
    x = cube()
    part = x[rl.tensor(1)]
    same(part, CUBE[1])
    assert part.data_ptr() == x[1].data_ptr()


@pytest.mark.parametrize("index, error, text", [
    (5, IndexError, "index 5 is out of bounds for dimension 0 with size 2"),
    ((0, 0, 0, 0), IndexError, "too many indices for tensor of dimension 3"),
    (1.5, IndexError, "only integers, slices"),
    (slice(None, None, -1), ValueError, "step must be greater than zero"),
    (slice(0, 1.5), TypeError, "slice indices must be integers"),
    ("a", TypeError, "invalid data type 'str'"),
])
def test_errors(index, error, text):
    with pytest.raises(error, match=text):
        cube()[index]


def test_errors_of_index_tensors():
    x = cube()
    with pytest.raises(IndexError, match="must be long, int, byte or bool"):
        x[rl.tensor([1.5])]
    with pytest.raises(IndexError, match="shape of the mask"):
        x[rl.ones(2, 4, dtype=rl.bool)]
    with pytest.raises(IndexError, match="could not be broadcast"):
        x[rl.tensor([0, 1]), rl.tensor([0, 1, 2])]
    with pytest.raises(IndexError):
        x[rl.tensor([7])].tolist()
    with pytest.raises(IndexError, match="invalid index of a 0-dim tensor"):
        rl.tensor(1.0)[0]
    assert x[rl.tensor([1])].shape == (1, 3, 4)  # the stream works on after an error


@pytest.mark.parametrize("index", PLAIN, ids=str)
def test_assign_numbers_and_tensors(index):
    x, wanted = cube(), CUBE.copy()
    x[index] = 7
    wanted[index] = 7
    same(x, wanted)
    value = np.full(CUBE[index].shape, 0.5, np.float32)
    x[index] = rl.from_numpy(value)
    wanted[index] = value
    same(x, wanted)


def test_assign_by_tensors():
    x, wanted = cube(), CUBE.copy()
    x[rl.tensor([0, 1]), :, rl.tensor([1, 2])] = rl.tensor([[1.0], [2.0]])
    wanted[[0, 1], :, [1, 2]] = [[1.0], [2.0]]
    same(x, wanted)
    x[x > 10] = 0
    wanted[wanted > 10] = 0
    same(x, wanted)
    x[x > 5] = rl.arange(float((wanted > 5).sum()))
    wanted[wanted > 5] = np.arange((wanted > 5).sum())
    same(x, wanted)
    x[0, [0, 2]] = 9.0
    wanted[0, [0, 2]] = 9
    same(x, wanted)
    x[:, :, 1:3][x[:, :, 1:3] == 9] = -9
    wanted[:, :, 1:3][wanted[:, :, 1:3] == 9] = -9
    same(x, wanted)


def test_assignment_errors():
    x = cube()
    with pytest.raises(TypeError, match="can't assign a numpy.ndarray to a torch.FloatTensor"):
        x[0] = np.zeros((3, 4))
    with pytest.raises(TypeError, match="can't assign a list"):
        x[0] = [1.0]
    with pytest.raises(RuntimeError, match="must match"):
        x[0] = rl.ones(5)
    with pytest.raises(RuntimeError, match="source and destination dtypes match"):
        x[rl.tensor([0])] = rl.ones(3, 4, dtype=rl.float64)
    with pytest.raises(RuntimeError, match="cannot be broadcast to indexing result"):
        x[rl.tensor([0])] = rl.ones(3)


def test_assigned_numbers_are_arguments():
    x = rl.zeros(10)
    for i in range(3):
        x[1] = float(i)
        x[2:4] = i
        assert x[1].item() == i and x[3].item() == i
    rl.synchronize()
    before = rl.engine.statistics()["kernels_compiled"] + rl.engine.statistics()["kernels_loaded"]
    x[1] = 17.5
    x[2:4] = 18
    assert x.tolist()[1:4] == [17.5, 18, 18]
    assert rl.engine.statistics()["kernels_compiled"] + rl.engine.statistics()["kernels_loaded"] == before


def test_gradients():
    x = cube().requires_grad_()
    (x[0, 1:] * 2).sum().backward()
    wanted = np.zeros_like(CUBE)
    wanted[0, 1:] = 2
    same(x.grad, wanted)
    x.grad = None
    index = rl.tensor([1, 0, 1])
    picked = x[index]
    assert picked.grad_fn.name() == "IndexBackward0"
    (picked * picked).sum().backward()
    same(x.grad, 2 * CUBE * np.array([1, 2], np.float32)[:, None, None])
    x.grad = None
    x[x > 3].sum().backward()
    same(x.grad, (CUBE > 3).astype(np.float32))
    assert [x[0].grad_fn.name(), x[:, 1:].grad_fn.name(), x[None].grad_fn.name(), x[...].grad_fn.name()] == [
        "SelectBackward0", "SliceBackward0", "UnsqueezeBackward0", "AliasBackward0"]


def test_gradients_of_assignment():
    x, v = cube().requires_grad_(), rl.ones(4).requires_grad_()
    y = x * 3
    y[0, 1] = v * 2
    y[1, :, rl.tensor([0, 0])] = 5.0
    y.sum().backward()
    wanted = np.full_like(CUBE, 3)
    wanted[0, 1] = 0
    wanted[1, :, 0] = 0
    same(x.grad, wanted)
    same(v.grad, np.full(4, 2, np.float32))
    with pytest.raises(RuntimeError, match="a view of a leaf Variable"):
        x[0] = 1.0


def test_index_put_accumulates():
    x = rl.zeros(3, 2)
    x.index_put_((rl.tensor([0, 2, 0]),), rl.tensor([[1.0, 2], [3, 4], [5, 6]]), accumulate=True)
    same(x, np.array([[6, 8], [0, 0], [3, 4]], np.float32))
    same(x.index_put((rl.tensor([1]), rl.tensor([-1])), rl.tensor(9.0)), np.array([[6, 8], [0, 9], [3, 4]], np.float32))


def test_second_gradient():
    x = cube().double().requires_grad_()
    y = (x[:, rl.tensor([0, 0, 2])] ** 3).sum()
    g, = rl.autograd.grad(y, x, create_graph=True)
    gg, = rl.autograd.grad(g.sum(), x)
    wanted = 6 * CUBE.astype(np.float64) * np.array([2, 0, 1])[None, :, None]
    np.testing.assert_allclose(gg.numpy(), wanted)


def test_lists_of_tensors_are_lists():
    for function in (rl.cat, rl.stack, rl.hstack):
        with pytest.raises(TypeError, match="must be tuple of Tensors, not Tensor"):
            function(rl.ones(2, 2))
    with pytest.raises(TypeError, match="must be tuple of Tensors, not Tensor"):
        rl.cat(rl.ones(2, 2), out=rl.ones(4))


def test_narrow_copy():
    x = rl.arange(6).reshape(2, 3)
    assert rl.narrow_copy(x, 1, 1, 2).tolist() == [[1, 2], [4, 5]]
    assert x.narrow_copy(-1, 0, 1).data_ptr() != x.data_ptr()
    with pytest.raises(RuntimeError, match="expected dim < 2"):
        x.narrow_copy(2, 0, 1)


def test_sum_to_size():
    flags = rl.ones(2, 3, dtype=rl.bool)
    assert flags.sum_to_size(2, 3).dtype is rl.bool
    assert flags.sum_to_size(3).tolist() == [2, 2, 2]
    assert rl.tensor(True).sum_to_size(()).dtype is rl.int64
    assert rl.ones(4, 2, 3).sum_to_size(2, 1).tolist() == [[12], [12]]


def test_questions():
    x = rl.ones(2, 3)
    assert rl.numel(x) == 6 and x.ndimension() == 2 and x.is_signed() and not rl.is_conj(x)
    assert rl.is_same_size(x, rl.zeros(2, 3)) and not x.is_same_size(x.t())
    assert rl.is_nonzero(rl.tensor(2)) and not rl.is_nonzero(rl.tensor(0.0))
    with pytest.raises(RuntimeError, match="more than one value is ambiguous"):
        x.is_nonzero()
    assert x.adjoint().shape == (3, 2)


def test_out_of_selection():
    x = rl.tensor([3.0, 1, 2])
    with pytest.raises(RuntimeError, match="single memory location"):
        rl.kthvalue(x, 1, out=(x, rl.empty(0, dtype=rl.int64)))
    with pytest.raises(RuntimeError, match="expects Long tensor out"):
        rl.multinomial(x, 1, out=rl.ones(1))
    with pytest.raises(RuntimeError, match="Lower bound"):
        rl.nn.functional.rrelu(x, 0.3, 0.1)
    with pytest.raises(RuntimeError, match="can't be cast"):
        rl.ones(3, dtype=rl.int64).mvlgamma_(1)
