"""Recording: the hot path from a user's operator to an instruction in the stream.

What comes in: an operator, its static attributes, tensors and numbers. What goes out: tensors whose storages the
pending instruction will write. A known step of the prefix tree costs one dictionary look-up; an unknown one runs the
operator's `infer`, which raises the user's errors here, on the user's line. Gradients are attached by the callers
(`grads.py`). Read `declare` next.
"""

import os
import sys

from ..base import switches
from .storage import Storage, is_exposed, new_storage
from .stream import HARD_LENGTH, MOST_BYTES, SOFT_LENGTH, STREAM, Instruction
from .tensor import Tensor, view

FOLDER = __file__.removesuffix(os.path.join("core", "record.py"))
MOST_FORMS = 4096  # of one operator
acquire, release = STREAM.acquire, STREAM.release


class Form:
    """One way to record an operator: its pattern of tensors and numbers and its static attributes. Equal forms are
    one object, so that the keys of the prefix tree compare them by identity. Made by `Op.form`."""

    __slots__ = ("op", "pattern", "attrs", "checks")

    def __init__(self, op, pattern, attrs):
        self.op, self.pattern, self.attrs, self.checks = op, pattern, attrs, op.checks

    def __repr__(self):
        return f"<form {self.op.name} {self.pattern} {self.attrs}>"


def record(op, pattern, attrs, tensors, numbers=(), outs=None):
    """Append `op` to the stream.

    `pattern` has one letter per parameter of the body: "t" takes the next tensor, "n" the next number. `outs`:
    tensors to write instead of new ones. Returns the list of result tensors (without history).
    """
    return record_form(op.form(pattern, attrs), tensors, numbers, outs)


def record_form(form, tensors, numbers=(), outs=None):
    """`record` of a form."""
    acquire()
    try:
        stream = STREAM
        epoch = stream.epoch
        key = [form]
        exposed = switches.EAGER
        for t in tensors:
            storage = t._storage
            if storage.epoch != epoch:
                stream.enter(storage)
            key += (storage.index, t._layout, t._offset)
            if storage.guard is not None and is_exposed(storage):
                exposed = True
        for n in numbers:
            key.append(n.__class__)
        if outs is not None:
            key.append("out")
            for t in outs:
                storage = t._storage
                if storage.epoch != epoch:
                    stream.enter(storage)
                key += (storage.index, t._layout, t._offset)
                if storage.guard is not None and is_exposed(storage):
                    exposed = True
        key, before = tuple(key), stream.step
        if key == before.likely:
            step = before.then
        else:
            if before.depth >= SOFT_LENGTH and ends_here(stream, form, tensors, numbers, outs):
                stream.leave()
                stream.flush()
                return record_form(form, tensors, numbers, outs)
            step = before.next.get(key)
            if step is None:
                if form.op.kind != "loop" and any([t._layout.dtype.plain is not t._layout.dtype for t in tensors]):
                    stream.leave()  # only loops read flipped types
                    return record_form(form, [resolve(t) for t in tensors], numbers, outs)
                if form.op.kind not in ("loop", "host") and any(
                        [t._layout.dtype.plain is not t._layout.dtype for t in outs or ()]):
                    raise NotImplementedError(f"{form.op.name}: writing to a lazily conjugated or negated view is not "
                                              f"implemented in rushlight")
                step = unknown(stream, key, form, tensors, numbers, outs)
            if not exposed:
                before.likely, before.then = key, step
        stream.step = step
        if numbers:
            stream.scalars.extend(numbers)
        if form.checks:
            stream.wheres.append((step.depth, user_line()))
        if outs is None:
            device = tensors[0]._storage.device if tensors else form.op.device(form.attrs)
            if len(step.layouts) == 1:
                outs = [result(stream, step, device, epoch, stream.slots)]
            else:
                outs = new_results(stream, step, device)
        else:
            count_writes(outs)
        if exposed:
            stream.flush()
        return outs
    finally:
        release()


resolve = None  # set by ops: a tensor of a flipped type -> one of the plain type, any other tensor as it is


def count_writes(outs):
    for t in outs:
        if t._versions is None:
            t._storage.version += 1
        else:
            t._versions[0] += 1


