"""Reads pickles from sources that are not trusted: plain containers, numbers and tensors.

An interpreter of the pickle opcodes that plain data needs (https://peps.python.org/pep-0307 and 3154). It makes
lists, dictionaries and numbers itself; everything else goes through allowed.py. A length in the pickle is compared
with what is left of it before anything is done with it. Whatever is wrong ends in an UnpicklingError. Next to read:
allowed.py, loading.py.

Note [Small opcodes]
One byte can make a set of 216 bytes. What such opcodes take is counted, and a pickle may take SURE bytes, or MOST_TIMES
its own length if that is more; marks, each of which holds a list, may be MOST_MARKS deep.
"""

import pickle
from collections import Counter, OrderedDict
from pickle import UnpicklingError
from struct import Struct, unpack_from
from struct import error as StructError

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

from . import allowed, rebuild
from .storages import TypedStorage

NUMBER = Struct("<I").unpack_from
SURE, MOST_TIMES, MOST_MARKS = 1 << 30, 32, 10_000
LIST, TUPLE, DICTIONARY, SET, MEMO = 64, 64, 72, 224, 112  # bytes of an empty one with a reference to it
DICTIONARIES = (dict, OrderedDict, Counter)
BROKEN = (
    IndexError, KeyError, ValueError, TypeError, OverflowError, StructError, AttributeError, RecursionError, EOFError,
)  # fmt: skip


class OutsideError(Exception):
    """Carries an exception of the program's own code, such as its `map_location`, past the handling of damaged
    files.
    """


def _call_outside(function, *arguments):
    try:
        return function(*arguments)
    except BROKEN as error:
        raise OutsideError(error) from None


