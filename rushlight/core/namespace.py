"""Namespaces from the registry: `fill(globals(), "nn.functional")` gives a module the operators registered under that
path, `publish_tensor` completes the class of tensors. What is published passes the door of `core/dispatch.py`."""

import types

from . import dispatch
from .arguments import check_keywords, refuse, respelled
from .declare import REGISTRY
from .tensor import Tensor

ROOT = __name__.partition(".")[0]  # the package whose functions these are
# Functions of PyTorch that are written in Python pass their arguments to handlers by keyword; all others as they come.
BUILT_IN = frozenset("""
    adaptive_avg_pool1d avg_pool1d avg_pool2d avg_pool3d bilinear celu_ channel_shuffle conv1d conv2d conv3d conv_tbc
    conv_transpose1d conv_transpose2d conv_transpose3d cosine_similarity elu_ gelu hardshrink hardtanh_ leaky_relu_
    linear logsigmoid native_channel_shuffle one_hot pairwise_distance pdist pixel_shuffle pixel_unshuffle prelu relu_
    rrelu_ scaled_dot_product_attention selu_ softplus softshrink threshold_
""".split())
NATIVE = frozenset("""
    avg_pool2d avg_pool3d elu_ gelu hardtanh_ leaky_relu_ linear logsigmoid one_hot scaled_dot_product_attention
    softplus softshrink
""".split())
IN_PYTHON = frozenset("""
    cdist norm split stft tensordot unique unique_consecutive Tensor.norm Tensor.split Tensor.stft Tensor.unique
    Tensor.unique_consecutive Tensor.backward Tensor.istft Tensor.__repr__ Tensor.__array__ lobpcg
    pca_lowrank svd_lowrank
""".split())
# The functions of torch that PyTorch has in torch.functional: so traced programs call them.
FUNCTIONAL = frozenset("""
    atleast_1d atleast_2d atleast_3d block_diag broadcast_shapes broadcast_tensors cartesian_prod cdist chain_matmul
    einsum lu meshgrid norm split stft tensordot unique unique_consecutive unravel_index
""".split())
# What handlers see for Python's operators: the named method, if there is one.
SEEN_AS = {
    "__add__": "add", "__radd__": "add", "__iadd__": "add_", "__sub__": "sub", "__isub__": "sub_", "__mul__": "mul",
    "__rmul__": "mul", "__imul__": "mul_", "__truediv__": "div", "__itruediv__": "div_", "__rdiv__": "__rtruediv__",
    "__ifloordiv__": "floor_divide_", "__mod__": "remainder", "__imod__": "remainder_", "__matmul__": "matmul",
    "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge", "__ne__": "ne", "__rand__": "bitwise_and",
    "__ror__": "bitwise_or", "__rxor__": "bitwise_xor", "__neg__": "neg", "__pos__": "positive", "__abs__": "abs",
    "__str__": "__repr__",
}  # fmt: skip
# Python's operators that say NotImplemented about operands they do not know.
REFUSING = frozenset([f"__{prefix}{name}__" for prefix in ("", "r", "i") for name in (
    "add", "sub", "mul", "truediv", "div", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift"
)] + ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"])
# Methods that handlers never see: they make tensors of other classes, or belong to Python.
HIDDEN = frozenset("as_subclass __hash__ __iter__ __new__ __init_subclass__ __torch_function__ __setstate__".split())
# Functions that concern the process and no tensor.
UNSEEN = frozenset("manual_seed seed initial_seed get_rng_state set_rng_state get_default_dtype fork_rng".split())
SHOWN = frozenset(("_version", "_is_view", "_accumulate_grad"))


def fill(target, path):
    """Enter every registered operator `path.name` (path "": names without a dot) into the dictionary `target`; the
    names entered."""
    prefix = f"{path}." if path else ""
    names = []
    for name, function in REGISTRY.items():
        if name.startswith(prefix) and "." not in name[len(prefix):]:
            names.append(name[len(prefix):])
            target[names[-1]] = publish(name, function)
    return names


def publish(path, function):
    """The public copy of a function; of one that is published already, the copy made then."""
    if path.rpartition(".")[2] in UNSEEN:
        return function
    known = dispatch.ENTRIES.get(path)
    if known is not None:
        return known.copy
    if isinstance(function, types.FunctionType) and "entry" not in function.__code__.co_freevars:
        function = dispatch.guard(function, refuse, respelled, check_keywords)
    parent, _, name = path.rpartition(".")
    module = f"{ROOT}.{parent}" if parent else ROOT
    if path in FUNCTIONAL:
        module += ".functional"
    elif parent == "nn.functional" and name in BUILT_IN:
        if name in REGISTRY and name not in NATIVE:
            return publish(name, REGISTRY[name])  # the same function as in torch
        module = f"{ROOT}._C._nn"
    made = dispatch.publish(path, function, module)
    if path in IN_PYTHON or (parent == "nn.functional" and name not in BUILT_IN):
        in_python(path)
    return made


def in_python(path):
    """Handlers see the arguments of this function by keyword."""
    if path in dispatch.ENTRIES:
        entry = dispatch.ENTRIES[path]
        entry.order = dispatch.by_keyword(entry.copy)


def publish_tensor():
    """Publish the methods and properties of Tensor, once all of them are there."""
    for name in REFUSING:
        if name in vars(Tensor):
            function = vars(Tensor)[name]
            function = getattr(function, "fast", None) or function
            setattr(Tensor, name, dispatch.operator_form(f"Tensor.{name}", function))
    for name in ("__neg__", "__invert__", "__abs__"):
        function = vars(Tensor)[name]
        setattr(Tensor, name, getattr(function, "fast", None) or function)
    private = {n for n in vars(Tensor) if n.startswith("_") and not n.endswith("__") and n not in SHOWN}
    dispatch.publish_class(Tensor, HIDDEN | private, SEEN_AS)
    for path in IN_PYTHON:
        in_python(path)
    dispatch.UNWRAPPED.add(Tensor.grad.__get__)


def missing(module, name):
    """The AttributeError of a name that does not exist (yet)."""
    return AttributeError(f"module '{module}' has no attribute '{name}'")
