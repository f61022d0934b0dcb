"""`torch.sparse`: tensors that store only elements that are not zero, in coordinates (COO) or compressed (CSR, CSC).

Read in this order: tensor.py (the classes), construct.py, operators.py (what operators do), gradients.py (gradients of
embeddings and of optimizers). Block layouts raise NotImplementedError.
"""
from .construct import (
    check_sparse_tensor_invariants, sparse_bsc_tensor, sparse_bsr_tensor, sparse_compressed_tensor, sparse_coo_tensor,
    sparse_csc_tensor, sparse_csr_tensor,
)
from .operators import addmm, log_softmax, mm, softmax, sum
from .tensor import LAYOUTS

__all__ = ["addmm", "check_sparse_tensor_invariants", "log_softmax", "mm", "softmax", "sum"]

sparse_coo, sparse_csr, sparse_csc, sparse_bsr, sparse_bsc = LAYOUTS.values()
