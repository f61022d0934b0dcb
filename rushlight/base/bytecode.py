"""Keep the package's bytecode in the cache folder where Python does not keep it beside the sources.

Python compiles every module again at each start if it must not write bytecode (`PYTHONDONTWRITEBYTECODE`, images of
containers) or cannot (an installation that belongs to somebody else, installers that do not compile). For this package
that is four fifths of the time of an import. Then its modules are loaded by `Loader`, which keeps their code below
RUSHLIGHT_CACHE, beside the machine code of kernels. Importing this module sets that up.

Note [Trusted bytecode]
A file is used only if the folder and the file belong to this user and nobody else may write them, if it is a regular
file, and if it carries the time and size of the source. Anything else is a miss: the source is compiled.
"""
import importlib.util
import marshal
import os
import stat
import struct
import sys
import zlib
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader

from . import switches

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LARGEST = 8 << 20
_STAMP = struct.Struct("<8sqq")  # of a file: magic, time and size of the source


def folder():
    """The folder that keeps the code of this installation for this interpreter, made if it is missing; None where
    nothing can be kept."""
    if switches.CACHE is None or not hasattr(os, "getuid"):
        return None
    name = f"{ROOT}\n{sys.implementation.cache_tag}\n{sys.flags.optimize}\n{importlib.util.MAGIC_NUMBER.hex()}"
    path = os.path.join(switches.CACHE, f"python-{zlib.crc32(name.encode()):08x}")
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.lstat(path)
    except OSError:
        return None
    return path if stat.S_ISDIR(found.st_mode) and _is_ours(found) else None


def _is_ours(found):
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


def read(path):
    """The bytes of a file that only this user can have written; None if there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        trusted = stat.S_ISREG(found.st_mode) and _is_ours(found) and found.st_size <= LARGEST
        return file.read() if trusted else None


def write(path, data):
    """Put a file in place as a whole, or not at all."""
    temporary = f"{path}.{os.getpid()}"
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)


class Loader(SourceFileLoader):
    """Loads a module from the code that is kept; compiles and keeps it if there is none or the source is another."""

    kept = None  # the folder

    def get_code(self, fullname):
        source = self.get_filename(fullname)
        found = os.stat(source)
        stamp = _STAMP.pack(importlib.util.MAGIC_NUMBER.ljust(8, b"\0"), found.st_mtime_ns, found.st_size)
        path = os.path.join(self.kept, f"{fullname}.pyc")
        data = read(path)
        if data is not None and data.startswith(stamp):
            try:
                return marshal.loads(memoryview(data)[len(stamp):])
            except (EOFError, TypeError, ValueError):
                pass  # damaged
        code = self.source_to_code(self.get_data(source), source)
        write(path, stamp + marshal.dumps(code))
        return code


def install():
    """Load the rest of the package by `Loader`, unless Python keeps its bytecode."""
    if os.path.exists(importlib.util.cache_from_source(os.path.join(ROOT, "__init__.py"))):
        return
    Loader.kept = folder()
    if Loader.kept is not None:
        sys.path_hooks.insert(0, _hook)
        for path in [path for path in sys.path_importer_cache if _is_inside(path)]:
            del sys.path_importer_cache[path]


def _hook(path):
    if not _is_inside(path):
        raise ImportError(f"not a folder of this package: {path}")
    return FileFinder(path, (Loader, SOURCE_SUFFIXES))


def _is_inside(path):
    return path == ROOT or path.startswith(ROOT + os.sep)


install()
