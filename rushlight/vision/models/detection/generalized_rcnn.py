"""The frame of detectors that first propose boxes and then look into them."""

from .... import nn
from ._utils import as_features, check_degenerate, check_targets, sizes_of


class GeneralizedRCNN(nn.Module):
    """A backbone, a network that proposes boxes and heads that look into them.

    Args:
        backbone, rpn, roi_heads, transform (Module): the parts.

    Forward takes a list of images (C, H, W) in [0, 1] and, in training, a list of targets: dictionaries with "boxes"
    (N, 4), "labels" (N,) and what the heads ask for. In training it returns a dictionary of losses, else for each image
    a dictionary with "boxes", "labels" and "scores".
    """

    def __init__(self, backbone, rpn, roi_heads, transform):
        super().__init__()
        self.transform = transform
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads

    def forward(self, images, targets=None):
        if self.training:
            check_targets(targets)
        originals = sizes_of(images)
        images, targets = self.transform(images, targets)
        check_degenerate(targets)
        features = as_features(self.backbone(images.tensors))
        proposals, proposal_losses = self.rpn(images, features, targets)
        detections, losses = self.roi_heads(features, proposals, images.image_sizes, targets)
        if self.training:
            return {**losses, **proposal_losses}
        return self.transform.postprocess(detections, images.image_sizes, originals)
