"""What a file may name when it is loaded with `weights_only=True`, and how it may be called.

In: names from files. Out: the object, and for those that may be called a function that checks every argument before
anything is made of it. Nothing else is ever imported or called. Programs add names with `add_safe_globals`. Next to
read: unpickler.py.
"""

from collections import Counter, OrderedDict
from pickle import UnpicklingError

from .. import api as rl
from ..nn.parameter import Parameter
from . import rebuild
from .names import REBUILD_FUNCTIONS, file_name
from .storages import TYPES, UNTYPED

BLOCKED_MODULES = ("sys", "os", "posix", "nt")
DTYPE_NAMES = (
    "float64 float32 float16 bfloat16 complex128 complex64 complex32 int64 int32 int16 int8 uint8 uint16 uint32 "
    "uint64 bool float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz"
).split()
TENSOR_CLASSES = (
    "FloatTensor DoubleTensor HalfTensor BFloat16Tensor IntTensor LongTensor ShortTensor CharTensor ByteTensor "
    "BoolTensor"
).split()

_added = {}  # name in files -> object, by add_safe_globals


class Allowed:
    """An object that files may name. `call` checks the arguments and makes the value; None: it may not be called."""

    __slots__ = ("value", "call")

    def __init__(self, value, call=None):
        self.value, self.call = value, call


class LegacyTensor:
    """What `torch.FloatTensor` and its like mean in files older than PyTorch 0.4: a tensor whose state follows."""

    def __init__(self, name):
        self.name = name


# --- checked calls ---------------------------------------------------------------------------------------------------
# They are found by identity, so a file cannot bring a function of its own to be called. Keys are checked before
# hashing: the hash of nested tuples that share their parts would take forever, and of very deep ones overflow the
# stack.


def check_key(key):
    """Raises UnpicklingError unless the key of a dictionary or set is a number, a text, or a small tuple of such
    things.
    """
    if not isinstance(key, tuple):
        return
    pending, seen = [key], 0
    while pending:
        item = pending.pop()
        seen += 1
        if seen > 4096:
            raise UnpicklingError("a key of a dictionary is too large")
        if isinstance(item, tuple):
            pending.extend(item[:4097])


def _pairs(name, arguments):
    """The pairs to make a dictionary of: none, or those of a list of tuples or of a dictionary."""
    if not arguments:
        return ()
    source = arguments[0]
    if len(arguments) > 1 or not isinstance(source, (list, tuple, dict)):
        raise UnpicklingError(f"{name}: expected a list of pairs, got {len(arguments)} arguments")
    pairs = source.items() if isinstance(source, dict) else source
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise UnpicklingError(f"{name}: expected a list of pairs, got a {type(pair).__name__} in it")
        check_key(pair[0])
    return pairs


def _ordered_dict(*arguments):
    return OrderedDict(_pairs("collections.OrderedDict", arguments))


def _counter(*arguments):
    return Counter(dict(_pairs("collections.Counter", arguments)))


def _set(*arguments):
    items = arguments[0] if arguments else ()
    if len(arguments) > 1 or not isinstance(items, (list, tuple, set)):
        raise UnpicklingError("set: expected a list")
    for item in items:
        check_key(item)
    return set(items)


def _encode(text, encoding="utf-8"):
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "ascii", "utf-8"):
        raise UnpicklingError("_codecs.encode: expected a text and a plain encoding")
    return text.encode(encoding)


def _bytes(*arguments):
    if arguments:
        raise UnpicklingError("bytes: expected no arguments")  # what Python writes for b"" with protocol 2
    return b""


def _bytearray(*arguments):
    if not arguments:
        return bytearray()
    if isinstance(arguments[0], str) and len(arguments) == 2:
        return bytearray(_encode(*arguments))
    if len(arguments) != 1 or not isinstance(arguments[0], (bytes, bytearray)):
        raise UnpicklingError("bytearray: expected bytes")
    return bytearray(arguments[0])


def _complex(*arguments):
    if len(arguments) > 2 or not all(isinstance(number, (int, float)) for number in arguments):
        raise UnpicklingError("complex: expected two numbers")
    return complex(*arguments)


