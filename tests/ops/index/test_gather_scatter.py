"""gather, index_select, take, embedding and the scatters against plain loops in NumPy."""

import numpy as np
import pytest

import rushlight as rl

RNG = np.random.default_rng(1)
F = rl.nn.functional


def same(tensor, array, **tolerance):
    assert tuple(tensor.shape) == np.shape(array)
    np.testing.assert_allclose(tensor.detach().numpy(), array, rtol=1e-6, atol=1e-6)


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def scattered(target, dim, index, src, combine):
    """The definition of scatter: every element in order."""
    out = target.copy()
    for at in np.ndindex(*index.shape):
        to = (*at[:dim], index[at], *at[dim + 1:])
        out[to] = combine(out[to], src[at])
    return out


COMBINES = {"set": lambda a, b: b, "sum": lambda a, b: a + b, "prod": lambda a, b: a * b, "amax": max, "amin": min}


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("strided", [False, True])
def test_gather_and_scatter(dim, strided):
    x, src = numbers(5, 6, 7), numbers(5, 6, 7)
    d = dim % 3
    shape = (4, 5, 6)
    index = RNG.integers(0, x.shape[d], shape)
    tx, ts, ti = (rl.from_numpy(a.copy()) for a in (x, src, index))
    if strided:
        tx = rl.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1))).permute(1, 2, 0)
        ti = rl.from_numpy(np.ascontiguousarray(index.transpose(1, 2, 0))).permute(2, 0, 1)
    part = tuple(slice(0, n) if e != d else slice(None) for e, n in enumerate(shape))
    same(tx.gather(dim, ti), np.take_along_axis(x[part], index, d))
    same(tx.scatter(dim, ti, ts), scattered(x, d, index, src, COMBINES["set"]))
    same(tx.scatter(dim, ti, 3.5), scattered(x, d, index, np.full_like(src, 3.5), COMBINES["set"]))
    same(tx.scatter_add(dim, ti, ts), scattered(x, d, index, src, COMBINES["sum"]))
    same(tx.scatter(dim, ti, ts, reduce="multiply"), scattered(x, d, index, src, COMBINES["prod"]))
    for reduce in ("sum", "prod", "amax", "amin"):
        same(tx.scatter_reduce(dim, ti, ts, reduce), scattered(x, d, index, src, COMBINES[reduce]))
    target = rl.zeros(5, 6, 7)
    assert target.scatter_(dim, ti, ts) is target


def test_scatter_reduce_without_self():
    x, src, index = numbers(4), numbers(6), np.array([0, 0, 2, 2, 2, 0])
    tx, ts, ti = (rl.from_numpy(a.copy()) for a in (x, src, index))
    groups = [src[index == i] for i in range(4)]
    for reduce, fold in (("sum", np.sum), ("prod", np.prod), ("mean", np.mean), ("amax", np.max), ("amin", np.min)):
        wanted = [fold(g) if len(g) else x[i] for i, g in enumerate(groups)]
        same(tx.scatter_reduce(0, ti, ts, reduce, include_self=False), wanted)
    wanted = [np.mean([*g, x[i]]) for i, g in enumerate(groups)]
    same(tx.scatter_reduce(0, ti, ts, "mean"), wanted)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_slices(dim):
    x = numbers(4, 5, 6)
    index = np.array([1, 0, 1, 3])
    shape = list(x.shape)
    shape[dim] = 4
    src = numbers(*shape)
    tx, ts, ti = (rl.from_numpy(a.copy()) for a in (x, src, index))
    same(tx.index_select(dim, ti), np.take(x, index, dim))
    same(tx.index_select(dim, ti.int()), np.take(x, index, dim))
    added, copied, filled = x.copy(), x.copy(), x.copy()
    for i, at in enumerate(index):
        where = (slice(None),) * dim
        added[(*where, at)] += 2 * np.take(src, i, dim)
        copied[(*where, at)] = np.take(src, i, dim)
        filled[(*where, at)] = -1
    same(tx.index_add(dim, ti, ts, alpha=2), added)
    same(tx.index_copy(dim, ti, ts), copied)
    same(tx.index_fill(dim, ti, -1), filled)
    same(tx.index_fill(dim, ti - 4, rl.tensor(-1.0))[tuple([slice(0, 0)])], filled[:0])
    largest = x.copy()
    for i, at in enumerate(index):
        where = (*(slice(None),) * dim, at)
        largest[where] = np.maximum(largest[where], np.take(src, i, dim))
    same(tx.index_reduce(dim, ti, ts, "amax"), largest)


