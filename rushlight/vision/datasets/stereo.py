"""Data sets of stereo images: a left and a right image and the disparity of each pixel of the left one."""
import json
import os
import pathlib
import random
import shutil

import numpy as np

from ..pictures import pillow
from .flow import read_pfm, sorted_paths
from .folder import pil_loader
from .utils import download_and_extract_archive, verify_str_arg
from .vision import VisionDataset

__all__ = [
    "CREStereo", "CarlaStereo", "ETH3DStereo", "FallingThingsStereo", "InStereo2k", "Kitti2012Stereo",
    "Kitti2015Stereo", "Middlebury2014Stereo", "SceneFlowStereo", "SintelStereo",
]


def _samples(path, dtype=None):
    return np.asarray(pillow("stereo images").open(path), dtype=dtype)


class StereoMatchingDataset(VisionDataset):
    """Left and right images with disparities (1, H, W), where they are known, and a mask of known pixels in some sets.

    `transforms` takes and returns three pairs (left, right): of images, disparities and masks.
    """

    _has_built_in_disparity_mask = False

    def __init__(self, root, transforms=None):
        super().__init__(root)
        self.transforms = transforms
        self._images, self._disparities = [], []

    def _add(self, home, images, disparities=None):
        """Add the files that fit patterns: a pair for the images, and one (the second may be None) of disparities."""
        pairs = self._pairs(home, *images)
        self._images += pairs
        self._disparities += [(None, None)] * len(pairs) if disparities is None else self._pairs(home, *disparities)

    @staticmethod
    def _pairs(home, left, right):
        found = [sorted_paths(home, left), None if right is None else sorted_paths(home, right)]
        for pattern, paths in zip((left, right), found):
            if paths == []:
                raise FileNotFoundError(f"Could not find any files matching the patterns: {home / pattern}")
        lefts, rights = found[0], found[1] if right is not None else [None] * len(found[0])
        if len(lefts) != len(rights):
            raise ValueError(f"Found {len(lefts)} left files but {len(rights)} right files using:\n left pattern: "
                             f"{home / left}\nright pattern: {home / right}\n")
        return list(zip(lefts, rights))

    def _read_img(self, path):
        return pil_loader(path)

    def _read(self, path):
        """The disparity of a file, and the mask."""
        raise NotImplementedError

    def _read_disparity(self, path):
        return (None, None) if path is None else self._read(path)

    def __getitem__(self, index):
        """(left, right, disparity), or (left, right, disparity, mask), after the transforms."""
        images = tuple([self._read_img(path) for path in self._images[index]])
        disparities, masks = zip(*[self._read_disparity(path) for path in self._disparities[index]])
        if self.transforms is not None:
            images, disparities, masks = self.transforms(images, disparities, masks)
        if self._has_built_in_disparity_mask or masks[0] is not None:
            return images[0], images[1], disparities[0], masks[0]
        return images[0], images[1], disparities[0]

    def __len__(self):
        return len(self._images)


class CarlaStereo(StereoMatchingDataset):
    """Rendered streets in high resolution."""

    def __init__(self, root, transforms=None):
        super().__init__(root, transforms)
        self._add(pathlib.Path(root) / "carla-highres" / "trainingF", ("*/im0.png", "*/im1.png"),
                  ("*/disp0GT.pfm", "*/disp1GT.pfm"))

    def _read(self, path):
        return np.abs(read_pfm(path, 1)), None


class _KittiStereo(StereoMatchingDataset):
    """Street scenes; disparities are files of 16 bits in steps of 1/256."""

    _has_built_in_disparity_mask = True
    _folder, _image_patterns, _disparity_patterns = "", (), ()

    def __init__(self, root, split="train", transforms=None):
        super().__init__(root, transforms)
        verify_str_arg(split, "split", ("train", "test"))
        self._add(pathlib.Path(root) / self._folder / f"{split}ing", self._image_patterns,
                  self._disparity_patterns if split == "train" else None)

    def _read(self, path):
        return (_samples(path) / 256.0)[None], None


class Kitti2012Stereo(_KittiStereo):
    """Street scenes of 2012."""

    _folder = "Kitti2012"
    _image_patterns = ("colored_0/*_10.png", "colored_1/*_10.png")
    _disparity_patterns = ("disp_noc/*.png", None)


class Kitti2015Stereo(_KittiStereo):
    """Street scenes of 2015."""

    _folder = "Kitti2015"
    _image_patterns = ("image_2/*.png", "image_3/*.png")
    _disparity_patterns = ("disp_occ_0/*.png", "disp_occ_1/*.png")


