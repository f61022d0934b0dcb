"""The UCI optical digits, which ship inside the package: 1,797 images of 8x8 pixels by 13 writers, no download.

E. Alpaydin and C. Kaynak, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0 (data/digits.LICENSE.txt).
"""
import gzip
import pathlib

import numpy as np

from ... import api as rl
from ..pictures import from_array, pillow
from .vision import VisionDataset


class Digits(VisionDataset):
    """Handwritten digits: `data` is a uint8 tensor (N, 8, 8) of values 0 to 255, `targets` an int64 tensor (N,).

    The images are in the order of the file, in which each writer's come together: the first 1,437 are for training,
    the last 360, by other writers, for tests. `train=None` gives all.
    """

    classes = [str(digit) for digit in range(10)]
    TRAINING_IMAGES = 1437

    def __init__(self, train=True, transform=None, target_transform=None):
        super().__init__(transform=transform, target_transform=target_transform)
        pillow("datasets.Digits")
        self.train = train
        images, targets = _read()
        if train is not None:
            part = slice(None, self.TRAINING_IMAGES) if train else slice(self.TRAINING_IMAGES, None)
            images, targets = images[part].copy(), targets[part].copy()
        self.data = rl.from_numpy(images)
        self.targets = rl.from_numpy(targets)

    def __getitem__(self, index):
        """The pair (Pillow image of 8x8 grey values, class) after the transforms."""
        return self._transformed(from_array(self.data[index].numpy()), int(self.targets[index]))

    def __len__(self):
        return len(self.data)

    def extra_repr(self):
        return "Split: " + {True: "Train", False: "Test", None: "All"}[self.train]


def _read():
    with gzip.open(pathlib.Path(__file__).parents[2] / "data" / "digits.csv.gz") as file:
        numbers = np.array(file.read().replace(b"\n", b",").rstrip(b",").split(b","), dtype=np.int64).reshape(-1, 65)
    # The file counts ink in 17 steps, 0 to 16.
    grey = np.minimum(numbers[:, :64] * 16, 255).astype(np.uint8)
    return grey.reshape(-1, 8, 8), numbers[:, 64].copy()
