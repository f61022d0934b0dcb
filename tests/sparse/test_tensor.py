"""Sparse tensors: construction, conversions, text, copies and files."""
import copy
import io
import pickle

import pytest

import rushlight as torch

INDICES, VALUES = [[1, 1, 0], [2, 2, 0]], [1.0, 2.0, 3.0]


def test_coordinates():
    s = torch.sparse_coo_tensor(INDICES, VALUES, (2, 3))
    assert (s.shape, s.dtype, s.layout, s.is_sparse) == ((2, 3), torch.float32, torch.sparse_coo, True)
    assert (s._nnz(), s.sparse_dim(), s.dense_dim(), s.is_coalesced()) == (3, 2, 0, False)
    assert s.to_dense().tolist() == [[3, 0, 0], [0, 0, 3]]
    c = s.coalesce()
    assert c.indices().tolist() == [[0, 1], [0, 2]] and c.values().tolist() == [3, 3] and c.coalesce() is c
    with pytest.raises(RuntimeError, match="Cannot get indices on an uncoalesced tensor"):
        s.indices()
    assert torch.sparse_coo_tensor(INDICES, VALUES).shape == (2, 3)
    assert torch.sparse_coo_tensor(size=(2, 3)).to_dense().tolist() == torch.zeros(2, 3).tolist()
    rows = torch.sparse_coo_tensor([[2, 0]], torch.ones(2, 3), (4, 3))
    assert (rows.sparse_dim(), rows.dense_dim()) == (1, 1) and rows.to_dense().sum(1).tolist() == [3, 0, 3, 0]


@pytest.mark.parametrize("arguments, text", [
    (([[0, 1]], [1.0]), "same nnz"), (([[0, 5]], [1.0, 2.0], (3,)), "size is inconsistent with indices"),
    (([[-1, 0]], [1.0, 2.0], (3,)), "negative index"), (([0, 1], [1.0, 2.0]), "sparse_dim x nnz"),
    (([[0, 1]], [1.0, 2.0], (3, 3)), "number of dimensions"),
    (([[0]], torch.ones(1, 2), (3, 3)), "values has incorrect"),
])
def test_wrong_coordinates(arguments, text):
    with pytest.raises(RuntimeError, match=text):
        torch.sparse_coo_tensor(*arguments)


def test_compressed():
    for make, name in ((torch.sparse_csr_tensor, "crow_indices"), (torch.sparse_csc_tensor, "ccol_indices")):
        s = make([0, 2, 3], [0, 2, 1], [1.0, 2, 3], (2, 3) if "csr" in make.__name__ else (3, 2))
        wanted = torch.tensor([[1.0, 0, 2], [0, 3, 0]])
        assert torch.equal(s.to_dense(), wanted if "csr" in make.__name__ else wanted.t())
        assert getattr(s, name)().tolist() == [0, 2, 3] and s.values().tolist() == [1, 2, 3]
        for wrong in (([0, 2], [0, 2, 1]), ([0, 3, 2], [0, 2, 1]), ([0, 2, 3], [0, 2, 9]), ([0, 2, 3], [0])):
            with pytest.raises(RuntimeError):
                make(*wrong, [1.0, 2, 3], (2, 3) if "csr" in make.__name__ else (3, 2))
    with pytest.raises(NotImplementedError, match="sparse_bsr"):
        torch.sparse_bsr_tensor([0, 1], [0], torch.ones(1, 2, 2))


def test_conversions():
    dense = torch.tensor([[0.0, 1, 0], [2, 0, 3]])
    for layout in (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc):
        s = dense.to_sparse(layout=layout)
        assert s.layout is layout and torch.equal(s.to_dense(), dense)
        for other in (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc):
            assert torch.equal(s.to_sparse(layout=other).to_dense(), dense)
    assert dense.to_sparse(1).values().tolist() == dense.tolist()
    assert dense.to_dense() is dense and torch.tensor(3.0).to_sparse().to_dense().item() == 3
    assert s.double().dtype is torch.float64 and s.to(torch.float64).layout is s.layout
    with pytest.raises(RuntimeError, match="is_coalesced expected sparse coordinate tensor layout but got Strided"):
        dense.is_coalesced()


def test_text():
    s = torch.sparse_coo_tensor(INDICES, VALUES, (2, 3), dtype=torch.float64, requires_grad=True)
    assert repr(s) == """\
tensor(indices=tensor([[1, 1, 0],
                       [2, 2, 0]]),
       values=tensor([1., 2., 3.]),
       size=(2, 3), nnz=3, dtype=torch.float64, layout=torch.sparse_coo,
       requires_grad=True)"""
    assert repr(torch.sparse_csr_tensor([0, 0, 2], [0, 2], [1.0, 2], (2, 3))) == """\
tensor(crow_indices=tensor([0, 0, 2]),
       col_indices=tensor([0, 2]),
       values=tensor([1., 2.]), size=(2, 3), nnz=2, layout=torch.sparse_csr)"""
    assert repr(torch.sparse_coo_tensor(size=(2, 3))) == """\
tensor(indices=tensor([], size=(2, 0)),
       values=tensor([], size=(0,)),
       size=(2, 3), nnz=0, layout=torch.sparse_coo)"""


def test_copies_and_files():
    s = torch.sparse_coo_tensor(INDICES, VALUES, (2, 3), requires_grad=True)
    copied = copy.deepcopy(s)
    copied._val.data.mul_(2)
    assert copied.requires_grad and s.to_dense().sum().item() == 6
    assert torch.equal(pickle.loads(pickle.dumps(s)).to_dense(), s.to_dense())
    file = io.BytesIO()
    kept = {"a": s.detach(), "b": s.detach().to_sparse_csr(), "c": s.detach().coalesce()}
    torch.save(kept, file)
    for weights_only in (True, False):
        file.seek(0)
        found = torch.load(file, weights_only=weights_only)
        for name, tensor in kept.items():
            assert found[name].layout is tensor.layout and torch.equal(found[name].to_dense(), tensor.to_dense())
        assert not found["a"].is_coalesced() and found["c"].is_coalesced()


def test_a_file_with_wrong_indices_is_refused():
    s = torch.sparse_coo_tensor([[0]], [1.0], (2,))
    s._idx = torch.tensor([[9]])
    file = io.BytesIO()
    torch.save(s, file)
    file.seek(0)
    with pytest.raises(Exception, match="size is inconsistent with indices"):
        torch.load(file)


def test_there_is_no_memory_to_look_at():
    s = torch.sparse_coo_tensor(INDICES, VALUES)
    with pytest.raises(TypeError, match="to_dense"):
        s.numpy()
    for call in (s.stride, s.data_ptr, s.storage, s.is_contiguous):
        with pytest.raises(RuntimeError):
            call()


def test_the_switch_of_checks():
    check = torch.sparse.check_sparse_tensor_invariants
    assert not check.is_enabled()
    with check():
        assert check.is_enabled()
    assert not check.is_enabled()