class Middlebury2014Stereo(StereoMatchingDataset):
    """Indoor scenes.

    Args:
        split: "train", "additional" or "test".
        calibration: "perfect", "imperfect" or "both"; None for tests.
        use_ambient_views (bool): take the right image at random from those in other light.
    """

    splits = {
        "train": ["Adirondack", "Jadeplant", "Motorcycle", "Piano", "Pipes", "Playroom", "Playtable", "Recycle",
                  "Shelves", "Vintage"],
        "additional": ["Backpack", "Bicycle1", "Cable", "Classroom1", "Couch", "Flowers", "Mask", "Shopvac", "Sticks",
                       "Storage", "Sword1", "Sword2", "Umbrella"],
        "test": ["Plants", "Classroom2E", "Classroom2", "Australia", "DjembeL", "CrusadeP", "Crusade", "Hoops",
                 "Bicycle2", "Staircase", "Newkuba", "AustraliaP", "Djembe", "Livingroom", "Computer"],
    }
    _has_built_in_disparity_mask = True
    _URL = "https://vision.middlebury.edu/stereo/"

    def __init__(self, root, split="train", calibration="perfect", use_ambient_views=False, transforms=None,
                 download=False):
        super().__init__(root, transforms)
        self.split = verify_str_arg(split, "split", tuple(self.splits))
        if calibration:
            verify_str_arg(calibration, "calibration", ("perfect", "imperfect", "both"))
            if split == "test":
                raise ValueError("Split 'test' has only no calibration settings, please set `calibration=None`.")
        elif split != "test":
            raise ValueError(f"Split '{split}' has calibration settings, however None was provided as an argument.\n"
                             f"Setting calibration to 'perfect' for split '{split}'. Available calibration settings "
                             "are: 'perfect', 'imperfect', 'both'.")
        self.use_ambient_views = use_ambient_views
        home = pathlib.Path(root) / "Middlebury2014"
        if download:
            self._download(home)
        if not (home / split).exists():
            raise FileNotFoundError(f"The {split} directory was not found in the provided root directory")
        if not any([scene.startswith(name) for scene in os.listdir(home / split) for name in self.splits[split]]):
            raise FileNotFoundError(
                f"Provided root folder does not contain any scenes from the {split} split.")
        for end in {None: [""], "both": ["-perfect", "-imperfect"]}.get(calibration, [f"-{calibration}"]):
            scenes = f"*{end}"
            disparities = None if split == "test" else (f"{scenes}/disp0.pfm", f"{scenes}/disp1.pfm")
            self._add(home / split, (f"{scenes}/im0.png", f"{scenes}/im1.png"), disparities)

    def _read_img(self, path):
        path = pathlib.Path(path)
        if path.name == "im1.png" and self.use_ambient_views:
            views = [path.parent / name for name in ("im1E.png", "im1L.png")]
            path = random.choice([view for view in views if view.exists()] + [path])
        return super()._read_img(path)

    def _read(self, path):
        disparity = np.abs(read_pfm(path, 1))
        disparity[disparity == np.inf] = 0
        return disparity, (disparity > 0).squeeze(0)

    def _download(self, home):
        folder = home / self.split
        if self.split != "test":
            for scene in [f"{name}-{kind}" for name in self.splits[self.split] for kind in ("perfect", "imperfect")]:
                if not (folder / scene).exists():
                    download_and_extract_archive(f"{self._URL}data/scenes2014/zip/{scene}.zip", str(folder),
                                                 remove_finished=True)
            return
        folder.mkdir(parents=True, exist_ok=True)
        if any([not (folder / name).exists() for name in self.splits["test"]]):
            download_and_extract_archive(f"{self._URL}submit3/zip/MiddEval3-data-F.zip", str(home),
                                         remove_finished=True)
            for scene in (home / "MiddEval3" / "testF").iterdir():
                shutil.move(str(scene), str(folder))
            shutil.rmtree(home / "MiddEval3")


class CREStereo(StereoMatchingDataset):
    """Rendered objects."""

    _has_built_in_disparity_mask = True

    def __init__(self, root, transforms=None):
        super().__init__(root, transforms)
        for name in ("shapenet", "reflective", "tree", "hole"):
            self._add(pathlib.Path(root) / "CREStereo" / name, ("*_left.jpg", "*_right.jpg"),
                      ("*_left.disp.png", "*_right.disp.png"))

    def _read(self, path):
        return _samples(path, np.float32)[None] / 32.0, None


