"""Files from strangers: whatever they hold, `load` runs nothing of it, takes no more memory than they are long, and
says why.
"""

import builtins
import collections
import io
import json
import os
import pickle
import random
import struct
import zipfile
import zlib

import pytest
import rushlight as rl
from rushlight import serialization
from rushlight.serialization import load, reader, save, unpickler
from rushlight.serialization.unpickler import Unpickler

FINE = (pickle.UnpicklingError, RuntimeError, EOFError)


class Runs:
    """Unpickling it calls something."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def archive(data, records=(), byteorder=b"little"):
    """An archive with this pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        target.writestr("archive/data.pkl", data)
        target.writestr("archive/byteorder", byteorder)
        for name, content in records:
            target.writestr(f"archive/{name}", content)
    return io.BytesIO(out.getvalue())


def written(thing, **arguments):
    buffer = io.BytesIO()
    save(thing, buffer, **arguments)
    return buffer.getvalue()


def loads(data):
    """The object of a pickle, by our unpickler."""
    return Unpickler(data).load()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "call",
    [
        (os.system, "echo pwned > pwned.txt"),
        (eval, "open('pwned.txt', 'w')"),
        (getattr, os, "system"),
        (builtins.open, "pwned.txt", "w"),
        (collections.namedtuple, "x", "y"),
        (map, print, [1]),
        (rl.ones, 1),
        (zlib.decompress, b""),
    ],
)
def test_nothing_is_called(call, zipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if call[0] is getattr:
        call = (getattr, "os", "system")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        load(io.BytesIO(written({"w": Runs(*call)}, _use_new_zipfile_serialization=zipped)))
    assert os.listdir(tmp_path) == []


def test_the_message_says_what_to_do():
    with pytest.raises(pickle.UnpicklingError) as caught:
        load(io.BytesIO(written(Runs(eval, "1"))))
    assert "torch.serialization.add_safe_globals([eval])" in str(caught.value)
    assert "`weights_only` set to `False`" in str(caught.value)
    with pytest.raises(pickle.UnpicklingError, match="whose module posix is blocked"):
        load(io.BytesIO(written(Runs(os.system, "1"))))


class Settings:
    def __init__(self):
        self.rate = 0.1


class Slotted:
    __slots__ = ("a",)


def test_allowed_classes():
    thing = Settings()
    data = written([thing, thing])
    with pytest.raises(pickle.UnpicklingError, match="Settings"):
        load(io.BytesIO(data))
    with serialization.safe_globals([Settings]):
        loaded = load(io.BytesIO(data))
        assert loaded[0] is loaded[1] and loaded[0].rate == 0.1
        assert serialization.get_safe_globals() == [Settings]
    assert serialization.get_safe_globals() == []
    slotted = Slotted()
    slotted.a = 5
    serialization.add_safe_globals([Slotted])
    try:
        assert load(io.BytesIO(written(slotted))).a == 5
    finally:
        serialization.clear_safe_globals()
    with serialization.safe_globals([(Settings, "some.other.Name")]):
        with pytest.raises(pickle.UnpicklingError):
            load(io.BytesIO(data))
    for wrong, kind in (((Settings,), ValueError), ((Settings, 3), TypeError)):
        with serialization.safe_globals([wrong]), pytest.raises((kind, pickle.UnpicklingError)):
            load(io.BytesIO(data))


def test_names_in_a_file(tmp_path):
    save([rl.ones(2), Settings(), collections.OrderedDict()], tmp_path / "a.pt")
    names = serialization.get_unsafe_globals_in_checkpoint(tmp_path / "a.pt")
    assert [name.rpartition(".")[2] for name in names] == ["Settings"]
    with pytest.raises(ValueError, match="Expected input to be a checkpoint"):
        serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(b"no archive"))


def global_opcode(module, name):
    return b"c" + f"{module}\n{name}\n".encode()


