"""How cost grows beside PyTorch's: one number of a program is turned up, everything else stays.

    python benchmarks/growth.py                                   # all axes, PyTorch beside Rushlight if it is there
    python benchmarks/growth.py --axes rows,shapes --most 1000
    python benchmarks/growth.py --picture --table                 # growth.svg and growth.md, or the paths that follow

Every point is a process of its own: the time of the first step, that of a step after a hundred (the best of the last
ten, which other programs disturb least), the peak of resident memory, and how many programs the engine has planned and
holds. The last columns of the table say how fast the cost grows at the end of each curve: 1.0 is in proportion to the
number.
"""

import argparse
import importlib.util
import json
import math
import pathlib
import resource
import statistics
import subprocess
import sys
import time

LIBRARIES = ("torch", "rushlight")
STEPS, LAST = 100, 10


def batch(torch, n):
    """A training step of a small network; n rows."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(n, 64), torch.randint(0, 10, (n,))

    def step(_):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()
    return step


def depth(torch, n):
    """Forward and backward through n layers."""
    model = torch.nn.Sequential(*[torch.nn.Linear(16, 16) for _ in range(n)])
    x = torch.randn(8, 16)

    def step(_):
        model.zero_grad()
        loss = model(x).tanh().sum()
        loss.backward()
        return loss.detach()
    return step


def sequence(torch, n):
    """A transformer layer over n positions."""
    layer = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).eval()
    x = torch.randn(1, n, 64)

    def step(_):
        with torch.no_grad():
            return layer(x)
    return step


def shapes(torch, n):
    """Softmax of a product, each step at the next one of n shapes."""
    w = torch.randn(32, 32)
    rows = torch.randn(n + 2, 32)

    def step(number):
        return (rows[: 2 + number % n] @ w).relu().softmax(1)
    return step


def parameters(torch, n):
    """Adam over n small parameters."""
    found = [torch.nn.Parameter(torch.randn(8)) for _ in range(n)]
    for p in found:
        p.grad = torch.randn(8)
    optimizer = torch.optim.Adam(found)

    def step(_):
        optimizer.step()
        return found[0].detach()
    return step


def rows(torch, n):
    """n rows assigned one by one."""
    x, y = torch.randn(n, 8), torch.zeros(n, 8)

    def step(_):
        for i in range(n):
            y[i] = x[i] * 2
        return y
    return step


AXES = {
    "batch": (batch, (1, 4, 16, 64, 256)),
    "depth": (depth, (1, 10, 100, 1000)),
    "sequence": (sequence, (16, 64, 256, 1024, 2048)),
    "shapes": (shapes, (1, 10, 100, 1000, 10000)),
    "parameters": (parameters, (1, 10, 100, 1000, 10000)),
    "rows": (rows, (10, 100, 1000, 10000)),
}


def work(library, axis, n, steps):
    """The worker: prints its figures as one line of JSON. For `shapes` the first step is one of the first pass over
    all of them."""
    if library == "rushlight":
        from rushlight import alias

        alias.install()
    import torch

    torch.manual_seed(0)
    step, times = AXES[axis][0](torch, n), []
    for number in range(max(steps, 2 * n) if axis == "shapes" else steps):
        began = time.perf_counter()
        result = step(number)
        torch.cpu.synchronize()
        times.append(time.perf_counter() - began)
        if sum(times) > 60 and len(times) >= LAST:
            break
    float(result.sum())
    first = statistics.fmean(times[:n]) if axis == "shapes" else times[0]
    planned, held = programs() if library == "rushlight" else (0, 0)
    print(json.dumps({"first": first, "steady": min(times[-LAST:]), "programs": planned, "held": held,
                      "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def programs():
    """How many programs the engine has planned, and how many the tree of known steps holds."""
    from rushlight import engine
    from rushlight.core.stream import STREAM

    held, todo = 0, [STREAM.root]
    while todo:
        step = todo.pop()
        held += sum(getattr(program, "program", program) is not None for program in step.programs.values())
        todo += step.next.values()
    return engine.statistics()["programs_planned"], held


def measure(library, axis, n, steps):
    """The figures of one point, from a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--worker", library, axis, str(n), str(steps)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{library}, {axis} of {n}: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def slope(points, what):
    """How fast a figure grows between the last two sizes: the exponent of the size."""
    (n0, a), (n1, b) = points[-2:]
    return math.log(b[what] / a[what]) / math.log(n1 / n0)


