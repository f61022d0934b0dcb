"""How pixels between pixels are computed."""
import enum


class InterpolationMode(enum.Enum):
    """Interpolation of images; box, Hamming and Lanczos are for Pillow images only."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"
