"""Heads that look into proposed boxes: classes and better boxes, masks, key points."""

from .... import api as rl
from .... import nn
from ....nn import functional as F
from ...ops import boxes as box_ops
from ...ops import roi_align
from . import _utils as det_utils


# -- losses and results ------------------------------------------------------------------------------------------------


def fastrcnn_loss(class_logits, box_regression, labels, regression_targets):
    """Return the losses of classes (N, C) and of movements (N, 4 C), given lists of labels and movements."""
    labels, targets = rl.cat(labels, dim=0), rl.cat(regression_targets, dim=0)
    positive = rl.where(labels > 0)[0]
    moves = box_regression.reshape(class_logits.shape[0], -1, 4)[positive, labels[positive]]
    boxes = F.smooth_l1_loss(moves, targets[positive], beta=1 / 9, reduction="sum")
    return F.cross_entropy(class_logits, labels), boxes / labels.numel()


def maskrcnn_inference(x, labels):
    """Return for each image the masks (K, 1, M, M) of the classes `labels`, from scores (N, C, M, M)."""
    own = x.sigmoid()[rl.arange(x.shape[0], device=x.device), rl.cat(labels)][:, None]
    return own.split([len(item) for item in labels], dim=0)


def project_masks_on_boxes(gt_masks, boxes, matched_idxs, M):
    """Return the parts (N, M, M) of masks (G, H, W) that boxes (N, 4) see, `matched_idxs` (N,) being the masks."""
    rois = rl.cat([matched_idxs.to(boxes)[:, None], boxes], dim=1)
    return roi_align(gt_masks[:, None].to(rois), rois, (M, M), 1.0)[:, 0]


def maskrcnn_loss(mask_logits, proposals, gt_masks, gt_labels, mask_matched_idxs):
    """Return the loss of masks (N, C, M, M), given lists of boxes, masks, labels and which of them belong together."""
    size = mask_logits.shape[-1]
    labels = rl.cat([own[places] for own, places in zip(gt_labels, mask_matched_idxs)], dim=0)
    targets = rl.cat([project_masks_on_boxes(masks, boxes, places, size)
                      for masks, boxes, places in zip(gt_masks, proposals, mask_matched_idxs)], dim=0)
    if targets.numel() == 0:
        return mask_logits.sum() * 0
    own = mask_logits[rl.arange(labels.shape[0], device=labels.device), labels]
    return F.binary_cross_entropy_with_logits(own, targets)


def keypoints_to_heatmap(keypoints, rois, heatmap_size):
    """Return the flat positions (N, K) of key points (N, K, 3) in square maps of boxes (N, 4), and which are there."""
    places, inside = [], keypoints[..., 2] > 0
    for d in range(2):
        low, high = rois[:, d][:, None], rois[:, d + 2][:, None]
        own = keypoints[..., d]
        place = ((own - low) * (heatmap_size / (high - low))).floor().long()
        place = rl.where(own == high, heatmap_size - 1, place)
        inside = inside & (place >= 0) & (place < heatmap_size)
        places.append(place)
    valid = inside.long()
    return (places[1] * heatmap_size + places[0]) * valid, valid


def heatmaps_to_keypoints(maps, rois):
    """Return the key points (N, K, 3) and their scores (N, K) of maps (N, K, M, M) of boxes (N, 4).

    Each map is resized to its box before its largest pixel is looked for.
    """
    count, points = maps.shape[:2]
    if not count:
        return rl.zeros((0, points, 3), device=maps.device), rl.zeros((0, points), device=maps.device)
    sizes = (rois[:, 2:] - rois[:, :2]).clamp(min=1)
    found, scores = [], []
    for own, roi, size, (width, height) in zip(maps, rois, sizes, sizes.ceil().int().tolist()):
        scaled = F.interpolate(own[:, None], size=(height, width), mode="bicubic", align_corners=False)[:, 0]
        best, place = scaled.reshape(points, -1).max(dim=1)
        x = (place % width).float() + 0.5
        y = rl.div(place, width, rounding_mode="floor").float() + 0.5
        x, y = x * (size[0] / width) + roi[0], y * (size[1] / height) + roi[1]
        found.append(rl.stack((x, y, rl.ones_like(x)), dim=1))
        scores.append(best)
    return rl.stack(found), rl.stack(scores)