class FallingThingsStereo(StereoMatchingDataset):
    """Rendered objects that fall. `variant`: "single", "mixed" or "both"."""

    def __init__(self, root, variant="single", transforms=None):
        super().__init__(root, transforms)
        verify_str_arg(variant, "variant", ("single", "mixed", "both"))
        for name in ("single", "mixed") if variant == "both" else (variant,):
            scenes = "*/*" if name == "single" else "*"
            self._add(pathlib.Path(root) / "FallingThings" / name, (f"{scenes}/*.left.jpg", f"{scenes}/*.right.jpg"),
                      (f"{scenes}/*.left.depth.png", f"{scenes}/*.right.depth.png"))

    def _read(self, path):
        with open(pathlib.Path(path).parent / "_camera_settings.json") as file:
            focal = json.load(file)["camera_settings"][0]["intrinsic_settings"]["fx"]
        # The cameras are 6 cm apart, and depths are in steps of 0.1 mm.
        return (6 * focal * 100 / _samples(path).astype(np.float32))[None], None


class SceneFlowStereo(StereoMatchingDataset):
    """Rendered films. `variant`: "FlyingThings3D", "Driving" or "Monkaa"; `pass_name`: "clean", "final" or "both"."""

    def __init__(self, root, variant="FlyingThings3D", pass_name="clean", transforms=None):
        super().__init__(root, transforms)
        verify_str_arg(variant, "variant", ("FlyingThings3D", "Driving", "Monkaa"))
        verify_str_arg(pass_name, "pass_name", ("clean", "final", "both"))
        scenes = "*" if variant == "Monkaa" else "*/*/*"
        for name in ("clean", "final") if pass_name == "both" else (pass_name,):
            frames = f"frames_{name}pass/{scenes}"
            self._add(pathlib.Path(root) / "SceneFlow" / variant, (f"{frames}/left/*.png", f"{frames}/right/*.png"),
                      (f"disparity/{scenes}/left/*.pfm", f"disparity/{scenes}/right/*.pfm"))

    def _read(self, path):
        return np.abs(read_pfm(path, 1)), None


class SintelStereo(StereoMatchingDataset):
    """Scenes of an animated film. `pass_name`: "final", "clean" or "both"."""

    _has_built_in_disparity_mask = True

    def __init__(self, root, pass_name="final", transforms=None):
        super().__init__(root, transforms)
        verify_str_arg(pass_name, "pass_name", ("final", "clean", "both"))
        for name in ("final", "clean") if pass_name == "both" else (pass_name,):
            self._add(pathlib.Path(root) / "Sintel" / "training", (f"{name}_left/*/*.png", f"{name}_right/*/*.png"),
                      ("disparities/*/*.png", None))

    def _read(self, path):
        red, green, blue = np.moveaxis(_samples(path, np.float32), -1, 0)
        path = pathlib.Path(path)
        masks = []
        for name, what in (("occlusions", "Occlusion"), ("outofframe", "Out of frame")):
            found = path.parents[2] / name / path.parent.name / path.name
            if not found.exists():
                raise FileNotFoundError(f"{what} mask {found} does not exist")
            masks.append(_samples(found) == 0)
        return (red * 4 + green / 2 ** 6 + blue / 2 ** 14)[None], np.logical_and(*masks)


class InStereo2k(StereoMatchingDataset):
    """Indoor scenes."""

    def __init__(self, root, split="train", transforms=None):
        super().__init__(root, transforms)
        verify_str_arg(split, "split", ("train", "test"))
        self._add(pathlib.Path(root) / "InStereo2k" / split, ("*/left.png", "*/right.png"),
                  ("*/left_disp.png", "*/right_disp.png"))

    def _read(self, path):
        return _samples(path, np.float32)[None] / 1024.0, None


class ETH3DStereo(StereoMatchingDataset):
    """Grey scenes indoors and outdoors."""

    _has_built_in_disparity_mask = True

    def __init__(self, root, split="train", transforms=None):
        super().__init__(root, transforms)
        verify_str_arg(split, "split", ("train", "test"))
        home = pathlib.Path(root) / "ETH3D"
        images = "two_view_training" if split == "train" else "two_view_test"
        disparities = ("two_view_training_gt/*/disp0GT.pfm", None) if split == "train" else None
        self._add(home, (f"{images}/*/im0.png", f"{images}/*/im1.png"), disparities)

    def _read(self, path):
        mask = _samples(pathlib.Path(path).parent / "mask0nocc.png").astype(bool)
        return np.abs(read_pfm(path, 1)), mask