def test_long_rows_and_threads():
    """Rows that meet are added in order, whatever the number of tasks."""
    index = RNG.integers(0, 50, 3000)
    src = numbers(3000, 257)
    wanted = np.zeros((50, 257), np.float32)
    for i, row in zip(index, src):
        wanted[i] += row
    got = rl.zeros(50, 257).index_add_(0, rl.from_numpy(index), rl.from_numpy(src))
    np.testing.assert_array_equal(got.numpy(), wanted)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool", "float64", "float16", "bfloat16"])
def test_dtypes(dtype):
    kind = getattr(rl, dtype)
    x = rl.arange(6).to(kind)
    index = rl.tensor([5, 0, 5])
    assert x[index].float().tolist() == x.float()[index].tolist()
    got = rl.zeros(6).to(kind).scatter_(0, index, rl.ones(3).to(kind))
    assert got.float().tolist() == [1, 0, 0, 0, 0, 1]
    summed = rl.zeros(6).to(kind).index_add_(0, index, rl.ones(3).to(kind)).float().tolist()
    assert summed == [1, 0, 0, 0, 0, 1 if dtype == "bool" else 2]


def test_take_and_put():
    x = numbers(3, 4)
    t = rl.from_numpy(x.copy())
    index = np.array([[0, -1], [5, 5]])
    same(t.take(rl.from_numpy(index)), x.reshape(-1)[index])
    same(t.t().take(rl.from_numpy(index)), x.T.reshape(-1)[index])
    wanted = x.copy()
    np.add.at(wanted.reshape(-1), index.reshape(-1), 1.0)
    same(t.put(rl.from_numpy(index), rl.ones(2, 2), accumulate=True), wanted)
    same(rl.take_along_dim(t, t.argsort(1), 1), np.sort(x, 1))


def test_masks():
    x = numbers(5, 6)
    t = rl.from_numpy(x.copy())
    mask = x > 0
    m = rl.from_numpy(mask)
    same(t.masked_fill(m, 2), np.where(mask, 2, x))
    same(t.masked_select(m), x[mask])
    source = numbers(30)
    wanted = x.copy()
    wanted[mask] = source[:mask.sum()]
    same(t.masked_scatter(m, rl.from_numpy(source)), wanted)
    with pytest.raises(RuntimeError):
        t.masked_scatter(m, rl.ones(1))
    with pytest.raises(RuntimeError, match="boolean masks"):
        t.masked_fill(m.long(), 0)


def test_views_replaced():
    x = rl.zeros(3, 4)
    assert x.select_scatter(rl.ones(4), 0, 1).sum(1).tolist() == [0, 4, 0]
    assert x.slice_scatter(rl.ones(3, 2), 1, 0, 4, 2).sum(0).tolist() == [3, 0, 3, 0]
    assert x.diagonal_scatter(rl.ones(3)).diagonal().tolist() == [1, 1, 1]
    assert x.as_strided_scatter(rl.ones(2), (2,), (5,), 1).sum().item() == 2
    assert x.sum().item() == 0


@pytest.mark.parametrize("call", [
    lambda x, i: x.gather(0, i), lambda x, i: x.scatter(0, i, 1.0), lambda x, i: x.scatter_add(0, i, x),
])
def test_bad_indices_of_scatters(call):
    x = rl.ones(2, 2)
    for bad in (5, -1):
        with pytest.raises(RuntimeError):
            call(x, rl.tensor([[0, bad], [0, 0]])).tolist()


@pytest.mark.parametrize("call", [
    lambda x, i: x.index_select(0, i), lambda x, i: x.index_copy(0, i, x[:1]), lambda x, i: x.index_fill(0, i, 0),
    lambda x, i: x.take(i), lambda x, i: x.put(i, rl.ones(1)), lambda x, i: F.embedding(i, x),
])
def test_bad_indices(call):
    x = rl.ones(2, 2)
    with pytest.raises(IndexError):
        call(x, rl.tensor([70])).tolist()
    assert x.tolist() == [[1, 1], [1, 1]]


def test_shape_errors():
    x = rl.ones(2, 3)
    with pytest.raises(RuntimeError, match="same number of dimensions"):
        x.gather(0, rl.tensor([0]))
    with pytest.raises(RuntimeError, match="dtype"):
        x.gather(0, rl.ones(2, 3))
    with pytest.raises(RuntimeError, match="dtype"):
        x.scatter(0, rl.zeros(2, 3, dtype=rl.int64), rl.ones(2, 3, dtype=rl.float64))
    with pytest.raises(IndexError, match="vector"):
        x.index_select(0, rl.zeros(1, 1, dtype=rl.int64))
    with pytest.raises(RuntimeError, match="Number of indices"):
        x.index_add(0, rl.tensor([0]), x)
    with pytest.raises(RuntimeError, match="single memory location"):
        x.index_add_(0, rl.tensor([0, 1]), x)
    with pytest.raises(IndexError, match="size 0"):
        rl.zeros(0, 3)[rl.tensor([0])]


