"""`python -m rushlight env`: a report about this computer and installation on standard output.

Paste it into a bug report. It loads no kernel and starts no thread. The switches are those of base/switches.py.
"""
import importlib.metadata
import os
import pkgutil
import platform
import sys

import llvmlite.binding as llvm
import numpy

from .. import alias, runtime
from ..base import switches

OPTIONAL = ("pillow", "scipy", "soundfile", "matplotlib", "tqdm", "tensorboard")
# The features by which kernels are chosen; a CPU reports many more.
FEATURES = ("sse4.2", "avx", "avx2", "fma", "f16c", "bmi2", "avx512f", "avx512vl", "avx512bf16", "avx512vnni",
            "amx-tile", "neon", "sve", "bf16", "fullfp16", "dotprod")


def main(arguments=()):
    """Print the report; returns the exit status. It takes no arguments."""
    if arguments:
        print(f"rushlight env: takes no arguments, got {' '.join(arguments)}", file=sys.stderr)
        return 2
    for title, rows in report():
        print(title)
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            print(f"  {name:{width}}  {value}")
    return 0


def report():
    """The sections of the report: a list of (title, [(name, value), ...])."""
    return [
        ("versions", _versions()),
        ("machine", _machine()),
        ("kernel cache", _cache()),
        ("devices", [(name, "a folder of runtime/") for name in _devices()]),
        ("switches", _switch_rows()),
    ]


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _versions():
    rows = [
        ("rushlight", f"{_version('rushlight')}, offers the API of torch {alias.VERSIONS['torch']}"),
        ("python", f"{platform.python_version()} ({sys.executable})"),
        ("numpy", numpy.__version__),
        ("llvmlite", f"{_version('llvmlite')}, LLVM {'.'.join(str(part) for part in llvm.llvm_version_info)}"),
    ]
    return rows + [(name, _version(name)) for name in OPTIONAL]


def _machine():
    features = llvm.get_host_cpu_features()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        ("system", f"{platform.system()} {platform.release()} on {platform.machine()}"),
        ("CPU", f"{_cpu_name()} (LLVM: {llvm.get_host_cpu_name()})"),
        ("features", " ".join(name for name in FEATURES if features.get(name)) or "none of those that matter"),
        ("cores", f"{cores} available of {os.cpu_count()}"),
        ("threads", switches.THREADS or f"{cores} (one for every available core)"),
        ("memory", _memory()),
    ]


def _cpu_name():
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory():
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return "unknown"
    return _size(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _size(count):
    """A number of bytes as text: 512 B, 1.5 KiB, 3.2 MiB, ..."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def _cache():
    if switches.CACHE is None:
        return [("folder", "off: kernels are compiled anew in every process")]
    sizes = []
    for folder, _, files in os.walk(switches.CACHE):
        for file in files:
            path = os.path.join(folder, file)
            # Another process may remove a file between the two calls; it is then no part of the cache any more.
            if os.path.exists(path):
                sizes.append(os.path.getsize(path))
    return [("folder", switches.CACHE), ("size", f"{_size(sum(sizes))} in {len(sizes)} files")]


def _devices():
    return [entry.name for entry in pkgutil.iter_modules(runtime.__path__) if entry.ispkg]


def _switch_rows():
    rows = []
    for row in switches.TABLE:
        value = os.environ.get("RUSHLIGHT_" + row.name)
        rows.append((f"RUSHLIGHT_{row.name}", "not set" if value is None else repr(value)))
    known = {f"RUSHLIGHT_{row.name}" for row in switches.TABLE}
    for name in sorted(os.environ):
        if name.startswith("RUSHLIGHT_") and name not in known:
            rows.append((name, f"{os.environ[name]!r}: there is no such switch"))
    return rows
