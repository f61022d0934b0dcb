"""Python code of a graph: names for values and globals, one line a node, values dropped after their last use."""

import builtins
import enum
import keyword
import math
import operator
import re
import sys
import types
import typing
from collections import namedtuple
from itertools import chain

from .. import api as rl
from . import _pytree
from .node import Node, as_torch_text, qualified_name

__all__ = ["CodeGen", "PyTreeCodeGen", "PythonCode"]

ROOT_MODULE = rl.__package__
PyTreeInfo = namedtuple("PyTreeInfo", ["orig_args", "in_spec", "out_spec"])

MAGIC = {
    "eq": "{} == {}", "ne": "{} != {}", "lt": "{} < {}", "gt": "{} > {}", "le": "{} <= {}", "ge": "{} >= {}",
    "pos": "+{}", "neg": "-{}", "invert": "~{}", "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}",
    "floordiv": "{} // {}", "truediv": "{} / {}", "div": "{} / {}", "mod": "{} % {}", "pow": "{} ** {}",
    "lshift": "{} << {}", "rshift": "{} >> {}", "and_": "{} & {}", "or_": "{} | {}", "xor": "{} ^ {}",
    "getitem": "{}[{}]", "matmul": "{} @ {}",
}  # fmt: skip
REFLECTABLE = ("add", "sub", "mul", "floordiv", "truediv", "div", "mod", "pow", "lshift", "rshift", "and_", "or_",
               "xor", "matmul")
IN_PLACE = {
    "iadd": "{} += {}", "iand": "{} &= {}", "ifloordiv": "{} //= {}", "ilshift": "{} <<= {}", "imod": "{} %= {}",
    "imul": "{} *= {}", "imatmul": "{} @= {}", "ior": "{} |= {}", "ipow": "{} **= {}", "irshift": "{} >>= {}",
    "isub": "{} -= {}", "itruediv": "{} /= {}", "ixor": "{} ^= {}", "setitem": "{}[{}] = {}",
}  # fmt: skip


def torch_module():
    """The package that generated code calls torch."""
    return sys.modules[ROOT_MODULE]


def custom_builtins():
    """The names that generated code may use besides Python's own: {name: (import statement, object)}."""
    return {
        "inf": ("from math import inf", math.inf), "nan": ("from math import nan", math.nan),
        "NoneType": ("NoneType = type(None)", type(None)), "torch": (f"import {ROOT_MODULE} as torch", torch_module()),
        "device": (f"from {ROOT_MODULE} import device", rl.device),
        "fx_pytree": (f"import {ROOT_MODULE}.fx._pytree as fx_pytree", _pytree),
        "pytree": (f"import {ROOT_MODULE}.fx._pytree as pytree", _pytree),
    }


RESERVED = frozenset(("inf", "nan", "NoneType", "torch", "device", "fx_pytree", "pytree"))


class Namespace:
    """Unique names: for objects, and for values that are not objects."""

    def __init__(self):
        self.names, self.used, self.counts = {}, set(), {}

    def create_name(self, candidate, obj=None):
        """An unused name made from the candidate; an object that has one keeps it."""
        if obj is not None and id(obj) in self.names:
            return self.names[id(obj)][0]
        candidate = re.sub(r"[^0-9a-zA-Z_]+", "_", candidate) or "_unnamed"
        if candidate[0].isdigit():
            candidate = f"_{candidate}"
        match = re.fullmatch(r"(.*)_(\d+)", candidate)
        base, number = (candidate, None) if match is None else (match[1], int(match[2]))
        if number is None or candidate in self.used:
            number = max(self.counts.get(base, 0), number or 0)
        while candidate in self.used or self.is_illegal(candidate, obj):
            number += 1
            candidate = f"{base}_{number}"
        self.used.add(candidate)
        self.counts[base] = number
        if obj is not None:
            self.associate(candidate, obj)
        return candidate

    def associate(self, name, obj):
        """Note the name that an object has got."""
        self.names[id(obj)] = name, obj  # the object stays, so that its id is nobody else's
        self.used.add(name)

    def rename(self, obj, name):
        """Give an object another name, which must be unused."""
        before = self.names[id(obj)][0]
        self.associate(name, obj)
        self.used.discard(before)

    @staticmethod
    def is_illegal(name, obj):
        """Whether Python or the generated code uses the name for something else."""
        if keyword.iskeyword(name):
            return True
        if name in vars(builtins):
            return vars(builtins)[name] is not obj
        return name in RESERVED and (obj is None or custom_builtins()[name][1] is not obj)


class PythonCode:
    """Generated code: `src`, the `globals` it needs, and for each line the number of its node."""

    def __init__(self, src, globals, lineno_map=None, prologue_start=0):
        self.src, self.globals = src, globals
        self._lineno_map, self._prologue_start = lineno_map, prologue_start


def last_uses(nodes):
    """{node: the nodes whose values it is the last to use}."""
    seen, found = set(), {}
    for node in reversed(nodes):
        for used in node._input_nodes:
            if used not in seen:
                seen.add(used)
                found.setdefault(node, []).append(used)
    return found


