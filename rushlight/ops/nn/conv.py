"""Convolutions of 1 to 3 dimensions and their transposes.

Three template operators carry them: `conv`, its gradient for the input (also the transposed convolution) and for the
weight. Each is the gradient of the others, so that all orders of derivatives stay inside the templates.
"""

from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import apply, composed, public
from ...core.kinds import Template
from ...core.layout import channels_last_strides, contiguous_strides, seems_channels_last
from ...core.tensor import Tensor
from ..basic.complex import conj, from_parts, imag, real
from ..basic.shape import stack
from ..linalg.matmul import same_dtype


def _options(stride, padding, dilation, groups):
    return (("stride", stride), ("padding", padding), ("dilation", dilation), ("groups", groups))


def _bias_grad(g):
    return g.sum([d for d in range(g._layout.ndim) if d != 1])


# parameters: the tensors, the shape of the tensor whose gradient is meant, and the geometry
CONV = Template("convolution", lower="conv.convolutions:conv", layouts=rules.strided, node="ConvolutionBackward0",
                reads=("any", "any", "contiguous"),
                params=("input", "weight", "bias", "input_shape", "weight_shape", "options"),
                grad={"input": lambda g, weight, input_shape, options: conv_input_grad(g, weight, None, input_shape,
                                                                                       options),
                      "weight": lambda g, input, weight_shape, options: conv_weight_grad(g, input, weight_shape,
                                                                                         options),
                      "bias": _bias_grad})
INPUT_GRAD = Template("convolution_input", lower="conv.convolutions:conv_input_grad", layouts=rules.strided,
                      node="ConvolutionBackward0", reads=("any", "any", "contiguous"),
                      params=("result", "weight", "bias", "result_shape", "weight_shape", "options"),
                      grad={"result": lambda g, weight, result_shape, options: convolve(g, weight, None, result_shape,
                                                                                        options),
                            "weight": lambda g, result, weight_shape, options: conv_weight_grad(result, g, weight_shape,
                                                                                                options),
                            "bias": _bias_grad})
WEIGHT_GRAD = Template("convolution_weight", lower="conv.convolutions:conv_weight_grad", reads="any",
                       node="ConvolutionBackward0",
                       params=("result", "input", "result_shape", "input_shape", "options"),
                       grad={"result": lambda g, input, result_shape, options: convolve(input, g, None, result_shape,
                                                                                        options),
                             "input": lambda g, result, input_shape, options: conv_input_grad(result, g, None,
                                                                                              input_shape, options)})


def described(shape, input, weight):
    """(shape, strides, dtype) of a result: channels_last where PyTorch takes an operand for that, except in float64."""
    last = input.dtype is not dt.float64 and (seems_channels_last(input) or seems_channels_last(weight))
    return shape, (channels_last_strides if last else contiguous_strides)(shape), input.dtype


def convolve(input, weight, bias, out_shape, options):
    """Record a convolution whose geometry has been checked."""
    if input._layout.dtype.is_complex:
        values = (input, weight, bias, input._layout.shape, weight._layout.shape, options)
        return composed(CONV.rule, values, lambda: joined(convolve(
            apart(input), weight_apart(weight), None if bias is None else apart(bias.unsqueeze(0)).squeeze(0),
            doubled(out_shape), options)))
    tensors = (input, weight) if bias is None else (input, weight, bias)
    attrs = (*options, ("out", (described(tuple(out_shape), input._layout, weight._layout),)))
    return apply(CONV, (input, weight, bias, input._layout.shape, weight._layout.shape, options), tensors, (), attrs)[0]


def conv_input_grad(g, weight, bias, shape, options):
    """The gradient of a convolution's input (of `shape`), which is the transposed convolution of `g`."""
    if g._layout.dtype.is_complex:
        values = (g, weight, bias, g._layout.shape, weight._layout.shape, options)
        return composed(INPUT_GRAD.rule, values, lambda: joined(conv_input_grad(
            apart(g), weight_apart(conj(weight)), None if bias is None else apart(bias.unsqueeze(0)).squeeze(0),
            doubled(shape), options)))
    tensors = (g, weight) if bias is None else (g, weight, bias)
    attrs = (*options, ("out", (described(tuple(shape), g._layout, weight._layout),)))
    return apply(INPUT_GRAD, (g, weight, bias, g._layout.shape, weight._layout.shape, options), tensors, (), attrs)[0]


def conv_weight_grad(g, input, shape, options):
    """The gradient of a convolution's weight (of `shape`)."""
    if g._layout.dtype.is_complex:
        values = (g, input, g._layout.shape, input._layout.shape, options)
        return composed(WEIGHT_GRAD.rule, values, lambda: _complex_weight_grad(g, input, shape, options))
    attrs = (*options, ("out", ((tuple(shape), g._layout.dtype),)))
    return apply(WEIGHT_GRAD, (g, input, g._layout.shape, input._layout.shape, options), (g, input), (), attrs)[0]


# -- complex numbers: real convolutions with twice the channels -------------------------------------------------------