def _size(*arguments):
    sizes = arguments[0] if arguments else ()
    if len(arguments) > 1 or not isinstance(sizes, (list, tuple)) or not all(type(n) is int for n in sizes):
        raise UnpicklingError("torch.Size: expected a tuple of whole numbers")
    return rl.Size(sizes)


def _device(*arguments):
    if not 1 <= len(arguments) <= 2 or not all(isinstance(part, (str, int)) for part in arguments):
        raise UnpicklingError("torch.device: expected a name and an index")
    return rl.device(*arguments)


LAYOUT_NAMES = [f"torch.{name}" for name in ("strided", "sparse_coo", "sparse_csr", "sparse_csc")]


def _layout(name):
    if name not in LAYOUT_NAMES:
        raise UnpicklingError("torch.serialization._get_layout: expected the name of a layout")
    return rebuild._get_layout(name)


def _parameter(data=None, requires_grad=True):
    if not isinstance(data, rl.Tensor):
        raise UnpicklingError(f"torch.nn.parameter.Parameter: expected a tensor, got {type(data).__name__}")
    return rebuild._rebuild_parameter(data, bool(requires_grad), {})


def _subclass(function, new_type, arguments, state):
    """`_rebuild_from_type_v2`, which names another function to call: one of the table, as everywhere."""
    rebuild_call = find_call(function)
    if rebuild_call is None or function not in REBUILD_FUNCTIONS.values() or not isinstance(arguments, tuple):
        raise UnpicklingError("torch._tensor._rebuild_from_type_v2: expected a function that rebuilds tensors")
    known = new_type is rl.Tensor or new_type is Parameter or is_added(new_type)
    if not known or not isinstance(new_type, type) or not issubclass(new_type, rl.Tensor):
        raise UnpicklingError(f"_rebuild_from_type_v2: {new_type!r:.100} is not allowed as a class of tensors")
    return rebuild._rebuild_from_type_v2(rebuild_call, new_type, arguments, state)


def _check_sparse(layout, data):
    """UnpicklingError unless these are the parts of a sparse tensor; their numbers are checked where it is built."""
    tensors = 2 if repr(layout) == "torch.sparse_coo" else 3
    if repr(layout) not in LAYOUT_NAMES[1:] or not isinstance(data, tuple) or len(data) <= tensors:
        raise UnpicklingError("torch._utils._rebuild_sparse_tensor: expected a layout and the parts of a sparse tensor")
    sizes = data[tensors]
    if not all(isinstance(part, rl.Tensor) for part in data[:tensors]) or not isinstance(sizes, tuple):
        raise UnpicklingError("torch._utils._rebuild_sparse_tensor: expected tensors and a size")


def _checked_rebuild(function):
    """A rebuild function whose tensor arguments are tensors; what it does with numbers it checks itself."""

    def call(*arguments):
        first = arguments[0] if arguments else None
        if function.__name__.startswith(("_rebuild_parameter", "_rebuild_device")) and not isinstance(first, rl.Tensor):
            raise UnpicklingError(f"torch._utils.{function.__name__}: expected a tensor, got {type(first).__name__}")
        if function.__name__ == "_rebuild_sparse_tensor":
            _check_sparse(*arguments)
        if function.__name__ in ("_rebuild_meta_tensor_no_storage", "_rebuild_tensor_v3"):
            if not any(isinstance(argument, type(rl.float32)) for argument in arguments):
                raise UnpicklingError(f"torch._utils.{function.__name__}: expected a data type")
        return function(*arguments)

    return call


