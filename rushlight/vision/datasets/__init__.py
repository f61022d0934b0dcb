"""Data sets of images: the MNIST family (mnist.py), digits that ship with the package, random ones (fakedata.py)."""
from . import utils
from .digits import Digits
from .fakedata import FakeData
from .mnist import EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from .vision import VisionDataset

__all__ = ["Digits", "EMNIST", "FakeData", "FashionMNIST", "KMNIST", "MNIST", "QMNIST", "VisionDataset", "utils"]
