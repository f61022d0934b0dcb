"""Initial parameters and results of small models of every family, and losses and results of small detectors, recorded
from torchvision 0.28 with the same seeds."""
import hashlib
import importlib.util
import json
import pathlib

import numpy as np
import pytest

import rushlight as rl
from rushlight.vision import models

HERE = pathlib.Path(__file__).parent
RECORDED = json.loads((HERE / "recorded.json").read_text())
_spec = importlib.util.spec_from_file_location("vision_model_cases", HERE / "cases.py")
cases = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cases)


def check_keys(found, wanted):
    digest = hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]
    assert (len(found), digest) == (wanted["count"], wanted["digest"])


def check(found, wanted, tolerance):
    """Two summaries are close, relative to the size of the values."""
    assert found["shape"] == wanted["shape"]
    if "first" not in wanted:
        return
    scale = max(wanted["square"] ** 0.5, 1e-6)
    assert abs(found["mean"] - wanted["mean"]) < tolerance * scale
    assert abs(found["square"] - wanted["square"]) < tolerance * scale * scale
    assert np.allclose(found["first"], wanted["first"], rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("name", cases.BUILT)
def test_initial_values_and_results(name):
    wanted, found = RECORDED["built"][name], cases.run(models, rl, name)
    check_keys(found["keys"], wanted)
    for position, summary in wanted["parameters"]:
        check(found["parameters"][position], summary, 1e-5)
    assert len(found["results"]) == len(wanted["results"])
    for own, summary in zip(found["results"], wanted["results"]):
        check(own, summary, 1e-3)


@pytest.mark.parametrize("name", cases.DETECTORS)
def test_detectors(name):
    wanted, found = RECORDED["detectors"][name], cases.detect(models, rl, name)
    check_keys(found["keys"], wanted)
    assert list(found["losses"]) == list(wanted["losses"])
    for key, loss in wanted["losses"].items():
        assert found["losses"][key] == pytest.approx(loss, rel=1e-3), key
    for own, other in zip(found["results"], wanted["results"]):
        assert list(own) == list(other)
        for key, summary in other.items():
            check(own[key], summary, 2e-3)
