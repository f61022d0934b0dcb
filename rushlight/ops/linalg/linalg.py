"""Linear algebra: inverses, solutions of equations, determinants, and what all of `ops/linalg_*.py` share.

NumPy's LAPACK works on the matrices (host operators). What only the data shows (a singular matrix) comes back as
`info`, as in LAPACK: 0, or the number of the pivot that failed. The functions that raise read it, and so are sync
points; those with `_ex` in their names are not. Gradients are the classical formulas over matrix products (M. Giles,
Collected matrix derivative results, 2008). Read next: `linalg_factor` (triangular factors), `linalg_spectral`
(eigenvalues and singular values), `linalg_least` (least squares).
"""

import math

from ...base.lapack import svd
from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import REGISTRY, apply, public
from ...core.graph import MODE
from ...core.kinds import Host
from ...core.layout import contiguous_strides
from ...core.return_types import named_result
from ...core.storage import check
from ...core.tensor import Tensor
from ..basic.arithmetic import where
from ..basic.complex import conj, imag
from ..basic.creation import eye, full
from ..basic.pointwise import need_tensor
from ..basic.shape import stack


class _LinAlgError(RuntimeError):
    """A matrix that LAPACK cannot handle: `linalg.LinAlgError`, under the name that PyTorch's has."""


LinAlgError = _LinAlgError


REGISTRY["linalg.LinAlgError"] = LinAlgError


def check_matrix(name, input, square=False, letter="A"):
    """RuntimeError unless the last two dimensions are a (square) floating point matrix."""
    need_tensor(name.replace(".", "_"), letter, 1, input)
    shape = input.shape
    if len(shape) < 2:
        raise RuntimeError(f"{name}: The input tensor {letter} must have at least 2 dimensions.")
    if square and shape[-1] != shape[-2]:
        raise RuntimeError(f"{name}: {letter} must be batches of square matrices, but they are {shape[-2]} by "
                           f"{shape[-1]} matrices")
    if input.dtype.category < dt.FLOATING:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got "
                           f"{dt.scalar_type(input.dtype)}")
    if input.dtype.to_real() not in (dt.float32, dt.float64):
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {dt.scalar_type(input.dtype)}")


def check_same_dtype(name, A, B):
    """RuntimeError unless both matrices have one dtype."""
    if A.dtype is not B.dtype:
        raise RuntimeError(f"{name}: Expected A and B to have the same dtype, but found A of type "
                           f"{dt.scalar_type(A.dtype)} and B of type {dt.scalar_type(B.dtype)} instead")


def host(name, body, params=(), grad=None, node=None, conjugates=False):
    """A host operator whose public function works out the results."""
    return Host(name, body, layouts=rules.strided, params=params, grad=grad, node=node, conjugates=conjugates)


def call(op, values, tensors, *outs, **attrs):
    """Record a host operator with results of these (shape, dtype), or (shape, dtype, COLUMNS) for matrices."""
    found = [(tuple(shape), strides_of(shape, *columns), dtype) for shape, dtype, *columns in outs]
    return apply(op, values, tensors, (), (*attrs.items(), ("out", tuple(found))))


COLUMNS = True  # a result that LAPACK writes: its columns are contiguous


def strides_of(shape, columns=False):
    """Dense strides, row-major or with contiguous columns."""
    strides = contiguous_strides(shape)
    return (*strides[:-2], 1, max(shape[-2], 1)) if columns and len(strides) > 1 else strides


NON_FINITE = "the input matrix contained non-finite values"


def finite_svd(A, full):
    """(U, S, Vh) of a batch of arrays. LAPACK never ends where there is an infinity: such a matrix has NaN for all
    three, as PyTorch has for S. LinAlgError for a NaN."""
    finite = np.isfinite(A).all((-2, -1))
    if finite.all():
        return svd(A, full)
    if np.isnan(A).any():
        raise np.linalg.LinAlgError(NON_FINITE)
    found = svd(np.where(finite[..., None, None], A, 0).astype(A.dtype), full)
    return [np.where(np.expand_dims(finite, tuple(range(finite.ndim, part.ndim))), part, np.nan) for part in found]


