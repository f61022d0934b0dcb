"""Feature pyramid networks (Lin et al. 2016, arXiv:1612.03144)."""

import collections

from ... import nn
from ...nn import functional as F
from ...nn import init
from .misc import Conv2dNormActivation, rename_keys


def _draw(conv):
    init.kaiming_uniform_(conv.weight, a=1)
    if conv.bias is not None:
        init.zeros_(conv.bias)


class ExtraFPNBlock(nn.Module):
    """Base of blocks that add levels: (results, inputs, names) → (results, names)."""

    def forward(self, results, x, names):
        raise NotImplementedError("ExtraFPNBlock: a subclass says which levels it adds")


class FeaturePyramidNetwork(nn.Module):
    """Add to each level of a pyramid what coarser levels saw.

    Args:
        in_channels_list (list of int): channels of the levels, the finest first.
        out_channels (int): channels of the results.
        extra_blocks (ExtraFPNBlock, optional): adds levels.
        norm_layer (callable, optional): normalisation behind the convolutions.

    Example:
        >>> fpn = torchvision.ops.FeaturePyramidNetwork([4, 8], 5)
        >>> found = fpn({"a": torch.rand(1, 4, 16, 16), "b": torch.rand(1, 8, 8, 8)})
        >>> [tuple(level.shape) for level in found.values()]
        [(1, 5, 16, 16), (1, 5, 8, 8)]
    """

    _version = 2

    def __init__(self, in_channels_list, out_channels, extra_blocks=None, norm_layer=None):
        super().__init__()
        self.inner_blocks, self.layer_blocks = nn.ModuleList(), nn.ModuleList()
        options = {"norm_layer": norm_layer, "activation_layer": None}
        for channels in in_channels_list:
            if channels == 0:
                raise ValueError("in_channels=0 is currently not supported")
            self.inner_blocks.append(Conv2dNormActivation(channels, out_channels, 1, padding=0, **options))
            self.layer_blocks.append(Conv2dNormActivation(out_channels, out_channels, 3, **options))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                _draw(module)
        if extra_blocks is not None and not isinstance(extra_blocks, ExtraFPNBlock):
            raise TypeError(f"extra_blocks should be of type ExtraFPNBlock not {type(extra_blocks)}")
        self.extra_blocks = extra_blocks

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version", None) in (None, 1):
            rename_keys(state_dict, [
                (f"{prefix}{block}.{i}.{kind}", f"{prefix}{block}.{i}.0.{kind}")
                for block in ("inner_blocks", "layer_blocks") for i in range(len(self.inner_blocks))
                for kind in ("weight", "bias")])
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def forward(self, x):
        names, levels = list(x.keys()), list(x.values())
        coarse = self.inner_blocks[-1](levels[-1])
        results = [self.layer_blocks[-1](coarse)]
        for i in range(len(levels) - 2, -1, -1):
            own = self.inner_blocks[i](levels[i])
            coarse = own + F.interpolate(coarse, size=own.shape[-2:], mode="nearest")
            results.insert(0, self.layer_blocks[i](coarse))
        if self.extra_blocks is not None:
            results, names = self.extra_blocks(results, levels, names)
        return collections.OrderedDict(zip(names, results))


class LastLevelMaxPool(ExtraFPNBlock):
    """Add a level of every second pixel of the last one."""

    def forward(self, x, y, names):
        names.append("pool")
        x.append(F.max_pool2d(x[-1], kernel_size=1, stride=2, padding=0))
        return x, names


class LastLevelP6P7(ExtraFPNBlock):
    """Add two levels by convolutions with stride 2, as RetinaNet does."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.p6 = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = nn.Conv2d(out_channels, out_channels, 3, 2, 1)
        for conv in (self.p6, self.p7):
            _draw(conv)
        self.use_P5 = in_channels == out_channels

    def forward(self, p, c, names):
        p6 = self.p6(p[-1] if self.use_P5 else c[-1])
        p.extend([p6, self.p7(F.relu(p6))])
        names.extend(["p6", "p7"])
        return p, names
