"""Automatic augmentation, second generation: AutoAugment, RandAugment, TrivialAugment, AugMix."""
from .... import api as rl
from ....utils._pytree import tree_flatten, tree_unflatten
from ... import tv_tensors
from ...pictures import is_picture
from .. import _policies
from .. import autoaugment as v1
from .._policies import AutoAugmentPolicy
from ...tv_tensors._shapes import plain
from . import functional as F
from ._arguments import fill_for, fills
from ._query import check_type
from ._transform import Transform
from ..kernels.dispatch import is_pure_tensor
from ..kernels.values import max_value

_PICTURES = (tv_tensors.Image, is_picture, is_pure_tensor, tv_tensors.Video)


class _Augment(Transform):
    """What the four have in common: one picture is taken out of the sample, changed, and put back."""

    _space = {}

    def __init__(self, *, interpolation="nearest", fill=None):
        super().__init__()
        self.interpolation = interpolation
        self.fill = fill
        self._fill = fills(fill)

    def forward(self, *inputs):
        flat, spec = tree_flatten(inputs if len(inputs) > 1 else inputs[0])
        places = []
        for index, (item, wanted) in enumerate(zip(flat, self._needs_transform_list(flat))):
            if wanted and check_type(item, _PICTURES):
                places.append(index)
            elif isinstance(item, (tv_tensors.BoundingBoxes, tv_tensors.Mask, tv_tensors.KeyPoints)):
                raise TypeError(f"Inputs of type {type(item).__name__} are not supported by {type(self).__name__}()")
        if not places:
            raise TypeError("Found no image in the sample.")
        if len(places) > 1:
            raise TypeError("Auto augment transformations are only properly defined for a single image or video, but "
                            f"found {len(places)}.")
        flat[places[0]] = self._augment(flat[places[0]])
        return tree_unflatten(flat, spec)

    def _augment(self, image):
        raise NotImplementedError

    def _apply(self, image, name, magnitude):
        if name == "Solarize":
            magnitude *= max_value(image.dtype) if isinstance(image, rl.Tensor) else 255.0
        return _policies.apply(F, image, name, magnitude, self.interpolation, fill_for(self._fill, image))

    def _magnitude(self, name, bins, size, step):
        """The magnitude of an operation: that of `step()`, with a random sign where it has one."""
        magnitudes, signed = self._space[name]
        steps = magnitudes(bins, *size)
        if steps is None:
            return 0.0
        magnitude = float(steps[step()])
        return -magnitude if signed and rl.rand(()) <= 0.5 else magnitude

    def _apply_random(self, image, names, bins, size, step):
        name = names[_draw(len(names))]
        return self._apply(image, name, self._magnitude(name, bins, size, step))


def _draw(bound):
    return int(rl.randint(bound, ()))


class AutoAugment(_Augment):
    """One of the pairs of operations that were learnt for a data set, drawn at random.

    Args:
        policy (AutoAugmentPolicy): the data set.
        interpolation (InterpolationMode or str): of operations that move pixels.
        fill (number, sequence, or dictionary {class: value}): value of pixels from outside.
    """

    _v1_transform_cls = v1.AutoAugment
    _space = _policies.AUTO_AUGMENT

    def __init__(self, policy=AutoAugmentPolicy.IMAGENET, interpolation="nearest", fill=None):
        super().__init__(interpolation=interpolation, fill=fill)
        self.policy = policy
        self._policies = _policies.policies(policy)

    def _augment(self, image):
        size = F.get_size(image)
        for name, p, step in self._policies[_draw(len(self._policies))]:
            if rl.rand(()) <= p:
                image = self._apply(image, name, self._magnitude(name, 10, size, lambda step=step: step))
        return image


class RandAugment(_Augment):
    """`num_ops` operations drawn at random, of one magnitude: step `magnitude` of `num_magnitude_bins`."""

    _v1_transform_cls = v1.RandAugment
    _space = _policies.RAND_AUGMENT

    def __init__(self, num_ops=2, magnitude=9, num_magnitude_bins=31, interpolation="nearest", fill=None):
        super().__init__(interpolation=interpolation, fill=fill)
        if not isinstance(num_ops, int) or num_ops < 0:
            raise ValueError(f"num_ops should be a non-negative integer, but got {num_ops} instead.")
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def _augment(self, image):
        size = F.get_size(image)
        for _ in range(self.num_ops):
            image = self._apply_random(image, list(self._space), self.num_magnitude_bins, size, lambda: self.magnitude)
        return image


class TrivialAugmentWide(_Augment):
    """One operation drawn at random, of a random magnitude."""

    _v1_transform_cls = v1.TrivialAugmentWide
    _space = _policies.TRIVIAL_AUGMENT

    def __init__(self, num_magnitude_bins=31, interpolation="nearest", fill=None):
        super().__init__(interpolation=interpolation, fill=fill)
        self.num_magnitude_bins = num_magnitude_bins

    def _augment(self, image):
        bins = self.num_magnitude_bins
        return self._apply_random(image, list(self._space), bins, F.get_size(image), lambda: _draw(bins))


class AugMix(_Augment):
    """A mixture of the picture and `mixture_width` versions of it, each by a chain of random operations.

    Args:
        severity (int): the largest step of magnitudes, 1 to 10.
        mixture_width (int): how many versions.
        chain_depth (int): operations of a chain; random, 1 to 3, where it is not positive.
        alpha (float): parameter of the distribution of the weights.
        all_ops (bool): change brightness, contrast, saturation and sharpness too.
    """

    _v1_transform_cls = v1.AugMix
    _space = _policies.AUG_MIX

    def __init__(self, severity=3, mixture_width=3, chain_depth=-1, alpha=1.0, all_ops=True,
                 interpolation="bilinear", fill=None):
        super().__init__(interpolation=interpolation, fill=fill)
        v1.check_severity(severity)
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops

    def _augment(self, image):
        size = F.get_size(image)
        names = list(_policies.AUG_MIX if self.all_ops else _policies.AUG_MIX_PART)

        def chain(batch):
            depth = self.chain_depth if self.chain_depth > 0 else int(rl.randint(1, 4, (1,)))
            for _ in range(depth):
                batch = self._apply_random(batch, names, v1.MOST, size, lambda: _draw(self.severity))
            return batch
        tensor = F.pil_to_tensor(image) if is_picture(image) else plain(image)
        dims = 5 if isinstance(image, tv_tensors.Video) else 4
        batch = tensor.reshape([1] * max(dims - tensor.ndim, 0) + list(tensor.shape))
        mixed = v1.mix(batch, self.mixture_width, self.alpha, chain).reshape(tensor.shape).to(tensor.dtype)
        if is_picture(image):
            return F.to_pil_image(mixed)
        return mixed if is_pure_tensor(image) else tv_tensors.wrap(mixed, like=image)
