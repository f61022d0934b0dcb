"""save and load: what comes back, the archive's form, files and file objects, atomic writing, devices, settings."""

import copy
import errno
import io
import mmap
import os
import pickle
import struct
import threading
import warnings
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import rushlight as rl
from rushlight import serialization
from rushlight.serialization import load, save

DTYPES = (
    "float16 bfloat16 float32 float64 bool int8 uint8 int16 int32 int64 complex64 complex128 uint16 uint32 uint64"
).split()


def again(thing, **arguments):
    """The thing, saved and loaded."""
    buffer = io.BytesIO()
    save(thing, buffer, **arguments)
    buffer.seek(0)
    return load(buffer)


def same(a, b):
    if isinstance(a, rl.Tensor):
        fields = [(type(t), t.dtype, t.shape, t.stride(), t.requires_grad) for t in (a, b)]
        return fields[0] == fields[1] and a.tolist() == b.tolist()
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


THINGS = {
    "number": 3,
    "containers": [1, (2.5, None), {"a": True, 3: b"x"}, {1, 2}, "ü", 1 << 80, OrderedDict(a=1), Counter("aab"), 1j],
    "tensors": {"weight": rl.arange(6.0).reshape(2, 3), "bias": rl.zeros(3, requires_grad=True)},
    "empty": [rl.zeros(0, 2), rl.zeros(0)],
    "strided": [rl.arange(24).reshape(2, 3, 4).permute(2, 0, 1), rl.arange(10)[::3], rl.zeros(1).expand(3, 2)],
    "constants": [rl.float32, rl.int64, rl.float32, rl.device("cpu"), rl.Size([2, 3]), rl.strided],
    "bytes": [bytearray(b"abc"), b""],
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", list(THINGS))
def test_round_trip(name, protocol):
    assert same(again(THINGS[name], pickle_protocol=protocol), THINGS[name])


@pytest.mark.parametrize("name", list(THINGS))
def test_round_trip_in_the_old_format(name):
    assert same(again(THINGS[name], _use_new_zipfile_serialization=False), THINGS[name])


@pytest.mark.parametrize("zipped", [True, False])
def test_all_dtypes(zipped):
    arrays = {name: np.array([0, 1, 1], dtype=name) for name in DTYPES if name != "bfloat16"}
    tensors = {name: rl.from_numpy(array) for name, array in arrays.items()} | {"bfloat16": rl.ones(3).bfloat16()}
    assert same(again(tensors, _use_new_zipfile_serialization=zipped), tensors)


def test_storages_are_shared_and_saved_once():
    base = rl.arange(1000.0)
    buffer = io.BytesIO()
    save([base, base[10:20], base.reshape(10, 100).t()], buffer)
    assert len(buffer.getvalue()) < 8000
    whole, part, transposed = load(io.BytesIO(buffer.getvalue()))
    whole[10] = -1
    assert part[0].item() == -1 and transposed[10, 0].item() == -1
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        save([base, base.view(rl.int32)], io.BytesIO())


def test_parameters_and_subclass_free_attributes():
    parameter = rl.nn.Parameter(rl.ones(2), requires_grad=False)
    tied = again([parameter, parameter])
    assert type(tied[0]) is rl.nn.Parameter and tied[0] is tied[1] and not tied[0].requires_grad
    parameter.tag = {"a": 1}
    assert again(parameter).tag == {"a": 1}


def test_results_of_operations_lose_their_graph():
    loaded = again(rl.ones(2, requires_grad=True) * 2)
    assert loaded.requires_grad and loaded.is_leaf and loaded.tolist() == [2.0, 2.0]


def test_ordinary_pickle_and_copies():
    function, arguments = serialization.reduce_tensor(rl.arange(6).reshape(2, 3).t())
    function, arguments = pickle.loads(pickle.dumps((function, arguments)))
    assert same(function(*arguments), rl.arange(6).reshape(2, 3).t())
    for tensor in (rl.arange(3.0), rl.nn.Parameter(rl.ones(2)), rl.ones(2, dtype=rl.bfloat16)):
        assert same(pickle.loads(pickle.dumps(tensor)), tensor)
        assert same(copy.deepcopy(tensor), tensor)


# --- the form of the archive -----------------------------------------------------------------------------------------


def test_records_are_pytorchs(tmp_path):
    path = tmp_path / "model.final.pth"
    save({"a": rl.arange(5), "b": rl.zeros(0), "c": rl.ones(300_000)}, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = [info.filename.removeprefix("model.final/") for info in archive.infolist()]
        assert names == [
            "data.pkl", ".format_version", ".storage_alignment", "byteorder", "data/0", "data/1", "data/2", "version",
            ".data/serialization_id",
        ]  # fmt: skip
        contents = {name: archive.read(f"model.final/{name}") for name in names}
        assert contents["byteorder"] == b"little" and contents["version"] == b"3\n"
        assert contents[".format_version"] == b"1" and contents[".storage_alignment"] == b"64"
        assert contents["data/0"] == struct.pack("<5q", *range(5)) and len(contents[".data/serialization_id"]) == 40
        data = path.read_bytes()
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            name_length, extra_length = struct.unpack_from("<HH", data, info.header_offset + 26)
            assert (info.header_offset + 30 + name_length + extra_length) % 64 == 0


def test_file_objects_of_all_kinds(tmp_path):
    tensor = rl.arange(100_000)

    class OnlyWrite:
        parts = b""

        def write(self, data):
            self.parts += bytes(data)

    out = OnlyWrite()
    save(tensor, out)
    assert same(load(io.BytesIO(out.parts)), tensor)
    with open(tmp_path / "a.pt", "wb") as file:
        save(tensor, file)
    with open(tmp_path / "a.pt", "rb") as file:
        assert same(load(file), tensor)
    # An archive with something in front of it.
    file = io.BytesIO(b"front" + out.parts)
    file.seek(5)
    assert same(load(file), tensor)
    with pytest.raises(AttributeError, match="'write' attribute"):
        save(tensor, 3)
    with pytest.raises(AttributeError, match="You can only torch.load from a file that is seekable"):
        load(3)


def test_several_old_files_in_a_row():
    buffer = io.BytesIO()
    for i in range(3):
        save(rl.tensor([i]), buffer, _use_new_zipfile_serialization=False)
    buffer.seek(0)
    assert [load(buffer).item() for _ in range(3)] == [0, 1, 2]


def test_packed_archives_are_read(tmp_path):
    save(rl.zeros(10_000), tmp_path / "a.pt")
    packed = zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "a.pt") as old, packed as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert same(load(tmp_path / "b.pt"), rl.zeros(10_000))


def test_large_files_are_read_by_several_threads(tmp_path):
    tensors = {str(i): rl.full((400_000,), float(i)) for i in range(8)}
    save(tensors, tmp_path / "a.pt")
    assert same(load(tmp_path / "a.pt"), tensors)


def test_mapped_files(tmp_path):
    path = tmp_path / "a.pt"
    tensors = [rl.arange(1000.0), rl.ones(7, dtype=rl.bfloat16)]
    save(tensors, path)
    loaded = load(path, mmap=True)
    assert same(loaded, tensors)
    loaded[0][0] = 5
    assert load(path)[0][0].item() == 0
    with serialization.set_default_mmap_options(mmap.MAP_SHARED):
        shared = load(path, mmap=True)
        shared[0][0] = 5
        rl.synchronize()
    assert serialization.get_default_mmap_options() == mmap.MAP_PRIVATE
    del shared
    with pytest.raises(ValueError, match="f must be a file path"):
        load(io.BytesIO(path.read_bytes()), mmap=True)
    save(1, path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used with files saved with"):
        load(path, mmap=True)


def test_other_byte_order(tmp_path):
    save([rl.tensor([1, 2]), rl.from_numpy(np.array([1 + 2j], dtype=np.complex64))], tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as old, zipfile.ZipFile(tmp_path / "b.pt", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            data = b"big" if name.endswith("byteorder") else data
            data = struct.pack(">2q", 1, 2) if name.endswith("data/0") else data
            data = struct.pack(">2f", 1, 2) if name.endswith("data/1") else data
            new.writestr(name, data)
    assert [tensor.tolist() for tensor in load(tmp_path / "b.pt")] == [[1, 2], [1 + 2j]]


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    save(rl.tensor([1]), path)

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(rl.tensor([2]), path)
    monkeypatch.undo()
    assert load(path).item() == 1 and os.listdir(tmp_path) == ["a.pt"]
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save(lambda: 1, path)
    assert load(path).item() == 1 and os.listdir(tmp_path) == ["a.pt"]


def test_readers_never_see_half_a_file(tmp_path):
    path = tmp_path / "a.pt"
    save(rl.zeros(50_000), path)
    stop = threading.Event()

    def write():
        for i in range(20):
            save(rl.full((50_000,), float(i)), path)
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        values = load(path)
        assert values[0].item() == values[-1].item()
    writer.join()


def test_modes_links_and_missing_folders(tmp_path):
    path, link = tmp_path / "a.pt", tmp_path / "b.pt"
    os.umask(mask := os.umask(0o022))
    save(1, path)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    path.chmod(0o600)
    link.symlink_to(path)
    save(2, link)
    assert load(path) == 2 and link.is_symlink() and path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(RuntimeError, match="Parent directory .*missing does not exist"):
        save(1, tmp_path / "missing" / "a.pt")
    with pytest.raises(RuntimeError, match="cannot be opened"):
        save(1, tmp_path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.pt")


def test_no_checksums_if_so_wished(tmp_path):
    serialization.set_crc32_options(False)
    try:
        assert not serialization.get_crc32_options()
        save(rl.arange(3), tmp_path / "a.pt")
    finally:
        serialization.set_crc32_options(True)
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert {info.CRC for info in archive.infolist()} == {0}
    assert load(tmp_path / "a.pt").tolist() == [0, 1, 2]


# --- devices and arguments -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
def test_map_location(zipped):
    buffer = io.BytesIO()
    save([rl.arange(3), rl.ones(2)], buffer, _use_new_zipfile_serialization=zipped)
    elsewhere = buffer.getvalue().replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0")
    if zipped:
        elsewhere = rewritten(buffer.getvalue(), b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0")
    for place in ("cpu", b"cpu", rl.device("cpu"), {"cuda:0": "cpu"}, lambda storage, tag: storage):
        assert load(io.BytesIO(elsewhere), map_location=place)[0].tolist() == [0, 1, 2]
    seen = []
    load(io.BytesIO(elsewhere), map_location=lambda storage, tag: seen.append((tag, storage.nbytes())) or storage)
    assert sorted(seen) == [("cuda:0", 8), ("cuda:0", 24)]
    if not rl.cuda.is_available():
        with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
            load(io.BytesIO(elsewhere))
    with pytest.raises(RuntimeError, match="don't know how to restore data location"):
        load(io.BytesIO(elsewhere), map_location="nowhere")
    with pytest.raises(ZeroDivisionError):
        load(io.BytesIO(elsewhere), map_location=lambda storage, tag: 1 / 0)
    with pytest.raises(TypeError, match="mine"):
        load(io.BytesIO(elsewhere), map_location=raise_mine)


def raise_mine(storage, tag):
    raise TypeError("mine")


def rewritten(data, old, new):
    """An archive with the bytes `old` in its pickle replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(old, new))
    return out.getvalue()


def test_a_package_of_ones_own():
    def tag(storage):
        return "mine"

    def restore(storage, location):
        return storage if location == "mine" else None

    registry = list(serialization.location._registry)
    serialization.register_package(5, tag, restore)
    try:
        assert serialization.location_tag(rl.zeros(1).untyped_storage()) == "mine"
        assert again(rl.ones(1)).tolist() == [1.0]
    finally:
        serialization.location._registry[:] = registry


def test_weights_only_by_environment(monkeypatch, tmp_path):
    save(Plain(), tmp_path / "a.pt")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.warns(UserWarning, match="forcing weights_only=False"):
        assert isinstance(load(tmp_path / "a.pt"), Plain)
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(RuntimeError, match="Only one of"):
        load(tmp_path / "a.pt")
    monkeypatch.delenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    with pytest.raises(pickle.UnpicklingError):
        load(tmp_path / "a.pt", weights_only=False)


class Plain:
    """An object of a class that the program may allow."""

    def __init__(self):
        self.value = rl.ones(2)


def test_other_pickle_modules_and_arguments(tmp_path):
    save(Plain(), tmp_path / "a.pt", pickle_module=pickle)
    assert load(tmp_path / "a.pt", pickle_module=pickle).value.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="Can not safely load weights when explicit pickle_module"):
        load(tmp_path / "a.pt", pickle_module=pickle, weights_only=True)
    with pytest.warns(UserWarning, match="pickle_load_args only works"):
        save(1, tmp_path / "a.pt")
        load(tmp_path / "a.pt", encoding="ascii")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path / "a.pt", weights_only=False, encoding="ascii")


def test_byte_order_settings():
    assert serialization.get_default_load_endianness() is None
    with pytest.raises(TypeError):
        serialization.set_default_load_endianness("little")
    buffer = io.BytesIO()
    save(rl.tensor([1]), buffer, _disable_byteorder_record=True)
    serialization.set_default_load_endianness(serialization.LoadEndianness.BIG)
    try:
        assert load(io.BytesIO(buffer.getvalue())).item() == 1 << 56
    finally:
        serialization.set_default_load_endianness(None)
    assert load(io.BytesIO(buffer.getvalue())).item() == 1


def test_safetensors(tmp_path):
    header = (
        b'{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},'
        b'"y":{"dtype":"I64","shape":[],"data_offsets":[16,24]}}'
    )
    path = tmp_path / "a.safetensors"
    body = struct.pack("<4fq", 1, 2, 3, 4, 5)
    path.write_bytes(len(header).to_bytes(8, "little") + header + body)
    loaded = load(path)
    assert loaded["x"].tolist() == [[1.0, 2.0], [3.0, 4.0]] and loaded["y"].item() == 5
    for broken in (header.replace(b"[0,16]", b"[0,17]"), header.replace(b"24", b"99"), header[:-1], b"[1]", b"{" * 999):
        path.write_bytes(len(header).to_bytes(8, "little") + broken[:len(header)] + body)
        with pytest.raises(pickle.UnpicklingError):
            load(path)
