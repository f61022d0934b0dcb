"""Published models: numbers of parameters, and names, shapes and dtypes of the state, recorded from torchvision 0.28.

The parameters are not drawn here, which is most of the time that building a model takes.
"""
import hashlib
import inspect
import json
import pathlib

import pytest

from rushlight.nn import init
from rushlight.vision import models

RECORDED = json.loads(pathlib.Path(__file__).with_name("structure.json").read_text())


@pytest.fixture
def undrawn(monkeypatch):
    """Initialisers that do nothing."""
    for name in dir(init):
        if name.endswith("_") and not name.startswith("_"):
            monkeypatch.setattr(init, name, lambda tensor, *args, **kwargs: tensor)


def build(name):
    builder = models.get_model_builder(name)
    arguments = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if "weights_backbone" in inspect.signature(builder).parameters:
        arguments["weights_backbone"] = None
    return builder(weights=None, **arguments)


@pytest.mark.parametrize("name", RECORDED)
def test_state(name, undrawn):
    model = build(name)
    state = model.state_dict()
    lines = [f"{key} {tuple(value.shape)} {str(value.dtype).rpartition('.')[2]}" for key, value in state.items()]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    count = sum(parameter.numel() for parameter in model.parameters())
    assert [len(state), count, digest] == RECORDED[name]


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b7", "swin_v2_b", "vit_l_16", "regnet_x_32gf"])
def test_as_many_parameters_as_the_weights_say(name, undrawn):
    count = sum(parameter.numel() for parameter in build(name).parameters())
    assert count == models.get_model_weights(name).DEFAULT.meta["num_params"]