class Unpickler:
    """Reads pickles from `data`, one after the other, beginning at `position`.

    Args:
        data: bytes, or a memory map.
        position: where the first pickle begins.
        persistent_load: makes a storage of the tuple that stands for it in the file.
        encoding: of texts that Python 2 wrote; "bytes" leaves them as they are.
    """

    def __init__(self, data, position=0, persistent_load=None, encoding="utf-8"):
        self.data, self.position, self.encoding = data, position, encoding
        self.persistent_load = persistent_load
        self.names = set()
        self.budget = max(SURE, MOST_TIMES * len(data))

    def load(self):
        """The next pickle's object; `position` is behind it afterwards. UnpicklingError if it is damaged or not
        allowed.
        """
        self.stack, self.marks, self.memo = [], [], {}
        handlers, data, end = HANDLERS[type(self)], self.data, len(self.data)
        try:
            while True:
                if self.position >= end:
                    raise UnpicklingError("the pickle ends too early")
                code = data[self.position]
                self.position += 1
                if code == pickle.STOP[0]:
                    return self._result()
                handler = handlers[code]
                if handler is None:
                    raise UnpicklingError(f"Unsupported operand {code}")
                handler(self)
        except OutsideError as error:
            raise error.args[0] from None
        except BROKEN as error:
            raise UnpicklingError(f"the pickle is damaged: {type(error).__name__}: {error!s:.200}") from None

    def _result(self):
        if len(self.stack) != 1 or self.marks:
            raise UnpicklingError("the pickle is damaged: it does not end with one object")
        return self.stack.pop()

    # -- reading -----------------------------------------------------------------------------------------------------

    def take(self, count):
        """The next `count` bytes."""
        start = self.position
        if count < 0 or count > len(self.data) - start:
            raise UnpicklingError("the pickle ends too early")
        self.position = start + count
        return self.data[start:start + count]

    def number(self, layout, count):
        """The next number, packed as `struct` says."""
        return unpack_from(layout, self.take(count))[0]

    def line(self):
        """The text up to the next line break."""
        end = self.data.find(b"\n", self.position)
        if end < 0 or end - self.position > 4096:
            raise UnpicklingError("the pickle is damaged: a name does not end")
        text = self.take(end - self.position).decode("utf-8")
        self.position += 1
        return text

    def pop_mark(self):
        """What was put on the stack since the last mark."""
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def spend(self, nbytes):
        """Count memory that a small opcode takes."""
        self.budget -= nbytes
        if self.budget < 0:
            raise UnpicklingError("the pickle takes too much memory for its length")

    # -- numbers and texts -------------------------------------------------------------------------------------------

    def op_proto(self):
        protocol = self.take(1)[0]
        if protocol > pickle.HIGHEST_PROTOCOL:
            raise UnpicklingError(f"unsupported pickle protocol: {protocol}")

    def op_frame(self):
        if self.number("<Q", 8) > len(self.data) - self.position:
            raise UnpicklingError("the pickle ends too early")

    def op_none(self):
        self.stack.append(None)

    def op_false(self):
        self.stack.append(False)

    def op_true(self):
        self.stack.append(True)

    def op_binint(self):
        self.stack.append(self.number("<i", 4))

    def op_binint1(self):
        self.stack.append(self.data[self.position])
        self.position += 1

    def op_binint2(self):
        self.stack.append(self.number("<H", 2))

    def op_long1(self):
        self.stack.append(int.from_bytes(self.take(self.take(1)[0]), "little", signed=True))

    def op_long4(self):
        count = self.number("<i", 4)
        if count > 4096:
            raise UnpicklingError("the pickle is damaged: a number is too long")
        self.stack.append(int.from_bytes(self.take(count), "little", signed=True))

    def op_binfloat(self):
        self.stack.append(self.number(">d", 8))

    def op_short_binunicode(self):
        self.stack.append(str(self.take(self.take(1)[0]), "utf-8", "surrogatepass"))

    def op_binunicode(self):
        self.stack.append(str(self.take(self.number("<I", 4)), "utf-8", "surrogatepass"))

    def op_binunicode8(self):
        self.stack.append(str(self.take(self.number("<Q", 8)), "utf-8", "surrogatepass"))

    def op_short_binstring(self):
        self.stack.append(self._old_text(self.take(self.take(1)[0])))

    def op_binstring(self):
        self.stack.append(self._old_text(self.take(self.number("<i", 4))))

    def _old_text(self, data):
        return data if self.encoding == "bytes" else data.decode(self.encoding)

    def op_short_binbytes(self):
        self.stack.append(self.take(self.take(1)[0]))

    def op_binbytes(self):
        self.stack.append(self.take(self.number("<I", 4)))

    def op_binbytes8(self):
        self.stack.append(self.take(self.number("<Q", 8)))

    def op_bytearray8(self):
        self.stack.append(bytearray(self.take(self.number("<Q", 8))))

    # -- containers --------------------------------------------------------------------------------------------------

    def op_mark(self):
        self.spend(LIST)
        if len(self.marks) >= MOST_MARKS:
            raise UnpicklingError("the pickle is nested too deeply")
        self.marks.append(self.stack)
        self.stack = []

    def op_pop(self):
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def op_pop_mark(self):
        self.pop_mark()

    def op_dup(self):
        self.stack.append(self.stack[-1])

    def op_empty_tuple(self):
        self.stack.append(())

    def op_empty_list(self):
        self.spend(LIST)
        self.stack.append([])

    def op_empty_dict(self):
        self.spend(DICTIONARY)
        self.stack.append({})

    def op_empty_set(self):
        self.spend(SET)
        self.stack.append(set())

    def op_tuple(self):
        items = self.pop_mark()
        self.stack.append(tuple(items))

    def op_tuple1(self):
        self.spend(TUPLE)
        self.stack[-1] = (self.stack[-1],)

    def op_tuple2(self):
        self.spend(TUPLE)
        second, first = self.stack.pop(), self.stack.pop()
        self.stack.append((first, second))

    def op_tuple3(self):
        self.spend(TUPLE)
        third, second, first = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.stack.append((first, second, third))

    def op_append(self):
        item = self.stack.pop()
        self._list().append(item)

    def op_appends(self):
        items = self.pop_mark()
        self._list().extend(items)

    def _list(self):
        target = self.stack[-1]
        if type(target) is not list:
            raise UnpicklingError(f"Can only append to lists, but got {type(target)}")
        return target

    def op_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        target = self._dictionary("SETITEM")
        allowed.check_key(key)
        target[key] = value

    def op_setitems(self):
        items = self.pop_mark()
        target = self._dictionary("SETITEMS")
        if len(items) % 2:
            raise UnpicklingError("the pickle is damaged: a dictionary has a key without a value")
        for key, value in zip(items[::2], items[1::2]):
            allowed.check_key(key)
            target[key] = value

    def _dictionary(self, opcode):
        target = self.stack[-1]
        if type(target) not in DICTIONARIES:
            raise UnpicklingError(
                f"Can only {opcode} for dict, collections.OrderedDict, collections.Counter, but got {type(target)}"
            )
        return target

    def op_additems(self):
        items = self.pop_mark()
        target = self.stack[-1]
        if type(target) is not set:
            raise UnpicklingError(f"Can only add items to sets, but got {type(target)}")
        for item in items:
            allowed.check_key(item)
            target.add(item)

    def op_frozenset(self):
        self.spend(SET)
        items = self.pop_mark()
        for item in items:
            allowed.check_key(item)
        self.stack.append(frozenset(items))

    # -- memo --------------------------------------------------------------------------------------------------------

    # A byte or number behind the end of the data is an IndexError or struct.error, which `load` reports.

    def op_binput(self):
        self.memo[self.data[self.position]] = self.stack[-1]
        self.position += 1

    def op_long_binput(self):
        self.spend(MEMO)
        self.memo[NUMBER(self.data, self.position)[0]] = self.stack[-1]
        self.position += 4

    def op_memoize(self):
        self.spend(MEMO)
        self.memo[len(self.memo)] = self.stack[-1]

    def op_binget(self):
        self.stack.append(self.memo[self.data[self.position]])
        self.position += 1

    def op_long_binget(self):
        self.stack.append(self.memo[NUMBER(self.data, self.position)[0]])
        self.position += 4

    # -- what may do something ---------------------------------------------------------------------------------------

    def op_global(self):
        self._push_global(self.line(), self.line())

    def op_stack_global(self):
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise UnpicklingError("the pickle is damaged: a name is not a text")
        self._push_global(module, name)

    def _push_global(self, module, name):
        # Names of Python 2, which PyTorch's default protocol still uses.
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        else:
            module = IMPORT_MAPPING.get(module, module)
        self.stack.append(self.find(module, name))

    def find(self, module, name):
        """The object that the file means; overridden to only list names."""
        return allowed.find(module, name)

    def op_binpersid(self):
        saved = self.stack.pop()
        if type(saved) is int:
            saved = str(saved)
        elif type(saved) is not tuple:
            raise UnpicklingError(f"persistent_load id must be tuple or int, but got {type(saved)}")
        elif not saved or saved[0] not in ("storage", b"storage"):
            raise UnpicklingError("Only persistent_load of storage is allowed")
        if self.persistent_load is None:
            raise UnpicklingError("unsupported persistent id encountered")
        self.stack.append(_call_outside(self.persistent_load, saved))

    def op_reduce(self):
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(arguments) is not tuple:
            raise UnpicklingError(f"Can only call with a tuple of arguments, but got {type(arguments)}")
        call = allowed.find_call(function)
        if call is None:
            if not allowed.is_added(function):
                raise UnpicklingError(f"Trying to call reduce for unrecognized function {function!r:.200}")
            self.stack.append(_call_outside(function, *arguments))
        else:
            self.stack.append(call(*arguments))

    def op_newobj(self):
        arguments, kind = self.stack.pop(), self.stack.pop()
        if type(arguments) is not tuple:
            raise UnpicklingError(f"Can only call with a tuple of arguments, but got {type(arguments)}")
        if isinstance(kind, allowed.LegacyTensor) and not arguments:
            self.stack.append(kind)
        elif isinstance(kind, type) and allowed.find_call(kind) is not None:
            self.stack.append(allowed.find_call(kind)(*arguments))
        elif isinstance(kind, type) and allowed.is_added(kind):
            self.stack.append(_call_outside(kind.__new__, kind, *arguments))
        else:
            raise UnpicklingError(
                "Can only create new object for nn.Parameter or classes allowlisted via `add_safe_globals` but got "
                f"{kind!r:.200}"
            )

    def op_build(self):
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, allowed.LegacyTensor):
            self.stack[-1] = _legacy_tensor(state)
            self._replace_in_memo(target, self.stack[-1])
        elif type(target) is OrderedDict:
            target.__dict__.update(_attributes(state))
        elif allowed.is_added(type(target)):
            _set_state(target, state)
        else:
            raise UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted via `add_safe_globals`, but got "
                f"{type(target)}"
            )

    def _replace_in_memo(self, old, new):
        """A tensor of an old file is only made when its state is read, which is after it was given a number."""
        for index, value in self.memo.items():
            if value is old:
                self.memo[index] = new


