"""Operators of sparse tensors give what dense ones give, and gradients reach the values."""
import pytest

import rushlight as torch

DENSE = torch.tensor([[0.0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 4, 5]], dtype=torch.float64)
OTHER = torch.tensor([[1.0, 1, 0, 0], [0, 2, 0, 0], [7, 0, 3, 0]], dtype=torch.float64)
LAYOUTS = {"coo": lambda x: x.to_sparse(), "csr": lambda x: x.to_sparse_csr(), "csc": lambda x: x.to_sparse_csc(),
           "uncoalesced": lambda x: (x * 3).to_sparse() + (-x).to_sparse() + (-x).to_sparse()}


def uncoalesced(x):
    """The same numbers with every element stored twice."""
    s = x.to_sparse()
    indices, values = s.indices(), s.values()
    return torch.sparse_coo_tensor(torch.cat([indices, indices], 1), torch.cat([values * 3, values * -2]), x.shape)


LAYOUTS["uncoalesced"] = uncoalesced
OPERATORS = {
    "neg": lambda a, b: -a, "abs": lambda a, b: (-a).abs(), "relu": lambda a, b: torch.relu(a),
    "sqrt": lambda a, b: torch.sqrt(a), "sin": lambda a, b: a.sin(), "pow": lambda a, b: a**2,
    "times a number": lambda a, b: 3 * a, "by a number": lambda a, b: a / 4, "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b, "alpha": lambda a, b: torch.add(a, b, alpha=0.5), "mul": lambda a, b: a * b,
    "sum": lambda a, b: a.sum(), "t": lambda a, b: a.t(), "transpose": lambda a, b: a.transpose(0, 1),
    "clone": lambda a, b: a.clone(), "norm": lambda a, b: a.norm(), "mm": lambda a, b: torch.mm(a, b.t()),
    "product": lambda a, b: a @ b.transpose(0, 1), "double": lambda a, b: a.double(), "zeros": lambda a, b:
    torch.zeros_like(a),
}


def dense(value):
    return value.to_dense() if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_against_dense(name, layout):
    make, function = LAYOUTS[layout], OPERATORS[name]
    found = function(make(DENSE), make(OTHER))
    assert torch.allclose(dense(found), function(DENSE, OTHER))
    if name not in ("sum", "norm"):
        assert found.layout is not torch.strided


@pytest.mark.parametrize("layout", LAYOUTS)
def test_with_dense_operands(layout):
    s = LAYOUTS[layout](DENSE)
    assert torch.equal(OTHER + s, OTHER + DENSE) and torch.equal(torch.add(OTHER, s, alpha=2), OTHER + 2 * DENSE)
    assert torch.equal((s * OTHER).to_dense(), DENSE * OTHER) and torch.equal((OTHER * s).to_dense(), DENSE * OTHER)
    assert torch.equal(s @ OTHER.t(), DENSE @ OTHER.t()) and torch.equal(OTHER.t() @ s, OTHER.t() @ DENSE)
    assert torch.equal(torch.mv(s, OTHER[0]), DENSE @ OTHER[0])
    wanted = torch.addmm(torch.ones(3, 3).double(), DENSE, OTHER.t(), beta=2, alpha=3)
    assert torch.equal(torch.addmm(torch.ones(3, 3).double(), s, OTHER.t(), beta=2, alpha=3), wanted)
    target = OTHER.clone()
    assert target.add_(s, alpha=2) is target and torch.equal(target, OTHER + 2 * DENSE)
    with pytest.raises(RuntimeError, match="Use add"):
        s + 1.0


def test_batches():
    batch = torch.stack([DENSE, OTHER])
    right = torch.arange(16.0).double().view(2, 4, 2)
    assert torch.equal(torch.bmm(batch.to_sparse(), right), batch @ right)


@pytest.mark.parametrize("dim", [0, 1, (0, 1)])
def test_sums_over_dimensions(dim):
    for s in (DENSE.to_sparse(), uncoalesced(DENSE), DENSE.to_sparse(1)):
        assert torch.equal(torch.sparse.sum(s, dim).to_dense(), DENSE.sum(dim))


