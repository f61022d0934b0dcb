"""What automatic augmentation does: its operations, their magnitudes, and the published policies.

Both generations of transforms share the tables; they differ in the random numbers they draw.
"""
import enum
import math

from ... import api as rl


class AutoAugmentPolicy(enum.Enum):
    """The data set that a policy of AutoAugment was found for."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


# -- magnitudes ------------------------------------------------------------------------------------------------------


def _steps(low, high):
    return lambda bins, height, width: rl.linspace(low, high, bins)


def _bits(most, lost):
    return lambda bins, height, width: most - (rl.arange(bins) / ((bins - 1) / lost)).round().int()


def _translations(share):
    """Steps along width and height, up to a share of it."""
    return (lambda bins, height, width: rl.linspace(0.0, share * width, bins),
            lambda bins, height, width: rl.linspace(0.0, share * height, bins))


def _nothing(bins, height, width):
    return None


COLOURS = ("Brightness", "Color", "Contrast", "Sharpness")


def _space(shear, across, down, turn, colour, bits, first=(), last=(), colours_last=False):
    """A table {operation: (function of bins, height and width that gives the magnitudes, whether signs are drawn)}.

    The order of its entries is that of the random numbers. `first` and `last` are operations without magnitude.
    """
    table = dict.fromkeys(first, (_nothing, False))
    table.update({
        "ShearX": (_steps(0.0, shear), True), "ShearY": (_steps(0.0, shear), True),
        "TranslateX": (across, True), "TranslateY": (down, True), "Rotate": (_steps(0.0, turn), True),
    })
    colours = {name: (_steps(0.0, colour), True) for name in COLOURS}
    levels = {"Posterize": (bits, False), "Solarize": (_steps(1.0, 0.0), False),
              "AutoContrast": (_nothing, False), "Equalize": (_nothing, False)}
    table.update({**levels, **colours} if colours_last else {**colours, **levels})
    table.update(dict.fromkeys(last, (_nothing, False)))
    return table


AUTO_AUGMENT = _space(0.3, *_translations(150.0 / 331.0), 30.0, 0.9, _bits(8, 4), last=("Invert",))
RAND_AUGMENT = _space(0.3, *_translations(150.0 / 331.0), 30.0, 0.9, _bits(8, 4), first=("Identity",))
TRIVIAL_AUGMENT = _space(0.99, _steps(0.0, 32.0), _steps(0.0, 32.0), 135.0, 0.99, _bits(8, 6), first=("Identity",))
AUG_MIX = _space(0.3, *_translations(1.0 / 3.0), 30.0, 0.9, _bits(4, 4), colours_last=True)
AUG_MIX_PART = {name: entry for name, entry in AUG_MIX.items() if name not in COLOURS}


# -- policies --------------------------------------------------------------------------------------------------------

# One line is a pair of operations: name, tenths of the probability, step of the magnitude (- for none).
_POLICIES = {
    AutoAugmentPolicy.IMAGENET: """
        Posterize 4 8 Rotate 6 9, Solarize 6 5 AutoContrast 6 -, Equalize 8 - Equalize 6 -, Posterize 6 7 Posterize 6 6,
        Equalize 4 - Solarize 2 4, Equalize 4 - Rotate 8 8, Solarize 6 3 Equalize 6 -, Posterize 8 5 Equalize 10 -,
        Rotate 2 3 Solarize 6 8, Equalize 6 - Posterize 4 6, Rotate 8 8 Color 4 0, Rotate 4 9 Equalize 6 -,
        Equalize 0 - Equalize 8 -, Invert 6 - Equalize 10 -, Color 6 4 Contrast 10 8, Rotate 8 8 Color 10 2,
        Color 8 8 Solarize 8 7, Sharpness 4 7 Invert 6 -, ShearX 6 5 Equalize 10 -, Color 4 0 Equalize 6 -,
        Equalize 4 - Solarize 2 4, Solarize 6 5 AutoContrast 6 -, Invert 6 - Equalize 10 -, Color 6 4 Contrast 10 8,
        Equalize 8 - Equalize 6 -""",
    AutoAugmentPolicy.CIFAR10: """
        Invert 1 - Contrast 2 6, Rotate 7 2 TranslateX 3 9, Sharpness 8 1 Sharpness 9 3, ShearY 5 8 TranslateY 7 9,
        AutoContrast 5 - Equalize 9 -, ShearY 2 7 Posterize 3 7, Color 4 3 Brightness 6 7, Sharpness 3 9 Brightness 7 9,
        Equalize 6 - Equalize 5 -, Contrast 6 7 Sharpness 6 5, Color 7 7 TranslateX 5 8, Equalize 3 - AutoContrast 4 -,
        TranslateY 4 3 Sharpness 2 6, Brightness 9 6 Color 2 8, Solarize 5 2 Invert 0 -, Equalize 2 - AutoContrast 6 -,
        Equalize 2 - Equalize 6 -, Color 9 9 Equalize 6 -, AutoContrast 8 - Solarize 2 8, Brightness 1 3 Color 7 0,
        Solarize 4 5 AutoContrast 9 -, TranslateY 9 9 TranslateY 7 9, AutoContrast 9 - Solarize 8 3,
        Equalize 8 - Invert 1 -, TranslateY 7 9 AutoContrast 9 -""",
    AutoAugmentPolicy.SVHN: """
        ShearX 9 4 Invert 2 -, ShearY 9 8 Invert 7 -, Equalize 6 - Solarize 6 6, Invert 9 - Equalize 6 -,
        Equalize 6 - Rotate 9 3, ShearX 9 4 AutoContrast 8 -, ShearY 9 8 Invert 4 -, ShearY 9 5 Solarize 2 6,
        Invert 9 - AutoContrast 8 -, Equalize 6 - Rotate 9 3, ShearX 9 4 Solarize 3 3, ShearY 8 8 Invert 7 -,
        Equalize 9 - TranslateY 6 6, Invert 9 - Equalize 6 -, Contrast 3 3 Rotate 8 4, Invert 8 - TranslateY 0 2,
        ShearY 7 6 Solarize 4 8, Invert 6 - Rotate 8 4, ShearY 3 7 TranslateX 9 3, ShearX 1 6 Invert 6 -,
        Solarize 7 2 TranslateY 6 7, ShearY 8 4 Invert 8 -, ShearX 7 9 TranslateY 8 3, ShearY 8 5 AutoContrast 7 -,
        ShearX 7 2 Invert 1 -""",
}


def policies(policy):
    """The pairs ((name, probability, step or None), ...) of a policy. ValueError for anything else."""
    if policy not in _POLICIES:
        raise ValueError(f"The provided policy {policy} is not recognized.")
    found = []
    for line in _POLICIES[policy].split(","):
        words = line.split()
        found.append(tuple([(name, int(tenths) / 10, None if step == "-" else int(step))
                            for name, tenths, step in (words[:3], words[3:])]))
    return found


# -- operations ------------------------------------------------------------------------------------------------------


def _shear(F, image, x, y, options):
    angles = [math.degrees(math.atan(x)), math.degrees(math.atan(y))]
    return F.affine(image, angle=0.0, translate=[0, 0], scale=1.0, shear=angles, center=[0, 0], **options)


def _translate(F, image, x, y, options):
    return F.affine(image, angle=0.0, translate=[int(x), int(y)], scale=1.0, shear=[0.0, 0.0], **options)


_OPERATIONS = {
    "Identity": lambda F, image, magnitude, options: image,
    "ShearX": lambda F, image, magnitude, options: _shear(F, image, magnitude, 0.0, options),
    "ShearY": lambda F, image, magnitude, options: _shear(F, image, 0.0, magnitude, options),
    "TranslateX": lambda F, image, magnitude, options: _translate(F, image, magnitude, 0, options),
    "TranslateY": lambda F, image, magnitude, options: _translate(F, image, 0, magnitude, options),
    "Rotate": lambda F, image, magnitude, options: F.rotate(image, magnitude, **options),
    "Brightness": lambda F, image, magnitude, options: F.adjust_brightness(image, 1.0 + magnitude),
    "Color": lambda F, image, magnitude, options: F.adjust_saturation(image, 1.0 + magnitude),
    "Contrast": lambda F, image, magnitude, options: F.adjust_contrast(image, 1.0 + magnitude),
    "Sharpness": lambda F, image, magnitude, options: F.adjust_sharpness(image, 1.0 + magnitude),
    "Posterize": lambda F, image, magnitude, options: F.posterize(image, int(magnitude)),
    "Solarize": lambda F, image, magnitude, options: F.solarize(image, magnitude),
    "AutoContrast": lambda F, image, magnitude, options: F.autocontrast(image),
    "Equalize": lambda F, image, magnitude, options: F.equalize(image),
    "Invert": lambda F, image, magnitude, options: F.invert(image),
}


def apply(F, image, name, magnitude, interpolation, fill):
    """An operation with the functions of `F`, those of either generation."""
    if name not in _OPERATIONS:
        raise ValueError(f"The provided operator {name} is not recognized.")
    return _OPERATIONS[name](F, image, magnitude, {"interpolation": interpolation, "fill": fill})
