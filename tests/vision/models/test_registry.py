"""Names of models, published weights and the arguments of older versions."""
import copy
import pickle
import re
import warnings

import pytest

import rushlight as rl
from rushlight.nn import init
from rushlight.vision import models
from rushlight.vision.models import ResNet18_Weights, ResNet50_Weights
from rushlight.vision.models._utils import IntermediateLayerGetter


def test_list_models():
    names = models.list_models()
    assert len(names) == 121 and names == sorted(names)
    assert "fasterrcnn_resnet50_fpn" in names and "quantized_resnet18" in names
    assert models.list_models(models.segmentation) == [
        "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet101", "deeplabv3_resnet50", "fcn_resnet101", "fcn_resnet50",
        "lraspp_mobilenet_v3_large"]
    assert models.list_models(include=["vgg1?", "vit_*"], exclude="*_l_*") == [
        "vgg11", "vgg13", "vgg16", "vgg19", "vit_b_16", "vit_b_32", "vit_h_14"]


def test_every_model_can_be_found():
    for name in models.list_models():
        builder = models.get_model_builder(name)
        assert builder.__name__ == name.removeprefix("quantized_") and builder.__doc__
        weights = models.get_model_weights(name)
        assert issubclass(weights, models.WeightsEnum) and weights.DEFAULT.url.startswith("https://")
        assert models.get_weight(str(weights.DEFAULT)) is weights.DEFAULT
        assert pickle.loads(pickle.dumps(builder)) is builder


def test_unknown_names():
    with pytest.raises(ValueError, match="Unknown model resnet19"):
        models.get_model("ResNet19")
    with pytest.raises(ValueError, match="Invalid weight name provided"):
        models.get_weight("ResNet18_Weights")
    with pytest.raises(ValueError, match="couldn't be retrieved"):
        models.get_weight("ResNet19_Weights.DEFAULT")
    with pytest.raises(KeyError):
        models.get_weight("ResNet18_Weights.IMAGENET1K_V9")


def test_register_model():
    @models._api.register_model("a_model_of_a_test")
    def build(*, weights=None):
        return weights

    try:
        assert models.get_model("a_model_of_a_test", weights=3) == 3
        with pytest.raises(ValueError, match="already registered"):
            models._api.register_model("a_model_of_a_test")(build)
        with pytest.raises(ValueError, match="typing info"):
            models.get_model_weights(build)
    finally:
        del models._api.BUILTIN_MODELS["a_model_of_a_test"]


def test_weights():
    weights = ResNet50_Weights.IMAGENET1K_V2
    assert weights is ResNet50_Weights.DEFAULT and weights.url.endswith("/resnet50-11ad3fa6.pth")
    assert weights.meta["num_params"] == 25557032 and weights.meta["min_size"] == (1, 1)
    assert len(weights.meta["categories"]) == 1000 and weights.meta["categories"][1] == "goldfish"
    assert weights.meta["_metrics"]["ImageNet-1K"]["acc@1"] == 80.858
    assert repr(weights) == "ResNet50_Weights.IMAGENET1K_V2"
    assert copy.deepcopy(weights) is weights and pickle.loads(pickle.dumps(weights)) is weights
    assert repr(weights.transforms()) == (
        "ImageClassification(\n    crop_size=[224]\n    resize_size=[232]\n    mean=[0.485, 0.456, 0.406]\n"
        "    std=[0.229, 0.224, 0.225]\n    interpolation=InterpolationMode.BILINEAR\n)")
    assert repr(models.detection.FCOS_ResNet50_FPN_Weights.DEFAULT.transforms()) == "ObjectDetection()"


def test_published_hashes():
    for name in models.list_models():
        for member in models.get_model_weights(name):
            assert re.search(r"-[a-f0-9]{8,10}\.pth$|_[a-f0-9]{8}\.pth$", member.url), member


def test_verify():
    assert ResNet18_Weights.verify("IMAGENET1K_V1") is ResNet18_Weights.DEFAULT
    assert ResNet18_Weights.verify("ResNet18_Weights.DEFAULT") is ResNet18_Weights.DEFAULT
    assert ResNet18_Weights.verify(None) is None
    with pytest.raises(TypeError, match="expected ResNet18_Weights but received ResNet50_Weights"):
        models.resnet18(weights=ResNet50_Weights.DEFAULT)
    with pytest.raises(KeyError):
        models.resnet18(weights="IMAGENET1K_V7")


@pytest.fixture
def published(monkeypatch):
    """State dicts of models by the name of their class of weights, in place of downloads."""
    found = {}
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", lambda self, **kwargs: found[self])
    return found


def test_weights_are_loaded(published):
    other = models.squeezenet1_1()
    published[models.SqueezeNet1_1_Weights.IMAGENET1K_V1] = other.state_dict()
    for weights in ("DEFAULT", models.SqueezeNet1_1_Weights.IMAGENET1K_V1):
        model = models.squeezenet1_1(weights=weights)
        assert model.classifier[1].weight.equal(other.classifier[1].weight)
    with pytest.raises(ValueError, match="'num_classes' expected value 1000 but got 10 instead"):
        models.squeezenet1_1(weights="DEFAULT", num_classes=10)


