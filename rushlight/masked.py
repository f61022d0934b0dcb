"""`torch.masked`: reductions and normalisations over the elements that a mask names, and tensors that carry a mask.

A reduction sees its neutral element where the mask is False; where a mask leaves nothing, its result is that neutral
element (NaN for means), as in PyTorch.
"""

import math

from . import api as rl
from .core.dispatch import DisableSubclasses

__all__ = ["MaskedTensor", "amax", "amin", "argmax", "argmin", "as_masked_tensor", "cumprod", "cumsum",
           "is_masked_tensor", "log_softmax", "logaddexp", "logsumexp", "masked_tensor", "mean", "median", "norm",
           "normalize", "prod", "softmax", "softmin", "std", "sum", "var"]


def _mask_of(input, mask):
    """(the values, the mask as a tensor of their shape or None) of a tensor, which may carry its own."""
    if isinstance(input, MaskedTensor):
        own = input.get_mask()
        mask = own if mask is None else mask & own
        input = input.get_data()
    if mask is None:
        return input, None
    if mask.dtype is not rl.bool:
        mask = mask != 0
    return input, mask.expand(input.shape) if mask.shape != input.shape else mask


def _filled(input, mask, value):
    return input if mask is None else rl.where(mask, input, value)


def _dims(input, dim):
    return tuple(range(input.dim())) if dim is None or dim == () else (dim,) if isinstance(dim, int) else tuple(dim)


def _cast(input, dtype):
    return input if dtype is None else input.to(dtype)


def _lowest(dtype):
    return -math.inf if dtype.is_floating_point else rl.iinfo(dtype).min


def _highest(dtype):
    return math.inf if dtype.is_floating_point else rl.iinfo(dtype).max


def _result(input, values, mask, dims, keepdim=False):
    """The result of a reduction: with a mask of its own if the input had one."""
    if not isinstance(input, MaskedTensor):
        return values
    left = mask
    for d in sorted([d % mask.dim() for d in dims], reverse=True):
        left = left.any(d, keepdim=keepdim)
    return MaskedTensor(values, left)


def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The sum of the elements that the mask names."""
    x, m = _mask_of(input, mask)
    dims = _dims(x, dim)
    return _result(input, rl.sum(_filled(_cast(x, dtype), m, 0), dims, keepdim=keepdim), m, dims, keepdim)


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The product of the elements that the mask names."""
    x, m = _mask_of(input, mask)
    dims, found = _dims(x, dim), _filled(_cast(x, dtype), m, 1)
    for d in sorted([d % x.dim() for d in dims], reverse=True):
        found = found.prod(d, keepdim=keepdim)
    return _result(input, found, m, dims, keepdim)


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The largest of the elements that the mask names."""
    x, m = _mask_of(input, mask)
    x, dims = _cast(x, dtype), _dims(x, dim)
    return _result(input, rl.amax(_filled(x, m, _lowest(x.dtype)), dims, keepdim=keepdim), m, dims, keepdim)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The smallest of the elements that the mask names."""
    x, m = _mask_of(input, mask)
    x, dims = _cast(x, dtype), _dims(x, dim)
    return _result(input, rl.amin(_filled(x, m, _highest(x.dtype)), dims, keepdim=keepdim), m, dims, keepdim)


def argmax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The position of the largest of the elements that the mask names, in the dtype of the elements."""
    x, m = _mask_of(input, mask)
    x = _cast(x, dtype)
    return rl.argmax(_filled(x, m, _lowest(x.dtype)), dim, keepdim=keepdim).to(x.dtype)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The position of the smallest of the elements that the mask names, in the dtype of the elements."""
    x, m = _mask_of(input, mask)
    x = _cast(x, dtype)
    return rl.argmin(_filled(x, m, _highest(x.dtype)), dim, keepdim=keepdim).to(x.dtype)


