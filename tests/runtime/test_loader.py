"""Loading object files without LLVM: constants, variables, calls to outside functions, what is refused."""
import ctypes
import math

import llvmlite.binding as llvm
import pytest

from rushlight.runtime.cpu import jit, loader
from rushlight.runtime.cpu.llvm import Compiler

pytestmark = pytest.mark.skipif(not loader.supported(), reason="objects are loaded by LLVM here")

TEXT = """
@counter = internal global i64 5
@table = internal constant [4 x double] [double 1.0, double 2.5, double 4.0, double 8.0]
@zeros = internal global [4096 x i8] zeroinitializer, align 64
@pointers = internal global [2 x ptr] [ptr @counter, ptr @zeros]
declare double @cos(double)
declare i64 @labs(i64)

define i64 @count() {
  %v = load i64, ptr @counter
  %n = add i64 %v, 1
  store i64 %n, ptr @counter
  ret i64 %n
}
define double @pick(i64 %i) {
  %p = getelementptr [4 x double], ptr @table, i64 0, i64 %i
  %v = load double, ptr %p
  %s = fadd double %v, 0.125
  ret double %s
}
define double @cosine(double %x) {
  %v = call double @cos(double %x)
  ret double %v
}
define ptr @function() {
  ret ptr @labs
}
define ptr @zero_block() {
  %p = getelementptr [2 x ptr], ptr @pointers, i64 0, i64 1
  %v = load ptr, ptr %p
  ret ptr %v
}
define i64 @both() {
  %a = call i64 @count()
  %b = call i64 @labs(i64 -3)
  %c = add i64 %a, %b
  ret i64 %c
}
"""


def outside(name):
    return jit.pointer(getattr(ctypes.CDLL(None), name))


@pytest.fixture(scope="module")
def code():
    return Compiler().compile(TEXT)


def function(found, name, result, *arguments):
    return ctypes.CFUNCTYPE(result, *arguments)(found[name])


def test_constants_variables_and_calls(code):
    found = loader.load(code, outside)
    count = function(found, "count", ctypes.c_int64)
    assert [count(), count()] == [6, 7]
    assert function(found, "both", ctypes.c_int64)() == 8 + 3
    pick = function(found, "pick", ctypes.c_double, ctypes.c_int64)
    assert [pick(i) for i in range(4)] == [1.125, 2.625, 4.125, 8.125]
    assert function(found, "cosine", ctypes.c_double, ctypes.c_double)(1.0) == pytest.approx(math.cos(1.0))
    labs = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(function(found, "function", ctypes.c_void_p)())
    assert labs(-9) == 9
    block = function(found, "zero_block", ctypes.c_void_p)()
    assert block % 64 == 0 and ctypes.string_at(block, 4096) == bytes(4096)


def test_each_load_has_its_own_variables(code):
    first, second = (function(loader.load(code, outside), "count", ctypes.c_int64) for _ in range(2))
    assert [first(), first(), second()] == [6, 7, 6]


def test_unknown_functions_and_other_files_are_refused(code):
    def missing(name):
        raise AttributeError(name)
    with pytest.raises(AttributeError, match="cos|labs"):
        loader.load(code, missing)
    with pytest.raises(ValueError, match="not a relocatable"):
        loader.load(b"\x7fELF\x01" + code[5:], outside)
    with pytest.raises(ValueError, match="not a relocatable"):
        loader.load(code[:18] + b"\xb7\x00" + code[20:], outside)


def test_other_relocations_are_refused():
    target = llvm.Target.from_triple(llvm.get_process_triple())
    machine = target.create_target_machine(reloc="static", codemodel="small")
    text = '@x = global i32 1\ndefine ptr @f() {\n  ret ptr @x\n}\n'
    with pytest.raises(ValueError, match="relocation of kind"):
        loader.load(machine.emit_object(llvm.parse_assembly(text)), outside)
