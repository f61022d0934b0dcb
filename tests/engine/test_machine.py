"""Kernels are made for this processor, also where records from disk spare a process the planner."""
import pytest
from programs import run

CHILD = """
import rushlight as rl
from rushlight.runtime.cpu import jit
x = {program}
x.tolist()
print(jit.stats["compiled"], *sorted(map(jit.kernel_name, jit._addresses)))
"""


@pytest.mark.parametrize("program", ["rl.rand({n}, 40)", "rl.randn({n})", "rl.ones({n}) + 1", "rl.ones({n}).sum()"])
def test_other_sizes_need_no_other_kernels(tmp_path, program):
    made = [run("-c", CHILD.format(program=program.format(n=n)), RUSHLIGHT_CACHE=str(tmp_path))[0].split()
            for n in (50, 50, 60)]
    assert int(made[0][0]) >= 1 and made[1][0] == made[2][0] == "0"
    assert set(made[2][1:]) <= set(made[0][1:])