def table(results):
    """The results as a table in Markdown. results: {axis: {library: [(n, figures)]}}"""
    lines = ["| axis | n | library | first step, ms | later, ms | memory, MiB | planned | held | first grows | later |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for axis, libraries in results.items():
        for library, points in libraries.items():
            for number, (n, x) in enumerate(points):
                last = number == len(points) - 1 and number
                grows = [f"{slope(points, what):.2f}" if last else "" for what in ("first", "steady")]
                lines.append(f"| {axis} | {n} | {library} | {1e3 * x['first']:.3f} | {1e3 * x['steady']:.3f} | "
                             f"{x['memory']:.0f} | {x['programs']} | {x['held']} | {' | '.join(grows)} |")
    return "\n".join(lines) + "\n"


WIDE, HIGH, MARGIN = 260, 200, 44
COLORS = {"torch": "#c0504d", "rushlight": "#2a6fb0"}


def picture(results):
    """The results as a picture (SVG): for each axis time over size, both logarithmic; dashed: the first step."""
    parts, total = [], WIDE * len(results)
    for number, (axis, libraries) in enumerate(results.items()):
        points = [(n, x[what]) for found in libraries.values() for n, x in found for what in ("first", "steady")]
        low, high = min(y for _, y in points), max(y for _, y in points)
        first, last = min(n for n, _ in points), max(n for n, _ in points)

        def at(n, y, number=number, low=low, high=high, first=first, last=last):
            across = math.log(n / first) / (math.log(last / first) or 1)
            up = math.log(y / low) / (math.log(high / low) or 1)
            return (f"{number * WIDE + MARGIN + across * (WIDE - MARGIN - 16):.1f},"
                    f"{HIGH - 24 - up * (HIGH - MARGIN - 24):.1f}")
        left = number * WIDE
        parts.append(f'<text x="{left + MARGIN}" y="16" font-weight="bold">{axis} {first}…{last}</text>')
        parts += [f'<text x="{left + 2}" y="{y}">{1e3 * value:.2g} ms</text>'
                  for y, value in ((HIGH - 24, low), (MARGIN, high))]
        for library, found in libraries.items():
            for what, dashes in (("first", ' stroke-dasharray="4 3"'), ("steady", "")):
                line = " ".join(at(n, x[what]) for n, x in found)
                parts.append(f'<polyline points="{line}" fill="none" stroke="{COLORS[library]}"{dashes}/>')
    legend = " ".join(f'<tspan fill="{color}">{library}</tspan>' for library, color in COLORS.items())
    parts.append(f'<text x="{MARGIN}" y="{HIGH - 4}">{legend} (dashed: first step)</text>')
    body = "\n".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="{HIGH}" font-family="sans-serif" '
            f'font-size="11">\n<rect width="{total}" height="{HIGH}" fill="white"/>\n{body}\n</svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--axes", default=",".join(AXES))
    there = [library for library in LIBRARIES if importlib.util.find_spec(library)]
    parser.add_argument("--libraries", default=",".join(there))
    parser.add_argument("--most", type=int, default=10**9, help="largest number tried")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--picture", type=pathlib.Path, nargs="?", const=pathlib.Path("growth.svg"))
    parser.add_argument("--table", type=pathlib.Path, nargs="?", const=pathlib.Path("growth.md"))
    options = parser.parse_args()
    results = {}
    for axis in options.axes.split(","):
        results[axis] = {library: [] for library in options.libraries.split(",")}
        for n in AXES[axis][1]:
            if n <= options.most:
                for library, points in results[axis].items():  # in turn, under the same disturbances
                    points.append((n, measure(library, axis, n, options.steps)))
    text = table(results)
    print(text, end="")
    if options.table:
        options.table.write_text(text, encoding="utf-8")
    if options.picture:
        options.picture.write_text(picture(results), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
