"""Random images with random classes, for trying out a program without data."""
from ... import api as rl
from ..transforms.functional import to_pil_image
from .vision import VisionDataset


class FakeData(VisionDataset):
    """`size` Pillow images of normal noise, `image_size` = (C, H, W), in `num_classes` classes.

    The image of an index depends on `index + random_offset` alone, and the global generator is left as it was.
    IndexError past the end.
    """

    def __init__(self, size=1000, image_size=(3, 224, 224), num_classes=10, transform=None, target_transform=None,
                 random_offset=0):
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index):
        """The pair (image, class) after the transforms."""
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        state = rl.get_rng_state()
        rl.manual_seed(index + self.random_offset)
        image = rl.randn(*self.image_size)
        target = rl.randint(0, self.num_classes, size=(1,), dtype=rl.long)[0]
        rl.set_rng_state(state)
        image, target = self._transformed(to_pil_image(image), target)
        return image, target.item()

    def __len__(self):
        return self.size
