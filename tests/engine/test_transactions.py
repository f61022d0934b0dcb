"""Exceptions at any moment: an operator is recorded or leaves no trace, a flush finishes or goes on later."""

import os
import random
import signal
import sys
import threading

import numpy as np
import pytest

import rushlight as rl
from rushlight.core.stream import STREAM

FULL = bool(os.environ.get("RUSHLIGHT_TEST_FULL"))  # every event, a thousand signals, 200 forks


class Stop(BaseException):
    """Raised in the middle of things."""


def program(a, b, w, index):
    """Ten operators: views, in-place writes, gradients, a library call, indexing."""
    y = (a + b) * w
    y[2:] *= 2
    z = y.view(2, 4).t()
    z[0] += 1
    order = (y.detach() * 3).sort()[0]
    picked = order[index]
    loss = (y.exp() + z.sum()).mean() + picked.sum()
    loss.backward()
    b.mul_(2)
    return loss


def operands():
    return (rl.full((8,), 0.5), rl.full((8,), 0.25), rl.full((8,), 0.125, requires_grad=True), rl.tensor([0, 3, 7]))


def settled(tensor):
    """The values of a tensor, or the exception that reading it raises."""
    try:
        return tensor.tolist()
    except RuntimeError as error:
        return error


def gradient_of(y, w):
    """What backward makes of y: the history has to fit the values."""
    return y, w


def check_afterwards(kept, a, b):
    """Tensors from before are right, and so are the next operators."""
    assert kept.tolist() == [1.0] * 8
    assert a.tolist() == [0.5] * 8
    assert b.tolist() in ([0.25] * 8, [0.5] * 8)
    assert (a + 1).tolist() == [1.5] * 8
    large = rl.full((10_000,), 9.0) + 1
    large += 1
    assert large.sum().item() == 110_000.0
    assert (rl.arange(5.0) * 3).tolist() == [0.0, 3.0, 6.0, 9.0, 12.0]


def attempt(run):
    """Run with operands of its own, and check what is left."""
    a, b, w, index = operands()
    kept = a * 2
    try:
        run(a, b, w, index)
        ended = True
    except Stop:
        ended = False
    check_afterwards(kept, a, b)
    return ended


def stop_at(moment, seen, events):
    """A trace function that raises Stop at one event."""
    def trace(frame, event, arg):
        if event in events:
            seen[0] += 1
            if seen[0] == moment:
                sys.settrace(None)
                raise Stop
        return trace
    return trace


def traced(moment, events):
    seen = [0]

    def run(*operands):
        sys.settrace(stop_at(moment, seen, events))
        try:
            program(*operands).item()
        finally:
            sys.settrace(None)
    return attempt(run), seen[0]


@pytest.mark.parametrize("events", [("call",), ("call", "line")], ids=["calls", "lines"])
def test_an_exception_at_any_event(events):
    program(*operands()).item()
    program(*operands()).item()
    _, count = traced(-1, events)
    step = 1 if FULL else max(1, count // 120)
    for moment in range(1, count, step):
        traced(moment, events)
    assert program(*operands()).item() == pytest.approx(program(*operands()).item())


def test_an_exception_in_a_cold_program():
    """The same while planning and compiling: each round has sizes of its own."""
    for size in range(20, 26 if not FULL else 120):
        def cold(moment, size=size):
            seen = [0]
            x = rl.full((size,), 2.0)
            y = rl.zeros(size)
            try:
                sys.settrace(stop_at(moment, seen, ("call",)))
                y += (x * 3).cumsum(0).softmax(0) * size
                value = y.sum().item()
                sys.settrace(None)
            except Stop:
                value = None
            finally:
                sys.settrace(None)
            assert x.tolist() == [2.0] * size
            total = y.sum().item()
            assert total == 0 or total == pytest.approx(size, rel=1e-5)
            return value, seen[0]
        _, count = cold(-1)
        for moment in random.Random(size).sample(range(1, count), min(10, count - 1)):
            cold(moment)


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals need the main thread")
def test_signals_at_random_moments():
    def handler(number, frame):
        raise Stop
    before = signal.signal(signal.SIGALRM, handler)
    draw = random.Random(0)
    stopped = 0
    try:
        for _ in range(1000 if FULL else 150):
            def run(*operands):
                try:
                    signal.setitimer(signal.ITIMER_REAL, draw.uniform(2e-5, 4e-3))
                    for _ in range(3):
                        program(*operands).item()
                        operands[1].mul_(0.125)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            a, b, w, index = operands()
            kept = a * 2
            try:
                run(a, b, w, index)
            except Stop:
                stopped += 1
            check_numbers(kept, a)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert stopped


def check_numbers(kept, a):
    assert kept.tolist() == [1.0] * 8 and a.tolist() == [0.5] * 8
    assert (rl.arange(5.0) * 3).tolist() == [0.0, 3.0, 6.0, 9.0, 12.0]
    large = rl.full((10_000,), 9.0) + 1
    assert large.sum().item() == 100_000.0


def test_the_history_of_an_interrupted_write_fits_its_values():
    """y *= 2 was done with its history, or not at all."""
    count = traced_write(-1)[1]
    for moment in range(1, count):
        traced_write(moment)


def traced_write(moment):
    seen = [0]
    w = rl.full((4,), 3.0, requires_grad=True)
    y = w * 1
    try:
        sys.settrace(stop_at(moment, seen, ("call", "line")))
        y.mul_(2)
        sys.settrace(None)
    except Stop:
        pass
    finally:
        sys.settrace(None)
    factor = y.tolist()[0] / 3
    y.sum().backward()
    assert w.grad.tolist() == [factor] * 4
    return factor, seen[0]


def test_other_threads_go_on_after_an_interrupt():
    """No exception leaves the lock of the stream held."""
    for moment in range(1, 60):
        seen = [0]
        try:
            sys.settrace(stop_at(moment, seen, ("call", "line")))
            (rl.ones(3) + 1).sum()
            sys.settrace(None)
        except Stop:
            pass
        finally:
            sys.settrace(None)
        results = []
        thread = threading.Thread(target=lambda: results.append((rl.ones(3) + 1).tolist()))
        thread.start()
        thread.join(20)
        assert results == [[2.0] * 3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_forks_beside_a_computing_thread():
    big, stop = rl.ones(200, 200), []

    def compute():
        while not stop:
            float((big @ big).sum())
    thread = threading.Thread(target=compute)
    thread.start()
    try:
        for _ in range(200 if FULL else 15):
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                good = float((rl.ones(3) * 2).sum()) == 6.0
                os._exit(0 if good else 1)
            assert os.waitpid(pid, 0)[1] == 0
    finally:
        stop.append(1)
        thread.join()


def test_a_block_that_cannot_be_planned_runs_operator_by_operator(monkeypatch):
    """An exception while planning is the user's; the next flush computes what it can."""
    x = rl.full((7,), 5.0)
    y = x * 2
    make, calls = STREAM.make, []

    def broken(block, mask):
        if not calls:
            calls.append(1)
            raise Stop
        return make(block, mask)
    monkeypatch.setattr(STREAM, "make", broken)
    if calls or STREAM.block.step.depth:  # the eager mode has run it already
        with pytest.raises(Stop):
            y.tolist()
    assert y.tolist() == [10.0] * 7
    np.testing.assert_array_equal((y + x).numpy(), np.full(7, 15.0, np.float32))
