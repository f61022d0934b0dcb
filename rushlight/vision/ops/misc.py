"""Layers that models share: convolutions with normalisation and activation, perceptrons, squeeze-and-excitation."""

import warnings

from ... import api as rl
from ... import nn

__all__ = [
    "Conv2dNormActivation", "Conv3dNormActivation", "ConvNormActivation", "FrozenBatchNorm2d", "MLP", "Permute",
    "SqueezeExcitation",
]


def rename_keys(state_dict, renames):
    """Rename keys of a state dict that an older version saved; `renames`: pairs of names."""
    for old, new in renames:
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation with fixed statistics, scale and offset: buffers, which no optimizer changes.

    Args:
        num_features (int): channels C of inputs (N, C, H, W).
        eps (float): added to the variance.

    Example:
        >>> torchvision.ops.FrozenBatchNorm2d(3)
        FrozenBatchNorm2d(3, eps=1e-05)
    """

    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", rl.ones(num_features))
        self.register_buffer("bias", rl.zeros(num_features))
        self.register_buffer("running_mean", rl.zeros(num_features))
        self.register_buffer("running_var", rl.ones(num_features))

    def _load_from_state_dict(self, state_dict, prefix, *args):
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x):
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        bias = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1)

    def __repr__(self):
        return f"{type(self).__name__}({self.weight.shape[0]}, eps={self.eps})"


def _tuple(value, count):
    return tuple(value) if isinstance(value, (list, tuple)) else (value,) * count


def _same_padding(kernel_size, dilation):
    """The padding that keeps the size at stride 1."""
    if isinstance(kernel_size, int) and isinstance(dilation, int):
        return (kernel_size - 1) // 2 * dilation
    count = len(kernel_size) if isinstance(kernel_size, (list, tuple)) else len(dilation)
    return tuple([(k - 1) // 2 * d for k, d in zip(_tuple(kernel_size, count), _tuple(dilation, count))])


class ConvNormActivation(nn.Sequential):
    """A convolution, a normalisation and an activation; see `Conv2dNormActivation`."""

    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1, padding=None, groups=1,
                 norm_layer=nn.BatchNorm2d, activation_layer=nn.ReLU, dilation=1, inplace=True, bias=None,
                 conv_layer=nn.Conv2d):
        if padding is None:
            padding = _same_padding(kernel_size, dilation)
        if bias is None:
            bias = norm_layer is None
        layers = [conv_layer(in_channels, out_channels, kernel_size, stride, padding, dilation=dilation, groups=groups,
                             bias=bias)]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer() if inplace is None else activation_layer(inplace=inplace))
        super().__init__(*layers)
        self.out_channels = out_channels
        if type(self) is ConvNormActivation:
            warnings.warn("Don't use ConvNormActivation directly, please use Conv2dNormActivation and "
                          "Conv3dNormActivation instead.", stacklevel=2)


class Conv2dNormActivation(ConvNormActivation):
    """A convolution of images, a normalisation and an activation.

    Args:
        in_channels, out_channels, kernel_size, stride, groups, dilation: of the convolution.
        padding (int, tuple or str, optional): by default what keeps the size at stride 1.
        norm_layer, activation_layer (callable, optional): None for none.
        inplace (bool, optional): passed to the activation; None does not pass it.
        bias (bool, optional): by default there is a bias if there is no normalisation.

    Example:
        >>> torchvision.ops.Conv2dNormActivation(3, 8, stride=2)(torch.rand(1, 3, 8, 8)).shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1, padding=None, groups=1,
                 norm_layer=nn.BatchNorm2d, activation_layer=nn.ReLU, dilation=1, inplace=True, bias=None):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer, activation_layer,
                         dilation, inplace, bias, nn.Conv2d)


class Conv3dNormActivation(ConvNormActivation):
    """A convolution of volumes, a normalisation and an activation; arguments as of `Conv2dNormActivation`."""

    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1, padding=None, groups=1,
                 norm_layer=nn.BatchNorm3d, activation_layer=nn.ReLU, dilation=1, inplace=True, bias=None):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer, activation_layer,
                         dilation, inplace, bias, nn.Conv3d)


class SqueezeExcitation(nn.Module):
    """Scale channels by numbers that a small network computes from their means (Hu et al. 2017, arXiv:1709.01507).

    Args:
        input_channels, squeeze_channels (int): channels of the input, and between the two convolutions.
        activation, scale_activation (callable): make the activations after the two convolutions.
    """

    def __init__(self, input_channels, squeeze_channels, activation=nn.ReLU, scale_activation=nn.Sigmoid):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def _scale(self, input):
        return self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(input)))))

    def forward(self, input):
        return self._scale(input) * input


class MLP(nn.Sequential):
    """A multi-layer perceptron with dropout after each layer.

    Args:
        in_channels (int): features of the input.
        hidden_channels (list of int): features after each layer; the last has no normalisation and activation.
        norm_layer, activation_layer (callable, optional): between the layers.
        inplace (bool, optional): passed to activations and dropout; None does not pass it.
        bias (bool): whether layers have a bias.
        dropout (float): probability.
    """

    def __init__(self, in_channels, hidden_channels, norm_layer=None, activation_layer=nn.ReLU, inplace=None, bias=True,
                 dropout=0.0):
        options = {} if inplace is None else {"inplace": inplace}
        layers = []
        for channels in hidden_channels[:-1]:
            layers.append(nn.Linear(in_channels, channels, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(channels))
            layers += [activation_layer(**options), nn.Dropout(dropout, **options)]
            in_channels = channels
        layers += [nn.Linear(in_channels, hidden_channels[-1], bias=bias), nn.Dropout(dropout, **options)]
        super().__init__(*layers)


class Permute(nn.Module):
    """The dimensions in the order `dims` (list of int)."""

    def __init__(self, dims):
        super().__init__()
        self.dims = dims

    def forward(self, x):
        return rl.permute(x, self.dims)
