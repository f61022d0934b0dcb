"""Data sets of images. Read vision.py (the base), then folder.py and arrays.py; utils.py downloads and unpacks."""
from . import folder, utils
from .arrays import CIFAR10, CIFAR100, FER2013, PCAM, SEMEION, STL10, SVHN, USPS, MovingMNIST
from .captions import SBU, CocoCaptions, CocoDetection, Flickr8k, Flickr30k
from .classification import (
    DTD, GTSRB, SUN397, CLEVRClassification, Country211, EuroSAT, FGVCAircraft, Flowers102, Food101, Imagenette,
    OxfordIIITPet, RenderedSST2, StanfordCars,
)
from .digits import Digits
from .fakedata import FakeData
from .folder import DatasetFolder, ImageFolder
from .mnist import EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from .vision import VisionDataset
from .voc import SBDataset, VOCDetection, VOCSegmentation