def new_results(stream, step, device):
    """Tensors over new storages for the results of a step."""
    outs, slots = [], stream.slots
    for layout in step.layouts:
        storage = new_storage(layout.nbytes, device, len(slots), stream.epoch)
        slots.append(storage)
        outs.append(view(storage, layout, 0))
    stream.held += step.nbytes
    if stream.held > MOST_BYTES and stream.overfull():
        stream.flush()
    return outs


def ends_here(stream, form, tensors, numbers, outs):
    """Whether a long block should end before this operator: a known block starts with it, or the block is too long."""
    if stream.step.depth >= HARD_LENGTH:
        return True
    seen, key = {}, [form]
    for t in tensors:
        key += (seen.setdefault(id(t._storage), len(seen)), t._layout, t._offset)
    key += [n.__class__ for n in numbers]
    if outs is not None:
        key.append("out")
        for t in outs:
            key += (seen.setdefault(id(t._storage), len(seen)), t._layout, t._offset)
    return tuple(key) in stream.root.next


def unknown(stream, key, form, tensors, numbers, outs):
    """Check, infer and append a step that this path has not seen; an operator that is refused leaves no trace."""
    try:
        return checked(stream, key, form, tensors, numbers, outs)
    except Exception:
        stream.leave()
        raise


def checked(stream, key, form, tensors, numbers, outs):
    """The new step of an operator that passes all checks."""
    op, pattern, attrs = form.op, form.pattern, form.attrs
    layouts = [t._layout for t in tensors]
    given = None if outs is None else [t._layout for t in outs]
    check_devices(op, tensors, outs)
    if outs is not None:
        check_overlap(op, tensors, outs)
    results, info = op.infer(layouts, [n.__class__ for n in numbers], pattern, attrs, given)
    ins = tuple((t._storage.index, t._layout, t._offset) for t in tensors)
    if outs is None:
        first = len(stream.slots)
        refs = tuple((first + i, layout, 0) for i, layout in enumerate(results))
        new = tuple(results)
    else:
        refs = tuple((t._storage.index, t._layout, t._offset) for t in outs)
        new = ()
    args, i, n = [], 0, len(stream.scalars)
    for letter in pattern:
        if letter == "t":
            args.append(("in", i))
            i += 1
        else:
            args.append(("num", n, numbers[n - len(stream.scalars)].__class__))
            n += 1
    return stream.grow(key, Instruction(op, attrs, ins, refs, tuple(args), info, outs is not None), new)


def check_devices(op, tensors, outs):
    devices = {t._storage.device for t in (*tensors, *(outs or ()))}
    if len(devices) > 1:
        names = " and ".join(sorted(map(str, devices)))
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, {names}! "
                           f"(when checking arguments for {op.name})")


REPEATED = ("unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation.")


def check_overlap(op, tensors, outs):
    """PyTorch's checks of writes that would meet their own reads."""
    for out in outs:
        layout = out._layout
        if layout.overlaps_itself and not op.options.get("repeats"):
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


# -- the short paths: `record_form` with everything unrolled ----------------------------------------------------------


def binary(form, a, b):
    """The result of a form of two tensors."""
    acquire()
    try:
        stream, sa, sb = STREAM, a._storage, b._storage
        epoch, slots = stream.epoch, stream.slots
        if sa.epoch != epoch:
            if sa.guard is not None:
                return record_form(form, (a, b))[0]
            sa.epoch, sa.index = epoch, len(slots)
            slots.append(sa)
        if sb.epoch != epoch:
            if sb.guard is not None:
                return record_form(form, (a, b))[0]
            sb.epoch, sb.index = epoch, len(slots)
            slots.append(sb)
        key = (form, sa.index, a._layout, a._offset, sb.index, b._layout, b._offset)
        step = stream.step
        step = step.then if key == step.likely else step.follow(key)
        if step is None:
            return record_form(form, (a, b))[0]
        stream.step = step
        if form.checks:
            stream.wheres.append((step.depth, user_line()))
        return result(stream, step, sa.device, epoch, slots)
    finally:
        release()


