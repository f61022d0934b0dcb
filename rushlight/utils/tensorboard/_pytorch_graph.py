"""A model as TensorBoard's graph: the hierarchy of modules as nested scopes, operators with shapes inside them.

A module and its arguments come in; a `GraphDef` and run metadata go out. Both are read from one recorded forward pass
(../module_trace.py).
"""
import inspect

from ..module_trace import trace
from .protos import AttrValue, DeviceStepStats, GraphDef, NodeDef, RunMetadata, StepStats, TensorShapeProto, VersionDef


def graph(model, args, verbose=False, use_strict_trace=True):
    """The `GraphDef` of a model's forward pass on `args` (a tuple, or one argument), and its `RunMetadata`.

    Args:
        model: the module. It runs once, in evaluation mode and without gradients.
        args: the arguments of its forward.
        verbose: print the nodes.
        use_strict_trace: accepted; lists and dictionaries are followed either way.
    """
    found = trace(model, args if isinstance(args, tuple) else (args,))
    nodes = _Nodes(model, found).nodes
    if verbose:
        for node in nodes:
            print(f"{node.name} = {node.op}({', '.join(node.input)})")
    stats = RunMetadata(step_stats=StepStats(dev_stats=[DeviceStepStats(device="/device:CPU:0")]))
    return GraphDef(node=nodes, versions=VersionDef(producer=22)), stats


class _Nodes:
    """Builds the nodes. `makers` maps a storage to the node that wrote it last."""

    def __init__(self, model, found):
        self.nodes, self.makers, self.used, self.root = [], {}, set(), type(model).__name__
        self.owners = {f"{name}.{own}".lstrip("."): (name, own) for name, module in model.named_modules()
                       for own in (*module._parameters, *module._buffers)}
        self.modules, self.constants = dict(model.named_modules()), found.constants
        names = _argument_names(model, len(found.inputs))
        for name, tensor in zip(names, found.inputs):
            self.makers[id(tensor._storage)] = self.add(f"input/{name}", "IO Node", [], tensor.shape)
        for operator in found.operators:
            self.operator(operator)
        for index, tensor in enumerate(found.outputs, 1):
            maker = self.makers.get(id(tensor._storage))
            self.add(f"output/output.{index}", "IO Node", [maker] if maker else [], tensor.shape)

    def add(self, name, op, inputs, shape, attributes=""):
        """Append a node under a name that no other has; the name."""
        unique, count = name, 1
        while unique in self.used:
            count += 1
            unique = f"{name}_{count}"
        self.used.add(unique)
        sizes = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape])
        attr = {"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=[sizes]))}
        if attributes:
            attr["attr"] = AttrValue(s=attributes.replace("'", " ").encode())
        self.nodes.append(NodeDef(name=unique, op=op, input=inputs, attr=attr))
        return unique

    def scope(self, name):
        """The path of a module: "Net/Sequential[features]/Conv2d[0]"."""
        parts, path = [self.root], ""
        for part in filter(None, name.split(".")):
            path = f"{path}.{part}".lstrip(".")
            parts.append(f"{type(self.modules[path]).__name__}[{part}]")
        return "/".join(parts)

    def operator(self, operator):
        """A node for an operator; parameters become nodes where they are first read."""
        scope, inputs = self.scope(operator.call.name), []
        for storage, (_, layout, _) in zip(operator.sources, operator.instruction.ins):
            maker = self.makers.get(id(storage))
            if maker is None and id(storage) in self.constants:
                module, own = self.owners[self.constants[id(storage)]]
                maker = self.add(f"{self.scope(module)}/{own}", "Parameter", [], layout.shape)
                self.makers[id(storage)] = maker
            if maker is not None and maker not in inputs:
                inputs.append(maker)
        name = self.add(f"{scope}/{operator.name}", f"rushlight::{operator.name}", inputs,
                        operator.shapes[0] if operator.shapes else (), _attributes(operator.instruction.attrs))
        for storage in operator.results:
            self.makers[id(storage)] = name


def _attributes(attrs):
    """The static attributes of an instruction as text: "stride=(1, 1), padding=(0, 0)"."""
    if not isinstance(attrs, tuple):  # a macro's form describes itself
        return repr(attrs)
    return ", ".join("{}={}".format(*pair) for pair in attrs if pair[0] != "out")


def _argument_names(model, count):
    """Names for the tensors among the arguments: those of forward's parameters where each takes one tensor."""
    try:
        names = list(inspect.signature(model.forward).parameters)
    except (TypeError, ValueError):
        names = []
    return names[:count] if len(names) >= count else [f"input.{index}" for index in range(1, count + 1)]
