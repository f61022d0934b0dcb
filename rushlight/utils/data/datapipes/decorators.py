"""Decorators for classes of data pipes: give them a name, or check them for determinism.

Read next: iter.py, which uses them.
"""

import functools

from .datapipe import IterDataPipe, MapDataPipe


class functional_datapipe:
    """Makes a class of pipes a method of all pipes of its kind: `@functional_datapipe("map")`."""

    def __init__(self, name, enable_df_api_tracing=False):
        self.name = name
        self.enable_df_api_tracing = enable_df_api_tracing

    def __call__(self, cls):
        if isinstance(cls, type) and issubclass(cls, MapDataPipe):
            MapDataPipe.register_datapipe_as_function(self.name, cls)
            return cls
        made_by_non_deterministic = isinstance(getattr(cls, "__self__", cls), non_deterministic)
        if not made_by_non_deterministic and not (isinstance(cls, type) and issubclass(cls, IterDataPipe)):
            raise TypeError("`functional_datapipe` can only decorate IterDataPipe")
        IterDataPipe.register_datapipe_as_function(self.name, cls)
        return cls


class _Determinism:
    wanted = False


class guaranteed_datapipes_determinism:
    """For the length of a `with` block, pipes marked as `non_deterministic` cannot be made."""

    def __init__(self):
        self.prev = _Determinism.wanted
        _Determinism.wanted = True

    def __enter__(self):
        return None

    def __exit__(self, kind, value, traceback):
        _Determinism.wanted = self.prev


class non_deterministic:
    """Marks a class of pipes as not deterministic: `@non_deterministic`, or with a function that tells by the
    arguments.

    TypeError for anything but IterDataPipes, and when such a pipe is made although determinism is wanted.
    """

    cls = None

    def __init__(self, arg):
        if isinstance(arg, type):
            if not issubclass(arg, IterDataPipe):
                raise TypeError(
                    f"Only `IterDataPipe` can be decorated with `non_deterministic`, but {arg.__name__} is found"
                )
            self.cls = arg
        elif callable(arg):
            self.deterministic_fn = arg
        else:
            raise TypeError(f"{arg} can not be decorated by non_deterministic")

    def __call__(self, *args, **kwargs):
        if self.cls is not None:
            if _Determinism.wanted:
                self._refuse()
            return self.cls(*args, **kwargs)
        if not (isinstance(args[0], type) and issubclass(args[0], IterDataPipe)):
            raise TypeError(f"Only `IterDataPipe` can be decorated, but {args[0].__name__} is found")
        self.cls = args[0]
        return self.deterministic_wrapper_fn

    def deterministic_wrapper_fn(self, *args, **kwargs):
        """Makes a pipe of the class, unless these arguments make it random and that is not wanted."""
        outcome = self.deterministic_fn(*args, **kwargs)
        if not isinstance(outcome, bool):
            raise TypeError(
                "deterministic_fn of `non_deterministic` decorator is required to return a boolean value, but "
                f"{type(outcome)} is found"
            )
        if _Determinism.wanted and outcome:
            self._refuse()
        return self.cls(*args, **kwargs)

    def _refuse(self):
        raise TypeError(
            f"{self.cls.__name__} is non-deterministic, but you set 'guaranteed_datapipes_determinism'. You can turn "
            "off determinism for this DataPipe if that is acceptable for your application"
        )


def argument_validation(f):
    """Marks a function whose arguments PyTorch compares with their annotations, for pipes only: TypeError for other
    data.
    """

    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        hints = {name: hint for name, hint in getattr(f, "__annotations__", {}).items() if name != "return"}
        named = dict(zip(f.__code__.co_varnames[:f.__code__.co_argcount], args), **kwargs)
        for name, hint in hints.items():
            wants_pipe = isinstance(hint, type) and issubclass(hint, IterDataPipe)
            if wants_pipe and not isinstance(named.get(name), IterDataPipe):
                raise TypeError(f"Expected argument '{name}' as a IterDataPipe, but found {type(named.get(name))}")
        return f(*args, **kwargs)

    return wrapper


class _Validation:
    wanted = True


class runtime_validation_disabled:
    """For the length of a `with` block, `runtime_validation` does nothing."""

    def __init__(self):
        self.prev = _Validation.wanted
        _Validation.wanted = False

    def __enter__(self):
        return None

    def __exit__(self, kind, value, traceback):
        _Validation.wanted = self.prev


def runtime_validation(f):
    """Compares what `__iter__` of a pipe yields with its annotation `Iterator[kind]`, where `kind` is a class.

    TypeError for a method of another name, RuntimeError for a sample of another type.
    """
    if f.__name__ != "__iter__":
        raise TypeError(f"Can not decorate function {f.__name__} with 'runtime_validation'")
    expected = getattr(f.__annotations__.get("return"), "__args__", (object,))[0]

    @functools.wraps(f)
    def wrapper(self):
        for sample in f(self):
            if _Validation.wanted and isinstance(expected, type) and not isinstance(sample, expected):
                raise RuntimeError(f"Expected an instance as subtype of {expected}, but found {sample}({type(sample)})")
            yield sample

    return wrapper
