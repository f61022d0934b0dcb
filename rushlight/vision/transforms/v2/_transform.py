"""The base of the second generation's transforms: modules that take any nested sample and change what they know."""
import enum

from ... import tv_tensors
from ....core.tensor import Tensor
from ....utils._pytree import tree_flatten, tree_unflatten
from ....nn.modules.module import Module
from ...pictures import is_picture
from .._draws import chance
from ..kernels.dispatch import is_pure_tensor, kernel_for
from ._query import check_type, has_any


class Transform(Module):
    """A transform of samples: pictures, boxes, masks and so on in tuples, lists and dictionaries, nested at will.

    A subclass overrides `transform(inpt, params)`, which changes one item, and where it needs to `make_params(
    flat_inputs)`, which draws the random numbers for all items of a sample, and `check_inputs(flat_inputs)`. Of plain
    tensors only the first is taken for an image, and none where there is an Image, Video or Pillow image.
    """

    _transformed_types = (Tensor, is_picture)
    _v1_transform_cls = None  # the class of the first generation that has `get_params`

    def __init_subclass__(cls):
        if hasattr(cls._v1_transform_cls, "get_params"):
            cls.get_params = staticmethod(cls._v1_transform_cls.get_params)

    def check_inputs(self, flat_inputs):
        """Raise an error for samples that cannot be transformed."""

    def make_params(self, flat_inputs):
        """The parameters that the items of one sample share, as a dictionary."""
        return {}

    def transform(self, inpt, params):
        """Change one item."""
        raise NotImplementedError

    def _call_kernel(self, functional, inpt, *args, **kwargs):
        """Call a function for one item; what it has no kernel for stays as it is."""
        return kernel_for(functional, inpt, allow_passthrough=True)(inpt, *args, **kwargs)

    def forward(self, *inputs):
        flat, spec = tree_flatten(inputs if len(inputs) > 1 else inputs[0])
        self.check_inputs(flat)
        return tree_unflatten(self._transformed(flat), spec)

    def _transformed(self, flat):
        needed = self._needs_transform_list(flat)
        params = self.make_params([item for item, wanted in zip(flat, needed) if wanted])
        return [self.transform(item, params) if wanted else item for item, wanted in zip(flat, needed)]

    def _needs_transform_list(self, flat):
        """Which items are changed."""
        take_tensor = not has_any(flat, tv_tensors.Image, tv_tensors.Video, is_picture)
        needed = []
        for item in flat:
            wanted = check_type(item, self._transformed_types)
            if wanted and is_pure_tensor(item):
                wanted, take_tensor = take_tensor, False
            needed.append(wanted)
        return needed

    def extra_repr(self):
        simple = (bool, int, float, str, tuple, list, enum.Enum)
        return ", ".join([f"{name}={value}" for name, value in self.__dict__.items()
                          if not name.startswith("_") and name != "training" and isinstance(value, simple)])


class RandomApplyTransform(Transform):
    """A transform that is applied with probability `p`."""

    def __init__(self, p=0.5):
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        super().__init__()
        self.p = p

    def forward(self, *inputs):
        inputs = inputs if len(inputs) > 1 else inputs[0]
        flat, spec = tree_flatten(inputs)
        self.check_inputs(flat)
        return tree_unflatten(self._transformed(flat), spec) if chance(self.p) else inputs
