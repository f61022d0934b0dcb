"""What the distributions share: broadcasting of parameters, probabilities and logits, lazily computed attributes."""
import functools

from .. import api as rl
from ..nn import functional as F
from ..overrides import is_tensor_like

__all__ = ["broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "probs_to_logits", "tril_matrix_to_vec",
           "vec_to_tril_matrix"]

euler_constant = 0.57721566490153286060
Number = (int, float, bool)


def broadcast_all(*values):
    """Numbers and tensors as tensors of one shape.

    Numbers become tensors of the dtype and device of the first tensor, or of the default dtype if there is none.
    ValueError for other objects.
    """
    tensors = [value for value in values if is_tensor_like(value)]
    if not all(is_tensor_like(value) or isinstance(value, (*Number, complex)) for value in values):
        raise ValueError("Input arguments must all be instances of Number, torch.Tensor or objects implementing "
                         "__torch_function__.")
    if len(tensors) < len(values):
        like = next((t for t in tensors if isinstance(t, rl.Tensor)), None)
        options = dict(dtype=rl.get_default_dtype()) if like is None else dict(dtype=like.dtype, device=like.device)
        values = [value if is_tensor_like(value) else rl.tensor(value, **options) for value in values]
    shape = rl.broadcast_shapes(*[value.shape for value in values])
    # a tensor that has the shape stays itself: a parameter that requires a gradient remains a leaf
    return tuple([value if value.shape == shape else value.expand(shape) for value in values])


def _standard_normal(shape, dtype, device):
    return rl.empty(shape, dtype=dtype, device=device).normal_()


def _sum_rightmost(value, dim):
    """The sum over the last `dim` dimensions."""
    return value.reshape(value.shape[:-dim] + (-1,)).sum(-1) if dim else value


def logits_to_probs(logits, is_binary=False):
    """Probabilities of log odds (binary), or of unnormalised log probabilities along the last dimension."""
    return rl.sigmoid(logits) if is_binary else F.softmax(logits, dim=-1)


def clamp_probs(probs):
    """Probabilities moved into [eps, 1 - eps], with the machine epsilon of their dtype."""
    eps = rl.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs, is_binary=False):
    """The inverse of `logits_to_probs`, finite also for probabilities of 0 and 1."""
    inner = clamp_probs(probs)
    return rl.log(inner) - rl.log1p(-inner) if is_binary else rl.log(inner)


class lazy_property:
    """A method that becomes an attribute: computed when it is first read, with gradients, and kept in the object."""

    def __init__(self, wrapped):
        self.wrapped = wrapped
        functools.update_wrapper(self, wrapped)

    def __get__(self, instance, obj_type=None):
        if instance is None:
            return _lazy_property_and_property(self.wrapped)
        with rl.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _lazy_property_and_property(lazy_property, property):
    """What the class itself answers: a property to tools that look for one."""

    def __init__(self, wrapped):
        property.__init__(self, wrapped)


def _below(size, diag, device):
    """The mask of the lower triangle up to diagonal `diag`."""
    positions = rl.arange(size, device=device)
    return positions < positions.view(-1, 1) + (diag + 1)


def tril_matrix_to_vec(mat, diag=0):
    """The elements of the lower triangle, row by row, as one dimension. ValueError if `diag` is out of range."""
    size = mat.shape[-1]
    if not -size <= diag < size:
        raise ValueError(f"diag ({diag}) provided is outside [{-size}, {size - 1}].")
    return mat[..., _below(size, diag, mat.device)]


def vec_to_tril_matrix(vec, diag=0):
    """The inverse of `tril_matrix_to_vec`. ValueError if the number of elements fits no matrix."""
    count = vec.shape[-1]
    shift = 1 + 2 * diag
    size = (-shift + (shift**2 + 8 * count + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2
    if round(size) - size > rl.finfo(vec.dtype).eps:
        raise ValueError(f"The size of last dimension is {count} which cannot be expressed as the lower triangular "
                         "part of a square D x D matrix.")
    size = round(size)
    mat = vec.new_zeros(vec.shape[:-1] + (size, size))
    mat[..., _below(size, diag, vec.device)] = vec
    return mat
