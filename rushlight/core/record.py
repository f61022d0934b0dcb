"""Recording: the hot path from a user's operator to an instruction in the stream.

In: an operator, its static attributes, tensors and numbers. Out: tensors whose storages the pending instruction will
write. A known step of the prefix tree costs one dictionary look-up; an unknown one runs the operator's `infer`, which
raises the user's errors here, on the user's line. Gradients are attached by the callers (`grads.py`). Read `declare`
next.
"""

import os
import sys

from ..base import switches
from . import dtype as dt
from .block import HARD_LENGTH, LONG_WAY, SOFT_LENGTH, Known
from .device import CPU
from .layout import Layout
from .storage import (INFERRING, FailedStorage, Storage, check, check_tracked, first_version, is_exposed, new_storage,
                      storage_elsewhere)
from .stream import MOST_BYTES, STREAM, flush
from .tensor import Tensor, version_of, view

FOLDER = __file__.removesuffix(os.path.join("core", "record.py"))
MOST_FORMS = 4096  # of one operator
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1  # of the integers that a program takes as they are
MOST_KNOWN = 1 << 16
acquire, release, owned = STREAM.acquire, STREAM.release, STREAM.owned


def no_answer(form, *operands):
    """The native form of a function that records, as long as the engine has given no other, see engine/quick.py."""
    return None


quick_form = quick_unary = quick_binary = quick_binary_number = no_answer


class Form:
    """One way to record an operator: its pattern of tensors and numbers and its static attributes. Equal forms are
    one object, so that the keys of the prefix tree compare them by identity. Made by `Operator.form`."""

    __slots__ = ("op", "pattern", "attrs", "checks")

    def __init__(self, op, pattern, attrs):
        self.op, self.pattern, self.attrs = op, pattern, attrs
        self.checks = op.checks or op.kind == "host"  # whether it may fail when it runs: the user's line is kept

    def __repr__(self):
        return f"<form {self.op.name} {self.pattern} {self.attrs}>"


def record(op, pattern, attrs, tensors, numbers=(), outs=None, device=CPU):
    """Append `op` to the stream.

    `pattern` has one letter per parameter of the body: "t" takes the next tensor, "n" the next number. `outs`:
    tensors to write instead of new ones. `device`: of the results of an operator without tensors. Returns the list of
    result tensors (without history).
    """
    if op.reads is not None:
        tensors = op.conform(attrs, tensors)
    return record_form(op.form(pattern, attrs), tensors, numbers, outs, device)


def record_form(form, tensors, numbers=(), outs=None, device=CPU):
    """`record` of a form."""
    results = quick_form(form, tensors, numbers, outs) if device is CPU else None
    if results is not None:
        return results
    if any([n.__class__ is int and not LOWEST <= n <= HIGHEST for n in numbers]):
        numbers = [fitted(n, (*tensors, *(outs or ()))) for n in numbers]
    mixed = False
    try:
        acquire()
        if STREAM.dirty:
            STREAM.repair()
        if tensors:
            device = tensors[0]._storage.device
        elif outs:
            device = outs[0]._storage.device
        if device is CPU:
            exposed, ready = append(STREAM, form, tensors, numbers, outs, device)
        else:
            exposed, ready = False, device.stream.append(form, tensors, numbers, outs)
        release()
    except OtherDevice:
        STREAM.dirty = mixed = True
        release()
    except BaseException:
        if owned():
            STREAM.dirty = True
            release()
        raise
    if mixed:
        return record_form(form, on_one_device(form, tensors, outs), numbers, outs)
    if ready is None:  # a long block ended before this operator, or the operator is no loop and reads plain types
        return record_form(form, tensors, numbers, outs, device) if form.op.is_loop else record_plain(
            form, tensors, numbers, outs)
    if exposed:
        flush()
        for t in ready:
            check(t._storage)
    return ready


def fitted(number, tensors):
    """A Python integer as 64 bits, as PyTorch takes it: from 2**63 on it is unsigned. OverflowError beyond that."""
    if number.__class__ is not int or LOWEST <= number <= HIGHEST:
        return number
    if not 0 <= number < 1 << 64:
        raise OverflowError("int too big to convert")
    if any([t._layout.dtype.category >= dt.FLOATING for t in tensors]):
        return float(number)
    return number - (1 << 64)


