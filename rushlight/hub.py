"""Published weights: download a file once, check it, keep it in a cache folder and load it.

`load_state_dict_from_url` is what `weights=...` of the vision models calls. A download goes to a partial file beside
its destination, is resumed where a broken one stopped, and takes its final name only when it is whole and its hash is
right, so that other processes never see half a file.
"""

import fcntl
import hashlib
import os
import re
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

from .serialization import load

__all__ = ["download_url_to_file", "get_dir", "load_state_dict_from_url", "set_dir"]

HASH_IN_NAME = re.compile(r"-([a-f0-9]*)\.")
CHUNK = 1 << 17
TIMEOUT = 60
ATTEMPTS = 3
_folder = None


def get_dir():
    """Return the cache folder: what `set_dir` set, else `$TORCH_HOME/hub`, else `$XDG_CACHE_HOME/torch/hub`, where
    XDG_CACHE_HOME is `~/.cache` by default.

    Example:
        >>> torch.hub.get_dir().endswith("hub")
        True
    """
    if _folder is not None:
        return _folder
    home = os.environ.get("TORCH_HOME")
    if home is None:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch")
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d):
    """Set the cache folder to the path `d`."""
    global _folder
    _folder = os.path.expanduser(os.fspath(d))


class _Progress:
    """A line on standard error that shows how much of a download is there; silent if `shown` is false."""

    def __init__(self, total, shown):
        self.total, self.shown, self.last = total, shown, 0.0

    def show(self, done):
        now = time.monotonic()
        if not self.shown or (now - self.last < 0.2 and done != self.total):
            return
        self.last = now
        whole = f"{done / self.total:4.0%} of {self.total / 1e6:.1f} MB" if self.total else f"{done / 1e6:.1f} MB"
        print(f"\r{whole}", end="", file=sys.stderr, flush=True)

    def close(self):
        if self.shown:
            print(file=sys.stderr)


def _ask(url, start):
    """The server's answer for the bytes from `start` on, and the position that it really starts at."""
    headers = {"User-Agent": "rushlight/hub"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if not (start and error.code == 416):  # the partial file is not shorter than the file on the server
            raise
        return _ask(url, 0)
    return answer, start if start and answer.status == 206 else 0


def _receive(url, file, progress):
    """Append to the partial file what is missing. URLError if the connection ends too early."""
    answer, start = _ask(url, file.seek(0, os.SEEK_END))
    with answer:
        file.seek(start)
        file.truncate()
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length is not None else 0
        bar = _Progress(total, progress)
        done = start
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            done += len(chunk)
            bar.show(done)
        bar.close()
    file.flush()
    if total and done < total:
        raise urllib.error.URLError(f"{url}: the connection ended after {done} of {total} bytes")


def _receive_patiently(url, file, progress):
    """`_receive`, again after a broken connection."""
    for attempt in range(ATTEMPTS):
        try:
            return _receive(url, file, progress)
        except urllib.error.HTTPError:
            raise
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if attempt == ATTEMPTS - 1:
                raise


def _open_partial(dst):
    """(the partial file of a destination, its path). Where another process is writing to it, a file of our own."""
    path = dst + ".partial"
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.exists(path) and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            return file, path
    except OSError:  # locked by another process; or moved to its destination while it was opened
        pass
    file.close()
    handle, path = tempfile.mkstemp(dir=os.path.dirname(dst) or ".", prefix=os.path.basename(dst) + ".",
                                    suffix=".partial")
    return os.fdopen(handle, "r+b"), path


def _digest(path):
    """The SHA-256 of a file as hexadecimal text."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def download_url_to_file(url, dst, hash_prefix=None, progress=True):
    """Download a file, resuming a partial download of it, and move it to `dst` when it is whole.

    Args:
        url (str): address of the file.
        dst (str): path of the file; its folder must exist.
        hash_prefix (str, optional): what the SHA-256 of the file must start with.
        progress (bool): show a progress bar on standard error.

    Raises:
        urllib.error.URLError: the server cannot be reached or breaks off several times.
        RuntimeError: the hash is wrong; the file is removed.
    """
    dst = os.path.expanduser(os.fspath(dst))
    file, partial = _open_partial(dst)
    with file:
        resumed = file.seek(0, os.SEEK_END)
        if not hash_prefix:  # nothing would tell whether an older part belongs to the same file
            file.truncate(0)
        try:
            _receive_patiently(url, file, progress)
        except urllib.error.HTTPError:
            os.remove(partial)
            raise
        found = _digest(partial) if hash_prefix else ""
        if resumed and not found.startswith(hash_prefix or ""):
            file.truncate(0)
            _receive_patiently(url, file, progress)
            found = _digest(partial)
        if not found.startswith(hash_prefix or ""):
            os.remove(partial)
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{found}")')
        os.replace(partial, dst)


def _unpacked(path, folder, map_location, weights_only):
    """The object in a zip archive that holds one file, as PyTorch 1.5 and older published some."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) != 1:
            raise RuntimeError("Only one file(not dir) is allowed in the zipfile")
        name = members[0].filename
        if os.path.basename(name) != name:
            raise RuntimeError(f"{path}: refusing to unpack {name!r} outside of {folder!r}")
        archive.extract(members[0], folder)
    return load(os.path.join(folder, name), map_location=map_location, weights_only=weights_only)


def _is_packed(path):
    """Whether a file is a zip archive around a saved object. A saved object is itself an archive, of several files."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return len(archive.infolist()) == 1


def load_state_dict_from_url(url, model_dir=None, map_location=None, progress=True, check_hash=False, file_name=None,
                             weights_only=False):
    """Load the object that `torch.save` wrote to a file on a server. The file is downloaded once.

    Args:
        url (str): address of the file.
        model_dir (str, optional): cache folder; `checkpoints` in `get_dir()` by default.
        map_location: where storages go, as in `torch.load`.
        progress (bool): show a progress bar on standard error.
        check_hash (bool): the name of the file is `name-HASH.ext`, where HASH is what its SHA-256 starts with; check
            that.
        file_name (str, optional): name of the file in the cache folder; that of the address by default.
        weights_only (bool): load tensors and plain data only, as in `torch.load`.

    Returns:
        What the file holds; of published weights a dictionary of tensors.

    Raises:
        RuntimeError: the hash is wrong.
    """
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else os.path.expanduser(os.fspath(model_dir))
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urllib.parse.urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        print(f'Downloading: "{url}" to {path}', file=sys.stderr)
        found = HASH_IN_NAME.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress)
    if _is_packed(path):
        return _unpacked(path, folder, map_location, weights_only)
    return load(path, map_location=map_location, weights_only=weights_only)
