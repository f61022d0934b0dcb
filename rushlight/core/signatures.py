"""Signatures of plain Python functions read off their code objects: ten times cheaper than `inspect.signature`, which
the declaration of
a thousand operators at import would feel. Functions with *args or **kwargs are fine; callables of other kinds go
through `inspect`."""

import inspect
import types

REQUIRED = inspect.Parameter.empty
POSITIONAL, KEYWORD = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY


def unwrap(function):
    """The plain function whose code object has the parameters of `function`; `function` itself if there is none."""
    inner = function
    while hasattr(inner, "__wrapped__") and not hasattr(inner, "__signature__"):
        inner = inner.__wrapped__
    return inner if type(inner) is types.FunctionType and not hasattr(inner, "__signature__") else function


def names(function):
    """The names of all named parameters, in order."""
    function = unwrap(function)
    if type(function) is not types.FunctionType or hasattr(function, "__wrapped__"):
        return list(inspect.signature(function).parameters)
    code = function.__code__
    return list(code.co_varnames[:code.co_argcount + code.co_kwonlyargcount])


def star(function):
    """How many parameters by position stand before a `*parameter`, plus one; 0 where there is none."""
    function = unwrap(function)
    code = getattr(function, "__code__", None)
    return 1 + code.co_argcount if code is not None and code.co_flags & inspect.CO_VARARGS else 0


def parameters(function):
    """[(name, default or REQUIRED, annotation or REQUIRED, kind)] of the named parameters."""
    function = unwrap(function)
    if type(function) is not types.FunctionType or hasattr(function, "__wrapped__"):
        return [(p.name, p.default, p.annotation, p.kind) for p in inspect.signature(function).parameters.values()]
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
