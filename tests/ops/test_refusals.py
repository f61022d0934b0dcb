"""Calls that PyTorch refuses, and odd ones that it takes: error types, empty operands, boolean factors."""

import pytest
import rushlight as rl
import rushlight.nn.functional as F


@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize("dtype", [rl.float32, rl.int64])
def test_boolean_factors_need_boolean_results(name, dtype):
    x, v = rl.ones(2, 2, dtype=dtype), rl.ones(2, dtype=dtype)
    with pytest.raises(RuntimeError, match=f"Boolean {name} only supported"):
        rl.addr(x, v, v, **{name: True})
    assert rl.addr(x.bool(), v.bool(), v.bool(), **{name: True}).all()


@pytest.mark.parametrize("equation, shape, error", [
    ("a->b", (2,), "output subscript b"), ("a->aa", (2,), "more than once"), ("a->a.", (2,), "found '.'"),
    ("a...->b...", (2,), "output subscript b"), ("a1", (2, 2), "invalid subscript"),
    ("a..b", (2, 2), "invalid subscript"),
    ("...->a", (2,), "output subscript a"),
])
def test_einsum_refuses_equations(equation, shape, error):
    with pytest.raises(RuntimeError, match=error):
        rl.einsum(equation, rl.ones(shape))


def test_einsum_needs_operands_that_are_tensors():
    with pytest.raises(ValueError, match="at least one"):
        rl.einsum("...", [])
    with pytest.raises(ValueError, match="at least one operand"):
        rl.einsum("a")
    with pytest.raises(TypeError, match="must be a Tensor"):
        rl.einsum("a", ["x"])


def test_chain_of_one_matrix():
    x = rl.ones(2, 2)
    assert rl.chain_matmul(x).tolist() == x.tolist()
    for given, text in (((), "one or more"), ((rl.ones(2),), "expected 2")):
        with pytest.raises(RuntimeError, match=text):
            rl.chain_matmul(*given)


def test_cat_of_tensors_without_elements_takes_any_dimension():
    assert rl.cat([rl.randn(0), rl.randn(0)], dim=-3).shape == (0,)
    assert rl.cat([rl.ones(2, 2), rl.randn(0)], dim=1).shape == (2, 2)
    with pytest.raises(IndexError):
        rl.cat([rl.ones(2), rl.randn(0)], dim=1)


@pytest.mark.parametrize("device", [-1, "cuda:-1", "cuda:01", "cpu:"])
def test_device_indices(device):
    with pytest.raises(RuntimeError):
        rl.device(device)
    with pytest.raises(RuntimeError, match="negative"):
        rl.device("cpu", -1)


def test_legacy_constructors_are_of_the_cpu():
    for make in (rl.FloatTensor, rl.LongTensor, rl.Tensor, rl.ones(1).new):
        with pytest.raises(RuntimeError, match="legacy constructor"):
            make(2, device="cuda")
        assert make(2, device="cpu").shape == (2,)


@pytest.mark.parametrize("shape", [(0, 2, 2), (1, 2, 2), (2, 1, 2), (2, 2, 3)])
def test_samples_of_fractional_pooling(shape):
    with pytest.raises(RuntimeError, match="_random_samples"):
        F.fractional_max_pool2d(rl.rand(2, 2, 8, 8), 2, output_size=3, _random_samples=rl.rand(shape))
    more = rl.rand(3, 2, 2)
    assert F.fractional_max_pool2d(rl.rand(2, 2, 8, 8), 2, output_size=3, _random_samples=more).shape == (2, 2, 3, 3)


def test_margin_loss_of_an_empty_batch():
    x, target = rl.randn(0, 10), rl.ones(0, dtype=rl.int64)
    assert F.multi_margin_loss(x, target, reduction="none").shape == (0,)
    assert F.multi_margin_loss(x, target, reduction="sum").item() == 0
    with pytest.raises(RuntimeError, match="non-empty"):
        F.multi_margin_loss(rl.randn(2, 0), target)


@pytest.mark.parametrize("size", [8.0, "a", True, (8.0,)])
def test_sizes_of_interpolate_are_integers(size):
    with pytest.raises(TypeError):
        F.interpolate(rl.ones(1, 1, 4), size=size)


def test_index_put_needs_an_index():
    for indices in ((), (None,)):
        with pytest.raises(RuntimeError, match="at least one index"):
            rl.rand(2).index_put(indices, rl.ones(1))


