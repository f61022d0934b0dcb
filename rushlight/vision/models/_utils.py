"""What the families of models share: builders, rules for arguments, intermediate layers."""

import collections
import functools
import inspect
import typing
import warnings

from ... import nn
from ...nn import init
from ._api import WeightsEnum, register_model

NOTHING = object()


class IntermediateLayerGetter(nn.ModuleDict):
    """The front of a model, up to the last of some children, whose results it returns.

    The children have to be called one after another in the order in which the model has them.

    Args:
        model (Module): the model.
        return_layers (dict): names of children → names of their results.

    Returns (of forward): an OrderedDict of the results.

    Raises:
        ValueError: a name is not that of a child.

    Example:
        >>> from torchvision.models._utils import IntermediateLayerGetter
        >>> body = IntermediateLayerGetter(torchvision.models.resnet18(), {"layer1": "low", "layer3": "high"})
        >>> {name: tuple(value.shape) for name, value in body(torch.rand(1, 3, 64, 64)).items()}
        {'low': (1, 64, 16, 16), 'high': (1, 256, 4, 4)}
    """

    _version = 2

    def __init__(self, model, return_layers):
        children = collections.OrderedDict(model.named_children())
        wanted = {str(name): str(result) for name, result in return_layers.items()}
        if not set(return_layers).issubset(children):
            raise ValueError("return_layers are not present in model")
        names = list(children)
        last = max((names.index(name) for name in wanted), default=len(names) - 1)
        super().__init__(collections.OrderedDict((name, children[name]) for name in names[:last + 1]))
        self.return_layers = return_layers

    def forward(self, x):
        found = collections.OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                found[self.return_layers[name]] = x
        return found


def _make_divisible(v, divisor, min_value=None):
    """Round `v` to a multiple of `divisor`, at least `min_value` (`divisor` by default) and at least 0.9 v."""
    rounded = max(divisor if min_value is None else min_value, int(v + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * v else rounded


def _ovewrite_named_param(kwargs, param, new_value):
    """Set an argument that the weights fix. ValueError if the caller gave it another value."""
    given = kwargs.setdefault(param, new_value)
    if given != new_value:
        raise ValueError(f"The parameter '{param}' expected value {new_value} but got {given} instead.")


def _ovewrite_value_param(param, actual, expected):
    """Return the value of an argument that the weights fix. ValueError if the caller gave another one than None."""
    if actual is not None and actual != expected:
        raise ValueError(f"The parameter '{param}' expected value {expected} but got {actual} instead.")
    return expected


def init_modules(model, *rules):
    """Initialise the parameters of a model in the order of its modules.

    Args:
        model (Module): the model.
        rules: pairs (class or tuple of classes, function of a module); of each module the first that fits is called.
    """
    for module in model.modules():
        for classes, rule in rules:
            if isinstance(module, classes):
                rule(module)
                break


def unit_norm(module):
    """Scale 1 and offset 0, for normalisation layers."""
    if module.weight is not None:
        init.ones_(module.weight)
    if module.bias is not None:
        init.zeros_(module.bias)


def drawn(fill, **options):
    """A rule that fills the weight by `fill(weight, **options)` and sets the bias to 0."""
    def rule(module):
        fill(module.weight, **options)
        if module.bias is not None:
            init.zeros_(module.bias)
    return rule


# -- arguments of older versions ---------------------------------------------------------------------------------------


def kwonly_to_pos_or_kw(fn):
    """Let a function take its keyword-only arguments by position too, with a warning."""
    parameters = inspect.signature(fn).parameters.values()
    first = next((i for i, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY), None)
    if first is None:
        raise TypeError(f"Found no keyword-only parameter on function '{fn.__name__}'")
    names = [p.name for p in parameters][first:]

    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        extra = dict(zip(names, args[first:]))
        if extra:
            shown = [f"'{name}'" for name in extra]
            text = shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]
            warnings.warn(
                f"Using {text} as positional parameter(s) is deprecated since 0.13 and may be removed in the future. "
                "Please use keyword parameter(s) instead.", stacklevel=2)
            kwargs.update(extra)
        return fn(*args[:first], **kwargs)

    return wrapper


def handle_legacy_interface(**weights):
    """Let a builder take `pretrained=True` (and `weights=True`) for the weights it stood for, with a warning.

    Args:
        weights: argument=(old argument, member of the enumeration that True stands for; or None; or a function of
            the keyword arguments that returns one of them).
    """

    def decorate(builder):
        @kwonly_to_pos_or_kw
        @functools.wraps(builder)
        def call(*args, **kwargs):
            for name, (old, default) in weights.items():
                _modernise(builder, kwargs, name, old, default)
            return builder(*args, **kwargs)

        return call

    return decorate


def _modernise(builder, kwargs, name, old, default):
    given = kwargs.get(name, NOTHING)
    modern = given is None or isinstance(given, WeightsEnum) or (isinstance(given, str) and given != "legacy")
    if modern or (given is NOTHING and old not in kwargs):
        return
    if given is not NOTHING:  # the old argument came first, so that its value stands at the new one's position
        kwargs[old] = kwargs.pop(name)
    chosen = None
    if kwargs[old]:
        chosen = default(kwargs) if callable(default) else default
        if not isinstance(chosen, WeightsEnum):
            raise ValueError(f"No weights available for model {builder.__name__}")
    if given is NOTHING:
        warnings.warn(f"The parameter '{old}' is deprecated since 0.13 and may be removed in the future, please use "
                      f"'{name}' instead.", stacklevel=4)
    text = (f"Arguments other than a weight enum or `None` for '{name}' are deprecated since 0.13 and may be removed "
            f"in the future. The current behavior is equivalent to passing `{name}={chosen}`.")
    if chosen is not None:
        text += f" You can also use `{name}={type(chosen).__name__}.DEFAULT` to get the most up-to-date weights."
    warnings.warn(text, stacklevel=4)
    del kwargs[old]
    kwargs[name] = chosen


# -- builders ----------------------------------------------------------------------------------------------------------


def load_weights(model, weights, progress):
    """Load published weights into a model."""
    model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))


