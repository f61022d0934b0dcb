"""Containers: modules that hold other modules or parameters under numbers or names.

`Sequential` also runs its modules one after the other; the others only make what they hold part of the tree.
"""
import operator
import warnings
from collections import OrderedDict, abc
from itertools import chain, islice

from ... import api as rl
from ..parameter import Parameter
from ._tree import _indent
from .module import Module

__all__ = ["Container", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"]


def _absolute(index, length):
    """A list index as a number from 0 to length - 1; raises IndexError and TypeError as lists do."""
    index = operator.index(index)
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of range")
    return index % length


def _pairs(kind, source):
    """(key, value) for every entry of a mapping or of an iterable of pairs, checked."""
    if isinstance(source, (abc.Mapping, ModuleDict, ParameterDict)):
        yield from source.items()
        return
    for place, pair in enumerate(source):
        if not isinstance(pair, abc.Iterable):
            raise TypeError(f"{kind} update sequence element #{place} should be Iterable; is{type(pair).__name__}")
        pair = tuple(pair)
        if len(pair) != 2:
            raise ValueError(f"{kind} update sequence element #{place} has length {len(pair)}; 2 is required")
        yield pair


class Container(Module):
    """Deprecated: a module that holds the modules given by keyword."""

    def __init__(self, **kwargs):
        warnings.warn(
            "nn.Container is deprecated. All of it's functionality is now implemented in nn.Module. Subclass that "
            "instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__()
        for name, module in kwargs.items():
            self.add_module(name, module)


class _Numbered(Module):
    """What containers of modules with the names "0", "1", ... have in common."""

    def _renumber(self, modules):
        self._modules.clear()
        for place, module in enumerate(modules):
            self.add_module(str(place), module)

    def _name_at(self, index):
        return list(self._modules)[_absolute(index, len(self))]

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def __dir__(self):
        return [name for name in super().__dir__() if not name.isdigit()]

    def __setitem__(self, index, module):
        setattr(self, self._name_at(index), module)

    def pop(self, key):
        """Remove the module (or, for a slice, the modules) there and return it."""
        removed = self[key]
        del self[key]
        return removed


class Sequential(_Numbered):
    """Runs modules one after the other: each gets what the one before returned.

    Args: modules, which get the names "0", "1", ..., or one ordered dictionary of names and modules.
    Supports indexing, slicing, `+`, `*`, `append`, `insert`, `extend` and `pop` like a list.

    Example:
        >>> nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))(rl.zeros(3, 4)).shape
        torch.Size([3, 2])
    """

    def __init__(self, *args):
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], OrderedDict) else enumerate(args)
        for name, module in named:
            self.add_module(str(name) if isinstance(name, int) else name, module)

    def forward(self, input):
        for module in self._modules.values():
            input = module(input)
        return input

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return next(islice(self._modules.values(), _absolute(index, len(self)), None))

    def __delitem__(self, index):
        for name in list(self._modules)[index] if isinstance(index, slice) else (self._name_at(index),):
            delattr(self, name)
        self._renumber(list(self._modules.values()))

    def _check_other(self, other):
        if not isinstance(other, Sequential):
            raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")

    def __add__(self, other):
        self._check_other(other)
        return Sequential(*self, *other)

    def __iadd__(self, other):
        self._check_other(other)
        return self.extend(list(other))

    def _repeated(self, times):
        if not isinstance(times, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(times)}")
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for {type(self)}")
        return list(self) * times

    def __mul__(self, other):
        return Sequential(*self._repeated(other))

    def __rmul__(self, other):
        return self * other

    def __imul__(self, other):
        return self.extend(self._repeated(other)[len(self) :])

    def append(self, module):
        """Add a module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, sequential):
        """Add modules at the end; returns the container."""
        for module in sequential:
            self.append(module)
        return self

    def insert(self, index, module):
        """Put a module before the one at an index; returns the container."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        length = len(self)
        if not -length <= index <= length:
            raise IndexError(f"Index out of range: {index}")
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)
        return self


