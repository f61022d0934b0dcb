"""How long a whole process takes: `python benchmarks/start.py`.

Import, first result, first training step, with everything in the disk cache. README: "starts several times sooner".
"""

import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import side_by_side

PROGRAMS = {
    "import": "import torch",
    "first result": "import torch; print((torch.randn(64, 64) @ torch.randn(64, 64)).relu().sum())",
    "first training step": """
import torch
from torch import nn
model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters())
nn.functional.cross_entropy(model(torch.randn(8, 10)), torch.randint(0, 2, (8,))).backward()
optimizer.step()
print(model[0].weight.sum())
""",
}


def run(library, program):
    """Seconds of one process."""
    before = "from rushlight import alias; alias.install()\n" if library == "rushlight" else ""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", before + program], check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    print(f"{'':34s} {'torch':>15s} {'rushlight':>15s}")
    for name, program in PROGRAMS.items():
        run("rushlight", program)
        side_by_side.show(name, side_by_side.medians(lambda library: run(library, program)))
