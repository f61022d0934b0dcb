"""Small models of every family, built the same way from Rushlight or from torchvision, so that results can be recorded.

`BUILT`: name → (function of (models, torch) → model, shapes of its inputs). `DETECTORS`: the same for detectors; the
target of each image has two objects.
"""
import functools
import math

IMAGE = [(2, 3, 32, 32)]


def _resnet(block, **options):
    return lambda m, t: m.resnet.ResNet(getattr(m.resnet, block), [1, 1, 1, 1], num_classes=5, **options)


def _efficientnet(m, t):
    e = m.efficientnet
    stages = [e.FusedMBConvConfig(1, 3, 1, 8, 8, 1), e.FusedMBConvConfig(4, 3, 2, 8, 16, 1),
              e.MBConvConfig(4, 3, 2, 16, 16, 2)]
    return e.EfficientNet(stages, 0.2, num_classes=5, last_channel=32)


def _regnet(m, t):
    r = m.regnet
    params = r.BlockParams.from_init_params(depth=5, w_0=16, w_a=9.0, w_m=1.9, group_width=8, se_ratio=0.25)
    return r.RegNet(params, num_classes=5)


def _convnext(m, t):
    c = m.convnext
    return c.ConvNeXt([c.CNBlockConfig(8, 16, 1), c.CNBlockConfig(16, None, 2)], 0.1, layer_scale=0.5, num_classes=5)


def _vit(m, t):
    return m.vision_transformer.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5, representation_size=12)


def _swin(second, m, t):
    s = m.swin_transformer
    more = {"block": s.SwinTransformerBlockV2, "downsample_layer": s.PatchMergingV2} if second else {}
    return s.SwinTransformer([2, 2], 8, [2, 2], [2, 4], [3, 3], num_classes=5, **more)


def _maxvit(m, t):
    return m.maxvit.MaxVit((32, 32), 8, 4, [8, 16], [1, 1], 4, 0.1, num_classes=5)


def _mvit(m, t):
    v = m.video.mvit
    blocks = [v.MSBlockConfig(1, 8, 16, [3, 3, 3], [3, 3, 3], [1, 1, 1], [1, 2, 2]),
              v.MSBlockConfig(2, 16, 16, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 1, 1])]
    return v.MViT((32, 32), 4, blocks, True, False, True, True, num_classes=5)


def _mvit_first(m, t):
    v = m.video.mvit
    blocks = [v.MSBlockConfig(1, 8, 8, [], [3, 3, 3], [], [1, 2, 2]),
              v.MSBlockConfig(2, 8, 16, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 1, 1])]
    return v.MViT((32, 32), 4, blocks, False, False, False, False, num_classes=5)


def _swin3d(m, t):
    return m.video.swin_transformer.SwinTransformer3d(
        [2, 4, 4], 8, [2, 2], [2, 4], [2, 3, 3], num_classes=5)


def _video(maker, stem):
    def build(m, t):
        v = m.video.resnet
        return v.VideoResNet(v.BasicBlock, [getattr(v, maker)] * 4, [1, 1, 1, 1], getattr(v, stem), num_classes=5)
    return build


def _raft(m, t):
    r = m.optical_flow.raft
    corr = r.CorrBlock(num_levels=2, radius=2)
    motion = r.MotionEncoder(
        in_channels_corr=corr.out_channels, corr_layers=(16,), flow_layers=(16, 8), out_channels=12)
    recurrent = r.RecurrentBlock(input_size=12 + 8, hidden_size=8, kernel_size=(3,), padding=(1,))
    update = r.UpdateBlock(motion_encoder=motion, recurrent_block=recurrent,
                           flow_head=r.FlowHead(in_channels=8, hidden_size=8))
    encoders = [r.FeatureEncoder(block=r.ResidualBlock, layers=(8, 8, 8, 16, 16), norm_layer=norm)
                for norm in (t.nn.InstanceNorm2d, t.nn.BatchNorm2d)]
    return r.RAFT(feature_encoder=encoders[0], context_encoder=encoders[1], corr_block=corr, update_block=update,
                  mask_predictor=r.MaskPredictor(in_channels=8, hidden_size=8))


