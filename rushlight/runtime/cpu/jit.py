"""Kernel sources in, addresses of machine code out.

`compile_kernels` is the whole interface: kernels it has seen are dictionary look-ups, kernels on disk are loaded,
the rest is emitted into a module for each thread, compiled (llvm.py) and kept on disk. Code is never unloaded:
worker threads may be inside it, and programs hold bare addresses. Read next: llvm.py, object_cache.py,
codegen/ir/kernel.py for what a kernel source is.

Note [Code model]
Code is position independent with the small code model, so that constants are addressed relative to the instruction
pointer and fold into vector instructions. All sections of an object lie in one block of memory, which keeps them in
range: loader.py does so, and llvmlite's own memory manager, which loads objects where loader.py does not work.

Note [Without LLVM]
A program whose kernels are all on disk never imports llvmlite: what the folder's name depends on (LLVM's version, its
name for the processor) is remembered in the cache, see cpuinfo.py.
"""

import ctypes
import os
import threading
import time

from ...base import forks, switches
from ...base.lazy import Lazy
from . import cpuinfo, llvm, loader
from . import hurry as hurried
from .object_cache import ObjectCache, digest
from .private_folder import trusted

_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_GENERATORS = ("ops", "fuse", "codegen", "runtime", "engine")  # whose code decides what a kernel's key means
PART_MILLISECONDS = 50.0  # of LLVM that pay for a thread
PARTS_A_THREAD = 4  # at most: a thread whose core is slower takes fewer of them
builder = Lazy(f"{__package__.split('.')[0]}.codegen.ir.builder")  # a warm start needs none
_lock = threading.RLock()
_addresses = {}
_caches = {}
_loaded_packs = {}
_functions = {}
_outside = {}

stats = {"compiled": 0, "loaded": 0, "compile_seconds": 0.0, "load_seconds": 0.0}


def compile_kernels(sources, hurry=False):
    """The dictionary {source.key: address} of these KernelSource objects, compiling what is not known yet; with `hurry`
    without optimising at first, see hurry.py.

    RuntimeError shows the IR text where LLVM rejects it (switch LOG=ir), ValueError a key whose repr is not stable.
    """
    known = _addresses
    missing = {source.key: source for source in sources if source.key not in known}
    if missing:
        with _lock:
            _build([source for key, source in missing.items() if key not in known], hurry and _can_hurry())
    return {source.key: known[source.key] for source in sources}


def find_kernels(names):
    """The addresses of kernels by their names (see `kernel_name`), in memory or on disk; None if one is not there."""
    with _lock:
        missing = [name for name in names if not _find(name)]
        if missing:
            _load_packs(disk(), {name[2:]: (name,) for name in missing})
        found = [_find(name) for name in names]
        return found if all(found) else None


def compile_text(text, symbols):
    """The dictionary {symbol: address} of functions defined in one text of IR; kept on disk like kernels. Where they
    are not there yet, this process has code that is not optimised, and those that follow have good code."""
    key = digest(text.encode())
    with _lock:
        cache = disk()
        if key not in _load_packs(cache, {key: symbols}):
            hurry = cache is not None and _can_hurry()
            code = llvm.Compiler(hurry).compile(text)
            if hurry:
                hurried.later(_milliseconds(text.count("\n")), (key, text, cache), _keep_texts)
            elif cache is not None:
                cache.store([key], code)
            _add_object(code)
        return {symbol: _address(symbol) for symbol in symbols}


def assembly(sources):
    """The assembly text of kernels, for people."""
    with _lock:
        compiler = llvm.Compiler()
        module = compiler.optimised(_text([_emit(kernel_name(source.key), source) for source in sources]))
        return compiler.machine.emit_assembly(module)


def kernel_name(key):
    """The name of a kernel's function: a digest of the key's repr, which must be the same in every process."""
    text = repr(key)
    if " at 0x" in text:
        raise ValueError(f"kernel keys must not contain objects without a stable repr: {text}")
    return "k_" + digest(text.encode())