def test_gcd_of_bytes():
    a, b = rl.tensor([190, 210, 255], dtype=rl.uint8), rl.tensor([190, 220, 254], dtype=rl.uint8)
    assert rl.gcd(a, b).tolist() == [190, 10, 1] and rl.gcd(a, b).dtype is rl.uint8
    assert rl.lcm(a, a).tolist() == [190, 210, 255]


@pytest.mark.parametrize("name", ["i0", "i1"])
def test_bessel_functions_of_infinity(name):
    x = rl.tensor([float("inf"), -float("inf")])
    assert getattr(rl.special, name)(x).isnan().all()
    assert getattr(rl.special, name + "e")(x).tolist() in ([0.0, 0.0], [0.0, -0.0])


def test_condition_numbers_of_zeros_and_infinities():
    zeros, infinite = rl.zeros(2, 2), rl.full((2, 2), float("inf"))
    for matrix in (zeros, infinite):
        for p in (1, "fro"):
            assert rl.linalg.cond(matrix, p).item() == float("inf")
        assert rl.linalg.cond(matrix, "nuc").isnan()
    assert abs(rl.linalg.cond(rl.tensor([[2.0, 0.0], [0.0, 1.0]]), "nuc").item() - 4.5) < 1e-5


def test_deterministic_programs_see_no_old_memory():
    rl.use_deterministic_algorithms(True)
    try:
        x = rl.ones(2)
        for made in (rl.empty(2), rl.empty_like(x), x.new_empty(3), rl.empty_strided((2,), (1,))):
            assert made.isnan().all()
        assert rl.empty(2, dtype=rl.int8).tolist() == [127, 127] and rl.empty(1, dtype=rl.bool).tolist() == [True]
        assert rl.empty(1, requires_grad=True).requires_grad
    finally:
        rl.use_deterministic_algorithms(False)


def test_deterministic_programs_refuse_what_pytorch_counts_as_not_deterministic():
    where = rl.zeros(1, 1, 7, dtype=rl.int64)
    calls = (lambda: F.max_unpool1d(rl.ones(1, 1, 7), where, 3, 1),
             lambda: rl.zeros(3).put_(where[0, 0, :1], rl.ones(1)),
             lambda: F.max_unpool2d(rl.ones(1, 1, 1, 7), where[None], 3, 1))
    rl.set_deterministic_debug_mode("error")
    try:
        assert rl.get_deterministic_debug_mode() == 2 and rl.are_deterministic_algorithms_enabled()
        for call in calls:
            with pytest.raises(RuntimeError, match="does not have a deterministic implementation"):
                call()
        rl.zeros(3).put_(where[0, 0, :1], rl.ones(1), accumulate=True)
        rl.set_deterministic_debug_mode("warn")
        assert rl.is_deterministic_algorithms_warn_only_enabled()
        for call in calls:
            with pytest.warns(UserWarning, match="does not have a deterministic implementation"):
                call()
    finally:
        rl.set_deterministic_debug_mode("default")
    for call in calls:
        call()
    for wrong, kind in (("x", RuntimeError), (5, RuntimeError), (1.5, TypeError)):
        with pytest.raises(kind):
            rl.set_deterministic_debug_mode(wrong)


def test_einsum_refuses_no_operands():
    for given in ((), ([],)):
        with pytest.raises(ValueError, match="must specify the equation string and at least one operand"):
            rl.einsum("a->a", *given)


def test_margin_losses_of_empty_batches_are_zero():
    for loss, target in ((F.multi_margin_loss, rl.ones(0, dtype=rl.int64)),
                         (F.multilabel_margin_loss, rl.ones(0, 10, dtype=rl.int64))):
        assert loss(rl.ones(0, 10), target).item() == 0
        assert loss(rl.ones(0, 10), target, reduction="none").shape == (0,)


def test_expanded_tensors_take_thresholds_in_place():
    """`threshold_` writes the same to the same element each time."""
    x = rl.tensor([[0.25, 1.0]]).expand(3, 2)
    F.threshold_(x, 0.5, 0.5)
    assert x.tolist() == [[0.5, 1.0]] * 3
    with pytest.raises(RuntimeError, match="single memory location"):
        x.add_(1)


def test_quotients_of_half_precisions_are_rounded_before_they_are_cut():
    a, b = rl.tensor([6.0, 1.0, -3.3]), rl.tensor([0.1, 0.1, 0.3])
    for dtype in (rl.bfloat16, rl.float16):
        x, y = a.to(dtype), b.to(dtype)
        assert rl.div(x, y, rounding_mode="trunc").tolist() == (x / y).trunc().tolist()