def _segmentation(m, t):
    s = m.segmentation
    body = m.resnet.ResNet(m.resnet.BasicBlock, [1, 1, 1, 1])
    backbone = m._utils.IntermediateLayerGetter(body, {"layer3": "aux", "layer4": "out"})
    return s.deeplabv3.DeepLabV3(backbone, s.deeplabv3.DeepLabHead(512, 4), s.fcn.FCNHead(256, 4))


BUILT = {
    "resnet_basic": (_resnet("BasicBlock", zero_init_residual=False), IMAGE),
    "resnet_grouped": (_resnet("Bottleneck", groups=4, width_per_group=8,
                               replace_stride_with_dilation=[False, True, True]), IMAGE),
    "vgg_layers": (lambda m, t: m.vgg.make_layers([8, "M", 16, "M", 32], batch_norm=True), IMAGE),
    "densenet": (lambda m, t: m.densenet.DenseNet(8, (2, 2), 16, num_classes=5), IMAGE),
    "squeezenet": (lambda m, t: m.squeezenet.SqueezeNet("1_1", num_classes=5), [(1, 3, 64, 64)]),
    "mobilenet_v2": (lambda m, t: m.mobilenetv2.MobileNetV2(5, width_mult=0.25), IMAGE),
    "mobilenet_v3": (lambda m, t: m.mobilenet_v3_small(num_classes=5, width_mult=0.5, reduced_tail=True), IMAGE),
    "shufflenet": (lambda m, t: m.shufflenetv2.ShuffleNetV2([2, 2, 2], [8, 16, 32, 64, 64], num_classes=5), IMAGE),
    "mnasnet": (lambda m, t: m.mnasnet.MNASNet(0.25, num_classes=5), IMAGE),
    "efficientnet": (_efficientnet, IMAGE),
    "regnet": (_regnet, IMAGE),
    "convnext": (_convnext, IMAGE),
    "vit": (_vit, IMAGE),
    "swin": (functools.partial(_swin, False), [(2, 3, 22, 26)]),
    "swin_v2": (functools.partial(_swin, True), [(2, 3, 22, 26)]),
    "maxvit": (_maxvit, IMAGE),
    "deeplabv3": (_segmentation, [(2, 3, 33, 40)]),
    "r3d": (_video("Conv3DSimple", "BasicStem"), [(1, 3, 4, 24, 24)]),
    "r2plus1d": (_video("Conv2Plus1D", "R2Plus1dStem"), [(1, 3, 4, 24, 24)]),
    "mvit_v1": (_mvit_first, [(1, 3, 4, 32, 32)]),
    "mvit_v2": (_mvit, [(1, 3, 4, 32, 32)]),
    "swin3d": (_swin3d, [(1, 3, 4, 24, 20)]),
    "raft": (_raft, [(1, 3, 64, 64), (1, 3, 64, 64)]),
}


def _backbone(m):
    body = m.resnet.ResNet(m.resnet.BasicBlock, [1, 1, 1, 1])
    return m.detection.backbone_utils._resnet_fpn_extractor(body, 5)


FEW = {"min_size": 48, "max_size": 64}
KEPT = {**FEW, "rpn_pre_nms_top_n_train": 60, "rpn_post_nms_top_n_train": 20, "rpn_pre_nms_top_n_test": 60,
        "rpn_post_nms_top_n_test": 20, "box_detections_per_img": 5, "box_score_thresh": 0.0,
        "rpn_batch_size_per_image": 16, "box_batch_size_per_image": 8}


def _rcnn(name, m, **options):
    d = m.detection
    head = d.faster_rcnn.TwoMLPHead(256 * 4, 16)
    predictor = d.faster_rcnn.FastRCNNPredictor(16, 4)
    pool = d.faster_rcnn.MultiScaleRoIAlign(["0", "1", "2", "3"], 2, 2)
    return getattr(d, name)(_backbone(m), box_roi_pool=pool, box_head=head, box_predictor=predictor, **KEPT, **options)


def _mask(m, t):
    d = m.detection.mask_rcnn
    return _rcnn("MaskRCNN", m, mask_head=d.MaskRCNNHeads(256, (8,), 1), mask_predictor=d.MaskRCNNPredictor(8, 8, 4))


def _keypoint(m, t):
    d = m.detection.keypoint_rcnn
    return _rcnn("KeypointRCNN", m, keypoint_head=d.KeypointRCNNHeads(256, (8,)),
                 keypoint_predictor=d.KeypointRCNNPredictor(8, 3))


