"""The backward pass: values, accumulation, errors, hooks, edges, memory."""
import gc
import warnings

import pytest

import rushlight as rl


def leaf(*values):
    return rl.tensor(values, requires_grad=True)


def test_gradients_accumulate_into_leaves():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]


def test_accumulated_gradient_is_not_shared_with_what_others_hold():
    x, y, kept = leaf(1.0, 2.0), leaf(1.0, 2.0), []
    z = x + y
    z.retain_grad()
    z.register_hook(kept.append)
    z.sum().backward()
    x.grad.add_(10)
    assert y.grad.tolist() == [1.0, 1.0] and z.grad.tolist() == [1.0, 1.0] and kept[0].tolist() == [1.0, 1.0]


def test_grad_leaves_the_leaves_alone():
    x, y = leaf(3.0), leaf(2.0)
    assert [g.item() for g in rl.autograd.grad(x * y, (x, y))] == [2.0, 3.0]
    assert x.grad is None
    assert rl.autograd.grad(x * 2, (x, y), allow_unused=True)[1] is None
    assert rl.autograd.grad(x * 2, (x, y), materialize_grads=True)[1].item() == 0.0
    assert rl.autograd.grad(x * y, {"a": x})["a"].item() == 2.0


def test_second_derivative():
    x = leaf(2.0)
    g, = rl.autograd.grad(x ** 3, x, create_graph=True)
    assert rl.autograd.grad(g, x)[0].item() == 12.0


def test_backward_into_chosen_inputs():
    x, y = leaf(1.0), leaf(2.0)
    z = x * y
    (z * z).sum().backward(inputs=[x, z])
    assert x.grad.item() == 8.0 and y.grad is None and z.grad.item() == 4.0


def test_batched_grad():
    x = leaf(1.0, 2.0)
    g, = rl.autograd.grad(x * x, x, rl.eye(2), is_grads_batched=True)
    assert g.tolist() == [[2.0, 0.0], [0.0, 4.0]]


@pytest.mark.parametrize("call, text", [
    (lambda x: (x * 2).backward(), "only for scalar outputs"),
    (lambda x: x.detach().sum().backward(), "element 0 of tensors does not require grad"),
    (lambda x: (x * 2).backward(rl.ones(3)), "Mismatch in shape"),
    (lambda x: rl.autograd.grad(x.sum(), rl.ones(2)), "does not require grad"),
    (lambda x: rl.autograd.grad(x.sum(), leaf(1.0)), "appears to not have been used"),
    (lambda x: rl.autograd.grad(x.sum(), []), "cannot be empty"),
    (lambda x: x.add_(1), "a leaf Variable that requires grad"),
    (lambda x: x[0].add_(1), "a view of a leaf Variable"),
    (lambda x: rl.ones(2).register_hook(print), "doesn't require gradient"),
])
def test_errors(call, text):
    with pytest.raises(RuntimeError, match=text):
        call(leaf(1.0, 2.0))


def test_second_backward_needs_the_graph():
    x = leaf(1.0)
    y = x.exp()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.grad_fn._saved_result


def test_modified_saved_tensor():
    x = leaf(1.0, 2.0)
    y = x.exp()
    z = y * 2
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"output 0 of Exp, is at version 1; expected version 0"):
        z.sum().backward()


def test_nodes_of_the_graph():
    x, y = leaf(1.0), leaf(2.0)
    z = x * y
    assert type(z.grad_fn).__name__ == "MulBackward0" and z.grad_fn.name() == "MulBackward0"
    assert [n.name() for n, _ in z.grad_fn.next_functions] == ["AccumulateGrad"] * 2
    assert z.grad_fn.next_functions[0][0].variable is x
    assert z.grad_fn._saved_self is x and z.grad_fn._saved_other is y
    z.grad_fn.metadata["note"] = 1
    assert z.grad_fn.metadata == {"note": 1}
    with pytest.raises(AttributeError):
        z.grad_fn._saved_nothing