def _attributes(state):
    if type(state) not in DICTIONARIES or not all(type(name) is str for name in state):
        raise UnpicklingError(f"Can only build from a dictionary of attributes, but got {type(state)}")
    return state


def _legacy_tensor(state):
    if type(state) is not tuple or len(state) != 4 or not isinstance(state[0], TypedStorage):
        raise UnpicklingError("Can only build a tensor from its storage, offset, size and stride")
    return rebuild._rebuild_tensor(*state)


def _set_state(target, state):
    """What `pickle` does with the state of an object of a class that the program has allowed."""
    own = getattr(target, "__setstate__", None)
    if own is not None:
        _call_outside(own, state)
        return
    slots = None
    if type(state) is tuple and len(state) == 2:
        state, slots = state
    if state:
        target.__dict__.update(_attributes(state))
    for name, value in _attributes(slots or {}).items():
        setattr(target, name, value)


class NameLister(Unpickler):
    """Only lists what a pickle names; nothing is made of it."""

    def find(self, module, name):
        self.names.add(f"{module}.{name}")
        return None

    def op_reduce(self):
        self.stack.pop()

    def op_newobj(self):
        self.stack.pop()

    def op_build(self):
        self.stack.pop()

    def op_binpersid(self):
        self.stack[-1] = None

    def op_setitem(self):
        del self.stack[-2:]

    def op_setitems(self):
        self.pop_mark()

    op_appends = op_additems = op_setitems

    def op_append(self):
        self.stack.pop()