def _build_table():
    table = {
        "collections.OrderedDict": Allowed(OrderedDict, _ordered_dict),
        "collections.Counter": Allowed(Counter, _counter),
        "builtins.set": Allowed(set, _set),
        "builtins.bytes": Allowed(bytes, _bytes),
        "builtins.bytearray": Allowed(bytearray, _bytearray),
        "builtins.complex": Allowed(complex, _complex),
        "_codecs.encode": Allowed(_encode, _encode),
        "torch.Size": Allowed(rl.Size, _size),
        "torch.device": Allowed(rl.device, _device),
        "torch.Tensor": Allowed(rl.Tensor),
        "torch.serialization._get_layout": Allowed(rebuild._get_layout, _layout),
        "torch.nn.parameter.Parameter": Allowed(Parameter, _parameter),
        "torch._tensor._rebuild_from_type_v2": Allowed(rebuild._rebuild_from_type_v2, _subclass),
        "torch.storage.UntypedStorage": Allowed(UNTYPED),
    }
    for name, function in REBUILD_FUNCTIONS.items():
        if name != "_rebuild_device_tensor_from_numpy":
            table[f"torch._utils.{name}"] = Allowed(function, _checked_rebuild(function))
    for name, kind in TYPES.items():
        table[f"torch.{name}"] = table[f"torch.cuda.{name}"] = Allowed(kind)
    for name in DTYPE_NAMES:
        if hasattr(rl, name):
            table[f"torch.{name}"] = Allowed(getattr(rl, name))
    for name in TENSOR_CLASSES:
        table[f"torch.{name}"] = table[f"torch.cuda.{name}"] = Allowed(LegacyTensor(name))
    return table


_table = {}
_calls = {}


def table():
    """Name in files -> Allowed, for all that is allowed without being asked for. Built at the first use: it needs
    `nn`.
    """
    if not _table:
        _table.update(_build_table())
        _calls.update({id(entry.value): entry.call for entry in _table.values() if entry.call is not None})
    return _table


def find_call(value):
    """The checked function to call instead of an object of the table; None if it may not be called."""
    table()
    return _calls.get(id(value))


def is_added(value):
    """Whether a program has allowed the object itself."""
    return any(value is other for other in _added_by_name().values())


def find(module, name):
    """The object that a file means. UnpicklingError unless it is allowed."""
    full_name = f"{module}.{name}"
    if module in BLOCKED_MODULES:
        raise UnpicklingError(f"Trying to load unsupported GLOBAL {full_name} whose module {module} is blocked.")
    entry = table().get(full_name)
    if entry is not None:
        return entry.value
    added = _added_by_name()
    if full_name in added:
        return added[full_name]
    shown = full_name.removeprefix("builtins.")
    raise UnpicklingError(
        f"Unsupported global: GLOBAL {shown} was not an allowed global by default. Please use "
        f"`torch.serialization.add_safe_globals([{shown}])` or the `torch.serialization.safe_globals([{shown}])` "
        "context manager to allowlist this global if you trust this class/function."
    )


# --- what programs add -----------------------------------------------------------------------------------------------


def _key(item):
    return (id(item[0]), item[1]) if isinstance(item, tuple) and len(item) == 2 else id(item)


def _added_by_name():
    names = {}
    for item in _added.values():
        if not isinstance(item, tuple):
            names[f"{item.__module__}.{item.__qualname__}"] = item
            ours = file_name(item)
            if ours is not None:
                names[".".join(ours)] = item
            continue
        if len(item) != 2:
            raise ValueError(
                f"Expected tuple of length 2 (global, str of callable full path), but got tuple of length: {len(item)}"
            )
        if type(item[1]) is not str:
            raise TypeError(f"Expected second item in tuple to be str of callable full path, but got: {type(item[1])}")
        names[item[1]] = item[0]
    return names


def add_safe_globals(safe_globals):
    """Allows `load(weights_only=True)` to use these classes and functions.

    Args:
        safe_globals: a list of them; a pair (object, "full.name") gives the name that files use for the object.
    """
    for item in safe_globals:
        _added[_key(item)] = item


def get_safe_globals():
    """The list of what has been added by `add_safe_globals`."""
    return list(_added.values())


def clear_safe_globals():
    """Forgets everything added by `add_safe_globals`."""
    _added.clear()


class safe_globals:
    """`add_safe_globals` for the length of a `with` block."""

    def __init__(self, safe_globals):
        self.safe_globals = safe_globals

    def __enter__(self):
        add_safe_globals(self.safe_globals)

    def __exit__(self, kind, value, traceback):
        for item in self.safe_globals:
            _added.pop(_key(item), None)
