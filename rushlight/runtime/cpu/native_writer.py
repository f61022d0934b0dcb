"""Writing native functions over Python objects: slots by their names, calls of the interpreter by theirs.

`Writer` collects the lines of one function. The objects that all functions know, `CONTEXT`, are set by engine/quick.py.
Read `native_record` next.
"""

import contextlib
import ctypes
import sys

from ...core.storage import Storage
from ...core.stream import Stream
from ...core.tensor import Tensor

CONTEXT = ("stream", "Tensor", "Storage", "None", "True", "False", "zero", "acquire", "release", "float", "out", "one",
           "INFERRING", "UNTRACKED", "at once")
PYTHON = {
    "PyObject_CallObject": "ptr (ptr, ptr)", "PyObject_Type": "ptr (ptr)",
    "PyType_GenericAlloc": "ptr (ptr, i64)", "PyDict_GetItemWithError": "ptr (ptr, ptr)", "PyTuple_New": "ptr (i64)",
    "PyTuple_SetItem": "i32 (ptr, i64, ptr)", "PyTuple_GetItem": "ptr (ptr, i64)", "PyTuple_Size": "i64 (ptr)",
    "PyList_Append": "i32 (ptr, ptr)", "PyList_Size": "i64 (ptr)", "PyNumber_Add": "ptr (ptr, ptr)",
    "PyLong_AsSsize_t": "i64 (ptr)", "PyLong_FromSsize_t": "ptr (i64)", "Py_IncRef": "void (ptr)",
    "Py_DecRef": "void (ptr)", "PyErr_Clear": "void ()", "PyList_GetItem": "ptr (ptr, i64)",
    "PyBytes_FromStringAndSize": "ptr (ptr, i64)", "PyBytes_AsString": "ptr (ptr)", "PyFloat_AsDouble": "double (ptr)",
    "PyErr_Occurred": "ptr ()", "PyLong_AsLongLong": "i64 (ptr)", "PySequence_GetItem": "ptr (ptr, i64)",
    "PyObject_Size": "i64 (ptr)", "PyObject_RichCompareBool": "i32 (ptr, ptr, i32)", "PyList_New": "ptr (i64)",
    "PyList_SetItem": "i32 (ptr, i64, ptr)", "PyGC_Disable": "i32 ()", "PyGC_Enable": "i32 ()",
    "PyThread_get_thread_ident": "i64 ()", "PyLong_FromUnsignedLong": "ptr (i64)", "PySet_Contains": "i32 (ptr, ptr)",
    "PyList_SetSlice": "i32 (ptr, i64, i64, ptr)",
}
POINTER = ctypes.sizeof(ctypes.c_void_p)


class _Descriptor(ctypes.Structure):
    """CPython's PyMemberDescrObject: the descriptor of a slot."""

    _fields_ = [("head", ctypes.c_ssize_t * 2), ("type", ctypes.c_void_p), ("name", ctypes.c_void_p),
                ("qualified", ctypes.c_void_p), ("member", ctypes.c_void_p)]


class _Member(ctypes.Structure):
    """CPython's PyMemberDef."""

    _fields_ = [("name", ctypes.c_char_p), ("type", ctypes.c_int), ("offset", ctypes.c_ssize_t),
                ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)]


def slot_offset(cls, slot):
    """Where instances of a class keep a slot, in bytes."""
    descriptor = _Descriptor.from_address(id(cls.__dict__[slot]))
    return _Member.from_address(descriptor.member).offset


def supported():
    """Whether this interpreter keeps slots where `slot_offset` says, and has the functions that the text calls."""
    if not getattr(sys, "_is_gil_enabled", bool)() and sys.version_info >= (3, 13):
        return False  # other threads would get between
    if any([not hasattr(ctypes.pythonapi, name) for name in PYTHON]):
        return False
    probe, seen = Storage(), object()
    probe.guard = seen
    try:
        offset = slot_offset(Storage, "guard")
    except (AttributeError, KeyError, ValueError):
        return False
    if not 0 < offset <= Storage.__basicsize__ - POINTER:
        return False
    alone = [Storage()]
    return (ctypes.c_void_p.from_address(id(probe) + offset).value == id(seen)
            and ctypes.c_int32.from_address(id(alone[0])).value == 1)