def test_embedding():
    w = numbers(7, 3)
    weight = rl.from_numpy(w.copy()).requires_grad_()
    index = np.array([[1, 2, 1], [6, 0, 2]])
    found = F.embedding(rl.from_numpy(index), weight, padding_idx=2)
    same(found, w[index])
    g = numbers(2, 3, 3)
    found.backward(rl.from_numpy(g))
    wanted = np.zeros_like(w)
    for at in np.ndindex(2, 3):
        if index[at] != 2:
            wanted[index[at]] += g[at]
    same(weight.grad, wanted)
    limited = rl.from_numpy(w.copy() * 10)
    F.embedding(rl.from_numpy(index), limited, max_norm=1.0)
    assert limited[[0, 1, 2, 6]].norm(dim=1).max().item() < 1.001 < limited[3].norm().item()
    rows = rl.from_numpy(w.copy()).requires_grad_()
    F.embedding(rl.from_numpy(index), rows, sparse=True).sum().backward()
    dense = rl.from_numpy(w.copy()).requires_grad_()
    F.embedding(rl.from_numpy(index), dense).sum().backward()
    assert rows.grad.is_sparse and rl.equal(rows.grad.to_dense(), dense.grad)


def test_embedding_bag():
    w = numbers(7, 3)
    flat, offsets = np.array([1, 2, 4, 5, 4, 3, 2]), np.array([0, 3, 3])
    bags = [w[flat[0:3]], w[:0], w[flat[3:]]]
    call = (rl.from_numpy(flat), rl.from_numpy(w), rl.from_numpy(offsets))
    same(F.embedding_bag(*call, mode="sum"), np.stack([b.sum(0) for b in bags]))
    same(F.embedding_bag(*call, mode="mean"), np.stack([b.mean(0) if len(b) else b.sum(0) for b in bags]))
    same(F.embedding_bag(*call, mode="max"), np.stack([b.max(0) if len(b) else b.sum(0) for b in bags]))
    same(F.embedding_bag(rl.from_numpy(flat[:6].reshape(2, 3)), rl.from_numpy(w)), w[flat[:6].reshape(2, 3)].mean(1))


def test_one_hot():
    index = rl.tensor([[0, 2], [1, 1]])
    same(F.one_hot(index), np.eye(3)[[[0, 2], [1, 1]]])
    assert F.one_hot(index, 5).shape == (2, 2, 5)
    with pytest.raises(RuntimeError, match="Class values"):
        F.one_hot(index, 2).tolist()


@pytest.mark.parametrize("call", [
    lambda x, s: x.gather(1, rl.tensor([[0, 0, 2], [1, 2, 2]])),
    lambda x, s: x.index_select(1, rl.tensor([2, 0, 2])),
    lambda x, s: x.take(rl.tensor([0, 5, 5])),
    lambda x, s: x.scatter(1, rl.tensor([[0, 2], [1, 0]]), s),
    lambda x, s: x.scatter_add(1, rl.tensor([[0, 0], [1, 0]]), s),
    lambda x, s: x.scatter_reduce(1, rl.tensor([[0, 0], [1, 2]]), s[:, :2], "prod"),
    lambda x, s: x.scatter_reduce(1, rl.tensor([[0, 0], [1, 2]]), s[:, :2], "mean", include_self=False),
    lambda x, s: x.scatter_reduce(1, rl.tensor([[0, 0], [1, 2]]), s[:, :2], "amax"),
    lambda x, s: x.index_add(1, rl.tensor([0, 0]), s[:, :2], alpha=3),
    lambda x, s: x.index_copy(1, rl.tensor([2, 0]), s[:, :2]),
    lambda x, s: x.index_fill(1, rl.tensor([2]), 0.0),
    lambda x, s: x.masked_fill(rl.tensor([True, False, True]), 1.0),
    lambda x, s: x.masked_scatter(rl.tensor([[True, False, True], [False, True, True]]), s),
    lambda x, s: x.masked_select(rl.tensor([[True, False, True], [False, True, True]])),
    lambda x, s: x.put(rl.tensor([1, 4]), s[0, :2], accumulate=True),
    lambda x, s: x.select_scatter(s[0], 0, 1),
])
def test_gradients(call):
    x = rl.from_numpy(RNG.normal(size=(2, 3))).requires_grad_()
    s = rl.from_numpy(RNG.normal(size=(2, 3))).requires_grad_()
    assert rl.autograd.gradcheck(lambda a, b: call(a, b) + 0 * b.sum(), (x, s))
