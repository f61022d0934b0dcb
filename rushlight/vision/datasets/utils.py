"""Files of data sets: checked downloads and unpacked archives.

Downloads are those of hub.py. Unpacking writes nothing outside the folder it is given.
"""
import bz2
import gzip
import hashlib
import lzma
import os
import pathlib
import shutil
import sys
import tempfile

from ...hub import download_url_to_file
from ...utils import _archives

__all__ = [
    "calculate_md5", "check_integrity", "check_md5", "download_and_extract_archive",
    "download_file_from_google_drive", "download_url", "extract_archive", "list_dir", "list_files", "verify_str_arg",
]

_OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_TAR_SUFFIXES = (".tar", ".tgz", ".tbz", ".tbz2", ".tar.gz", ".tar.xz", ".tar.bz2")


def calculate_md5(fpath, chunk_size=1 << 20):
    """The MD5 checksum of a file as hexadecimal text."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(fpath, "rb") as file:
        while chunk := file.read(chunk_size):
            digest.update(chunk)
    return digest.hexdigest()


def check_md5(fpath, md5, **kwargs):
    """True if the file has the checksum."""
    return md5 == calculate_md5(fpath, **kwargs)


def check_integrity(fpath, md5=None):
    """True if the file exists and, where a checksum is given, has it."""
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


def download_url(url, root, filename=None, md5=None, max_redirect_hops=3):
    """Load a URL into the folder `root` unless the right file is there already.

    A broken download is resumed where it stopped, now or by the next call; the file gets its name when it is whole.

    Raises:
        urllib.error.URLError: the server cannot be reached.
        RuntimeError: the checksum is wrong; the file is removed.
    """
    root = os.path.expanduser(root)
    path = os.path.join(root, filename or os.path.basename(url))
    os.makedirs(root, exist_ok=True)
    if check_integrity(path, md5):
        return
    arrived = path + ".part"
    download_url_to_file(url, arrived, progress=sys.stderr.isatty())
    if not check_integrity(arrived, md5):
        os.remove(arrived)
        raise RuntimeError(f"File not found or corrupted: {url} does not have the MD5 checksum {md5}.")
    os.replace(arrived, path)


def download_file_from_google_drive(file_id, root, filename=None, md5=None):
    """Load a file of Google Drive into the folder `root`. See `download_url`."""
    url = f"https://drive.usercontent.google.com/download?id={file_id}&export=download&confirm=t"
    download_url(url, root, filename or file_id, md5)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def extract_archive(from_path, to_path=None, remove_finished=False):
    """Unpack a zip or tar archive into the folder `to_path` (default: the archive's own), or decompress a single file.

    The kind follows from the file's name; RuntimeError for an unknown one. Returns the folder or the file.
    """
    name = os.path.basename(from_path)
    folder = os.fspath(to_path) if to_path is not None else os.path.dirname(from_path)
    suffix = os.path.splitext(name)[1]
    result = folder
    if name.endswith((*_TAR_SUFFIXES, ".zip")):
        _archives.unpack(from_path, folder)
    elif suffix in _OPENERS:
        result = os.path.join(folder, name[: -len(suffix)])
        _decompress(from_path, result, _OPENERS[suffix])
    else:
        raise RuntimeError(f"{from_path}: unknown compression or archive type '{suffix}'")
    if remove_finished:
        os.remove(from_path)
    return result if isinstance(from_path, str) else pathlib.Path(result)


def _decompress(source, target, opener):
    handle, partial = tempfile.mkstemp(dir=os.path.dirname(target) or ".", prefix=os.path.basename(target) + ".")
    try:
        with opener(source, "rb") as packed, os.fdopen(handle, "wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, target)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def download_and_extract_archive(url, download_root, extract_root=None, filename=None, md5=None, remove_finished=False):
    """`download_url` into `download_root`, then `extract_archive` into `extract_root` (default: the same folder)."""
    download_root = os.path.expanduser(download_root)
    filename = filename or os.path.basename(url)
    download_url(url, download_root, filename, md5)
    extract_archive(os.path.join(download_root, filename), extract_root or download_root, remove_finished)


def list_dir(root, prefix=False):
    """The names of the folders in `root`, with the path of `root` before them if `prefix`."""
    root = os.path.expanduser(root)
    names = [name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name))]
    return [os.path.join(root, name) for name in names] if prefix else names


def list_files(root, suffix, prefix=False):
    """The names of the files in `root` that end in `suffix` (a text or a tuple of texts)."""
    root = os.path.expanduser(root)
    names = [name for name in os.listdir(root) if os.path.isfile(os.path.join(root, name)) and name.endswith(suffix)]
    return [os.path.join(root, name) for name in names] if prefix else names


def verify_str_arg(value, arg=None, valid_values=None, custom_msg=None):
    """The value, if it is text and one of `valid_values`; ValueError otherwise."""
    if not isinstance(value, str):
        where = "" if arg is None else f" for argument {arg}"
        raise ValueError(f"Expected type str{where}, but got type {type(value)}.")
    if valid_values is not None and value not in valid_values:
        allowed = "'" + "', '".join(str(item) for item in valid_values) + "'"
        message = f"Unknown value '{value}' for argument {arg}. Valid values are {{{allowed}}}."
        raise ValueError(message if custom_msg is None else custom_msg)
    return value
