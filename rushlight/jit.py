"""`torch.jit`: scripted and traced programs run as the Python functions that they are.

Rushlight compiles what runs, so that scripting adds nothing; what programs look for is there: wrappers with the state
of the module, `save` and `load`. A saved program is a graph (`fx.symbolic_trace`) with its parameters, in a file of
Rushlight's own; a program whose path depends on data cannot be saved and says so. TorchScript archives are not read.
"""

import contextlib
import functools
import inspect
import typing
from collections import namedtuple
from typing import Final  # noqa: F401

from . import fx as _fx
from .core.tensor import Tensor
from .futures import Future
from .nn import Module
from .serialization import load as _load
from .serialization import save as _save

Attribute = namedtuple("Attribute", ["value", "type"])
FORMAT = "rushlight program"


class Error(RuntimeError):
    """An error of a scripted program."""


class TracerWarning(Warning):
    """A trace may not be the whole program."""


class ScriptWarning(Warning):
    """A script may not be the whole program."""


class TracingCheckError(Exception):
    """A traced program gave other results than its function."""


class ScriptFunction:
    """A function under `script` or `trace`."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.original, self.name, self.qualified_name = function, function.__name__, function.__qualname__

    def __call__(self, *args, **kwargs):
        return self.original(*args, **kwargs)

    @property
    def code(self):
        """The text of the function."""
        return _source(self.original)

    @property
    def graph(self):
        """The graph of the function. NotImplementedError for one that depends on data."""
        return program_of(self).graph

    def save(self, f, _extra_files=None):
        """`torch.jit.save`."""
        save(self, f, _extra_files)


class ScriptModule(Module):
    """A module under `script` or `trace`; subclasses mark methods with `script_method`."""

    _original_name = None

    @property
    def original_name(self):
        """The name of the module's class."""
        return self._original_name or type(self).__name__

    @property
    def code(self):
        """The text of `forward`."""
        return _source(type(self).forward)

    @property
    def graph(self):
        """The graph of `forward`. NotImplementedError for one that depends on data."""
        return program_of(self).graph

    inlined_graph = graph

    def save(self, f, _extra_files=None):
        """`torch.jit.save`."""
        save(self, f, _extra_files)

    def _get_name(self):
        return type(self).__name__ if self._original_name is None else self._wrapper_name

    def extra_repr(self):
        return f"original_name={self.original_name}"

    _wrapper_name = "RecursiveScriptModule"


class RecursiveScriptModule(ScriptModule):
    """What `script` makes of a module: of its class as well, with its state."""


class TracedModule(ScriptModule):
    """What `trace` makes of a module: of its class as well, with its state."""

    _wrapper_name = "TracedModule"


TopLevelTracedModule = TracedModule
_KINDS = {}


def _wrapped(module, base):
    """The module as an instance of its class and of `base`, over the same parameters and buffers."""
    if isinstance(module, ScriptModule):
        return module
    key = (type(module), base)
    if key not in _KINDS:
        _KINDS[key] = type(base.__name__, (base, type(module)), {"_original_name": type(module).__name__,
                                                                 "__module__": __name__})
    made = object.__new__(_KINDS[key])
    state = dict(module.__dict__)
    state["_modules"] = {name: None if child is None else _wrapped(child, base)
                         for name, child in module._modules.items()}
    made.__dict__.update(state)
    made.__dict__["_unwrapped"] = (module,)  # in a tuple, which no module looks into
    return made


def script(obj, optimize=None, _frames_up=0, _rcb=None, example_inputs=None):
    """A module, function or class as a program. Python runs it as before."""
    if isinstance(obj, (ScriptFunction, ScriptModule)):
        return obj
    if isinstance(obj, Module):
        return _wrapped(obj, RecursiveScriptModule)
    if inspect.isclass(obj):
        return obj
    if not callable(obj):
        raise RuntimeError(f"torch.jit.script: expected a module, a function or a class, got {type(obj).__name__}")
    return ScriptFunction(obj)


def trace(func=None, example_inputs=None, optimize=None, check_trace=True, check_inputs=None, check_tolerance=1e-5,
          strict=True, _force_outplace=False, _module_class=None, _compilation_unit=None, example_kwarg_inputs=None,
          _store_inputs=True):
    """A module or function as a program; it runs once, on the example inputs."""
    if func is None:
        return functools.partial(trace, example_inputs=example_inputs, check_trace=check_trace)
    if isinstance(func, (ScriptFunction, ScriptModule)):
        return func
    kwargs = example_kwarg_inputs or {}
    args = () if example_inputs is None else example_inputs if isinstance(example_inputs, tuple) else (
        tuple(example_inputs) if isinstance(example_inputs, list) else (example_inputs,))
    if args and not all([isinstance(a, (Tensor, tuple, list, dict)) for a in args]):
        raise RuntimeError("Type 'Tuple' cannot be traced. Only Tensors and (possibly nested) Lists, Dicts, and Tuples "
                           "of Tensors can be traced")
    func(*args, **kwargs)
    return _wrapped(func, TracedModule) if isinstance(func, Module) else ScriptFunction(func)


def trace_module(mod, inputs, optimize=None, check_trace=True, check_inputs=None, check_tolerance=1e-5, strict=True,
                 _force_outplace=False, _module_class=None, _compilation_unit=None, example_inputs_is_kwarg=False,
                 _store_inputs=True):
    """`trace` of several methods: {name of a method: its example inputs}."""
    for name, args in inputs.items():
        getattr(mod, name)(*(args if isinstance(args, tuple) else (args,)))
    return _wrapped(mod, TracedModule)


