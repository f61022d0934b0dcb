"""Code made in a hurry: the same results, replaced behind the door, kept on disk for the next process."""
import ctypes
import os
import subprocess
import sys

import numpy
import pytest
import source

from rushlight.base import switches
from rushlight.codegen.ir.kernel import KernelSource
from rushlight.runtime.cpu import executor, hurry, jit, loader, program

pytestmark = pytest.mark.skipif(not loader.supported(), reason="code is made in a hurry where our own loader works")


@pytest.fixture
def calm(monkeypatch, tmp_path):
    """No thread: `settle` does the work. Nothing is on disk."""
    executor.code()
    hurry.settle()
    monkeypatch.setitem(hurry._state, "ending", True)
    with switches.env(CACHE=str(tmp_path)):
        yield


def run(address, table):
    """What a kernel makes of the numbers 0 to 9, where it adds to element 5."""
    data = numpy.arange(10)
    assert program.Program([(address, [1, 5], 2)]).run(table(data).address) == 0
    return data.tolist()


def test_a_door_leads_to_better_code(add, table, calm):
    kernel = add(8101)
    door = jit.compile_kernels([kernel], hurry=True)[kernel.key]
    first, improved = run(door, table), hurry.stats["improved"]
    assert jit.find_kernels([jit.kernel_name(kernel.key)]) == [door]
    hurry.settle()
    assert hurry.stats["improved"] == improved + 1
    better = jit.compile_kernels([kernel])[kernel.key]
    assert better != door and run(door, table) == run(better, table) == first
    assert first == (numpy.arange(10) + 8101).tolist()


def test_the_door_calls_the_better_code(add, table, calm):
    kernel, other = add(8102), add(8103)
    door = jit.compile_kernels([kernel], hurry=True)[kernel.key]
    cell = hurry._waiting[-1][1][3]
    hurry.enter(cell, jit.compile_kernels([other])[other.key])
    assert run(door, table) == (numpy.arange(10) + 8103).tolist()
    hurry.settle()
    assert run(door, table) == (numpy.arange(10) + 8102).tolist()
    assert ctypes.c_int64.from_address(cell).value == jit.compile_kernels([kernel])[kernel.key]


def test_flags_that_leave_results_to_llvm_are_not_hurried(add, calm):
    def emit(module, name):
        add(8104).emit(module, name)
        module.functions[-1].line("; contract")

    kernel = KernelSource(("test.hurry", "contract"), emit)
    waiting = len(hurry._waiting)
    jit.compile_kernels([kernel], hurry=True)
    assert len(hurry._waiting) == waiting


def test_code_that_cannot_be_improved_stays(monkeypatch, add, table, calm):
    def fail(texts):
        raise MemoryError

    kernel = add(8105)
    door = jit.compile_kernels([kernel], hurry=True)[kernel.key]
    monkeypatch.setattr(jit.llvm, "compile_texts", fail)
    hurry.settle()
    assert run(door, table) == (numpy.arange(10) + 8105).tolist()


def test_without_a_disk_nothing_is_left_for_the_end(monkeypatch, add, calm):
    with switches.env(CACHE=None):
        kernel = add(8108)
        jit.compile_kernels([kernel], hurry=True)
        monkeypatch.delattr(jit.llvm, "compile_texts")
        hurry.settle()
    assert not hurry._waiting


def test_texts_that_are_shown_are_shown_once(add, calm, capfd):
    kernel, waiting = add(8106), len(hurry._waiting)
    with switches.env(LOG="ir", CACHE=None):
        jit.compile_kernels([kernel], hurry=True)
    assert len(hurry._waiting) == waiting and capfd.readouterr().err.count("define") == 1


CHILD = """
import rushlight as rl
from rushlight.runtime.cpu import jit
{before}
x = rl.arange(12.0).reshape(3, 4)
for _ in range(3):
    print((x * 2 + x.exp()).sum(1).cumsum(0).tolist(), x.std().item())
print("compiled", jit.stats["compiled"])
"""


def child(folder, before=""):
    """(results, kernels that were compiled) of a process."""
    environ = {**os.environ, "PYTHONPATH": str(source.ROOT), "RUSHLIGHT_CACHE": str(folder)}
    done = subprocess.run([sys.executable, "-c", CHILD.format(before=before)], env=environ, capture_output=True,
                          text=True, timeout=120)
    assert not done.stderr
    *results, last = done.stdout.splitlines()
    return results, int(last.split()[1])


@pytest.mark.parametrize("before", ["", "import rushlight.runtime.cpu.hurry as h; h.QUIET_SECONDS = 0.0"])
def test_the_next_process_finds_good_code(tmp_path, before):
    first, compiled = child(tmp_path, before)
    second, again = child(tmp_path)
    assert compiled > 3 and again == 0 and first == second


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_leaves_the_work_to_its_parent(add, calm):
    kernel = add(8107)
    jit.compile_kernels([kernel], hurry=True)
    pid = os.fork()
    if not pid:
        os._exit(len(hurry._waiting))
    assert os.waitpid(pid, 0)[1] == 0 and hurry._waiting
    hurry.settle()
