"""Hot functions of the stream as LLVM IR text: native forms of Python functions, at a quarter of their time.

The Python forms are the specification, and run on interpreters that are not `supported`.

Note [Native short paths]
`unary`, `binary`, `binary_number` and `record_form` of core/record.py ask their native forms first, and go their own
way where the answer is None. Such an answer has changed nothing. What the native forms handle is the common case: an
operator that the path has seen here before, on operands without a guard, whose data it does not check, with the lock
free. They call no Python code between the look at the block and the commit, so no signal and no other thread gets
between.

`py_references` is `references` of core/storage.py, `py_fill` the filling of a table in engine/executable.py. `text()`
gives the IR, with the offsets of slots in the classes of this interpreter; `executor` compiles it, engine/quick.py
binds it.
"""

import string

from ...core.block import Block, Step
from ...core.record import Form
from ...core.storage import Storage
from ...core.stream import MOST_BYTES, Stream
from ...core.tensor import Tensor
from .native_append import Appender
from .native_writer import CONTEXT, PYTHON, Writer, slot_offset

RECORDERS = {"py_record_unary": (1, False), "py_record_binary": (2, False), "py_record_binary_number": (1, True)}
FUNCTIONS = (*RECORDERS, "py_record_form", "py_references", "py_fill")
OTHERS = """
; references(slots): a byte for each storage, 1 where something else than the list refers to it. The first word of an
; object counts its references.
define ptr @py_references(ptr %self, ptr %args, i64 %n) nounwind {
entry:
  %slots = load ptr, ptr %args
  %count = call i64 @PyList_Size(ptr %slots)
  %bytes = call ptr @PyBytes_FromStringAndSize(ptr null, i64 %count)
  %none = icmp eq ptr %bytes, null
  br i1 %none, label %end, label %made
made:
  %data = call ptr @PyBytes_AsString(ptr %bytes)
  br label %next
next:
  %i = phi i64 [ 0, %made ], [ %i1, %look ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %look, label %end
look:
  %item = call ptr @PyList_GetItem(ptr %slots, i64 %i)
  %references = load i32, ptr %item
  %seen = icmp sgt i32 %references, 1
  %byte = zext i1 %seen to i8
  %at = getelementptr i8, ptr %data, i64 %i
  store i8 %byte, ptr %at
  %i1 = add i64 %i, 1
  br label %next
end:
  ret ptr %bytes
}

; fill(table, slots, address of temporaries, numbers, words): the words of a table behind its error word; the error word
; and so many words of progress before it are zero after. A slot that keeps no address (autograd/replay.py has such) has
; 0. (Volatile, or LLVM would make a call of memset of the loop.)
define ptr @py_fill(ptr %self, ptr %args, i64 %n) nounwind {
entry:
  %table = load ptr, ptr %args
  %slotsp = getelementptr ptr, ptr %args, i64 1
  %slots = load ptr, ptr %slotsp
  %arenap = getelementptr ptr, ptr %args, i64 2
  %arena = load ptr, ptr %arenap
  %numbersp = getelementptr ptr, ptr %args, i64 3
  %numbers = load ptr, ptr %numbersp
  %float = load ptr, ptr getelementptr (ptr, ptr @record_context, i64 $FLOAT)
  %none = load ptr, ptr getelementptr (ptr, ptr @record_context, i64 $NONE)
  %to = call i64 @PyLong_AsLongLong(ptr %table)
  %words = inttoptr i64 %to to ptr
  %beforep = getelementptr ptr, ptr %args, i64 4
  %before = load ptr, ptr %beforep
  %progress = call i64 @PyLong_AsLongLong(ptr %before)
  %from = sub i64 0, %progress
  %count = call i64 @PyList_Size(ptr %slots)
  br label %clear
clear:
  %c = phi i64 [ %from, %entry ], [ %c1, %clear ]
  %c1 = add i64 %c, 1
  %cp = getelementptr i64, ptr %words, i64 %c
  store volatile i64 0, ptr %cp
  %clean = icmp sgt i64 %c1, 0
  br i1 %clean, label %next, label %clear
next:
  %i = phi i64 [ 0, %clear ], [ %i1, %hold ]
  %i1 = add i64 %i, 1
  %place = getelementptr i64, ptr %words, i64 %i1
  %more = icmp slt i64 %i, %count
  br i1 %more, label %look, label %temporaries
look:
  %item = call ptr @PyList_GetItem(ptr %slots, i64 %i)
  %addressp = getelementptr i8, ptr %item, i64 $ADDRESS
  %address = load ptr, ptr %addressp
  %unset = icmp eq ptr %address, null
  br i1 %unset, label %hold, label %known
known:
  %value = call i64 @PyLong_AsLongLong(ptr %address)
  br label %hold
hold:
  %held = phi i64 [ 0, %look ], [ %value, %known ]
  store i64 %held, ptr %place
  br label %next
temporaries:
  %scratch = call i64 @PyLong_AsLongLong(ptr %arena)
  store i64 %scratch, ptr %place
  %first = add i64 %i1, 1
  %length = call i64 @PyList_Size(ptr %numbers)
  br label %step
step:
  %j = phi i64 [ 0, %temporaries ], [ %j1, %store ]
  %left = icmp slt i64 %j, %length
  br i1 %left, label %number, label %end
number:
  %given = call ptr @PyList_GetItem(ptr %numbers, i64 %j)
  %kind = call ptr @PyObject_Type(ptr %given)
  call void @Py_DecRef(ptr %kind)
  %real = icmp eq ptr %kind, %float
  br i1 %real, label %double, label %whole
double:
  %d = call double @PyFloat_AsDouble(ptr %given)
  %bits = bitcast double %d to i64
  br label %store
whole:
  %w = call i64 @PyLong_AsLongLong(ptr %given)
  br label %store
store:
  %word = phi i64 [ %bits, %double ], [ %w, %whole ]
  %k = add i64 %first, %j
  %at = getelementptr i64, ptr %words, i64 %k
  store i64 %word, ptr %at
  %j1 = add i64 %j, 1
  br label %step
end:
  %error = call ptr @PyErr_Occurred()
  %fine = icmp eq ptr %error, null
  br i1 %fine, label %good, label %bad
good:
  call void @Py_IncRef(ptr %none)
  ret ptr %none
bad:
  ret ptr null
}
"""