def append(stream, form, tensors, numbers, outs, device):
    """Append an operator to the block of a device's stream; (whether it has to run at once, the list of result
    tensors). The list is None where nothing was recorded: the block was flushed because it was long enough, or an
    operand has to be resolved."""
    block = stream.block
    key = [form]
    exposed = switches.EAGER
    for t in tensors:
        exposed |= add_operand(stream, block, key, t, device)
    for n in numbers:
        key.append(n.__class__)
    if outs is not None:
        key.append("out")
        for t in outs:
            if t._storage.version < 0:
                check_tracked(t._storage)
            if t._storage.__class__ is FailedStorage and overwrites(form, t, tensors):
                if t._storage.pending is not block:
                    stream.enter(t._storage)
            exposed |= add_operand(stream, block, key, t, device)
    key, before = tuple(key), block.step
    if key == before.likely:
        step = before.then
    else:
        if (before.depth >= SOFT_LENGTH and block.outer is None
                and ends_here(stream, before, key, form, tensors, numbers, outs)):
            block.repair()
            stream.flush()
            return False, None
        step = before.next.get(key)
        if step is None:
            if not form.op.is_loop and any([is_flipped(t) for t in (*tensors, *(outs or ()))]):
                block.repair()
                return False, None
            step = checked(stream, key, form, tensors, numbers, outs)
        if not exposed:
            before.likely, before.then = key, step
    if numbers:
        block.scalars.extend(numbers)
    if form.checks:
        block.lines.append((step.depth, user_line()))
    if outs is not None:
        commit_writes(block, step, outs)
        return exposed, outs
    if len(step.layouts) == 1 and device is CPU:
        return exposed, [result(block, step, device)]
    return exposed, new_results(stream, block, step, device)


class OtherDevice(Exception):
    """An operand is not on the device of the operator that is being recorded."""


on_one_device = None  # set by ops: (form, tensors, outs) -> the tensors on one device, or the user's error


def is_flipped(tensor):
    """Whether the memory of a tensor holds values other than the tensor's (Note [Flipped types] in dtype.py)."""
    return tensor._layout.dtype.plain is not tensor._layout.dtype


def record_plain(form, tensors, numbers, outs):
    """`record_form` for an operator that is not a loop and so takes plain types only: flipped operands are copied, and
    copies of flipped results written back."""
    tensors = [resolve(t) for t in tensors]
    if outs is None:
        return record_form(form, tensors, numbers)
    copies = [resolve(t) for t in outs]
    record_form(form, tensors, numbers, copies)
    for t, copy in zip(outs, copies):
        if copy is not t:
            record_form(copy_form, (copy,), (), (t,))
    return outs


def add_operand(stream, block, key, tensor, device):
    """Enter a tensor into the block, and add it to the key of the step; whether others see its memory now."""
    storage = tensor._storage
    if storage.pending is not block:
        if storage.device is not device:
            raise OtherDevice
        check(storage)
        stream.enter(storage)
    key += (storage.index, tensor._layout, tensor._offset)
    return storage.guard is not None and is_exposed(storage)


def overwrites(form, target, tensors):
    """Whether a form writes all memory of the target's storage without reading it."""
    storage, layout = target._storage, target._layout
    return (form.op.kind == "elementwise" and layout.dense
            and layout.nbytes == storage.nbytes and all([t._storage is not storage for t in tensors]))


copy_form = None  # set by ops: the form of copy_
resolve = None  # set by ops: a tensor of a flipped type -> one of the plain type, any other tensor as it is


def commit_writes(block, step, outs):
    """Commit a step that writes into `outs`, with their versions: both or none."""
    before = [version_of(t) for t in outs]
    try:
        for t, version in zip(outs, before):
            set_version(t, version + 1)
        block.step = step
    except BaseException:
        if block.step is not step:
            for t, version in zip(outs, before):
                set_version(t, version)
        raise


def set_version(tensor, version):
    if tensor._versions is None:
        tensor._storage.version = version
    else:
        tensor._versions[0] = version