def converged(name, op, values, tensors, *outs, **attrs):
    """`call` for an iteration that LAPACK may give up: run at once, so that the error belongs to the user's line."""
    try:
        results = call(op, values, tensors, *outs, **attrs)
        results[0]._storage.device.stream.flush()
        check(results[0]._storage)
    except np.linalg.LinAlgError as error:
        if str(error).startswith(NON_FINITE):
            raise LinAlgError(f"{name}: The algorithm failed to converge because {NON_FINITE}.") from None
        raise LinAlgError(f"{name}: The algorithm failed to converge because the input matrix is ill-conditioned or "
                          f"has too many repeated or infinite values: {error}") from None
    return results


def raise_info(name, info, text):
    """LinAlgError if a matrix of the batch failed; `text` has a place for the number of the pivot."""
    codes = info.cpu().numpy()
    bad = np.flatnonzero(codes)
    if bad.size:
        which = f"(Batch element {bad[0]}): " if codes.ndim else ""
        raise LinAlgError(f"{name}: {which}{text.format(codes.ravel()[bad[0]])}")


SINGULAR = "The diagonal element {} is zero, the inversion could not be completed because the input matrix is singular."
UNSOLVABLE = "The solver failed because the input matrix is singular."


def zero_pivot(matrix):
    """The number (from 1) of the first pivot of Gaussian elimination that is zero; 0 for a regular matrix."""
    rest = matrix.copy()
    for i in range(len(rest)):
        row = i + int(np.argmax(np.abs(rest[i:, i])))
        if rest[row, i] == 0:
            return i + 1
        rest[[i, row]] = rest[[row, i]]
        rest[i + 1:, i:] -= np.outer(rest[i + 1:, i] / rest[i, i], rest[i, i:])
    return 0


def _with_info(function, out, info, A, *others):
    """out = function(A, ...) for batches; matrices that NumPy refuses give NaN and the number of their zero pivot."""
    info[...] = 0
    try:
        out[...] = function(A, *others)
        return
    except np.linalg.LinAlgError:
        pass
    for i in np.ndindex(info.shape):
        try:
            out[i] = function(A[i], *[x[i] for x in others])
        except np.linalg.LinAlgError:
            out[i], info[i] = math.nan, zero_pivot(A[i]) or A.shape[-1]


def _inverse_body(outs, ins, numbers):
    _with_info(np.linalg.inv, *outs, *ins)


def _solve_body(outs, ins, numbers):
    _with_info(np.linalg.solve, *outs, *ins)


def _inverse_grad(gs, out0):
    back = out0.mT
    return -(back @ gs[0] @ back)


def _solve_grad(gs, A, out0):
    gB = solve_batch(A.mT, gs[0])[0]
    return -(gB @ out0.mT), gB


INVERSE = host("linalg_inv", _inverse_body, ("A",), {"A": _inverse_grad}, "LinalgInvExBackward0")
SOLVE = host("linalg_solve", _solve_body, ("A", "B"), {("A", "B"): _solve_grad}, "LinalgSolveExBackward0")
INVERSE_EX = named_result("linalg_inv_ex", "inverse", "info")
SOLVE_EX = named_result("linalg_solve_ex", "result", "info")


# -- inverses and equations ------------------------------------------------------------------------------------------


@public("linalg.inv_ex", cast="float32")
def inv_ex(A, *, check_errors=False):
    """The inverse of (batches of) square matrices, and 0 or the number of the zero pivot. With `check_errors`
    LinAlgError for that."""
    check_matrix("linalg.inv", A, True)
    result, info = call(INVERSE, (A,), (A,), (A.shape, A.dtype, COLUMNS), (A.shape[:-2], dt.int32))
    if check_errors:
        raise_info("linalg.inv", info, SINGULAR)
    return INVERSE_EX(result, info)


