"""Transforms of the second generation that hold others."""
from collections.abc import Sequence

from .... import api as rl
from ....nn.modules.container import ModuleList
from .. import transforms as v1
from .._draws import chance
from ..kernels.dispatch import is_pure_tensor
from ..pending import finished
from ._transform import Transform
from ._waiting import advance


def _checked(transforms, also=(), text=""):
    if not isinstance(transforms, (Sequence, *also)):
        raise TypeError(f"Argument transforms should be a sequence of callables{text}")
    if not transforms:
        raise ValueError("Pass at least one transform")
    return transforms


def _chain(transforms, inputs):
    """The sample after all of the transforms."""
    first, *rest = inputs
    may_wait = all([item is None or isinstance(item, (int, float, str)) or is_pure_tensor(item) for item in rest])
    for transform in transforms:
        if may_wait:
            first, done = advance(transform, first)
            if done:
                continue
        outputs = transform(first, *rest)
        first, *rest = outputs if rest else (outputs,)
    first = finished(first)
    return (first, *rest) if rest else first


class _Listing(Transform):
    """A container that prints one transform a line."""

    def extra_repr(self):
        return "\n".join([f"    {transform}" for transform in self.transforms])


class Compose(_Listing):
    """Apply the transforms of a list one after the other."""

    def __init__(self, transforms):
        super().__init__()
        self.transforms = _checked(transforms)

    def forward(self, *inputs):
        return _chain(self.transforms, inputs)


class RandomApply(_Listing):
    """Apply the transforms of a list one after the other, all of them with probability `p` or none."""

    _v1_transform_cls = v1.RandomApply

    def __init__(self, transforms, p=0.5):
        super().__init__()
        self.transforms = _checked(transforms, (ModuleList,), " or a `nn.ModuleList`")
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.p = p

    def forward(self, *inputs):
        if chance(self.p):
            return _chain(self.transforms, inputs)
        return inputs if len(inputs) > 1 else inputs[0]


class RandomChoice(Transform):
    """Apply one transform of a list, drawn with the weights `p`."""

    def __init__(self, transforms, p=None):
        _checked(transforms)
        if p is None:
            p = [1] * len(transforms)
        elif len(p) != len(transforms):
            raise ValueError(f"Length of p doesn't match the number of transforms: {len(p)} != {len(transforms)}")
        super().__init__()
        self.transforms = transforms
        total = sum(p)
        self.p = [weight / total for weight in p]

    def forward(self, *inputs):
        return self.transforms[int(rl.multinomial(rl.tensor(self.p), 1))](*inputs)


class RandomOrder(Transform):
    """Apply the transforms of a list in random order."""

    def __init__(self, transforms):
        _checked(transforms)
        super().__init__()
        self.transforms = transforms

    def forward(self, *inputs):
        return _chain([self.transforms[index] for index in rl.randperm(len(self.transforms)).tolist()], inputs)
