"""Models for images and videos, with the names, parameters and published weights of torchvision.

Read `_api` for the registry of models and weights, `_utils` for what builders share, then a family.
"""
from ._api import Weights, WeightsEnum, get_model, get_model_builder, get_model_weights, get_weight, list_models
from .resnet import *  # noqa: F401,F403
