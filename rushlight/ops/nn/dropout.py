"""Dropout and its relatives, rrelu and gumbel_softmax: functions that draw while a network is trained.

The noise of dropout is one element-wise operator over raw draws (0 or 1 / (1 - p)) and the result is `input * noise`,
so that both fuse with their neighbours and the gradient is that of a product, as in PyTorch. Read `random` first.
"""

import math
import warnings

from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import elementwise, public
from ...core.grads import GradRule, begin_write, end_write
from ...core.kinds import Kernel
from ...core.record import record
from ...core.stream import STREAM
from ...core.tensor import empty as empty_tensor
from ...core.tensor import version_of
from ..basic.arithmetic import mul, where
from ..basic.copy import to_dtype
from ..basic.creation import ones_like, zeros, zeros_like
from ..random.distributions import bernoulli_values, threshold
from ..random.generator import draw
from ..random.random import DIGITS, bits53, emit, raw_draws, result_dtype

SELU_ALPHA = 1.7580993408473766  # alpha * scale of selu: what alpha_dropout sets dropped values to, negated


@elementwise("Tensor._dropout_noise", name="dropout_noise", promote=result_dtype)
def dropout_noise(k, raw, limit: float, keep: float, dtype: object):
    """1 / keep where the 53-bit draw is below the limit, else 0."""
    wide = dtype.compute
    scale = k.cast(k.const(1.0, wide) / k.cast(keep, wide), dtype)
    return k.where(bits53(k, raw) < limit, scale, k.const(0.0, dtype))


def _check_probability(p, error=RuntimeError):
    if not 0 <= p <= 1:
        raise error(f"dropout probability has to be between 0 and 1, but got {p}")


def _noise_like(input, feature):
    """A tensor like the noise: the input, or an empty one of one number per sample and channel."""
    if not feature:
        return input
    shape = tuple(input.shape)
    if len(shape) < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return empty_tensor((*shape[:2], *([1] * (len(shape) - 2))), input.dtype, input.device)


def _check_floating(dtype):
    if dtype.category < dt.FLOATING:
        raise RuntimeError(f"result type Float can't be cast to the desired output type {dt.scalar_type(dtype)}")


def drop(input, p, train, feature=False, alpha=False, inplace=False):
    """All members of the family. `feature`: whole channels; `alpha`: keep mean and variance of selu's outputs."""
    _check_probability(p)
    if p == 0 or not train or not input.numel():
        return input
    if p == 1:
        zero = zeros((), dtype=input.dtype, device=input.device)
        return input.mul_(zero) if inplace else mul(input, zero)
    noisy = _noise_like(input, feature)
    found = noisy._layout
    _check_floating(found.dtype)
    raw = raw_draws(noisy, None, True)
    limit = threshold(1 - p)
    if not alpha:
        noise = emit(dropout_noise, found.dtype, (raw,), (limit, float(1 - p)))
        return mul.inplace(input, noise) if inplace else mul(input, noise)
    noise = emit(bernoulli_values, found.dtype, (raw,), (limit,))
    a = 1.0 / math.sqrt((SELU_ALPHA * SELU_ALPHA * p + 1) * (1 - p))
    shift = (noise + -1) * (SELU_ALPHA * a) + SELU_ALPHA * a * p
    noise = noise * a
    if inplace:
        return input.mul_(noise).add_(shift)
    return mul(input, noise) + shift


@public("torch.dropout", out=False)
def dropout_function(input, p, train):
    """`nn.functional.dropout` without defaults."""
    return drop(input, p, train)


@public("torch.dropout_", out=False)
def dropout_function_(input, p, train):
    """`dropout` in place."""
    return drop(input, p, train, inplace=True)


@public("torch.feature_dropout", out=False)
def feature_dropout(input, p, train):
    """Drop whole channels (the second dimension)."""
    return drop(input, p, train, feature=True)


@public("torch.feature_dropout_", out=False)
def feature_dropout_(input, p, train):
    """`feature_dropout` in place."""
    return drop(input, p, train, feature=True, inplace=True)


