"""Messages of errors: their parts and their order."""
from rushlight.base import errors


class Shaped:
    """Something with a shape, as a tensor has one."""

    shape = (2, 3)


def test_message_has_all_parts_in_order():
    text = errors.expected("conv2d", "input.shape[1] == weight.shape[1] * groups", "3 != 8 * 1", "pass groups",
                           input=Shaped(), weight=(20, 8, 5, 5))
    assert text == (
        "conv2d: expected input.shape[1] == weight.shape[1] * groups, got 3 != 8 * 1 "
        "(input (2, 3), weight (20, 8, 5, 5)). Hint: pass groups"
    )


def test_message_without_operands():
    assert errors.message("softmax", "no dimension") == "softmax: no dimension"
    assert errors.message("", "no dimension") == "no dimension"


def test_exceptions_to_raise():
    error = errors.missing("conv3d", "padding_mode='circular'")
    assert isinstance(error, NotImplementedError)
    assert str(error) == "conv3d: padding_mode='circular' is not implemented in Rushlight"
    assert isinstance(errors.wrong_type("sum", "dim", "int", "x"), TypeError)
    assert str(errors.wrong_type("sum", "dim", "int", "x")) == "sum(): argument 'dim' must be int, not str"
    assert isinstance(errors.out_of_range(3, 2), IndexError)
    assert "range of [-2, 1], but got 3" in str(errors.out_of_range(3, 2))
    assert "range of [-1, 0], but got 3" in str(errors.out_of_range(3, 0))


def test_long_operands_are_cut():
    assert len(errors.describe(list(range(1000)))) == 200
