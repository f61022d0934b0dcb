"""The base classes of data pipes: data sets whose next steps are methods.

Read next: decorators.py (how a class becomes a method of all pipes), iter.py.
"""

import copyreg
import functools
from typing import TypeVar

from ..dataset import Dataset, IterableDataset

T_co = TypeVar("T_co", covariant=True)


class _Pipe:
    """What both kinds of pipes share: methods that make the next pipe, and hooks for pickling and printing."""

    functions = {}
    reduce_ex_hook = None
    getstate_hook = None
    str_hook = None
    repr_hook = None

    def __getattr__(self, attribute_name):
        functions = type(self).functions
        if attribute_name not in functions:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{attribute_name}'")
        function = functools.partial(functions[attribute_name], self)
        functools.update_wrapper(function, functions[attribute_name], assigned=("__doc__",))
        return function

    @classmethod
    def register_function(cls, function_name, function):
        """Makes `function(pipe, ...)` a method of all pipes of this kind."""
        cls.functions[function_name] = function

    @classmethod
    def set_getstate_hook(cls, hook_fn):
        """Sets what turns the state of a pipe into what is pickled. RuntimeError if another one is set already."""
        if cls.getstate_hook is not None and hook_fn is not None:
            raise RuntimeError("Attempt to override existing getstate_hook")
        cls.getstate_hook = staticmethod(hook_fn) if hook_fn is not None else None

    @classmethod
    def set_reduce_ex_hook(cls, hook_fn):
        """Sets what pickles pipes; it may raise NotImplementedError. RuntimeError if another one is set already."""
        if cls.reduce_ex_hook is not None and hook_fn is not None:
            raise RuntimeError("Attempt to override existing reduce_ex_hook")
        cls.reduce_ex_hook = staticmethod(hook_fn) if hook_fn is not None else None

    def __getstate__(self):
        state = dict(self.__dict__)
        hook = type(self).getstate_hook
        return state if hook is None else hook(state)

    def __reduce_ex__(self, protocol):
        hook = type(self).reduce_ex_hook
        if hook is not None:
            try:
                return hook(self)
            except NotImplementedError:
                return self._plain_reduce(protocol)
        return self._plain_reduce(protocol)

    def _plain_reduce(self, protocol):
        return copyreg.__reduce_ex__(self, protocol) if protocol < 2 else object.__reduce_ex__(self, protocol)

    def __repr__(self):
        hook = type(self).repr_hook
        return str(type(self).__qualname__) if hook is None else hook(self)

    def __str__(self):
        hook = type(self).str_hook
        return str(type(self).__qualname__) if hook is None else hook(self)

    def __dir__(self):
        return list(super().__dir__()) + list(type(self).functions)


class IterDataPipe(_Pipe, IterableDataset[T_co]):
    """A stream of samples that other pipes can be put behind. Subclasses define `__iter__`, and `reset` if they have
    a state.

    Only one iterator of a pipe is valid at a time: a new one ends the one before with a RuntimeError.
    """

    functions = {}
    _valid_iterator_id = None
    _number_of_samples_yielded = 0

    def __init_subclass__(cls, **arguments):
        super().__init_subclass__(**arguments)
        if "__iter__" in vars(cls):
            cls.__iter__ = _single_iterator(vars(cls)["__iter__"])

    def __iter__(self):
        return self

    def reset(self):
        """Called before each pass; for subclasses with a state."""

    @classmethod
    def register_datapipe_as_function(cls, function_name, cls_to_register, enable_df_api_tracing=False):
        """Makes a class of pipes a method of all of them. Exception if there is one of that name."""
        _register(cls, function_name, cls_to_register)


class DFIterDataPipe(IterDataPipe):
    """A stream of data frames."""

    def _is_dfpipe(self):
        return True


class MapDataPipe(_Pipe, Dataset[T_co]):
    """Samples by key that other pipes can be put behind. Subclasses define `__getitem__`, and `__len__` if it is
    known.
    """

    functions = {}

    @classmethod
    def register_datapipe_as_function(cls, function_name, cls_to_register):
        """Makes a class of pipes a method of all of them. Exception if there is one of that name."""
        _register(cls, function_name, cls_to_register)


class DataChunk(list):
    """A batch made by `batch`: a list that keeps its samples as `items`."""

    def __init__(self, items):
        items = list(items)
        super().__init__(items)
        self.items = items

    def as_str(self, indent=""):
        """The samples in brackets, behind an indentation."""
        return indent + "[" + ", ".join(str(item) for item in self) + "]"

    def raw_iterator(self):
        """An iterator over the samples."""
        yield from self.items


def _register(kind, name, cls):
    if name in kind.functions:
        raise Exception(f"Unable to add DataPipe function name {name} as it is already taken")

    def make(source_dp, *args, **kwargs):
        return cls(source_dp, *args, **kwargs)

    functools.update_wrapper(make, cls, assigned=("__doc__",), updated=())
    kind.functions[name] = make


def _single_iterator(method):
    """`__iter__` that resets the pipe at the first sample, and ends when another iterator has been started since."""

    @functools.wraps(method)
    def __iter__(self):
        own = self._valid_iterator_id = (self._valid_iterator_id or 0) + 1
        self.reset()
        self._number_of_samples_yielded = 0
        samples = method(self)
        following = type(self).__next__ if samples is self else next
        while True:
            try:
                sample = following(samples)
            except StopIteration:
                return
            self._number_of_samples_yielded += 1
            yield sample
            if self._valid_iterator_id != own:
                raise RuntimeError(
                    "This iterator has been invalidated because another iterator has been created from the same "
                    f"IterDataPipe: {self!r}\nThis may be caused multiple references to the same IterDataPipe. We "
                    "recommend using `.fork()` if that is necessary."
                )

    return __iter__
