"""Futures: values, chains, exceptions, and waiting for several."""
import threading

import pytest

from rushlight.futures import Future, collect_all, wait_all


def test_a_chain_runs_when_the_value_is_set():
    future = Future()
    following = future.then(lambda f: f.value() + 1).then(lambda f: f.value() * 2)
    assert not future.done() and not following.done()
    threading.Thread(target=future.set_result, args=(4,)).start()
    assert following.wait() == 10 and future.wait() == 4
    assert future.then(lambda f: f.value()).value() == 4  # runs at once


def test_errors():
    future = Future()
    following = future.then(lambda f: f.value())
    with pytest.raises(RuntimeError, match="incomplete"):
        future.value()
    future.set_exception(KeyError("x"))
    for each in (future, following):
        with pytest.raises(KeyError):
            each.wait()
    with pytest.raises(RuntimeError, match="only be marked as completed once"):
        future.set_result(1)


def test_several():
    futures = [Future(), Future()]
    both = collect_all(futures)
    futures[1].set_result("b")
    assert not both.done()
    futures[0].set_result("a")
    assert both.wait() == futures and wait_all(futures) == ["a", "b"] and collect_all([]).wait() == []
