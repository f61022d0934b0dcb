"""Faster R-CNN (Ren et al. 2015, arXiv:1506.01497) with a feature pyramid, and its version 2 (arXiv:2111.11429)."""

import functools

from .... import nn
from ....nn import functional as F
from ....nn import init
from ...ops import MultiScaleRoIAlign
from ...ops import misc as misc_nn_ops
from .._api import weights_enum
from .._utils import drawn, init_modules
from ..mobilenetv3 import MobileNet_V3_Large_Weights, mobilenet_v3_large
from ..resnet import ResNet50_Weights
from ._builders import builder, resnet_backbone
from .anchor_utils import AnchorGenerator
from .backbone_utils import _mobilenet_extractor
from .generalized_rcnn import GeneralizedRCNN
from .roi_heads import RoIHeads
from .rpn import RegionProposalNetwork, RPNHead
from .transform import GeneralizedRCNNTransform

__all__ = [
    "FasterRCNN", "FasterRCNN_ResNet50_FPN_Weights", "FasterRCNN_ResNet50_FPN_V2_Weights",
    "FasterRCNN_MobileNet_V3_Large_FPN_Weights", "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights",
    "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2", "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
]

IMAGE_MEAN, IMAGE_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
RATIOS = (0.5, 1.0, 2.0)


def _default_anchorgen():
    return AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), (RATIOS,) * 5)


def check_parts(backbone, generator, **pools):
    """ValueError or TypeError for parts of another kind than the model needs."""
    if not hasattr(backbone, "out_channels"):
        raise ValueError("backbone should contain an attribute out_channels specifying the number of output channels "
                         "(assumed to be the same for all the levels)")
    if generator is not None and not isinstance(generator, AnchorGenerator):
        raise TypeError(f"rpn_anchor_generator should be of type AnchorGenerator or None instead of {type(generator)}")
    for name, pool in pools.items():
        if pool is not None and not isinstance(pool, MultiScaleRoIAlign):
            raise TypeError(f"{name} should be of type MultiScaleRoIAlign or None instead of {type(pool)}")


def default_pool(size):
    """Return the pooling of boxes from the four stages of a ResNet."""
    return MultiScaleRoIAlign(featmap_names=["0", "1", "2", "3"], output_size=size, sampling_ratio=2)


