"""Functions that work on several kinds of input: a table of kernels for each, looked up by the input's class.

`dispatched` makes such a function of a signature, `kernel` adds a kernel to it. A kernel works on plain tensors; what
it needs to know about boxes and points are parameters of it (format, canvas_size, clamping_mode), which the table
fills from the input. A parameter that a kernel lacks is not passed to it: boxes ignore the interpolation.
"""
import functools
import inspect

from ... import tv_tensors
from ....core.tensor import Tensor
from ...pictures import is_picture
from ...tv_tensors._shapes import plain
from ..interpolation import InterpolationMode

PICTURE = "a Pillow image"  # stands in the tables for the class, which is not imported before it is needed
FACTS = ("format", "canvas_size", "clamping_mode")
KERNELS = {}  # function -> {class: callable}


def is_pure_tensor(inpt):
    """Whether a value is a tensor that does not know what it shows."""
    return isinstance(inpt, Tensor) and not isinstance(inpt, tv_tensors.TVTensor)


def dispatched(function):
    """A function that runs the kernel for its first argument. `function` gives name, parameters and docstring."""
    first = next(iter(inspect.signature(function).parameters))

    @functools.wraps(function)
    def call(*args, **kwargs):
        inpt, args = (args[0], args[1:]) if args else (kwargs.pop(first), args)
        return kernel_for(call, inpt)(inpt, *args, **kwargs)

    KERNELS[call] = {}
    return call


def kernel_for(functional, inpt, allow_passthrough=False):
    """The kernel of a function for a value; with `allow_passthrough` one that does nothing where there is none.

    Raises:
        TypeError: there is no kernel for the value's class.
    """
    table = KERNELS[functional]
    kind = type(inpt)
    found = table.get(kind)
    if found is not None:
        return found
    if issubclass(kind, Tensor):
        for cls in kind.__mro__:
            if cls in table:
                return table[cls]
            if cls is tv_tensors.TVTensor:
                break
    elif PICTURE in table and is_picture(inpt):
        return table[PICTURE]
    if allow_passthrough:
        return _pass
    raise TypeError(f"Functional F.{functional.__name__} supports inputs of type {table.keys()}, but got {kind} "
                    "instead.")


def _pass(inpt, *args, **kwargs):
    return inpt


def parameters(function):
    """The names of a function's parameters after the first."""
    return list(inspect.signature(function).parameters)[1:]


def kernel(functional, *kinds):
    """Decorate a kernel of a function for the classes `kinds`."""
    def add(run):
        for kind in kinds:
            special = isinstance(kind, type) and issubclass(kind, tv_tensors.TVTensor)
            KERNELS[functional][kind] = _for_subclass(functional, run) if special else run
        return run
    return add


def _for_subclass(functional, run):
    """A kernel for a class of tv_tensors: the input is unwrapped, facts are filled in, results wrapped like it."""
    names, accepted = parameters(functional), parameters(run)
    facts = [name for name in accepted if name in FACTS and name not in names]
    ignored = set(names).difference(accepted)

    @functools.wraps(run)
    def call(inpt, *args, **kwargs):
        if ignored or facts:
            kwargs.update(zip(names, args))
            args = ()
            for name in ignored:
                kwargs.pop(name, None)
            for name in facts:
                kwargs[name] = getattr(inpt, name)
        return _wrapped(run(plain(inpt), *args, **kwargs), inpt)
    return call


def _wrapped(result, like):
    """What a kernel gives: a tensor, tensors, or a tensor and the size of its picture."""
    if not isinstance(result, tuple):
        return tv_tensors.wrap(result, like=like) if isinstance(result, Tensor) else result
    if isinstance(result[1], Tensor):
        return tuple([tv_tensors.wrap(part, like=like) for part in result])
    return tv_tensors.wrap(result[0], like=like, canvas_size=tuple(result[1]))


def for_videos(functional, run):
    """The kernel of images for videos, whose frames are images: `resize_image` becomes `resize_video`."""
    return kernel(functional, tv_tensors.Video)(_renamed(run, run, "video"))


def for_masks(functional, run):
    """The kernel of images for masks (H, W) or (N, H, W), which are never interpolated."""
    names = parameters(run)
    fixed = {"interpolation": InterpolationMode.NEAREST} if "interpolation" in names else {}

    def masked(mask, *args, **kwargs):
        kwargs.update(zip([name for name in names if name not in ("interpolation", "antialias")], args), **fixed)
        result = run(mask.unsqueeze(0) if mask.ndim < 3 else mask, **kwargs)
        return result.squeeze(0) if mask.ndim < 3 else result
    return kernel(functional, tv_tensors.Mask)(_renamed(masked, run, "mask", ("interpolation", "antialias")))


def _renamed(run, model, word, dropped=()):
    """`run` under the name of `model` with another word for the picture, and its signature less some parameters."""
    def call(*args, **kwargs):
        if not args:
            args = (kwargs.pop(word),)
        return run(*args, **kwargs)

    old = inspect.signature(model)
    first, *rest = old.parameters.values()
    call.__name__ = call.__qualname__ = model.__name__.replace("_image", f"_{word}")
    call.__module__ = model.__module__
    call.__doc__ = f"`{model.__name__}` for a {word}."
    call.__signature__ = old.replace(parameters=[
        first.replace(name=word), *[parameter for parameter in rest if parameter.name not in dropped]])
    return call


def register_kernel(functional, tv_tensor_cls):
    """Decorate a kernel of a function (or its name) for a subclass of TVTensor of your own.

    It gets the input as it is and all parameters of the function, those with defaults too.

    Raises:
        ValueError: no such function, or one of the classes that come with the package.
    """
    if isinstance(functional, str):
        named = {known.__name__: known for known in KERNELS}
        if functional not in named:
            raise ValueError(f"Could not find functional with name '{functional}' in "
                             "torchvision.transforms.v2.functional.")
        functional = named[functional]
    elif functional not in KERNELS:
        raise ValueError("Kernels can only be registered on functionals from the torchvision.transforms.v2.functional "
                         f"namespace, but got {functional}.")
    if not (isinstance(tv_tensor_cls, type) and issubclass(tv_tensor_cls, tv_tensors.TVTensor)):
        raise ValueError("Kernels can only be registered for subclasses of torchvision.tv_tensors.TVTensor, but got "
                         f"{tv_tensor_cls}.")
    if tv_tensor_cls in vars(tv_tensors).values():
        raise ValueError(f"Kernels cannot be registered for the builtin tv_tensor classes, but got {tv_tensor_cls}")
    if tv_tensor_cls in KERNELS[functional]:
        raise ValueError(f"Functional {functional} already has a kernel registered for type {tv_tensor_cls}.")
    signature = inspect.signature(functional)

    def add(run):
        @functools.wraps(run)
        def call(*args, **kwargs):
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            inpt, *_ = bound.arguments.values()
            return run(inpt, **dict(list(bound.arguments.items())[1:]))
        KERNELS[functional][tv_tensor_cls] = call
        return run
    return add
