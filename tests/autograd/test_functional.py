"""Products with Jacobians and Hessians, gradcheck, and torch.autograd.graph."""
import pytest

import rushlight as rl
from rushlight.autograd import functional, gradcheck, graph


def cubes(x):
    return (x ** 3).sum()


def test_products():
    x, v = rl.tensor([1.0, 2.0]), rl.tensor([1.0, 10.0])
    assert functional.vjp(rl.exp, x, v)[1].allclose(v * x.exp())
    assert functional.jvp(rl.exp, x, v)[1].allclose(v * x.exp())
    assert functional.vhp(cubes, x, v)[1].tolist() == [6.0, 120.0]
    assert functional.hvp(cubes, x, v)[1].tolist() == [6.0, 120.0]
    out, (a, b) = functional.vjp(lambda x, y: x * y, (x, v), rl.ones(2))
    assert out.tolist() == [1.0, 20.0] and a.tolist() == v.tolist() and b.tolist() == x.tolist()


def test_whole_matrices():
    x = rl.tensor([1.0, 2.0])
    assert functional.jacobian(lambda x: x * x, x).tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert functional.jacobian(lambda x: x * x, x, vectorize=True).tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert functional.hessian(cubes, x).tolist() == [[6.0, 0.0], [0.0, 12.0]]
    (aa, ab), (ba, bb) = functional.hessian(lambda x, y: (x * y).sum(), (x, x.clone()))
    assert ab.tolist() == [[1.0, 0.0], [0.0, 1.0]] and aa.sum().item() == bb.sum().item() == 0.0
    assert functional.jacobian(lambda x: x.exp(), x, create_graph=True).requires_grad


@pytest.mark.parametrize("call, kind, text", [
    (lambda x: functional.vjp(rl.exp, x), RuntimeError, "can only be None"),
    (lambda x: functional.vjp(rl.exp, x, rl.ones(4)), RuntimeError, "v has invalid size"),
    (lambda x: functional.vjp(lambda x: 3, x), TypeError, "given outputs of the user-provided function has type"),
    (lambda x: functional.jacobian(lambda x: rl.ones(2), x, strict=True), RuntimeError, "does not require gradients"),
    (lambda x: functional.hessian(lambda x: x.sum(), x, strict=True), RuntimeError, "independent of the input"),
    (lambda x: functional.hessian(lambda x: x, x), RuntimeError, "should contain a single element"),
])
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call(rl.tensor([1.0, 2.0]))


class Wrong(rl.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].cos() * 1.1


def test_gradcheck():
    x = rl.tensor([0.3, -1.2], dtype=rl.float64, requires_grad=True)
    assert gradcheck(rl.sin, x) and rl.autograd.gradgradcheck(rl.sin, x)
    assert not gradcheck(Wrong.apply, x, raise_exception=False)
    with pytest.raises(rl.autograd.GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"):
        gradcheck(Wrong.apply, x)
    with pytest.raises(ValueError, match="at least one input"):
        gradcheck(rl.sin, x.detach())


def test_hooks_on_saved_tensors():
    x, y = rl.tensor([2.0], requires_grad=True), rl.tensor([3.0], requires_grad=True)
    packed = []
    with graph.saved_tensors_hooks(lambda t: packed.append(t) or len(packed) - 1, lambda i: packed[i] * 10):
        z = (x * y).exp()
    assert len(packed) == 3
    assert z.grad_fn._saved_result.item() == pytest.approx(10 * z.item())
    rl.autograd.backward((x * y).sum())
    assert x.grad.item() == 3.0
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            pass


def test_double_backward_through_hooks():
    x = rl.tensor([2.0], requires_grad=True)
    with graph.save_on_cpu():
        y = x ** 3
        g, = rl.autograd.grad(y.sum(), x, create_graph=True)
    assert rl.autograd.grad(g, x)[0].item() == 12.0


def test_writes_to_saved_tensors_allowed():
    x = rl.tensor([2.0], requires_grad=True)
    with graph.allow_mutation_on_saved_tensors():
        y = x * 1
        z = y.exp()
        w = z * 2
        z.zero_()
        w.sum().backward()
    assert x.grad.item() == pytest.approx(2 * 7.389056, rel=1e-5)


def test_multi_grad_hook():
    x, y, seen = rl.ones(2, requires_grad=True), rl.ones(2, requires_grad=True), []
    a, b = x * 2, y * 3
    handle = graph.register_multi_grad_hook((a, b), lambda grads: seen.append([g is None for g in grads]))
    (a.sum() + b.sum()).backward(retain_graph=True)
    a.sum().backward(retain_graph=True)
    assert seen == [[False, False], [False, True]]
    handle.remove()
    a.sum().backward()
    assert len(seen) == 2


def test_edges_stand_for_tensors():
    x = rl.ones(2, requires_grad=True)
    y = x * 3
    edge = graph.get_gradient_edge(y)
    assert edge.node is y.grad_fn and edge.output_nr == 0
    assert rl.autograd.grad((y * y).sum(), edge)[0].tolist() == [6.0, 6.0]
    rl.autograd.backward(graph.get_gradient_edge(x * 2), rl.ones(2))
    assert x.grad.tolist() == [2.0, 2.0]
    before = x._version
    graph.increment_version(x)
    assert x._version == before + 1


def test_profiler_collects_ranges():
    with rl.autograd.profiler.profile() as found:
        with rl.autograd.profiler.record_function("part"):
            (rl.ones(3) * 2).sum().item()
    assert found.key_averages()[0].key == "part" and found.statistics["flushes"] >= 1 and "part" in found.table()
