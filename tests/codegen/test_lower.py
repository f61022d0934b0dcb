"""Every operator with kernels of its own has its lowering, which is loaded when it is first asked for."""
import subprocess
import sys

import pytest

import rushlight  # noqa: F401  (declares the operators)
from rushlight.codegen import lower
from rushlight.core.kinds import OPERATORS, Kernel

PATHS = sorted({op.lower for op in OPERATORS.values() if isinstance(op, Kernel) and isinstance(op.lower, str)})


@pytest.mark.parametrize("path", PATHS)
def test_operators_have_their_lowerings(path):
    found = lower.find(path)
    assert found.__doc__ and found.__code__.co_argcount == 1 and lower.find(path) is found


def test_lowerings_are_loaded_when_they_are_asked_for():
    program = ("import sys, rushlight as rl; (rl.ones(2) + 1).tolist(); "
               "print([m for m in sys.modules if '.codegen.cpu.conv' in m or '.codegen.cpu.rows' in m])")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