@pytest.mark.parametrize("dim", [0, 1])
def test_softmax_of_stored_elements(dim):
    masked = DENSE.masked_fill(DENSE == 0, float("-inf"))
    expected = masked.softmax(dim).nan_to_num()
    assert torch.allclose(torch.sparse.softmax(uncoalesced(DENSE), dim).to_dense(), expected)
    found = torch.sparse.log_softmax(DENSE.to_sparse(), dim)
    assert torch.allclose(found.values(), expected[DENSE != 0].log())


def test_slices_and_joins():
    s = uncoalesced(DENSE)
    assert torch.equal(s[1].to_dense(), DENSE[1]) and torch.equal(s.select(1, 3).to_dense(), DENSE[:, 3])
    picked = torch.tensor([3, 1, 3])
    assert torch.equal(s.index_select(1, picked).to_dense(), DENSE[:, picked])
    assert torch.equal(torch.cat([s, s], 1).to_dense(), torch.cat([DENSE, DENSE], 1))
    assert torch.equal(torch.stack([s, s]).to_dense(), torch.stack([DENSE, DENSE]))
    assert torch.equal(s.unsqueeze(1).to_dense(), DENSE.unsqueeze(1)) and len(s) == 3
    assert torch.equal(OTHER.sparse_mask(DENSE.to_sparse()).to_dense(), OTHER * (DENSE != 0))
    cube = torch.arange(24.0).view(2, 3, 4)
    assert torch.equal(cube.to_sparse(2).permute(1, 0, 2).to_dense(), cube.permute(1, 0, 2))
    with pytest.raises(RuntimeError, match="change places"):
        cube.to_sparse(1).permute(1, 0, 2)


def test_gradients():
    values = torch.tensor([1.0, 2, 3], dtype=torch.float64, requires_grad=True)
    right = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)

    def product(values, right):
        return torch.sparse.mm(torch.sparse_coo_tensor([[0, 2, 2], [1, 0, 0]], values, (3, 4)), right)

    assert torch.autograd.gradcheck(product, (values, right))
    for function in (lambda s: s.to_dense(), lambda s: s.coalesce().values(),
                     lambda s: torch.sparse.sum(s, 0).to_dense(), lambda s: torch.sparse.softmax(s, 1).values(),
                     lambda s: (s * 2 + s).to_dense(),
                     lambda s: (s @ s.t()).to_dense(), lambda s: s.coalesce().sin().to_dense()):
        assert torch.autograd.gradcheck(
            lambda v: function(torch.sparse_coo_tensor([[0, 2, 2], [1, 0, 0]], v, (3, 4))), (values,))


def test_gradients_of_sparse_leaves():
    s = torch.sparse_coo_tensor([[0, 1], [1, 0]], [3.0, 4.0], (2, 2), requires_grad=True)
    (torch.sparse.mm(s, torch.ones(2, 2)) * torch.tensor([[1.0], [5.0]])).sum().backward()
    assert s.is_leaf and s.grad.layout is torch.sparse_coo and s.grad.to_dense().tolist() == [[0, 2], [10, 0]]
    assert (s * 2).requires_grad and not s.detach().requires_grad


def test_in_place():
    s = DENSE.to_sparse()
    s.mul_(2).add_(DENSE.to_sparse()).div_(3)
    assert torch.allclose(s.to_dense(), DENSE)
    s.copy_(OTHER.to_sparse())
    assert torch.equal(s.to_dense(), OTHER) and s.zero_()._nnz() == 0


def test_what_is_not_there_says_so():
    s = DENSE.to_sparse()
    for call in (lambda: s.view(4, 3), lambda: torch.linalg.inv(s), lambda: torch.max(s), lambda: torch.exp(s),
                 lambda: torch.nn.functional.linear(DENSE, s), lambda: s.unfold(0, 1, 1)):
        with pytest.raises(NotImplementedError):
            call()
    assert torch.ones(2).add(1).tolist() == [2, 2], "dense tensors go on as ever"