def _counts(x, m, dims, keepdim):
    if m is None:
        return math.prod([x.shape[d] for d in dims])
    return rl.sum(m, dims, keepdim=keepdim)


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The mean of the elements that the mask names."""
    x, m = _mask_of(input, mask)
    x, dims = _cast(x, dtype), _dims(x, dim)
    found = rl.sum(_filled(x, m, 0), dims, keepdim=keepdim) / _counts(x, m, dims, keepdim)
    return _result(input, found, m, dims, keepdim)


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None):
    """The lower median of the elements that the mask names, along one dimension. ValueError for integers."""
    x, m = _mask_of(input, mask)
    x = _cast(x, dtype)
    if not x.is_floating_point():
        raise ValueError("masked median: expected a floating point tensor")
    return _result(input, rl.nanmedian(_filled(x, m, math.nan), dim, keepdim=keepdim)[0], m, (dim,), keepdim)


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The variance of the elements that the mask names."""
    x, m = _mask_of(input, mask)
    x, dims = _cast(x, dtype), _dims(x, dim)
    x = x if x.is_floating_point() or x.is_complex() else x.to(rl.get_default_dtype())
    if correction is None:
        correction = 0 if unbiased is False else 1
    count = _counts(x, m, dims, True)
    away = _filled(x - rl.sum(_filled(x, m, 0), dims, keepdim=True) / count, m, 0)
    less = count - correction
    less = less.clamp_min(0) if isinstance(less, rl.Tensor) else max(less, 0)
    found = rl.sum(away * away.conj() if x.is_complex() else away * away, dims, keepdim=True) / less
    return _result(input, found if keepdim else found.squeeze(dims), m, dims, keepdim)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The standard deviation of the elements that the mask names."""
    x, m = _mask_of(input, mask)
    found = var(x, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=m).sqrt()
    return _result(input, found, m, _dims(x, dim), keepdim)


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The norm of the elements that the mask names."""
    x, m = _mask_of(input, mask)
    x, dims = _cast(x, dtype), _dims(x, dim)
    found = rl.linalg.vector_norm(_filled(x, m, math.inf if ord == -math.inf else 0), ord, dims, keepdim=keepdim)
    return _result(input, found, m, dims, keepdim)


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The logarithm of the sum of exponentials of the elements that the mask names."""
    x, m = _mask_of(input, mask)
    x, dims = _cast(x, dtype), _dims(x, dim)
    found = rl.logsumexp(_filled(x, m, _lowest(x.dtype) if not x.is_complex() else -math.inf), dims, keepdim=keepdim)
    return _result(input, found.to(x.dtype), m, dims, keepdim)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None):
    """log(exp(input) + exp(other)) of the elements that the masks name."""
    a, m = _mask_of(input, input_mask)
    b, n = _mask_of(other, other_mask)
    return rl.logaddexp(_filled(_cast(a, dtype), m, -math.inf), _filled(_cast(b, dtype), n, -math.inf))


def _same_shape(function, neutral):
    def call(input, dim, *, dtype=None, mask=None):
        x, m = _mask_of(input, mask)
        x = _cast(x, dtype)
        found = function(_filled(x, m, neutral), dim)
        return MaskedTensor(found, m) if isinstance(input, MaskedTensor) else found
    call.__name__ = call.__qualname__ = function.__name__
    call.__doc__ = f"`{function.__name__}` along a dimension, over the elements that the mask names."
    return call


softmax = _same_shape(rl.softmax, -math.inf)
log_softmax = _same_shape(rl.log_softmax, -math.inf)
cumsum, cumprod = _same_shape(rl.cumsum, 0), _same_shape(rl.cumprod, 1)


def softmin(input, dim, *, dtype=None, mask=None):
    """`softmax` of the negative, over the elements that the mask names."""
    x, m = _mask_of(input, mask)
    return rl.softmax(_filled(-_cast(x, dtype), m, -math.inf), dim)


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None):
    """The elements that the mask names, over their norm along a dimension."""
    x, m = _mask_of(input, mask)
    x = _filled(_cast(x, dtype), m, 0)
    return x / norm(x, ord, dim, keepdim=True, mask=m).clamp_min(eps)


# -- tensors that carry a mask ---------------------------------------------------------------------------------------


class MaskedTensor(rl.Tensor):
    """Values and a mask of the same shape: element-wise functions keep the mask, reductions see what it names."""

    def __new__(cls, data, mask, requires_grad=False):
        if data.shape != mask.shape:
            raise ValueError(f"data and mask must have the same shape, got {tuple(data.shape)} and "
                             f"{tuple(mask.shape)}")
        if mask.dtype is not rl.bool:
            raise TypeError(f"mask must be of dtype bool, got {mask.dtype}")
        made = rl.Tensor._make_subclass(cls, data.detach())
        made._masked_data = data.detach().requires_grad_() if requires_grad else data
        made._masked_mask = mask
        return made

    def get_data(self):
        """The values, also those that the mask hides."""
        return self._masked_data

    def get_mask(self):
        """The mask."""
        return self._masked_mask

    def to_tensor(self, value):
        """The values, with `value` where the mask is False."""
        return rl.where(self._masked_mask, self._masked_data, value)

    @property
    def grad(self):
        """The gradient of the values, under the same mask."""
        found = self._masked_data.grad
        return None if found is None else MaskedTensor(found, self._masked_mask)

    def backward(self, gradient=None, **kwargs):
        """The backward pass from the values."""
        self._masked_data.backward(gradient.get_data() if isinstance(gradient, MaskedTensor) else gradient, **kwargs)

    def __repr__(self):
        data, mask = self._masked_data.detach(), self._masked_mask
        return f"MaskedTensor(\n{_shown(data, mask, 2)}\n)"

    __str__ = __repr__

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        reduction = REDUCTIONS.get(name)
        if reduction is not None and isinstance(args[0], MaskedTensor):
            return reduction(*args, **kwargs)
        masks = [a._masked_mask for a in args if isinstance(a, MaskedTensor)]
        if masks and any([m.shape != masks[0].shape or not rl.equal(m, masks[0]) for m in masks[1:]]):
            raise ValueError("Input masks must match. If you need support for this, please open an issue on Github.")
        with DisableSubclasses():
            plain = [a._masked_data if isinstance(a, MaskedTensor) else a for a in args]
            result = func(*plain, **{k: v._masked_data if isinstance(v, MaskedTensor) else v
                                     for k, v in kwargs.items()})
            if not isinstance(result, rl.Tensor) or not masks or name in ("__get__", "__set__"):
                return result
            if result.shape == masks[0].shape:
                return MaskedTensor(result, masks[0])
            moved = func(masks[0], *args[1:], **kwargs) if name in MOVES else None
        if moved is None:
            raise NotImplementedError(f"MaskedTensor: {name} is not implemented in rushlight")
        return MaskedTensor(result, moved)


def _shown(data, mask, indent):
    """The text of masked values: "--" for what is hidden, a line for each row."""
    space = " " * indent
    if data.dim() < 2:
        texts = [("--" if not m else f"{v:.4f}" if isinstance(v, float) else str(v)).rjust(8)
                 for v, m in zip(data.reshape(-1).tolist(), mask.reshape(-1).tolist())]
        return space + (f"[{', '.join(texts)}]" if data.dim() else texts[0].strip())
    rows = [_shown(d, m, indent + 2) for d, m in zip(data.unbind(0), mask.unbind(0))]
    return f"{space}[\n" + ",\n".join(rows) + f"\n{space}]"


MOVES = frozenset("transpose permute reshape view t squeeze unsqueeze expand flatten select narrow __getitem__".split())
REDUCTIONS = {f.__name__: f for f in (sum, prod, amax, amin, argmax, argmin, mean, var, std, norm, logsumexp, softmax,
                                      log_softmax, cumsum, cumprod)}


def masked_tensor(data, mask, requires_grad=False):
    """A MaskedTensor with values and mask of its own."""
    return MaskedTensor(data.detach().clone(), mask.clone(), requires_grad)


def as_masked_tensor(data, mask):
    """A MaskedTensor over the values given, part of their graph."""
    return MaskedTensor(data, mask)


def is_masked_tensor(obj):
    """Whether an object is a MaskedTensor."""
    return isinstance(obj, MaskedTensor)
