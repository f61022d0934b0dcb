"""S3D for videos (Xie et al. 2017, arXiv:1712.04851): inceptions of convolutions over space and then over time."""

import functools

from .... import api as rl
from .... import nn
from ...ops.misc import Conv3dNormActivation
from .._api import weights_enum
from .._utils import builder

__all__ = ["S3D", "S3D_Weights", "s3d"]

# channels of the branches: single, reduced and convolved, reduced and convolved, behind the maximum
INCEPTIONS = [
    [(192, 64, 96, 128, 16, 32, 32), (256, 128, 128, 192, 32, 96, 64)],
    [(480, 192, 96, 208, 16, 48, 64), (512, 160, 112, 224, 24, 64, 64), (512, 128, 128, 256, 24, 64, 64),
     (512, 112, 144, 288, 32, 64, 64), (528, 256, 160, 320, 32, 128, 128)],
    [(832, 256, 160, 320, 32, 128, 128), (832, 384, 192, 384, 48, 128, 128)],
]


class TemporalSeparableConv(nn.Sequential):
    """A convolution over space, then one over time."""

    def __init__(self, in_planes, out_planes, kernel_size, stride, padding, norm_layer):
        super().__init__(
            Conv3dNormActivation(
                in_planes, out_planes, (1, kernel_size, kernel_size), stride=(1, stride, stride),
                padding=(0, padding, padding), bias=False, norm_layer=norm_layer),
            Conv3dNormActivation(
                out_planes, out_planes, (kernel_size, 1, 1), stride=(stride, 1, 1), padding=(padding, 0, 0),
                bias=False, norm_layer=norm_layer))


class SepInceptionBlock3D(nn.Module):
    """Convolutions and a maximum side by side, their channels joined."""

    def __init__(self, in_planes, b0_out, b1_mid, b1_out, b2_mid, b2_out, b3_out, norm_layer):
        super().__init__()
        single = functools.partial(Conv3dNormActivation, kernel_size=1, norm_layer=norm_layer)
        self.branch0 = single(in_planes, b0_out)
        self.branch1 = nn.Sequential(
            single(in_planes, b1_mid), TemporalSeparableConv(b1_mid, b1_out, 3, 1, 1, norm_layer))
        self.branch2 = nn.Sequential(
            single(in_planes, b2_mid), TemporalSeparableConv(b2_mid, b2_out, 3, 1, 1, norm_layer))
        self.branch3 = nn.Sequential(
            nn.MaxPool3d(kernel_size=(3, 3, 3), stride=1, padding=1), single(in_planes, b3_out))

    def forward(self, x):
        return rl.cat((self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x)), 1)


class S3D(nn.Module):
    """S3D: videos (N, 3, T, H, W), of at least 14 frames of 224 x 224 pixels, → scores (N, num_classes)."""

    def __init__(self, num_classes=400, dropout=0.2, norm_layer=None):
        super().__init__()
        norm = norm_layer or functools.partial(nn.BatchNorm3d, eps=0.001, momentum=0.001)

        def inceptions(stage):
            return [SepInceptionBlock3D(*row, norm) for row in INCEPTIONS[stage]]

        self.features = nn.Sequential(
            TemporalSeparableConv(3, 64, 7, 2, 3, norm),
            nn.MaxPool3d(kernel_size=(1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            Conv3dNormActivation(64, 64, kernel_size=1, norm_layer=norm),
            TemporalSeparableConv(64, 192, 3, 1, 1, norm),
            nn.MaxPool3d(kernel_size=(1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            *inceptions(0),
            nn.MaxPool3d(kernel_size=(3, 3, 3), stride=(2, 2, 2), padding=(1, 1, 1)),
            *inceptions(1),
            nn.MaxPool3d(kernel_size=(2, 2, 2), stride=(2, 2, 2), padding=(0, 0, 0)),
            *inceptions(2))
        self.avgpool = nn.AvgPool3d(kernel_size=(2, 7, 7), stride=1)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Conv3d(1024, num_classes, kernel_size=1, bias=True))

    def forward(self, x):
        return rl.mean(self.classifier(self.avgpool(self.features(x))), dim=(2, 3, 4))


S3D_Weights = weights_enum("S3D_Weights", __name__)
s3d = builder("s3d", S3D_Weights, S3D, "Build S3D.", pretrained="KINETICS400_V1")