# -- building ----------------------------------------------------------------------------------------------------------


def _build(sources, hurry=False):
    """Make every source's address known. The caller holds the lock."""
    if not sources:
        return
    named = [(kernel_name(source.key), source) for source in sources]
    cache = disk()
    loaded = _load_packs(cache, {name[2:]: (name,) for name, _ in named})
    fresh = [(name, source) for name, source in named if name[2:] not in loaded]
    if fresh:
        start = time.perf_counter()
        parts = _parts([(name, _emit(name, source)) for name, source in fresh])
        if hurry:
            _hurry(parts, {name: source.key for name, source in fresh})
        else:
            _compile(parts, cache)
        stats["compiled"] += len(fresh)
        stats["compile_seconds"] += time.perf_counter() - start
    for name, source in named:
        _addresses[source.key] = _address(name)


def _compile(parts, cache):
    """Compile, keep and load lists of (name, Module)."""
    codes = llvm.compile_texts([_text([module for _, module in part]) for part in parts])
    for part, code in zip(parts, codes):
        if cache is not None:
            cache.store([name[2:] for name, _ in part], code)
        _add_object(code)


def _can_hurry():
    """Whether code may be made twice: texts that are shown are shown once."""
    return loader.supported() and not switches.LOG & {"ir", "asm"}


def _hurry(parts, keys):
    """Compile lists of (name, Module) without optimising, where that gives the same bits, and have it done well later.
    `keys`: {name: key}."""
    texts = [_text([module for _, module in part]) for part in parts]
    suited = [hurried.suits(text) for text in texts]
    cache = disk()  # by the time of `_improve` the switch may name another folder
    _compile([part for part, suits in zip(parts, suited) if not suits], cache)
    parts = [(part, text) for part, text, suits in zip(parts, texts, suited) if suits]
    codes = llvm.compile_texts([hurried.with_doors([name for name, _ in part], text) for part, text in parts], True)
    for (part, _), code in zip(parts, codes):
        found = loader.load(code, _resolve)
        for name, module in part:
            _functions[name] = found["door_" + name]
            work = (keys[name], name, module, found["cell_" + name], cache)
            hurried.later(_milliseconds(module.lines()), work, _improve)


def _improve(works):
    """Compile well what `_hurry` has compiled."""
    caches = {name: cache for _, name, _, _, cache in works}
    if hurried.ending() and not any(caches.values()):
        return
    parts = _parts([(name, module) for _, name, module, _, _ in works])
    codes = llvm.compile_texts([_text([module for _, module in part]) for part in parts])
    with _lock:
        for part, code in zip(parts, codes):
            for cache in {caches[name] for name, _ in part if caches[name] is not None}:
                cache.store([name[2:] for name, _ in part if caches[name] is cache], code)
            _add_object(code)
        for key, name, _, cell, _ in works:
            address = _addresses[key] = _address(name)
            hurried.enter(cell, address)


def _keep_texts(works):
    """Compile well, for the processes that follow, what `compile_text` has compiled in a hurry."""
    codes = llvm.compile_texts([text for _, text, _ in works])
    with _lock:
        for (key, _, cache), code in zip(works, codes):
            if cache is not None:
                cache.store([key], code)


def _emit(name, source):
    """A Module with one kernel."""
    module = builder.Module()
    source.emit(module, name)
    return module


def _text(modules):
    """The text of modules joined to one."""
    joined = builder.Module()
    for module in modules:
        joined.functions += module.functions
        joined.globals += module.globals
        joined.declarations.update(module.declarations)
    return joined.text()


def _milliseconds(lines):
    """How long LLVM takes for a number of instructions, measured."""
    return 0.8 * lines ** 0.7