OPCODES = {
    pickle.PROTO: "op_proto", pickle.FRAME: "op_frame", pickle.NONE: "op_none", pickle.NEWFALSE: "op_false",
    pickle.NEWTRUE: "op_true", pickle.BININT: "op_binint", pickle.BININT1: "op_binint1", pickle.BININT2: "op_binint2",
    pickle.LONG1: "op_long1", pickle.LONG4: "op_long4", pickle.BINFLOAT: "op_binfloat",
    pickle.SHORT_BINUNICODE: "op_short_binunicode", pickle.BINUNICODE: "op_binunicode",
    pickle.BINUNICODE8: "op_binunicode8", pickle.SHORT_BINSTRING: "op_short_binstring",
    pickle.BINSTRING: "op_binstring", pickle.SHORT_BINBYTES: "op_short_binbytes", pickle.BINBYTES: "op_binbytes",
    pickle.BINBYTES8: "op_binbytes8", pickle.BYTEARRAY8: "op_bytearray8", pickle.MARK: "op_mark",
    pickle.POP: "op_pop", pickle.POP_MARK: "op_pop_mark", pickle.DUP: "op_dup", pickle.EMPTY_TUPLE: "op_empty_tuple",
    pickle.EMPTY_LIST: "op_empty_list", pickle.EMPTY_DICT: "op_empty_dict", pickle.EMPTY_SET: "op_empty_set",
    pickle.TUPLE: "op_tuple", pickle.TUPLE1: "op_tuple1", pickle.TUPLE2: "op_tuple2", pickle.TUPLE3: "op_tuple3",
    pickle.APPEND: "op_append", pickle.APPENDS: "op_appends", pickle.SETITEM: "op_setitem",
    pickle.SETITEMS: "op_setitems", pickle.ADDITEMS: "op_additems", pickle.FROZENSET: "op_frozenset",
    pickle.BINPUT: "op_binput", pickle.LONG_BINPUT: "op_long_binput", pickle.MEMOIZE: "op_memoize",
    pickle.BINGET: "op_binget", pickle.LONG_BINGET: "op_long_binget", pickle.GLOBAL: "op_global",
    pickle.STACK_GLOBAL: "op_stack_global", pickle.BINPERSID: "op_binpersid", pickle.REDUCE: "op_reduce",
    pickle.NEWOBJ: "op_newobj", pickle.BUILD: "op_build",
}  # fmt: skip


def _handlers(kind):
    table = [None] * 256
    for code, name in OPCODES.items():
        table[code[0]] = getattr(kind, name)
    return table


HANDLERS = {kind: _handlers(kind) for kind in (Unpickler, NameLister)}
