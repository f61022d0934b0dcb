"""In-place writes to views: histories of bases and of their other views."""
import numpy as np
import pytest

import rushlight as rl


def test_write_to_a_view_reaches_the_base():
    x = rl.arange(6.0).reshape(2, 3).requires_grad_()
    y = x * 2
    y[0].mul_(y[1].clone())
    assert y.grad_fn.name() == "CopySlices"
    y.sum().backward()
    assert x.grad.tolist() == [[12.0, 16.0, 20.0], [2.0, 6.0, 10.0]]


def test_other_views_see_the_new_history():
    x = rl.ones(4, requires_grad=True)
    y = x * 1
    other, part = y[1:], y[:2]
    part.mul_(5)
    assert other.grad_fn.name() == "AsStridedBackward0"
    other.sum().backward()
    assert x.grad.tolist() == [0.0, 5.0, 1.0, 1.0]


def test_write_to_the_base_reaches_views():
    x = rl.ones(3, requires_grad=True)
    y = x * 1
    part = y[1:]
    y.mul_(3)
    part.sum().backward()
    assert x.grad.tolist() == [0.0, 3.0, 3.0]


def test_constant_writes_cut_the_gradient():
    x = rl.ones(3, requires_grad=True)
    y = x * 2
    y[1] = 7
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 2.0]


def test_base_without_gradient_takes_a_part_with_one():
    w, base = rl.ones(2, requires_grad=True), rl.zeros(2, 2)
    base[0] = w * 3
    assert base.requires_grad
    base.sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]


def test_refused_writes():
    x = rl.ones(4, requires_grad=True)
    a, b = (x * 1).chunk(2)
    with pytest.raises(RuntimeError, match="returns multiple views"):
        a.add_(1)
    y = x * 1
    with rl.no_grad():
        part = y[:2]
    with pytest.raises(RuntimeError, match="no_grad mode"):
        part.add_(1)


def test_a_refused_operator_leaves_no_trace():
    for _ in range(2):  # the second round walks the path that the first one has recorded
        a, b, c = rl.zeros(()), rl.arange(6.0), rl.ones(3)
        total = c.sum()
        with pytest.raises(RuntimeError):
            a += b
        d = total * 2
        assert d.item() == 6.0 and b.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0] and a.item() == 0.0


@pytest.mark.parametrize(
    "read",
    [lambda y: y.gather(1, rl.tensor([[0], [1]])), lambda y: rl.take(y, rl.tensor([0, 3]))],
    ids=["gather", "take"],
)
def test_gather_keeps_its_input_as_pytorch_does(read):
    x = rl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x * 1
    out = read(y)
    out.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    y.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        out.sum().backward()


@pytest.mark.parametrize("name", ["median", "nanmedian", "mode", "kthvalue", "max", "sort", "topk"])
def test_choosing_values_needs_only_positions_in_backward(name):
    x = rl.tensor([[1.0, 1.0], [3.0, 4.0]], requires_grad=True)
    y = x * 1
    out = getattr(y, name)(*{"kthvalue": (1, 1), "topk": (1, 1)}.get(name, (1,)))[0]
    y.zero_()
    out.sum().backward()
    assert x.grad.sum().item() == out.numel()