def new_results(stream, block, step, device):
    """Tensors over new storages for the results of a step, which they commit."""
    outs, slots = [], block.slots
    make = new_storage if device is CPU else storage_elsewhere
    for layout in step.layouts:
        storage = make(layout.nbytes, device, len(slots), block)
        slots.append(storage)
        outs.append(view(storage, layout, 0))
    block.held += step.nbytes
    block.step = step
    if block.held > MOST_BYTES and stream.overfull():
        stream.flush()
    return outs


def ends_here(stream, before, key, form, tensors, numbers, outs):
    """Whether a long block should end before this operator: a known block starts with it, or the block is too long."""
    if before.depth >= HARD_LENGTH:
        return True
    if (form, *key[2:4]) not in stream.starts:
        return False
    seen, start = {}, [form]
    for t in tensors:
        start += (seen.setdefault(id(t._storage), len(seen)), t._layout, t._offset)
    start += [n.__class__ for n in numbers]
    if outs is not None:
        start.append("out")
        for t in outs:
            start += (seen.setdefault(id(t._storage), len(seen)), t._layout, t._offset)
    return tuple(start) in stream.root.next


def checked(stream, key, form, tensors, numbers, outs):
    """The step of an operator that this path has not seen, or the errors of its operands."""
    end, count = 1 + 3 * len(tensors), len(numbers)
    signature = (form, *key[2:end:3], *key[end:end + count + 1], *key[end + count + 2::3])
    if outs is not None:
        check_overlap(form.op, tensors, outs)
    known = KNOWN.get(signature)
    if known is None:
        known = KNOWN.keep(signature, infer(form, tensors, numbers, outs))
    return stream.grow(key, known)


def fresh(key, signature):
    """The step of a short path that knows none; None where `append` has to look into it. `signature`: that of Note
    [Known forms]. What is written is in no storage that is read."""
    before = STREAM.block.step
    step = None
    if before.short is LONG_WAY:
        if switches.EAGER or before.depth >= HARD_LENGTH or (key[0], *key[2:4]) in STREAM.starts:
            return None
        step = before.next.get(key)
    if step is None:
        known = KNOWN.young.get(signature) or KNOWN.get(signature) or learnt(*signature)
        if known is None:
            return None
        step = STREAM.grow(key, known)
    before.likely, before.then = key, step
    return step


class Memo:
    """A dictionary of bounded size that forgets entries not used recently. It has two halves; when the younger one is
    full, the older one is dropped."""

    def __init__(self, most):
        self.half, self.young, self.old = most // 2, {}, {}

    def get(self, key):
        found = self.young.get(key)
        if found is None and self.old:
            found = self.old.get(key)
            if found is not None:
                self.keep(key, found)
        return found

    def keep(self, key, value):
        if len(self.young) >= self.half:
            self.old, self.young = self.young, {}
        self.young[key] = value
        return value

    def clear(self):
        self.young, self.old = {}, {}


# Note [Known forms]
# What `infer` says depends on the form and on the layouts of operands, classes of numbers and layouts of given results
# alone: on no offset, slot or place in the tree. So it runs once for each such signature, and a step that is new to its
# path (another row, another place) costs a look-up. The default dtype takes part in promotion: a new one clears this.
KNOWN = Memo(MOST_KNOWN)
dt.WATCHERS.append(KNOWN.clear)


def infer(form, tensors, numbers, outs, rule=None):
    """Run the operator's rule, or another one: the Known of a signature."""
    layouts, classes = [t._layout for t in tensors], [n.__class__ for n in numbers]
    given = None if outs is None else [t._layout for t in outs]
    results, info = (rule or form.op.infer)(layouts, classes, form.pattern, form.attrs, given)
    return Known(results if given is None else (), info, arguments(form, classes), given is not None)


def learnt(form, *operands):
    """The Known of a new signature of a short path, which has no more than layouts and classes of numbers; None where
    `append` has to look into it."""
    layouts = [x for x in operands if x.__class__ is Layout]
    classes = operands[len(layouts):]
    if "out" in operands or not form.op.is_loop and any([x.dtype.plain is not x.dtype for x in layouts]):
        return None
    results, info = form.op.infer(layouts, classes, form.pattern, form.attrs, None)
    return KNOWN.keep((form, *operands), Known(results, info, arguments(form, classes), False))