def _dense(name, m, t):
    d = m.detection
    generator = d.anchor_utils.AnchorGenerator(((8,), (16,), (32,), (48,), (64,)), ((1.0,),) * 5)
    found = getattr(d, name)(_backbone(m), 4, anchor_generator=generator, detections_per_img=5, score_thresh=0.0,
                             topk_candidates=10, **FEW)
    return found


def _ssd(m, t):
    d = m.detection
    generator = d.anchor_utils.DefaultBoxGenerator([[2], [2, 3], [2], [2], [2]], min_ratio=0.2, max_ratio=0.9)
    backbone = _backbone(m)
    backbone.out_channels = [256] * 5
    return d.ssd.SSD(backbone, generator, (64, 48), 4, detections_per_img=5, score_thresh=0.0, topk_candidates=10)


DETECTORS = {
    "fasterrcnn": lambda m, t: _rcnn("FasterRCNN", m),
    "maskrcnn": _mask,
    "keypointrcnn": _keypoint,
    "retinanet": functools.partial(_dense, "RetinaNet"),
    "fcos": functools.partial(_dense, "FCOS"),
    "ssd": _ssd,
}


def inputs(t, shapes):
    """Values between 0 and 1 that are the same on both sides."""
    found = []
    for i, shape in enumerate(shapes):
        waves = t.arange(math.prod(shape), dtype=t.float64) * (0.37 + 0.1 * i)
        found.append((waves.sin() * 0.5 + 0.5).to(t.float32).reshape(shape))
    return found


def targets(t, sizes):
    """Two objects of each image."""
    found = []
    for height, width in sizes:
        boxes = t.tensor([[3.0, 4.0, 20.0, 25.0], [10.0, 8.0, width - 2.0, height - 3.0]])
        masks = t.zeros(2, height, width, dtype=t.uint8)
        masks[0, 4:25, 3:20] = 1
        masks[1, 8:height - 3, 10:width - 2] = 1
        points = t.tensor([[[5.0, 6, 1], [18, 20, 1], [4, 24, 0]], [[12, 9, 1], [20, 20, 1], [25, 30, 1]]])
        found.append({"boxes": boxes, "labels": t.tensor([1, 3]), "masks": masks, "keypoints": points})
    return found


def flat(found):
    """The tensors of a result, of whatever structure."""
    if isinstance(found, dict):
        return [tensor for value in found.values() for tensor in flat(value)]
    if isinstance(found, (list, tuple)):
        return [tensor for value in found for tensor in flat(value)]
    return [found]


def summary(tensor):
    """Shape, mean, mean of squares and first values."""
    values = tensor.detach().double().flatten()
    if not values.numel():
        return {"shape": list(tensor.shape)}
    return {"shape": list(tensor.shape), "mean": values.mean().item(), "square": (values * values).mean().item(),
            "first": values[:4].tolist()}


def run(models, torch, name):
    """What is recorded of a model in `BUILT`: initial parameters and results in evaluation mode."""
    build, shapes = BUILT[name]
    torch.manual_seed(0)
    model = build(models, torch).eval()
    state = model.state_dict()
    keys = list(state)
    with torch.no_grad():
        found = model(*inputs(torch, shapes)) if name != "raft" else model(*inputs(torch, shapes), num_flow_updates=2)
    return {
        "keys": keys,
        "parameters": [summary(state[key]) for key in keys if state[key].is_floating_point()],
        "results": [summary(tensor) for tensor in flat(found)],
    }


def detect(models, torch, name):
    """What is recorded of a detector: names of parameters, losses of a training step, results afterwards."""
    torch.manual_seed(0)
    model = DETECTORS[name](models, torch)
    keys = list(model.state_dict())
    images, sizes = inputs(torch, [(3, 48, 64), (3, 40, 36)]), [(48, 64), (40, 36)]
    torch.manual_seed(1)
    losses = model.train()(images, targets(torch, sizes))
    with torch.no_grad():
        found = model.eval()(images)
    return {
        "keys": keys,
        "losses": {key: value.item() for key, value in losses.items()},
        "results": [{key: summary(value) for key, value in each.items()} for each in found],
    }
