"""`python -m rushlight warm`: what it compiles, later processes find."""
import re

from programs import run

from rushlight.base import switches
from rushlight.tools import warm

TRAIN = """
import torch
from torch import nn
from rushlight.runtime.cpu import jit
model = nn.Sequential(nn.Linear(7, 24), nn.ReLU(), nn.Linear(24, 5))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
x, y = torch.randn(9, 7), torch.randint(0, 5, (9,))
for _ in range(3):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
torch.cpu.synchronize()
print(jit.stats["compiled"], jit.stats["loaded"])
"""


def counts(folder):
    return [int(n) for n in run("-m", "rushlight", "-c", TRAIN, RUSHLIGHT_CACHE=str(folder))[0].split()]


def test_kernels_of_common_layers_are_found_afterwards(tmp_path):
    cold = counts(tmp_path / "cold")
    folder = tmp_path / "warm"
    out, _ = run("-m", "rushlight", "warm", RUSHLIGHT_CACHE=str(folder))
    assert [line[:30].strip() for line in out.splitlines()[:-1]] == list(warm.PROGRAMS)
    compiled, loaded = counts(folder)
    assert cold[0] > 5 and compiled < cold[0] // 3 and loaded > cold[0] // 2
    again, _ = run("-m", "rushlight", "warm", RUSHLIGHT_CACHE=str(folder))
    assert set(re.findall(r"(\d+) kernels compiled", again)) == {"0"}


def test_what_it_refuses(capsys):
    assert warm.main(["x"]) == 2
    assert "takes no arguments" in capsys.readouterr().err
    with switches.env(CACHE=None):
        assert warm.main() == 2
    assert "no kernels on disk" in capsys.readouterr().err
