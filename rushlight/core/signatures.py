"""Signatures of plain Python functions read off their code objects: ten times cheaper than `inspect.signature`, which
the declaration of a thousand operators at import would feel. Functions with *args or **kwargs are fine; callables of
other kinds go through `inspect`."""

import inspect
import types

REQUIRED = inspect.Parameter.empty
POSITIONAL, KEYWORD = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY


class Shown(inspect.Signature):
    """The signature that a public function shows: worked out when somebody looks at it, from that of the function
    inside, which the package itself goes by."""

    __slots__ = ("function", "first", "out", "renamed")

    def __init__(self, function, first=None, out=None, renamed=None):
        """`first`: the name that the first parameter shows instead of its own. `out`: whether there is an `out`; None
        leaves that as it is. `renamed`: names of parameters and what they show instead."""
        self.function, self.first, self.out, self.renamed = function, first, out, renamed or {}

    def __getattr__(self, name):
        if name not in ("_parameters", "_return_annotation"):
            raise AttributeError(name)
        found = inspect.signature(self.function)
        shown = [p for p in found.parameters.values() if p.name != "spelled"]  # see Note [Spellings of arguments]
        if self.out is not None:
            shown = [p for p in shown if p.name != "out"]
        if self.first is not None and shown and shown[0].kind is POSITIONAL:
            shown[0] = shown[0].replace(name=self.first)
        shown = [p.replace(name=self.renamed.get(p.name, p.name)) for p in shown]
        if self.out:
            at = len(shown) - (bool(shown) and shown[-1].kind is inspect.Parameter.VAR_KEYWORD)
            shown.insert(at, inspect.Parameter("out", KEYWORD, default=None))
        self._parameters = types.MappingProxyType({p.name: p for p in shown})
        self._return_annotation = found.return_annotation
        return getattr(self, name)


# Parameters that PyTorch's documentation calls by other names than its functions in general; both are taken.
DOCUMENTED = {
    **dict.fromkeys((f"Tensor.{name}{end}" for name in ("mul", "multiply", "div", "divide", "true_divide",
                                                       "floor_divide") for end in ("", "_")), {"other": "value"}),
    **dict.fromkeys((f"Tensor.{name}{end}" for name in ("fmod", "remainder") for end in ("", "_")),
                    {"other": "divisor"}),
    **dict.fromkeys((f"Tensor.{name}" for name in ("hsplit", "vsplit", "dsplit")),
                    {"indices_or_sections": "split_size_or_sections"}),
    **dict.fromkeys(("Tensor.split", "Tensor.unsafe_split"), {"split_size_or_sections": "split_size"}),
    **dict.fromkeys(("Tensor.narrow", "Tensor.narrow_copy"), {"dim": "dimension"}),
    **dict.fromkeys(("Tensor.type_as", "Tensor.is_set_to"), {"other": "tensor"}),
    "Tensor.matmul": {"other": "tensor2"}, "Tensor.bmm": {"mat2": "batch2"}, "Tensor.where": {"other": "y"},
    "Tensor.cholesky_solve": {"L": "input2"}, "Tensor.orgqr": {"tau": "input2"},
    "Tensor.ormqr": {"tau": "input2", "other": "input3"}, "Tensor.take": {"index": "indices"},
    "Tensor.masked_scatter": {"source": "tensor"}, "Tensor.index_copy_": {"source": "tensor"},
    "Tensor.index_copy": {"source": "tensor2"}, "Tensor.resize_as_": {"the_template": "tensor"},
    "Tensor.resize_as": {"the_template": "tensor"}, "Tensor.__getitem__": {"index": "key"},
    "Tensor.__setitem__": {"index": "key"}, "Tensor.__delitem__": {"index": "key"},
    "true_divide": {"input": "dividend", "other": "divisor"}, "broadcast_to": {"size": "shape"},
    "Tensor.broadcast_to": {"size": "shape"}, "concatenate": {"dim": "axis"},
}  # fmt: skip


def inside(function):
    """The inspect.Signature that a public function has inside the package."""
    shown = getattr(function, "__signature__", None)
    return inspect.signature(shown.function if type(shown) is Shown else function)


def is_shown(function):
    """Whether a function has a signature of its own, not one for show."""
    return hasattr(function, "__signature__") and type(function.__signature__) is not Shown


def unwrap(function):
    """The plain function whose code object has the parameters of `function`; `function` itself if there is none."""
    inner = function
    while hasattr(inner, "__wrapped__") and not is_shown(inner):
        inner = inner.__wrapped__
    return inner if type(inner) is types.FunctionType and not is_shown(inner) else function


def names(function):
    """The names of all named parameters, in order."""
    function = unwrap(function)
    if type(function) is not types.FunctionType or hasattr(function, "__wrapped__"):
        return list(inside(function).parameters)
    code = function.__code__
    return list(code.co_varnames[:code.co_argcount + code.co_kwonlyargcount])


def star(function):
    """One more than the number of positional parameters before a `*parameter`; 0 if there is none."""
    function = unwrap(function)
    code = getattr(function, "__code__", None)
    return 1 + code.co_argcount if code is not None and code.co_flags & inspect.CO_VARARGS else 0


def parameters(function):
    """[(name, default or REQUIRED, annotation or REQUIRED, kind)] of the named parameters."""
    function = unwrap(function)
    if type(function) is not types.FunctionType or hasattr(function, "__wrapped__"):
        return [(p.name, p.default, p.annotation, p.kind) for p in inside(function).parameters.values()]
    code, defaults = function.__code__, function.__defaults__ or ()
    count = code.co_argcount
    notes, by_keyword = function.__annotations__, function.__kwdefaults__ or {}
    found = []
    for i, name in enumerate(code.co_varnames[:count + code.co_kwonlyargcount]):
        if i < count:
            at = i - (count - len(defaults))
            default, kind = (defaults[at] if at >= 0 else REQUIRED), POSITIONAL
        else:
            default, kind = by_keyword.get(name, REQUIRED), KEYWORD
        found.append((name, default, notes.get(name, REQUIRED), kind))
    return found


def signature(function, skip=0):
    """The inspect.Signature of a function without its first `skip` parameters."""
    return inspect.Signature([inspect.Parameter(n, kind, default=d, annotation=a) for n, d, a,
                              kind in parameters(function)[skip:]],
                             __validate_parameters__=False)


def named(like):
    """`functools.wraps(like)` for plain functions, cheaper: declaring operators does it two thousand times."""
    def name(call):
        call.__module__, call.__name__, call.__qualname__ = like.__module__, like.__name__, like.__qualname__
        call.__doc__ = like.__doc__
        if like.__annotations__:
            call.__annotations__ = like.__annotations__
        call.__dict__.update(like.__dict__)
        call.__wrapped__ = like
        return call
    return name