@public("torch.alpha_dropout", out=False)
def alpha_dropout_function(input, p, train):
    """`nn.functional.alpha_dropout` without defaults."""
    return drop(input, p, train, alpha=True)


@public("torch.alpha_dropout_", out=False)
def alpha_dropout_function_(input, p, train):
    """`alpha_dropout` in place."""
    return drop(input, p, train, alpha=True, inplace=True)


@public("torch.feature_alpha_dropout", out=False)
def feature_alpha_dropout_function(input, p, train):
    """`nn.functional.feature_alpha_dropout` without defaults."""
    return drop(input, p, train, feature=True, alpha=True)


@public("torch.feature_alpha_dropout_", out=False)
def feature_alpha_dropout_function_(input, p, train):
    """`feature_alpha_dropout` in place."""
    return drop(input, p, train, feature=True, alpha=True, inplace=True)


@public("torch.native_dropout", out=False)
def native_dropout(input, p, train):
    """(input * mask / (1 - p), mask) with a bool mask; without training the input and a mask of ones."""
    if not train or not input.numel():
        return input.clone() if input.numel() else input, ones_like(input, dtype=dt.bool_)
    _check_probability(p)
    mask = empty_tensor(tuple(input.shape), dt.bool_, input.device).bernoulli_(1 - p)
    return input * mask * (0.0 if p == 1 else 1.0 / (1.0 - p)), mask


# -- nn.functional -------------------------------------------------------------------------------------------


@public("nn.functional.dropout", out=False)
def dropout(input, p=0.5, training=True, inplace=False):
    """While training: zero each element with probability p and scale the others by 1 / (1 - p). ValueError unless 0
    <= p <= 1."""
    _check_probability(p, ValueError)
    return drop(input, p, training, inplace=inplace)


@public("nn.functional.alpha_dropout", out=False)
def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps mean 0 and variance 1 of selu's outputs: dropped elements become selu's negative limit."""
    _check_probability(p, ValueError)
    return drop(input, p, training, alpha=True, inplace=inplace)


@public("nn.functional.feature_alpha_dropout", out=False)
def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """`alpha_dropout` of whole channels."""
    _check_probability(p, ValueError)
    return drop(input, p, training, feature=True, alpha=True, inplace=inplace)


def _drop_channels(input, p, training, inplace, batched):
    if not batched:
        input = input.unsqueeze_(0) if inplace else input.unsqueeze(0)
    result = drop(input, p, training, feature=True, inplace=inplace)
    if not batched:
        result = result.squeeze_(0) if inplace else result.squeeze(0)
    return result


@public("nn.functional.dropout1d", out=False)
def dropout1d(input, p=0.5, training=True, inplace=False):
    """Drop whole channels of (N, C, L) or (C, L)."""
    _check_probability(p, ValueError)
    rank = input.dim()
    if rank not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {rank}D input. Note that dropout1d "
                           "exists to provide channel-wise dropout on inputs with 1 spatial dimension, a channel "
                           "dimension, and an optional batch dimension (i.e. 2D or 3D inputs).")
    return _drop_channels(input, p, training, inplace, rank == 3)


def _warn_rank(name, rank, spatial):
    warnings.warn(f"{name}: Received a {rank}-D input to {name}, which is deprecated and will result in an error in a "
                  "future release. To retain the behavior and silence this warning, please use dropout instead. Note "
                  f"that {name} exists to provide channel-wise dropout on inputs with {spatial} spatial dimensions, a "
                  f"channel dimension, and an optional batch dimension (i.e. {spatial + 1}D or {spatial + 2}D "
                  "inputs).", stacklevel=3)


@public("nn.functional.dropout2d", out=False)
def dropout2d(input, p=0.5, training=True, inplace=False):
    """Drop whole channels of (N, C, H, W); a 3-d input counts as (N, C, L)."""
    _check_probability(p, ValueError)
    rank = input.dim()
    if rank not in (3, 4):
        _warn_rank("dropout2d", rank, 2)
    if rank == 3:
        warnings.warn("dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior "
                      "is desired - input is interpreted as shape (N, C, L), where C is the channel dim. This behavior "
                      "will change in a future release to interpret the input as one without a batch dimension, i.e. "
                      "shape (C, H, W). To maintain the 1D channel-wise dropout behavior, please switch to using "
                      "dropout1d instead.", stacklevel=2)
    return drop(input, p, training, feature=True, inplace=inplace)


@public("nn.functional.dropout3d", out=False)
def dropout3d(input, p=0.5, training=True, inplace=False):
    """Drop whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    _check_probability(p, ValueError)
    rank = input.dim()
    if rank not in (4, 5):
        _warn_rank("dropout3d", rank, 3)
    return _drop_channels(input, p, training, inplace, rank != 4)


