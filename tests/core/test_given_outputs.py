"""Given outputs: which dtypes they may have, and that they share no memory with what is still read."""

import pytest
import rushlight as rl


@pytest.mark.parametrize("name", ["add", "mul", "pow", "atan2", "fmod", "eq", "maximum", "lt", "hypot"])
def test_binary_operators_refuse_outputs_that_overlap_operands(name):
    memory = rl.rand(8)
    with pytest.raises(RuntimeError, match="single memory location"):
        getattr(rl, name)(memory[1:5], memory[1:5], out=memory[0:4])
    assert getattr(rl, name)(memory[0:4], memory[4:8], out=rl.empty(4)).shape == (4,)


@pytest.mark.parametrize("name", ["exp", "neg", "sqrt", "cumsum", "cumprod", "clamp"])
def test_one_operand_and_an_output_that_overlaps(name):
    memory, more = rl.rand(8), {"cumsum": (0,), "cumprod": (0,), "clamp": (0.5,)}.get(name, ())
    with pytest.raises(RuntimeError, match="single memory location"):
        getattr(rl, name)(memory[1:5], *more, out=memory[0:4])
    with pytest.raises(RuntimeError, match="more than one element"):
        getattr(rl, name)(memory[:4], *more, out=memory[:1].expand(4))


def test_the_operand_itself_is_an_output():
    x = rl.tensor([1.0, 4.0])
    assert rl.sqrt(x, out=x).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["all", "any"])
def test_truth_values_need_bool_or_uint8(name):
    x = rl.ones(2, 2)
    for dtype in (rl.float32, rl.int64):
        with pytest.raises(RuntimeError, match="bool or uint8"):
            getattr(rl, name)(x, 0, out=rl.empty(2, dtype=dtype))
    assert getattr(rl, name)(x, 0, out=rl.empty(2, dtype=rl.uint8)).tolist() == [1, 1]


@pytest.mark.parametrize("name", ["sum", "cumsum", "prod", "cumprod", "nansum"])
def test_the_dtype_of_the_output_is_the_dtype_of_the_sum(name):
    x = rl.full((2,), 1 / 3)
    found = getattr(rl, name)(x, 0, out=rl.empty(0, dtype=rl.float64))
    assert found.tolist() == getattr(rl, name)(x.double(), 0).tolist()
    assert getattr(rl, name)(rl.ones(2), 0, out=rl.empty(0, dtype=rl.int64)).dtype is rl.int64
    with pytest.raises(RuntimeError, match="Expected out tensor to have dtype"):
        getattr(rl, name)(x, 0, dtype=rl.float32, out=rl.empty(0, dtype=rl.float64))


def test_draws_of_zeros_and_ones_go_into_integers():
    assert rl.bernoulli(rl.ones(3), out=rl.zeros(3, dtype=rl.int64)).tolist() == [1, 1, 1]


def test_cat_refuses_dtypes_with_a_type_error():
    with pytest.raises(TypeError, match="desired output type"):
        rl.cat([rl.ones(1), rl.ones(1)], out=rl.empty(2, dtype=rl.int64))
