"""Deformable convolution (Dai et al. 2017, arXiv:1703.06211), with masks (Zhu et al. 2018, arXiv:1811.11168)."""

import math

from ... import api as rl
from ... import nn
from ...nn import init
from ...ops.media.regions import sample_planes
from ._utils import pair


def _check(input, offset, weight, mask, groups, sizes):
    """RuntimeError for shapes that do not fit; `sizes`: those of the result."""
    if input.dim() != 4 or offset.dim() != 4 or weight.dim() != 4:
        raise RuntimeError("deform_conv2d: expected input, offset and weight of 4 dimensions, got "
                           f"{tuple(input.shape)}, {tuple(offset.shape)} and {tuple(weight.shape)}")
    taps = weight.shape[2] * weight.shape[3]
    if not groups:
        raise RuntimeError(
            "the shape of the offset tensor at dimension 1 is not valid. It should be a multiple of 2 * weight.size[2] "
            f"* weight.size[3].\nGot offset.shape[1]={offset.shape[1]}, while 2 * weight.size[2] * weight.size[3]="
            f"{2 * taps}")
    for name, wanted, got in (
        ("input.shape[1] % weight.shape[1]", 0, input.shape[1] % weight.shape[1]),
        ("weight.shape[0] % groups", 0, weight.shape[0] % max(1, input.shape[1] // weight.shape[1])),
        ("input.shape[1] % offset groups", 0, input.shape[1] % groups),
        ("offset.shape", (input.shape[0], groups * 2 * taps, *sizes), tuple(offset.shape)),
        ("mask.shape", (input.shape[0], groups * taps, *sizes), None if mask is None else tuple(mask.shape)),
    ):
        if got is not None and got != wanted:
            raise RuntimeError(f"deform_conv2d: expected {name} == {wanted}, got {got}")


def deform_conv2d(input, offset, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), mask=None):
    """Convolve images with taps that are displaced from pixel to pixel.

    Args:
        input (Tensor): (N, C, H, W).
        offset (Tensor): (N, 2 G kh kw, oh, ow), displacements (y, x) of each tap, for G groups of channels.
        weight (Tensor): (O, C / groups, kh, kw).
        bias (Tensor, optional): (O,).
        stride, padding, dilation (int or tuple): as of `conv2d`.
        mask (Tensor, optional): (N, G kh kw, oh, ow), factors of the taps.

    Returns:
        Tensor: (N, O, oh, ow). Differentiable by all tensors.

    Raises:
        RuntimeError: shapes do not fit.

    Example:
        >>> x, offset = torch.rand(1, 3, 8, 8), torch.zeros(1, 18, 6, 6)
        >>> weight = torch.rand(4, 3, 3, 3)
        >>> torch.allclose(torchvision.ops.deform_conv2d(x, offset, weight),
        ...                torch.nn.functional.conv2d(x, weight), atol=1e-5)
        True
    """
    (kh, kw), steps, pads, gaps = weight.shape[-2:], pair(stride), pair(padding), pair(dilation)
    groups, taps = offset.shape[1] // (2 * kh * kw), kh * kw
    sizes = tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1
                   for n, k, s, p, d in zip(input.shape[-2:], (kh, kw), steps, pads, gaps)])
    _check(input, offset, weight, mask, groups, sizes)
    count, channels = input.shape[:2]
    bases = [rl.arange(size, dtype=offset.dtype, device=offset.device) * s - p
             for size, s, p in zip(sizes, steps, pads)]
    tap = rl.arange(taps, device=offset.device)
    rows, columns = (tap // kw) * gaps[0], (tap % kw) * gaps[1]
    moved = offset.reshape(count * groups, taps, 2, *sizes)
    ys = moved[:, :, 0] + (rows.reshape(-1, 1, 1) + bases[0].reshape(-1, 1))
    xs = moved[:, :, 1] + (columns.reshape(-1, 1, 1) + bases[1])
    planes = input.reshape(count * groups, channels // groups, *input.shape[2:])
    found = sample_planes(planes, ys.reshape(count * groups, -1), xs.reshape(count * groups, -1))
    if mask is not None:
        found = found * mask.reshape(count * groups, 1, -1)
    parts = channels // weight.shape[1]
    found = found.reshape(count, parts, weight.shape[1] * taps, sizes[0] * sizes[1])
    result = weight.reshape(parts, weight.shape[0] // parts, -1) @ found
    result = result.reshape(count, weight.shape[0], *sizes)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


class DeformConv2d(nn.Module):
    """`deform_conv2d` as a module with a weight and a bias; forward takes (input, offset, mask)."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True):
        super().__init__()
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = pair(kernel_size), pair(stride)
        self.padding, self.dilation = pair(padding), pair(dilation)
        self.weight = nn.Parameter(rl.empty(out_channels, in_channels // groups, *self.kernel_size))
        if bias:
            self.bias = nn.Parameter(rl.empty(out_channels))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw new parameters, as those of `Conv2d`."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.weight[0].numel())
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input, offset, mask=None):
        return deform_conv2d(input, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask)

    def __repr__(self):
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        text += f", padding={self.padding}" if self.padding != (0, 0) else ""
        text += f", dilation={self.dilation}" if self.dilation != (1, 1) else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        text += ", bias=False" if self.bias is None else ""
        return f"{type(self).__name__}({text})"