def apart(x):
    """Complex (N, C, ...) as real (N, 2 C, ...): the real and imaginary part of each channel side by side."""
    parts = stack([real(x), imag(x)], 2)
    return parts.reshape(doubled(x._layout.shape))


def joined(x):
    """The inverse of `apart`."""
    shape = x._layout.shape
    parts = x.reshape(shape[0], shape[1] // 2, 2, *shape[2:])
    return from_parts(parts.select(2, 0), parts.select(2, 1))


def doubled(shape):
    return (shape[0], 2 * shape[1], *shape[2:])


def weight_apart(weight):
    """A complex weight (O, C, ...) as the real one (2 O, 2 C, ...) that does its work on `apart` channels."""
    re, im = real(weight), imag(weight)
    rows = [stack(pair, 2) for pair in ([re, -im], [im, re])]
    found = weight._layout.shape
    return stack(rows, 1).reshape(2 * found[0], 2 * found[1], *found[2:])


def _complex_weight_grad(g, input, shape, options):
    """The four products of parts come as blocks of the gradient of the real weight."""
    whole = conv_weight_grad(apart(g), apart(input), (2 * shape[0], 2 * shape[1], *shape[2:]), options)
    blocks = whole.reshape(shape[0], 2, shape[1], 2, *shape[2:])
    part = [[blocks.select(3, j).select(1, i) for j in (0, 1)] for i in (0, 1)]
    return from_parts(part[0][0] - part[1][1], part[0][1] + part[1][0])


def _tuple(value, n, name, op):
    """n ints from an int or a sequence."""
    if isinstance(value, int):
        return (value,) * n
    value = tuple(v if v.__class__ is int else int(v) for v in value)
    if len(value) == 1:
        return value * n
    if len(value) != n:
        raise RuntimeError(f"expected {name} to be a single integer value or a list of {n} values to match the "
                           f"convolution dimensions, but got {name}={list(value)}")
    return value


def checked(op, input, weight, bias, stride, padding, dilation, groups, n, transposed):
    """Checks shared by all convolutions; (batched input, whether it was unbatched, geometry)."""
    for label, value in (("input", input), ("weight", weight)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{op}() received an invalid combination of arguments: argument '{label}' must be Tensor, "
                            f"not {type(value).__name__}")
    x, w = input._layout, weight._layout
    if w.ndim != n + 2:
        raise RuntimeError(f"{op}: expected weight to be {n + 2}D, got {w.ndim}D (weight {tuple(w.shape)})")
    if x.ndim not in (n + 1, n + 2):
        raise RuntimeError(f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {op}, but got input of size: "
                           f"{list(x.shape)}")
    unbatched = x.ndim == n + 1
    if unbatched:
        input = input.unsqueeze(0)
        x = input._layout
    stride, dilation = _tuple(stride, n, "stride", op), _tuple(dilation, n, "dilation", op)
    padding = _tuple(padding, n, "padding", op)
    if any(s <= 0 for s in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(p < 0 for p in padding):
        raise RuntimeError("negative padding is not supported")
    if any(d <= 0 for d in dilation):
        raise RuntimeError("dilation should be greater than zero")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if w.shape[0] % groups or (not transposed and w.shape[0] < groups):
        raise RuntimeError(f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got "
                           f"weight of size {list(w.shape)} instead" if w.shape[0] < groups else
                           f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but "
                           f"got weight of size {list(w.shape)} instead")
    expected = w.shape[0] if transposed else w.shape[1] * groups
    if x.shape[1] != expected:
        raise RuntimeError(f"Given groups={groups}, weight of size {list(w.shape)}, expected input{list(x.shape)} to "
                           f"have {expected} channels, but got {x.shape[1]} channels instead")
    channels = w.shape[1] * groups if transposed else w.shape[0]
    if bias is not None and tuple(bias._layout.shape) != (channels,):
        raise RuntimeError(f"Given weight of size {list(w.shape)}, expected bias to be 1-dimensional with {channels} "
                           f"elements, but got bias of size {list(bias._layout.shape)} instead")
    if len({found.dtype.plain for found in (x, w, *([] if bias is None else [bias._layout]))}) > 1:
        raise RuntimeError(f"Input type ({x.dtype.name}) and {'weight' if w.dtype is not x.dtype else 'bias'} type "
                           f"({(w if w.dtype is not x.dtype else bias._layout).dtype.name}) should be the same")
    same_dtype(op, input._layout, weight._layout)
    return input, unbatched, (stride, padding, dilation)


def conv(op, input, weight, bias, stride, padding, dilation, groups, n):
    """A convolution over n spatial dimensions."""
    if isinstance(padding, str):
        input, padding = string_padding(input, weight, stride, padding, dilation, n)
    input, unbatched, (stride, padding, dilation) = checked(op, input, weight, bias, stride, padding, dilation, groups,
                                                            n, False)
    x, w = input._layout, weight._layout
    sizes = []
    for d in range(n):
        reach = dilation[d] * (w.shape[d + 2] - 1) + 1
        padded = x.shape[d + 2] + 2 * padding[d]
        if padded < reach:
            whole = " x ".join(str(x.shape[i + 2] + 2 * padding[i]) for i in range(n))
            kernel = " x ".join(str(dilation[i] * (w.shape[i + 2] - 1) + 1) for i in range(n))
            raise RuntimeError(f"Calculated padded input size per channel: ({whole}). Kernel size: ({kernel}). Kernel "
                               "size can't be greater than actual input size")
        sizes.append((padded - reach) // stride[d] + 1)
    out = convolve(input, weight, bias, (x.shape[0], w.shape[0], *sizes), _options(stride, padding, dilation, groups))
    return out.squeeze(0) if unbatched else out


def string_padding(input, weight, stride, padding, dilation, n):
    """padding="valid" or "same": (input, padded where the padding is uneven; symmetric padding)."""
    if padding == "valid":
        return input, (0,) * n
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if any(s != 1 for s in _tuple(stride, n, "stride", "conv")):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for d, k in zip(_tuple(dilation, n, "dilation", "conv"), weight._layout.shape[2:])]
    if any(t % 2 for t in total):
        extra = []
        for t in reversed(total):
            extra += [0, t % 2]
        input = pad(input, extra)
    return input, tuple(t // 2 for t in total)


def pad(input, extra):
    """Zeros after the last positions of the spatial dimensions."""
    shape = list(input._layout.shape)
    for i in range(len(extra) // 2):
        shape[-1 - i] += extra[2 * i + 1]
    whole = input.new_zeros(shape)
    part = whole
    for d, n in enumerate(input._layout.shape):
        part = part.narrow(d, 0, n)
    part.copy_(input)
    return whole


@public("conv1d nn.functional.conv1d", out=False, cast="lower")
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation over one dimension; input (N, C, L) or (C, L), weight (O, C / groups, K)."""
    return conv("conv1d", input, weight, bias, stride, padding, dilation, groups, 1)


@public("conv2d nn.functional.conv2d", out=False, cast="lower")
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation over two dimensions; input (N, C, H, W) or (C, H, W), weight (O, C / groups, KH, KW)."""
    return conv("conv2d", input, weight, bias, stride, padding, dilation, groups, 2)


@public("conv3d nn.functional.conv3d", out=False, cast="lower")
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation over three dimensions; input (N, C, D, H, W), weight (O, C / groups, KD, KH, KW)."""
    return conv("conv3d", input, weight, bias, stride, padding, dilation, groups, 3)


def conv_transpose(op, input, weight, bias, stride, padding, output_padding, groups, dilation, n):
    """A transposed convolution over n spatial dimensions; weight (C, O / groups, ...)."""
    input, unbatched, (stride, padding, dilation) = checked(op, input, weight, bias, stride, padding, dilation, groups,
                                                            n, True)
    extra = _tuple(output_padding, n, "output_padding", op)
    x, w = input._layout, weight._layout
    sizes = []
    for d in range(n):
        if extra[d] >= max(stride[d], dilation[d]):
            raise RuntimeError("output padding must be smaller than either stride or dilation, but got "
                               f"output_padding: {extra[d]}, stride: {stride[d]}, dilation: {dilation[d]}")
        sizes.append((x.shape[d + 2] - 1) * stride[d] - 2 * padding[d] + dilation[d] * (w.shape[d + 2] - 1) + 1
                     + extra[d])
    if any(s < 1 for s in sizes):
        raise RuntimeError(f"Given input size per channel: {list(x.shape[2:])}. Calculated output size per channel: "
                           f"{sizes}. Output size is too small")
    options = _options(stride, padding, dilation, groups)
    out = conv_input_grad(input, weight, bias, (x.shape[0], w.shape[1] * groups, *sizes), options)
    return out.squeeze(0) if unbatched else out


@public("conv_transpose1d nn.functional.conv_transpose1d", out=False, cast="lower")
def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of `conv1d`."""
    return conv_transpose("conv_transpose1d", input, weight, bias, stride, padding, output_padding, groups, dilation, 1)


@public("conv_transpose2d nn.functional.conv_transpose2d", out=False, cast="lower")
def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of `conv2d`."""
    return conv_transpose("conv_transpose2d", input, weight, bias, stride, padding, output_padding, groups, dilation, 2)


@public("conv_transpose3d nn.functional.conv_transpose3d", out=False, cast="lower")
def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of `conv3d`."""
    return conv_transpose("conv_transpose3d", input, weight, bias, stride, padding, output_padding, groups, dilation, 3)


@public("torch.convolution", out=False, cast="lower")
def convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """A convolution, or with `transposed` its transpose, over as many dimensions as the weight has."""
    n = weight.dim() - 2
    if transposed:
        return conv_transpose("convolution", input, weight, bias, stride, padding, output_padding, groups, dilation, n)
    return conv("convolution", input, weight, bias, stride, padding, dilation, groups, n)
