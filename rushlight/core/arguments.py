"""Arguments of the wrong kind: PyTorch's TypeError for a call that has failed.

Note [Kinds of arguments]
PyTorch binds arguments to typed signatures before it looks at a value, so a wrong kind is a TypeError whatever else is
wrong. Here composites are plain Python functions; checking each argument of each call would cost more than recording
an operator. So kinds are checked only after a call has failed: `refuse` compares the arguments with the names and
defaults of the parameters, and the first mismatch becomes the error. A call that succeeds pays nothing.
"""

from ..base.lazy import is_array, is_scalar
from . import dtype as dt
from . import signatures
from .tensor import Tensor

TENSORS = set("""input self tensor1 tensor2 mat1 mat2 batch1 batch2 vec vec1 vec2 mat weight bias target index src
    mask source boundaries sorted_sequence query key grid theta running_mean running_var A B LU LU_data
    LU_pivots pivots tau input1 input2 input3 x1 x2 anchor positive negative offsets per_sample_weights log_probs
    targets elements test_elements w_ih w_hh b_ih b_hh end_values prepend append template the_template
    condition""".split())
OPTIONAL = {"weight", "bias", "running_mean", "running_var"}  # tensors that may be None where they have no default
OPERANDS = {"other", "exponent", "q", "value"}  # tensors or numbers, and what an operator may take beside
DIMS = {"dim", "dim0", "dim1", "dims", "start_dim", "end_dim", "axis", "kernel_size", "stride", "padding", "dilation",
        "output_size", "size", "shifts", "normalized_shape", "source_dim"}
NUMBERS = {"alpha", "beta", "eps", "lambd", "negative_slope", "fill_value", "threshold"}
INTEGERS = {"k", "n", "start", "length", "steps", "num_samples", "sections", "groups", "num_classes", "upscale_factor",
            "downscale_factor", "num_groups", "offset", "diagonal", "correction"}


def is_integer(value):
    """Whether PyTorch takes a value as an int: tensors of one element are."""
    return isinstance(value, int) and not isinstance(value, bool) or isinstance(value, Tensor) or (
        is_scalar(value) and hasattr(value, "__index__"))


def is_integers(value):
    """An int, or a sequence of them. Strings are names: of dimensions, of paddings."""
    return is_integer(value) or isinstance(value, str) or (
        isinstance(value, (tuple, list)) and all(is_integer(v) or isinstance(v, str) for v in value))


def is_number(value):
    return dt.is_number(value) or isinstance(value, Tensor)


def is_flag(value):
    return isinstance(value, bool) or is_scalar(value)


def is_dtype(value):
    return isinstance(value, (dt.DType, type))


KINDS = {
    "Tensor": lambda value: isinstance(value, Tensor),
    "Tensor or Number": lambda value: is_number(value) or is_array(value),
    "tuple of ints": is_integers,
    "int": is_integer,
    "Number": is_number,
    "bool": is_flag,
    "torch.dtype": is_dtype,
}
HERE = {  # names that mean something else in single functions
    **{(function, name): "Number" for function in ("arange", "linspace", "logspace", "range")
       for name in ("start", "end", "step")},
    ("movedim", "source"): "tuple of ints", ("moveaxis", "source"): "tuple of ints", ("gradient", "spacing"): None,
}  # fmt: skip


def kind_of(function, name, default):
    """The kind that a parameter takes, from its name or else its default value; None where that does not say it."""
    if (function, name) in HERE:
        return HERE[function, name]
    for kind, names in (("Tensor", TENSORS), ("Tensor or Number", OPERANDS), ("tuple of ints", DIMS), ("int", INTEGERS),
                        ("Number", NUMBERS), ("torch.dtype", ("dtype",))):
        if name in names:
            # a default of another kind says that the name means something else here
            fits = default is signatures.REQUIRED or default is None or KINDS[kind](default)
            return kind if fits else None
    if isinstance(default, bool):
        return "bool"
    return "Number" if isinstance(default, (int, float)) else None


# Note [Spellings of arguments]
# PyTorch takes NumPy's names of parameters, Python's classes as dtypes, and `size=(2, 3)` for `*size`, in all its
# functions. Ours know one spelling; a call that fails is made again in it, if it was spelled otherwise. No function
# writes anything before it has bound its arguments, so that the second call starts from the same state.
ALIASES = {
    "axis": ("dim",), "x": ("input",), "a": ("input",), "x1": ("input",), "x2": ("other",), "keepdims": ("keepdim",),
    "self": ("input",), "axis0": ("dim0",), "axis1": ("dim1",), "sections": ("indices_or_sections",),
    "indices": ("indices_or_sections", "index"), "split_size": ("split_size_or_sections",),
    "split_size_or_sections": ("indices_or_sections",), "dimension": ("dim",), "value": ("other",),
    "divisor": ("other",), "dividend": ("input",), "y": ("other",), "tensor2": ("source", "other"),
    "tensor": ("other", "the_template", "source"), "batch2": ("mat2",), "values": ("input",), "input2": ("L", "tau"),
    "input3": ("other",), "shape": ("size",),
}  # a parameter's names elsewhere in PyTorch, its documentation and NumPy -> ours