def arguments(form, classes):
    """Where the parameters of a form's body come from, see Instruction in block.py."""
    args, i, n = [], 0, 0
    for letter in form.pattern:
        if letter == "t":
            args.append(("in", i))
            i += 1
        else:
            args.append(("num", n, classes[n]))
            n += 1
    return tuple(args)


def check_devices(op, tensors, outs):
    devices = {t._storage.device for t in (*tensors, *(outs or ()))}
    if len(devices) > 1:
        raise mixed_devices(op.name, devices)


def mixed_devices(name, devices):
    """The exception for operands on several devices."""
    names = " and ".join(sorted(map(str, devices)))
    return RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, {names}! "
                        f"(when checking arguments for {name})")


REPEATED = ("unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation.")


def check_overlap(op, tensors, outs):
    """PyTorch's checks of writes that would meet their own reads."""
    for out in outs:
        layout = out._layout
        if layout.overlaps_itself and not op.repeats:
            raise RuntimeError(f"{REPEATED} ({op.name})")
        if not op.checks_overlap:
            continue
        for t in tensors:
            if t._storage is out._storage and partly_overlaps(t, out):
                raise RuntimeError(
                    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a "
                    f"single memory location. Please clone() the tensor before performing the operation. ({op.name})"
                )


def partly_overlaps(a, b):
    la, lb = a._layout, b._layout
    if la is lb and a._offset == b._offset:
        return False
    if not (la.dense and lb.dense) or not la.numel or not lb.numel:
        return False
    a0, b0 = a._offset * la.dtype.itemsize, b._offset * lb.dtype.itemsize
    a1, b1 = a0 + la.nbytes, b0 + lb.nbytes
    if a0 == b0 and a1 == b1:
        return la.strides != lb.strides
    return a0 < b1 and b0 < a1


