"""Data sets of images. Read vision.py (the base), then folder.py and arrays.py; utils.py downloads and unpacks."""
import sys

from . import annotated, archives, arrays, captions, classification, folder, samplers, utils, video, voc
from .annotated import Caltech101, Caltech256, CelebA, Cityscapes, INaturalist, Kitti, WIDERFace
from .archives import LSUN, ImageNet, LFWPairs, LFWPeople, LSUNClass, Omniglot, PhotoTour, Places365
from .arrays import CIFAR10, CIFAR100, FER2013, PCAM, SEMEION, STL10, SVHN, USPS, MovingMNIST
from .captions import SBU, CocoCaptions, CocoDetection, Flickr8k, Flickr30k
from .classification import (
    DTD, GTSRB, SUN397, CLEVRClassification, Country211, EuroSAT, FGVCAircraft, Flowers102, Food101, Imagenette,
    OxfordIIITPet, RenderedSST2, StanfordCars,
)
from .digits import Digits
from .fakedata import FakeData
from .flow import HD1K, FlyingChairs, FlyingThings3D, KittiFlow, Sintel
from .folder import DatasetFolder, ImageFolder
from .mnist import EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from .stereo import (
    CarlaStereo, CREStereo, ETH3DStereo, FallingThingsStereo, InStereo2k, Kitti2012Stereo, Kitti2015Stereo,
    Middlebury2014Stereo, SceneFlowStereo, SintelStereo,
)
from .video import HMDB51, UCF101, Kinetics
from .vision import VisionDataset
from .voc import SBDataset, VOCDetection, VOCSegmentation
from .wrapper import wrap_dataset_for_transforms_v2

__all__ = [
    "CIFAR10", "CIFAR100", "CLEVRClassification", "CREStereo", "Caltech101", "Caltech256", "CarlaStereo", "CelebA",
    "Cityscapes", "CocoCaptions", "CocoDetection", "Country211", "DTD", "DatasetFolder", "Digits", "EMNIST",
    "ETH3DStereo", "EuroSAT", "FER2013", "FGVCAircraft", "FakeData", "FallingThingsStereo", "FashionMNIST",
    "Flickr30k", "Flickr8k", "Flowers102", "FlyingChairs", "FlyingThings3D", "Food101", "GTSRB", "HD1K", "HMDB51",
    "INaturalist", "ImageFolder", "ImageNet", "Imagenette", "InStereo2k", "KMNIST", "Kinetics", "Kitti",
    "Kitti2012Stereo", "Kitti2015Stereo", "KittiFlow", "LFWPairs", "LFWPeople", "LSUN", "LSUNClass", "MNIST",
    "Middlebury2014Stereo", "MovingMNIST", "Omniglot", "OxfordIIITPet", "PCAM", "PhotoTour", "Places365", "QMNIST",
    "RenderedSST2", "SBDataset", "SBU", "SEMEION", "STL10", "SUN397", "SVHN", "SceneFlowStereo", "Sintel",
    "SintelStereo", "StanfordCars", "UCF101", "USPS", "VOCDetection", "VOCSegmentation", "VisionDataset", "WIDERFace",
    "folder", "samplers", "utils", "wrap_dataset_for_transforms_v2",
]

# The modules that programs import classes from. Families of data sets share a file here.
_PATHS = {
    annotated: "caltech celeba cityscapes inaturalist kitti widerface",
    archives: "imagenet lfw lsun omniglot phototour places365",
    arrays: "cifar fer2013 moving_mnist pcam semeion stl10 svhn usps",
    captions: "coco flickr sbu",
    classification: "clevr country211 dtd eurosat fgvc_aircraft flowers102 food101 gtsrb imagenette oxford_iiit_pet "
                    "rendered_sst2 stanford_cars sun397",
    video: "hmdb51 kinetics ucf101 video_utils",
    voc: "sbd",
}
for _file, _names in _PATHS.items():
    for _name in _names.split():
        globals()[_name] = sys.modules[f"{__name__}.{_name}"] = _file
