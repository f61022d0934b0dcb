"""Normalisation: layer, batch, group, instance, local response and RMS norm, and `normalize`.

One node each. Means and reciprocal deviations are computed by row kernels and kept for the gradient; where the
gradient is itself differentiated they are computed again as part of the graph.

The gradient of y = (x - mean) * rstd with respect to x, for h = g * weight, is rstd * (h - mean(h) - y * mean(h *
y)), the means over the normalised dimensions (Ioffe and Szegedy 2015, section 3; Ba, Kiros and Hinton 2016).
"""

import math

from ...core import dtype as dt
from ...core.declare import elementwise, public
from ...core.grads import GradRule
from ...core.graph import MODE, without_grad
from ...core.macro import macro
from ..basic.pointwise import need_tensor
from ..basic.shape import cat
from ..reduce.rows import mean_of, narrow, wide
from ..reduce.statistics import norm


@elementwise("", grad={"x": lambda g, x, mean: g * ((x - mean) * 2), "mean": lambda g, x, mean: g * ((mean - x) * 2)})
def square_away(k, x, mean):
    """(x - mean) ** 2."""
    away = x - mean
    return away * away


@elementwise("", complex=True, grad={"variance": lambda g, out: g * (out * out * out) * -0.5})
def root_inverse(k, variance, eps: float):
    """1 / sqrt(variance + eps)."""
    return k.const(1, variance.dtype) / k.sqrt(variance + k.cast(eps, variance.dtype))


@elementwise("", grad={"x": lambda g, rstd: g * rstd, "mean": lambda g, rstd: -(g * rstd),
                       "rstd": lambda g, x, mean: g * (x - mean)})
def normalise(k, x, mean, rstd):
    """(x - mean) * rstd."""
    return (x - mean) * rstd


@elementwise("")
def normalise_affine(k, x, mean, rstd, weight, bias):
    """(x - mean) * rstd * weight + bias."""
    return (x - mean) * rstd * weight + bias


@elementwise("", grad={"g_in": lambda g, rstd: g * rstd, "mean_g": lambda g, rstd: -(g * rstd),
                       "y": lambda g, mean_gy, rstd: -(g * (rstd * mean_gy)),
                       "mean_gy": lambda g, y, rstd: -(g * (rstd * y)),
                       "rstd": lambda g, g_in, mean_g, y, mean_gy: g * (g_in - mean_g - y * mean_gy)})
def project(k, g_in, mean_g, y, mean_gy, rstd):
    """rstd * (g - mean(g) - y * mean(g * y))."""
    return rstd * (g_in - mean_g - y * mean_gy)


@elementwise("")
def moving_average(k, running, value, momentum: float, factor: float):
    """running moved towards factor * value."""
    momentum, factor = k.cast(momentum, running.dtype), k.cast(factor, running.dtype)
    return running * (1 - momentum) + value * (factor * momentum)


def center_and_scale(x, dims, eps):
    """(mean, 1 / sqrt(variance + eps)) over `dims`."""
    mean = mean_of(x, dims)
    return mean, root_inverse(mean_of(square_away(x, mean), dims), eps)


def normalised(x, dims, mean, rstd, eps):
    """(x - mean) * rstd as part of the graph where that is recorded."""
    if MODE.grad:
        mean, rstd = center_and_scale(x, dims, eps)
    return normalise(x, mean, rstd)


def transformed(x, mean, rstd, weight, bias):
    """(x - mean) * rstd * weight + bias, the last two optional."""
    if weight is not None and bias is not None:
        return normalise_affine(x, mean, rstd, weight, bias)
    return affine(normalise(x, mean, rstd), weight, bias)


def affine(y, weight, bias):
    """y * weight + bias, each optional."""
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


# -- layer norm ------------------------------------------------------------------------------------------------------


@macro("layer_norm_back", 5)
def _layer_norm_grad(g, input, weight, mean, rstd, dims, eps, bias_layout):
    """The gradients of the input, weight and bias."""
    y = normalised(input, dims, mean, rstd, eps)
    h = g if weight is None else g * weight
    if MODE.grad:
        rstd = center_and_scale(input, dims, eps)[1]
    found = project(h, mean_of(h, dims), y, mean_of(h * y, dims), rstd)
    return (narrow(found, input._layout.dtype), None if weight is None else outer_sum(g * y, weight._layout),
            None if bias_layout is None else outer_sum(g, bias_layout))


