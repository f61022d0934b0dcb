"""Kernels may be emitted again: `jit.assembly` does so beside the engine."""
import pytest

from rushlight.codegen.ir.builder import Module
from rushlight.codegen.cpu.rows.sort import SearchKernel, SortKernel, TopKernel
from rushlight.core import dtype as dt


def text(kernel):
    module = Module()
    kernel.emit(module, "kernel")
    return module.text()


@pytest.mark.parametrize("kernel", [SortKernel(dt.float32, 2, False), TopKernel(dt.int64, 1, True),
                                    SearchKernel(dt.float32, dt.float32, True, 1, False, dt.int64)])
def test_a_second_emission_is_the_first(kernel):
    assert text(kernel) == text(kernel)
