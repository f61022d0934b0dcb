"""Forward mode: dual tensors, their levels, tangents of results and of custom functions."""
import math

import pytest

import rushlight as rl
from rushlight.autograd import forward_ad as fw


def test_tangents_of_products_and_chains():
    x, v = rl.tensor([0.5, 2.0]), rl.tensor([1.0, 3.0])
    with fw.dual_level():
        dual = fw.make_dual(x, v)
        primal, tangent = fw.unpack_dual(dual)
        assert primal.tolist() == [0.5, 2.0] and tangent.tolist() == [1.0, 3.0]
        out = (dual * dual).sin()
        found = fw.unpack_dual(out)
    for value, slope, p, t in zip((0.5, 2.0), (1.0, 3.0), found.primal.tolist(), found.tangent.tolist()):
        assert math.isclose(p, math.sin(value ** 2), rel_tol=1e-5)
        assert math.isclose(t, 2 * value * math.cos(value ** 2) * slope, rel_tol=1e-5)


def test_several_duals_add_up():
    with fw.dual_level():
        a = fw.make_dual(rl.tensor(3.0), rl.tensor(1.0))
        b = fw.make_dual(rl.tensor(4.0), rl.tensor(10.0))
        assert fw.unpack_dual(a * b).tangent.item() == 4.0 + 30.0


def test_what_depends_on_no_dual_has_no_tangent():
    with fw.dual_level():
        fw.make_dual(rl.ones(2), rl.ones(2))
        assert fw.unpack_dual(rl.ones(2)).tangent is None
        w = rl.ones(2, requires_grad=True)
        assert fw.unpack_dual(w * 2).tangent is None


def test_levels_end_and_do_not_nest():
    with fw.dual_level():
        dual = fw.make_dual(rl.ones(2), rl.ones(2))
        with pytest.raises(RuntimeError, match="Nested"):
            fw.enter_dual_level()
    assert fw.unpack_dual(dual).tangent is None
    with pytest.raises(RuntimeError, match="no level exists"):
        fw.make_dual(rl.ones(2), rl.ones(2))


@pytest.mark.parametrize("primal, tangent, kind", [
    (rl.ones(2), rl.ones(3), RuntimeError),
    (rl.ones(2), rl.ones(2, dtype=rl.float64), RuntimeError),
    (rl.ones(2, dtype=rl.int64), rl.ones(2), ValueError),
    (rl.ones(2), rl.ones(2, dtype=rl.int64), ValueError),
])
def test_tangents_that_do_not_fit(primal, tangent, kind):
    with fw.dual_level(), pytest.raises(kind):
        fw.make_dual(primal, tangent)


def test_reverse_mode_through_tangents():
    x = rl.tensor(2.0, requires_grad=True)
    with fw.dual_level():
        tangent = fw.unpack_dual(fw.make_dual(x, rl.tensor(1.0)) ** 3).tangent  # 3 x^2
    tangent.backward()
    assert x.grad.item() == 12.0


def test_complex_tangents():
    x = rl.tensor([1 + 2j], dtype=rl.complex128)
    v = rl.tensor([0.5 - 1j], dtype=rl.complex128)
    with fw.dual_level():
        found = fw.unpack_dual(fw.make_dual(x, v) ** 2).tangent
    assert abs(complex(found[0]) - 2 * (1 + 2j) * (0.5 - 1j)) < 1e-12


class Cube(rl.autograd.Function):
    """A function with forward mode alone."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_forward(x)
        return x ** 3

    @staticmethod
    def jvp(ctx, tangent):
        x, = ctx.saved_tensors
        return 3 * x ** 2 * tangent


def test_jvp_of_a_function():
    with fw.dual_level():
        dual = fw.make_dual(rl.tensor([1.0, 2.0]), rl.tensor([1.0, 10.0]))
        assert fw.unpack_dual(Cube.apply(dual)).tangent.tolist() == [3.0, 120.0]


def test_gradcheck_of_forward_mode():
    x = rl.tensor([[0.3, -0.7], [1.1, 0.2]], dtype=rl.float64, requires_grad=True)
    assert rl.autograd.gradcheck(lambda a: (a @ a).tanh(), x, check_forward_ad=True)
    with pytest.raises(rl.autograd.GradcheckError, match="forward mode"):
        rl.autograd.gradcheck(lambda a: a * a.detach(), x, check_forward_ad=True, check_backward_ad=False)