def _parts(emitted):
    """(name, Module) pairs in a few lists a thread, each about the same work and enough to pay for a thread."""
    work = [(_milliseconds(module.lines()), name, module) for name, module in emitted]
    threads = llvm.count_threads()
    most = 1 if threads == 1 else threads * PARTS_A_THREAD
    count = max(1, min(most, int(sum(w for w, _, _ in work) / PART_MILLISECONDS)))
    parts, sums = [[] for _ in range(count)], [0.0] * count
    for weight, name, module in sorted(work, key=lambda w: -w[0]):
        least = sums.index(min(sums))
        sums[least] += weight
        parts[least].append((name, module))
    return parts


# -- loading -----------------------------------------------------------------------------------------------------------


def _load_packs(cache, wanted):
    """Load the packs that hold these kernels, {digest: symbols that it has to define}; the set of the digests that are
    in memory afterwards. A pack that does not hold what the index says, or that cannot be loaded, is a miss.
    """
    if cache is None:
        return set()
    start = time.perf_counter()
    ready = set()
    for key, symbols in wanted.items():
        name = cache.lookup(key)
        if key in ready or name is None:
            continue
        if name not in _loaded_packs:
            content = cache.load(name)
            if content is None or key not in content[0] or not _add_pack(content[1], symbols):
                cache.forget(name)
                continue
            _loaded_packs[name] = content[0]
        ready.update(_loaded_packs[name])
    ready = {key for key in ready.intersection(wanted) if all(map(_find, wanted[key]))}
    stats["loaded"] += len(ready)
    stats["load_seconds"] += time.perf_counter() - start
    return ready


def _add_pack(code, symbols):
    """Load the object of a pack; whether it was one, and defines these symbols."""
    try:
        _add_object(code)
    except (ValueError, AttributeError):  # damaged, or it calls a function that is not there
        return False
    return all(map(_find, symbols))


def disk():
    """The object cache of the folder RUSHLIGHT_CACHE names, None without one."""
    root = trusted(switches.CACHE)
    if root is None:
        return None
    cache = _caches.get(root)
    if cache is None:
        cache = _caches[root] = ObjectCache(root, "|".join((*cpuinfo.llvm_host(), _generators())))
    return cache


def _generators():
    """A text that changes when a file changes that takes part in generating code: its path, size and time."""
    parts = []
    for folder in _GENERATORS:
        for path, folders, files in os.walk(os.path.join(_PACKAGE, folder)):
            folders.sort()
            for name in sorted(files):
                if name.endswith(".py"):
                    status = os.stat(os.path.join(path, name))
                    parts.append(f"{path[len(_PACKAGE):]}/{name} {status.st_size} {status.st_mtime_ns}")
    return digest("\n".join(parts).encode())


def _add_object(code):
    if loader.supported():
        _functions.update(loader.load(code, _resolve))
        return
    loader.check(code)
    llvm.loader().add_object_file(llvm.library().ObjectFileRef.from_data(code))


def _find(name):
    """The address of a function that has been loaded; None or 0 without one."""
    return _functions.get(name) if loader.supported() else llvm.loader().get_function_address(name)


def _address(name):
    address = _find(name)
    if not address:
        raise RuntimeError(f"kernel {name} is not in its object file")
    return address


def _resolve(name):
    """The address of a function outside generated code: one that was made known, else the C library's."""
    found = _outside.get(name)
    if found is None:
        found = _outside[name] = pointer(getattr(ctypes.CDLL(None), name))
    return found


def add_symbol(name, address):
    """Make an address known under a name that generated code may call. The caller holds the lock."""
    _outside[name] = address
    if not loader.supported():
        llvm.library().add_symbol(name, address)


def hold():
    """The lock under which code is made; `with jit.hold():` keeps it over several calls."""
    return _lock


def pointer(function):
    """The address of a ctypes function."""
    return ctypes.cast(function, ctypes.c_void_p).value


forks.hold(_lock, forks.COMPILER)
