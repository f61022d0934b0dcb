"""`save`: write an object to a file in PyTorch's format.

The pickle is made first, so that an object that cannot be saved leaves no trace of a file. A file at a path appears
whole or not at all, see the note in writer.py. Next to read: pickler.py, writer.py.
"""

import os
import pickle
import sys

from . import adapter, legacy, pickler
from .writer import ALIGNMENT, ArchiveWriter, replacing, write_all


def save(
    obj,
    f,
    pickle_module=pickle,
    pickle_protocol=2,
    _use_new_zipfile_serialization=True,
    _disable_byteorder_record=False,
):
    """Saves an object to a file that `load`, and PyTorch's, reads.

    Args:
        obj: a tensor, a `state_dict`, or anything that can be pickled. Tensors that share a storage share it after
            loading, and a view takes the whole storage with it.
        f: path, or file object with `write`.
        pickle_module: a module with another `Pickler`.
        pickle_protocol: the version of pickle.

    Raises RuntimeError when the folder does not exist or two tensors see the same memory as different data types.
    """
    is_path = isinstance(f, (str, os.PathLike))
    if not is_path and not hasattr(f, "write"):
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
    if _use_new_zipfile_serialization:
        folder = _folder_name(f) if is_path else "archive"
        storages = pickler.Storages()
        data = pickler.dump(obj, storages, pickle_module, pickle_protocol)

        def write(out):
            _write_archive(out, folder, data, storages, not _disable_byteorder_record)
    else:
        parts = list(legacy.dump(obj, pickle_module, pickle_protocol))

        def write(out):
            for part in parts:
                write_all(out, part)
    if is_path:
        _check_place(f)
        with replacing(f) as out:
            write(out)
    else:
        write(f)
        if hasattr(f, "flush"):
            f.flush()


def _write_archive(out, folder, data, storages, with_byte_order):
    archive = ArchiveWriter(out, folder, sum(storage.nbytes() for storage in storages.found.values()))
    try:
        archive.add("data.pkl", data)
        archive.add(".format_version", b"1")
        archive.add(".storage_alignment", str(ALIGNMENT).encode())
        if with_byte_order:
            archive.add("byteorder", sys.byteorder.encode())
        for key, storage in storages.found.items():
            archive.add(f"data/{key}", adapter.storage_bytes(adapter.move_storage(storage, "cpu")))
        archive.add("version", b"3\n")
        archive.finish()
    finally:
        archive.close()


def _folder_name(path):
    """The folder that all records lie in: the file's name without its last ending."""
    name = os.path.basename(os.fspath(path))
    stem = name.rpartition(".")[0] or name
    return stem if stem.isascii() else "archive"


def _check_place(path):
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {os.path.dirname(os.fspath(path)) or folder} does not exist.")
    if os.path.isdir(path):
        raise RuntimeError(f"File {os.fspath(path)} cannot be opened.")