@public("linalg.inv inverse", cast="float32")
def inverse(A):
    """Return the inverse of square matrices.

    Args:
        A (Tensor): (..., n, n), floating or complex.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `A`.

    Raises:
        LinAlgError: a matrix is singular.
        RuntimeError: the matrices are not square.

    Example:
        >>> torch.inverse(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    return inv_ex(A, check_errors=True)[0]


def solve_batch(A, B):
    """(A^-1 B, info) for matrices of equal batch shape."""
    return call(SOLVE, (A, B), (A, B), (B.shape, B.dtype, COLUMNS), (A.shape[:-2], dt.int32))


def is_vector(A, B):
    """Whether B is a (batch of) vectors beside the matrices A, by PyTorch's rule."""
    return B.dim() == 1 or (B.dim() == A.dim() - 1 and B.shape == A.shape[:-1])


def broadcast_batches(*matrices):
    """Matrices expanded to one batch shape."""
    lead = rules.broadcast_shapes(*[tuple(m.shape[:-2]) for m in matrices])
    return [m.expand(*lead, *m.shape[-2:]) for m in matrices]


def _check_right(name, A, B, left):
    if B.dim() < 2:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    if A.shape[-2] != B.shape[-2 if left else -1]:
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
                           f"({A.shape[-2]}x{A.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})")


@public("linalg.solve_ex")
def solve_ex(A, B, *, left=True, check_errors=False):
    """X with A X = B (or X A = B), and 0 or the number of the zero pivot. B may be a vector."""
    check_matrix("linalg.solve", A, True)
    need_tensor("linalg_solve", "B", 2, B)
    check_same_dtype("linalg.solve", A, B)
    vector = is_vector(A, B)
    if vector:
        if not left:
            raise RuntimeError("linalg.solve: Vector broadcasting of the left hand side is not supported for "
                               "left=False. In this case linalg.solve is equivalent to B / A.squeeze(-1)")
        B = B.unsqueeze(-1)
    _check_right("linalg.solve", A, B, left)
    A, B = broadcast_batches(A, B)
    result, info = solve_batch(A if left else A.mT, B if left else B.mT)
    if check_errors:
        raise_info("torch.linalg.solve", info, UNSOLVABLE)
    result = result if left else result.mT
    return SOLVE_EX(result.squeeze(-1) if vector else result, info)


@public("linalg.solve", cast="float32")
def solve(A, B, *, left=True):
    """X with A X = B (or X A = B). B may be a vector. LinAlgError if A is singular."""
    return solve_ex(A, B, left=left, check_errors=True)[0]


@public("linalg.tensorinv", cast="float32")
def tensorinv(A, ind=2):
    """The inverse for `tensordot` over the first `ind` dimensions of A."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    shape = tuple(A.shape)
    rows, columns = math.prod(shape[ind:]), math.prod(shape[:ind])
    if rows != columns:
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[ind:]) == "
                           f"prod(self.shape[:ind]), but got {rows} != {columns}")
    found, info = inv_ex(A.reshape(columns, rows))
    raise_info("linalg.tensorinv", info, "Failed to invert the input tensor, because it is singular.")
    return found.reshape(*shape[ind:], *shape[:ind])


@public("linalg.tensorsolve", cast="float32")
def tensorsolve(A, B, dims=None):
    """X with tensordot(A, X, X.ndim) = B; the dimensions `dims` of A are moved to its end first."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.dim() - len(dims), A.dim())))
    rest = tuple(A.shape[B.dim():])
    if math.prod(rest) != B.numel():
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
                           f"prod(self.shape[:other.ndim]), but got {math.prod(rest)} != {B.numel()}")
    return solve(A.reshape(B.numel(), math.prod(rest)), B.flatten()).reshape(rest)


# -- determinants ----------------------------------------------------------------------------------------------------


def _slogdet_body(outs, ins, numbers):
    outs[0][...], outs[1][...] = np.linalg.slogdet(ins[0])


def _det_body(outs, ins, numbers):
    outs[0][...] = np.linalg.det(ins[0])


