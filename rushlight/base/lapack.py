"""NumPy's LAPACK in the precision of the operands.

NumPy's public functions compute matrices of single precision in double precision. That costs twice the time, and a
singular matrix has other (smaller) rounding errors in its zeros than PyTorch's. Its gufuncs know both precisions; they
are private, so the public functions stand in where a release has other names.
"""

from .lazy import numpy as np


def _diverged(text, flag):
    raise np.linalg.LinAlgError("SVD did not converge")


def svd(A, full):
    """(U, S, Vh) of a batch of matrices. LinAlgError where the iteration does not converge."""
    found = getattr(getattr(np.linalg, "_umath_linalg", None), "svd_f" if full else "svd_s", None)
    signature = {"f": "f->fff", "F": "F->FfF"}.get(A.dtype.char)
    if found is None or signature is None or not A.size:
        return np.linalg.svd(A, full)
    with np.errstate(call=_diverged, invalid="call", over="ignore", divide="ignore", under="ignore"):
        return found(A, signature=signature)
