"""Data sets of optical flow: two images and where each pixel of the first is in the second."""
import itertools
import pathlib
import re

import numpy as np

from ...utils.data.dataset import ConcatDataset
from .folder import default_loader
from .utils import verify_str_arg
from .vision import VisionDataset
from ..io import decode_png, read_file

__all__ = ["FlyingChairs", "FlyingThings3D", "HD1K", "KittiFlow", "Sintel"]


def sorted_paths(folder, pattern):
    """The paths below a folder that fit a pattern, as sorted texts."""
    return sorted([str(path) for path in pathlib.Path(folder).glob(pattern)])


# -- files -----------------------------------------------------------------------------------------------------------


def read_flo(path):
    """The flow (2, H, W), float32, of a .flo file. ValueError for other files."""
    with open(path, "rb") as file:
        content = file.read()
    if content[:4] != b"PIEH":
        raise ValueError("Magic number incorrect. Invalid .flo file")
    width, height = np.frombuffer(content, "<i4", 2, 4)
    samples = np.frombuffer(content, "<f4", 2 * int(width) * int(height), 12)
    return samples.reshape(height, width, 2).transpose(2, 0, 1)


def read_pfm(path, channels=2):
    """The first channels (C, H, W), float32, of a .pfm file. ValueError for other files."""
    with open(path, "rb") as file:
        kind = file.readline().rstrip()
        if kind not in (b"PF", b"Pf"):
            raise ValueError("Invalid PFM file")
        size = re.match(rb"^(\d+)\s(\d+)\s$", file.readline())
        if size is None:
            raise ValueError("Malformed PFM header.")
        width, height = int(size.group(1)), int(size.group(2))
        scale = float(file.readline().rstrip())
        samples = np.fromfile(file, "<f4" if scale < 0 else ">f4")
    samples = samples.reshape(height, width, 3 if kind == b"PF" else 1).transpose(2, 0, 1)
    # The rows of the file run upwards.
    return samples[:channels, ::-1].astype(np.float32)


def read_wide_png(path):
    """The flow (2, H, W), float32, and the mask (H, W) of known pixels of a PNG file of 16 bits."""
    samples = decode_png(read_file(path)).numpy().astype(np.float32)
    return (samples[:2] - 2 ** 15) / 64, samples[2].astype(bool)


# -- data sets -------------------------------------------------------------------------------------------------------


class FlowDataset(VisionDataset):
    """Pairs of images with their flow (2, H, W), where it is known, and with a mask of known pixels in some sets.

    `transforms` takes and returns (image, image, flow, mask). `3 * dataset` repeats the data set.
    """

    _has_builtin_flow_mask = False

    def __init__(self, root, transforms=None, loader=default_loader):
        super().__init__(root)
        self.transforms = transforms
        self._flow_list, self._image_list = [], []
        self._loader = loader

    def _read_flow(self, path):
        raise NotImplementedError

    def _add(self, images, flows=()):
        """Neighbouring images of a scene are pairs; there is a flow for each pair."""
        self._image_list += [list(pair) for pair in zip(images, images[1:])]
        self._flow_list += flows

    def __getitem__(self, index):
        """(image, image, flow), or (image, image, flow, mask), after the transforms; the flow may be None."""
        first, second = [self._loader(path) for path in self._image_list[index]]
        flow = mask = None
        if self._flow_list:
            flow = self._read_flow(self._flow_list[index])
            if self._has_builtin_flow_mask:
                flow, mask = flow
        if self.transforms is not None:
            first, second, flow, mask = self.transforms(first, second, flow, mask)
        if self._has_builtin_flow_mask or mask is not None:
            return first, second, flow, mask
        return first, second, flow

    def __len__(self):
        return len(self._image_list)

    def __rmul__(self, v):
        return ConcatDataset([self] * v)


class Sintel(FlowDataset):
    """Scenes of an animated film. `pass_name`: "clean", "final" or "both"."""

    def __init__(self, root, split="train", pass_name="clean", transforms=None, loader=default_loader):
        super().__init__(root, transforms, loader)
        verify_str_arg(split, "split", ("train", "test"))
        verify_str_arg(pass_name, "pass_name", ("clean", "final", "both"))
        home = pathlib.Path(root) / "Sintel"
        for name in ("clean", "final") if pass_name == "both" else (pass_name,):
            images = home / ("training" if split == "train" else "test") / name
            for scene in sorted(images.iterdir()):
                flows = sorted_paths(home / "training" / "flow" / scene.name, "*.flo") if split == "train" else []
                self._add(sorted_paths(scene, "*.png"), flows)

    def _read_flow(self, path):
        return read_flo(path)