def test_pretrained(published):
    published[models.SqueezeNet1_1_Weights.IMAGENET1K_V1] = models.squeezenet1_1().state_dict()
    with pytest.warns(UserWarning) as seen:
        models.squeezenet1_1(pretrained=True)
    texts = [str(warning.message) for warning in seen]
    assert texts[0].startswith("The parameter 'pretrained' is deprecated since 0.13")
    assert "`weights=SqueezeNet1_1_Weights.IMAGENET1K_V1`" in texts[1] and "SqueezeNet1_1_Weights.DEFAULT" in texts[1]
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning) as seen:
        models.squeezenet1_1(True, False)
    assert str(seen[0].message).startswith("Using 'weights' and 'progress' as positional parameter(s) is deprecated")
    with pytest.warns(UserWarning) as seen:
        models.squeezenet1_1(pretrained=False)
    assert "equivalent to passing `weights=None`" in str(seen[1].message)
    with pytest.raises(ValueError, match="No weights available for model vit_h_14"):
        models.vit_h_14(pretrained=True)


def test_no_warning_for_today():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models.squeezenet1_1(weights=None, num_classes=3)


def test_weights_of_a_backbone(published):
    state = models.mobilenet_v3_large().state_dict()
    published[models.MobileNet_V3_Large_Weights.IMAGENET1K_V1] = state
    model = models.segmentation.lraspp_mobilenet_v3_large(num_classes=3)
    assert model.backbone["0"][0].weight.equal(state["features.0.0.weight"])
    with pytest.raises(NotImplementedError, match="auxiliary loss"):
        models.segmentation.lraspp_mobilenet_v3_large(weights_backbone=None, aux_loss=True)
    model = models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(num_classes=3, trainable_backbone_layers=2)
    frozen = [name for name, parameter in model.backbone.named_parameters() if not parameter.requires_grad]
    assert frozen and all(name.startswith("body") for name in frozen)
    with pytest.warns(UserWarning, match="trainable_backbone_layers has no effect"):
        models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
            weights_backbone=None, num_classes=3, trainable_backbone_layers=2)


def test_old_names_of_densenets(published):
    model = models.densenet121()
    state = model.state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key): value for key, value in state.items()
           if not key.endswith("num_batches_tracked")}
    assert set(old) != set(state)
    published[models.DenseNet121_Weights.IMAGENET1K_V1] = old
    loaded = models.densenet121(weights="DEFAULT")
    assert loaded.features.denseblock1.denselayer1.conv1.weight.equal(
        model.features.denseblock1.denselayer1.conv1.weight)


def test_googlenet_without_auxiliary_classifiers(published):
    published[models.GoogLeNet_Weights.IMAGENET1K_V1] = models.googlenet(init_weights=False).state_dict()
    model = models.googlenet(weights="DEFAULT")
    assert model.aux1 is None and model.transform_input and not model.aux_logits
    with pytest.warns(UserWarning, match="NOT pretrained"):
        assert models.googlenet(weights="DEFAULT", aux_logits=True).aux1 is not None


def test_googlenet_warns_of_its_initial_weights(monkeypatch):
    monkeypatch.setattr(init, "trunc_normal_", lambda t, **kwargs: t)
    with pytest.warns(FutureWarning, match="default weight initialization of GoogleNet"):
        models.googlenet(num_classes=3)


def test_quantized_models_say_that_they_are_missing():
    with pytest.raises(NotImplementedError, match="quantized inference is not implemented"):
        models.quantization.resnet18(quantize=True)
    assert models.get_weight("ResNet18_QuantizedWeights.DEFAULT").meta["unquantized"] is ResNet18_Weights.IMAGENET1K_V1


def test_intermediate_layers():
    model = models.resnet.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1]).eval()
    body = IntermediateLayerGetter(model, {"layer1": "low", "layer3": "high"})
    assert list(body) == ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"]
    x = rl.rand(1, 3, 32, 32)
    low = model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(x)))))
    found = body(x)
    assert list(found) == ["low", "high"] and found["low"].allclose(low)
    with pytest.raises(ValueError, match="return_layers are not present in model"):
        IntermediateLayerGetter(model, {"layer9": "x"})


def test_old_states():
    """Keys that older versions saved are read."""
    fpn = models.detection.faster_rcnn.RPNHead(4, 2)
    state = fpn.state_dict()
    old = {key.replace("conv.0.0", "conv"): value for key, value in state.items()}
    fpn.load_state_dict(old)
    block = models.vision_transformer.MLPBlock(4, 8, 0.0)
    old = {key.replace("0.", "linear_1.").replace("3.", "linear_2."): value
           for key, value in block.state_dict().items()}
    assert "linear_1.weight" in old
    block.load_state_dict(old)