def outer_sum(values, layout):
    """The sum over the dimensions in front of those of a parameter."""
    lead = values.dim() - layout.ndim
    return narrow(wide(values).sum(tuple(range(lead))) if lead else wide(values) * 1, layout.dtype)


LAYER_NORM = GradRule("layer_norm", ["input", "weight", "bias", "dims", "eps", "mean", "rstd"],
                      {("input", "weight", "bias"): _layer_norm_grad}, "NativeLayerNormBackward0")


@macro("layer_norm", 3)
def _layer_norm_forward(input, weight, bias, dims, eps):
    """(result, mean, 1 / deviation)."""
    mean, rstd = center_and_scale(input, dims, eps)
    return narrow(transformed(input, mean, rstd, weight, bias), input._layout.dtype), mean, rstd


def _check_layer_norm(input, normalized_shape, weight, bias):
    need_tensor("layer_norm", "input", 1, input)
    if not normalized_shape:
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
                           "element, but got normalized_shape = []")
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and value._layout.shape != normalized_shape:
            raise RuntimeError(f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                               f"{list(value.shape)} and normalized_shape = {list(normalized_shape)}")
    if input._layout.shape[-len(normalized_shape):] != normalized_shape:
        raise RuntimeError(f"Given normalized_shape={list(normalized_shape)}, expected input with shape [*, "
                           f"{', '.join(map(str, normalized_shape))}], but got input of size{list(input.shape)}")
    if input._layout.dtype.category < dt.FLOATING:
        raise NotImplementedError("\"LayerNormKernelImpl\" not implemented for "
                                  f"'{dt.scalar_type(input._layout.dtype)}'")


def _layer_norm(input, normalized_shape, weight, bias, eps):
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    _check_layer_norm(input, shape, weight, bias)
    rank = input.dim()
    dims = tuple(range(rank - len(shape), rank))
    found, mean, rstd = without_grad(_layer_norm_forward, input, weight, bias, dims, eps)
    if MODE.grad:
        LAYER_NORM.attach((input, weight, bias, dims, eps, mean, rstd), [found])
    return found, mean, rstd


@public("torch.layer_norm", out=False)
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05, cudnn_enable=True):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions `normalized_shape`."""
    return _layer_norm(input, normalized_shape, weight, bias, eps)[0]


@public("nn.functional.layer_norm", out=False)
def functional_layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions `normalized_shape`."""
    return _layer_norm(input, normalized_shape, weight, bias, eps)[0]


@public("torch.native_layer_norm", out=False)
def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """(result, mean, reciprocal deviation) of `layer_norm`."""
    return _layer_norm(input, normalized_shape, weight, bias, eps)


# -- RMS norm --------------------------------------------------------------------------------------------------------


def _rms_scale(x, dims, eps):
    return root_inverse(mean_of(wide(x) * x, dims), eps)


@elementwise("", grad={"g_in": lambda g, scale: g * scale, "y": lambda g, mean_gy, scale: -(g * (scale * mean_gy)),
                       "mean_gy": lambda g, y, scale: -(g * (scale * y)),
                       "scale": lambda g, g_in, y, mean_gy: g * (g_in - y * mean_gy)})
def project_scaled(k, g_in, y, mean_gy, scale):
    """scale * (g - y * mean(g * y))."""
    return scale * (g_in - y * mean_gy)


@macro("rms_norm_back", 4)
def _rms_grad(g, input, weight, scale, dims, eps):
    """The gradients of the input and weight."""
    if MODE.grad:
        scale = _rms_scale(input, dims, eps)
    y = input * scale
    h = g if weight is None else g * weight
    found = project_scaled(h, y, mean_of(h * y, dims), scale)
    return narrow(found, input._layout.dtype), None if weight is None else outer_sum(g * y, weight._layout)


