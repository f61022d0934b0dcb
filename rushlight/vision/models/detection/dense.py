"""The frame of detectors that predict boxes at all places of feature maps at once."""

from .... import api as rl
from .... import nn
from ...ops import boxes as box_ops
from ._utils import as_features, check_degenerate, check_targets, sizes_of
from .anchor_utils import AnchorGenerator

IMAGE_MEAN, IMAGE_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def check_parts(backbone, anchor_generator):
    """ValueError or TypeError for parts of another kind than the model needs."""
    if not hasattr(backbone, "out_channels"):
        raise ValueError("backbone should contain an attribute out_channels specifying the number of output channels "
                         "(assumed to be the same for all the levels)")
    if anchor_generator is not None and not isinstance(anchor_generator, AnchorGenerator):
        raise TypeError("anchor_generator should be of type AnchorGenerator or None instead of "
                        f"{type(anchor_generator)}")


def background(anchors):
    """The matches of anchors of an image without objects."""
    return rl.full((anchors.size(0),), -1, dtype=rl.int64, device=anchors.device)


class DenseDetector(nn.Module):
    """A backbone, a head and anchors; inputs and results as of `GeneralizedRCNN`.

    A subclass sets `backbone`, `anchor_generator`, `head`, `transform`, `nms_thresh` and `detections_per_img`. It
    defines `losses(targets, outputs, anchors, places)` and `detect(outputs, anchors, sizes of images, places)`, where
    outputs are those of the head, and places the numbers of places of the levels.
    """

    def forward(self, images, targets=None):
        if self.training:
            check_targets(targets)
        originals = sizes_of(images)
        images, targets = self.transform(images, targets)
        check_degenerate(targets)
        features = list(as_features(self.backbone(images.tensors)).values())
        outputs = self.head(features)
        anchors = self.anchor_generator(images, features)
        places = [level.size(2) * level.size(3) for level in features]
        if self.training:
            return self.losses(targets, outputs, anchors, places)
        detections = self.detect(outputs, anchors, images.image_sizes, places)
        return self.transform.postprocess(detections, images.image_sizes, originals)

    def match(self, targets, anchors):
        """Match the anchors of each image by their overlap."""
        return [self.proposal_matcher(box_ops.box_iou(target["boxes"], own)) if target["boxes"].numel()
                else background(own) for own, target in zip(anchors, targets)]

    def best(self, boxes, scores, labels):
        """The best of an image's boxes, given as lists of tensors, that do not overlap better ones of their class."""
        boxes, scores, labels = rl.cat(boxes, dim=0), rl.cat(scores, dim=0), rl.cat(labels, dim=0)
        keep = box_ops.batched_nms(boxes, scores, labels, self.nms_thresh)[:self.detections_per_img]
        return {"boxes": boxes[keep], "scores": scores[keep], "labels": labels[keep]}

    def detect_by_level(self, outputs, anchors, image_shapes, places, score, decode):
        """Results of heads that score classes independently.

        `score`: (outputs of a level of an image) → scores (places, classes). `decode`: (movements, anchors) to boxes.
        """
        per_place = outputs["cls_logits"].size(1) // sum(places)
        counts = [count * per_place for count in places]
        found = []
        for i, shape in enumerate(image_shapes):
            levels = zip(*[values[i].split(counts) for values in outputs.values()], anchors[i].split(counts))
            kept = ([], [], [])
            for *values, own in levels:
                level = dict(zip(outputs, values))
                scores = score(level)
                classes = scores.shape[-1]
                scores = scores.flatten()
                candidates = rl.where(scores > self.score_thresh)[0]
                scores, order = scores[candidates].topk(min(self.topk_candidates, len(candidates)))
                candidates = candidates[order]
                at = rl.div(candidates, classes, rounding_mode="floor")
                boxes = box_ops.clip_boxes_to_image(decode(level["bbox_regression"][at], own[at]), shape)
                for items, item in zip(kept, (boxes, scores, candidates % classes)):
                    items.append(item)
            found.append(self.best(*kept))
        return found