def keypointrcnn_loss(keypoint_logits, proposals, gt_keypoints, keypoint_matched_idxs):
    """Return the loss of maps (N, K, M, M): for each key point a choice among the pixels."""
    count, points, height, width = keypoint_logits.shape
    if height != width:
        raise ValueError("keypoint_logits height and width (last two elements of shape) should be equal. Instead got "
                         f"H = {height} and W = {width}")
    targets, valid = [], []
    for boxes, own, places in zip(proposals, gt_keypoints, keypoint_matched_idxs):
        heatmaps, there = keypoints_to_heatmap(own[places], boxes, height)
        targets.append(heatmaps.view(-1))
        valid.append(there.view(-1))
    targets, valid = rl.cat(targets, dim=0), rl.where(rl.cat(valid, dim=0))[0]
    if targets.numel() == 0 or len(valid) == 0:
        return keypoint_logits.sum() * 0
    return F.cross_entropy(keypoint_logits.view(count * points, height * width)[valid], targets[valid])


def keypointrcnn_inference(x, boxes):
    """Return for each image the key points and their scores."""
    parts = x.split([len(item) for item in boxes], dim=0)
    pairs = [heatmaps_to_keypoints(maps, rois) for maps, rois in zip(parts, boxes)]
    return [points for points, _ in pairs], [scores for _, scores in pairs]


# -- masks in images ---------------------------------------------------------------------------------------------------


def expand_boxes(boxes, scale):
    """Return boxes (N, 4) scaled around their centres."""
    halves = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * scale
    centres = (boxes[:, 2:] + boxes[:, :2]) * 0.5
    return rl.cat([centres - halves, centres + halves], dim=1)


def expand_masks(mask, padding):
    """Return masks (..., M, M) with a border of zeros, and by how much they have grown."""
    size = mask.shape[-1]
    return F.pad(mask, (padding,) * 4), float(size + 2 * padding) / size


def _interpolation(low, high, count, size):
    """(N, count, size): matrices that stretch `size` values linearly over the pixels low..high of `count`."""
    pixels, places = rl.arange(count, dtype=rl.float32), rl.arange(size, dtype=rl.float32)
    length = (high - low + 1).clamp(min=1)[:, None]
    at = pixels[None] - low[:, None]
    source = ((at + 0.5) * (size / length) - 0.5).clamp(min=0, max=size - 1)
    weights = (1 - (source[..., None] - places).abs()).clamp(min=0)
    return weights * ((at >= 0) & (at < length))[..., None]


def paste_masks_in_image(masks, boxes, img_shape, padding=1):
    """Return masks (N, 1, H, W) of an image: `masks` (N, 1, M, M), stretched over `boxes` (N, 4)."""
    height, width = img_shape
    if not len(masks):
        return masks.new_zeros((0, 1, height, width))
    masks, scale = expand_masks(masks, padding=padding)
    left, top, right, bottom = expand_boxes(boxes, scale).to(dtype=rl.int64).to(masks.dtype).unbind(1)
    rows = _interpolation(top, bottom, height, masks.shape[-2]).to(masks.dtype)
    columns = _interpolation(left, right, width, masks.shape[-1]).to(masks.dtype)
    return (rows @ masks[:, 0] @ columns.transpose(1, 2))[:, None]


# -- heads -------------------------------------------------------------------------------------------------------------


