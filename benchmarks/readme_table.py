"""The README's table of benchmark rows, made anew from results: `python benchmarks/readme_table.py RESULTS.json ...`.

Results are what a runner writes: {row: {"torch": figure, "rushlight": figure}}, rows called `group/what`. A figure is
seconds a step, in rows of the group `memory` MiB, or a text that says why there is none. Several files are merged; of
a row that two of them have, the later file's counts. With `--run RUNNER.py` the runner is called first, as
`python RUNNER.py --rounds 7 --threads N --json FILE`, and its results count last.

What stands in the README between the two markers is replaced: by how every group does, by all rows, and by the machine
they were measured on. So run this on that machine.

A runner that reads only the last result of many steps cannot see that a lazy engine left out the steps before. Rows in
which this may happen are marked with `*`, and the last line of the groups counts the others alone: those with a
backward pass or a training step, which run all they recorded, and those about memory and start.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- benchmark table -->", "<!-- end of benchmark table -->"
FIRST, SECOND = "torch", "rushlight"
READ = ("start", "memory", "train")  # groups whose rows run everything
UNITS = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))


# -- results -----------------------------------------------------------------------------------------------------------


def read(paths):
    """The merged results of these files: {row: {engine: figure or text}}. ValueError where a file holds none."""
    merged = {}
    for path in paths:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        rows = found.values() if isinstance(found, dict) else [None]
        if not all(isinstance(row, dict) and FIRST in row and SECOND in row for row in rows):
            raise ValueError(f"{path}: expected {{row: {{{FIRST!r}: figure, {SECOND!r}: figure}}}}")
        merged.update(found)
    if not merged:
        raise ValueError("there is no row in these results")
    return merged


def run(runner, threads, path):
    """Call the runner on this checkout; it writes its results to this path."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(runner), "--rounds", "7", "--threads", str(threads), "--json", str(path)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": paths})


def ratio(row):
    """How many times faster (or smaller) the second engine is; None where one of them has no figure."""
    first, second = row[FIRST], row[SECOND]
    if isinstance(first, str) or isinstance(second, str):
        return None
    return first / second


# -- text --------------------------------------------------------------------------------------------------------------


def group_of(name):
    """The part of a row's name before the slash."""
    return name.partition("/")[0]


def figure(name, value):
    """A figure with its unit: "1.23 ms", "450 MiB", "error"."""
    if isinstance(value, str):
        return "error"
    if group_of(name) == "memory":
        return f"{value:.0f} MiB"
    scale, unit = next((row for row in UNITS if value >= row[0]), UNITS[-1])
    value /= scale
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


def times(value):
    """A ratio as text."""
    return "-" if value is None else f"{value:.2f}"


def runs_everything(name):
    """Whether no step of this row can be left out, as far as its name tells."""
    return group_of(name) in READ or "backward" in name or "train step" in name


def groups_row(title, results):
    """A line about these rows: how many, the slowest, the mean."""
    ratios = {name: ratio(row) for name, row in results.items() if ratio(row) is not None}
    errors = len(results) - len(ratios)
    count = f"{len(results)}" + (f" ({errors} without a ratio)" if errors else "")
    slowest = min(ratios, key=ratios.get, default=None)
    shown = "-" if slowest is None else slowest.removeprefix(title + "/")
    mean = statistics.geometric_mean(ratios.values()) if ratios else None
    return f"| {title} | {count} | {shown} | {times(ratios.get(slowest))} | {times(mean)} |"


def groups_table(results):
    """Lines: a row for each group, in the order in which they first come, one for all, one for those without `*`."""
    lines = ["| group | rows | slowest row | its ratio | geometric mean |", "|---|---:|---|---:|---:|"]
    for group in dict.fromkeys(map(group_of, results)):
        lines.append(groups_row(group, {name: row for name, row in results.items() if group_of(name) == group}))
    lines.append(groups_row("all", results))
    lines.append(groups_row("all without \\*", {name: row for name, row in results.items() if runs_everything(name)}))
    return lines


def rows_table(results):
    """Lines: every row with both figures and the ratio; `*` at a ratio that skipped work may flatter."""
    lines = [f"| row | {FIRST} | {SECOND} | ratio |", "|---|---:|---:|---:|"]
    for name, row in results.items():
        mark = "" if runs_everything(name) else r" \*"
        cells = [name, figure(name, row[FIRST]), figure(name, row[SECOND]), times(ratio(row)) + mark]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def processor():
    """The processor's name as the system gives it."""
    try:
        found = re.search(r"^model name\s*: (.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def version(package):
    """The version of an installed package, "unknown" where it is not; of Rushlight the version of this checkout."""
    if package == "rushlight":
        return re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def machine(threads, torch_version, date):
    """A sentence about where and with what the rows were measured."""
    cpus = os.cpu_count()
    return (f"Measured {date} on {processor()}, {cpus} CPUs, {threads} threads: torch {torch_version}, "
            f"rushlight {version('rushlight')}, llvmlite {version('llvmlite')}.")


def table(results, about):
    """The whole text between the markers."""
    lines = [*groups_table(results), "", about, "", "<details>", f"<summary>all {len(results)} rows</summary>", "",
             *rows_table(results), "", "</details>"]
    return "\n".join(lines)


# -- the README --------------------------------------------------------------------------------------------------------


def replaced(page, text):
    """The page with this text between its markers. ValueError unless there is one of each, in their order."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"expected one {BEGIN!r} and after it one {END!r}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def write(path, text):
    """Replace the file at once: a reader sees the old one or the new one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(path.stat().st_mode)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def update(readme, results, about):
    """Put the table into the file; whether that changed it. ValueError names the file that lacks a marker."""
    page = readme.read_text(encoding="utf-8")
    try:
        new = replaced(page, table(results, about))
    except ValueError as error:
        raise ValueError(f"{readme}: {error}") from None
    if new != page:
        write(readme, new)
    return new != page


def options_of(arguments):
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="*", type=pathlib.Path, metavar="RESULTS.json")
    parser.add_argument("--run", type=pathlib.Path, metavar="RUNNER.py", help="call this runner first")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of both libraries")
    parser.add_argument("--torch-version", default=version("torch"))
    parser.add_argument("--date", help="when it was measured; the newest file's date if not given")
    parser.add_argument("--readme", type=pathlib.Path, default=ROOT / "README.md")
    options = parser.parse_args(arguments)
    if not options.results and options.run is None:
        parser.error("give result files, or a runner with --run")
    return options


def make(options, folder):
    """Do what the options ask for, with a folder for the runner's results; a line that says what was done."""
    paths = list(options.results)
    if options.run is not None:
        paths.append(pathlib.Path(folder) / "results.json")
        run(options.run, options.threads, paths[-1])
    results = read(paths)
    newest = max(path.stat().st_mtime for path in paths)
    date = options.date or datetime.date.fromtimestamp(newest).isoformat()
    changed = update(options.readme, results, machine(options.threads, options.torch_version, date))
    said = "replaced the table" if changed else "nothing to change"
    return f"{options.readme}: {said}, {len(results)} rows of {len(set(map(group_of, results)))} groups"


def main(arguments=None):
    """Do what the command line says; the exit status."""
    options = options_of(arguments)
    with tempfile.TemporaryDirectory(prefix="rushlight-benchmark-") as folder:
        try:
            print(make(options, folder))
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            print(f"readme_table: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
