"""Backbones of detectors: classification models whose stages feed a pyramid of features."""

import functools
import typing
import warnings

from .... import nn
from ...ops import misc as misc_nn_ops
from ...ops.feature_pyramid_network import ExtraFPNBlock, FeaturePyramidNetwork, LastLevelMaxPool
from .. import mobilenet, resnet
from .._api import WeightsEnum, _get_enum_from_fn
from .._utils import IntermediateLayerGetter, handle_legacy_interface
from ..segmentation._utils import stage_positions

OUT_CHANNELS = 256
Layers = typing.Optional[typing.List[int]]
Extra = typing.Optional[ExtraFPNBlock]


class BackboneWithFPN(nn.Module):
    """The stages of a model and a feature pyramid on them.

    Args:
        backbone (Module): the model.
        return_layers (dict): names of its children → names of levels.
        in_channels_list (list of int): their channels.
        out_channels (int): channels of the pyramid.
        extra_blocks (ExtraFPNBlock, optional): adds levels; `LastLevelMaxPool` by default.
        norm_layer (callable, optional): normalisation in the pyramid.
    """

    def __init__(self, backbone, return_layers, in_channels_list, out_channels, extra_blocks=None, norm_layer=None):
        super().__init__()
        self.body = IntermediateLayerGetter(backbone, return_layers=return_layers)
        self.fpn = FeaturePyramidNetwork(
            in_channels_list, out_channels, extra_blocks or LastLevelMaxPool(), norm_layer=norm_layer)
        self.out_channels = out_channels

    def forward(self, x):
        return self.fpn(self.body(x))


def _published(module, kwargs):
    return _get_enum_from_fn(getattr(module, kwargs["backbone_name"]))["IMAGENET1K_V1"]


@handle_legacy_interface(weights=("pretrained", functools.partial(_published, resnet)))
def resnet_fpn_backbone(*, backbone_name: str, weights: typing.Optional[WeightsEnum],
                        norm_layer=misc_nn_ops.FrozenBatchNorm2d, trainable_layers: int = 3,
                        returned_layers: Layers = None, extra_blocks: Extra = None):
    """Build a ResNet with a feature pyramid.

    Args:
        backbone_name (str): name of the ResNet's builder.
        weights: its weights, or None.
        norm_layer (callable): its normalisation.
        trainable_layers (int): stages that are trained, counted from the last, 0 to 5.
        returned_layers (list of int, optional): stages that feed the pyramid, of 1 to 4; all by default.
        extra_blocks (ExtraFPNBlock, optional): adds levels.

    Raises:
        ValueError: numbers of stages out of range.

    Example:
        >>> from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
        >>> backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None)
        >>> [name for name in backbone(torch.rand(1, 3, 64, 64))]
        ['0', '1', '2', '3', 'pool']
    """
    backbone = getattr(resnet, backbone_name)(weights=weights, norm_layer=norm_layer)
    return _resnet_fpn_extractor(backbone, trainable_layers, returned_layers, extra_blocks)


def _resnet_fpn_extractor(backbone, trainable_layers, returned_layers=None, extra_blocks=None, norm_layer=None):
    if not 0 <= trainable_layers <= 5:
        raise ValueError(f"Trainable layers should be in the range [0,5], got {trainable_layers}")
    trained = ["layer4", "layer3", "layer2", "layer1", "conv1"][:trainable_layers]
    if trainable_layers == 5:
        trained.append("bn1")
    for name, parameter in backbone.named_parameters():
        if not name.startswith(tuple(trained)):
            parameter.requires_grad_(False)
    stages = [1, 2, 3, 4] if returned_layers is None else returned_layers
    if min(stages) <= 0 or max(stages) >= 5:
        raise ValueError(f"Each returned layer should be in the range [1,4]. Got {stages}")
    channels = [backbone.inplanes // 8 * 2 ** (stage - 1) for stage in stages]
    layers = {f"layer{stage}": str(i) for i, stage in enumerate(stages)}
    return BackboneWithFPN(backbone, layers, channels, OUT_CHANNELS, extra_blocks, norm_layer)


def _validate_trainable_layers(is_trained, trainable_backbone_layers, max_value, default_value):
    """The number of stages that are trained: all if no weights are loaded. ValueError if it is out of range."""
    if not is_trained:
        if trainable_backbone_layers is not None:
            warnings.warn("Changing trainable_backbone_layers has no effect if neither pretrained nor "
                          "pretrained_backbone have been set to True, falling back to trainable_backbone_layers="
                          f"{max_value} so that all layers are trainable", stacklevel=4)
        return max_value
    if trainable_backbone_layers is None:
        return default_value
    if not 0 <= trainable_backbone_layers <= max_value:
        raise ValueError(f"Trainable backbone layers should be in the range [0,{max_value}], got "
                         f"{trainable_backbone_layers} ")
    return trainable_backbone_layers


@handle_legacy_interface(weights=("pretrained", functools.partial(_published, mobilenet)))
def mobilenet_backbone(*, backbone_name: str, weights: typing.Optional[WeightsEnum], fpn: bool,
                       norm_layer=misc_nn_ops.FrozenBatchNorm2d, trainable_layers: int = 2,
                       returned_layers: Layers = None, extra_blocks: Extra = None):
    """Build a MobileNet, with a feature pyramid if `fpn`; other arguments as of `resnet_fpn_backbone`."""
    backbone = getattr(mobilenet, backbone_name)(weights=weights, norm_layer=norm_layer)
    return _mobilenet_extractor(backbone, fpn, trainable_layers, returned_layers, extra_blocks)


def freeze(features, stages, trainable_layers):
    """Freeze the layers of a model before its last stages. ValueError for a number of stages out of range."""
    if not 0 <= trainable_layers <= len(stages):
        raise ValueError(f"Trainable layers should be in the range [0,{len(stages)}], got {trainable_layers} ")
    first = stages[len(stages) - trainable_layers] if trainable_layers else len(features)
    for layer in features[:first]:
        for parameter in layer.parameters():
            parameter.requires_grad_(False)


def _mobilenet_extractor(backbone, fpn, trainable_layers, returned_layers=None, extra_blocks=None, norm_layer=None):
    features = backbone.features
    stages = stage_positions(features)
    freeze(features, stages, trainable_layers)
    if not fpn:
        model = nn.Sequential(features, nn.Conv2d(features[-1].out_channels, OUT_CHANNELS, 1))
        model.out_channels = OUT_CHANNELS
        return model
    count = len(stages)
    chosen = [count - 2, count - 1] if returned_layers is None else returned_layers
    if min(chosen) < 0 or max(chosen) >= count:
        raise ValueError(f"Each returned layer should be in the range [0,{count - 1}], got {chosen} ")
    layers = {str(stages[stage]): str(i) for i, stage in enumerate(chosen)}
    channels = [features[stages[stage]].out_channels for stage in chosen]
    return BackboneWithFPN(features, layers, channels, OUT_CHANNELS, extra_blocks, norm_layer)