RMS_NORM = GradRule(
    "rms_norm", ["input", "weight", "dims", "eps", "scale"], {("input", "weight"): _rms_grad}, "MulBackward0"
)


@macro("rms_norm", 2)
def _rms_forward(input, weight, dims, eps):
    """(result, 1 / root of the mean square)."""
    scale = _rms_scale(input, dims, eps)
    return narrow(affine(input * scale, weight, None), input._layout.dtype), scale


@public("rms_norm nn.functional.rms_norm", out=False)
def rms_norm(input, normalized_shape, weight=None, eps=None):
    """x / sqrt(mean(x**2) + eps) * weight over the last dimensions `normalized_shape`; `eps` defaults to that of the
    dtype.
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    _check_layer_norm(input, shape, weight, None)
    rank = input.dim()
    dims = tuple(range(rank - len(shape), rank))
    if eps is None:
        eps = dt.finfo(input._layout.dtype.compute).eps
    found, scale = without_grad(_rms_forward, input, weight, dims, eps)
    if MODE.grad:
        RMS_NORM.attach((input, weight, dims, eps, scale), [found])
    return found


# -- batch norm ------------------------------------------------------------------------------------------------------


def _channels(value, rank):
    """A value per channel in the shape that broadcasts over a batch."""
    return None if value is None else value.reshape(1, -1, *[1] * (rank - 2))


@macro("batch_norm_back", 5)
def _batch_norm_grad(g, input, weight, mean, rstd, dims, eps, training, bias_layout):
    """The gradients of the input, weight and bias."""
    h = g if weight is None else g * _channels(weight, input.dim())
    if training:
        y = normalised(input, dims, mean, rstd, eps)
        if MODE.grad:
            rstd = center_and_scale(input, dims, eps)[1]
        found = project(h, mean_of(h, dims), y, mean_of(h * y, dims), rstd)
    else:
        y, found = normalise(input, mean, rstd), h * rstd
    return (narrow(found, input._layout.dtype), None if weight is None else channel_sum(g * y, dims, weight._layout),
            None if bias_layout is None else channel_sum(g, dims, bias_layout))


def channel_sum(values, dims, layout):
    """The sum for each channel."""
    return narrow(wide(values).sum(dims), layout.dtype)


BATCH_NORM = GradRule("batch_norm", ["input", "weight", "bias", "mean", "rstd", "dims", "eps", "training"],
                      {("input", "weight", "bias"): _batch_norm_grad}, "NativeBatchNormBackward0")


@macro("batch_norm_training", 3)
def _batch_norm_forward(input, weight, bias, dims, eps):
    """(result, mean, 1 / deviation, variance) of a batch."""
    mean = mean_of(input, dims)
    variance = mean_of(square_away(input, mean), dims)
    rstd = root_inverse(variance, eps)
    return (*_batch_result(input, weight, bias, mean, rstd), mean, rstd, variance)


def _batch_result(input, weight, bias, mean, rstd):
    rank = input.dim()
    return (
        narrow(transformed(input, mean, rstd, _channels(weight, rank), _channels(bias, rank)), input._layout.dtype),
    )


@macro("batch_norm_evaluation", 5)
def _batch_norm_fixed(input, weight, bias, running_mean, running_var, eps):
    """(result, mean, 1 / deviation) with the running statistics."""
    rank = input.dim()
    mean = wide(_channels(running_mean, rank)) * 1
    rstd = root_inverse(wide(_channels(running_var, rank)), eps)
    return (*_batch_result(input, weight, bias, mean, rstd), mean, rstd)


def _move_statistics(running_mean, running_var, mean, variance, momentum, count):
    if running_mean is not None:
        moving_average.inplace(running_mean, mean.reshape(-1), float(momentum), 1.0)
    if running_var is not None:
        moving_average.inplace(running_var, variance.reshape(-1), float(momentum), count / max(count - 1, 1))


def _check_batch_norm(input, values, training, eps):
    need_tensor("batch_norm", "input", 1, input)
    if eps < 0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    if input.dim() < 2:
        raise IndexError(f"Dimension out of range (expected to be in range of [-{input.dim()}, {input.dim() - 1}], "
                         "but got 1)")
    for name, value in values.items():
        if value is not None and value.numel() != input.shape[1]:
            raise RuntimeError(f"{name} should contain {input.shape[1]} elements not {value.numel()}")
    if not training and (values["running_mean"] is None or values["running_var"] is None):
        raise RuntimeError("running_mean and running_var must be defined in evaluation mode")
    if input._layout.dtype.category < dt.FLOATING:
        raise NotImplementedError(f"\"batch_norm\" not implemented for '{dt.scalar_type(input._layout.dtype)}'")


def _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps):
    if input.dim() < 2 and not input.numel():
        return input.clone(), input, input
    values = dict(running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    _check_batch_norm(input, values, training, eps)
    dims = (0, *range(2, input.dim()))
    if training:
        found, mean, rstd, variance = without_grad(_batch_norm_forward, input, weight, bias, dims, eps)
        count = math.prod([input.shape[d] for d in dims])
        if count:
            without_grad(_move_statistics, running_mean, running_var, mean, variance, momentum, count)
    else:
        found, mean, rstd = without_grad(_batch_norm_fixed, input, weight, bias, running_mean, running_var, eps)
    if MODE.grad:
        BATCH_NORM.attach((input, weight, bias, mean, rstd, dims, eps, bool(training)), [found])
    return found, mean, rstd


@public("nn.functional.batch_norm", out=False)
def functional_batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05
):
    """Normalise each channel (dimension 1) by its statistics over the batch, or by the running ones.

    With `training` the running statistics move by `momentum` towards those of the batch (the variance unbiased), in
    place, but for a batch without elements. ValueError for one value per channel in training."""
    if training and eps <= 0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if training and math.prod((input.shape[0], *input.shape[2:])) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
    return _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)[0]


@public("torch.batch_norm", out=False)
def batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled):
    """As `nn.functional.batch_norm`, with the parameters in the order of the kernel."""
    return _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)[0]


@public("torch.native_batch_norm", out=False)
def native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps):
    """(result, mean, reciprocal deviation) of `batch_norm`; the statistics are empty in evaluation."""
    found, mean, rstd = _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if training:
        return found, mean.reshape(-1), rstd.reshape(-1)
    return found, input.new_empty(0), input.new_empty(0)


# -- group and instance norm -----------------------------------------------------------------------------------------


def _grouped(x, groups):
    """(N, C, ...) as (N, groups, C / groups, rest)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, math.prod(x.shape[2:]))


