"""The examples in the docstrings of `nn` run, and every public layer has a docstring."""
import doctest
import importlib
import inspect
import pkgutil

import pytest

import rushlight as rl
from rushlight import nn

MODULES = [found.name for found in pkgutil.walk_packages(nn.__path__, "rushlight.nn.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, _ = doctest.testmod(importlib.import_module(name), extraglobs={"rl": rl, "nn": nn})
    assert failed == 0


def test_layers_are_described():
    values = [getattr(nn, name) for name in dir(nn)]
    layers = [value for value in values if inspect.isclass(value) and issubclass(value, nn.Module)]
    assert len(layers) > 150 and not [layer.__name__ for layer in layers if not layer.__dict__.get("__doc__")]
