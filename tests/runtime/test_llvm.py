"""LLVM on several threads: parts of about the same work, the same code as on one thread, errors that reach the
caller."""
import threading

import pytest

import rushlight as rl
from rushlight.base import switches
from rushlight.codegen.ir.builder import Module
from rushlight.runtime.cpu import jit, llvm


def body(name, operations):
    """A module with a function of so many additions."""
    module = Module()
    fn = module.function(name, [("i64", "x")], returns="i64")
    value = fn.args[0]
    for i in range(operations):
        value = value + i * i
    fn.ret(value)
    return module


@pytest.fixture
def two_threads():
    before = rl.get_num_threads()
    rl.set_num_threads(2)
    yield
    rl.set_num_threads(before)


def test_parts_are_even_and_hold_everything(two_threads):
    emitted = [(f"f{n}", body(f"f{n}", n)) for n in range(300, 900, 10)]
    parts = jit._parts(emitted)
    assert len(parts) == 2 * jit.PARTS_A_THREAD
    assert sorted(name for part in parts for name, _ in part) == sorted(n for n, _ in emitted)
    sums = [sum(module.lines() for _, module in part) for part in parts]
    assert max(sums) < 1.3 * min(sums)


def test_little_work_stays_on_one_thread(two_threads):
    assert len(jit._parts([(f"f{n}", body(f"f{n}", 5)) for n in range(4)])) == 1


def test_threads_give_the_code_of_one():
    texts = [body(f"f{n}", 50 + n).text() for n in range(3)]
    assert llvm.compile_texts(texts) == [llvm.Compiler().compile(text) for text in texts]


def test_texts_are_compiled_by_as_many_threads_as_there_are(monkeypatch, two_threads):
    seen, compile_, both = [], llvm.Compiler.compile, threading.Barrier(2)

    def noted(self, text):
        seen.append(threading.get_ident())
        if len(seen) <= 2:
            both.wait(60)  # the first two texts are in two threads' hands
        return compile_(self, text)
    monkeypatch.setattr(llvm.Compiler, "compile", noted)
    llvm.compile_texts([body(name, 3).text() for name in "fghij"])
    assert len(seen) == 5 and len(set(seen)) == 2


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_in_any_thread_is_raised(bad, two_threads):
    texts = [body("f", 3).text(), body("g", 3).text()]
    texts[bad] = "not IR"
    with switches.env(LOG=""), pytest.raises(RuntimeError, match="LLVM rejects"):
        llvm.compile_texts(texts)