def _source(function):
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return f"# {function!r}: its text is not at hand\n"


def program_of(program):
    """The GraphModule of a scripted or traced program. NotImplementedError where its path depends on data."""
    original = program.original if isinstance(program, ScriptFunction) else program.__dict__.get(
        "_unwrapped", (program,))[0]
    try:
        found = _fx.symbolic_trace(original)
    except Exception as error:
        raise NotImplementedError(f"torch.jit: {original!r:.80} cannot be written as a graph in rushlight: "
                                  f"{error}") from error
    if isinstance(original, Module):
        found.train(program.training)
    return found


def save(m, f, _extra_files=None):
    """Write a program as a file, with texts in `_extra_files` beside it; `load` reads it."""
    if not isinstance(m, (ScriptFunction, ScriptModule)):
        raise ValueError(f"torch.jit.save: expected what torch.jit.script or torch.jit.trace gave, got "
                         f"{type(m).__name__}")
    name = m.name if isinstance(m, ScriptFunction) else m.original_name
    _save({"format": FORMAT, "name": name, "function": isinstance(m, ScriptFunction), "program": program_of(m),
           "files": dict(_extra_files or {})}, f)


def load(f, map_location=None, _extra_files=None, _restore_shapes=False):
    """A program that `save` wrote. RuntimeError for other files; NotImplementedError for TorchScript archives."""
    found = _load(f, map_location=map_location, weights_only=False)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise RuntimeError("torch.jit.load: not a program that torch.jit.save of rushlight wrote")
    for name in _extra_files or ():
        if name in found["files"]:
            _extra_files[name] = found["files"][name]
    if found["function"]:
        program = found["program"]

        def function(*args, **kwargs):
            return program(*args, **kwargs)
        function.__name__ = function.__qualname__ = found["name"]
        made = ScriptFunction(function)
        made.original = program
        return made
    made = _wrapped(found["program"], RecursiveScriptModule)
    made._original_name = found["name"]
    return made


def freeze(mod, preserved_attrs=None, optimize_numerics=True):
    """A program in evaluation mode, as it is: parameters are constants to the compiler anyway. RuntimeError for one
    in training mode."""
    if not isinstance(mod, ScriptModule):
        raise RuntimeError("Freezing expects a ScriptModule as input. Please use torch.jit.script or torch.jit.trace "
                           "to script your 'nn.Module'.")
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode. Please call .eval() on "
                           "your module before freezing.")
    return mod


def optimize_for_inference(mod, other_methods=None):
    """The program as it is: it is optimized when it runs."""
    return mod


run_frozen_optimizations = optimize_for_inference


def _as_it_is(function=None, **options):
    """Decorator that leaves a function as it is."""
    return (lambda found: found) if function is None or not callable(function) else function


ignore = unused = export = interface = script_method = script_if_tracing = _as_it_is


def annotate(the_type, the_value):
    """The value."""
    return the_value


def is_scripting():
    """False: Python runs."""
    return False


def is_tracing():
    """False: Python runs."""
    return False


def isinstance_(obj, target_type):
    """Whether a value is of a type, which may be a generic of `typing`."""
    if typing.get_origin(target_type) is typing.Union:
        return any([isinstance_(obj, kind) for kind in typing.get_args(target_type)])
    if __builtin_isinstance(target_type, (tuple, list)):
        return any([isinstance_(obj, kind) for kind in target_type])
    origin, inner = typing.get_origin(target_type) or target_type, typing.get_args(target_type)
    if not __builtin_isinstance(obj, origin):
        return False
    if not inner:
        return True
    if origin is dict:
        return all([isinstance_(k, inner[0]) and isinstance_(v, inner[1]) for k, v in obj.items()])
    if origin is tuple and inner[-1] is not Ellipsis:
        return len(obj) == len(inner) and all([isinstance_(v, kind) for v, kind in zip(obj, inner)])
    return all([isinstance_(v, inner[0]) for v in obj])


__builtin_isinstance = isinstance


def fork(func, *args, **kwargs):
    """A Future of a call, which runs at once."""
    future = Future()
    future.set_result(func(*args, **kwargs))
    return future


def wait(future):
    """The result of a Future."""
    return future.wait()


def set_fusion_strategy(strategy):
    """Accepted: fusing is the compiler's work. []"""
    return []


def enable_onednn_fusion(enabled):
    """Accepted: there is no oneDNN."""


def onednn_fusion_enabled():
    """False."""
    return False


@contextlib.contextmanager
def optimized_execution(should_optimize):
    """A context in which nothing changes."""
    yield


@contextlib.contextmanager
def fuser(name):
    """A context in which nothing changes."""
    yield


class strict_fusion:
    """A context in which nothing changes."""

    def __enter__(self):
        return None

    def __exit__(self, *error):
        return None


def _refused(name):
    def call(*args, **kwargs):
        raise NotImplementedError(f"torch.jit.{name} is not implemented in rushlight: there is no TorchScript")
    call.__name__ = call.__qualname__ = name
    return call


CompilationUnit, last_executed_optimized_graph, export_opnames = map(_refused, (
    "CompilationUnit", "last_executed_optimized_graph", "export_opnames"))
save_jit_module_to_flatbuffer, jit_module_from_flatbuffer = map(_refused, (
    "save_jit_module_to_flatbuffer", "jit_module_from_flatbuffer"))
isinstance = isinstance_  # noqa: A001  (the last line: above it is Python's)