def test_hooks_in_order():
    x, calls = leaf(1.0, 2.0), []
    y = x * 2
    y.register_hook(lambda g: calls.append("tensor") or g * 3)
    y.grad_fn.register_prehook(lambda gs: calls.append("before"))
    y.grad_fn.register_hook(lambda gi, go: calls.append("after"))
    x.register_hook(lambda g: calls.append("leaf"))
    x.register_post_accumulate_grad_hook(lambda t: calls.append("accumulated"))
    y.sum().backward()
    assert calls == ["tensor", "before", "after", "leaf", "accumulated"] and x.grad.tolist() == [6.0, 6.0]


def test_leaf_hooks_run_as_soon_as_the_gradient_is_complete():
    x, calls = leaf(1.0), []
    w = leaf(2.0)
    w.register_post_accumulate_grad_hook(lambda t: calls.append("w"))
    y = x * 3
    y.register_hook(lambda g: calls.append("y"))
    (y * w).sum().backward()
    assert calls == ["w", "y"]


def test_retained_gradient_follows_writes():
    x = leaf(1.0, 2.0)
    h = x * 1
    h.retain_grad()
    h.mul_(2)
    h.sum().backward()
    assert h.grad.tolist() == [1.0, 1.0] and x.grad.tolist() == [2.0, 2.0]


def test_gradient_of_inner_tensor_warns():
    with pytest.warns(UserWarning, match="not a leaf"):
        (leaf(1.0) * 1).grad
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rl.ones(2).grad


def test_leaves_get_their_gradient_before_an_error():
    x, y = leaf(1.0), leaf(2.0)
    a = x.clone()
    b = a.exp()
    c = b * y
    b.add_(1)
    d = leaf(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        (c * d).backward()
    assert d.grad is not None and x.grad is None


def test_anomaly_detection_names_the_line():
    with pytest.warns(UserWarning) as caught:
        with rl.autograd.detect_anomaly():
            x = rl.zeros(2, requires_grad=True)
            with pytest.raises(RuntimeError, match="'SqrtBackward0' returned nan values in its 0th output"):
                (x.sqrt() * 0).sum().backward()
    assert any("SqrtBackward0" in str(w.message) and "test_engine.py" in str(w.message) for w in caught)


def test_long_chain():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.sum().backward()
    assert x.grad.tolist() == [1.0]
    del y  # 100,000 nodes go without recursion


def test_memory_is_freed_without_the_collector():
    net = rl.nn.Sequential(rl.nn.Linear(16, 32), rl.nn.Tanh(), rl.nn.Linear(32, 4))
    optimizer = rl.optim.Adam(net.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        loss = net(rl.ones(8, 16)).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    gc.disable()
    try:
        for _ in range(4):
            step()
        before = rl.cpu.memory_allocated()
        for _ in range(20):
            step()
        assert rl.cpu.memory_allocated() <= before
    finally:
        gc.enable()


@pytest.mark.parametrize("choose", [lambda x: x.max(1)[0], lambda x: x.kthvalue(2)[0], lambda x: x.median(1)[0],
                                    lambda x: x.mode(1)[0], lambda x: x.min(0)[0]])
def test_second_gradient_through_saved_indices(choose):
    """The indices that a node has saved are no values with a gradient."""
    x = rl.tensor([[1.0, 3.0, 2.0], [6.0, 5.0, 4.0]], dtype=rl.float64, requires_grad=True)
    assert rl.autograd.gradgradcheck(lambda t: choose(t) ** 2, [x])


def test_callbacks_run_at_the_end_of_the_pass():
    seen, x = [], rl.ones(2, requires_grad=True)
    queue = rl.autograd.Variable._execution_engine.queue_callback
    y = x * 2
    y.register_hook(lambda grad: queue(lambda: seen.append(x.grad.tolist())))
    y.sum().backward()
    assert seen == [[2.0, 2.0]]
    with pytest.raises(RuntimeError, match="during backward"):
        queue(print)
