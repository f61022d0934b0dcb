"""The registry of models and their published weights.

A builder registers itself under its name (`register_model`); an enumeration of weights comes from the rows of
weights.json (`weights_enum`). The public functions look both up by name.
"""

import dataclasses
import enum
import fnmatch
import functools
import inspect
import json
import pathlib
import sys
import typing

from ...hub import load_state_dict_from_url
from ..transforms import _presets
from ..transforms.interpolation import InterpolationMode

__all__ = [
    "Weights", "WeightsEnum", "get_model", "get_model_builder", "get_model_weights", "get_weight", "list_models",
]

BUILTIN_MODELS = {}
ENUMERATIONS = {}
HOMES = ("", ".detection", ".optical_flow", ".quantization", ".segmentation", ".video")


@dataclasses.dataclass(eq=False)
class Weights:
    """One set of published weights.

    Args:
        url (str): address of the file.
        transforms (callable): makes the preprocessing of images for a model with these weights.
        meta (dict): facts, such as "categories", "num_params" and "min_size".
    """

    url: str
    transforms: typing.Callable
    meta: typing.Dict[str, typing.Any]

    def __eq__(self, other):
        if not isinstance(other, Weights):
            return NotImplemented
        return self._facts() == other._facts()

    def _facts(self):
        make = self.transforms
        if isinstance(make, functools.partial):  # partial objects with the same parts are not equal, also copies
            make = (make.func, make.args, make.keywords)
        return self.url, self.meta, make


class WeightsEnum(enum.Enum):
    """The sets of weights that are published for a model; `DEFAULT` is the best of them.

    Example:
        >>> from torchvision.models import ResNet18_Weights
        >>> ResNet18_Weights.DEFAULT.meta["num_params"]
        11689512
    """

    @classmethod
    def verify(cls, obj):
        """Return `obj`, a member, a member's name or None, as a member or None. TypeError for anything else."""
        if isinstance(obj, str):
            return cls[obj.replace(cls.__name__ + ".", "")]
        if obj is not None and not isinstance(obj, cls):
            raise TypeError(
                f"Invalid Weight class provided; expected {cls.__name__} but received {obj.__class__.__name__}."
            )
        return obj

    def get_state_dict(self, *args, **kwargs):
        """Download the weights, unless the cache has them, and load them. Arguments as in
        `torch.hub.load_state_dict_from_url`."""
        return load_state_dict_from_url(self.url, *args, **kwargs)

    def __repr__(self):
        return f"{self.__class__.__name__}.{self._name_}"

    @property
    def url(self):
        """The address of the file."""
        return self.value.url

    @property
    def transforms(self):
        """A callable that makes the preprocessing."""
        return self.value.transforms

    @property
    def meta(self):
        """A dictionary of facts."""
        return self.value.meta


# -- the table ---------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def _table():
    return json.loads(pathlib.Path(__file__).with_name("weights.json").read_text(encoding="utf-8"))


def weights_enum(name, module):
    """Make the enumeration `name` of a module from its rows in the table."""
    table = _table()
    members, made = [], {}
    for member, row in table["enumerations"][name].items():
        if isinstance(row, str):  # another name of a member
            members.append((member, made[row]))
            continue
        made[member] = Weights(table["address"] + row["file"], _preset(row), _meta(row["meta"], table["lists"]))
        members.append((member, made[member]))
    found = ENUMERATIONS[name] = WeightsEnum(name, members, module=module)
    return found


def _preset(row):
    make, options = getattr(_presets, row["preset"]), {}
    for key, value in row["options"].items():
        if key == "interpolation":
            value = InterpolationMode[value]
        options[key] = tuple(value) if isinstance(value, list) else value
    return functools.partial(make, **options) if options else make


def _meta(row, lists):
    found = dict(row)
    for key in ("categories", "keypoint_names"):
        if found.get(key) is not None:
            found[key] = lists[found[key]]
    if "min_size" in found:
        found["min_size"] = tuple(found["min_size"])
    if "unquantized" in found:
        name, _, member = found["unquantized"].partition(".")
        found["unquantized"] = ENUMERATIONS[name][member]
    return found


# -- look-up -----------------------------------------------------------------------------------------------------------


def get_weight(name):
    """Return a set of weights by its full name. ValueError for an unknown enumeration, KeyError for a member.

    Example:
        >>> from torchvision.models import get_weight
        >>> get_weight("ResNet50_Weights.IMAGENET1K_V2").meta["min_size"]
        (1, 1)
    """
    enum_name, dot, member = name.partition(".")
    if not dot or "." in member:
        raise ValueError(f"Invalid weight name provided: '{name}'.")
    package = __name__.rpartition(".")[0]
    for home in HOMES:
        found = getattr(sys.modules.get(package + home), enum_name, None)
        if isinstance(found, type) and issubclass(found, WeightsEnum):
            return found[member]
    raise ValueError(f"The weight enum '{enum_name}' for the specific method couldn't be retrieved.")


def get_model_weights(name):
    """Return the enumeration of weights of a model, given by its name or builder.

    Example:
        >>> from torchvision.models import get_model_weights
        >>> get_model_weights("vgg16")["IMAGENET1K_V1"].meta["min_size"]
        (32, 32)
    """
    return _get_enum_from_fn(get_model_builder(name) if isinstance(name, str) else name)


def _get_enum_from_fn(fn):
    parameters = inspect.signature(fn).parameters
    if "weights" not in parameters:
        raise ValueError("The method is missing the 'weights' argument.")
    annotation = parameters["weights"].annotation
    for found in (annotation, *typing.get_args(annotation)):
        if isinstance(found, type) and issubclass(found, WeightsEnum):
            return found
    raise ValueError(
        "The WeightsEnum class for the specific method couldn't be retrieved. Make sure the typing info is correct."
    )


def register_model(name=None):
    """Decorate a builder to enter it under `name`, its own by default. ValueError if the name is taken."""

    def enter(builder):
        key = builder.__name__ if name is None else name
        if key in BUILTIN_MODELS:
            raise ValueError(f"An entry is already registered under the name '{key}'.")
        BUILTIN_MODELS[key] = builder
        return builder

    return enter


def list_models(module=None, include=None, exclude=None):
    """Return the names of the models, in alphabetical order.

    Args:
        module (module, optional): only models of this module, such as `torchvision.models.detection`.
        include (str or iterable of str, optional): only names that match one of these patterns.
        exclude (str or iterable of str, optional): no names that match one of these patterns.

    Example:
        >>> from torchvision.models import list_models
        >>> list_models(include="resnet*")
        ['resnet101', 'resnet152', 'resnet18', 'resnet34', 'resnet50']
    """
    names = [
        name for name, builder in BUILTIN_MODELS.items()
        if module is None or builder.__module__.rpartition(".")[0] == module.__name__
    ]
    if include:
        names = [name for name in names if _matches(name, include)]
    if exclude:
        names = [name for name in names if not _matches(name, exclude)]
    return sorted(names)


def _matches(name, patterns):
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def get_model_builder(name):
    """Return the function that builds the model `name`. ValueError for an unknown name."""
    found = BUILTIN_MODELS.get(name.lower())
    if found is None:
        raise ValueError(f"Unknown model {name.lower()}")
    return found


def get_model(name, **config):
    """Build the model `name`, with the arguments of its builder. ValueError for an unknown name.

    Example:
        >>> from torchvision.models import get_model
        >>> get_model("squeezenet1_1", weights=None, num_classes=5).num_classes
        5
    """
    return get_model_builder(name)(**config)
