"""The builders of detectors, which differ in their parts only."""

import inspect
import typing

from .... import nn
from ...ops.misc import FrozenBatchNorm2d
from .._api import register_model
from .._utils import _ovewrite_value_param, handle_legacy_interface, load_weights
from ..resnet import resnet50
from ._utils import overwrite_eps
from .backbone_utils import _resnet_fpn_extractor, _validate_trainable_layers

KEYWORD = inspect.Parameter.KEYWORD_ONLY


def resnet_backbone(weights, progress, trained, layers, frozen=True, norm_layer=None, stages=None, extra=None):
    """Return a ResNet of 50 layers with a pyramid.

    Args:
        weights, progress, trained, layers: see `Start`.
        frozen (bool): whether its normalisation is frozen, if weights are loaded.
        norm_layer (callable, optional): normalisation in the pyramid.
        stages (list of int, optional): the stages that feed it.
        extra (callable, optional): makes the block that adds levels, after the ResNet has drawn its parameters.
    """
    norm = {"norm_layer": FrozenBatchNorm2d if trained else nn.BatchNorm2d} if frozen else {}
    body = resnet50(weights=weights, progress=progress, **norm)
    return _resnet_fpn_extractor(body, layers, stages, extra() if extra else None, norm_layer)


class Start(typing.NamedTuple):
    """What a detector is built from: weights of the backbone or None, whether any weights are loaded, stages of the
    backbone that are trained, whether a progress bar is shown, number of classes."""

    weights: typing.Any
    trained: bool
    layers: int
    progress: bool
    num_classes: int


def builder(name, weights, backbone_weights, construct, doc, stages=(5, 3), backbone_default=True, classes=91,
            eps_of=None, pretrained=None, backbone_member="IMAGENET1K_V1", keypoints=False, extra=()):
    """Make and register the builder of a detector.

    Args:
        name (str): its name.
        weights, backbone_weights: the enumerations of its weights, and of those of its backbone.
        construct (callable): (Start, **kwargs) → model.
        doc (str): its docstring.
        stages (tuple): stages of the backbone, and how many are trained by default.
        backbone_default (bool): whether the backbone has weights by default.
        classes (int): number of classes by default.
        eps_of (str, optional): weights that were trained with eps 0 in frozen normalisation.
        pretrained (callable or member, optional): what `pretrained=True` stands for; COCO_V1 by default.
        backbone_member (str): what `pretrained_backbone=True` stands for.
        keypoints (bool): whether the number of key points is an argument.
        extra (tuple of str): names of further optional arguments, passed to `construct`.
    """
    published = backbone_weights[backbone_member]

    usual = published if backbone_default else None

    def build(*, weights=None, progress=True, num_classes=None, weights_backbone=usual,
              trainable_backbone_layers=None, **kwargs):
        chosen = enumeration.verify(weights)
        weights_backbone = None if chosen is not None else backbone_weights.verify(weights_backbone)
        meta = {} if chosen is None else chosen.meta
        if keypoints:
            points = kwargs.pop("num_keypoints", None)
            kwargs["num_keypoints"] = _number("num_keypoints", points, meta.get("keypoint_names"), 17)
        num_classes = _number("num_classes", num_classes, meta.get("categories"), classes)
        trained = chosen is not None or weights_backbone is not None
        layers = _validate_trainable_layers(trained, trainable_backbone_layers, *stages)
        model = construct(Start(weights_backbone, trained, layers, progress, num_classes), **kwargs)
        if chosen is not None:
            load_weights(model, chosen, progress)
            if chosen.name == eps_of:
                overwrite_eps(model, 0.0)
        return model

    enumeration = weights
    build.__name__ = build.__qualname__ = name
    build.__module__ = weights.__module__
    build.__doc__ = _text(doc, weights, backbone_weights, stages, classes, keypoints)
    build.__signature__ = _signature(build, weights, backbone_weights, keypoints, extra)
    legacy = {"weights": ("pretrained", pretrained or weights.COCO_V1),
              "weights_backbone": ("pretrained_backbone", published)}
    return register_model()(handle_legacy_interface(**legacy)(build))


def _number(name, given, known, default):
    """A number of classes or key points: that of the weights, or the given one, or a default."""
    if known is not None:
        return _ovewrite_value_param(name, given, len(known))
    return default if given is None else given


def _text(doc, weights, backbone_weights, stages, classes, keypoints):
    points = "        num_keypoints (int, optional): number of key points; 17 by default.\n" if keypoints else ""
    return f"""{doc}

    Args:
        weights ({weights.__name__} or str, optional): published weights to load; none by default.
        progress (bool): show a progress bar while weights are downloaded.
        num_classes (int, optional): number of classes, with the background; {classes} by default.
{points}        weights_backbone ({backbone_weights.__name__} or str, optional): weights of the backbone alone.
        trainable_backbone_layers (int, optional): stages of the backbone that are trained, counted from the last, if
            weights are loaded; {stages[1]} by default.
        kwargs: further arguments of the model's class.
    """


def _signature(build, weights, backbone_weights, keypoints, extra):
    found = inspect.signature(build)
    types = {"weights": weights, "weights_backbone": backbone_weights}
    parameters = []
    for p in found.parameters.values():
        if p.kind is p.VAR_KEYWORD:
            parameters += [inspect.Parameter(name, KEYWORD, default=None) for name in extra]
        parameters.append(p.replace(annotation=typing.Optional[types[p.name]]) if p.name in types else p)
        if keypoints and p.name == "num_classes":
            parameters.append(inspect.Parameter("num_keypoints", KEYWORD, default=None))
    return found.replace(parameters=parameters)