# -- rrelu ---------------------------------------------------------------------------------------------------


RRELU_NOISE = Kernel("rrelu_noise", layouts=rules.strided, lower="rows.sampling:lower_slopes",
                     reads=("contiguous", "contiguous"))
RRELU_RULE = GradRule("rrelu", ["input", "noise"], {"input": lambda g, noise: g * noise}, "RreluWithNoiseBackward1")


@public("Tensor._rrelu_with_noise", grad={"input": lambda g, noise: g * noise}, node="RreluWithNoiseBackward0",
        out=False)
def _with_noise(input, noise):
    return to_dtype(input * noise, input.dtype)  # the factors of half precisions are not rounded


@elementwise("Tensor._rrelu_fixed Tensor._rrelu_fixed_", name="rrelu", promote="keep", node="RreluWithNoiseBackward0",
             grad={"input": lambda g, input, slope: where(input > 0, g, g * slope)})
def fixed_slope(k, input, slope: float):
    """input where it is positive, else input * slope."""
    wide = input.dtype.compute
    return k.where(input > 0, input, k.cast(k.cast(input, wide) * k.cast(slope, wide), input.dtype))


def _rounded(number, dtype):
    """A number rounded to the digits of a dtype."""
    part, power = math.frexp(number)
    return math.ldexp(round(math.ldexp(part, DIGITS[dtype.name])), power - DIGITS[dtype.name])


def _slopes(input, lower, upper):
    """The factor of each element: drawn from [lower, upper) where it is not positive, else 1."""
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    fixed = input.detach().contiguous()
    found, wide = fixed._layout, fixed.dtype.compute
    lower, upper = _rounded(lower, wide), _rounded(upper, wide)
    return draw(RRELU_NOISE, None, ((tuple(found.shape), found.strides, wide),), input.device, "ttnn", (fixed,),
                (lower, upper))[0]


def _check_slopes(lower, upper):
    if not lower <= upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")


@public("torch.rrelu nn.functional.rrelu", out=False)
def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """Leaky relu whose slope is drawn from [lower, upper) for each element while training, else their mean."""
    _check_slopes(lower, upper)
    if inplace:
        return rrelu_(input, lower, upper, training)
    if not training:
        return fixed_slope(input, (lower + upper) / 2)
    return _with_noise(input, _slopes(input, float(lower), float(upper))) if input.numel() else input.clone()


@public("torch.rrelu_ nn.functional.rrelu_", out=False)
def rrelu_(input, lower=1.0 / 8, upper=1.0 / 3, training=False):
    """`rrelu` in place."""
    _check_slopes(lower, upper)
    if not training:
        return fixed_slope.inplace(input, (lower + upper) / 2)
    if not input.numel():
        return input
    noise = _slopes(input, float(lower), float(upper))
    node = begin_write(RRELU_RULE, (input, noise), input)
    version = version_of(input)
    try:
        record(mul.op, "tt", (), (input, noise), (), (input,))
        end_write(node, input)
    except BaseException:
        STREAM.unsettled.append((node, input, version))  # Note [Unsettled writes] in core/grads.py
        STREAM.dirty = True
        raise
    return input


@public("nn.functional.gumbel_softmax", out=False)
def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """softmax((logits + Gumbel noise) / tau); with `hard` one-hot, with the gradient of the soft result."""
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise = -empty_tensor(tuple(logits.shape), logits.dtype, logits.device).exponential_().log()
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    chosen = zeros_like(logits).scatter_(dim, index, 1.0)
    return chosen - soft.detach() + soft
