"""Densely connected networks (Huang et al. 2016, arXiv:1608.06993)."""

import collections
import functools
import re

from ... import api as rl
from ... import nn
from ...nn import functional as F
from ...nn import init
from ...utils.checkpoint import checkpoint
from ._api import weights_enum
from ._utils import builder, init_modules, unit_norm

__all__ = [
    "DenseNet", "DenseNet121_Weights", "DenseNet161_Weights", "DenseNet169_Weights", "DenseNet201_Weights",
    "densenet121", "densenet161", "densenet169", "densenet201",
]

# Published files name the layers of a dense layer "norm.1" where the module is called "norm1".
OLD_NAME = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))$")


class _DenseLayer(nn.Module):
    def __init__(self, num_input_features, growth_rate, bn_size, drop_rate, memory_efficient=False):
        super().__init__()
        middle = bn_size * growth_rate
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, middle, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(middle)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(middle, growth_rate, 3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def bn_function(self, inputs):
        """Join the results of earlier layers and lower their channels."""
        return self.conv1(self.relu1(self.norm1(rl.cat(inputs, 1))))

    def forward(self, input):
        inputs = list(input) if isinstance(input, (list, tuple)) else [input]
        if self.memory_efficient and any([x.requires_grad for x in inputs]):
            middle = checkpoint(lambda *x: self.bn_function(list(x)), *inputs, use_reentrant=False)
        else:
            middle = self.bn_function(inputs)
        found = self.conv2(self.relu2(self.norm2(middle)))
        return F.dropout(found, p=self.drop_rate, training=self.training) if self.drop_rate > 0 else found


class _DenseBlock(nn.ModuleDict):
    _version = 2

    def __init__(self, num_layers, num_input_features, bn_size, growth_rate, drop_rate, memory_efficient=False):
        super().__init__()
        for i in range(num_layers):
            layer = _DenseLayer(num_input_features + i * growth_rate, growth_rate, bn_size, drop_rate, memory_efficient)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, init_features):
        features = [init_features]
        for _, layer in self.items():
            features.append(layer(features))
        return rl.cat(features, 1)


class _Transition(nn.Sequential):
    def __init__(self, num_input_features, num_output_features):
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(num_input_features, num_output_features, 1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """A densely connected network: images (N, 3, H, W) → scores (N, num_classes).

    Args:
        growth_rate (int): channels that each layer adds.
        block_config (tuple of int): layers of the blocks.
        num_init_features (int): channels of the first convolution.
        bn_size (int): channels between the convolutions of a layer, in multiples of `growth_rate`.
        drop_rate (float): probability of dropout after each layer.
        num_classes (int): number of classes.
        memory_efficient (bool): compute joined features again in the backward pass instead of keeping them.
    """

    def __init__(self, growth_rate=32, block_config=(6, 12, 24, 16), num_init_features=64, bn_size=4, drop_rate=0,
                 num_classes=1000, memory_efficient=False):
        super().__init__()
        self.features = nn.Sequential(collections.OrderedDict([
            ("conv0", nn.Conv2d(3, num_init_features, kernel_size=7, stride=2, padding=3, bias=False)),
            ("norm0", nn.BatchNorm2d(num_init_features)),
            ("relu0", nn.ReLU(inplace=True)),
            ("pool0", nn.MaxPool2d(kernel_size=3, stride=2, padding=1)),
        ]))
        features = num_init_features
        for i, layers in enumerate(block_config):
            block = _DenseBlock(layers, features, bn_size, growth_rate, drop_rate, memory_efficient)
            self.features.add_module(f"denseblock{i + 1}", block)
            features += layers * growth_rate
            if i + 1 < len(block_config):
                self.features.add_module(f"transition{i + 1}", _Transition(features, features // 2))
                features //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(features))
        self.classifier = nn.Linear(features, num_classes)
        init_modules(
            self,
            (nn.Conv2d, lambda m: init.kaiming_normal_(m.weight)),
            (nn.BatchNorm2d, unit_norm),
            (nn.Linear, lambda m: init.zeros_(m.bias)),
        )

    def forward(self, x):
        x = F.relu(self.features(x), inplace=True)
        return self.classifier(rl.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


def _load(model, weights, progress):
    state = weights.get_state_dict(progress=progress, check_hash=True)
    for key in list(state):
        old = OLD_NAME.match(key)
        if old:
            state[old.group(1) + old.group(2)] = state.pop(key)
    model.load_state_dict(state)


def _variant(name, weights, growth_rate, block_config, num_init_features):
    construct = functools.partial(DenseNet, growth_rate, block_config, num_init_features)
    return builder(name, weights, construct, f"Build a DenseNet of {name[8:]} layers.", load=_load)


DenseNet121_Weights = weights_enum("DenseNet121_Weights", __name__)
DenseNet161_Weights = weights_enum("DenseNet161_Weights", __name__)
DenseNet169_Weights = weights_enum("DenseNet169_Weights", __name__)
DenseNet201_Weights = weights_enum("DenseNet201_Weights", __name__)

densenet121 = _variant("densenet121", DenseNet121_Weights, 32, (6, 12, 24, 16), 64)
densenet161 = _variant("densenet161", DenseNet161_Weights, 48, (6, 12, 36, 24), 96)
densenet169 = _variant("densenet169", DenseNet169_Weights, 32, (6, 12, 32, 32), 64)
densenet201 = _variant("densenet201", DenseNet201_Weights, 32, (6, 12, 48, 32), 64)