class Writer:
    """Lines of one function: names for values, slots by their names."""

    def __init__(self):
        self.variables, self.lines, self.values, self.blocks = [], [], 0, 0

    def line(self, text):
        self.lines.append("  " + text)

    def value(self, text):
        self.values += 1
        self.line(f"%v{self.values} = {text}")
        return f"%v{self.values}"

    def variable(self, kind="ptr"):
        """The address of a local variable."""
        self.values += 1
        self.variables.append(f"  %v{self.values} = alloca {kind}")
        return f"%v{self.values}"

    def call(self, name, *arguments):
        """A call of a Python function by its declaration."""
        result, _, kinds = PYTHON[name].partition(" ")
        given = ", ".join([f"{kind} {a}" for kind, a in zip(kinds.strip("()").split(", "), arguments)])
        text = f"call {result} @{name}({given})"
        return self.line(text) if result == "void" else self.value(text)

    def context(self, name):
        """One of the objects that engine/quick.py has given."""
        return self.value(f"load ptr, ptr getelementptr (ptr, ptr @record_context, i64 {CONTEXT.index(name)})")

    def place(self, item, cls, slot):
        return self.value(f"getelementptr i8, ptr {item}, i64 {slot_offset(cls, slot)}")

    def get(self, item, cls, slot):
        return self.value(f"load ptr, ptr {self.place(item, cls, slot)}")

    def put(self, item, cls, slot, value):
        self.line(f"store ptr {value}, ptr {self.place(item, cls, slot)}")

    def swap(self, item, cls, slot, value):
        """Put a value, and return the old one, whose reference is the caller's now."""
        place = self.place(item, cls, slot)
        old = self.value(f"load ptr, ptr {place}")
        self.line(f"store ptr {value}, ptr {place}")
        return old

    def label(self, name="go"):
        self.blocks += 1
        return f"{name}{self.blocks}"

    def at(self, label):
        self.lines.append(f"{label}:")

    def go(self, label):
        self.line(f"br label %{label}")

    def branch(self, condition, yes, no):
        self.line(f"br i1 {condition}, label %{yes}, label %{no}")

    def unless(self, condition, otherwise):
        """Go on where the condition holds."""
        here = self.label()
        self.branch(condition, here, otherwise)
        self.at(here)

    def same(self, a, b):
        return self.value(f"icmp eq ptr {a}, {b}")

    def differs(self, a, b):
        return self.value(f"icmp ne ptr {a}, {b}")

    def item(self, sequence, i):
        """Item `i` of a list or tuple that keeps it, a reference of the sequence."""
        found = self.call("PySequence_GetItem", sequence, i)
        self.call("Py_DecRef", found)
        return found

    def load(self, variable, kind="ptr"):
        return self.value(f"load {kind}, ptr {variable}")

    def store(self, value, variable, kind="ptr"):
        self.line(f"store {kind} {value}, ptr {variable}")

    @contextlib.contextmanager
    def each(self, count):
        """A loop over 0 <= i < count, whose lines are written inside `with`."""
        counter = self.variable("i64")
        top, body, end = self.label("top"), self.label("body"), self.label("end")
        self.store(0, counter, "i64")
        self.go(top)
        self.at(top)
        i = self.load(counter, "i64")
        self.branch(self.value(f"icmp slt i64 {i}, {count}"), body, end)
        self.at(body)
        yield i
        self.store(self.value(f"add i64 {i}, 1"), counter, "i64")
        self.go(top)
        self.at(end)

    @contextlib.contextmanager
    def where(self, condition):
        """Lines that run where the condition holds."""
        inside, after = self.label("inside"), self.label("after")
        self.branch(condition, inside, after)
        self.at(inside)
        yield
        self.go(after)
        self.at(after)

    def drop(self, variable):
        """Give up the reference in a variable, if there is one."""
        value = self.load(variable)
        with self.where(self.differs(value, "null")):
            self.call("Py_DecRef", value)

    def first_version(self):
        """The version of a new storage, as `first_version` of core/storage.py says."""
        version = self.variable()
        self.store(self.context("zero"), version)
        with self.where(self.differs(self.get(self.context("stream"), Stream, "inferring"), self.context("False"))):
            thread = self.call("PyLong_FromUnsignedLong", self.call("PyThread_get_thread_ident"))
            with self.where(self.differs(thread, "null")):
                found = self.call("PySet_Contains", self.context("INFERRING"), thread)
                self.call("Py_DecRef", thread)
                with self.where(self.value(f"icmp eq i32 {found}, 1")):
                    self.store(self.context("UNTRACKED"), version)
        return self.load(version)

    def fill_result(self, storage, tensor, known):
        """Fill a new storage and the tensor that views all of it; `known`: the values of fields that are not the same
        for all. The tensor takes the reference to the storage."""
        zero, none, false = self.context("zero"), self.context("None"), self.context("False")
        version = self.first_version()
        self.put(storage, Storage, "index", known["index"])  # with our reference
        fields = dict(address=zero, version=version, block=none, guard=none, **known)
        for slot in ("pending", "nbytes", "device", "address", "version", "block", "guard"):
            self.call("Py_IncRef", fields[slot])
            self.put(storage, Storage, slot, fields[slot])
        self.put(tensor, Tensor, "_storage", storage)
        fields = dict(_layout=known["layout"], _offset=zero, _nr=zero, _view_version=zero, _creation=zero, _rg=false)
        for slot in Tensor.__slots__:
            if not slot.startswith("__") and slot != "_storage":
                value = fields.get(slot, none)
                self.call("Py_IncRef", value)
                self.put(tensor, Tensor, slot, value)
