"""`torch.export`: a module as a graph that stands by itself.

The graph is that of `fx.symbolic_trace`: modules without children are single nodes, sizes stay what the inputs have.
A module whose path depends on data cannot be exported and says so.
"""

from . import fx as _fx
from .nn import Module
from .serialization import load as _load
from .serialization import save as _save

__all__ = ["Dim", "ExportedProgram", "dims", "export", "load", "save"]
FORMAT = "rushlight exported program"


class Dim:
    """A size that may differ from the example's: `Dim("batch", min=1, max=64)`. Every size may, so that this is a
    name."""

    AUTO, STATIC, DYNAMIC = "AUTO", "STATIC", "DYNAMIC"

    def __init__(self, name, *, min=None, max=None):
        if not name.isidentifier():
            raise AssertionError(f"Dim name must be a valid identifier, got {name}")
        self.__name__, self.min, self.max = name, 0 if min is None else min, max
        if max is not None and max <= self.min:
            raise AssertionError(f"Cannot create Dim with inconsistent min={min}, max={max}")

    def __repr__(self):
        return f"Dim('{self.__name__}', min={self.min})"


def dims(*names, min=None, max=None):
    """A Dim for each name."""
    return tuple([Dim(name, min=min, max=max) for name in names])


class ExportedProgram:
    """What `export` gives: `module()` runs; `graph`, `graph_module`, `state_dict`, `example_inputs` show."""

    def __init__(self, graph_module, example_inputs):
        self.graph_module, self.example_inputs = graph_module, example_inputs

    @property
    def graph(self):
        return self.graph_module.graph

    @property
    def state_dict(self):
        return self.graph_module.state_dict()

    def module(self, check_guards=True):
        """The program as a module."""
        return self.graph_module

    def parameters(self):
        """The parameters."""
        return self.graph_module.parameters()

    def named_parameters(self):
        """The parameters with their names."""
        return self.graph_module.named_parameters()

    def buffers(self):
        """The buffers."""
        return self.graph_module.buffers()

    def named_buffers(self):
        """The buffers with their names."""
        return self.graph_module.named_buffers()

    def run_decompositions(self, decomp_table=None):
        """The program itself: its nodes are PyTorch's public operators."""
        return self

    def __call__(self, *args, **kwargs):
        raise RuntimeError("Unable to call ExportedProgram directly. You should use `exported_program.module()` "
                           "instead.")

    def __str__(self):
        return f"ExportedProgram:\n{self.graph_module.code}"


def export(mod, args, kwargs=None, *, dynamic_shapes=None, strict=False, preserve_module_call_signature=(),
           prefer_deferred_runtime_asserts_over_guards=False):
    """The module as a graph; it runs once on the example inputs. NotImplementedError where its path depends on data."""
    if not isinstance(mod, Module):
        raise ValueError(f"Expected `mod` to be an instance of `torch.nn.Module`, got {type(mod)}.")
    if not isinstance(args, tuple):
        raise TypeError(f"Expecting `args` to be a tuple of example positional inputs, got {type(args)}")
    mod(*args, **(kwargs or {}))
    try:
        traced = _fx.symbolic_trace(mod)
    except Exception as error:
        raise NotImplementedError(f"torch.export: {type(mod).__name__} cannot be written as a graph in rushlight: "
                                  f"{error}") from error
    traced.train(mod.training)
    return ExportedProgram(traced, (args, kwargs or {}))


def save(ep, f, *, extra_files=None, opset_version=None, pickle_protocol=2):
    """Write an exported program as a file."""
    if not isinstance(ep, ExportedProgram):
        raise TypeError(f"The 'ep' parameter must be an instance of 'ExportedProgram', got '{type(ep).__name__}' "
                        "instead.")
    _save({"format": FORMAT, "module": ep.graph_module, "inputs": ep.example_inputs, "files": extra_files or {}}, f)


def load(f, *, extra_files=None, expected_opset_version=None):
    """An exported program that `save` wrote. RuntimeError for other files."""
    found = _load(f, weights_only=False)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise RuntimeError("torch.export.load: not a program that torch.export.save of rushlight wrote")
    for name in extra_files or ():
        extra_files[name] = found["files"].get(name, "")
    return ExportedProgram(found["module"], found["inputs"])