def _adjugate_body(outs, ins, numbers):
    """The matrix of cofactors from singular values: exact also where the matrix is singular."""
    try:
        U, S, Vh = finite_svd(ins[0], True)
    except np.linalg.LinAlgError:  # not a number somewhere
        outs[0][...] = math.nan
        return
    sign = np.linalg.det(U) * np.linalg.det(Vh)
    U, Vh = np.conj(U), np.conj(Vh)
    n = S.shape[-1]
    others = np.stack([np.delete(S, i, -1).prod(-1) for i in range(n)], -1) if n else S
    outs[0][...] = (U * (others * sign[..., None])[..., None, :]) @ Vh


def _det_grad(g, A, out):
    g = g[..., None, None]
    if MODE.grad:
        return g * out[..., None, None] * inv_ex(A)[0].mT
    return g * call(COFACTORS, (A,), (A,), (A.shape, A.dtype))[0]


def _slogdet_grad(gs, A, out0):
    """(g of the logarithm + what turns the sign) times the inverse of A^H. The sign of a real matrix is constant."""
    turn, g = gs
    if turn is not None and A._layout.dtype.is_complex:
        angle = imag(conj(turn) * out0) * -1j
        g = angle if g is None else g + angle
    return None if g is None else g[..., None, None] * inv_ex(A)[0].mH


SLOGDET = host("linalg_slogdet", _slogdet_body, ("A",), {"A": _slogdet_grad}, "LinalgSlogdetBackward0", True)
DET = host("linalg_det", _det_body, ("A",), {"A": _det_grad}, "LinalgDetBackward0")
COFACTORS = host("linalg_cofactors", _adjugate_body)
SLOGDET_RESULT = {name: named_result(name, "sign", "logabsdet") for name in ("linalg_slogdet", "slogdet")}


def _slogdet(A, kind):
    check_matrix("linalg.slogdet", A, True)
    shapes = (A.shape[:-2], A.dtype), (A.shape[:-2], A.dtype.to_real())
    return SLOGDET_RESULT[kind](*call(SLOGDET, (A,), (A,), *shapes))


@public("linalg.slogdet")
def linalg_slogdet(A):
    """Sign and logarithm of the absolute value of the determinant."""
    return _slogdet(A, "linalg_slogdet")


@public("slogdet")
def slogdet(input):
    """Return the sign and the logarithm of the absolute value of determinants.

    Args:
        input (Tensor): (..., n, n), floating or complex.
        out (Tensor, optional): where the result is written.

    Returns:
        (sign, logabsdet): the shape of `input` without the last two dimensions; 0 and -inf for a singular matrix.

    Raises:
        RuntimeError: the matrices are not square.

    Example:
        >>> sign, logabsdet = torch.slogdet(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        >>> sign, logabsdet
        (tensor(-1.), tensor(0.))
    """
    return _slogdet(input, "slogdet")


@public("linalg.det det")
def det(A):
    """Return the determinant of square matrices.

    Args:
        A (Tensor): (..., n, n), floating or complex.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `A` without the last two dimensions.

    Raises:
        RuntimeError: the matrices are not square.

    Example:
        >>> torch.det(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor(-2.)
    """
    check_matrix("linalg.det", A, True)
    return call(DET, (A,), (A,), (A.shape[:-2], A.dtype))[0]


@public("logdet")
def logdet(input):
    """Return the logarithm of determinants.

    Args:
        input (Tensor): (..., n, n), floating.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `input` without the last two dimensions; NaN where the determinant is negative.

    Raises:
        RuntimeError: the matrices are not square.

    Example:
        >>> torch.logdet(torch.tensor([[2.0, 0.0], [0.0, 0.5]]))
        tensor(0.)
    """
    sign, logarithm = slogdet(input)
    if sign._layout.dtype.is_complex:
        return logarithm + sign.log()
    return where(sign < 0, math.nan, logarithm)


# -- products --------------------------------------------------------------------------------------------------------


