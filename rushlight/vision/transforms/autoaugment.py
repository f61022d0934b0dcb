"""Automatic augmentation, first generation: AutoAugment, RandAugment, TrivialAugment, AugMix."""
from ... import api as rl
from . import _policies
from . import functional as F
from ._base import Shown, fill_of
from ._policies import AutoAugmentPolicy
from .interpolation import InterpolationMode

__all__ = ["AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


def _draw(bound):
    return int(rl.randint(bound, (1,)))


class _Augment(Shown):
    """What the four have in common: operations with magnitudes from a table."""

    space = {}

    def __init__(self, interpolation, fill):
        super().__init__()
        self.interpolation, self.fill = interpolation, fill

    def _magnitudes(self, name, bins, size):
        """The steps of an operation's magnitude (None where it has none), and whether a sign is drawn."""
        magnitudes, signed = self.space[name]
        steps = magnitudes(bins, *size)
        # Thresholds are shares of the largest sample, which is 255 here whatever the dtype.
        return (steps * 255.0 if name == "Solarize" else steps), signed

    def _apply(self, img, name, magnitude, fill):
        return _policies.apply(F, img, name, magnitude, self.interpolation, fill)

    def _apply_random(self, img, names, bins, size, step, fill):
        """Apply an operation drawn from `names`; `step()` gives the step of its magnitude."""
        name = names[_draw(len(names))]
        steps, signed = self._magnitudes(name, bins, size)
        magnitude = 0.0 if steps is None else float(steps[step()])
        if signed and _draw(2):
            magnitude = -magnitude
        return self._apply(img, name, magnitude, fill)

    def _text(self, name):
        return getattr(self, name)


class AutoAugment(_Augment):
    """One of the pairs of operations that were learnt for a data set, drawn at random.

    Args:
        policy (AutoAugmentPolicy): the data set.
        interpolation (InterpolationMode): of operations that move pixels.
        fill (number or sequence of one for each channel): value of pixels from outside.
    """

    shown = ("policy", "fill")
    space = _policies.AUTO_AUGMENT

    def __init__(self, policy=AutoAugmentPolicy.IMAGENET, interpolation=NEAREST, fill=None):
        super().__init__(interpolation, fill)
        self.policy = policy
        self.policies = _policies.policies(policy)

    @staticmethod
    def get_params(transform_num):
        """The number of a pair, and for each operation a chance and a sign."""
        return _draw(transform_num), rl.rand((2,)), rl.randint(2, (2,))

    def forward(self, img):
        fill = fill_of(self.fill, img)
        size = F.get_dimensions(img)[1:]
        number, chances, signs = self.get_params(len(self.policies))
        for i, (name, p, step) in enumerate(self.policies[number]):
            if not chances[i] <= p:
                continue
            steps, signed = self._magnitudes(name, 10, size)
            magnitude = 0.0 if step is None else float(steps[step])
            if signed and signs[i] == 0:
                magnitude = -magnitude
            img = self._apply(img, name, magnitude, fill)
        return img


class RandAugment(_Augment):
    """`num_ops` operations drawn at random, of one magnitude: step `magnitude` of `num_magnitude_bins`."""

    shown = ("num_ops", "magnitude", "num_magnitude_bins", "interpolation", "fill")
    space = _policies.RAND_AUGMENT

    def __init__(self, num_ops=2, magnitude=9, num_magnitude_bins=31, interpolation=NEAREST, fill=None):
        super().__init__(interpolation, fill)
        self.num_ops, self.magnitude, self.num_magnitude_bins = num_ops, magnitude, num_magnitude_bins

    def forward(self, img):
        fill = fill_of(self.fill, img)
        size = F.get_dimensions(img)[1:]
        for _ in range(self.num_ops):
            img = self._apply_random(img, list(self.space), self.num_magnitude_bins, size, lambda: self.magnitude, fill)
        return img


class TrivialAugmentWide(_Augment):
    """One operation drawn at random, of a random magnitude."""

    shown = ("num_magnitude_bins", "interpolation", "fill")
    space = _policies.TRIVIAL_AUGMENT

    def __init__(self, num_magnitude_bins=31, interpolation=NEAREST, fill=None):
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img):
        bins = self.num_magnitude_bins
        size = F.get_dimensions(img)[1:]
        return self._apply_random(img, list(self.space), bins, size, lambda: _draw(bins), fill_of(self.fill, img))


MOST = 10  # the number of steps of AugMix


def check_severity(severity):
    """ValueError unless AugMix has such a step."""
    if not 1 <= severity <= MOST:
        raise ValueError(f"The severity must be between [1, {MOST}]. Got {severity} instead.")


def mix(batch, width, alpha, chain):
    """A picture (B, ..., C, H, W) mixed with `width` versions of itself that `chain(batch)` gives, as floats."""
    count = batch.shape[0]
    broadcast = [count] + [1] * (batch.ndim - 1)
    shares = rl._sample_dirichlet(rl.tensor([float(alpha)] * 2).expand(count, -1))
    weights = rl._sample_dirichlet(rl.tensor([float(alpha)] * width).expand(count, -1)) * shares[:, 1:]
    mixed = shares[:, 0].reshape(broadcast) * batch
    for i in range(width):
        mixed = mixed + weights[:, i].reshape(broadcast) * chain(batch)
    return mixed


class AugMix(_Augment):
    """A mixture of the picture and `mixture_width` versions of it, each by a chain of random operations.

    Args:
        severity (int): the largest step of magnitudes, 1 to 10.
        mixture_width (int): how many versions.
        chain_depth (int): operations of a chain; random, 1 to 3, where it is not positive.
        alpha (float): parameter of the distribution of the weights.
        all_ops (bool): change brightness, contrast, saturation and sharpness too.
    """

    shown = ("severity", "mixture_width", "chain_depth", "alpha", "all_ops", "interpolation", "fill")
    space = _policies.AUG_MIX

    def __init__(self, severity=3, mixture_width=3, chain_depth=-1, alpha=1.0, all_ops=True, interpolation=BILINEAR,
                 fill=None):
        super().__init__(interpolation, fill)
        check_severity(severity)
        self.severity, self.mixture_width, self.chain_depth = severity, mixture_width, chain_depth
        self.alpha, self.all_ops = alpha, all_ops

    def forward(self, orig_img):
        fill = fill_of(self.fill, orig_img)
        size = F.get_dimensions(orig_img)[1:]
        names = list(_policies.AUG_MIX if self.all_ops else _policies.AUG_MIX_PART)
        img = orig_img if isinstance(orig_img, rl.Tensor) else F.pil_to_tensor(orig_img)

        def chain(batch):
            depth = self.chain_depth if self.chain_depth > 0 else int(rl.randint(1, 4, (1,)))
            for _ in range(depth):
                batch = self._apply_random(batch, names, MOST, size, lambda: _draw(self.severity), fill)
            return batch
        batch = img.reshape([1] * max(4 - img.ndim, 0) + list(img.shape))
        mixed = mix(batch, self.mixture_width, self.alpha, chain).reshape(img.shape).to(img.dtype)
        return mixed if isinstance(orig_img, rl.Tensor) else F.to_pil_image(mixed)
