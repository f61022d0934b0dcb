"""Machine code on disk: packs of object code go in, the pack that holds a kernel comes out.

A *pack* is the object file of the kernels that one program needed first, with the digests of their keys. An index
file maps digests to packs; it is only appended to. Both live in a folder named after everything else that decides
the code (CPU, LLVM, our generator), so that a new version never sees old code.

Note [Safe without locks]
Packs are written to a temporary name and moved into place; they carry a checksum. Index lines are appended by one
write each, with a line break before and after, so that a torn line spoils only itself. Whatever goes wrong is a miss:
the kernel is compiled again.
"""

import hashlib
import os
import struct
import tempfile
import time
import warnings

LIMIT = 256 << 20
MAGIC = b"RLPACK01"
_DIGEST = 16
_HEAD = struct.Struct("<8s16sI")
_TRIM_EVERY = 64
_FRESH = 3600.0  # a pack younger than this is not touched again: one stat instead of a write at each start


def digest(data):
    """The 32 hexadecimal digits that stand for `data` (bytes) in names of kernels and files."""
    return hashlib.blake2b(data, digest_size=_DIGEST).hexdigest()


class ObjectCache:
    """The packs below `root` for one `fingerprint` (text that names everything the code depends on besides its key)."""

    def __init__(self, root, fingerprint, limit=LIMIT):
        self.root, self.limit = root, limit
        self.folder = os.path.join(root, "cpu-" + digest(fingerprint.encode())[:16])
        self.index_path = os.path.join(self.folder, "index")
        self.broken = False
        self._index = None
        self._writes = 0

    def lookup(self, key):
        """The name of the pack that holds the kernel with this digest, or None."""
        if self._index is None:
            self._index = self._read_index()
        return self._index.get(key)

    def load(self, name):
        """(list of digests, object code) of a pack; None if it is missing or damaged (a damaged one is removed)."""
        path = os.path.join(self.folder, name)
        try:
            with open(path, "rb") as file:
                age = time.time() - os.fstat(file.fileno()).st_mtime
                data = file.read()
        except OSError:
            return None
        content = _unpack(data)
        if content is None:
            _remove(path)
        elif age > _FRESH:
            _touch(path)
        return content

    def forget(self, name):
        """Drop a pack that cannot be used from this process's view of the index."""
        self._index = {key: pack for key, pack in (self._index or {}).items() if pack != name}

    def store(self, keys, code):
        """Keep object code that holds the kernels with these digests. A disk that refuses is reported once."""
        if self.broken:
            return
        body = struct.pack("<I", len(keys)) + b"".join(bytes.fromhex(key) for key in keys) + code
        name = digest(body) + ".o"
        data = MAGIC + bytes.fromhex(digest(body)) + body
        try:
            os.makedirs(self.folder, exist_ok=True)
            write(os.path.join(self.folder, name), data)
            self._append("".join(f"\n{key} {name}\n" for key in keys).encode())
            if self._writes % _TRIM_EVERY == 0:
                self.trim()
        except OSError as error:
            self.broken = True
            hint = "RUSHLIGHT_CACHE=0 turns the cache off"
            warnings.warn(f"kernels are not kept on disk: {error} ({hint})", stacklevel=2)
            return
        self._writes += 1
        if self._index is not None:
            self._index.update(dict.fromkeys(keys, name))

    def trim(self):
        """Above the limit, remove the packs used longest ago until all folders take three quarters of it."""
        packs = _packs(self.root)
        total = sum(size for _, size, _ in packs)
        if total <= self.limit:
            return
        for _, size, path in sorted(packs):
            if total <= self.limit * 3 // 4:
                break
            _remove(path)
            total -= size
        self._rewrite_index()
        for folder in os.scandir(self.root):
            if folder.name.startswith("cpu-") and folder.path != self.folder:
                _remove_empty(folder.path)

    def _read_index(self):
        try:
            with open(self.index_path, encoding="ascii", errors="replace") as file:
                lines = file.read().split("\n")
        except OSError:
            return {}
        good = 2 * _DIGEST + 1 + 2 * _DIGEST + 2
        return {line[:32]: line[33:] for line in lines if len(line) == good and line[32] == " " and line[-2:] == ".o"}

    def _append(self, data):
        handle = os.open(self.index_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, data)
        finally:
            os.close(handle)

    def _rewrite_index(self):
        try:
            present = set(os.listdir(self.folder))
        except OSError:
            return
        kept = {key: name for key, name in self._read_index().items() if name in present}
        write(self.index_path, "".join(f"{key} {name}\n" for key, name in kept.items()).encode())
        self._index = kept


def _unpack(data):
    if len(data) < _HEAD.size or data[:8] != MAGIC:
        return None
    body = data[8 + _DIGEST :]
    if hashlib.blake2b(body, digest_size=_DIGEST).digest() != data[8 : 8 + _DIGEST]:
        return None
    count = struct.unpack_from("<I", body)[0]
    end = 4 + count * _DIGEST
    return [body[at : at + _DIGEST].hex() for at in range(4, end, _DIGEST)], body[end:]


def write(path, data):
    """Put `data` (bytes) at `path`, whole or not at all. OSError where that cannot be."""
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def _remove(path):
    try:
        os.unlink(path)
    except OSError:
        return  # another process was faster, or the folder is read-only: the caller treats both as a miss


def _remove_empty(folder):
    """Remove the folder of a version nobody uses any more, once it holds no packs."""
    try:
        if os.listdir(folder) == ["index"]:
            os.unlink(os.path.join(folder, "index"))
            os.rmdir(folder)
    except OSError:
        return  # somebody writes to it: then it is in use


def _touch(path):
    try:
        os.utime(path)
    except OSError:
        return  # a read-only cache has no order of use to keep


def _packs(root):
    """(time of last use, bytes, path) of every pack and every leftover of a crashed writer below `root`."""
    found = []
    for folder in os.scandir(root):
        if not folder.is_dir(follow_symlinks=False) or not folder.name.startswith("cpu-"):
            continue
        for entry in os.scandir(folder.path):
            if entry.name.endswith(".o") or entry.name.startswith(".new-"):
                status = entry.stat()
                found.append((status.st_mtime, status.st_size, entry.path))
    return found
