"""The native forms of hot functions: they do what their Python forms do, and leave no reference behind."""
import ctypes
import gc
import sys
import threading

import pytest

import rushlight as rl
from rushlight.base import switches
from rushlight.core import record, storage, stream
from rushlight.core.stream import STREAM
from rushlight.engine import quick
from rushlight.runtime.cpu import native

pytestmark = [pytest.mark.skipif(not native.records(), reason="this interpreter keeps slots elsewhere"),
              pytest.mark.skipif(switches.EAGER, reason="the eager mode takes the long way")]


@pytest.fixture(autouse=True)
def loaded():
    rl.ones(2).add(1).tolist()
    rl.set_grad_enabled(True)
    STREAM.flush()


def answers(monkeypatch):
    """What the native forms say from now on: a list of (name, whether there was an answer)."""
    seen = []
    for name in ("quick_unary", "quick_binary", "quick_binary_number", "quick_form"):
        def spy(*args, native=getattr(record, name), name=name):
            result = native(*args)
            seen.append((name, result is not None))
            return result
        monkeypatch.setattr(record, name, spy)
    return seen


def steps(a, b):
    """Operators of one and two results, of three operands, with numbers, and in place."""
    values, places = (a + b).exp().max(0)
    c = rl.addcmul(values * 2, a, b, value=0.5)
    return c.add_(places.sum()).mul_(3)


def program(a, b):
    return steps(a, b).tolist()


def test_an_operator_seen_before_is_recorded_natively(monkeypatch):
    a, b = rl.arange(4.0), rl.ones(4)
    expected = program(a, b)
    program(a, b)
    seen = answers(monkeypatch)
    assert program(a, b) == expected
    assert {name for name, _ in seen} == {"quick_unary", "quick_binary", "quick_binary_number", "quick_form"}
    assert all([answered for _, answered in seen]), seen


def test_both_forms_record_the_same(monkeypatch):
    a, b = rl.arange(4.0), rl.ones(4)
    program(a, b)
    found = []
    for native_forms in (True, False):
        if not native_forms:
            for name in ("quick_unary", "quick_binary", "quick_binary_number", "quick_form"):
                monkeypatch.setattr(record, name, record.no_answer)
        result = steps(a, b)
        block = STREAM.block
        found.append((block.step, len(block.slots), list(block.scalars), block.held))
        owner = result._storage
        state = [getattr(owner, slot) for slot in storage.Storage.__slots__ if slot not in ("pending", "__weakref__")]
        slots = rl.Tensor.__slots__
        kept = [getattr(result, slot) for slot in slots if not slot.startswith("__") and slot != "_storage"]
        found[-1] += (state, kept, owner.pending is block)
        STREAM.flush()
    assert found[0] == found[1]


def test_nothing_is_answered_where_python_has_to_look(monkeypatch):
    a, b = rl.arange(4.0), rl.ones(4)
    program(a, b)
    array = a.numpy()  # others see the memory from now on
    seen = answers(monkeypatch)
    assert (a + 1).tolist() == (array + 1).tolist()
    assert (b[1:] + b[:3] * 2)[0].item() == 3  # of layouts that this path has not seen
    assert not any([answered for _, answered in seen])


def test_a_lock_that_another_thread_holds(monkeypatch):
    a = rl.arange(4.0)
    for _ in range(3):
        (a + 1).tolist()
    seen, started, go = answers(monkeypatch), threading.Event(), threading.Event()

    def hold():
        with STREAM.lock:
            started.set()
            go.wait(10)
    thread = threading.Thread(target=hold)
    thread.start()
    started.wait(10)
    threading.Timer(0.05, go.set).start()
    assert (a + 1).tolist() == [1, 2, 3, 4]
    thread.join()
    assert seen == [("quick_binary_number", False)]


def test_no_reference_is_left_behind():
    a, b = rl.arange(4.0), rl.arange(300.0)[:4].clone()
    objects = (None, True, False, 0, a._layout, a._storage, b._storage, STREAM, rl.Tensor, storage.Storage)

    def counts():
        gc.collect()
        return [sys.getrefcount(item) for item in objects]
    for _ in range(3):
        program(a, b)
    before = counts()
    for _ in range(2000):
        program(a, b)
    after = counts()
    assert max([abs(x - y) for x, y in zip(before, after)]) < 200


def test_references():
    kept = storage.new_storage(8, None)
    slots = [kept, storage.new_storage(8, None), storage.new_storage(8, None)]
    assert stream.references(slots) == storage.references(slots) == b"\1\0\0"
    assert stream.references([]) == b""


def test_fill():
    class Silent(storage.Storage):
        __slots__ = ()
        address = 0
    slots = [storage.new_storage(8, None) for _ in range(3)] + [Silent()]
    for i, s in enumerate(slots[:3]):
        s.address = 1000 + i
    numbers = [1, 2.5, True, -3, -(1 << 63)]
    assert quick.fill is not quick.plain_fill
    results = []
    for fill in (quick.fill, quick.plain_fill):
        table = (ctypes.c_int64 * 14)(*[7] * 14)
        fill(ctypes.addressof(table) + 16, slots, 99, numbers, 2)
        results.append(list(table))
    assert results[0] == results[1] == [0, 0, 0, 1000, 1001, 1002, 0, 99, 1, 0x4004000000000000, 1, -3, -(1 << 63), 7]
    with pytest.raises(OverflowError):
        quick.fill(ctypes.addressof(table) + 16, slots, 99, [1 << 63], 2)


def test_inference_mode(monkeypatch):
    a, b = rl.arange(4.0), rl.ones(4)
    expected = program(a, b)
    for _ in range(2):
        with rl.inference_mode():
            program(a, b)
    with rl.inference_mode():
        for _ in range(3):  # the last time, the native forms make them
            result = a + b
            values, places = result.max(0)
            assert all([t.is_inference() for t in (result, values, places, result * 2, result.exp())])
            STREAM.flush()
        seen = answers(monkeypatch)
        assert program(a, b) == expected
        assert all([answered for _, answered in seen])
    assert not (a + b).is_inference() and not a.max(0)[0].is_inference()
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        result.add_(b)
