"""How pixels between pixels are computed."""
import enum


class InterpolationMode(enum.Enum):
    """Interpolation of images; box and Hamming are for Pillow images only."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's numbers for the modes.
PILLOW_MODES = {
    InterpolationMode.NEAREST: 0, InterpolationMode.BILINEAR: 2, InterpolationMode.BICUBIC: 3,
    InterpolationMode.NEAREST_EXACT: 0, InterpolationMode.BOX: 4, InterpolationMode.HAMMING: 5,
    InterpolationMode.LANCZOS: 1,
}
_BY_NUMBER = {number: mode for mode, number in reversed(PILLOW_MODES.items())}


def mode_of_number(number):
    """The mode that a number of Pillow's means. KeyError for any other number."""
    return _BY_NUMBER[number]


def mode_of(interpolation):
    """A mode given as member, name or Pillow's number. ValueError for anything else."""
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    if isinstance(interpolation, str):
        names = [mode.value for mode in InterpolationMode]
        if interpolation not in names:
            raise ValueError(
                f"Invalid interpolation mode: '{interpolation}'. Supported string values are: {names}.")
        return InterpolationMode(interpolation)
    if isinstance(interpolation, int):
        return mode_of_number(interpolation)
    raise ValueError("Argument interpolation should be an `InterpolationMode` or a corresponding Pillow integer "
                     f"constant, but got {interpolation}.")