HUGE = struct.pack("<i", 0x7FFFFFFF)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"N",
        b"NN.",
        b"(.",
        b"t.",
        b"0.",
        b"\x80\x09N.",
        b"X" + HUGE + b"a.",
        b"B" + HUGE + b".",
        b"T" + HUGE + b".",
        b"\x8d" + b"\xff" * 8 + b".",
        b"\x96" + b"\xff" * 7 + b"\x7f.",
        b"\x8b" + HUGE + b".",
        b"\x8b\xff\xff\xff\xff.",
        b"\x95" + b"\xff" * 8 + b"N.",
        b"j" + HUGE + b".",
        b"Na.",
        b"]N)a.",
        b"}Nus.",
        b"}(Nu.",
        b"}]Ns.",
        b"(NNd.",
        b"I1\n.",
        b"cos\nsystem\n.",
        b"cos",
        b"c" + b"a" * 9000,
        b"(idict\n.",
        b"\x82\x01.",
        b"X\x03\0\0\0\xff\xfe\xfd.",
        b"\x8c\x01a\x8c\x01b\x93.",
        b"NN\x93.",
        b"(X\x01\0\0\0atQ.",
        b"NQ.",
        b")Q.",
        b"(X\x07\0\0\0storageNNNNtQ.",
        global_opcode("builtins", "bytearray") + b"J" + HUGE + b"\x85R.",
        global_opcode("builtins", "set") + b"N\x85R.",
        global_opcode("builtins", "complex") + b"X\x01\0\0\0a\x85R.",
        global_opcode("_codecs", "encode") + b"X\x01\0\0\0aX\x03\0\0\0hex\x86R.",
        global_opcode("collections", "OrderedDict") + b"]R.",
        global_opcode("collections", "OrderedDict") + b"](N(NeR.",
        global_opcode("collections", "OrderedDict") + b")Rnb.",
        global_opcode("collections", "Counter") + b"](Neb\x85R.",
        global_opcode("torch", "Size") + b"]N\x85\x85R.",
        global_opcode("torch", "device") + b")R.",
        global_opcode("torch", "device") + b"X\x05\0\0\0wrong\x85R.",
        global_opcode("torch", "Tensor") + b"J" + HUGE + b"\x85R.",
        global_opcode("torch", "Tensor") + b"J" + HUGE + b"\x85\x81.",
        global_opcode("torch", "FloatTensor") + b"J" + HUGE + b"\x85\x81.",
        global_opcode("torch", "FloatTensor") + b")\x81Nb.",
        global_opcode("torch", "FloatStorage") + b"J" + HUGE + b"\x85R.",
        global_opcode("torch", "float32") + b")R.",
        global_opcode("torch.nn.parameter", "Parameter") + b"N\x85R.",
        global_opcode("torch.nn.parameter", "Parameter") + b")\x81.",
        global_opcode("torch._utils", "_rebuild_parameter") + b"(NNNtR.",
        global_opcode("torch._utils", "_rebuild_tensor_v2") + b"(NNNNNNtR.",
        global_opcode("torch._utils", "_rebuild_tensor_v2") + b")R.",
        global_opcode("torch._tensor", "_rebuild_from_type_v2")
        + b"(" + global_opcode("torch", "Size") + global_opcode("torch", "Tensor") + b")}tR.",
        global_opcode("torch._tensor", "_rebuild_from_type_v2") + b"(NNNNtR.",
        global_opcode("torch.serialization", "_get_layout") + b"X\x04\0\0\0save\x85R.",
        global_opcode("torch._utils", "_rebuild_device_tensor_from_cpu_tensor") + b"(NNNNtR.",
    ],
)  # fmt: skip
def test_broken_and_malicious_pickles(data):
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        loads(data)
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        load(archive(data))


def test_keys_that_take_for_ever_to_hash():
    doubled = b")" + b"2\x86" * 60  # ((((), ()), ((), ())), ...): 2**60 empty tuples, 60 objects
    deep = b")" + b"\x85" * 100_000
    for key in (doubled, deep):
        with pytest.raises(pickle.UnpicklingError, match="key of a dictionary is too large"):
            loads(b"}" + key + b"Ns.")
        with pytest.raises(pickle.UnpicklingError, match="key of a dictionary is too large"):
            loads(b"\x8f(" + key + b"\x90.")
        with pytest.raises(pickle.UnpicklingError, match="key of a dictionary is too large"):
            loads(global_opcode("builtins", "set") + b"](" + key + b"e\x85R.")
    assert loads(b"})K\x01s.") == {(): 1}


