"""Data sets: files in, images and classes out; texts, errors, downloads that fail, archives that attack."""
import gzip
import hashlib
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

import rushlight as rl
from rushlight.utils.data import DataLoader
from rushlight.vision import datasets, transforms
from rushlight.vision.datasets import mnist, utils

pytest.importorskip("PIL.Image")


def idx(array, kind=0x08):
    """The bytes of an IDX file of an array."""
    header = bytes([0, 0, kind, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_family(folder, names, count=12):
    """IDX files of random images and classes 0 to 9 in turn; returns the arrays."""
    folder.mkdir(parents=True)
    images = np.random.RandomState(0).randint(0, 256, (count, 28, 28)).astype(np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    for name, array in zip(names, (images, labels)):
        content = idx(array)
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return images, labels


TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_family(tmp_path, name):
    write_family(tmp_path / name / "raw", TRAIN)
    (tmp_path / "other").mkdir()
    images, labels = write_family(tmp_path / "other" / name / "raw", TEST, 7)
    for file in TEST:
        (tmp_path / "other" / name / "raw" / file).rename(tmp_path / name / "raw" / file)
    data = getattr(datasets, name)(str(tmp_path), train=False)
    assert len(data) == 7 and data.data.dtype == rl.uint8 and data.targets.dtype == rl.int64
    image, target = data[3]
    assert image.mode == "L" and target == 3 and type(target) is int
    assert np.array_equal(np.asarray(image), images[3]) and data.targets.tolist() == labels.tolist()
    assert data.class_to_idx[data.classes[4]] == 4
    assert repr(data) == f"Dataset {name}\n    Number of datapoints: 7\n    Root location: {tmp_path}\n    Split: Test"


def test_compressed_files_are_read_in_place(tmp_path):
    for names in (TRAIN, TEST):
        folder = tmp_path / names[0] / "MNIST" / "raw"
        images, _ = write_family(folder, [name + ".gz" for name in names])
        for name in names:
            target = tmp_path / "MNIST" / "raw"
            target.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.gz").rename(target / f"{name}.gz")
    data = datasets.MNIST(tmp_path)
    assert np.array_equal(data.data.numpy(), images)


@pytest.fixture
def fashion(tmp_path):
    """The root folder of a FashionMNIST of 12 images for training and for tests."""
    folder = tmp_path / "FashionMNIST" / "raw"
    write_family(folder, TRAIN)
    for own, other in zip(TEST, TRAIN):
        (folder / own).write_bytes((folder / other).read_bytes())
    return tmp_path


def test_transforms_and_text(fashion):
    to = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    data = datasets.FashionMNIST(fashion, transform=to, target_transform=float)
    image, target = data[2]
    assert image.shape == (1, 28, 28) and image.dtype == rl.float32 and target == 2.0 and type(target) is float
    assert repr(data).splitlines()[4:] == [
        "    StandardTransform",
        "Transform: Compose(",
        "               ToTensor()",
        "               Normalize(mean=(0.5,), std=(0.5,))",
        "           )",
        f"Target transform: {float!r}",
    ]


def test_data_may_be_replaced(fashion):
    data = datasets.FashionMNIST(fashion)
    assert data[0][1] == 0
    data.data, data.targets = data.data[5:], data.targets[5:]
    assert len(data) == 7 and data[0][1] == 5
    data.targets[0] = 9
    assert data[0][1] == 9
    data.data[1] = 77
    assert set(data[1][0].tobytes()) == {77}


def test_loader_and_pickle(fashion):
    data = pickle.loads(pickle.dumps(datasets.FashionMNIST(fashion, transform=transforms.ToTensor())))
    images, targets = next(iter(DataLoader(data, batch_size=5)))
    assert images.shape == (5, 1, 28, 28) and targets.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(images[:, 0].numpy(), data.data[:5].numpy().astype(np.float32) / np.float32(255))


def test_missing_files(tmp_path):
    with pytest.raises(RuntimeError, match="Dataset not found. You can use download=True"):
        datasets.MNIST(tmp_path)


def test_emnist(tmp_path):
    write_family(tmp_path / "EMNIST" / "raw", [name.replace("train", "emnist-letters-train") for name in TRAIN])
    data = datasets.EMNIST(tmp_path, "letters")
    assert len(data) == 12 and data.classes[:2] == ["N/A", "a"] and len(data.classes) == 27
    assert len(datasets.EMNIST.classes_split_dict["balanced"]) == 47
    with pytest.raises(ValueError, match="Unknown value 'words' for argument split"):
        datasets.EMNIST(tmp_path, "words")


def test_qmnist(tmp_path):
    folder = tmp_path / "QMNIST" / "raw"
    write_family(folder, ["qmnist-train-images-idx3-ubyte"])
    table = np.arange(96, dtype=np.int32).reshape(12, 8)
    (folder / "qmnist-train-labels-idx2-int").write_bytes(idx(table, 0x0C))
    data = datasets.QMNIST(tmp_path)
    assert data[3][1] == 24 and data.extra_repr() == "Split: train"
    full = datasets.QMNIST(tmp_path, compat=False)[3][1]
    assert full.dtype == rl.int64 and full.tolist() == table[3].tolist()


@pytest.mark.parametrize("kind, dtype", [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")])
def test_idx_types(tmp_path, kind, dtype):
    array = np.arange(-3, 9).reshape(3, 4).astype(dtype)
    (tmp_path / "file").write_bytes(idx(array, kind))
    assert np.array_equal(mnist.read_sn3_pascalvincent_tensor(tmp_path / "file").numpy(), array)


@pytest.mark.parametrize("content", [
    b"",
    b"\0\0\x08",
    b"PK\3\4" + b"\0" * 40,
    b"\0\0\x08\x01\0\0\0\x09abc",
    b"\0\0\x08\x03\0\0",
    b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xffabc",
    b"\0\0\x08\x09" + b"\0" * 40,
], ids=range(7))
def test_broken_idx_files(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="file"):
        mnist.read_image_file(tmp_path / "file")


def test_idx_of_the_wrong_kind(tmp_path):
    (tmp_path / "file").write_bytes(idx(np.zeros((2, 2, 2), np.int32), 0x0C))
    with pytest.raises(TypeError, match="torch.uint8 instead of torch.int32"):
        mnist.read_image_file(tmp_path / "file")
    (tmp_path / "file").write_bytes(idx(np.zeros((2, 2), np.uint8)))
    with pytest.raises(ValueError, match="should have 1 dimension"):
        mnist.read_label_file(tmp_path / "file")


def test_digits():
    train, test, everything = (datasets.Digits(train=value) for value in (True, False, None))
    assert (len(train), len(test), len(everything)) == (1437, 360, 1797)
    assert train.data.dtype == rl.uint8 and train.data.shape == (1437, 8, 8) and train.data.max().item() == 255
    assert np.bincount(everything.targets.numpy()).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    image, digit = train[0]
    assert image.mode == "L" and image.size == (8, 8) and digit == 0
    assert repr(test) == "Dataset Digits\n    Number of datapoints: 360\n    Split: Test"


def test_fake_data():
    state = rl.get_rng_state()
    data = datasets.FakeData(3, (3, 6, 4), num_classes=5, transform=transforms.PILToTensor())
    image, target = data[1]
    assert image.shape == (3, 6, 4) and 0 <= target < 5
    assert data[1][0].equal(image) and not data[2][0].equal(image)
    assert rl.get_rng_state().equal(state)
    with pytest.raises(IndexError):
        data[3]


def test_vision_dataset_refuses_both_kinds_of_transforms():
    with pytest.raises(ValueError, match="Only transforms or"):
        datasets.VisionDataset("x", transforms=abs, transform=abs)


# --- files -----------------------------------------------------------------------------------------------------------

def test_download_of_a_family(tmp_path, monkeypatch):
    source = tmp_path / "server"
    write_family(source, [name + ".gz" for name in TRAIN])
    for own, other in zip(TEST, TRAIN):
        (source / f"{own}.gz").write_bytes((source / f"{other}.gz").read_bytes())
    names = [f"{name}.gz" for name in TRAIN + TEST]
    sums = [(name, hashlib.md5((source / name).read_bytes()).hexdigest()) for name in names]
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [(tmp_path / "nowhere").as_uri() + "/", source.as_uri() + "/"])
    assert len(datasets.MNIST(tmp_path, download=True)) == 12
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["no such address/"])
    assert len(datasets.MNIST(tmp_path, download=True, train=False)) == 12
    monkeypatch.setattr(datasets.MNIST, "mirrors", [(tmp_path / "nowhere").as_uri() + "/"])
    with pytest.raises(RuntimeError, match="Error downloading train-images-idx3-ubyte.gz:\nTried file.*nowhere"):
        datasets.MNIST(tmp_path / "empty", download=True)


def test_download_checks_before_it_puts_in_place(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    url = (tmp_path / "a.bin").as_uri()
    with pytest.raises(RuntimeError, match="corrupted"):
        utils.download_url(url, tmp_path / "to", md5="0" * 32)
    assert list((tmp_path / "to").iterdir()) == []
    utils.download_url(url, tmp_path / "to", "b.bin", hashlib.md5(b"abc").hexdigest())
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["b.bin"]
    assert utils.check_integrity(tmp_path / "to" / "b.bin") and not utils.check_integrity(tmp_path / "to" / "c.bin")


def test_archives(tmp_path):
    (tmp_path / "inner.txt").write_text("hello")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "inner.txt", "folder/inner.txt")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(tmp_path / "inner.txt", "folder/inner.txt")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"hello"))
    for name in ("a.tar.gz", "b.zip"):
        assert utils.extract_archive(str(tmp_path / name), str(tmp_path / name[0])) == str(tmp_path / name[0])
        assert (tmp_path / name[0] / "folder" / "inner.txt").read_text() == "hello"
    assert utils.extract_archive(tmp_path / "c.txt.gz", remove_finished=True).read_text() == "hello"
    assert not (tmp_path / "c.txt.gz").exists()
    with pytest.raises(RuntimeError, match="unknown compression"):
        utils.extract_archive(str(tmp_path / "inner.txt"))


def test_archive_may_not_leave_its_folder(tmp_path):
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        member = tarfile.TarInfo("../evil.txt")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(RuntimeError, match="outside"):
        utils.extract_archive(str(tmp_path / "evil.tar"), str(tmp_path / "to"))
    assert not (tmp_path / "evil.txt").exists()


def test_lists_and_arguments(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.txt").write_bytes(b"")
    assert utils.list_dir(tmp_path) == ["folder"] and utils.list_files(tmp_path, ".png") == ["a.png"]
    assert utils.list_files(str(tmp_path), (".png",), prefix=True) == [str(tmp_path / "a.png")]
    assert utils.verify_str_arg("x", "mode", ("x", "y")) == "x"
    with pytest.raises(ValueError, match="Expected type str for argument mode"):
        utils.verify_str_arg(3, "mode")


def test_batches_are_their_samples(fashion):
    normalized = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.3,), (0.4,))])
    for transform in (normalized, transforms.ToTensor()):
        data = datasets.FashionMNIST(fashion, transform=transform)
        indices = [2, 0, 1]
        pairs = data.__getitems__(indices)
        assert all(pair[0].equal(data[i][0]) and pair[1] == data[i][1] for pair, i in zip(pairs, indices))
        images, targets = next(iter(DataLoader(data, 3)))
        assert images.equal(rl.stack([data[i][0] for i in range(3)])) and targets.dtype == rl.int64
    data.target_transform = str
    assert [target for _, target in data.__getitems__(indices)] == [str(int(data.targets[i])) for i in indices]
