"""Folders that only this user can write, for files that the process runs or trusts.

Takes names and bytes, and returns bytes only if folder and file belong to this user (or to root) and no other user may
write them. Read next: object_cache.py and cpuinfo.py, the two users.

Note [What is trusted]
A folder is opened once for each access and checked by its handle; its files are opened relative to that handle, so
exchanging a path between the check and the access achieves nothing. A file has to be a regular file: opening does not
follow links and does not wait for the other end of a FIFO. Sizes are checked before anything is read. A name in a
trusted folder that holds anything else is removed, so that the next writer can use the name.
"""

import contextlib
import errno
import functools
import os
import secrets
import stat
import tempfile
import time
import warnings

from ...base import switches

_POSIX = os.name == "posix" and os.open in os.supports_dir_fd
_FILE = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_SHARED = stat.S_IWGRP | stat.S_IWOTH


class Untrusted(PermissionError):
    """A folder that another user may have written to."""


class PrivateFolder:
    """The files of one folder. Every method raises OSError where the folder cannot be used, `Untrusted` where it must
    not be.
    """

    def __init__(self, path):
        self.path = os.fspath(path)

    def check(self):
        """Raise Untrusted if another user may write here, FileNotFoundError if there is no such folder."""
        with self._opened():
            return

    def read(self, name, most, fresh=None):
        """The contents of a file, None if there is no trusted file of at most `most` bytes.

        fresh: seconds. The time of last use of an older file is set to now."""
        with self._opened() as folder:
            try:
                handle = os.open(self._at(name), os.O_RDONLY | _FILE, **_dir(folder))
            except FileNotFoundError:
                return None
            except OSError:  # a link, or a socket
                self._remove(name, folder)
                return None
            try:
                status = os.fstat(handle)
                if distrust(status, stat.S_ISREG) or status.st_size > most:
                    self._remove(name, folder)
                    return None
                if fresh is not None and time.time() - status.st_mtime > fresh:
                    _touch(handle)
                return _read_all(handle, status.st_size)
            finally:
                os.close(handle)

    def write(self, name, data):
        """Put `data` (bytes) at `name`, whole or not at all; the folder is created if needed."""
        with self._made() as folder, self._new_file(data, folder) as temporary:
            if _POSIX:
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                os.replace(self._at(temporary), self._at(name))

    def create(self, name, data):
        """As `write`, but keep a file that is there already: two processes that create one agree on its contents."""
        with self._made() as folder, self._new_file(data, folder) as temporary:
            try:
                if _POSIX:
                    os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
                else:
                    os.rename(self._at(temporary), self._at(name))
            except FileExistsError:
                return
            except OSError as error:  # a file system without hard links
                if error.errno not in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EMLINK):
                    raise
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)

    def append(self, name, data):
        """Add `data` to the end of a file by one write."""
        with self._made() as folder:
            handle = self._open_to_append(name, folder)
            try:
                os.write(handle, data)
            finally:
                os.close(handle)

    def names(self):
        """The names in the folder; none if it does not exist."""
        try:
            with self._opened() as folder:
                return os.listdir(folder if _POSIX else self.path)
        except FileNotFoundError:
            return []

    def remove(self, name):
        """Remove a file. A file that stays (another process was faster, or the folder is read-only) is not an error."""
        with contextlib.suppress(OSError), self._opened() as folder:
            self._remove(name, folder)

    def _at(self, name):
        return name if _POSIX else os.path.join(self.path, name)

    def _remove(self, name, folder):
        with contextlib.suppress(OSError):
            os.unlink(self._at(name), **_dir(folder))

    @contextlib.contextmanager
    def _opened(self):
        if not _POSIX:
            if not os.path.isdir(self.path):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)
            yield None
            return
        handle = os.open(self.path, _FOLDER)
        try:
            reason = distrust(os.fstat(handle), stat.S_ISDIR)
            if reason:
                raise Untrusted(errno.EPERM, reason, self.path)
            yield handle
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _made(self):
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        with self._opened() as folder:
            yield folder

    @contextlib.contextmanager
    def _new_file(self, data, folder):
        """The name of a new file with these contents; gone after the block unless it was renamed."""
        name = f".new-{secrets.token_hex(8)}"
        handle = os.open(self._at(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o600, **_dir(folder))
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            yield name
        finally:
            self._remove(name, folder)

    def _open_to_append(self, name, folder):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _FILE
        for again in (True, False):
            try:
                handle = os.open(self._at(name), flags, 0o600, **_dir(folder))
            except OSError:  # a link, or a FIFO that nobody reads
                if not again:
                    raise
            else:
                reason = distrust(os.fstat(handle), stat.S_ISREG)
                if not reason:
                    return handle
                os.close(handle)
                if not again:
                    raise Untrusted(errno.EPERM, reason, os.path.join(self.path, name))
            self._remove(name, folder)
        raise AssertionError("unreachable")


def distrust(status, kind):
    """Why a file or folder of this os.stat_result is not to be trusted, or None. `kind`: stat.S_ISREG or S_ISDIR."""
    if not kind(status.st_mode):
        return "not a folder" if kind is stat.S_ISDIR else "not a regular file"
    if not hasattr(os, "geteuid"):
        return None
    if status.st_uid not in (os.geteuid(), 0):
        return f"it belongs to user {status.st_uid}"
    if status.st_mode & _SHARED:
        return f"other users may write there (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


@functools.cache
def trusted(path):
    """`path` if it is a folder to be trusted or does not exist yet, else one that this user has alone, after a
    warning; None for None and where there is no such folder either.
    """
    if path is None:
        return None
    reason = _refusal(path)
    if reason is None:
        return path
    instead = next((other for other in _fallbacks() if other != path and _refusal(other) is None), None)
    used = f"kernels are kept in {instead}" if instead else "kernels are not kept on disk"
    hint = "RUSHLIGHT_CACHE names another folder, 0 turns the cache off"
    warnings.warn(f"the kernel cache {path} is not used: {reason}; {used} ({hint})", stacklevel=2)
    return instead


def _refusal(path):
    try:
        PrivateFolder(path).check()
    except Untrusted as error:
        return error.strerror
    except OSError:
        return None  # none yet, or none that can be used: whoever writes there reports it
    return None


def _fallbacks():
    yield os.path.abspath(os.path.expanduser(switches.default_cache()))
    if hasattr(os, "geteuid"):
        yield os.path.join(tempfile.gettempdir(), f"rushlight-{os.geteuid()}")


def _dir(folder):
    return {"dir_fd": folder} if _POSIX else {}


def _read_all(handle, size):
    data = bytearray()
    while len(data) < size:
        part = os.read(handle, min(size - len(data), 1 << 20))
        if not part:
            break
        data += part
    return bytes(data)


def _touch(handle):
    try:
        os.utime(handle)
    except (OSError, TypeError):
        return  # a read-only cache has no order of use to keep