STORAGE = b"X\x07\0\0\0storage" + global_opcode("torch", "FloatStorage") + b"X\x01\0\0\x000X\x03\0\0\0cpu"


def tensor_pickle(count, offset, size, stride):
    def number(n):
        data = n.to_bytes(9, "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data

    def numbers(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    persistent = b"(" + STORAGE + number(count) + b"tQ"
    arguments = persistent + number(offset) + numbers(size) + numbers(stride) + b"\x89}t"
    return global_opcode("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"R."


def test_tensors_stay_inside_of_their_storage():
    records = [("data/0", bytes(40))]
    assert load(archive(tensor_pickle(10, 2, (2, 4), (4, 1)), records)).shape == (2, 4)
    assert load(archive(tensor_pickle(10, 0, (0, 1 << 40), (1, 1)), records)).numel() == 0
    for view in (
        (10, 3, (2, 4), (4, 1)),
        (10, 0, (11,), (1,)),
        (10, 10, (), ()),
        (10, -1, (2,), (1,)),
        (10, 0, (2,), (-1,)),
        (10, 0, (-2,), (1,)),
        (10, 0, (2, 2), (1,)),
        (10, 1 << 61, (2,), (1,)),
        (10, 0, (1 << 40, 1 << 40), (0, 0)),
        (10, 0, (1 << 61, 8), (0, 0)),
        (10, 0, (2,), (1 << 62,)),
        (10, 0, (1,) * 100, (1,) * 100),
    ):
        with pytest.raises(FINE):
            load(archive(tensor_pickle(*view), records))


def test_storages_are_no_larger_than_their_records():
    for count in (11, 1 << 40, 1 << 62, -1):
        with pytest.raises(FINE):
            load(archive(tensor_pickle(count, 0, (1,), (1,)), [("data/0", bytes(40))]))
    with pytest.raises(FINE, match="data/0: file not found|locating file data/0"):
        load(archive(tensor_pickle(10, 0, (1,), (1,))))


def test_attributes_of_tensors_cannot_be_replaced():
    plain = tensor_pickle(10, 0, (2,), (1,))[:-1]
    function, arguments = plain[:plain.index(b"(")], plain[plain.index(b"("):-1]
    for name in (b"shape", b"_offset", b"_storage", b"__class__", b"requires_grad", b"data"):
        state = b"}X" + len(name).to_bytes(4, "little") + name + b"Ns"
        call = global_opcode("torch._tensor", "_rebuild_from_type_v2") + b"(" + function
        data = call + global_opcode("torch", "Tensor") + arguments + state + b"tR."
        with pytest.raises(FINE):
            load(archive(data, [("data/0", bytes(40))]))


def central(data):
    """Position of the first entry of the directory."""
    return data.index(b"PK\1\2")


def patched(data, position, value):
    return data[:position] + value + data[position + len(value):]


def test_broken_archives():
    data = written([rl.arange(100), rl.ones(5)])
    entry = central(data)
    second = data.index(b"PK\1\2", entry + 1)
    broken = {
        "cut": data[:-30],
        "half": data[: len(data) // 2],
        "no directory": data[:entry],
        "a byte in the pickle": patched(data, 100, b"?"),
        "a byte in a tensor": patched(data, data.index(struct.pack("<4q", 7, 8, 9, 10)), b"?"),
        "size": patched(data, entry + 20, b"\xff\xff\xff\x7f" * 2),
        "two sizes": patched(data, entry + 24, b"\xff\xff\xff\x7f"),
        "offset": patched(data, entry + 42, b"\xff\xff\xff\x7f"),
        "one record on another": patched(data, second + 42, data[entry + 42:entry + 46]),
        "encrypted": patched(data, entry + 8, b"\x09\x08"),
        "unknown method": patched(data, entry + 10, b"\x0c\0"),
        "count": patched(data, data.index(b"PK\6\6") + 32, b"\xff\xff\xff\xff"),
        "only the end": data[-22:],
        "only a beginning": data[:4],
    }
    for name, content in broken.items():
        with pytest.raises(FINE):
            load(io.BytesIO(content))
            pytest.fail(name)
    for content in (b"x", b"\x80\x02", b"no file of ours", bytes(1000)):
        with pytest.raises(FINE):
            load(io.BytesIO(content))
    with pytest.raises(EOFError):
        load(io.BytesIO(b""))


def test_a_small_archive_that_unpacks_to_a_large_one():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("archive/data.pkl", tensor_pickle(10, 0, (1,), (1,)))
        target.writestr("archive/data/0", bytes(1 << 20))
    data = out.getvalue()
    place = data.rindex(b"PK\1\2")
    for size in (1 << 29, (1 << 20) - 1):
        with pytest.raises(FINE):
            load(io.BytesIO(patched(data, place + 24, struct.pack("<I", size))))


def test_the_old_format_is_checked_as_well():
    data = written([rl.arange(100), rl.ones(5)], _use_new_zipfile_serialization=False)
    wrong = [data[:n] for n in (10, 100, len(data) // 2, len(data) - 1)]
    wrong.append(data.replace(b"K\x64", b"K\x65"))
    wrong.append(data.replace(b"K\x64N", b"J\xff\xff\xff\x7fN"))
    for content in wrong:
        with pytest.raises(FINE):
            load(io.BytesIO(content))
    tar = bytearray(1024)
    tar[257:262] = b"ustar"
    with pytest.raises(NotImplementedError, match="tar format"):
        load(io.BytesIO(bytes(tar)))


# --- fuzzing ---------------------------------------------------------------------------------------------------------


def mutate(data, rng):
    """The bytes with one to four random changes."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        kind, i, j = rng.random(), rng.randrange(len(data)), rng.randrange(len(data))
        if kind < 0.5:
            data[i] = rng.randrange(256)
        elif kind < 0.6:
            del data[i:i + rng.randint(1, 50)]
        elif kind < 0.7:
            data[i:i] = rng.randbytes(rng.randint(1, 9))
        elif kind < 0.75:
            del data[i:]
        elif kind < 0.9:
            count = rng.randint(1, 30)
            data[i:i + count] = data[j:j + count]
        else:
            data[i:i + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"])
        data = data or bytearray(b"x")
    return bytes(data)


def with_mutated_pickle(parts, rng):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name, content in parts:
            target.writestr(name, mutate(content, rng) if name.endswith("data.pkl") else content)
    return out.getvalue()


CONTENT = {
    "state": {"weight": rl.arange(6.0).reshape(2, 3), "step": rl.tensor(1.0)},
    "order": collections.OrderedDict(a=rl.zeros(3, dtype=rl.bfloat16)),
    "plain": [1, 2.5, None, {"a"}, b"xx", "text", (1, (2,)), 1 << 70, collections.Counter("ab")],
    "kinds": [rl.Size([1]), rl.device("cpu"), rl.float32, rl.ones(2, dtype=rl.uint16)],
}


@pytest.mark.parametrize(
    "arguments",
    [{}, {"pickle_protocol": 4}, {"_use_new_zipfile_serialization": False}],
    ids=["zip", "protocol4", "old"],
)
def test_mutated_files_end_in_an_error_or_in_data(arguments):
    rng = random.Random(0)
    data = written(CONTENT, **arguments)
    parts = []
    if "_use_new_zipfile_serialization" not in arguments:
        with zipfile.ZipFile(io.BytesIO(data)) as source:
            parts = [(name, source.read(name)) for name in source.namelist()]
    failed = 0
    for i in range(3400):
        content = with_mutated_pickle(parts, rng) if parts and i % 2 else mutate(data, rng)
        try:
            load(io.BytesIO(content))
        except (*FINE, NotImplementedError):
            failed += 1
    assert failed > 2000


# -- sizes, counts and depths ------------------------------------------------------------------------------------------


def safetensors(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_safetensors_that_lie_on_each_other(tmp_path):
    entry = {"dtype": "U8", "shape": [1000], "data_offsets": [0, 1000]}
    many = safetensors(tmp_path / "a.safetensors", {f"t{i}": entry for i in range(1000)}, bytes(1000))
    with pytest.raises(RuntimeError, match="lies on another"):
        load(many)
    two = {"a": entry, "b": {"dtype": "U8", "shape": [2], "data_offsets": [999, 1001]}}
    with pytest.raises(RuntimeError, match="lies on another"):
        load(safetensors(tmp_path / "b.safetensors", two, bytes(1001)))
    fine = {"a": entry, "e": {"dtype": "F32", "shape": [0, 3], "data_offsets": [500, 500]},
            "b": {"dtype": "U8", "shape": [2], "data_offsets": [1000, 1002]}}
    found = load(safetensors(tmp_path / "c.safetensors", fine, bytes(range(250)) * 4 + b"\7\10"))
    assert found["b"].tolist() == [7, 8] and found["e"].shape == (0, 3) and found["a"].tolist() == [*range(250)] * 4


@pytest.mark.parametrize("shape", [[-1, -4], [2.0, 2], ["2", 2], [True, 4], [1] * 100 + [4]])
def test_safetensors_with_impossible_shapes(tmp_path, shape):
    header = {"a": {"dtype": "U8", "shape": shape, "data_offsets": [0, 4]}}
    with pytest.raises(RuntimeError, match="safetensors"):
        load(safetensors(tmp_path / "a.safetensors", header, bytes(4)))


def test_deeply_nested_json(tmp_path):
    with pytest.raises(RuntimeError, match="header is damaged"):
        load(safetensors(tmp_path / "a.safetensors", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b""))


def test_archive_that_unpacks_to_a_multiple(monkeypatch):
    """The sum of what packed records hold is checked before anything is allocated."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("archive/data.pkl", pickle.dumps({}, 2))
        for i in range(40):
            target.writestr(f"archive/data/{i}", bytes(2 << 20))
    with pytest.raises(RuntimeError, match="more than 32 times the file"):
        load(io.BytesIO(out.getvalue()))
    monkeypatch.setattr(reader, "SURE", 1 << 30)
    assert load(io.BytesIO(out.getvalue())) == {}


@pytest.mark.parametrize("opcode", [b"]", b"}", b"\x8f", b"(", b"]\x94"])
def test_pickles_of_small_opcodes(monkeypatch, opcode):
    monkeypatch.setattr(unpickler, "SURE", 1 << 20)
    data = b"\x80\x04" + opcode * 200_000 + b"."
    with pytest.raises(pickle.UnpicklingError, match="too much memory|too deeply"):
        loads(data)


def test_marks_are_not_nested_without_bound():
    with pytest.raises(pickle.UnpicklingError, match="nested too deeply"):
        loads(b"\x80\x04" + b"(" * 100_000 + b"t" * 100_000 + b".")
    assert loads(b"\x80\x04" + b"(" * 1000 + b"t" * 1000 + b".") is not None


def test_large_plain_pickles_are_fine():
    thing = [(i, [i], {"a": i}) for i in range(20_000)]
    assert loads(pickle.dumps(thing, 2)) == thing


@pytest.mark.parametrize("key", [[], {}, [1]])
def test_unhashable_storage_keys(key):
    """Keys of storages, of their parts and in the list at the end: a list is refused as damage, not as a TypeError."""
    head = [serialization.legacy.MAGIC_NUMBER, serialization.legacy.PROTOCOL_VERSION, {"little_endian": True}]
    pickles = b"".join(pickle.dumps(part, 2) for part in head)
    with pytest.raises(pickle.UnpicklingError):
        load(io.BytesIO(pickles + pickle.dumps({}, 2) + pickle.dumps([key], 2)))
    for place in (2, 5):
        saved = ["storage", "KIND", "0", "cpu", 4, ("1", 0, 2)]
        saved[place] = (key, 0, 2) if place == 5 else key
        items = b"".join(b"ctorch\nFloatStorage\n" if part == "KIND" else pickle.dumps(part, 2)[2:-1] for part in saved)
        with pytest.raises(pickle.UnpicklingError):
            load(io.BytesIO(pickles + b"\x80\x02(" + items + b"tQ." + pickle.dumps(["0"], 2)))
