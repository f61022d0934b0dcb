"""The native form of `record_form`, for any number of operands, numbers, results and targets.

See Note [Native short paths] in native_record.py for what it handles and why it may. Unlike the unrolled functions
there, it enters operands as it meets them, and takes them out again where the answer is None: a signal may come before
`append` of core/record.py goes on.
"""

from ...core.block import Block, Step
from ...core.layout import Layout
from ...core.record import Form
from ...core.storage import Storage
from ...core.stream import MOST_BYTES, Stream
from ...core.tensor import Tensor
from .native_writer import Writer

EQUAL = 2  # Py_EQ


class Appender(Writer):
    """A function of (form, tensors, numbers, outs): a list of new tensors, or `outs`, or None."""

    def __init__(self):
        super().__init__()
        places = [self.value(f"getelementptr ptr, ptr %args, i64 {i}") for i in range(4)]
        self.form, self.tensors, self.numbers, self.outs = map(self.load, places)
        self.none, self.true, self.false, self.stream = map(self.context, ("None", "True", "False", "stream"))
        self.position, self.chosen, self.device = self.variable("i64"), self.variable(), self.variable()
        self.key, self.results, self.held = self.variable(), self.variable(), self.variable()
        self.collects, self.first = self.variable("i32"), self.variable("i64")

    def text(self, name):
        """The IR text of the function."""
        self.begin()
        self.make_key()
        self.find_step()
        self.check_numbers()
        self.branch(self.writes, "targets", "new")
        self.at("targets")
        self.write()
        self.at("new")
        self.make_results()
        self.commit()
        self.endings()
        body = "\n".join([*self.variables, *self.lines])
        return f"define ptr @{name}(ptr %self, ptr %args, i64 %n) nounwind {{\nentry:\n{body}\n}}\n"

    def begin(self):
        """Take the lock, keep the collector of garbage out, look at the block."""
        for variable in (self.key, self.results, self.held, self.device):
            self.store("null", variable)
        self.store(-1, self.first, "i64")
        self.unless(self.same(self.get(self.form, Form, "checks"), self.false), "back")
        got = self.call("PyObject_CallObject", self.context("acquire"), self.context("at once"))
        self.unless(self.differs(got, "null"), "clear")
        self.call("Py_DecRef", got)
        self.unless(self.same(got, self.true), "back")
        self.store(self.call("PyGC_Disable"), self.collects, "i32")
        self.unless(self.same(self.get(self.stream, Stream, "dirty"), self.false), "drop")
        self.block = self.get(self.stream, Stream, "block")
        self.slots, self.step = self.get(self.block, Block, "slots"), self.get(self.block, Block, "step")
        self.store(self.call("PyList_Size", self.slots), self.first, "i64")
        self.writes = self.differs(self.outs, self.none)

    def make_key(self):
        """The key of the step; the operands enter the block."""
        size = self.call("PyObject_Size", self.tensors)
        self.count = self.call("PyObject_Size", self.numbers)
        self.unless(self.value(f"icmp sge i64 {size}, 0"), "drop")
        self.unless(self.value(f"icmp sge i64 {self.count}, 0"), "drop")
        # New results lie where the first operand does; an operator without one has its own way to say it.
        enough = self.value(f"icmp sgt i64 {size}, 0")
        self.unless(self.value(f"or i1 {enough}, {self.writes}"), "drop")
        total, targets = self.variable("i64"), self.variable("i64")
        self.store(0, targets, "i64")
        tripled = self.value(f"mul i64 {size}, 3")
        length = self.value(f"add i64 {self.value(f'add i64 {tripled}, {self.count}')}, 1")
        self.store(length, total, "i64")
        with self.where(self.writes):
            number = self.call("PyObject_Size", self.outs)
            self.unless(self.value(f"icmp sgt i64 {number}, 0"), "drop")
            self.store(number, targets, "i64")
            more = self.value(f"add i64 {self.value(f'mul i64 {number}, 3')}, 1")
            self.store(self.value(f"add i64 {length}, {more}"), total, "i64")
        self.target_count = self.load(targets, "i64")
        key = self.call("PyTuple_New", self.load(total, "i64"))
        self.unless(self.differs(key, "null"), "drop")
        self.store(key, self.key)
        self.store(0, self.position, "i64")
        self.add(self.form)
        with self.each(size) as i:
            self.enter(self.item(self.tensors, i))
        with self.each(self.count) as i:
            kind = self.call("PyObject_Type", self.item(self.numbers, i))
            self.add(kind)
            self.call("Py_DecRef", kind)
        with self.where(self.writes):
            self.add(self.context("out"))
            with self.each(self.target_count) as i:
                target = self.item(self.outs, i)
                self.unless(self.same(self.get(target, Tensor, "_versions"), self.none), "drop")
                self.enter(target)
                version = self.get(self.get(target, Tensor, "_storage"), Storage, "version")
                with self.where(self.value(f"icmp slt i64 {self.call('PyLong_AsLongLong', version)}, 0")):
                    self.unless(self.same(self.first_version(), self.context("UNTRACKED")), "drop")  # check_tracked

    def add(self, item):
        """The next item of the key."""
        at = self.load(self.position, "i64")
        self.call("Py_IncRef", item)
        self.call("PyTuple_SetItem", self.load(self.key), at, item)
        self.store(self.value(f"add i64 {at}, 1"), self.position, "i64")

    def enter(self, tensor):
        """Add slot, layout and offset of a tensor to the key; its storage gets a slot, if it has none."""
        own, layout, offset = [self.get(tensor, Tensor, slot) for slot in ("_storage", "_layout", "_offset")]
        for item in (own, layout, offset):
            self.unless(self.differs(item, "null"), "drop")
        self.unless(self.same(self.get(own, Storage, "guard"), self.none), "drop")
        with self.where(self.differs(self.get(own, Storage, "pending"), self.block)):
            index = self.call("PyLong_FromSsize_t", self.call("PyList_Size", self.slots))
            self.unless(self.differs(index, "null"), "drop")
            self.unless(self.value(f"icmp eq i32 {self.call('PyList_Append', self.slots, own)}, 0"), "lost")
            self.call("Py_IncRef", self.block)
            old = self.swap(own, Storage, "index", index), self.swap(own, Storage, "pending", self.block)
            for item in old:
                self.call("Py_DecRef", item)
        with self.where(self.same(self.load(self.device), "null")):
            self.store(self.get(own, Storage, "device"), self.device)
        for item in (self.get(own, Storage, "index"), layout, offset):
            self.add(item)

    def find_step(self):
        """The likely step if its key is equal, or the one in the dictionary, which becomes the likely one."""
        key, likely = self.load(self.key), self.get(self.step, Step, "likely")
        equal = self.call("PyObject_RichCompareBool", key, likely, EQUAL)
        self.branch(self.value(f"icmp eq i32 {equal}, 1"), "likely", "seek")
        self.at("likely")
        self.store(self.get(self.step, Step, "then"), self.chosen)
        self.go("known")
        self.at("seek")
        found = self.call("PyDict_GetItemWithError", self.get(self.step, Step, "short"), key)
        self.unless(self.differs(found, "null"), "drop")
        self.call("Py_IncRef", found)
        self.call("Py_IncRef", key)
        old = self.swap(self.step, Step, "likely", key), self.swap(self.step, Step, "then", found)
        for item in old:
            self.call("Py_DecRef", item)
        self.store(found, self.chosen)
        self.go("known")
        self.at("known")
        self.after = self.load(self.chosen)

    def check_numbers(self):
        """Integers beyond 64 bits are for `fitted`."""
        with self.each(self.count) as i:
            number = self.item(self.numbers, i)
            kind = self.call("PyObject_Type", number)
            self.call("Py_DecRef", kind)
            with self.where(self.differs(kind, self.context("float"))):
                self.call("PyLong_AsLongLong", number)
                self.unless(self.same(self.call("PyErr_Occurred"), "null"), "drop")

    def write(self):
        """The targets have new versions."""
        with self.each(self.target_count) as i:
            own = self.get(self.item(self.outs, i), Tensor, "_storage")
            version = self.call("PyNumber_Add", self.get(own, Storage, "version"), self.context("one"))
            self.unless(self.differs(version, "null"), "lost")
            self.call("Py_DecRef", self.swap(own, Storage, "version", version))
        self.call("Py_IncRef", self.outs)
        self.store(self.outs, self.results)
        self.go("commit")

    def make_results(self):
        """New tensors over new storages."""
        layouts = self.get(self.after, Step, "layouts")
        count = self.call("PyTuple_Size", layouts)
        held = self.call("PyNumber_Add", self.get(self.block, Block, "held"), self.get(self.after, Step, "nbytes"))
        self.unless(self.differs(held, "null"), "drop")
        self.store(held, self.held)
        self.unless(self.value(f"icmp sle i64 {self.call('PyLong_AsSsize_t', held)}, {MOST_BYTES}"), "drop")
        results = self.call("PyList_New", count)
        self.unless(self.differs(results, "null"), "drop")
        self.store(results, self.results)
        with self.each(count) as i:
            layout = self.call("PyTuple_GetItem", layouts, i)
            storage = self.call("PyType_GenericAlloc", self.context("Storage"), 0)
            self.unless(self.differs(storage, "null"), "lost")
            tensor = self.call("PyType_GenericAlloc", self.context("Tensor"), 0)
            self.unless(self.differs(tensor, "null"), "lost")
            place = self.call("PyLong_FromSsize_t", self.call("PyList_Size", self.slots))
            self.unless(self.differs(place, "null"), "lost")
            self.fill_result(storage, tensor, dict(index=place, pending=self.block, device=self.load(self.device),
                                                   nbytes=self.get(layout, Layout, "nbytes"), layout=layout))
            self.call("PyList_SetItem", results, i, tensor)
            self.unless(self.value(f"icmp eq i32 {self.call('PyList_Append', self.slots, storage)}, 0"), "lost")
        old = self.swap(self.block, Block, "held", held)
        self.call("Py_DecRef", old)
        self.store("null", self.held)
        self.go("commit")

    def commit(self):
        """Append the numbers, take the step."""
        self.at("commit")
        scalars = self.get(self.block, Block, "scalars")
        with self.each(self.count) as i:
            number = self.item(self.numbers, i)
            self.unless(self.value(f"icmp eq i32 {self.call('PyList_Append', scalars, number)}, 0"), "lost")
        self.call("Py_IncRef", self.after)
        self.call("Py_DecRef", self.swap(self.block, Block, "step", self.after))  # the tree refers to it
        self.leave()
        self.line(f"ret ptr {self.load(self.results)}")

    def leave(self):
        """Give up what is kept, the collector first and the lock last."""
        with self.where(self.value(f"icmp ne i32 {self.load(self.collects, 'i32')}, 0")):
            self.call("PyGC_Enable")
        self.call("Py_DecRef", self.call("PyObject_CallObject", self.context("release"), "null"))
        self.drop(self.key)

    def endings(self):
        """The exits without an answer. lost: out of memory after more than operands may have changed, so that the
        stream must be repaired. drop: the lock is held. back: nothing is held."""
        self.at("lost")
        self.call("Py_IncRef", self.true)
        self.call("Py_DecRef", self.swap(self.stream, Stream, "dirty", self.true))
        self.go("clean")
        self.at("drop")
        self.call("PyErr_Clear")
        first = self.load(self.first, "i64")
        with self.where(self.value(f"icmp sge i64 {first}, 0")):
            slots = self.get(self.get(self.stream, Stream, "block"), Block, "slots")
            end = self.call("PyList_Size", slots)
            with self.each(self.value(f"sub i64 {end}, {first}")) as i:
                own = self.item(slots, self.value(f"add i64 {first}, {i}"))
                self.call("Py_IncRef", self.none)
                self.call("Py_DecRef", self.swap(own, Storage, "pending", self.none))
            self.call("PyList_SetSlice", slots, first, end, "null")
        self.go("clean")
        self.at("clean")
        self.call("PyErr_Clear")
        self.leave()
        self.drop(self.held)
        self.drop(self.results)
        self.go("back")
        self.at("clear")
        self.call("PyErr_Clear")
        self.go("back")
        self.at("back")
        self.call("Py_IncRef", self.none)
        self.line(f"ret ptr {self.none}")
