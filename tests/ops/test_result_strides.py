"""The strides of results for operands that are dense but not row-major: `view` and `stride` show them to programs."""
import pytest

import rushlight as rl

INDEX = rl.zeros(2, 4, 2, 4, dtype=rl.int64)
FIRST, ONE = rl.tensor([0]), rl.tensor([1.0])
CONTIGUOUS = {
    "softmax": lambda a: a.softmax(1),
    "softmax of halves": lambda a: a.half().softmax(1),
    "log_softmax": lambda a: a.log_softmax(1),
    "masked_fill": lambda a: a.masked_fill(a > 0, 1),
    "masked_scatter": lambda a: a.masked_scatter(a > 0, a),
    "scatter": lambda a: a.scatter(1, INDEX, 1.0),
    "scatter_add": lambda a: a.scatter_add(1, INDEX, a),
    "scatter_reduce": lambda a: a.scatter_reduce(1, INDEX, a, "amax"),
    "index_add": lambda a: a.index_add(1, FIRST, a[:, :1]),
    "index_copy": lambda a: a.index_copy(1, FIRST, a[:, :1]),
    "logsigmoid": rl.nn.functional.logsigmoid,
}
LIKE_THE_OPERAND = {
    "abs": lambda a: a.abs(),
    "clone": lambda a: a.clone(),
    "where": lambda a: rl.where(a > 0, a, 0.0),
    "index_fill": lambda a: a.index_fill(1, FIRST, 1),
    "index_put": lambda a: a.index_put((FIRST,), ONE),
    "put": lambda a: a.put(FIRST, ONE),
    "select_scatter": lambda a: a.select_scatter(a[:, 0], 1, 0),
    "slice_scatter": lambda a: a.slice_scatter(a[:, :1], 1, 0, 1),
    "diagonal_scatter": lambda a: a.diagonal_scatter(a.diagonal()),
}


def operand(grad=False):
    return (rl.arange(64.0) - 32).requires_grad_(grad).reshape(4, 2, 4, 2).permute(1, 0, 3, 2)


@pytest.mark.parametrize("name", CONTIGUOUS)
@pytest.mark.parametrize("grad", [False, True])
def test_contiguous_results(name, grad):
    found = CONTIGUOUS[name](operand(grad))
    assert found.stride() == (32, 8, 4, 1) and found.view(-1).shape == (64,)
    packed = CONTIGUOUS[name](operand().contiguous())
    assert rl.allclose(found.detach(), packed)


@pytest.mark.parametrize("name", LIKE_THE_OPERAND)
def test_results_with_the_strides_of_the_operand(name):
    found = LIKE_THE_OPERAND[name](operand())
    assert found.stride() == (8, 16, 1, 2)
    assert rl.equal(found, LIKE_THE_OPERAND[name](operand().contiguous()))
