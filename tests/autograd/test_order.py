"""The order in which hooks run, which tensors keep gradients after in-place writes, and what nodes keep.

Gradients follow from the formulas of the operators; orders and errors are PyTorch's."""

import pickle

import pytest

import rushlight as rl


def test_hooks_of_a_leaf_run_in_order():
    leaf, log = rl.ones(3, requires_grad=True), []
    node = leaf.view_as(leaf).grad_fn.next_functions[0][0]
    leaf.register_post_accumulate_grad_hook(lambda p: log.append("accumulated"))
    node.register_hook(lambda inputs, outputs: log.append("after"))
    node.register_prehook(lambda grads: log.append("before"))
    leaf.sum().backward()
    assert log == ["before", "accumulated", "after"]


def test_hooks_after_accumulation_return_nothing():
    leaf = rl.ones(2, requires_grad=True)
    leaf.register_post_accumulate_grad_hook(lambda p: p.grad)
    with pytest.raises(RuntimeError, match="should return None"):
        leaf.sum().backward()


def test_views_keep_retain_grad_when_another_view_is_written():
    base = rl.tensor([1.0], requires_grad=True).clone()
    first, second = base[:], base[:]
    first.retain_grad()
    second.retain_grad()
    first.mul_(2)
    (first + second).sum().backward()
    assert first.grad.tolist() == [1] and second.grad.tolist() == [1]


def test_variance_may_be_written_after_var_mean():
    x = rl.tensor([[1.0, 2.0], [4.0, 6.0]], requires_grad=True)
    variance, mean = rl.var_mean(x, dim=0)
    variance.mul_(2)
    (variance + mean).sum().backward()  # d/dx of 2 var + mean: 4 (x - mean) / (n - 1) + 1 / n
    assert x.grad.tolist() == [[-5.5, -7.5], [6.5, 8.5]]


@pytest.mark.parametrize("call", [
    lambda x: x.sum(0), lambda x: rl.cat([x, x]), lambda x: x.unbind()[0], lambda x: x.cumsum(0), lambda x: x + 1,
    lambda x: x.t(), lambda x: rl.nn.functional.interpolate(x[None, None], size=3),
    lambda x: rl.nn.functional.interpolate(x[None, None], size=3, mode="bilinear"),
])
def test_nodes_without_tensors_run_twice(call):
    x = rl.ones(2, 2, requires_grad=True)
    y = call(x)
    y.backward(rl.ones_like(y))
    once = x.grad.clone()
    y.backward(rl.ones_like(y))
    assert (x.grad == 2 * once).all()


@pytest.mark.parametrize("call", [lambda x: x * 2, lambda x: x.exp(), lambda x: x[rl.tensor([0])], lambda x: x @ x])
def test_nodes_with_tensors_do_not(call):
    y = call(rl.ones(2, 2, requires_grad=True))
    y.backward(rl.ones_like(y))
    with pytest.raises(RuntimeError, match="second time"):
        y.backward(rl.ones_like(y))


def test_pack_hooks_must_not_write():
    with rl.autograd.graph.saved_tensors_hooks(lambda x: x.add_(1), lambda x: x):
        with pytest.raises(RuntimeError, match="in place"):
            rl.ones(2, requires_grad=True).clone().exp()


class Two(rl.autograd.Function):
    seen = ()

    @staticmethod
    def forward(ctx, x, kept):
        ctx.save_for_backward(kept)
        first, second = x.clone(), x.clone()
        ctx.mark_non_differentiable(second)
        ctx._materialize_non_diff_grads = False
        return first, second

    @staticmethod
    def backward(ctx, g, other):
        Two.seen = ctx.saved_tensors[0], other
        return g, None


def test_functions_get_back_the_tensor_they_saved():
    kept = rl.ones(1)
    Two.apply(rl.ones(1, requires_grad=True), kept)[0].backward()
    assert Two.seen[0] is kept and Two.seen[1] is None


def test_views_with_a_lost_history_print():
    leaf = rl.ones(1, requires_grad=True)
    with rl.no_grad():
        part = leaf[:]
        part *= 2
    assert repr(part) == "tensor([2.], grad_fn=<Invalid>)"


def test_pickled_results_come_back_as_leaves():
    x = pickle.loads(pickle.dumps(rl.ones(2, requires_grad=True) * 2))
    assert x.is_leaf and x.requires_grad and x.tolist() == [2, 2]


@pytest.mark.parametrize("call", [rl.min, rl.max])
def test_not_a_number_shares_the_gradient(call):
    x = rl.tensor([float("nan"), 1.0, float("nan")], requires_grad=True)
    call(x).backward()
    assert x.grad.tolist() == [0.5, 0, 0.5]


def test_angle_at_the_origin_has_no_gradient():
    y, x = rl.zeros(1, requires_grad=True), rl.zeros(1, requires_grad=True)
    rl.atan2(y, x).backward()
    assert y.grad.tolist() == [0] and x.grad.tolist() == [0]


def test_distinct_values_have_no_derivative():
    x = rl.tensor([1.0, 1.0, 2.0], requires_grad=True)
    for values in (rl.unique(x), rl.unique_consecutive(x), rl.unique(x, return_counts=True)[0], rl.unique(x, dim=0)):
        assert values.requires_grad
        with pytest.raises(NotImplementedError, match="derivative"):
            values.sum().backward()