@public("", node="LinalgMatrixPowerBackward0", grad={"A": lambda g: g.new_zeros(g.shape)}, out=False)
def unit_power(A):
    """The identity, which does not depend on A."""
    return eye(A.shape[-1], dtype=A.dtype, device=A.device).expand(A.shape).clone()


def _power_cast(A, n, **rest):
    """Autocast: a power is a product, unless it is the matrix itself, its inverse or one."""
    return "result" if abs(n) > 1 else "float32" if n < 0 else None


@public("linalg.matrix_power matrix_power", cast=_power_cast)
def matrix_power(A, n):
    """Return powers of square matrices.

    Args:
        A (Tensor): (..., n, n), floating or complex.
        n (int): the exponent; the inverse is raised for a negative one.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape of `A`.

    Raises:
        RuntimeError: the matrices are not square.
        LinAlgError: a singular matrix is raised to a negative power.

    Example:
        >>> torch.matrix_power(torch.tensor([[1.0, 1.0], [1.0, 0.0]]), 10)
        tensor([[89., 55.],
                [55., 34.]])
    """
    check_matrix("linalg.matrix_power", A, True)
    if n < 0:
        A, n = inverse(A), -n
    result = None
    while n:
        if n & 1:
            result = A if result is None else result @ A
        n >>= 1
        A = A @ A if n else A
    return unit_power(A) if result is None else result


@public("linalg.vecdot", cast="lower")
def vecdot(x, y, *, dim=-1):
    """The sum of products along `dim`."""
    need_tensor("linalg_vecdot", "x", 1, x)
    need_tensor("linalg_vecdot", "y", 2, y)
    return (conj(x) * y).sum(dim)


@public("", node="LinalgCrossBackward0", out=False, grad={
    "input": lambda g, other, dim: cross_node(other, g, dim), "other": lambda g, input, dim: cross_node(g, input, dim)})
def cross_node(input, other, dim):
    """The cross product as one node."""
    a, b = input.unbind(dim), other.unbind(dim)
    return stack([a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)], dim)


@public("linalg.cross")
def linalg_cross(input, other, *, dim=-1):
    """The cross product of vectors of length 3 along `dim`."""
    need_tensor("linalg_cross", "input", 1, input)
    need_tensor("linalg_cross", "other", 2, other)
    if input.dim() != other.dim():
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    dim = rules.wrap_dim(dim, input.dim())
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[dim]} and "
                           f"{other.shape[dim]}")
    shape = rules.broadcast_shapes(tuple(input.shape), tuple(other.shape))
    return cross_node(input.expand(shape), other.expand(shape), dim)


@public("cross")
def cross(input, other, dim=None):
    """Return the cross product of vectors of length 3.

    Args:
        input (Tensor): any shape with a dimension of size 3.
        other (Tensor): a shape that broadcasts with that of `input`.
        dim (int, optional): the dimension of the vectors; by default the first one of size 3.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the common shape.

    Raises:
        RuntimeError: no dimension has size 3, or the shapes do not broadcast.

    Example:
        >>> torch.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), dim=0)
        tensor([0., 0., 1.])
    """
    if dim is None:
        dim = next((d for d, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    return linalg_cross(input, other, dim=dim)


@public("trace", out=False, cast="float32")
def trace(input):
    """Return the sum of the diagonal of a matrix.

    Args:
        input (Tensor): (n, m), any dtype.

    Returns:
        Tensor: 0-dim; int64 for integers.

    Raises:
        RuntimeError: `input` is not a matrix.

    Example:
        >>> torch.trace(torch.tensor([[1, 2], [3, 4]]))
        tensor(5)
    """
    need_tensor("trace", "input", 1, input)
    if input.dim() != 2:
        raise RuntimeError("trace: expected a matrix, but got tensor with dim " + str(input.dim()))
    return input.diagonal().sum()


def as_tensor(value, like):
    """A number or tensor as a tensor of the dtype of `like`."""
    if isinstance(value, Tensor):
        return value.to(like.dtype)
    return full((), value, dtype=like.dtype, device=like.device)
