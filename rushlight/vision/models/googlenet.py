"""GoogLeNet (Szegedy et al. 2014, arXiv:1409.4842)."""

import collections
import typing
import warnings

from ... import api as rl
from ... import nn
from ...nn import functional as F
from ...nn import init
from ._api import register_model, weights_enum
from ._utils import _ovewrite_named_param, builder, handle_legacy_interface, init_modules, unit_norm

__all__ = ["GoogLeNet", "GoogLeNetOutputs", "_GoogLeNetOutputs", "GoogLeNet_Weights", "googlenet"]

GoogLeNetOutputs = collections.namedtuple("GoogLeNetOutputs", ["logits", "aux_logits2", "aux_logits1"])
_GoogLeNetOutputs = GoogLeNetOutputs

# in_channels and the channels of the branches: 1x1, reduced and 3x3, reduced and 5x5, behind the maximum
INCEPTIONS = {
    "3a": (192, 64, 96, 128, 16, 32, 32), "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64), "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64), "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128), "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class BasicConv2d(nn.Module):
    """A convolution without bias, batch normalisation and ReLU."""

    def __init__(self, in_channels, out_channels, **kwargs):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Convolutions of three sizes and a maximum side by side, their channels joined."""

    def __init__(self, in_channels, ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj, conv_block=None):
        super().__init__()
        conv = conv_block or BasicConv2d
        self.branch1 = conv(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            conv(in_channels, ch3x3red, kernel_size=1), conv(ch3x3red, ch3x3, kernel_size=3, padding=1))
        # 3 x 3 where the paper has 5 x 5: the published weights have these
        self.branch3 = nn.Sequential(
            conv(in_channels, ch5x5red, kernel_size=1), conv(ch5x5red, ch5x5, kernel_size=3, padding=1))
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            conv(in_channels, pool_proj, kernel_size=1))

    def forward(self, x):
        return rl.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """A classifier on features from the middle of the network, for training."""

    def __init__(self, in_channels, num_classes, conv_block=None, dropout=0.7):
        super().__init__()
        self.conv = (conv_block or BasicConv2d)(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x):
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4)))
        x = F.relu(self.fc1(rl.flatten(x, 1)), inplace=True)
        return self.fc2(self.dropout(x))


def as_in_paper(x):
    """Return images normalised by ImageNet's statistics as images normalised by 0.5, which the weights expect."""
    scale = rl.tensor([0.229, 0.224, 0.225], dtype=x.dtype, device=x.device) / 0.5
    shift = (rl.tensor([0.485, 0.456, 0.406], dtype=x.dtype, device=x.device) - 0.5) / 0.5
    return x * scale.reshape(-1, 1, 1) + shift.reshape(-1, 1, 1)


class GoogLeNet(nn.Module):
    """GoogLeNet: images (N, 3, H, W) → scores (N, num_classes), in training with those of two auxiliary classifiers.

    Args:
        num_classes (int): number of classes.
        aux_logits (bool): have auxiliary classifiers.
        transform_input (bool): take images that are normalised by ImageNet's statistics.
        init_weights (bool, optional): draw initial weights as the paper does; True, with a warning, by default.
        blocks (list of 3 callables, optional): make convolutions, inceptions and auxiliary classifiers.
        dropout, dropout_aux (float): probabilities before the last layers.
    """

    def __init__(self, num_classes=1000, aux_logits=True, transform_input=False, init_weights=None, blocks=None,
                 dropout=0.2, dropout_aux=0.7):
        super().__init__()
        conv, inception, auxiliary = _checked_blocks(blocks)
        init_weights = whether_to_init("GoogleNet", init_weights)
        self.aux_logits, self.transform_input = aux_logits, transform_input
        self.conv1 = conv(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = conv(64, 64, kernel_size=1)
        self.conv3 = conv(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        for name, channels in INCEPTIONS.items():
            setattr(self, f"inception{name}", inception(*channels))
            if name == "3b":
                self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
            elif name == "4e":
                self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.aux1 = auxiliary(512, num_classes, dropout=dropout_aux) if aux_logits else None
        self.aux2 = auxiliary(528, num_classes, dropout=dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights:
            init_modules(
                self,
                ((nn.Conv2d, nn.Linear), lambda m: init.trunc_normal_(m.weight, mean=0.0, std=0.01, a=-2, b=2)),
                (nn.BatchNorm2d, unit_norm),
            )

    def forward(self, x):
        if self.transform_input:
            x = as_in_paper(x)
        x = self.maxpool2(self.conv3(self.conv2(self.maxpool1(self.conv1(x)))))
        x = self.inception4a(self.maxpool3(self.inception3b(self.inception3a(x))))
        aux1 = self.aux1(x) if self.aux1 is not None and self.training else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        aux2 = self.aux2(x) if self.aux2 is not None and self.training else None
        x = self.inception5b(self.inception5a(self.maxpool4(self.inception4e(x))))
        x = self.fc(self.dropout(rl.flatten(self.avgpool(x), 1)))
        return GoogLeNetOutputs(x, aux2, aux1) if self.training and self.aux_logits else x


def _checked_blocks(blocks):
    found = [BasicConv2d, Inception, InceptionAux] if blocks is None else blocks
    if len(found) != 3:
        raise ValueError(f"blocks length should be 3 instead of {len(found)}")
    return found


def whether_to_init(name, init_weights):
    if init_weights is None:
        warnings.warn(
            f"The default weight initialization of {name} will be changed in future releases of torchvision. If you "
            "wish to keep the old behavior (which leads to long initialization times due to scipy/scipy#11299), "
            "please set init_weights=True.", FutureWarning, stacklevel=3)
        return True
    return init_weights


def for_published(weights, kwargs):
    """Set arguments for published weights, which hold auxiliary classifiers and expect other normalisation."""
    kwargs.setdefault("transform_input", True)
    _ovewrite_named_param(kwargs, "aux_logits", True)
    _ovewrite_named_param(kwargs, "init_weights", False)


GoogLeNet_Weights = weights_enum("GoogLeNet_Weights", __name__)
_build = builder("googlenet", GoogLeNet_Weights, GoogLeNet, "Build GoogLeNet.", prepare=for_published, register=False)


@register_model()
@handle_legacy_interface(weights=("pretrained", GoogLeNet_Weights.IMAGENET1K_V1))
def googlenet(*, weights: typing.Optional[GoogLeNet_Weights] = None, progress: bool = True, **kwargs: typing.Any):
    """Build GoogLeNet. Published weights come without auxiliary classifiers unless `aux_logits=True`.

    Args:
        weights (GoogLeNet_Weights or str, optional): published weights to load; none by default.
        progress (bool): show a progress bar while weights are downloaded.
        kwargs: further arguments of `GoogLeNet`.
    """
    if GoogLeNet_Weights.verify(weights) is None:
        return _build(weights=None, progress=progress, **kwargs)
    wanted = kwargs.pop("aux_logits", False)
    model = _build(weights=weights, progress=progress, **kwargs)
    if wanted:
        warnings.warn("auxiliary heads in the pretrained googlenet model are NOT pretrained, so make sure to train "
                      "them", stacklevel=4)
    else:
        model.aux_logits, model.aux1, model.aux2 = False, None, None
    return model
