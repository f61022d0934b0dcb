"""MNASNet (Tan et al. 2018, arXiv:1807.11626)."""

import functools
import warnings

from ... import nn
from ...nn import init
from ._api import weights_enum
from ._utils import builder, drawn, init_modules, unit_norm

__all__ = [
    "MNASNet", "MNASNet0_5_Weights", "MNASNet0_75_Weights", "MNASNet1_0_Weights", "MNASNet1_3_Weights", "mnasnet0_5",
    "mnasnet0_75", "mnasnet1_0", "mnasnet1_3",
]

_BN_MOMENTUM = 1 - 0.9997  # of TensorFlow's, which keeps 1 - momentum
# kernel, stride of the first block, expansion, blocks of the stacks
STACKS = [(3, 2, 3, 3), (5, 2, 3, 3), (5, 2, 6, 3), (3, 1, 6, 2), (5, 2, 6, 4), (3, 1, 6, 1)]


def _conv(inp, out, kernel, stride=1, groups=1, momentum=_BN_MOMENTUM, activation=True):
    layers = [nn.Conv2d(inp, out, kernel, padding=kernel // 2, stride=stride, groups=groups, bias=False),
              nn.BatchNorm2d(out, momentum=momentum)]
    return layers + [nn.ReLU(inplace=True)] if activation else layers


class _InvertedResidual(nn.Module):
    def __init__(self, in_ch, out_ch, kernel_size, stride, expansion_factor, bn_momentum=0.1):
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        if kernel_size not in (3, 5):
            raise ValueError(f"kernel_size should be 3 or 5 instead of {kernel_size}")
        wide = in_ch * expansion_factor
        self.apply_residual = in_ch == out_ch and stride == 1
        self.layers = nn.Sequential(
            *_conv(in_ch, wide, 1, momentum=bn_momentum),
            *_conv(wide, wide, kernel_size, stride, wide, bn_momentum),
            *_conv(wide, out_ch, 1, momentum=bn_momentum, activation=False))

    def forward(self, input):
        return self.layers(input) + input if self.apply_residual else self.layers(input)


def _stack(in_ch, out_ch, kernel_size, stride, exp_factor, repeats, bn_momentum):
    if repeats < 1:
        raise ValueError(f"repeats should be >= 1, instead got {repeats}")
    blocks = [_InvertedResidual(in_ch, out_ch, kernel_size, stride, exp_factor, bn_momentum)]
    blocks += [_InvertedResidual(out_ch, out_ch, kernel_size, 1, exp_factor, bn_momentum) for _ in range(repeats - 1)]
    return nn.Sequential(*blocks)


def _round_to_multiple_of(val, divisor, round_up_bias=0.9):
    if not 0.0 < round_up_bias < 1.0:
        raise ValueError(f"round_up_bias should be greater than 0.0 and smaller than 1.0 instead of {round_up_bias}")
    found = max(divisor, int(val + divisor / 2) // divisor * divisor)
    return found if found >= round_up_bias * val else found + divisor


def _get_depths(alpha):
    return [_round_to_multiple_of(depth * alpha, 8) for depth in (32, 16, 24, 40, 80, 96, 192, 320)]


def _stem(first, second):
    """The layers before the stacks."""
    return [*_conv(3, first, 3, 2), *_conv(first, first, 3, groups=first), *_conv(first, second, 1, activation=False)]


class MNASNet(nn.Module):
    """MNASNet of width `alpha`: images (N, 3, H, W) → scores (N, num_classes)."""

    # Version 1 had 32 and 16 channels before the stacks at any width.
    _version = 2

    def __init__(self, alpha, num_classes=1000, dropout=0.2):
        super().__init__()
        if alpha <= 0.0:
            raise ValueError(f"alpha should be greater than 0.0 instead of {alpha}")
        self.alpha, self.num_classes = alpha, num_classes
        depths = _get_depths(alpha)
        layers = _stem(*depths[:2])
        layers += [_stack(inp, out, *row, _BN_MOMENTUM) for inp, out, row in zip(depths[1:], depths[2:], STACKS)]
        self.layers = nn.Sequential(*layers, *_conv(depths[-1], 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(p=dropout, inplace=True), nn.Linear(1280, num_classes))
        init_modules(
            self,
            (nn.Conv2d, drawn(init.kaiming_normal_, mode="fan_out", nonlinearity="relu")),
            (nn.BatchNorm2d, unit_norm),
            (nn.Linear, drawn(init.kaiming_uniform_, mode="fan_out", nonlinearity="sigmoid")),
        )

    def forward(self, x):
        return self.classifier(self.layers(x).mean([2, 3]))

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        version = local_metadata.get("version", None)
        if version not in (1, 2):
            raise ValueError(f"version should be set to 1 or 2 instead of {version}")
        if version == 1 and self.alpha != 1.0:
            depths = _get_depths(self.alpha)
            old = [*_stem(32, 16), _stack(16, depths[2], *STACKS[0], _BN_MOMENTUM)]
            for i, layer in enumerate(old):
                self.layers[i] = layer
            self._version = 1
            warnings.warn(
                "A new version of MNASNet model has been implemented. Your checkpoint was saved using the previous "
                "version. This checkpoint will load and work as before, but you may want to upgrade by training a "
                "newer model or transfer learning from an updated ImageNet checkpoint.", UserWarning, stacklevel=2)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def _variant(name, weights, alpha):
    return builder(name, weights, functools.partial(MNASNet, alpha), f"Build an MNASNet of width {alpha}.")


MNASNet0_5_Weights = weights_enum("MNASNet0_5_Weights", __name__)
MNASNet0_75_Weights = weights_enum("MNASNet0_75_Weights", __name__)
MNASNet1_0_Weights = weights_enum("MNASNet1_0_Weights", __name__)
MNASNet1_3_Weights = weights_enum("MNASNet1_3_Weights", __name__)

mnasnet0_5 = _variant("mnasnet0_5", MNASNet0_5_Weights, 0.5)
mnasnet0_75 = _variant("mnasnet0_75", MNASNet0_75_Weights, 0.75)
mnasnet1_0 = _variant("mnasnet1_0", MNASNet1_0_Weights, 1.0)
mnasnet1_3 = _variant("mnasnet1_3", MNASNet1_3_Weights, 1.3)