def _group_channels(value, groups):
    return None if value is None else value.reshape(1, groups, -1, 1)


@macro("group_norm_back", 5)
def _group_norm_grad(g, input, weight, mean, rstd, groups, eps, bias_layout):
    """The gradients of the input, weight and bias."""
    g, x = _grouped(g, groups), _grouped(input, groups)
    y = normalised(x, (2, 3), mean, rstd, eps)
    if MODE.grad:
        rstd = center_and_scale(x, (2, 3), eps)[1]
    h = g if weight is None else g * _group_channels(weight, groups)
    found = project(h, mean_of(h, (2, 3)), y, mean_of(h * y, (2, 3)), rstd)
    return (narrow(found, input._layout.dtype).reshape(input.shape),
            None if weight is None else channel_sum(g * y, (0, 3), weight._layout).reshape(-1),
            None if bias_layout is None else channel_sum(g, (0, 3), bias_layout).reshape(-1))


GROUP_NORM = GradRule("group_norm", ["input", "weight", "bias", "groups", "eps", "mean", "rstd"],
                      {("input", "weight", "bias"): _group_norm_grad}, "NativeGroupNormBackward0")


@macro("group_norm", 3)
def _group_norm_forward(input, weight, bias, groups, eps):
    """(result, mean, 1 / deviation), the statistics by sample and group."""
    x = _grouped(input, groups)
    mean, rstd = center_and_scale(x, (2, 3), eps)
    y = transformed(x, mean, rstd, _group_channels(weight, groups), _group_channels(bias, groups))
    return narrow(y, input._layout.dtype).reshape(input.shape), mean, rstd


