"""Machine code on disk: packs of object code go in, the pack that holds a kernel comes out.

A *pack* is the object file of the kernels that one program needed first, with the digests of their keys. An index
file maps digests to packs; it is only appended to. Both live in a folder named after everything else that decides
the code (CPU, LLVM, our generator), so that a new version never sees old code.

Note [Safe without locks]
Packs are written to a temporary name and moved into place; they carry a checksum. Index lines are appended by one
write each, with a line break before and after, so that a torn line spoils only itself. Whatever goes wrong is a miss:
the kernel is compiled again.

Note [Code that may be run]
A pack is machine code, so it must come from this user. Folder and files pass the checks of private_folder.py, and the
checksum is keyed with a secret that only the folder holds: a file that was copied or unpacked into the folder by some
other program does not match. What is inside is checked by loader.py before it is run.
"""

import contextlib
import hashlib
import os
import re
import secrets
import struct
import warnings

from .private_folder import PrivateFolder, Untrusted

LIMIT = 256 << 20
MAGIC = b"RLPACK02"
MOST_PACK, MOST_INDEX = 64 << 20, 16 << 20  # bytes; larger files are not ours
_DIGEST, _SECRET = 16, 32
_HEAD = struct.Struct("<8s16sI")
_LINE = re.compile("([0-9a-f]{32}) ([0-9a-f]{32}\\.o)")
_TRIM_EVERY = 64
_FRESH = 3600.0  # a pack younger than this is not touched again: one stat instead of a write at each start


def digest(data):
    """The 32 hexadecimal digits that stand for `data` (bytes) in names of kernels and files."""
    return hashlib.blake2b(data, digest_size=_DIGEST).hexdigest()


class ObjectCache:
    """The packs below `root` for one `fingerprint` (text that names everything the code depends on besides its key)."""

    def __init__(self, root, fingerprint, limit=LIMIT):
        self.root, self.limit = os.fspath(root), limit
        self.folder = os.path.join(self.root, "cpu-" + digest(fingerprint.encode())[:16])
        self.index_path = os.path.join(self.folder, "index")
        self.broken = False
        self._files = PrivateFolder(self.folder)
        self._secret = None
        self._index = None
        self._writes = 0

    def lookup(self, key):
        """The name of the pack that holds the kernel with this digest, or None."""
        if self._index is None:
            self._index = self._read_index()
        return self._index.get(key)

    def load(self, name):
        """(list of digests, object code) of a pack; None if it is missing or damaged (a damaged one is removed)."""
        try:
            if self._secret is None:
                self._secret = self._files.read("secret", _SECRET)
            data = self._files.read(name, MOST_PACK, _FRESH)
        except OSError as error:
            self._refuse(error)
            return None
        if data is None:
            return None
        content = _unpack(data, self._secret)
        if content is None:
            self._files.remove(name)
        return content

    def forget(self, name):
        """Drop a pack that cannot be used from this process's view of the index."""
        self._index = {key: pack for key, pack in (self._index or {}).items() if pack != name}

    def store(self, keys, code):
        """Keep object code that holds the kernels with these digests. A disk that refuses is reported once."""
        if self.broken or len(code) > MOST_PACK - (1 << 20):
            return
        body = struct.pack("<I", len(keys)) + b"".join(bytes.fromhex(key) for key in keys) + code
        name = digest(body) + ".o"
        try:
            os.makedirs(self.root, mode=0o700, exist_ok=True)
            self._secret = self._shared_secret()
            self._files.write(name, MAGIC + _tag(body, self._secret) + body)
            self._files.append("index", "".join(f"\n{key} {name}\n" for key in keys).encode())
            if self._writes % _TRIM_EVERY == 0:
                self.trim()
        except OSError as error:
            self._refuse(error)
            return
        self._writes += 1
        if self._index is not None:
            self._index.update(dict.fromkeys(keys, name))

    def _refuse(self, error):
        """Report a folder that cannot be written, or must not be read, once."""
        if isinstance(error, FileNotFoundError) or self.broken:
            return
        self.broken = True
        hint = "RUSHLIGHT_CACHE=0 turns the cache off"
        warnings.warn(f"kernels are not kept on disk: {error} ({hint})", stacklevel=3)

    def _shared_secret(self):
        """The secret of the folder; the first process makes it. OSError where that cannot be."""
        for _ in range(3):
            with contextlib.suppress(FileNotFoundError):
                secret = self._files.read("secret", _SECRET)
                if secret is not None and len(secret) == _SECRET:
                    return secret
                self._files.remove("secret")
            self._files.create("secret", secrets.token_bytes(_SECRET))
        raise OSError(f"the secret of {self.folder} cannot be kept")

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
            data = self._files.read("index", MOST_INDEX)
        except OSError as error:
            if isinstance(error, Untrusted):
                self._refuse(error)
            return {}
        lines = (data or b"").decode("ascii", "replace").split("\n")
        return dict(found.groups() for found in map(_LINE.fullmatch, lines) if found)

    def _rewrite_index(self):
        present = set(self._files.names())
        kept = {key: name for key, name in self._read_index().items() if name in present}
        self._files.write("index", "".join(f"{key} {name}\n" for key, name in kept.items()).encode())
        self._index = kept


def _tag(body, secret):
    return hashlib.blake2b(body, digest_size=_DIGEST, key=secret).digest()


def _unpack(data, secret):
    if len(data) < _HEAD.size or data[:8] != MAGIC or secret is None or len(secret) != _SECRET:
        return None
    body = data[8 + _DIGEST :]
    if not secrets.compare_digest(_tag(body, secret), data[8 : 8 + _DIGEST]):
        return None
    count = struct.unpack_from("<I", body)[0]
    end = 4 + count * _DIGEST
    if end > len(body):
        return None
    return [body[at : at + _DIGEST].hex() for at in range(4, end, _DIGEST)], body[end:]


def _remove(path):
    with contextlib.suppress(OSError):  # another process was faster, or the folder is read-only
        os.unlink(path)


def _remove_empty(folder):
    """Remove the folder of a version that is no longer used, once it holds no packs."""
    with contextlib.suppress(OSError):  # somebody writes to it: then it is in use
        if set(os.listdir(folder)) <= {"index", "secret"}:
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
            os.rmdir(folder)


def _packs(root):
    """(time of last use, bytes, path) of every pack and every leftover of a crashed writer below `root`."""
    found = []
    for folder in os.scandir(root):
        if not folder.is_dir(follow_symlinks=False) or not folder.name.startswith("cpu-"):
            continue
        for entry in os.scandir(folder.path):
            if entry.name.endswith(".o") or entry.name.startswith(".new-"):
                with contextlib.suppress(FileNotFoundError):  # another process trims as well
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime, status.st_size, entry.path))
    return found
