"""What segmentation models share: the model around backbone and heads, and the building of it."""

import collections
import inspect
import typing

from .... import nn
from ....nn import functional as F
from .._api import register_model
from .._utils import IntermediateLayerGetter, _ovewrite_value_param, handle_legacy_interface, load_weights


class _SimpleSegmentationModel(nn.Module):
    """Heads on the features "out" and "aux" of a backbone, their results scaled to the size of the images.

    Returns (of forward): an OrderedDict of scores (N, num_classes, H, W).
    """

    def __init__(self, backbone, classifier, aux_classifier=None):
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.aux_classifier = aux_classifier

    def forward(self, x):
        size, features, result = x.shape[-2:], self.backbone(x), collections.OrderedDict()
        for name, head in (("out", self.classifier), ("aux", self.aux_classifier)):
            if head is not None:
                result[name] = F.interpolate(head(features[name]), size=size, mode="bilinear", align_corners=False)
        return result


def of_resnet(model, head, auxiliary_head, backbone, num_classes, aux):
    """Return `model` on a dilated ResNet, with the auxiliary head on its third stage if `aux`."""
    layers = {"layer4": "out", **({"layer3": "aux"} if aux else {})}
    backbone = IntermediateLayerGetter(backbone, return_layers=layers)
    aux_classifier = auxiliary_head(1024, num_classes) if aux else None
    return model(backbone, head(2048, num_classes), aux_classifier)


def stage_positions(features):
    """The positions of a MobileNet's first and last layer, and of those that halve the size."""
    halving = [i for i, layer in enumerate(features) if getattr(layer, "_is_cn", False)]
    return [0, *halving, len(features) - 1]


def builder(name, weights, backbone, backbone_weights, construct, doc, auxiliary=True, **options):
    """Make and register the builder of a segmentation model.

    Args:
        name (str): its name.
        weights, backbone_weights: the enumerations of its weights, and of those of its backbone.
        backbone (callable): builds the backbone.
        construct (callable): (backbone, num_classes, aux) → model.
        doc (str): its docstring.
        auxiliary (bool): whether it has an auxiliary head.
        options: arguments of `backbone`.
    """
    default = backbone_weights.IMAGENET1K_V1

    def build(*, weights=None, progress=True, num_classes=None, aux_loss=None, weights_backbone=default, **kwargs):
        if aux_loss and not auxiliary:
            raise NotImplementedError("This model does not use auxiliary loss")
        chosen = enumeration.verify(weights)
        weights_backbone = backbone_weights.verify(weights_backbone)
        if chosen is not None:
            weights_backbone = None
            num_classes = _ovewrite_value_param("num_classes", num_classes, len(chosen.meta["categories"]))
            aux_loss = _ovewrite_value_param("aux_loss", aux_loss, True) if auxiliary else None
        elif num_classes is None:
            num_classes = 21
        model = construct(backbone(weights=weights_backbone, **options), num_classes, aux_loss)
        if chosen is not None:
            load_weights(model, chosen, progress)
        return model

    enumeration = weights
    build.__name__ = build.__qualname__ = name
    build.__module__ = weights.__module__
    shown = "        aux_loss (bool, optional): have an auxiliary head; only with published weights by default.\n"
    shown = shown if auxiliary else ""
    build.__doc__ = f"""{doc}

    Args:
        weights ({weights.__name__} or str, optional): published weights to load; none by default.
        progress (bool): show a progress bar while weights are downloaded.
        num_classes (int, optional): number of classes, with the background; 21 by default.
{shown}        weights_backbone ({backbone_weights.__name__} or str, optional): weights of the backbone alone.
    """
    build.__signature__ = _signature(build, weights, backbone_weights, auxiliary)
    pretrained = {"weights": ("pretrained", weights.COCO_WITH_VOC_LABELS_V1),
                  "weights_backbone": ("pretrained_backbone", default)}
    return register_model()(handle_legacy_interface(**pretrained)(build))


def _signature(build, weights, backbone_weights, auxiliary):
    """The signature with the types of the weights, without `aux_loss` if there is no auxiliary head."""
    types = {"weights": weights, "weights_backbone": backbone_weights}
    found = inspect.signature(build)
    parameters = [p.replace(annotation=typing.Optional[types[p.name]]) if p.name in types else p
                  for p in found.parameters.values() if auxiliary or p.name != "aux_loss"]
    return found.replace(parameters=parameters)