class RoIHeads(nn.Module):
    """Heads that look into proposed boxes.

    Args:
        box_roi_pool, box_head, box_predictor (Module): features of boxes → classes and movements.
        fg_iou_thresh, bg_iou_thresh (float): overlaps above and below which a box is an object or background.
        batch_size_per_image (int), positive_fraction (float): boxes that are sampled for the losses.
        bbox_reg_weights (tuple of 4 float, optional): factors of movements.
        score_thresh, nms_thresh (float), detections_per_img (int): which results are kept.
        mask_roi_pool, mask_head, mask_predictor (Module, optional): for masks.
        keypoint_roi_pool, keypoint_head, keypoint_predictor (Module, optional): for key points.

    Returns (of forward): a dictionary of results for each image, and a dictionary of losses.
    """

    def __init__(self, box_roi_pool, box_head, box_predictor, fg_iou_thresh, bg_iou_thresh, batch_size_per_image,
                 positive_fraction, bbox_reg_weights, score_thresh, nms_thresh, detections_per_img,
                 mask_roi_pool=None, mask_head=None, mask_predictor=None, keypoint_roi_pool=None, keypoint_head=None,
                 keypoint_predictor=None):
        super().__init__()
        self.box_similarity = box_ops.box_iou
        self.proposal_matcher = det_utils.Matcher(fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=False)
        self.fg_bg_sampler = det_utils.BalancedPositiveNegativeSampler(batch_size_per_image, positive_fraction)
        self.box_coder = det_utils.BoxCoder(bbox_reg_weights or (10.0, 10.0, 5.0, 5.0))
        self.box_roi_pool, self.box_head, self.box_predictor = box_roi_pool, box_head, box_predictor
        self.score_thresh, self.nms_thresh, self.detections_per_img = score_thresh, nms_thresh, detections_per_img
        self.mask_roi_pool, self.mask_head, self.mask_predictor = mask_roi_pool, mask_head, mask_predictor
        self.keypoint_roi_pool, self.keypoint_head = keypoint_roi_pool, keypoint_head
        self.keypoint_predictor = keypoint_predictor

    def has_mask(self):
        """Return whether there is a head for masks."""
        return None not in (self.mask_roi_pool, self.mask_head, self.mask_predictor)

    def has_keypoint(self):
        """Return whether there is a head for key points."""
        return None not in (self.keypoint_roi_pool, self.keypoint_head, self.keypoint_predictor)

    def assign_targets_to_proposals(self, proposals, gt_boxes, gt_labels):
        """Return for each image which ground truth belongs to each box, and the labels (0 background, -1 ignored)."""
        matched, labels = [], []
        for boxes, wanted, own in zip(proposals, gt_boxes, gt_labels):
            if wanted.numel() == 0:
                zeros = rl.zeros((boxes.shape[0],), dtype=rl.int64, device=boxes.device)
                matched.append(zeros)
                labels.append(zeros)
                continue
            matches = self.proposal_matcher(box_ops.box_iou(wanted, boxes))
            clamped = matches.clamp(min=0)
            found = rl.where(matches == self.proposal_matcher.BELOW_LOW_THRESHOLD, 0, own[clamped].to(rl.int64))
            labels.append(rl.where(matches == self.proposal_matcher.BETWEEN_THRESHOLDS, -1, found))
            matched.append(clamped)
        return matched, labels

    def subsample(self, labels):
        """Return for each image the positions of the boxes that are sampled."""
        return [rl.where(positive | negative)[0] for positive, negative in zip(*self.fg_bg_sampler(labels))]

    def check_targets(self, targets):
        """ValueError for targets that lack what the heads need."""
        if targets is None:
            raise ValueError("targets should not be None")
        for key in ("boxes", "labels", *(["masks"] if self.has_mask() else [])):
            if not all(key in target for target in targets):
                raise ValueError(f"Every element of targets should have a {key} key")

    def select_training_samples(self, proposals, targets):
        """Return boxes, which ground truths belong to them, labels and movements, of each image."""
        self.check_targets(targets)
        dtype = proposals[0].dtype
        gt_boxes = [target["boxes"].to(dtype) for target in targets]
        proposals = [rl.cat(pair) for pair in zip(proposals, gt_boxes)]  # ground truths are proposals too
        matched, labels = self.assign_targets_to_proposals(proposals, gt_boxes, [t["labels"] for t in targets])
        sampled = self.subsample(labels)
        proposals, matched, labels = [
            [item[places] for item, places in zip(items, sampled)] for items in (proposals, matched, labels)]
        wanted = [boxes if boxes.numel() else boxes.new_zeros((1, 4)) for boxes in gt_boxes]
        wanted = [boxes[places] for boxes, places in zip(wanted, matched)]
        return proposals, matched, labels, self.box_coder.encode(wanted, proposals)

    def postprocess_detections(self, class_logits, box_regression, proposals, image_shapes):
        """Return boxes, scores and labels of each image, the best first."""
        counts = [len(boxes) for boxes in proposals]
        all_boxes = self.box_coder.decode(box_regression, proposals).split(counts, 0)
        all_scores = F.softmax(class_logits, -1).split(counts, 0)
        found = ([], [], [])
        for boxes, scores, shape in zip(all_boxes, all_scores, image_shapes):
            labels = rl.arange(scores.shape[-1], device=scores.device).view(1, -1).expand_as(scores)
            boxes = box_ops.clip_boxes_to_image(boxes, shape)[:, 1:].reshape(-1, 4)  # class 0 is the background
            scores, labels = scores[:, 1:].reshape(-1), labels[:, 1:].reshape(-1)
            sides = boxes[:, 2:] - boxes[:, :2]
            keep = rl.where((scores > self.score_thresh) & (sides >= 1e-2).all(1))[0]
            boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
            keep = box_ops.batched_nms(boxes, scores, labels, self.nms_thresh)[:self.detections_per_img]
            for items, values in zip(found, (boxes, scores, labels)):
                items.append(values[keep])
        return found

    def _check_dtypes(self, targets):
        for target in targets or ():
            if target["boxes"].dtype not in (rl.float, rl.double, rl.half):
                raise TypeError(f"target boxes must of float type, instead got {target['boxes'].dtype}")
            if target["labels"].dtype is not rl.int64:
                raise TypeError(f"target labels must of int64 type, instead got {target['labels'].dtype}")
            if self.has_keypoint() and target["keypoints"].dtype is not rl.float32:
                raise TypeError(f"target keypoints must of float type, instead got {target['keypoints'].dtype}")

    def forward(self, features, proposals, image_shapes, targets=None):
        self._check_dtypes(targets)
        result, losses, samples = [], {}, None
        if self.training:
            proposals, matched, labels, movements = self.select_training_samples(proposals, targets)
            samples = (proposals, matched, labels)
        logits, regression = self.box_predictor(self.box_head(self.box_roi_pool(features, proposals, image_shapes)))
        if self.training:
            losses["loss_classifier"], losses["loss_box_reg"] = fastrcnn_loss(logits, regression, labels, movements)
        else:
            found = self.postprocess_detections(logits, regression, proposals, image_shapes)
            result = [{"boxes": boxes, "labels": labels, "scores": scores} for boxes, scores, labels in zip(*found)]
        if self.has_mask():
            self._masks(features, image_shapes, targets, samples, result, losses)
        if self.has_keypoint():
            self._keypoints(features, image_shapes, targets, samples, result, losses)
        return result, losses

    def _objects(self, samples, result):
        """(boxes with an object of each image, which ground truths they are); those of the results in evaluation."""
        if not self.training:
            return [found["boxes"] for found in result], None
        proposals, matched, labels = samples
        positive = [rl.where(own > 0)[0] for own in labels]
        return [[item[places] for item, places in zip(items, positive)] for items in (proposals, matched)]

    def _masks(self, features, image_shapes, targets, samples, result, losses):
        boxes, matched = self._objects(samples, result)
        logits = self.mask_predictor(self.mask_head(self.mask_roi_pool(features, boxes, image_shapes)))
        if self.training:
            masks, labels = [t["masks"] for t in targets], [t["labels"] for t in targets]
            losses["loss_mask"] = maskrcnn_loss(logits, boxes, masks, labels, matched)
            return
        for found, masks in zip(result, maskrcnn_inference(logits, [found["labels"] for found in result])):
            found["masks"] = masks

    def _keypoints(self, features, image_shapes, targets, samples, result, losses):
        boxes, matched = self._objects(samples, result)
        logits = self.keypoint_predictor(self.keypoint_head(self.keypoint_roi_pool(features, boxes, image_shapes)))
        if self.training:
            points = [t["keypoints"] for t in targets]
            losses["loss_keypoint"] = keypointrcnn_loss(logits, boxes, points, matched)
            return
        for found, points, scores in zip(result, *keypointrcnn_inference(logits, boxes)):
            found["keypoints"], found["keypoints_scores"] = points, scores