class ModuleList(_Numbered):
    """A list of modules; it has no forward. Args: `modules`, an iterable."""

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self += modules

    def __getitem__(self, idx):
        if isinstance(idx, slice):
            return type(self)(list(self._modules.values())[idx])
        return self._modules[str(_absolute(idx, len(self)))]

    def __delitem__(self, idx):
        for place in range(len(self))[idx] if isinstance(idx, slice) else (_absolute(idx, len(self)),):
            delattr(self, str(place))
        self._renumber(list(self._modules.values()))

    def __iadd__(self, modules):
        return self.extend(modules)

    def __add__(self, other):
        combined = ModuleList()
        for place, module in enumerate(chain(self, other)):
            combined.add_module(str(place), module)
        return combined

    def append(self, module):
        """Add a module at the end; returns the list."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules):
        """Add modules at the end; returns the list."""
        if not isinstance(modules, abc.Iterable):
            raise TypeError(f"ModuleList.extend should be called with an iterable, but got {type(modules).__name__}")
        for place, module in enumerate(list(modules), len(self)):
            self.add_module(str(place), module)
        return self

    def insert(self, index, module):
        """Put a module before the one at an index, as `list.insert` does."""
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)

    def __repr__(self):
        texts = [repr(module) for module in self]
        lines = []
        start = 0
        for place, text in enumerate(texts):
            if place + 1 < len(texts) and texts[place + 1] == text:
                continue
            count = place + 1 - start
            lines.append(f"({start}): {text}" if count == 1 else f"({start}-{place}): {count} x {text}")
            start = place + 1
        if not lines:
            return f"{self._get_name()}()"
        return f"{self._get_name()}(\n  " + "\n  ".join(map(_indent, lines)) + "\n)"


class ModuleDict(Module):
    """A dictionary of modules in the order of insertion; it has no forward. Args: `modules`, a mapping or pairs."""

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key):
        return self._modules[key]

    def __setitem__(self, key, module):
        self.add_module(key, module)

    def __delitem__(self, key):
        del self._modules[key]
        self.__dict__.pop(key, None)

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules)

    def __contains__(self, key):
        return key in self._modules

    def clear(self):
        """Remove all modules."""
        for key in list(self._modules):
            del self[key]

    def pop(self, key):
        """Remove a module and return it."""
        module = self[key]
        del self[key]
        return module

    def keys(self):
        """The keys, in order."""
        return self._modules.keys()

    def items(self):
        """Pairs (key, module), in order."""
        return self._modules.items()

    def values(self):
        """The modules, in order."""
        return self._modules.values()

    def update(self, modules):
        """Add modules from a mapping or from an iterable of pairs; existing keys are replaced."""
        if not isinstance(modules, abc.Iterable):
            raise TypeError(
                f"ModuleDict.update should be called with an iterable of key/value pairs, but got "
                f"{type(modules).__name__}"
            )
        for key, module in _pairs("ModuleDict", modules):
            self[key] = module


def _wrapped(value):
    """Tensors become parameters, everything else stays."""
    if isinstance(value, rl.Tensor) and not isinstance(value, Parameter):
        return Parameter(value)
    return value


def _entry_lines(entries, type_name):
    """One line for every entry of a container of parameters, for `repr`."""
    for key, value in entries:
        if not isinstance(value, rl.Tensor):
            yield f"  ({key}): Object of type: {type(value).__name__}"
            continue
        size = "x".join(str(length) for length in value.size())
        device = f" (GPU {value.get_device()})" if value.is_cuda else ""
        kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
        yield f"  ({key}): {kind} containing: [{type_name(value)} of size {size}{device}]"


class ParameterList(Module):
    """A list of parameters. Tensors become parameters, other objects may be mixed in. Args: `values`, an iterable."""

    def __init__(self, values=None):
        super().__init__()
        self._size = 0
        if values is not None:
            self += values

    def __getitem__(self, idx):
        if isinstance(idx, slice):
            return type(self)([self[place] for place in range(len(self))[idx]])
        return getattr(self, str(_absolute(idx, len(self))))

    def __setitem__(self, idx, param):
        setattr(self, str(_absolute(idx, len(self))), _wrapped(param))

    def __len__(self):
        return self._size

    def __iter__(self):
        return iter([self[place] for place in range(len(self))])

    def __iadd__(self, parameters):
        return self.extend(parameters)

    def __dir__(self):
        return [name for name in super().__dir__() if not name.isdigit()]

    def append(self, value):
        """Add a value at the end; returns the list."""
        place = self._size
        self._size = place + 1
        self[place] = value
        return self

    def extend(self, values):
        """Add values at the end; returns the list."""
        if not isinstance(values, abc.Iterable) or isinstance(values, rl.Tensor):
            raise TypeError(f"ParameterList.extend should be called with an iterable, but got {type(values).__name__}")
        for value in values:
            self.append(value)
        return self

    def extra_repr(self):
        return "\n".join(_entry_lines(enumerate(self), _dtype_name))

    def __call__(self, *args, **kwargs):
        raise RuntimeError("ParameterList should not be called.")


def _dtype_name(tensor):
    return tensor.dtype


class ParameterDict(Module):
    """A dictionary of parameters in the order of insertion; tensors become parameters. Args: `parameters`, mapping or
    pairs.
    """

    def __init__(self, parameters=None):
        super().__init__()
        self._keys = {}
        if parameters is not None:
            self.update(parameters)

    def _key_to_attr(self, key):
        if not isinstance(key, str):
            raise TypeError(
                "Index given to ParameterDict cannot be used as a key as it is not a string (type is "
                f"'{type(key).__name__}'). Open an issue on github if you need non-string keys."
            )
        return key

    def __getitem__(self, key):
        return getattr(self, self._key_to_attr(key))

    def __setitem__(self, key, value):
        name = self._key_to_attr(key)
        self._keys[key] = None
        setattr(self, name, _wrapped(value))

    def __delitem__(self, key):
        del self._keys[key]
        delattr(self, self._key_to_attr(key))

    def __len__(self):
        return len(self._keys)

    def __iter__(self):
        return iter(self._keys)

    def __reversed__(self):
        return reversed(list(self._keys))

    def __contains__(self, key):
        return key in self._keys

    def copy(self):
        """A new ParameterDict with the same parameters."""
        return ParameterDict(OrderedDict(self.items()))

    def setdefault(self, key, default=None):
        """The value of a key; sets it to the default first if it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self):
        """Remove all entries."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key):
        """Remove an entry and return its value."""
        value = self[key]
        del self[key]
        return value

    def popitem(self):
        """Remove the entry that was added last; returns (key, value)."""
        key = next(reversed(list(self._keys)))
        return key, self.pop(key)

    def get(self, key, default=None):
        """The value of a key, or the default."""
        return self[key] if key in self else default

    def fromkeys(self, keys, default=None):
        """A new ParameterDict with these keys and one value."""
        return ParameterDict((key, default) for key in keys)

    def keys(self):
        """The keys, in order."""
        return self._keys.keys()

    def items(self):
        """Pairs (key, value), in order."""
        return ((key, self[key]) for key in self._keys)

    def values(self):
        """The values, in order."""
        return (self[key] for key in self._keys)

    def update(self, parameters):
        """Add entries from a mapping (a plain one in sorted order, as PyTorch does) or from an iterable of pairs."""
        if not isinstance(parameters, abc.Iterable):
            raise TypeError(
                f"ParametersDict.update should be called with an iterable of key/value pairs, but got "
                f"{type(parameters).__name__}"
            )
        if isinstance(parameters, (OrderedDict, ParameterDict)):
            parameters = list(parameters.items())
        elif isinstance(parameters, abc.Mapping):
            parameters = sorted(parameters.items())
        for key, value in _pairs("ParameterDict", parameters):
            self[key] = value

    def extra_repr(self):
        return "\n".join(_entry_lines(self.items(), rl.typename))

    def __call__(self, input):
        raise RuntimeError("ParameterDict should not be called.")

    def __or__(self, other):
        combined = self.copy()
        combined.update(other)
        return combined

    def __ror__(self, other):
        combined = dict(other) if not isinstance(other, ParameterDict) else other.copy()
        combined.update(self.items())
        return combined

    def __ior__(self, other):
        self.update(other)
        return self
