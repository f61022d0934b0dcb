"""A batch of images of several sizes."""


class ImageList:
    """Images padded to one size.

    Args:
        tensors (Tensor): (N, C, H, W).
        image_sizes (list of tuple): (height, width) of the images without padding.
    """

    def __init__(self, tensors, image_sizes):
        self.tensors, self.image_sizes = tensors, image_sizes

    def to(self, device):
        """Return the images on a device."""
        return ImageList(self.tensors.to(device), self.image_sizes)
