"""Exceptions at any moment: an operator is recorded or leaves no trace, a flush finishes or goes on later."""

import os
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest

import rushlight as rl
from rushlight.base import switches
from rushlight.core.stream import STREAM
from rushlight.engine.executable import Executable

FULL = bool(os.environ.get("RUSHLIGHT_TEST_FULL"))  # every event, a thousand signals, 200 forks


class Stop(BaseException):
    """Raised in the middle of things."""


def program(a, b, w, index):
    """Ten operators: views, in-place writes, gradients, a library call, indexing."""
    y = (a + b) * w
    y[2:] *= 2
    z = y.view(2, -1).t()
    z[0] += 1
    order = (y.detach() * 3).sort()[0]
    picked = order[index]
    loss = (y.exp() + z.sum()).mean() + picked.sum()
    loss.backward()
    b.mul_(2)
    return loss


def operands(size=8):
    return (rl.full((size,), 0.5), rl.full((size,), 0.25), rl.full((size,), 0.125, requires_grad=True),
            rl.tensor([0, 3, 7]))


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
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_signals_at_random_moments(cold):
    """Warm: a program that is known. Cold: each round has a size of its own, so that it plans and fills records."""
    def handler(number, frame):
        raise Stop

    def work(*given):
        for _ in range(3):
            program(*given).item()
            given[1].mul_(0.125)
    before = signal.signal(signal.SIGALRM, handler)
    draw, stopped = random.Random(0), 0
    work(*operands())
    try:
        for turn in range(1000 if FULL else 150):
            size = 20 + 2 * turn if cold else 8
            if turn % 10 == 0:
                began = time.perf_counter()
                work(*operands(size + 1002 if cold else size))
                usual = time.perf_counter() - began
            given = operands(size)
            kept = given[0] * 2
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, draw.uniform(2e-5, usual))
                    work(*given)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Stop:
                stopped += 1
            check_numbers(kept, given[0], size)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert stopped > turn // 4


def check_numbers(kept, a, size):
    assert kept.tolist() == [1.0] * size and a.tolist() == [0.5] * size
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


@pytest.mark.skipif(switches.EAGER, reason="the eager mode runs it before it could be planned")
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


@pytest.mark.skipif(switches.EAGER, reason="the eager mode plans nothing")
def test_an_interrupted_run_goes_on_with_its_own_program(monkeypatch):
    """Who is alive may have changed since it was chosen; its table is filled already."""
    x = rl.full((7,), 5.0)
    for _ in range(4):
        y = x * 2
        z = y.exp().log() + y
        STREAM.flush()
    run, stopped = Executable.run, []

    def broken(self, block):
        if not stopped:
            assert self.prepare(block)
            stopped.append(self)
            raise Stop
        stopped.append(self)
        return run(self, block)
    monkeypatch.setattr(Executable, "run", broken)
    y = x * 2
    z = y.exp().log() + y
    with pytest.raises(Stop):
        z.tolist()
    del y
    assert z.tolist() == pytest.approx([20.0] * 7)
    assert stopped[0] is stopped[1]


def deep(depth, function):
    """Call a function in so many frames."""
    return function() if depth <= 0 else deep(depth - 1, function)


@pytest.mark.parametrize("write", [
    lambda y: y.mul_(2), lambda y: y.exp_(), lambda y: y[1:].mul_(2), lambda y: y.copy_(y.detach() * 3),
    lambda y: y.fill_(2.0), lambda y, index=rl.tensor([0]): y.index_fill_(0, index, 5.0),
    lambda y: y.masked_fill_(y > 0, 4.0),
    lambda y: y.clamp_(max=1.0), lambda y: y.t_(), lambda y: y.__setitem__(0, 7.0)],
    ids="mul exp view copy fill index_fill masked_fill clamp t setitem".split())
def test_the_history_of_a_write_at_the_recursion_limit_fits_its_values(write):
    def history(depth):
        w = rl.full((4,), 3.0, requires_grad=True)
        y = w * 1
        try:
            deep(depth, lambda: write(y))
        except RecursionError:
            pass
        values = y.tolist()
        rl.autograd.backward([y], [rl.ones(4)])
        return values, w.grad.tolist()
    unwritten, written = history(sys.getrecursionlimit() * 2), history(0)
    assert unwritten == ([3.0] * 4, [1.0] * 4)
    left = sys.getrecursionlimit()
    frame = sys._getframe()
    while frame is not None:
        frame, left = frame.f_back, left - 1
    seen = [history(depth) for depth in range(left - 60, left)]
    assert set(map(str, seen)) == {str(unwritten), str(written)}
