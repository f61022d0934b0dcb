"""Functions that PyTorch has removed: the names remain, and say what to call instead."""

from ...core.declare import public

INSTEAD = {
    "eig": "torch.linalg.eig, or torch.linalg.eigvals for eigenvalues alone; their results are complex",
    "symeig": "torch.linalg.eigh (UPLO='U' for upper=True), or torch.linalg.eigvalsh for eigenvalues alone",
    "lstsq": "torch.linalg.lstsq, which takes (A, B) instead of (B, A) and has the residuals in a field of their own",
    "solve": "torch.linalg.solve, which takes (A, B) instead of (B, A); torch.lu_factor gives the factors",
    "matrix_rank": "torch.linalg.matrix_rank, whose parameter `hermitian` was called `symmetric`",
}


def _removed(name, text):
    def call(*args, **kwargs):
        raise RuntimeError("This function was deprecated since version 1.9 and is now removed. Instead of "
                           f"`torch.{name}` use {text}.")
    call.__name__ = name
    call.__doc__ = f"Removed: use {text}."
    return public(name if name != "matrix_rank" else "torch.matrix_rank", out=False)(call)


for _name, _text in INSTEAD.items():
    _removed(_name, _text)


@public("Tensor.index", out=False)
def index(self, positions, dims):
    """Indexing with first-class dimensions, which Rushlight does not have: NotImplementedError."""
    raise NotImplementedError("Tensor.index: first-class dimensions (functorch.dim) are not implemented in rushlight")
