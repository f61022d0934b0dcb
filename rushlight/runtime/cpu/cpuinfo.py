"""What the processor can do: instruction sets, vector width, cache sizes.

The name and the features are LLVM's; so that a warm start need not import it to ask, they are kept in the cache folder
in a file named after what the system says about the processor. Cache sizes come from /sys. Used by code generators.
"""

import ctypes
import functools
import hashlib
import os
import platform
import sys

try:
    import resource
except ImportError:
    resource = None

from ...base import switches
from . import memory
from .private_folder import PrivateFolder, trusted

# Linux gives a process the tile registers on request: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18
_CACHES = "/sys/devices/system/cpu/cpu0/cache"
_LIBRARY = 192 << 20  # bytes of address space that LLVM takes
_HOST_END, _MOST_HOST = "end", 65536


@functools.cache
def llvm_host():
    """(triple, CPU name, feature string, LLVM's version) of this machine as LLVM writes them, e.g.
    ("x86_64-unknown-linux-gnu", "znver3", "+avx2,+fma,-avx512f", "20.1.8")."""
    path = _host_path()
    known = path and _read_host(path)
    if known:
        return known
    llvm = llvm_binding()
    found = (llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(),
             ".".join(map(str, llvm.llvm_version_info)))
    if path is not None:
        _write_host(path, found)
    return found


def llvm_binding():
    """llvmlite.binding: the first kernel pays for it, not `import rushlight`. RuntimeError if there is no room for it:
    an import that fails half way leaves it broken."""
    if "llvmlite.binding" not in sys.modules:
        memory.require(_LIBRARY)
    import llvmlite.binding as llvm

    return llvm


def _host_path():
    """The file that keeps `llvm_host` for this processor and llvmlite; None where nothing is kept."""
    root = trusted(switches.CACHE)
    if root is None or sys.platform != "linux":
        return None
    import llvmlite  # the package alone, not the library

    try:
        with open("/proc/cpuinfo", "rb") as file:
            first = file.read(16384).split(b"\n\n")[0]
    except OSError:
        return None
    lines = [line for line in first.splitlines() if b"MHz" not in line and b"bogomips" not in line.lower()]
    about = b"\n".join([*lines, llvmlite.__version__.encode(), platform.machine().encode()])
    return os.path.join(root, "host-" + hashlib.blake2b(about, digest_size=8).hexdigest())


def _read_host(path):
    folder, name = os.path.split(path)
    try:
        lines = (PrivateFolder(folder).read(name, _MOST_HOST) or b"").decode().split("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return tuple(lines[:4]) if len(lines) == 5 and lines[4] == _HOST_END and all(lines[:4]) else None


def _write_host(path, found):
    """Keep the lines; whatever goes wrong only costs the next start its import."""
    folder, name = os.path.split(path)
    try:
        PrivateFolder(folder).write(name, "\n".join([*found, _HOST_END]).encode())
    except OSError:
        return


def name():
    """LLVM's name of the processor, e.g. "znver3"."""
    return llvm_host()[1]


@functools.cache
def features():
    """The frozenset of LLVM feature names this processor has, e.g. {"avx2", "fma", ...}."""
    return frozenset(item[1:] for item in llvm_host()[2].split(",") if item[:1] == "+")


def has(feature):
    """Whether the processor has an LLVM feature, e.g. has("avx512f")."""
    return feature in features()


@functools.cache
def architecture():
    """"x86_64" or "aarch64", or what the system calls another processor."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


@functools.cache
def vector_bytes():
    """Bytes of the widest vector register worth using: 64 with AVX-512, 32 with AVX2, else 16."""
    if architecture() == "x86_64":
        if has("avx512f") and has("avx512vl") and has("avx512bw") and has("avx512dq"):
            return 64
        if has("avx2") and has("fma"):
            return 32
    return 16


@functools.cache
def vector_registers():
    """How many vector registers there are: 32 with AVX-512 and NEON, else 16."""
    return 32 if vector_bytes() == 64 or architecture() == "aarch64" else 16


@functools.cache
def matrix_unit():
    """"amx" where the processor has tiles for bfloat16 and the system lets this process use them, else ""."""
    if architecture() != "x86_64" or sys.platform != "linux" or not (has("amx-tile") and has("amx-bf16")):
        return ""
    granted = ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) == 0
    return "amx" if granted else ""


def _read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def _bytes(text):
    scale = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 1)
    digits = text.rstrip("KMG")
    return int(digits) * scale if digits.isdecimal() else 0


@functools.cache
def cache_sizes():
    """Bytes of the data caches (L1, L2, L3) one core sees; usual sizes where the system does not tell."""
    sizes = {1: 32 << 10, 2: 512 << 10, 3: 8 << 20}
    try:
        entries = os.listdir(_CACHES)
    except OSError:
        entries = []
    for entry in entries:
        folder = os.path.join(_CACHES, entry)
        level = _read(os.path.join(folder, "level"))
        size = _bytes(_read(os.path.join(folder, "size")))
        if level in ("1", "2", "3") and size and _read(os.path.join(folder, "type")) != "Instruction":
            sizes[int(level)] = size
    return sizes[1], sizes[2], sizes[3]


@functools.cache
def memory_bytes():
    """Physical memory in bytes; 8 GiB if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 << 30


@functools.cache
def stack_bytes():
    """How far the stacks of threads may grow that are not ours (the main thread, those that Python makes)."""
    if resource is None:  # Windows: what its linker gives
        return 1 << 20
    limit = resource.getrlimit(resource.RLIMIT_STACK)[0]
    return 8 << 20 if limit == resource.RLIM_INFINITY else limit


@functools.cache
def available_cpus():
    """How many CPUs this process may run on: its affinity, limited by the quota of its control group."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _read("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0].isdecimal() and quota[1].isdecimal():
        count = min(count, max(1, -(-int(quota[0]) // int(quota[1]))))
    return count