def builder(name, weights, construct, doc, pretrained="IMAGENET1K_V1", fixed=None, prepare=None, load=load_weights,
            register=True):
    """Make and register the builder of a classification model, a function (*, weights, progress, **kwargs).

    Args:
        name (str): its name, which is also the model's.
        weights: the enumeration of its weights.
        construct (callable): makes the model from keyword arguments.
        doc (str): its docstring.
        pretrained (str): the member that `pretrained=True` stands for; None if it has none.
        fixed (dict, optional): arguments of `construct` that make the variant; a caller may not change them.
        prepare (callable, optional): (weights, kwargs) sets further arguments for published weights.
        load (callable, optional): (model, weights, progress) loads them.
        register (bool): enter it into the registry; else return a function that another builder can call.
    """
    def build(*, weights: typing.Optional[weights] = None, progress: bool = True, **kwargs: typing.Any):
        chosen = enumeration.verify(weights)
        for key, value in (fixed or {}).items():
            _ovewrite_named_param(kwargs, key, value)
        if chosen is not None:
            if chosen.meta["categories"] is not None:
                _ovewrite_named_param(kwargs, "num_classes", len(chosen.meta["categories"]))
            if prepare is not None:
                prepare(chosen, kwargs)
        model = construct(**kwargs)
        if chosen is not None:
            load(model, chosen, progress)
        return model

    enumeration = weights
    build.__name__ = build.__qualname__ = name
    build.__module__ = weights.__module__
    build.__doc__ = f"""{doc}

    Args:
        weights ({weights.__name__} or str, optional): published weights to load; none by default.
        progress (bool): show a progress bar while weights are downloaded.
        kwargs: further arguments of the model's class.
    """
    if not register:
        return build
    default = weights[pretrained] if pretrained else None
    return register_model()(handle_legacy_interface(weights=("pretrained", default))(build))
