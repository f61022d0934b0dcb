"""Data sets from files that the tests make: images, targets, texts, errors; the wrapper for transforms."""
import bz2
import json
import pickle

import numpy as np
import pytest

import rushlight as rl
from rushlight.utils.data import DataLoader
from rushlight.vision import datasets, tv_tensors
from rushlight.vision import transforms as T

Image = pytest.importorskip("PIL.Image")


def pixels(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape, dtype=np.uint8)


def put(path, size=(6, 8), seed=0, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels(*size, 3, seed=seed))
    (picture if mode is None else picture.convert(mode)).save(path)
    return path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# -- folders ---------------------------------------------------------------------------------------------------------


def test_image_folder(tmp_path):
    for name in ("dog", "cat"):
        put(tmp_path / name / "a.PNG")
        put(tmp_path / name / "deep" / "b.jpg")
        write(tmp_path / name / "notes.txt", "")
    data = datasets.ImageFolder(tmp_path, transform=T.ToTensor(), target_transform=lambda y: y + 10)
    assert len(data) == 4 and data.classes == ["cat", "dog"] and data.targets == [0, 0, 1, 1]
    image, target = data[2]
    assert image.shape == (3, 6, 8) and target == 11
    batch = next(iter(DataLoader(data, 4)))
    assert batch[0].shape == (4, 3, 6, 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="classes empty"):
        datasets.ImageFolder(tmp_path)
    assert len(datasets.ImageFolder(tmp_path, allow_empty=True)) == 4
    with pytest.raises(FileNotFoundError, match="any class folder"):
        datasets.ImageFolder(tmp_path / "empty")
    with pytest.raises(ValueError, match="both|Both"):
        datasets.DatasetFolder(tmp_path, len)


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "ppm", "gif", "tif", "webp"])
def test_loader_gives_what_convert_gives(tmp_path, kind):
    for mode in ("RGB", "L", "P"):
        picture = Image.fromarray(pixels(6, 8, 3)).convert(mode)
        if mode == "P" and kind in ("jpg", "ppm", "webp"):
            continue
        picture.save(tmp_path / f"a.{kind}")
        found = datasets.folder.pil_loader(tmp_path / f"a.{kind}")
        with Image.open(tmp_path / f"a.{kind}") as opened:
            expected = opened.convert("RGB")
        assert type(found) is type(expected) and found.mode == "RGB" and np.array_equal(found, expected)
        assert found.info == expected.info and found.format == expected.format and not found.readonly
        found.putpixel((0, 0), (1, 2, 3))
        assert found.getpixel((0, 0)) == (1, 2, 3) and pickle.loads(pickle.dumps(found)) == found


# -- arrays ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    files = {"data_batch_1": 5, "test_batch": 3}
    for name, count in files.items():
        content = {"data": pixels(count, 3072), "labels": [i % 10 for i in range(count)]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", None]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", None]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": None})
    return tmp_path


def test_cifar(cifar):
    data = datasets.CIFAR10(cifar, train=False)
    image, target = data[2]
    assert np.array_equal(np.asarray(image).transpose(2, 0, 1).reshape(-1), pixels(3, 3072)[2]) and target == 2
    assert data.class_to_idx["c"] == 2 and "Split: Test" in repr(data)
    with pytest.raises(RuntimeError, match="not found or corrupted"):
        datasets.CIFAR10(cifar / "elsewhere")


def test_a_batch_is_what_its_samples_are(cifar):
    transform = T.Compose([T.ToTensor(), T.Normalize((0.5,) * 3, (0.2,) * 3)])
    data = datasets.CIFAR10(cifar, transform=transform, target_transform=lambda y: -y)
    batch = data.__getitems__([4, 0, 2])
    assert all(image.equal(data[i][0]) and target == -i for (image, target), i in zip(batch, (4, 0, 2)))
    images, targets = next(iter(DataLoader(data, 5)))
    assert images.shape == (5, 3, 32, 32) and targets.tolist() == [0, -1, -2, -3, -4]

    class Own(datasets.CIFAR10):
        def __getitem__(self, index):
            return "own"
    assert Own(cifar, transform=transform).__getitems__([0, 1]) == ["own", "own"]


class _Evil:
    def __reduce__(self):
        return print, ("ran",)


