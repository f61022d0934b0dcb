"""VGG networks (Simonyan and Zisserman 2014, arXiv:1409.1556), also with batch normalisation."""

import functools

from ... import api as rl
from ... import nn
from ...nn import init
from ._api import weights_enum
from ._utils import builder, drawn, init_modules, unit_norm

__all__ = [
    "VGG", "VGG11_Weights", "VGG11_BN_Weights", "VGG13_Weights", "VGG13_BN_Weights", "VGG16_Weights",
    "VGG16_BN_Weights", "VGG19_Weights", "VGG19_BN_Weights", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16",
    "vgg16_bn", "vgg19", "vgg19_bn",
]


class VGG(nn.Module):
    """Convolutions `features` and three layers: images (N, 3, H, W) → scores (N, num_classes)."""

    def __init__(self, features, num_classes=1000, init_weights=True, dropout=0.5):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(True), nn.Dropout(p=dropout),
            nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            init_modules(
                self,
                (nn.Conv2d, drawn(init.kaiming_normal_, mode="fan_out", nonlinearity="relu")),
                (nn.BatchNorm2d, unit_norm),
                (nn.Linear, drawn(init.normal_, mean=0, std=0.01)),
            )

    def forward(self, x):
        return self.classifier(rl.flatten(self.avgpool(self.features(x)), 1))


# Channels of the 3 x 3 convolutions by their stages; a stage ends in a maximum over 2 x 2.
STAGES = {
    "A": [[64], [128], [256] * 2, [512] * 2, [512] * 2],
    "B": [[64] * 2, [128] * 2, [256] * 2, [512] * 2, [512] * 2],
    "D": [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3],
    "E": [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4],
}
cfgs = {name: [item for stage in stages for item in (*stage, "M")] for name, stages in STAGES.items()}


def make_layers(cfg, batch_norm=False):
    """Return the convolutions of a configuration: numbers of channels, and "M" for a maximum."""
    layers, channels = [], 3
    for item in cfg:
        if item == "M":
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(channels, item, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(item))
        layers.append(nn.ReLU(inplace=True))
        channels = item
    return nn.Sequential(*layers)


def _make(cfg, batch_norm, **kwargs):
    return VGG(make_layers(cfgs[cfg], batch_norm), **kwargs)


def _variant(name, weights, cfg, batch_norm=False):
    doc = f"Build the VGG network of configuration {cfg}{' with batch normalisation' if batch_norm else ''}."
    return builder(name, weights, functools.partial(_make, cfg, batch_norm), doc,
                   prepare=lambda _, kwargs: kwargs.update(init_weights=False))


VGG11_Weights = weights_enum("VGG11_Weights", __name__)
VGG11_BN_Weights = weights_enum("VGG11_BN_Weights", __name__)
VGG13_Weights = weights_enum("VGG13_Weights", __name__)
VGG13_BN_Weights = weights_enum("VGG13_BN_Weights", __name__)
VGG16_Weights = weights_enum("VGG16_Weights", __name__)
VGG16_BN_Weights = weights_enum("VGG16_BN_Weights", __name__)
VGG19_Weights = weights_enum("VGG19_Weights", __name__)
VGG19_BN_Weights = weights_enum("VGG19_BN_Weights", __name__)

vgg11 = _variant("vgg11", VGG11_Weights, "A")
vgg11_bn = _variant("vgg11_bn", VGG11_BN_Weights, "A", True)
vgg13 = _variant("vgg13", VGG13_Weights, "B")
vgg13_bn = _variant("vgg13_bn", VGG13_BN_Weights, "B", True)
vgg16 = _variant("vgg16", VGG16_Weights, "D")
vgg16_bn = _variant("vgg16_bn", VGG16_BN_Weights, "D", True)
vgg19 = _variant("vgg19", VGG19_Weights, "E")
vgg19_bn = _variant("vgg19_bn", VGG19_BN_Weights, "E", True)
