"""AlexNet (Krizhevsky 2014, arXiv:1404.5997)."""

from ... import api as rl
from ... import nn
from ._api import weights_enum
from ._utils import builder

__all__ = ["AlexNet", "AlexNet_Weights", "alexnet"]


def _block(in_channels, out_channels, kernel_size, **options):
    return [nn.Conv2d(in_channels, out_channels, kernel_size, **options), nn.ReLU(inplace=True)]


class AlexNet(nn.Module):
    """Five convolutions and three layers: images (N, 3, H, W) → scores (N, num_classes)."""

    def __init__(self, num_classes=1000, dropout=0.5):
        super().__init__()
        self.features = nn.Sequential(
            *_block(3, 64, 11, stride=4, padding=2),
            nn.MaxPool2d(3, stride=2),
            *_block(64, 192, 5, padding=2),
            nn.MaxPool2d(3, stride=2),
            *_block(192, 384, 3, padding=1),
            *_block(384, 256, 3, padding=1),
            *_block(256, 256, 3, padding=1),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(inplace=True),
            nn.Dropout(p=dropout), nn.Linear(4096, 4096), nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x):
        return self.classifier(rl.flatten(self.avgpool(self.features(x)), 1))


AlexNet_Weights = weights_enum("AlexNet_Weights", __name__)
alexnet = builder("alexnet", AlexNet_Weights, AlexNet, "Build AlexNet.")