def alias(name, params):
    """The parameter among `params` that is meant by another name of it, or None."""
    for other in ALIASES.get(name, ()):
        if other in params:
            return other
    return None


FIRST = frozenset(("input", "self", "A"))  # names of the first parameter
CLASSES = {float: dt.float64, int: dt.int64, bool: dt.bool_, complex: dt.complex128}
SEVERAL = frozenset(("size", "sizes", "shape", "dims", "repeats"))  # names of PyTorch for our *parameters


def respelled(function, args, kwargs):
    """(args, kwargs) of a failed call in the spelling that `function` knows; None if the spelling is the same."""
    params = signatures.names(function)
    given, found = kwargs, [CLASSES[v] if v.__class__ is type and v in CLASSES else v for v in args]
    kwargs = {}
    for name, value in given.items():
        other = alias(name, params)
        if name in FIRST and not args and params and params[0] not in given:
            other = params[0]
        if name not in params and other is not None and other not in given:
            name = other
        kwargs[name] = CLASSES[value] if value.__class__ is type and value in CLASSES else value
    star = signatures.star(function)
    spread = [name for name in kwargs if name in SEVERAL and name not in params] if star else ()
    if spread:
        value = kwargs.pop(spread[0])
        found += [kwargs.pop(name) for name in params[len(found):star - 1] if name in kwargs]
        found.append(value)
    if spread or kwargs.keys() != given.keys() or any([kwargs[k] is not given[k] for k in kwargs]) or any(
            [a is not b for a, b in zip(found, args)]):
        return found, kwargs
    return None


def refuse(function, args, kwargs, error):
    """Raise the TypeError of the first argument of a kind that `function` cannot take, if there is one. An argument
    without an attribute that the function looked for is such."""
    if isinstance(error, TypeError):
        return
    params = signatures.parameters(function)
    positional = [p[0] for p in params if p[3] is signatures.POSITIONAL]
    given = {**dict(zip(positional, args)), **kwargs}
    for position, (name, default, *_) in enumerate(params):
        value = given.get(name, default)
        if value is default or value is signatures.REQUIRED or value is None and (default is None or name in OPTIONAL):
            continue
        kind = kind_of(function.__name__, name, default)
        if kind is not None and not KINDS[kind](value):
            raise TypeError(f"{function.__name__}(): argument '{name}' (position {position + 1}) must be {kind}, not "
                            f"{type(value).__name__}") from None
    if isinstance(error, AttributeError):
        for value in (*args, *kwargs.values()):
            if error.obj is value or isinstance(value, (tuple, list)) and any(error.obj is v for v in value):
                raise TypeError(f"{function.__name__}() received an invalid combination of arguments: "
                                f"{type(error.obj).__name__} has no '{error.name}'") from None


def spelled_again(function, names, *args, **given):
    """Call a quick method whose caller has used other names for its parameters: `names`, what its own names do not
    take (Note [Spellings of arguments]). TypeError for names that mean nothing."""
    again = respelled(function, args, names)
    unknown = set(names if again is None else again[1]) - set(signatures.names(function))
    if unknown:
        raise TypeError(f"{function.__name__}() got an unexpected keyword argument '{unknown.pop()}'")
    return function(*again[0], **again[1], **given)


# Keywords whose kinds Python would not notice: a tensor is made all the same. The classes that pass at once, and the
# names of what PyTorch asks for.
CHECKED = {
    **dict.fromkeys(("requires_grad", "pin_memory", "keepdim", "non_blocking", "stable", "force"),
                    (frozenset((bool, type(None))), "bool", is_flag)),
    "dtype": (frozenset((dt.DType, type(None), type)), "torch.dtype", is_dtype),
    "memory_format": (frozenset((type(None),)), "torch.memory_format", lambda value: is_named(value, "MemoryFormat")),
    "layout": (frozenset((type(None),)), "torch.layout", lambda value: is_named(value, "Layout")),
}


def is_named(value, name):
    """Whether a value is of a class whose name ends so: classes of layers above."""
    return type(value).__name__.endswith(name)


def check_keywords(function, given):
    """TypeError for a keyword of the wrong kind, of those in CHECKED."""
    for name, value in given.items():
        found = CHECKED.get(name)
        if found is None or value.__class__ in found[0] or function.__name__ == "type":
            continue
        if not found[2](value):
            raise TypeError(f"{function.__name__}(): argument '{name}' must be {found[1]}, not "
                            f"{type(value).__name__}")


def needed(function, param, names):
    """`names`, in which the parameter that is missing may have another name. TypeError where there are none."""
    if not names:
        raise TypeError(f"{function}() missing 1 required positional arguments: \"{param}\"")
    return names