class _Recorder(Writer):
    """One function of (form, tensors ..., [number]), part by part in the order of `text`."""

    def __init__(self, tensors, number):
        super().__init__()
        given = [self.value(f"getelementptr ptr, ptr %args, i64 {i}") for i in range(1 + tensors + number)]
        self.form, *operands = [self.value(f"load ptr, ptr {g}") for g in given]
        self.tensors, self.number = operands[:tensors], operands[-1] if number else None
        self.none, self.true, self.false, self.stream = map(self.context, ("None", "True", "False", "stream"))
        self.index = [self.variable() for _ in self.tensors]  # slots as Python integers, references of ours
        self.fresh = [self.variable("i1") for _ in self.tensors]  # whether the operand enters the block
        self.left = [self.variable() for _ in self.tensors]  # the blocks that operands were in before
        self.chosen, self.owned = self.variable(), self.variable()

    def text(self, name):
        self.begin()
        self.operands()
        self.find_step()
        self.fill()
        self.commit()
        self.endings()
        body = "\n".join([*self.variables, *self.lines])
        return f"define ptr @{name}(ptr %self, ptr %args, i64 %n) nounwind {{\nentry:\n{body}\n}}\n"

    def begin(self):
        """Take the lock, make the new objects, look at the block."""
        for variable in (*self.index, *self.left, self.owned):
            self.line(f"store ptr null, ptr {variable}")
        self.unless(self.same(self.get(self.form, Form, "checks"), self.false), "back")
        got = self.call("PyObject_CallObject", self.context("acquire"), self.context("at once"))
        self.unless(self.differs(got, "null"), "clear")
        self.call("Py_DecRef", got)
        self.unless(self.same(got, self.true), "back")
        # What may collect garbage, and so run Python code, comes before the look at the block.
        self.tensor = self.call("PyType_GenericAlloc", self.context("Tensor"), 0)
        self.storage = self.call("PyType_GenericAlloc", self.context("Storage"), 0)
        self.unless(self.differs(self.tensor, "null"), "drop")
        self.unless(self.differs(self.storage, "null"), "drop")
        self.unless(self.same(self.get(self.stream, Stream, "dirty"), self.false), "drop")
        self.block = self.get(self.stream, Stream, "block")
        self.slots, self.step = self.get(self.block, Block, "slots"), self.get(self.block, Block, "step")
        self.length = self.call("PyList_Size", self.slots)

    def operands(self):
        """Their storages, the slots these have or will have, and the items of the key."""
        self.storages, self.entering, self.keys = [], "0", [self.form]
        for i, operand in enumerate(self.tensors):
            own, layout, offset = [self.get(operand, Tensor, slot) for slot in ("_storage", "_layout", "_offset")]
            for item in (own, layout, offset):
                self.unless(self.differs(item, "null"), "drop")
            self.slot(i, own)
            self.storages.append(own)
            enters = self.value(f"load i1, ptr {self.fresh[i]}")
            self.entering = self.value(f"add i64 {self.entering}, {self.value(f'zext i1 {enters} to i64')}")
            self.keys += [self.value(f"load ptr, ptr {self.index[i]}"), layout, offset]
        if self.number:
            kind = self.call("PyObject_Type", self.number)
            self.call("Py_DecRef", kind)  # the number refers to it
            self.keys.append(kind)

    def slot(self, i, own):
        """The slot of the storage of operand `i`."""
        known, new, met, again, after = map(self.label, ("known", "new", "met", "again", "after"))
        self.branch(self.same(self.get(own, Storage, "pending"), self.block), known, new)
        self.at(known)
        self.keep_slot(i, self.get(own, Storage, "index"), after)
        self.at(new)
        self.unless(self.same(self.get(own, Storage, "guard"), self.none), "drop")
        if i:  # the same storage twice takes one slot
            self.branch(self.same(own, self.storages[0]), again, met)
            self.at(again)
            self.keep_slot(i, self.value(f"load ptr, ptr {self.index[0]}"), after)
        else:
            self.go(met)
        self.at(met)
        made = self.call("PyLong_FromSsize_t", self.value(f"add i64 {self.length}, {self.entering}"))
        self.line(f"store ptr {made}, ptr {self.index[i]}")
        self.line(f"store i1 true, ptr {self.fresh[i]}")
        self.unless(self.differs(made, "null"), "drop")
        self.go(after)
        self.at(after)

    def keep_slot(self, i, index, after):
        """Operand `i` has a slot already."""
        self.call("Py_IncRef", index)
        self.line(f"store ptr {index}, ptr {self.index[i]}")
        self.line(f"store i1 false, ptr {self.fresh[i]}")
        self.go(after)

    def find_step(self):
        """The likely step if its key is equal item by item, or the one in the dictionary."""
        likely, whole = self.get(self.step, Step, "likely"), 3 * len(self.tensors)
        self.branch(self.same(likely, self.none), "seek", "compare")
        self.at("compare")
        size = self.call("PyTuple_Size", likely)
        self.unless(self.value(f"icmp eq i64 {size}, {len(self.keys)}"), "seek")
        for i, key in enumerate(self.keys):
            item, equal, differ = self.call("PyTuple_GetItem", likely, i), self.label("equal"), self.label("differ")
            integer = i % 3 != 2 and 0 < i <= whole  # a slot or an offset
            self.branch(self.same(item, key), equal, differ if integer else "seek")
            if integer:
                self.at(differ)
                a, b = self.call("PyLong_AsSsize_t", item), self.call("PyLong_AsSsize_t", key)
                self.branch(self.value(f"icmp eq i64 {a}, {b}"), equal, "seek")
            self.at(equal)
        self.line(f"store ptr {self.get(self.step, Step, 'then')}, ptr {self.chosen}")
        self.go("known")
        self.at("seek")
        self.seek()

    def seek(self):
        """Look the step up, and make it the likely one."""
        key = self.call("PyTuple_New", len(self.keys))
        self.unless(self.differs(key, "null"), "drop")
        for i, item in enumerate(self.keys):
            self.call("Py_IncRef", item)
            self.call("PyTuple_SetItem", key, i, item)
        found = self.call("PyDict_GetItemWithError", self.get(self.step, Step, "short"), key)
        # Making the key may have collected garbage: the block must be as it was.
        size = self.call("PyList_Size", self.slots)
        holds = self.differs(found, "null")
        for condition in (self.same(self.get(self.stream, Stream, "block"), self.block),
                          self.same(self.get(self.block, Block, "step"), self.step),
                          self.value(f"icmp eq i64 {size}, {self.length}")):
            holds = self.value(f"and i1 {holds}, {condition}")
        self.branch(holds, "found", "unknown")
        self.at("unknown")
        self.call("Py_DecRef", key)
        self.go("drop")
        self.at("found")
        self.call("Py_IncRef", found)
        old = self.swap(self.step, Step, "likely", key), self.swap(self.step, Step, "then", found)
        for item in old:
            self.call("Py_DecRef", item)
        self.line(f"store ptr {found}, ptr {self.chosen}")
        self.go("known")

    def fill(self):
        """Fill the new objects, as `result` of core/record.py does."""
        self.at("known")
        self.after = self.value(f"load ptr, ptr {self.chosen}")
        nbytes = self.get(self.after, Step, "nbytes")
        self.held = self.call("PyNumber_Add", self.get(self.block, Block, "held"), nbytes)
        place = self.call("PyLong_FromSsize_t", self.value(f"add i64 {self.length}, {self.entering}"))
        self.unless(self.differs(self.held, "null"), "drop")
        self.unless(self.differs(place, "null"), "drop")
        fits = self.value(f"icmp sle i64 {self.call('PyLong_AsSsize_t', self.held)}, {MOST_BYTES}")
        small, large = self.label("small"), self.label("large")
        self.branch(fits, small, large)
        self.at(large)
        self.call("Py_DecRef", self.held)
        self.call("Py_DecRef", place)
        self.go("drop")
        self.at(small)
        layout = self.call("PyTuple_GetItem", self.get(self.after, Step, "layouts"), 0)
        device = self.get(self.storages[0], Storage, "device")
        self.fill_result(self.storage, self.tensor, dict(index=place, pending=self.block, nbytes=nbytes, device=device,
                                                         layout=layout))

    def commit(self):
        """Append to the lists of the block, take the step, release the lock."""
        for i, own in enumerate(self.storages):
            enter, after = self.label("enter"), self.label("after")
            self.branch(self.value(f"load i1, ptr {self.fresh[i]}"), enter, after)
            self.at(enter)
            self.append(self.slots, own)
            self.line(f"store ptr {self.swap(own, Storage, 'index', self.keys[1 + 3 * i])}, ptr {self.index[i]}")
            self.call("Py_IncRef", self.block)
            self.line(f"store ptr {self.swap(own, Storage, 'pending', self.block)}, ptr {self.left[i]}")
            self.go(after)
            self.at(after)
        self.append(self.slots, self.storage)
        if self.number:
            self.append(self.get(self.block, Block, "scalars"), self.number)
        old = self.swap(self.block, Block, "held", self.held)
        self.call("Py_IncRef", self.after)
        self.call("Py_DecRef", self.swap(self.block, Block, "step", self.after))  # the tree refers to it
        self.call("Py_DecRef", old)
        self.release()
        for variable in (*self.index, *self.left):  # a block may be the last to refer to storages: after the release
            self.drop(variable)
        self.line(f"ret ptr {self.tensor}")

    def append(self, items, item):
        self.unless(self.value(f"icmp eq i32 {self.call('PyList_Append', items, item)}, 0"), "lost")

    def release(self):
        self.call("Py_DecRef", self.call("PyObject_CallObject", self.context("release"), "null"))

    def endings(self):
        """The exits without an answer. lost: no memory for the lists. drop: the lock is held. back: nothing is held."""
        self.at("lost")
        self.call("Py_IncRef", self.true)
        self.call("Py_DecRef", self.swap(self.stream, Stream, "dirty", self.true))
        self.call("Py_DecRef", self.held)
        self.go("cleared")
        self.at("drop")
        self.line(f"store ptr {self.storage}, ptr {self.owned}")  # the tensor does not refer to it yet
        self.go("cleared")
        self.at("cleared")
        self.call("PyErr_Clear")
        self.release()
        for variable in (*self.index, *self.left, self.owned):
            self.drop(variable)
        self.line(f"store ptr {self.tensor}, ptr {self.owned}")
        self.drop(self.owned)
        self.go("back")
        self.at("clear")
        self.call("PyErr_Clear")
        self.go("back")
        self.at("back")
        self.call("Py_IncRef", self.none)
        self.line(f"ret ptr {self.none}")


def text(declared):
    """The IR text, for the classes of this process; without the declarations of functions that are `declared`."""
    declarations = []
    for name, signature in PYTHON.items():
        if name in declared:
            continue
        result, _, kinds = signature.partition(" ")
        declarations.append(f"declare {result} @{name}{kinds}\n")
    return "".join([f"@record_context = internal global [{len(CONTEXT)} x ptr] zeroinitializer\n",
                    "define ptr @record_place() nounwind {\n  ret ptr @record_context\n}\n", *declarations,
                    *[_Recorder(*shape).text(name) for name, shape in RECORDERS.items()],
                    Appender().text("py_record_form"),
                    string.Template(OTHERS).substitute(FLOAT=CONTEXT.index("float"), NONE=CONTEXT.index("None"),
                                                       ADDRESS=slot_offset(Storage, "address"))])
