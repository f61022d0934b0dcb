"""Files that PyTorch 2.13 wrote are read, and files written here say what PyTorch's say.

The files in files/ were written by torch.save: `archive.pt` and `legacy.pt` (`_use_new_zipfile_serialization=False`)
hold a dictionary of everything, `module.pt` a whole nn.Sequential, `no_checksums.pt` one tensor, written after
`set_crc32_options(False)`.
"""

import io
import pathlib
import pickletools
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import rushlight as rl
from rushlight import serialization

FILES = pathlib.Path(__file__).parent / "files"
DTYPES = "float16 bfloat16 float32 float64 bool int8 uint8 int16 int32 int64 complex64 complex128".split()


def load(name, **arguments):
    return serialization.load(FILES / name, **arguments)


def written(thing, **arguments):
    """The file that `save` makes, as bytes."""
    buffer = io.BytesIO()
    serialization.save(thing, buffer, **arguments)
    return buffer.getvalue()


@pytest.fixture(params=["archive.pt", "legacy.pt"])
def name(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["weights_only", "trusted"])
def content(request, name):
    return load(name, weights_only=request.param)


def test_views_share_their_storage(content):
    base, rows, transposed, columns = content["views"]
    assert base.tolist() == rl.arange(24.0).reshape(4, 6).tolist()
    assert transposed.stride() == (1, 6) and columns.shape == (4, 3) and rows.storage_offset() == 6
    base[1, 0] = 99
    assert rows[0, 0].item() == transposed[0, 1].item() == columns[1, 0].item() == 99


def test_dtypes(content):
    for dtype in DTYPES:
        tensor = content["dtypes"][f"torch.{dtype}"]
        assert tensor.dtype == getattr(rl, dtype) and tensor.tolist() == [0, 1, 1]


def test_dtypes_without_storage_classes():
    for weights_only in (True, False):
        for dtype in ("uint16", "uint32", "uint64"):
            tensor = load("archive.pt", weights_only=weights_only)["unsigned"][f"torch.{dtype}"]
            assert tensor.dtype == getattr(rl, dtype) and tensor.tolist() == [0, 1, 1]


def test_states(content):
    assert type(content) is OrderedDict and type(content["model"]) is OrderedDict
    assert content["model"]._metadata["0"] == {"version": 1}
    assert content["model"]["1.num_batches_tracked"].item() == 1
    assert content["optimizer"]["param_groups"][0]["lr"] == 0.01
    assert content["optimizer"]["state"][0]["exp_avg"].shape == (2, 3)


def test_parameters(content):
    assert type(content["parameter"]) is rl.nn.Parameter and not content["parameter"].requires_grad
    assert content["tagged"].tag == "hello" and content["tagged"].tolist() == [1.0, 2.0]
    assert content["leaf"].requires_grad and content["leaf"].is_leaf
    assert content["conj"].tolist() == [1 - 2j]
    assert [tuple(tensor.shape) for tensor in content["empty"]] == [(0,), (2, 0, 3), ()]


def test_plain_objects(content):
    plain = content["plain"]
    assert plain["none"] is None and plain["text"] == "ü" and plain["big"] == 2**70 and plain["bytes"] == b"\x00\xff"
    assert plain["set"] == {1, 2} and plain["tuple"] == (1, (2,)) and plain["complex"] == 1 + 2j
    assert plain["counter"] == Counter("aab") and type(plain["counter"]) is Counter
    assert content["kinds"][:3] == [rl.float32, rl.float32, rl.device("cpu")]
    assert type(content["kinds"][3]) is rl.Size and content["kinds"][4] is rl.strided


def test_no_checksums():
    assert load("no_checksums.pt").tolist() == rl.arange(24.0).reshape(4, 6).tolist()
    assert load("no_checksums.pt", mmap=True).tolist() == rl.arange(24.0).reshape(4, 6).tolist()


def test_a_whole_module():
    module = load("module.pt", weights_only=False)
    assert type(module) is rl.nn.Sequential and type(module[0]) is rl.nn.Linear
    assert module.eval()(rl.zeros(1, 3)).shape == (1, 2)
    with pytest.raises(serialization.loading.UnpicklingError, match="GLOBAL torch.nn.modules.container.Sequential"):
        load("module.pt")
    with serialization.safe_globals([rl.nn.Sequential, rl.nn.Linear, rl.nn.BatchNorm1d, dict, (set, "builtins.set")]):
        assert type(load("module.pt")) is rl.nn.Sequential


def names_and_texts(data):
    """What a pickle names and spells out, in order. Numbers and tuples may be written once where PyTorch repeats
    them.
    """
    return [(code.name, argument) for code, argument, _ in pickletools.genops(data) if isinstance(argument, str)]


def test_the_pickle_says_what_pytorchs_says():
    with zipfile.ZipFile(FILES / "archive.pt") as archive:
        original = archive.read("archive/data.pkl")
    content = load("archive.pt")
    content["conj"] = rl.from_numpy(np.array([1 + 2j], dtype=np.complex64))
    with zipfile.ZipFile(io.BytesIO(written(content))) as archive:
        ours = archive.read("archive/data.pkl")
    # PyTorch's file says of the last tensor that it is a lazy conjugate.
    assert names_and_texts(ours) == names_and_texts(original)[:-1]
    assert names_and_texts(original)[-1] == ("BINUNICODE", "conj")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_only_pytorchs_names_are_written(protocol):
    content = load("archive.pt")
    module = rl.nn.Sequential(rl.nn.Conv2d(1, 2, 3), rl.nn.ReLU())
    with zipfile.ZipFile(io.BytesIO(written([content, module], pickle_protocol=protocol))) as archive:
        data = archive.read("archive/data.pkl")
    assert b"rushlight" not in data
    names = (b"torch.nn.modules.conv", b"torch.nn.modules.container", b"torch._utils", b"BFloat16Storage")
    assert all(name in data for name in names)
    again = serialization.load(io.BytesIO(written(module, pickle_protocol=protocol)), weights_only=False)
    assert type(again[0]) is rl.nn.Conv2d


def test_texts_that_look_like_the_pickle_are_left_alone():
    thing = {"crushlight.nn\nLinear\n": rl.float32, "q\x01Q": rl.float32, "X \0\0\0": rl.device("cpu")}
    assert serialization.load(io.BytesIO(written(thing))) == thing
