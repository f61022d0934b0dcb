"""Custom functions."""
import pytest

import rushlight as rl


class Cube(rl.autograd.Function):
    @staticmethod
    def forward(ctx, x, power=3):
        ctx.save_for_backward(x)
        ctx.power = power
        return x ** power

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * ctx.power * x ** (ctx.power - 1), None


def leaf(*values):
    return rl.tensor(values, requires_grad=True)


def test_forward_and_backward():
    x = leaf(2.0)
    y = Cube.apply(x)
    assert y.grad_fn.name() == "CubeBackward" and type(y.grad_fn).__name__ == "CubeBackward"
    g, = rl.autograd.grad(y, x, create_graph=True)
    assert g.item() == 12.0 and rl.autograd.grad(g, x)[0].item() == 12.0
    assert Cube.apply(x, power=2).item() == 4.0
    assert Cube.apply(x.detach()).grad_fn is None


def test_setup_context_gets_defaults():
    seen = []

    class Scale(rl.autograd.Function):
        @staticmethod
        def forward(x, by=2):
            return x * by

        @staticmethod
        def setup_context(ctx, inputs, output):
            seen.append((len(inputs), ctx.needs_input_grad))
            ctx.by = inputs[1]

        @staticmethod
        def backward(ctx, g):
            return g * ctx.by, None

    x = leaf(1.0)
    Scale.apply(x, by=5).sum().backward()
    assert x.grad.item() == 5.0 and seen == [(2, (True, False))]


def test_outputs_without_gradients():
    class Split(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            kept = x * 2
            ctx.mark_non_differentiable(kept)
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(kept, None)
            return kept, x * 3, x > 0, "text", x * 4

        @staticmethod
        def backward(ctx, *grads):
            assert [g is None for g in grads] == [True, False, True, True, True]
            assert ctx.saved_tensors[1] is None and ctx.saved_tensors[0].tolist() == [2.0]
            return grads[1] * 3

    x = leaf(1.0)
    kept, y, flag, text, _ = Split.apply(x)
    assert not kept.requires_grad and not flag.requires_grad and text == "text"
    y.sum().backward()
    assert x.grad.item() == 3.0


def test_writes_in_place():
    class Double(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    assert Double.apply(y) is y
    part = y[:1]
    Double.apply(part)
    assert y.tolist() == [4.0, 4.0, 6.0] and y.grad_fn.name() == "CopySlices"
    y.sum().backward()
    assert x.grad.tolist() == [4.0, 2.0, 2.0]
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad has been used in an in-place"):
        Double.apply(leaf(1.0))


def test_input_returned_as_it_is():
    class Same(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 7

    x = leaf(1.0)
    y = Same.apply(x)
    assert y is not x and y.data_ptr() == x.data_ptr()
    with pytest.raises(RuntimeError, match="created inside a custom Function"):
        y.add_(1)
    y.sum().backward()
    assert x.grad.item() == 7.0


@pytest.mark.parametrize("back, text", [
    (lambda ctx, g: (g, g), "incorrect number of gradients"),
    (lambda ctx, g: "g", "expected Variable or None"),
    (lambda ctx, g: g[:1].expand(5), r"SomeBackward returned an invalid gradient at index 0"),
])
def test_wrong_backward(back, text):
    some = type("Some", (rl.autograd.Function,), dict(forward=staticmethod(lambda ctx, x: x * 2),
                                                      backward=staticmethod(back)))
    with pytest.raises(RuntimeError, match=text):
        some.apply(leaf(1.0, 2.0)).sum().backward()


def test_missing_methods():
    plain = type("Plain", (rl.autograd.Function,), dict(forward=staticmethod(lambda ctx, x: x * 2)))
    with pytest.raises(NotImplementedError):
        plain.apply(leaf(1.0)).sum().backward()
    with pytest.raises(NotImplementedError):
        rl.autograd.Function.apply(leaf(1.0))
    with pytest.raises(NotImplementedError):
        plain.vmap(None, None)


def test_once_differentiable():
    class Once(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        @rl.autograd.function.once_differentiable
        def backward(ctx, g):
            return g * 2

    x = leaf(1.0)
    g, = rl.autograd.grad((Once.apply(x) ** 2).sum(), x, create_graph=True)
    assert g.item() == 8.0
    with pytest.raises(RuntimeError):
        g.sum().backward()
