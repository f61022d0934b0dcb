"""Features from the middle of models: names of nodes, results, both modes, errors."""
import copy
import warnings

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.vision import models
from rushlight.vision.models.feature_extraction import create_feature_extractor, get_graph_node_names


def small():
    rl.manual_seed(0)
    return models.resnet.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=3)


def test_names():
    train, evaluation = get_graph_node_names(small())
    assert train == evaluation
    assert train[:11] == ["x", "conv1", "bn1", "relu", "maxpool", "layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu",
                          "layer1.0.conv2", "layer1.0.bn2", "layer1.0.add"]
    assert train[11] == "layer1.0.relu_1" and train[-3:] == ["avgpool", "flatten", "fc"]


def test_results():
    model = small()
    before = model.training
    features = create_feature_extractor(model, {"layer1": "low", "layer3.0.add": "sum", "layer3": "high"})
    assert model.training is before and type(features).__name__ == "ResNet"
    x = rl.rand(2, 3, 32, 32)
    model.eval()
    features.eval()
    low = model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(x)))))
    found = features(x)
    assert list(found) == ["low", "sum", "high"]
    assert found["low"].allclose(low) and found["high"].allclose(model.layer3(model.layer2(low)))
    assert found["sum"].relu().allclose(found["high"])
    assert features.conv1.weight is model.conv1.weight and not hasattr(features, "layer4")
    found["high"].sum().backward()
    assert model.conv1.weight.grad is not None
    again = copy.deepcopy(features)(x)
    assert again["high"].allclose(found["high"])


def test_a_list_of_nodes_of_other_families():
    for model, nodes in (
        (models.squeezenet1_1(), ["features.4", "features.6"]),
        (models.vision_transformer.VisionTransformer(32, 16, 2, 2, 8, 16), ["encoder.layers.encoder_layer_0"]),
        (models.swin_transformer.SwinTransformer([4, 4], 8, [2, 2], [2, 2], [2, 2]), ["features.1.0.attn"]),
    ):
        found = create_feature_extractor(model.eval(), nodes)(rl.rand(1, 3, 32, 32))
        assert list(found) == nodes


class Modes(nn.Module):
    """Does more in training."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 4)

    def forward(self, x):
        x = self.a(x)
        return self.b(x) if self.training else x


def test_modes():
    with pytest.warns(UserWarning, match="in eval mode are a subsequence of those obtained in train mode"):
        features = create_feature_extractor(Modes(), train_return_nodes=["b"], eval_return_nodes=["a"])
    x = rl.rand(1, 2)
    assert features(x)["b"].shape == (1, 4) and features.eval()(x)["a"].shape == (1, 3)
    assert features.train()(x)["b"].shape == (1, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get_graph_node_names(Modes(), suppress_diff_warning=True)


def test_errors():
    model = small()
    with pytest.raises(ValueError, match="node: 'layer9' is not present in model"):
        create_feature_extractor(model, ["layer9"])
    with pytest.raises(ValueError, match="should be specified"):
        create_feature_extractor(model)
    with pytest.raises(ValueError, match="both should be specified"):
        create_feature_extractor(model, train_return_nodes=["fc"])
    with pytest.raises(ValueError, match="both should be specified"):
        create_feature_extractor(model, ["fc"], ["fc"], ["fc"])
