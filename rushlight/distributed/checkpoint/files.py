"""The files of a checkpoint: writing parts of tensors, the table of contents, and reading any rows of them.

Note [Format]
A checkpoint is a folder. Each rank writes one data file per save, `__RANK_SAVE.distcp`, with its parts of tensors one
after the other: raw bytes, in the order of rows. `.metadata` is JSON: for every name the dtype, the shape of the whole
tensor, and where its parts are (first row, number of rows, file, offset, bytes, CRC-32). Values that are not tensors
are parts of bytes as `torch.save` writes them, read with `weights_only=True`.

A save is complete when `.metadata` is renamed into its place, after all data files are on the disk. Data files of
different saves have different names, so a save that fails, or a machine that stops, leaves the previous checkpoint.
"""
import dataclasses
import io
import json
import os
import zlib

from ... import api as rl
from ... import serialization
from ...base.lazy import numpy as np
from ..group import data_of

TABLE = ".metadata"


class CheckpointException(Exception):
    """A checkpoint could not be saved or loaded on some ranks. `failures` maps ranks to what went wrong."""

    def __init__(self, message, failures):
        super().__init__(f"{message}: " + "; ".join(f"rank {rank}: {text}" for rank, text in failures.items()))
        self.failures = dict(failures)


@dataclasses.dataclass
class Part:
    """Rows of a tensor in a file; for other values, their bytes."""

    start: int
    rows: int
    file: str
    offset: int
    nbytes: int
    crc: int


@dataclasses.dataclass
class Entry:
    """A name of a checkpoint. dtype, shape: of the whole tensor; None for values that are not tensors."""

    dtype: str | None
    shape: tuple | None
    parts: list


@dataclasses.dataclass
class Metadata:
    """The table of contents of a checkpoint: {name: Entry}."""

    entries: dict

    def dump(self):
        """As JSON."""
        return json.dumps({"format": 1, "entries": {
            name: {"dtype": entry.dtype, "shape": entry.shape, "parts": [vars(part) for part in entry.parts]}
            for name, entry in self.entries.items()}})

    @classmethod
    def parse(cls, text):
        """From JSON."""
        found = json.loads(text)
        if found.get("format") != 1:
            raise ValueError(f"checkpoint: unknown format {found.get('format')!r}")
        return cls({name: Entry(row["dtype"], None if row["shape"] is None else tuple(row["shape"]),
                                [Part(**part) for part in row["parts"]]) for name, row in found["entries"].items()})


def value_bytes(value):
    """The bytes of a value that is not a tensor."""
    buffer = io.BytesIO()
    serialization.save(value, buffer)
    return buffer.getvalue()


def value_of(data):
    """What `value_bytes` was given. Only types that `torch.load(weights_only=True)` allows."""
    return serialization.load(io.BytesIO(data))


def sync_folder(path):
    """Let renames in a folder reach the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_parts(folder, file, items):
    """Write the data file of a rank. items: (name, start, rows, bytes-like). Returns [(name, Part)]."""
    os.makedirs(folder, exist_ok=True)
    found, offset = [], 0
    with open(os.path.join(folder, file), "xb") as stream:
        for name, start, rows, data in items:
            data = memoryview(data)
            stream.write(data)
            found.append((name, Part(start, rows, file, offset, data.nbytes, zlib.crc32(data))))
            offset += data.nbytes
        stream.flush()
        os.fsync(stream.fileno())
    return found


def commit(folder, metadata):
    """Put the table of contents into its place, and remove data files that it does not name."""
    temporary = os.path.join(folder, f"{TABLE}.tmp")
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(metadata.dump())
        stream.flush()
        os.fsync(stream.fileno())
    sync_folder(folder)
    os.replace(temporary, os.path.join(folder, TABLE))
    sync_folder(folder)
    named = {part.file for entry in metadata.entries.values() for part in entry.parts}
    for file in os.listdir(folder):
        if file.startswith("__") and file.endswith(".distcp") and file not in named:
            os.unlink(os.path.join(folder, file))


def read_metadata(folder):
    """The table of contents of a checkpoint. FileNotFoundError if no save was ever complete."""
    with open(os.path.join(folder, TABLE), encoding="utf-8") as stream:
        return Metadata.parse(stream.read())


def read_part(folder, part, first=0, count=None):
    """Bytes of a part, from byte `first` on. All of them are checked against the checksum."""
    count = part.nbytes if count is None else count
    with open(os.path.join(folder, part.file), "rb") as stream:
        stream.seek(part.offset + first)
        data = stream.read(count)
    if len(data) != count:
        raise ValueError(f"checkpoint: {part.file} is too short")
    if count == part.nbytes and zlib.crc32(data) != part.crc:
        raise ValueError(f"checkpoint: {part.file} is damaged (checksum of the part at {part.offset})")
    return data


def read_rows(folder, name, entry, start, tensor):
    """Fill a tensor with the rows of an entry from row `start` on."""
    shape = tuple(entry.shape)
    dtype = getattr(rl, entry.dtype)
    wanted = tensor.size(0) if tensor.dim() else 1
    if tuple(tensor.shape[1:]) != shape[1:] or start + wanted > (shape[0] if shape else 1):
        raise ValueError(f"checkpoint: {name} has the shape {shape}, which does not fit rows {start} to "
                         f"{start + wanted} of {tuple(tensor.shape)}")
    memory = rl.empty(tensor.shape, dtype=dtype)
    target, left = data_of(memory), wanted
    size = target.size // wanted if wanted else 0  # bytes a row
    for part in entry.parts:
        low, high = max(start, part.start), min(start + wanted, part.start + part.rows)
        if low < high and size:
            data = read_part(folder, part, (low - part.start) * size, (high - low) * size)
            target[(low - start) * size:(high - start) * size] = np.frombuffer(data, np.uint8)
            left -= high - low
    if left and size:
        raise ValueError(f"checkpoint: {name} lacks {left} of the rows {start} to {start + wanted}")
    with rl.no_grad():
        tensor.detach().copy_(memory)
