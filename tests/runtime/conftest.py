"""Tiny kernels that the runtime's tests share."""

import numpy
import pytest

from rushlight.codegen.ir.kernel import KernelSource

PARAMS = [("ptr", "table"), ("ptr", "static"), ("i64", "task")]


def _emit_add(module, name, amount):
    """Task k adds `amount` to static[1] int64 elements of the memory operand static[0], from k * static[1] on."""
    f = module.function(name, PARAMS)
    table, static, task = f.args
    base = f.load_at(table, f.load_at(static, 0, "i64"), "ptr")
    size = f.load_at(static, 1, "i64")
    start = task * size
    with f.loop(start, start + size) as i:
        f.store_at(f.load_at(base, i, "i64") + amount, base, i)
    f.ret()


def _emit_fail(module, name):
    """Set the error word to static[0]."""
    f = module.function(name, PARAMS)
    table, static, _ = f.args
    f.store_at(f.load_at(static, 0, "i64"), table, 0)
    f.ret()


@pytest.fixture
def add():
    """add(amount) is a kernel source; see `_emit_add`."""
    return lambda amount: KernelSource(("test.add", amount), lambda module, name: _emit_add(module, name, amount))


@pytest.fixture
def fail():
    return KernelSource(("test.fail",), _emit_fail)


class Table:
    """A run's table over int64 arrays: slot i + 1 is the i-th array."""

    def __init__(self, *arrays):
        self.arrays = arrays
        self.words = numpy.array([0, *(array.ctypes.data for array in arrays)], dtype=numpy.int64)
        self.address = self.words.ctypes.data


@pytest.fixture
def table():
    return Table