def _check_group_norm(input, num_groups, weight, bias):
    need_tensor("group_norm", "input", 1, input)
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.dim()}")
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    channels = input.shape[1]
    if channels % num_groups:
        raise RuntimeError("Expected number of channels in input to be divisible by num_groups, but got input of "
                           f"shape {list(input.shape)} and num_groups={num_groups}")
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and (value.dim() != 1 or value.numel() != channels):
            raise RuntimeError(f"Expected {name} to be a vector of size equal to the number of channels in input, but "
                               f"got {name} of shape {list(value.shape)} and input of shape {list(input.shape)}")
    if input._layout.dtype.category < dt.FLOATING:
        raise NotImplementedError("\"GroupNormKernelImpl\" not implemented for "
                                  f"'{dt.scalar_type(input._layout.dtype)}'")


@public("torch.group_norm", out=False)
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-05, cudnn_enabled=True):
    """Normalise each group of channels of each sample: (x - mean) / sqrt(var + eps) * weight + bias."""
    _check_group_norm(input, num_groups, weight, bias)
    found, mean, rstd = without_grad(_group_norm_forward, input, weight, bias, int(num_groups), eps)
    if MODE.grad:
        GROUP_NORM.attach((input, weight, bias, int(num_groups), eps, mean, rstd), [found])
    return found


@public("nn.functional.group_norm", out=False)
def functional_group_norm(input, num_groups, weight=None, bias=None, eps=1e-05):
    """Normalise each group of channels of each sample: (x - mean) / sqrt(var + eps) * weight + bias.

    ValueError for one value per group."""
    if input.dim() >= 2 and num_groups > 0 and math.prod((input.shape[0], *input.shape[1:])) // num_groups == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size "
                         f"{[input.shape[0] * input.shape[1] // num_groups, num_groups, *input.shape[2:]]}")
    return group_norm(input, num_groups, weight, bias, eps)


def _instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps):
    """Batch norm over one sample whose channels are those of all samples."""
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    count, channels = input.shape[:2]
    each = [None if v is None else v.repeat(count) for v in (running_mean, running_var, weight, bias)]
    flat = input.contiguous().view(1, count * channels, *input.shape[2:])
    found = _batch_norm(flat, each[0], each[1], each[2], each[3], use_input_stats, momentum, eps)[0]
    for running, moved in zip((running_mean, running_var), each):
        if running is not None:
            running.detach().copy_(moved.view(count, channels).mean(0))
    return found.view(input.shape)


@public("torch.instance_norm", out=False)
def instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, cudnn_enabled):
    """As `nn.functional.instance_norm`, with the parameters in the order of the kernel."""
    return _instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


@public("nn.functional.instance_norm", out=False)
def functional_instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-05
):
    """Normalise each channel of each sample by its statistics, or by the running ones. ValueError for one value per
    channel.
    """
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    return _instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


# -- others ----------------------------------------------------------------------------------------------------------


@public("nn.functional.local_response_norm", out=False)
def local_response_norm(input, size, alpha=0.0001, beta=0.75, k=1.0):
    """x / (k + alpha * mean of x**2 over `size` neighbouring channels) ** beta (Krizhevsky et al. 2012)."""
    if input.dim() < 3:
        raise ValueError(f"Expected 3D or higher dimensionality                          input (got {input.dim()} "
                         "dimensions)")
    if input.numel() == 0:
        return input
    squares = input * input
    low, high = size // 2, (size - 1) // 2
    shape = list(input.shape)
    padded = cat([squares.new_zeros((shape[0], low, *shape[2:])), squares,
                              squares.new_zeros((shape[0], high, *shape[2:]))], 1)
    windows = padded.unfold(1, size, 1).sum(-1)
    windows = windows / size if windows.is_floating_point() else windows // size
    return input / (windows * alpha + k).pow(beta)


@public("nn.functional.normalize")
def normalize(input, p=2.0, dim=1, eps=1e-12):
    """x / max(norm(x, p), eps) along `dim`."""
    length = norm(input, p, dim, True)
    return input / length.clamp_min(eps).expand_as(input)