def attribute_text(base, target):
    """The text of an attribute at a path; names that are not identifiers through getattr."""
    for part in target.split("."):
        base = f"{base}.{part}" if part.isidentifier() else f'getattr({base}, "{part}")'
    return base


class CodeGen:
    """How a graph becomes code. Subclasses change the signature, inputs or outputs."""

    def __init__(self):
        self._body_transformer = None
        self._func_name = "forward"

    def gen_fn_def(self, free_vars, maybe_return_annotation):
        """The line of the function, and what prepares its inputs."""
        if not free_vars or free_vars[0] != "self":
            free_vars = ["self", *free_vars]
        return f"def {self._func_name}({', '.join(free_vars)}){maybe_return_annotation}:"

    def generate_output(self, output_args, *, descs=None):
        """The return statement."""
        return f"return {output_args}"

    def process_inputs(self, *args):
        """The arguments of a call as values of the placeholders."""
        return args

    def process_outputs(self, outputs):
        """The value of the output node as the result of a call."""
        return outputs

    def additional_globals(self):
        """More names that the code uses: [(name, object)]."""
        return []

    def _gen_python_code(self, nodes, root_module, namespace, verbose=False):
        return _Writer(self, list(nodes), root_module, namespace, verbose).write()


class _Writer:
    """The code of one graph."""

    def __init__(self, codegen, nodes, root_module, namespace, verbose):
        self.codegen, self.nodes, self.root, self.namespace, self.verbose = codegen, nodes, root_module, namespace, \
            verbose
        self.free_vars, self.body, self.globals, self.wrapped = [], [], {}, {}
        self.returns = [""]
        self.last = last_uses(nodes)
        self.builtins = custom_builtins()

    def write(self):
        self.globals.update(self.codegen.additional_globals())  # under these very names
        lines = {}
        noted = not self.verbose
        for number, node in enumerate(self.nodes):
            if not noted and node.op not in ("placeholder", "output"):
                noted = True
                self.body.append("\n# No stacktrace found for following nodes\n" if self.body else
                                 "# No stacktrace found for following nodes\n")
            self.emit(node)
            self.delete_unused(node)
            lines[len(self.body)] = number
        if not self.body:
            self.body.append("pass\n")
        if self.codegen._body_transformer is not None:
            self.body = self.codegen._body_transformer(self.body)
        wraps = "\n".join(f'torch.fx._symbolic_trace.wrap("{name}")' for name in self.wrapped)
        head = self.codegen.gen_fn_def(self.free_vars, self.returns[0])
        body = "\n".join(f"    {line}" for line in "".join(self.body).split("\n"))
        if self.wrapped:
            self.add_global("torch", torch_module())
        return PythonCode(f"\n{wraps}\n\n{head}\n{body}", self.globals, lines)

    def add_global(self, hint, obj):
        """The name by which the code reaches an object."""
        if _is_torch(obj) and obj is not rl.device:
            self.globals["torch"] = torch_module()
            return qualified_name(obj)
        name = self.namespace.create_name(hint, obj)
        self.globals[name] = obj
        return name

    def text(self, value):
        """An argument as an expression."""
        if isinstance(value, Node):
            return repr(value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            name = self.add_global(qualified_name(type(value)).replace(".", "_"), type(value))
            return f"{name}({', '.join(self.text(v) for v in value)})"
        if type(value) is tuple:
            inner = ", ".join(self.text(v) for v in value)
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        if isinstance(value, list):
            return f"[{', '.join(self.text(v) for v in value)}]"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{self.text(k)}: {self.text(v)}' for k, v in value.items())}}}"
        if isinstance(value, slice):
            return f"slice({self.text(value.start)}, {self.text(value.stop)}, {self.text(value.step)})"
        if isinstance(value, enum.Enum):
            return f"{self.add_global(qualified_name(type(value)).replace('.', '_'), type(value))}.{value.name}"
        if isinstance(value, type) or isinstance(value, types.FunctionType):
            return self.type_text(value) if isinstance(value, type) else self.function_name(value)
        return self.constant(value)

    def constant(self, value):
        """A constant; names in its text become globals."""
        text = repr(value)
        for name in ("inf", "nan", "torch", "device"):
            if re.search(rf"\b{name}\b", text) and not isinstance(value, str):
                self.globals[name] = self.builtins[name][1]
        return text

    def type_text(self, kind):
        """A type in an annotation or argument."""
        if kind is type(None):
            return self.add_global("NoneType", kind)
        if isinstance(kind, type) and not isinstance(kind, types.GenericAlias):
            if kind.__module__ == "builtins":
                return kind.__name__
            return self.add_global(qualified_name(kind).replace(".", "_"), kind)
        if isinstance(kind, str):
            return kind
        text = as_torch_text(repr(kind))
        if "torch" in text:
            self.globals["torch"] = torch_module()
        if "typing." in text:
            self.globals["typing"] = typing
        return text

    def annotation(self, node):
        return "" if node.type is None else f" : {self.type_text(node.type)}"

    def function_name(self, target):
        """The name by which the code calls a function."""
        name = qualified_name(target)
        return self.add_global(name if _is_torch(target) else name.replace(".", "_"), target)

    def arguments(self, args, kwargs):
        return ", ".join(chain((self.text(a) for a in args), (f"{k} = {self.text(v)}" for k, v in kwargs.items())))

    def emit(self, node):
        """The statement of a node, without what follows it."""
        getattr(self, f"emit_{node.op}")(node)

    def emit_placeholder(self, node):
        default = "" if not node.args else f" = {self.text(node.args[0])}"
        self.free_vars.append(f"{node.target}{self.annotation(node)}{default}")
        raw = node.target.replace("*", "")
        if raw != repr(node):
            self.body.append(f"{node!r} = {raw}\n")

    def emit_get_attr(self, node):
        self.body.append(f"{node!r}{self.annotation(node)} = {attribute_text(self.root, node.target)}")

    def emit_call_method(self, node):
        first = self.text(node.args[0])
        self.body.append(f"{node!r}{self.annotation(node)} = {attribute_text(first, node.target)}"
                         f"({self.arguments(node.args[1:], node.kwargs)})")

    def emit_call_module(self, node):
        self.body.append(f"{node!r}{self.annotation(node)} = {attribute_text(self.root, node.target)}"
                         f"({self.arguments(node.args, node.kwargs)})")

    def emit_call_function(self, node):
        target, kind = node.target, self.annotation(node)
        if getattr(target, "__module__", None) == "_operator" and not node.kwargs:
            name, args = target.__name__, [self.text(a) for a in node.args]
            if name in MAGIC:
                self.body.append(f"{node!r}{kind} = {MAGIC[name].format(*args)}")
                return
            if name in IN_PLACE:
                self.body.append(f"{IN_PLACE[name].format(*args)};  {node!r}{kind} = {args[0]}")
                return
        name = self.function_name(target)
        if node.meta.get("is_wrapped"):
            self.wrapped.setdefault(name)
        if name == "getattr" and len(node.args) == 2 and isinstance(node.args[1], str) and node.args[1].isidentifier():
            self.body.append(f"{node!r}{kind} = {attribute_text(self.text(node.args[0]), node.args[1])}")
            return
        self.body.append(f"{node!r}{kind} = {name}({self.arguments(node.args, node.kwargs)})")

    def emit_output(self, node):
        if node.type is not None:
            self.returns[0] = f" -> {self.type_text(node.type)}"
        self.body.append(self.codegen.generate_output(self.text(node.args[0])))

    def delete_unused(self, node):
        """End the statement: drop the values that are not used from here on."""
        if node.op == "placeholder":
            return
        if node.op == "output":
            self.body.append("\n")
            return
        done = list(self.last.get(node, ()))
        if not node.users:
            done.append(node)
        self.body.append(f";  {' = '.join([repr(n) for n in done] + ['None'])}\n" if done else "\n")


def _is_torch(obj):
    """Whether an object is reached as an attribute of the package."""
    if isinstance(obj, types.ModuleType):
        return False
    module = getattr(obj, "__module__", None)
    if not isinstance(module, str) or not (module == ROOT_MODULE or module.startswith(f"{ROOT_MODULE}.")):
        return False
    try:
        path = qualified_name(obj).split(".")[1:]
    except (AttributeError, RuntimeError):
        return False
    found = torch_module()
    for part in path:
        found = getattr(found, part, None)
    return found is obj


class PyTreeCodeGen(CodeGen):
    """Code whose inputs and outputs are nested: they are flattened first and put together at the end."""

    def __init__(self, pytree_info):
        super().__init__()
        self.pytree_info = pytree_info

    def process_inputs(self, *args):
        return _pytree.tree_flatten(args)[0]

    def process_outputs(self, outputs):
        if self.pytree_info is None or self.pytree_info.out_spec is None:
            return outputs
        return _pytree.tree_unflatten(outputs if isinstance(outputs, (list, tuple)) else [outputs],
                                      self.pytree_info.out_spec)

    def gen_fn_def(self, free_vars, maybe_return_annotation):
        names = self.pytree_info.orig_args
        head = super().gen_fn_def(list(names), maybe_return_annotation)
        if not free_vars:
            return head
        plain = [name.split(":")[0].split("=")[0].strip() for name in free_vars]
        inputs = ", ".join(n for n in names if n != "self")
        return f"{head}\n    {', '.join(plain)}, = fx_pytree.tree_flatten_spec([{inputs}], self._in_spec)"

    def generate_output(self, output_args, *, descs=None):
        if self.pytree_info.out_spec is None:
            return super().generate_output(output_args)
        return f"return pytree.tree_unflatten({output_args}, self._out_spec)"

    def additional_globals(self):
        return [("fx_pytree", _pytree), ("pytree", _pytree)]


OPERATORS = {name: getattr(operator, name) for name in MAGIC if hasattr(operator, name)}
