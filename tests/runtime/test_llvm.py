"""LLVM on several threads: parts of about the same work, the same code as on one thread, errors that reach the
caller."""
import threading

import pytest

import rushlight as rl
from rushlight.base import switches
from rushlight.codegen.builder import Module
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
    emitted = [(f"f{n}", body(f"f{n}", n)) for n in (900, 10, 500, 400, 20, 880)]
    parts = jit._parts(emitted)
    assert len(parts) == 2 and sorted(name for part in parts for name, _ in part) == sorted(n for n, _ in emitted)
    sums = [sum(module.lines() for _, module in part) for part in parts]
    assert max(sums) < 1.3 * min(sums)


def test_little_work_stays_on_one_thread(two_threads):
    assert len(jit._parts([(f"f{n}", body(f"f{n}", 5)) for n in range(4)])) == 1


def test_threads_give_the_code_of_one():
    texts = [body(f"f{n}", 50 + n).text() for n in range(3)]
    assert llvm.compile_texts(texts) == [llvm.Compiler().compile(text) for text in texts]


def test_a_text_is_compiled_in_a_thread_of_its_own(monkeypatch):
    seen, compile_ = set(), llvm.Compiler.compile

    def noted(self, text):
        seen.add(threading.get_ident())
        return compile_(self, text)
    monkeypatch.setattr(llvm.Compiler, "compile", noted)
    llvm.compile_texts([body("f", 3).text(), body("g", 3).text()])
    assert len(seen) == 2


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_in_any_thread_is_raised(bad):
    texts = [body("f", 3).text(), body("g", 3).text()]
    texts[bad] = "not IR"
    with switches.env(LOG=""), pytest.raises(RuntimeError, match="LLVM rejects"):
        llvm.compile_texts(texts)
