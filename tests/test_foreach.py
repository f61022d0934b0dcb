"""`torch._foreach_*`: one operator over lists of tensors."""
import pytest

import rushlight as rl

LIST = [rl.tensor([1.0, 4.0]), rl.tensor([[9.0]])]


def values(tensors):
    return [t.tolist() for t in tensors]


def test_results_are_tuples_and_writes_give_the_list():
    assert isinstance(rl._foreach_sqrt(LIST), tuple) and values(rl._foreach_sqrt(LIST)) == [[1.0, 2.0], [[3.0]]]
    own = rl._foreach_clone(LIST)
    assert rl._foreach_add_(own, 1.0) is own and values(own) == [[2.0, 5.0], [[10.0]]]
    rl._foreach_copy_(own, LIST)
    assert values(own) == values(LIST)
    rl._foreach_zero_(own)
    assert values(own) == [[0.0, 0.0], [[0.0]]]


def test_numbers_lists_of_numbers_and_tensors():
    assert values(rl._foreach_mul(LIST, 2)) == [[2.0, 8.0], [[18.0]]]
    assert values(rl._foreach_mul(LIST, [2, 3])) == [[2.0, 8.0], [[27.0]]]
    assert values(rl._foreach_mul(LIST, rl.tensor(2.0))) == [[2.0, 8.0], [[18.0]]]
    assert values(rl._foreach_sub(LIST, LIST, alpha=2)) == [[-1.0, -4.0], [[-9.0]]]
    assert values(rl._foreach_maximum(LIST, 5)) == [[5.0, 5.0], [[9.0]]]
    assert values(rl._foreach_pow(2, LIST)) == [[2.0, 16.0], [[512.0]]]


def test_products_and_weights():
    assert values(rl._foreach_addcmul(LIST, LIST, LIST, 2)) == [[3.0, 36.0], [[171.0]]]
    assert values(rl._foreach_addcdiv(LIST, LIST, LIST, [1, 2])) == [[2.0, 5.0], [[11.0]]]
    assert values(rl._foreach_addcdiv(LIST, LIST, LIST, rl.tensor([1.0, 2.0]))) == [[2.0, 5.0], [[11.0]]]
    assert values(rl._foreach_lerp(LIST, rl._foreach_mul(LIST, 2), 0.5)) == [[1.5, 6.0], [[13.5]]]


def test_reductions():
    assert values(rl._foreach_max(LIST)) == [4.0, 9.0]
    assert values(rl._foreach_norm(LIST, 1)) == [5.0, 9.0]
    assert values(rl._foreach_powsum(LIST, 2)) == [17.0, 81.0]


def test_errors():
    with pytest.raises(RuntimeError, match="at least one"):
        rl._foreach_add([], 1)
    with pytest.raises(RuntimeError, match="same number"):
        rl._foreach_add(LIST, LIST[:1])
    with pytest.raises(AttributeError):
        rl._foreach_nothing  # noqa: B018
