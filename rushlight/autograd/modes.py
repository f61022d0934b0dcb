"""Modes of gradient recording, as context managers and decorators."""

import functools
import inspect
from threading import get_ident

from ..core.graph import MODE
from ..core.storage import INFERRING
from ..core.stream import STREAM


class _GradMode:
    """A context manager that sets whether gradients are recorded; also a decorator (of functions and generators)."""

    enabled = False

    def __enter__(self):
        self.before = MODE.grad
        MODE.grad = self.enabled and not MODE.inference  # in inference mode nothing has a history

    def __exit__(self, *error):
        MODE.grad = self.before

    def clone(self):
        return type(self)()

    def __call__(self, function):
        if inspect.isgeneratorfunction(function):
            return self._generator(function)
        if inspect.isclass(function):
            function.__init__ = self(function.__init__)
            return function

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with self.clone():
                return function(*args, **kwargs)
        return wrapper

    def _generator(self, function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            generator = function(*args, **kwargs)
            value = None
            while True:
                with self.clone():
                    try:
                        item = generator.send(value)
                    except StopIteration as stop:
                        return stop.value
                value = yield item
        return wrapper


class no_grad(_GradMode):
    """Do not record gradients. `@torch.no_grad` without parentheses works too."""

    def __new__(cls, orig_func=None):
        if orig_func is None:
            return super().__new__(cls)
        return cls()(orig_func)


class enable_grad(_GradMode):
    """Record gradients, also inside `no_grad`."""

    enabled = True

    def __new__(cls, orig_func=None):
        if orig_func is None:
            return super().__new__(cls)
        return cls()(orig_func)


class set_grad_enabled(_GradMode):
    """Set the recording of gradients at once; as a context manager restores it at the end."""

    def __init__(self, mode):
        self.before = MODE.grad
        self.enabled = bool(mode)
        self.__enter__()

    def __enter__(self):
        MODE.grad = self.enabled and not MODE.inference

    def __call__(self, function):
        MODE.grad = self.before
        return super().__call__(function)

    def clone(self):
        return type(self)(self.enabled)


class inference_mode(_GradMode):
    """As `no_grad`, and what is made inside never takes part in a graph: see Note [Inference tensors] in
    core/storage.py. `inference_mode(False)` is ordinary recording, also inside the mode."""

    def __new__(cls, mode=True):
        if callable(mode):
            return cls()(mode)
        return super().__new__(cls)

    def __init__(self, mode=True):
        self.mode = mode

    def __enter__(self):
        self.before = MODE.grad, MODE.inference
        switch_inference(not self.mode, bool(self.mode))

    def __exit__(self, *error):
        switch_inference(*self.before)

    def clone(self):
        return type(self)(self.mode)


def switch_inference(grad, inference):
    """Set whether this thread records gradients and whether it is in inference mode."""
    MODE.grad, MODE.inference = grad, inference
    (INFERRING.add if inference else INFERRING.discard)(get_ident())
    STREAM.inferring = bool(INFERRING)


def is_grad_enabled():
    """Whether gradients are recorded in this thread."""
    return MODE.grad


def is_inference_mode_enabled():
    """Whether `inference_mode` is on in this thread."""
    return MODE.inference


class _Accepted:
    """A mode that means nothing here: keeps what it was set to."""

    def __init__(self, mode):
        self.before, type(self).state = type(self).state, bool(mode)

    def __enter__(self):
        return None

    def __exit__(self, *error):
        type(self).state = self.before

    def clone(self):
        """A new object that sets the same."""
        return type(self)(self.state)


class set_multithreading_enabled(_Accepted):
    """Accepted: backward records its operators in the calling thread."""

    state = True


class enforce_grad_layout_policy(_Accepted):
    """Accepted: gradients always get the strides of their leaf."""

    state = True

    def __init__(self, enable=True):
        super().__init__(enable)


def is_multithreading_enabled():
    """What `set_multithreading_enabled` was set to."""
    return set_multithreading_enabled.state


def is_view_replay_enabled():
    """False: stale views take an as_strided node."""
    return False