def binary_number(form, a, number):
    """The result of a form of a tensor and a number."""
    acquire()
    try:
        stream, sa = STREAM, a._storage
        epoch, slots = stream.epoch, stream.slots
        if sa.epoch != epoch:
            if sa.guard is not None:
                return record_form(form, (a,), (number,))[0]
            sa.epoch, sa.index = epoch, len(slots)
            slots.append(sa)
        key = (form, sa.index, a._layout, a._offset, number.__class__)
        step = stream.step
        step = step.then if key == step.likely else step.follow(key)
        if step is None:
            return record_form(form, (a,), (number,))[0]
        stream.step = step
        stream.scalars.append(number)
        if form.checks:
            stream.wheres.append((step.depth, user_line()))
        return result(stream, step, sa.device, epoch, slots)
    finally:
        release()


def unary(form, a):
    """The result of a form of one tensor."""
    acquire()
    try:
        stream, sa = STREAM, a._storage
        epoch, slots = stream.epoch, stream.slots
        if sa.epoch != epoch:
            if sa.guard is not None:
                return record_form(form, (a,))[0]
            sa.epoch, sa.index = epoch, len(slots)
            slots.append(sa)
        key = (form, sa.index, a._layout, a._offset)
        step = stream.step
        step = step.then if key == step.likely else step.follow(key)
        if step is None:
            return record_form(form, (a,))[0]
        stream.step = step
        if form.checks:
            stream.wheres.append((step.depth, user_line()))
        return result(stream, step, sa.device, epoch, slots)
    finally:
        release()


def result(stream, step, device, epoch, slots, _new=Tensor.__new__, _tensor=Tensor):
    """The one new tensor of a step: `view` of a new storage, without the calls."""
    layout = step.layouts[0]
    storage = Storage()
    storage.epoch, storage.index, storage.nbytes, storage.device = epoch, len(slots), layout.nbytes, device
    storage.address = storage.version = 0
    storage.block = storage.guard = None
    slots.append(storage)
    tensor = _new(_tensor)
    tensor._storage, tensor._layout = storage, layout
    tensor._rg = False
    tensor._grad_fn = tensor._base = tensor._grad = tensor._versions = None
    tensor._hooks = tensor._retain = tensor._accumulate = None
    tensor._offset = tensor._nr = tensor._view_version = tensor._creation = 0
    stream.held += layout.nbytes
    if stream.held > MOST_BYTES and stream.overfull():
        stream.flush()
    return tensor


def write_copy(form, source, storage, layout, offset):
    """A form of one tensor whose result goes to a given part of a storage without history."""
    acquire()
    try:
        stream, sa = STREAM, source._storage
        epoch, slots = stream.epoch, stream.slots
        if sa.epoch != epoch:
            if sa.guard is not None:
                return record_form(form, (source,), (), (view(storage, layout, offset),))
            sa.epoch, sa.index = epoch, len(slots)
            slots.append(sa)
        if storage.epoch != epoch:
            if storage.guard is not None:
                return record_form(form, (source,), (), (view(storage, layout, offset),))
            storage.epoch, storage.index = epoch, len(slots)
            slots.append(storage)
        key = (form, sa.index, source._layout, source._offset, "out", storage.index, layout, offset)
        step = stream.step
        step = step.then if key == step.likely else step.follow(key)
        if step is None:
            return record_form(form, (source,), (), (view(storage, layout, offset),))
        stream.step = step
        storage.version += 1
    finally:
        release()


def write_number(form, number, storage, layout, offset):
    """A form of one number that goes to a given part of a storage."""
    acquire()
    try:
        stream = STREAM
        epoch, slots = stream.epoch, stream.slots
        if storage.epoch != epoch:
            if storage.guard is not None:
                return record_form(form, (), (number,), (view(storage, layout, offset),))
            storage.epoch, storage.index = epoch, len(slots)
            slots.append(storage)
        key = (form, number.__class__, "out", storage.index, layout, offset)
        step = stream.step
        step = step.then if key == step.likely else step.follow(key)
        if step is None:
            return record_form(form, (), (number,), (view(storage, layout, offset),))
        stream.step = step
        stream.scalars.append(number)
        storage.version += 1
    finally:
        release()