class KittiFlow(FlowDataset):
    """Street scenes (2015)."""

    _has_builtin_flow_mask = True

    def __init__(self, root, split="train", transforms=None, loader=default_loader):
        super().__init__(root, transforms, loader)
        verify_str_arg(split, "split", ("train", "test"))
        home = pathlib.Path(root) / "KittiFlow" / f"{split}ing"
        firsts, seconds = [sorted_paths(home / "image_2", f"*_{number}.png") for number in (10, 11)]
        if not firsts or not seconds:
            raise FileNotFoundError("Could not find the Kitti flow images. Please make sure the directory structure is "
                                    "correct.")
        self._image_list = [list(pair) for pair in zip(firsts, seconds)]
        if split == "train":
            self._flow_list = sorted_paths(home / "flow_occ", "*_10.png")

    def _read_flow(self, path):
        return read_wide_png(path)


class FlyingChairs(FlowDataset):
    """Chairs in front of photographs."""

    def __init__(self, root, split="train", transforms=None):
        super().__init__(root, transforms)
        verify_str_arg(split, "split", ("train", "val"))
        home = pathlib.Path(root) / "FlyingChairs"
        images, flows = sorted_paths(home / "data", "*.ppm"), sorted_paths(home / "data", "*.flo")
        listed = home / "FlyingChairs_train_val.txt"
        if not listed.exists():
            raise FileNotFoundError("The FlyingChairs_train_val.txt file was not found - please download it from the "
                                    "dataset page (see docstring).")
        wanted = "1" if split == "train" else "2"
        for number, (flow, part) in enumerate(zip(flows, listed.read_text().split())):
            if part == wanted:
                self._flow_list.append(flow)
                self._image_list.append(images[2 * number:2 * number + 2])

    def _read_flow(self, path):
        return read_flo(path)


class FlyingThings3D(FlowDataset):
    """Objects that fly through space. `pass_name`: "clean", "final" or "both"; `camera`: "left", "right" or "both"."""

    def __init__(self, root, split="train", pass_name="clean", camera="left", transforms=None, loader=default_loader):
        super().__init__(root, transforms, loader)
        verify_str_arg(split, "split", ("train", "test"))
        verify_str_arg(pass_name, "pass_name", ("clean", "final", "both"))
        verify_str_arg(camera, "camera", ("left", "right", "both"))
        home = pathlib.Path(root) / "FlyingThings3D"
        passes = ("clean", "final") if pass_name == "both" else (pass_name,)
        cameras = ("left", "right") if camera == "both" else (camera,)
        for name, side, direction in itertools.product(passes, cameras, ("into_future", "into_past")):
            scenes = sorted_paths(home / f"frames_{name}pass" / split.upper(), "*/*")
            motions = sorted_paths(home / "optical_flow" / split.upper(), "*/*")
            if not scenes or not motions:
                raise FileNotFoundError("Could not find the FlyingThings3D flow images. Please make sure the directory "
                                        "structure is correct.")
            for scene, motion in zip(scenes, motions):
                images = sorted_paths(pathlib.Path(scene) / side, "*.png")
                flows = sorted_paths(pathlib.Path(motion) / direction / side, "*.pfm")
                pairs = [list(pair) for pair in zip(images, images[1:len(flows)])]
                if direction == "into_past":
                    pairs, flows = [pair[::-1] for pair in pairs], flows[1:]
                self._image_list += pairs
                self._flow_list += flows[:len(pairs)]

    def _read_flow(self, path):
        return read_pfm(path)


class HD1K(FlowDataset):
    """Street scenes in high resolution."""

    _has_builtin_flow_mask = True

    def __init__(self, root, split="train", transforms=None, loader=default_loader):
        super().__init__(root, transforms, loader)
        verify_str_arg(split, "split", ("train", "test"))
        home = pathlib.Path(root) / "hd1k"
        if split == "train":
            for number in range(36):
                flows = sorted_paths(home / "hd1k_flow_gt" / "flow_occ", f"{number:06d}_*.png")
                self._add(sorted_paths(home / "hd1k_input" / "image_2", f"{number:06d}_*.png"), flows[:-1])
        else:
            firsts, seconds = [sorted_paths(home / "hd1k_challenge" / "image_2", f"*{end}.png") for end in (10, 11)]
            self._image_list = [list(pair) for pair in zip(firsts, seconds)]
        if not self._image_list:
            raise FileNotFoundError("Could not find the HD1K images. Please make sure the directory structure is "
                                    "correct.")

    def _read_flow(self, path):
        return read_wide_png(path)
