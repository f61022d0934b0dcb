"""Makes harness.py of this folder importable, and plans for every kind of machine: LLVM splits vectors the host
lacks.
"""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402

from rushlight.codegen.ir import target  # noqa: E402


@pytest.fixture(params=harness.TARGETS)
def machine(request):
    """Plan for one of the machines of harness.py."""
    before = target.current
    target.set_current(harness.TARGETS[request.param])
    yield request.param
    target.set_current(before)