class FasterRCNN(GeneralizedRCNN):
    """Faster R-CNN: see `GeneralizedRCNN` for inputs and results.

    Args:
        backbone (Module): returns features, or a dictionary of levels; has `out_channels`.
        num_classes (int, optional): number of classes, with the background; None if there is a `box_predictor`.
        min_size (int or tuple), max_size (int): see `GeneralizedRCNNTransform`.
        image_mean, image_std (list of float, optional): for the normalisation; ImageNet's by default.
        rpn_anchor_generator, rpn_head (Module, optional): parts of the region proposal network.
        rpn_pre_nms_top_n_train, rpn_pre_nms_top_n_test, rpn_post_nms_top_n_train, rpn_post_nms_top_n_test (int): boxes
            kept before and after suppression.
        rpn_nms_thresh, rpn_fg_iou_thresh, rpn_bg_iou_thresh, rpn_score_thresh (float): see `RegionProposalNetwork`.
        rpn_batch_size_per_image (int), rpn_positive_fraction (float): anchors sampled for the loss.
        box_roi_pool, box_head, box_predictor (Module, optional): features of boxes → classes and movements.
        box_score_thresh, box_nms_thresh (float), box_detections_per_img (int): which results are kept.
        box_fg_iou_thresh, box_bg_iou_thresh (float): see `RoIHeads`.
        box_batch_size_per_image (int), box_positive_fraction (float): boxes sampled for the losses.
        bbox_reg_weights (tuple of 4 float, optional): factors of movements.
    """

    def __init__(self, backbone, num_classes=None, min_size=800, max_size=1333, image_mean=None, image_std=None,
                 rpn_anchor_generator=None, rpn_head=None, rpn_pre_nms_top_n_train=2000, rpn_pre_nms_top_n_test=1000,
                 rpn_post_nms_top_n_train=2000, rpn_post_nms_top_n_test=1000, rpn_nms_thresh=0.7,
                 rpn_fg_iou_thresh=0.7, rpn_bg_iou_thresh=0.3, rpn_batch_size_per_image=256,
                 rpn_positive_fraction=0.5, rpn_score_thresh=0.0, box_roi_pool=None, box_head=None,
                 box_predictor=None, box_score_thresh=0.05, box_nms_thresh=0.5, box_detections_per_img=100,
                 box_fg_iou_thresh=0.5, box_bg_iou_thresh=0.5, box_batch_size_per_image=512,
                 box_positive_fraction=0.25, bbox_reg_weights=None, **kwargs):
        check_parts(backbone, rpn_anchor_generator, box_roi_pool=box_roi_pool)
        if num_classes is not None and box_predictor is not None:
            raise ValueError("num_classes should be None when box_predictor is specified")
        if num_classes is None and box_predictor is None:
            raise ValueError("num_classes should not be None when box_predictor is not specified")
        channels = backbone.out_channels
        anchors = rpn_anchor_generator or _default_anchorgen()
        rpn = RegionProposalNetwork(
            anchors, rpn_head or RPNHead(channels, anchors.num_anchors_per_location()[0]), rpn_fg_iou_thresh,
            rpn_bg_iou_thresh, rpn_batch_size_per_image, rpn_positive_fraction,
            {"training": rpn_pre_nms_top_n_train, "testing": rpn_pre_nms_top_n_test},
            {"training": rpn_post_nms_top_n_train, "testing": rpn_post_nms_top_n_test}, rpn_nms_thresh,
            score_thresh=rpn_score_thresh)
        pool = box_roi_pool or default_pool(7)
        head = box_head or TwoMLPHead(channels * pool.output_size[0] ** 2, 1024)
        roi_heads = RoIHeads(
            pool, head, box_predictor or FastRCNNPredictor(1024, num_classes), box_fg_iou_thresh, box_bg_iou_thresh,
            box_batch_size_per_image, box_positive_fraction, bbox_reg_weights, box_score_thresh, box_nms_thresh,
            box_detections_per_img)
        transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or IMAGE_MEAN, image_std or IMAGE_STD, **kwargs)
        super().__init__(backbone, rpn, roi_heads, transform)


class TwoMLPHead(nn.Module):
    """Two layers on the flattened features of boxes."""

    def __init__(self, in_channels, representation_size):
        super().__init__()
        self.fc6 = nn.Linear(in_channels, representation_size)
        self.fc7 = nn.Linear(representation_size, representation_size)

    def forward(self, x):
        return F.relu(self.fc7(F.relu(self.fc6(x.flatten(start_dim=1)))))


def draw_head(module):
    """Draw the convolutions of a head."""
    init_modules(module, (nn.Conv2d, drawn(init.kaiming_normal_, mode="fan_out", nonlinearity="relu")))


class FastRCNNConvFCHead(nn.Sequential):
    """Convolutions and layers on the features of boxes.

    Args:
        input_size (tuple of 3 int): channels, height and width of the features.
        conv_layers, fc_layers (list of int): channels of convolutions, features of layers.
        norm_layer (callable, optional): normalisation behind convolutions.
    """

    def __init__(self, input_size, conv_layers, fc_layers, norm_layer=None):
        channels, height, width = input_size
        blocks = []
        for wide in conv_layers:
            blocks.append(misc_nn_ops.Conv2dNormActivation(channels, wide, norm_layer=norm_layer))
            channels = wide
        blocks.append(nn.Flatten())
        channels *= height * width
        for wide in fc_layers:
            blocks += [nn.Linear(channels, wide), nn.ReLU(inplace=True)]
            channels = wide
        super().__init__(*blocks)
        draw_head(self)


