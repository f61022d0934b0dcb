"""Sparse gradients of embeddings, and the optimizers that take them."""
import pytest

import rushlight as torch

nn = torch.nn


def table(sparse, make=nn.Embedding, **options):
    layer = make(5, 2, sparse=sparse, **options)
    layer.weight.data.copy_(torch.arange(10.0).view(5, 2))
    return layer


@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"scale_grad_by_freq": True}, {"max_norm": 1.0}])
def test_embedding_has_the_dense_gradient(options):
    found = []
    for sparse in (True, False):
        layer = table(sparse, **options)
        (layer(torch.tensor([[1, 3], [1, 0]])) ** 2).sum().backward()
        layer(torch.tensor([4])).sum().backward()
        found.append(layer.weight.grad)
    assert found[0].layout is torch.sparse_coo and found[1].layout is torch.strided
    assert torch.allclose(found[0].to_dense(), found[1])


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_embedding_bag_has_the_dense_gradient(mode):
    found = []
    for sparse in (True, False):
        layer = table(sparse, nn.EmbeddingBag, mode=mode)
        (layer(torch.tensor([1, 3, 1, 0]), torch.tensor([0, 3])) ** 2).sum().backward()
        found.append(layer.weight.grad)
    assert found[0].layout is torch.sparse_coo and torch.allclose(found[0].to_dense(), found[1])


def test_dense_and_sparse_gradients_of_one_table_add_up():
    layer = table(True)
    (layer(torch.tensor([1])).sum() + layer.weight.sum()).backward()
    assert layer.weight.grad.tolist() == (torch.ones(5, 2) + torch.tensor([[0.0], [1], [0], [0], [0]])).tolist()


def steps(sparse, make):
    layer = table(sparse)
    optimizer = make(layer.parameters())
    for indices in ([1, 3], [1, 0], [3, 3]):
        optimizer.zero_grad()
        (layer(torch.tensor(indices)) ** 2).sum().backward()
        optimizer.step()
    return layer.weight.detach()


@pytest.mark.parametrize("make", [
    lambda p: torch.optim.SGD(p, lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    lambda p: torch.optim.SGD(p, lr=0.1, maximize=True), lambda p: torch.optim.Adagrad(p, lr=0.1, lr_decay=0.1),
])
def test_optimizers_that_agree_with_dense_gradients(make):
    assert torch.allclose(steps(True, make), steps(False, make))


def test_sparse_adam():
    """Rows move as Adam moves them while they have gradients, and not at all in between."""
    layer = table(True)
    optimizer = torch.optim.SparseAdam(layer.parameters(), lr=0.1)
    m = v = torch.zeros(2)
    row = layer.weight.detach()[1].clone()
    for step, indices in enumerate(([1, 3], [1, 0], [3, 3]), 1):
        optimizer.zero_grad()
        (layer(torch.tensor(indices)) ** 2).sum().backward()
        optimizer.step()
        if 1 in indices:
            gradient = 2 * row
            m, v = m + 0.1 * (gradient - m), v + 0.001 * (gradient**2 - v)
            row = row - 0.1 * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step) * m / (v.sqrt() + 1e-8)
        assert torch.allclose(layer.weight.detach()[1], row)
    assert layer.weight.detach()[2].tolist() == [4, 5]
    state = optimizer.state_dict()["state"][0]
    assert state["step"] == 3 and state["exp_avg"].shape == (5, 2)


def test_optimizers_that_refuse():
    layer = table(True)
    layer(torch.tensor([1])).sum().backward()
    for make, text in ((torch.optim.Adam, "Adam does not support sparse gradients, please consider SparseAdam"),
                       (torch.optim.AdamW, "AdamW does not support sparse"), (torch.optim.RMSprop, "RMSprop")):
        with pytest.raises(RuntimeError, match=text):
            make(layer.parameters()).step()
    with pytest.raises(RuntimeError, match="weight_decay option is not compatible"):
        torch.optim.Adagrad(layer.parameters(), weight_decay=0.1).step()
    dense = table(False)
    dense(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="please consider Adam instead"):
        torch.optim.SparseAdam(dense.parameters()).step()
    for wrong in (dict(lr=0.0), dict(eps=0.0), dict(betas=(1.0, 0.9))):
        with pytest.raises(ValueError, match="Invalid"):
            torch.optim.SparseAdam(dense.parameters(), **wrong)