def test_a_part_of_a_leaf_is_not_assigned_to_itself():
    x = rl.ones(2, 1, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x[...] = x
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        x.view(2, 1, 1)[:, 0] = x
    y = x * 2
    y[0] += 1
    y.sum().backward()
    assert y.tolist() == [[3.0], [2.0]] and x.grad.tolist() == [[2.0], [2.0]]


def test_integers_are_taken_from_a_view_whose_history_is_refused():
    x = rl.ones(2, 4, requires_grad=True)
    y = x * 1
    part = y.chunk(2, 1)[0]
    y[0].add_(1)
    assert part.to(rl.int64).tolist() == [[2, 2], [1, 1]] and (part > 1).tolist() == [[True, True], [False, False]]
    with pytest.raises(RuntimeError, match="is a view and its base or another view of its base has been modified"):
        part.to(rl.float64)


def test_a_copy_onto_the_same_elements_writes_nothing():
    x = rl.ones(1).expand(2, 1)
    assert x[0:].copy_(x).tolist() == [[1.0], [1.0]]
    with pytest.raises(RuntimeError, match="single memory location"):
        x.copy_(rl.ones(2, 1))
    leaf = rl.ones(2, requires_grad=True)
    y = leaf * 3
    y[0:].copy_(y)
    y.sum().backward()
    assert leaf.grad.tolist() == [3.0, 3.0]
    y = leaf.relu()
    part = y[::2]
    part.copy_(part)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        (y.sigmoid() * y).sum().backward()


@pytest.mark.parametrize("look, refused", [(None, True), ("requires_grad", True), ("grad_fn", False),
                                           ("is_leaf", False)])
def test_a_view_without_its_new_history_counts_as_a_leaf(look, refused):
    """As in PyTorch, where asking for its `grad_fn` gives it one."""
    base = rl.zeros(3, 4)
    column, row = base.select(1, 2), base.select(0, 2)
    column += rl.tensor(2.5, requires_grad=True)
    if look is not None:
        getattr(row, look)
    assert row.requires_grad
    if refused:
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
            row.add_(1)
    else:
        row.add_(1)
        assert not row.is_leaf


def with_history():
    """An integer tensor that was filled with a value that has a gradient: PyTorch gives it a history."""
    x = rl.ones((), requires_grad=True)
    a = rl.arange(6).reshape(2, 3)
    a[0] = x * 2
    return a, x


def test_integers_with_a_history_can_be_read_but_not_computed_with():
    a, _ = with_history()
    assert a.requires_grad and a.tolist() == [[2, 2, 2], [3, 4, 5]]
    assert a.float().requires_grad and (a / 2).requires_grad and not (a > 0).requires_grad
    for use in (lambda: a + 1, lambda: a[0], lambda: a.clone(), lambda: a.sum(), lambda: rl.stack([a, a]),
                lambda: a.unbind(0), lambda: a.sort()):
        with pytest.raises(RuntimeError, match="Autograd not support dtype: Long"):
            use()
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        a.numpy()
    with pytest.raises(RuntimeError, match="integer tensors"):
        a.float().sum().backward()


def test_integers_written_by_copies_have_no_history():
    x = rl.ones(3, requires_grad=True)
    a = rl.zeros(2, 3, dtype=rl.int64)
    a.copy_(x * 2)
    a[0] = x * 3
    assert not a.requires_grad and (x * 2).to(rl.int64).requires_grad is False


def test_backward_refuses_a_view_that_repeats_elements():
    x = rl.ones(2, requires_grad=True)
    y = x * 1
    z = y.expand(3, 2)
    z.masked_fill_(z > 0, 5.0)
    assert y.tolist() == [5.0, 5.0]
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        y.sum().backward()


def test_gradient_through_a_write_to_overlapping_windows():
    x = rl.zeros(4, dtype=rl.float64, requires_grad=True)
    y = x - 1
    y.unfold(0, 3, 1).scatter_(0, rl.zeros(2, 3, dtype=rl.int64), 2)
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 1]


def test_an_element_is_assigned_to_a_part_of_its_own_tensor():
    x = rl.arange(12).reshape(4, 3, 1)
    x.movedim(1, 0)[:, 0] = x.view(-1)[5]
    assert x.flatten().tolist() == [5, 5, 5, *range(3, 12)]
    y = rl.arange(4.0, requires_grad=True) * 1
    y[:2] = y[3]
    y.sum().backward()
    assert y.tolist() == [3, 3, 2, 3]


def test_write_to_a_view_of_a_base_with_gaps():
    base = rl.from_numpy(np.zeros((2, 3, 6), np.float32)[..., ::2])
    w = rl.arange(3.0).requires_grad_()
    base[:, 1] = w
    base[0] *= 2
    assert base.tolist() == [[[0] * 3, [0, 2, 4], [0] * 3], [[0] * 3, [0, 1, 2], [0] * 3]]
    (base.double() * rl.arange(18.0).reshape(2, 3, 3)).sum().backward()
    assert w.grad.tolist() == [3 * 2 + 12, 4 * 2 + 13, 5 * 2 + 14]


def test_integers_take_values_that_want_gradients():
    part = rl.zeros(4, dtype=rl.int64).chunk(2)[0]
    part[1] = rl.tensor([2.7], requires_grad=True)
    assert part.tolist() == [0, 2] and not part.requires_grad