def user_line():
    """(file, line) of the innermost frame outside this package."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(FOLDER):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("<unknown>", 0)


# -- the short paths: `append` with everything unrolled ----------------------------------------------------------------


def binary(form, a, b):
    """The result of a form of two tensors."""
    tensor = quick_binary(form, a, b)
    if tensor is not None:
        return tensor
    try:
        acquire()
        if STREAM.dirty:
            STREAM.repair()
        block, sa, sb, plain = STREAM.block, a._storage, b._storage, True
        slots = block.slots
        if sa.pending is not block:
            if sa.guard is None:
                slots.append(sa)
                sa.index = len(slots) - 1
                sa.pending = block
            else:
                plain = False
        if sb.pending is not block:
            if sb.guard is None:
                slots.append(sb)
                sb.index = len(slots) - 1
                sb.pending = block
            else:
                plain = False
        if plain:
            key = (form, sa.index, a._layout, a._offset, sb.index, b._layout, b._offset)
            step = block.step
            step = step.then if key == step.likely else step.follow(key)
            if step is None:
                step = fresh(key, (form, a._layout, b._layout))
            if step is not None:
                if form.checks:
                    block.lines.append((step.depth, user_line()))
                tensor = result(block, step, sa.device)
                release()
                return tensor
        block.repair()
        release()
    except BaseException:
        if owned():
            STREAM.dirty = True
            release()
        raise
    return record_form(form, (a, b))[0]


def binary_number(form, a, number):
    """The result of a form of a tensor and a number."""
    tensor = quick_binary_number(form, a, number)
    if tensor is not None:
        return tensor
    try:
        acquire()
        if STREAM.dirty:
            STREAM.repair()
        block, sa, plain = STREAM.block, a._storage, True
        slots = block.slots
        if sa.pending is not block:
            if sa.guard is None:
                slots.append(sa)
                sa.index = len(slots) - 1
                sa.pending = block
            else:
                plain = False
        if plain:
            key = (form, sa.index, a._layout, a._offset, number.__class__)
            step = block.step
            step = step.then if key == step.likely else step.follow(key)
            if step is None:
                step = fresh(key, (form, a._layout, number.__class__))
            if step is not None:
                block.scalars.append(number)
                if form.checks:
                    block.lines.append((step.depth, user_line()))
                tensor = result(block, step, sa.device)
                release()
                return tensor
        block.repair()
        release()
    except BaseException:
        if owned():
            STREAM.dirty = True
            release()
        raise
    return record_form(form, (a,), (number,))[0]


def unary(form, a):
    """The result of a form of one tensor."""
    tensor = quick_unary(form, a)
    if tensor is not None:
        return tensor
    try:
        acquire()
        if STREAM.dirty:
            STREAM.repair()
        block, sa, plain = STREAM.block, a._storage, True
        slots = block.slots
        if sa.pending is not block:
            if sa.guard is None:
                slots.append(sa)
                sa.index = len(slots) - 1
                sa.pending = block
            else:
                plain = False
        if plain:
            key = (form, sa.index, a._layout, a._offset)
            step = block.step
            step = step.then if key == step.likely else step.follow(key)
            if step is None:
                step = fresh(key, (form, a._layout))
            if step is not None:
                if form.checks:
                    block.lines.append((step.depth, user_line()))
                tensor = result(block, step, sa.device)
                release()
                return tensor
        block.repair()
        release()
    except BaseException:
        if owned():
            STREAM.dirty = True
            release()
        raise
    return record_form(form, (a,))[0]


def result(block, step, device, _new=Tensor.__new__, _tensor=Tensor):
    """The one new tensor of a step, which it commits: `view` of a new storage, without the calls."""
    layout = step.layouts[0]
    storage = Storage()
    storage.pending, storage.index, storage.nbytes, storage.device = block, step.count - 1, layout.nbytes, device
    storage.address, storage.version = 0, first_version() if INFERRING else 0
    storage.block = storage.guard = None
    block.slots.append(storage)
    tensor = _new(_tensor)
    tensor._storage, tensor._layout = storage, layout
    tensor._rg = False
    tensor._grad_fn = tensor._base = tensor._grad = tensor._versions = None
    tensor._hooks = tensor._retain = tensor._accumulate = None
    tensor._offset = tensor._nr = tensor._view_version = tensor._creation = 0
    block.held += layout.nbytes
    block.step = step
    if block.held > MOST_BYTES and STREAM.overfull():
        flush()
    return tensor


def write_copy(form, source, storage, layout, offset):
    """A form of one tensor whose result goes to a given part of a storage without history."""
    try:
        acquire()
        if STREAM.dirty:
            STREAM.repair()
        block, sa, plain = STREAM.block, source._storage, True
        if sa.pending is not block:
            if sa.guard is None:
                STREAM.enter(sa)
            else:
                plain = False
        if storage.pending is not block:
            if storage.guard is None:
                STREAM.enter(storage)
            else:
                plain = False
        if plain:
            key = (form, sa.index, source._layout, source._offset, "out", storage.index, layout, offset)
            step = block.step
            step = step.then if key == step.likely else step.follow(key)
            if step is None and sa is not storage:
                step = fresh(key, (form, source._layout, "out", layout))
            if step is not None:
                storage.version += 1
                block.step = step
                release()
                return
        block.repair()
        release()
    except BaseException:
        if owned():
            STREAM.dirty = True
            release()
        raise
    record_form(form, (source,), (), (view(storage, layout, offset),))


def write_number(form, number, storage, layout, offset):
    """A form of one number that goes to a given part of a storage."""
    try:
        acquire()
        if STREAM.dirty:
            STREAM.repair()
        block, plain = STREAM.block, True
        if storage.pending is not block:
            if storage.guard is None:
                STREAM.enter(storage)
            else:
                plain = False
        if plain:
            key = (form, number.__class__, "out", storage.index, layout, offset)
            step = block.step
            step = step.then if key == step.likely else step.follow(key)
            if step is None:
                step = fresh(key, (form, number.__class__, "out", layout))
            if step is not None:
                block.scalars.append(number)
                storage.version += 1
                block.step = step
                release()
                return
        block.repair()
        release()
    except BaseException:
        if owned():
            STREAM.dirty = True
            release()
        raise
    record_form(form, (), (number,), (view(storage, layout, offset),))