def test_pickles_of_cifar_run_nothing(cifar, capsys):
    (cifar / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(pickle.UnpicklingError, match="asks for"):
        datasets.CIFAR10(cifar, train=False)
    assert "ran" not in capsys.readouterr().out


def test_semeion_and_usps(tmp_path, monkeypatch):
    row = np.zeros(266)
    row[[3, 256 + 7]] = 1
    np.savetxt(tmp_path / "semeion.data", [row, row])
    monkeypatch.setattr(datasets.SEMEION, "md5_checksum", None)
    image, target = datasets.SEMEION(tmp_path, download=False)[1]
    assert target == 7 and np.asarray(image)[0, 3] == 255 and image.size == (16, 16)
    line = "4 " + " ".join([f"{i + 1}:{-1 + i % 3}" for i in range(256)])
    (tmp_path / "usps.bz2").write_bytes(bz2.compress((line + "\n").encode()))
    image, target = datasets.USPS(tmp_path)[0]
    assert target == 3 and np.asarray(image)[0, :3].tolist() == [0, 127, 255]


def test_stl10(tmp_path, monkeypatch):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    for name, count in (("train", 4), ("unlabeled", 2), ("test", 3)):
        pixels(count, 3, 96, 96).tofile(folder / f"{name}_X.bin")
        np.arange(1, count + 1, dtype=np.uint8).tofile(folder / f"{name}_y.bin")
    write(folder / "fold_indices.txt", "2 0\n1 3\n")
    for name in ("train_list", "test_list"):
        monkeypatch.setattr(datasets.STL10, name, [[file, None] for file, _ in getattr(datasets.STL10, name)])
    assert [target for _, target in datasets.STL10(tmp_path, "train+unlabeled")] == [0, 1, 2, 3, -1, -1]
    assert [target for _, target in datasets.STL10(tmp_path, folds=0)] == [2, 0]
    image, _ = datasets.STL10(tmp_path, "test")[0]
    assert np.array_equal(np.asarray(image), pixels(3, 3, 96, 96)[0].transpose(2, 1, 0))
    with pytest.raises(ValueError, match="range"):
        datasets.STL10(tmp_path, folds=11)


def test_moving_mnist_and_fer(tmp_path, monkeypatch):
    folder = tmp_path / "MovingMNIST"
    folder.mkdir()
    np.save(folder / "mnist_test_seq.npy", pixels(20, 3, 64, 64))
    data = datasets.MovingMNIST(tmp_path, split="train", split_ratio=7)
    assert len(data) == 3 and data[0].shape == (7, 1, 64, 64)
    face = [" ".join([grey] * 2304) for grey in "98"]
    rows = f"emotion,pixels,Usage\n3,{face[0]},Training\n1,{face[1]},PublicTest"
    write(tmp_path / "fer2013" / "fer2013.csv", rows)
    monkeypatch.setattr(datasets.FER2013, "_RESOURCES", {**datasets.FER2013._RESOURCES, "fer": ("fer2013.csv", None)})
    image, target = datasets.FER2013(tmp_path, "test")[0]
    assert target == 1 and np.asarray(image).max() == 8 and len(datasets.FER2013(tmp_path)) == 1


# -- files -----------------------------------------------------------------------------------------------------------


def test_lists_of_files(tmp_path):
    put(tmp_path / "dtd" / "dtd" / "images" / "dotted" / "x.jpg")
    write(tmp_path / "dtd" / "dtd" / "labels" / "train1.txt", "dotted/x.jpg\n")
    data = datasets.DTD(tmp_path)
    assert data[0][1] == 0 and data.classes == ["dotted"] and "split=train, partition=1" in repr(data)
    put(tmp_path / "food-101" / "images" / "pie" / "7.jpg")
    write(tmp_path / "food-101" / "meta" / "test.json", json.dumps({"pie": ["pie/7"], "soup": []}))
    assert datasets.Food101(tmp_path, "test")[0][1] == 0
    base = tmp_path / "fgvc-aircraft-2013b" / "data"
    put(base / "images" / "12.jpg")
    write(base / "families.txt", "A 1\nB 2\n")
    write(base / "images_family_val.txt", "12 B 2\n")
    assert datasets.FGVCAircraft(tmp_path, "val", "family")[0][1] == 1
    put(tmp_path / "SUN397" / "a" / "abbey" / "sun_1.jpg")
    write(tmp_path / "SUN397" / "ClassName.txt", "/a/abbey\n")
    assert datasets.SUN397(tmp_path)[0][1] == 0
    put(tmp_path / "eurosat" / "2750" / "Lake" / "1.png")
    data = datasets.EuroSAT(tmp_path)
    assert len(data) == 1 and data.classes == ["Lake"] and f"Root location: {tmp_path}" in repr(data)
    put(tmp_path / "clevr" / "CLEVR_v1.0" / "images" / "val" / "z.png")
    scenes = {"scenes": [{"image_filename": "z.png", "objects": [1, 2, 3]}]}
    write(tmp_path / "clevr" / "CLEVR_v1.0" / "scenes" / "CLEVR_val_scenes.json", json.dumps(scenes))
    assert datasets.CLEVRClassification(tmp_path, "val")[0][1] == 3
    with pytest.raises(ValueError, match="broken"):
        datasets.StanfordCars(tmp_path, download=True)


def test_pets(tmp_path):
    base = tmp_path / "oxford-iiit-pet"
    put(base / "images" / "great_dane_3.jpg")
    put(base / "annotations" / "trimaps" / "great_dane_3.png", mode="L")
    write(base / "annotations" / "trainval.txt", "great_dane_3 1 2 1\n")
    data = datasets.OxfordIIITPet(tmp_path, target_types=["category", "binary-category", "segmentation"])
    assert data[0][1][:2] == (0, 1) and data[0][1][2].mode == "L" and data.classes == ["Great Dane"]
    wrapped = datasets.wrap_dataset_for_transforms_v2(data)[0][1]
    assert type(wrapped[2]) is tv_tensors.Mask and wrapped[2].shape == (1, 6, 8)


@pytest.fixture
def voc(tmp_path):
    base = tmp_path / "VOCdevkit" / "VOC2012"
    put(base / "JPEGImages" / "a.jpg")
    put(base / "SegmentationClass" / "a.png", mode="P")
    for kind in ("Main", "Segmentation"):
        write(base / "ImageSets" / kind / "train.txt", "a\n")
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>4</ymax></bndbox>"
    write(base / "Annotations" / "a.xml", "<annotation><folder>VOC</folder><size><width>8</width></size>"
          f"<object><name>cat</name>{box}</object></annotation>")
    return tmp_path


def test_voc(voc):
    image, target = datasets.VOCDetection(voc)[0]
    assert image.size == (8, 6) and target["annotation"]["folder"] == "VOC"
    assert target["annotation"]["object"][0]["bndbox"]["xmax"] == "5"
    wrapped = datasets.wrap_dataset_for_transforms_v2(datasets.VOCDetection(voc))[0][1]
    assert wrapped["boxes"].tolist() == [[1, 2, 5, 4]] and wrapped["labels"].tolist() == [8]
    mask = datasets.wrap_dataset_for_transforms_v2(datasets.VOCSegmentation(voc))[0][1]
    assert type(mask) is tv_tensors.Mask
    with pytest.raises(RuntimeError, match="not found"):
        datasets.VOCDetection(voc / "none")


@pytest.fixture
def coco(tmp_path):
    put(tmp_path / "a.jpg")
    annotations = [
        {"id": 5, "image_id": 3, "bbox": [1, 2, 3, 2], "category_id": 7, "segmentation": [[1, 2, 4, 2, 4, 4, 1, 4]]},
        {"id": 6, "image_id": 3, "bbox": [0, 0, 1, 6], "category_id": 8,
         "segmentation": {"counts": [0, 6, 42], "size": [6, 8]}},
    ]
    (tmp_path / "notes.json").write_text(json.dumps({
        "images": [{"id": 3, "file_name": "a.jpg"}, {"id": 9, "file_name": "a.jpg"}], "annotations": annotations}))
    return tmp_path


def test_coco(coco):
    data = datasets.CocoDetection(coco, coco / "notes.json")
    assert data.ids == [3, 9] and data[0][1][0]["category_id"] == 7 and data[1][1] == []
    with pytest.raises(ValueError, match="integer"):
        data[0.5]
    image, target = datasets.wrap_dataset_for_transforms_v2(data, target_keys=("boxes", "labels", "masks"))[0]
    assert target["boxes"].tolist() == [[1, 2, 4, 4], [0, 0, 1, 6]] and target["labels"].tolist() == [7, 8]
    assert target["masks"].shape == (2, 6, 8) and target["masks"][1].sum() == 6 and target["masks"][1][:, 0].all()
    with pytest.raises(ValueError, match="not available"):
        datasets.wrap_dataset_for_transforms_v2(data, target_keys=["colour"])


def test_wrapper_keeps_transforms_and_pickles(cifar):
    data = datasets.CIFAR10(cifar, train=False, transform=T.ToTensor())
    wrapped = datasets.wrap_dataset_for_transforms_v2(data)
    assert isinstance(wrapped, datasets.CIFAR10) and len(wrapped) == 3 and wrapped.classes[0] == "a"
    assert pickle.loads(pickle.dumps(wrapped))[1][0].equal(wrapped[1][0])
    with pytest.raises(TypeError, match="meant for subclasses"):
        datasets.wrap_dataset_for_transforms_v2([1, 2])
    with pytest.raises(TypeError, match="No wrapper"):
        datasets.wrap_dataset_for_transforms_v2(datasets.FakeData(3))
    with pytest.raises(ValueError, match="only supported"):
        datasets.wrap_dataset_for_transforms_v2(datasets.CIFAR10(cifar), target_keys="all")


def test_kitti_and_captions(tmp_path):
    raw = tmp_path / "Kitti" / "raw" / "training"
    put(raw / "image_2" / "000.png")
    write(raw / "label_2" / "000.txt", "Car 0.00 1 -1.5 1.0 2.0 5.0 4.0 1.1 1.2 1.3 2.1 2.2 2.3 0.5\n")
    objects = datasets.Kitti(tmp_path)[0][1]
    assert objects[0]["bbox"] == [1.0, 2.0, 5.0, 4.0] and objects[0]["rotation_y"] == 0.5
    assert datasets.wrap_dataset_for_transforms_v2(datasets.Kitti(tmp_path))[0][1]["labels"].tolist() == [0]
    put(tmp_path / "7.jpg")
    write(tmp_path / "captions.txt", "7.jpg#0\tA sea.\n7.jpg#1\tThe sea.\n")
    assert datasets.Flickr30k(tmp_path, tmp_path / "captions.txt")[0][1] == ["A sea.", "The sea."]


def test_celeba(tmp_path, monkeypatch):
    base = tmp_path / "celeba"
    for name in ("1.jpg", "2.jpg"):
        put(base / "img_align_celeba" / name)
    write(base / "list_eval_partition.txt", "1.jpg 0\n2.jpg 1\n")
    write(base / "identity_CelebA.txt", "1.jpg 10\n2.jpg 20\n")
    write(base / "list_bbox_celeba.txt", "2\nimage x y w h\n1.jpg 1 1 2 2\n2.jpg 1  2 3 4\n")
    write(base / "list_landmarks_align_celeba.txt", "2\nlefteye_x\n1.jpg 5\n2.jpg 6\n")
    write(base / "list_attr_celeba.txt", "2\nSmiling Young\n1.jpg -1 1\n2.jpg 1 -1\n")
    monkeypatch.setattr(datasets.CelebA, "file_list", [(a, None, c) for a, _, c in datasets.CelebA.file_list])
    data = datasets.CelebA(tmp_path, "valid", target_type=["attr", "identity", "bbox"])
    attributes, identity, box = data[0][1]
    assert attributes.tolist() == [1, 0] and identity.item() == 20 and box.tolist() == [1, 2, 3, 4]
    faces = datasets.wrap_dataset_for_transforms_v2(datasets.CelebA(tmp_path, "valid", target_type="bbox"))
    assert faces[0][1].tolist() == [[1, 2, 4, 6]]


# -- flow and stereo -------------------------------------------------------------------------------------------------


def flo(path, flow):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = flow.shape[1:]
    path.write_bytes(b"PIEH" + np.array([width, height], "<i4").tobytes()
                     + flow.transpose(1, 2, 0).astype("<f4").tobytes())


def pfm(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "PF" if samples.ndim == 3 else "Pf"
    path.write_bytes(f"{kind}\n{samples.shape[1]} {samples.shape[0]}\n-1.0\n".encode()
                     + samples[::-1].astype("<f4").tobytes())


def test_sintel(tmp_path):
    flow = np.random.RandomState(0).rand(2, 6, 8).astype(np.float32)
    for number in range(3):
        put(tmp_path / "Sintel" / "training" / "clean" / "alley" / f"{number}.png", seed=number)
    for number in range(2):
        flo(tmp_path / "Sintel" / "training" / "flow" / "alley" / f"{number}.flo", flow + number)
    data = datasets.Sintel(tmp_path)
    first, second, found = data[1]
    assert len(data) == 2 and np.allclose(found, flow + 1) and len(3 * data) == 6
    assert np.array_equal(np.asarray(second), pixels(6, 8, 3, seed=2))


def test_stereo(tmp_path):
    base = tmp_path / "carla-highres" / "trainingF" / "scene"
    disparity = np.random.RandomState(0).rand(6, 8).astype(np.float32)
    for side in (0, 1):
        put(base / f"im{side}.png", seed=side)
        pfm(base / f"disp{side}GT.pfm", -disparity - side)
    left, right, found = datasets.CarlaStereo(tmp_path)[0]
    assert np.allclose(found[0], disparity) and np.array_equal(np.asarray(right), pixels(6, 8, 3, seed=1))
    with pytest.raises(FileNotFoundError, match="patterns"):
        datasets.CREStereo(tmp_path)


def test_clips_of_times():
    times = rl.arange(10) * 2
    clips, chosen = datasets.video.VideoClips.compute_clips_for_video(times, 3, 4, 30)
    assert clips.tolist() == [[0, 2, 4], [8, 10, 12]] and chosen.tolist() == [[0, 1, 2], [4, 5, 6]]
    clips, _ = datasets.video.VideoClips.compute_clips_for_video(times, 2, 2, 30, 15)
    assert clips.tolist() == [[0, 4], [8, 12]]
    with pytest.warns(UserWarning, match="enough frames"):
        assert len(datasets.video.VideoClips.compute_clips_for_video(times, 11, 1, 30)[0]) == 0