class FastRCNNPredictor(nn.Module):
    """Features → scores (N, num_classes) and movements (N, 4 num_classes)."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.cls_score = nn.Linear(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, num_classes * 4)

    def forward(self, x):
        if x.dim() == 4 and list(x.shape[2:]) != [1, 1]:
            raise AssertionError("x has the wrong shape, expecting the last two dimensions to be [1,1] instead of "
                                 f"{list(x.shape[2:])}")
        x = x.flatten(start_dim=1)
        return self.cls_score(x), self.bbox_pred(x)


FasterRCNN_ResNet50_FPN_Weights = weights_enum("FasterRCNN_ResNet50_FPN_Weights", __name__)
FasterRCNN_ResNet50_FPN_V2_Weights = weights_enum("FasterRCNN_ResNet50_FPN_V2_Weights", __name__)
FasterRCNN_MobileNet_V3_Large_FPN_Weights = weights_enum("FasterRCNN_MobileNet_V3_Large_FPN_Weights", __name__)
FasterRCNN_MobileNet_V3_Large_320_FPN_Weights = weights_enum(
    "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights", __name__)


def first_version(model, start, **kwargs):
    """Build a detector of the first version on a ResNet of 50 layers."""
    backbone = resnet_backbone(start.weights, start.progress, start.trained, start.layers)
    return model(backbone, num_classes=start.num_classes, **kwargs)


def second_version_parts(start):
    """Return (backbone, arguments) of a detector of the second version: deeper heads, normalisation everywhere."""
    backbone = resnet_backbone(start.weights, start.progress, start.trained, start.layers, frozen=False,
                               norm_layer=nn.BatchNorm2d)
    anchors = _default_anchorgen()
    head = RPNHead(backbone.out_channels, anchors.num_anchors_per_location()[0], conv_depth=2)
    box_head = FastRCNNConvFCHead((backbone.out_channels, 7, 7), [256] * 4, [1024], norm_layer=nn.BatchNorm2d)
    return backbone, {"rpn_anchor_generator": anchors, "rpn_head": head, "box_head": box_head}


def _second_version(start, **kwargs):
    backbone, parts = second_version_parts(start)
    return FasterRCNN(backbone, num_classes=start.num_classes, **parts, **kwargs)


def _on_mobilenet(defaults, start, **kwargs):
    norm_layer = misc_nn_ops.FrozenBatchNorm2d if start.trained else nn.BatchNorm2d
    backbone = mobilenet_v3_large(weights=start.weights, progress=start.progress, norm_layer=norm_layer)
    backbone = _mobilenet_extractor(backbone, True, start.layers)
    anchors = AnchorGenerator(((32, 64, 128, 256, 512),) * 3, (RATIOS,) * 3)
    return FasterRCNN(backbone, start.num_classes, rpn_anchor_generator=anchors, **{**defaults, **kwargs})


fasterrcnn_resnet50_fpn = builder(
    "fasterrcnn_resnet50_fpn", FasterRCNN_ResNet50_FPN_Weights, ResNet50_Weights,
    functools.partial(first_version, FasterRCNN), "Build Faster R-CNN on a ResNet of 50 layers.", eps_of="COCO_V1")
fasterrcnn_resnet50_fpn_v2 = builder(
    "fasterrcnn_resnet50_fpn_v2", FasterRCNN_ResNet50_FPN_V2_Weights, ResNet50_Weights, _second_version,
    "Build the second version of Faster R-CNN on a ResNet of 50 layers.", backbone_default=False)
fasterrcnn_mobilenet_v3_large_320_fpn = builder(
    "fasterrcnn_mobilenet_v3_large_320_fpn", FasterRCNN_MobileNet_V3_Large_320_FPN_Weights,
    MobileNet_V3_Large_Weights,
    functools.partial(_on_mobilenet, {
        "min_size": 320, "max_size": 640, "rpn_pre_nms_top_n_test": 150, "rpn_post_nms_top_n_test": 150,
        "rpn_score_thresh": 0.05}),
    "Build Faster R-CNN on the large MobileNet V3, for small images on weak devices.", stages=(6, 3))
fasterrcnn_mobilenet_v3_large_fpn = builder(
    "fasterrcnn_mobilenet_v3_large_fpn", FasterRCNN_MobileNet_V3_Large_FPN_Weights, MobileNet_V3_Large_Weights,
    functools.partial(_on_mobilenet, {"rpn_score_thresh": 0.05}), "Build Faster R-CNN on the large MobileNet V3.",
    stages=(6, 3))
