"""Data sets whose files are put in place by hand: ImageNet, LFW, LSUN, Cityscapes, captions, optical flow, stereo."""
import io
import json
import tarfile

import numpy as np
import pytest

from rushlight.vision import datasets, tv_tensors
from rushlight.vision.datasets import archives

Image = pytest.importorskip("PIL.Image")


def pixels(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape, dtype=np.uint8)


def put(path, samples=None, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(6, 8, 3, seed=seed) if samples is None else samples).save(path)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def pfm(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "PF" if samples.ndim == 3 else "Pf"
    path.write_bytes(f"{kind}\n{samples.shape[1]} {samples.shape[0]}\n-1.0\n".encode()
                     + samples[::-1].astype("<f4").tobytes())


def wide_png(path, samples):
    """A PNG file of 16 bits a channel, which Pillow does not write for colours: rows without a filter, by hand."""
    import struct
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    height, width = samples.shape[:2]
    rows = b"".join([b"\0" + row.astype(">u2").tobytes() for row in samples])
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(">IIBBBBB", width, height, 16, 2 if samples.ndim == 3 else 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
                     + chunk(b"IEND", b""))


# -- ImageNet, LFW, LSUN ---------------------------------------------------------------------------------------------


def packed(files, mode="w"):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def jpeg(seed=0):
    content = io.BytesIO()
    Image.fromarray(pixels(6, 8, 3, seed=seed)).save(content, "JPEG")
    return content.getvalue()


def test_imagenet(tmp_path, monkeypatch):
    scipy = pytest.importorskip("scipy.io")
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    synsets = np.array([(1, "n01", "tench, Tinca tinca", "", 0), (2, "n02", "crane", "", 0), (3, "n03", "all", "", 2)],
                       dtype=kind)
    table = io.BytesIO()
    scipy.savemat(table, {"synsets": synsets})
    base = "ILSVRC2012_devkit_t12/data/"
    content = {
        "devkit": packed({base + "meta.mat": table.getvalue(),
                          base + "ILSVRC2012_validation_ground_truth.txt": b"2\n1\n2\n"}, "w:gz"),
        "train": packed({f"{wnid}.tar": packed({f"{wnid}_{i}.JPEG": jpeg() for i in range(2)})
                         for wnid in ("n01", "n02")}),
        "val": packed({f"ILSVRC2012_val_0000000{i}.JPEG": jpeg(i) for i in (1, 2, 3)}),
    }
    meta = {key: (name, None) for key, (name, _) in archives.ARCHIVE_META.items()}
    monkeypatch.setattr(archives, "ARCHIVE_META", meta)
    with pytest.raises(RuntimeError, match="not present in the root directory"):
        datasets.ImageNet(tmp_path)
    for key, data in content.items():
        (tmp_path / meta[key][0]).write_bytes(data)
    train = datasets.ImageNet(tmp_path)
    assert len(train) == 4 and train.classes == [("tench", "Tinca tinca"), ("crane",)] and train[3][1] == 1
    assert train.class_to_idx["Tinca tinca"] == 0 and train.wnids == ["n01", "n02"] and "Split: train" in repr(train)
    val = datasets.ImageNet(tmp_path, "val")
    assert val.targets == [0, 1, 1] and np.array_equal(val[0][0], Image.open(io.BytesIO(jpeg(2))))


@pytest.fixture
def faces(tmp_path, monkeypatch):
    base = tmp_path / "lfw-py"
    for name, count in (("Ann", 2), ("Bob", 1)):
        for number in range(1, count + 1):
            put(base / "lfw_funneled" / name / f"{name}_{number:04d}.jpg")
    write(base / "lfw-funneled.tgz", "")
    write(base / "lfw-names.txt", "Ann\t2\nBob\t1\n")
    write(base / "people.txt", "1\n2\nAnn\t2\nBob\t1\n")
    write(base / "pairsDevTest.txt", "1\nAnn\t1\t2\nAnn\t2\tBob\t1\n")
    for cls in (datasets.LFWPeople, datasets.LFWPairs):
        monkeypatch.setattr(cls, "file_dict", {key: (*found[:2], None) for key, found in cls.file_dict.items()})
        monkeypatch.setattr(cls, "checksums", dict.fromkeys(cls.checksums))
    return tmp_path


def test_faces(faces):
    people = datasets.LFWPeople(faces)
    assert people.targets == [0, 0, 1] and people[2][0].size == (8, 6)
    assert "Classes (identities): 2" in repr(people)
    pairs = datasets.LFWPairs(faces, split="test")
    assert [pairs[i][2] for i in range(2)] == [1, 0] and "Split: test" in repr(pairs)
    with pytest.raises(ValueError, match="no longer available"):
        datasets.LFWPairs(faces, download=True)
    with pytest.raises(RuntimeError, match="not found"):
        datasets.LFWPeople(faces, image_set="original")


def test_lsun(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    for name, count in (("bedroom_val", 2), ("tower_val", 1)):
        with lmdb.open(str(tmp_path / f"{name}_lmdb"), map_size=1 << 20) as base, base.begin(write=True) as transaction:
            for number in range(count):
                transaction.put(b"%d" % number, jpeg(number))
    data = datasets.LSUN(str(tmp_path), ["bedroom_val", "tower_val"])
    assert len(data) == 3 and [data[i][1] for i in range(3)] == [0, 0, 1]
    assert np.array_equal(data[1][0], Image.open(io.BytesIO(jpeg(1))))


def test_lsun_checks_its_classes():
    for classes, text in (("all", "Unknown value 'all'"), (["cave_val"], "LSUN class"), (["tower_x"], "postfix"),
                          (3, "str or Iterable")):
        with pytest.raises(ValueError, match=text):
            datasets.LSUN("/nowhere", classes)


# -- streets and sentences -------------------------------------------------------------------------------------------


def test_cityscapes(tmp_path):
    put(tmp_path / "leftImg8bit" / "val" / "ulm" / "ulm_0_1_leftImg8bit.png")
    base = tmp_path / "gtFine" / "val" / "ulm"
    put(base / "ulm_0_1_gtFine_instanceIds.png", pixels(6, 8))
    put(base / "ulm_0_1_gtFine_labelIds.png", pixels(6, 8, seed=1))
    write(base / "ulm_0_1_gtFine_polygons.json", json.dumps({"objects": []}))
    data = datasets.Cityscapes(tmp_path, "val", target_type=["instance", "semantic", "polygon"])
    image, (instance, semantic, polygon) = data[0]
    assert image.size == (8, 6) and polygon == {"objects": []}
    assert np.array_equal(instance, pixels(6, 8)) and np.array_equal(semantic, pixels(6, 8, seed=1))
    wrapped = datasets.wrap_dataset_for_transforms_v2(datasets.Cityscapes(tmp_path, "val", target_type="semantic"))
    assert type(wrapped[0][1]) is tv_tensors.Mask
    assert "Mode: gtFine" in repr(data) and datasets.Cityscapes.classes[7].name == "road"
    with pytest.raises(RuntimeError, match="not found or incomplete"):
        datasets.Cityscapes(tmp_path, "train")
    with pytest.raises(ValueError, match="mode is 'coarse'"):
        datasets.Cityscapes(tmp_path, "test", mode="coarse")


def test_sentences(tmp_path):
    put(tmp_path / "a.jpg")
    write(tmp_path / "notes.json", json.dumps({
        "images": [{"id": 3, "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": 3, "caption": "A sea."}, {"id": 2, "image_id": 3, "caption": "Waves."}]}))
    image, sentences = datasets.CocoCaptions(tmp_path, tmp_path / "notes.json")[0]
    assert image.size == (8, 6) and sentences == ["A sea.", "Waves."]
    put(tmp_path / "11_22.jpg")
    write(tmp_path / "page.html", "<html><table><tr><td><a href='x'>http://flickr.com/photos/11/</a>"
          "<ul><li>A dog .</li><li>A cat .</li></ul></td></tr></table></html>")
    image, sentences = datasets.Flickr8k(str(tmp_path), str(tmp_path / "page.html"))[0]
    assert image.size == (8, 6) and sentences == ["A dog .", "A cat ."]


# -- flow ------------------------------------------------------------------------------------------------------------


def test_kitti_flow(tmp_path):
    base = tmp_path / "KittiFlow" / "training"
    for number in (10, 11):
        put(base / "image_2" / f"000000_{number}.png", seed=number)
    samples = np.random.RandomState(0).randint(0, 1 << 16, (6, 8, 3))
    samples[..., 2] &= 1
    wide_png(base / "flow_occ" / "000000_10.png", samples)
    first, second, flow, mask = datasets.KittiFlow(tmp_path)[0]
    assert np.array_equal(first, pixels(6, 8, 3, seed=10)) and np.array_equal(second, pixels(6, 8, 3, seed=11))
    assert np.array_equal(flow, ((samples[..., :2] - 2.0 ** 15) / 64).transpose(2, 0, 1).astype(np.float32))
    assert np.array_equal(mask, samples[..., 2] == 1)
    with pytest.raises(FileNotFoundError, match="Kitti flow"):
        datasets.KittiFlow(tmp_path, "test")


def test_hd1k(tmp_path):
    base = tmp_path / "hd1k"
    samples = np.full((6, 8, 3), 1 << 15)
    for number in range(3):
        put(base / "hd1k_input" / "image_2" / f"000004_{number:04d}.png", seed=number)
        wide_png(base / "hd1k_flow_gt" / "flow_occ" / f"000004_{number:04d}.png", samples + 64 * number)
    data = datasets.HD1K(tmp_path)
    first, second, flow, mask = data[1]
    assert len(data) == 2 and np.array_equal(second, pixels(6, 8, 3, seed=2)) and (flow == 1).all() and mask.all()
    for number in (10, 11):
        put(base / "hd1k_challenge" / "image_2" / f"000000_{number}.png")
    assert len(datasets.HD1K(tmp_path, "test")) == 1


def test_flying_chairs(tmp_path):
    base = tmp_path / "FlyingChairs"
    flow = np.random.RandomState(0).rand(6, 8, 2).astype("<f4")
    for number in (1, 2):
        for image in (1, 2):
            put(base / "data" / f"0000{number}_img{image}.ppm", seed=10 * number + image)
        head = b"PIEH" + np.array([8, 6], "<i4").tobytes()
        (base / "data" / f"0000{number}_flow.flo").write_bytes(head + (flow * number).tobytes())
    with pytest.raises(FileNotFoundError, match="FlyingChairs_train_val"):
        datasets.FlyingChairs(tmp_path)
    write(base / "FlyingChairs_train_val.txt", "1\n2\n")
    first, second, found = datasets.FlyingChairs(tmp_path, "val")[0]
    assert np.array_equal(second, pixels(6, 8, 3, seed=22)) and np.array_equal(found, flow.transpose(2, 0, 1) * 2)


def test_flying_things(tmp_path):
    base = tmp_path / "FlyingThings3D"
    flow = np.random.RandomState(0).rand(6, 8, 3).astype(np.float32)
    for number in range(3):
        put(base / "frames_cleanpass" / "TRAIN" / "A" / "0000" / "left" / f"{number}.png", seed=number)
        for way, factor in (("into_future", 1), ("into_past", -1)):
            pfm(base / "optical_flow" / "TRAIN" / "A" / "0000" / way / "left" / f"{number}.pfm",
                flow * factor * (number + 1))
    data = datasets.FlyingThings3D(tmp_path)
    assert len(data) == 4
    first, second, found = data[1]
    assert np.array_equal(second, pixels(6, 8, 3, seed=2)) and np.allclose(found, 2 * flow.transpose(2, 0, 1)[:2])
    first, second, found = data[2]
    assert np.array_equal(first, pixels(6, 8, 3, seed=1)) and np.allclose(found, -2 * flow.transpose(2, 0, 1)[:2])


# -- stereo ----------------------------------------------------------------------------------------------------------


def stereo(base, names, seed=0):
    for number, name in enumerate(names):
        put(base / name, seed=seed + number)


def check(data, disparity, masked=None, count=1):
    assert len(data) == count
    left, right, found, *mask = data[0]
    assert np.array_equal(left, pixels(6, 8, 3)) and np.array_equal(right, pixels(6, 8, 3, seed=1))
    assert found.shape == (1, 6, 8) and np.allclose(found[0], disparity)
    if masked is None:
        assert mask in ([], [None])
    else:
        assert np.array_equal(mask[0], masked)


def steps(seed=0):
    return np.random.RandomState(seed).randint(1, 1 << 16, (6, 8))


@pytest.mark.parametrize("year", [2012, 2015])
def test_kitti_stereo(tmp_path, year):
    base = tmp_path / f"Kitti{year}" / "training"
    folders = ("colored_0", "colored_1") if year == 2012 else ("image_2", "image_3")
    stereo(base, [f"{folder}/000000_10.png" for folder in folders])
    for folder in ("disp_noc",) if year == 2012 else ("disp_occ_0", "disp_occ_1"):
        wide_png(base / folder / "000000_10.png", steps())
    data = getattr(datasets, f"Kitti{year}Stereo")(tmp_path)
    check(data, steps() / 256)


def test_middlebury(tmp_path):
    base = tmp_path / "Middlebury2014" / "train" / "Piano-perfect"
    stereo(base, ["im0.png", "im1.png"])
    disparity = np.random.RandomState(0).rand(6, 8).astype(np.float32) + 1
    pfm(base / "disp1.pfm", disparity)
    disparity[2, 3] = np.inf
    pfm(base / "disp0.pfm", disparity)
    finite = np.where(np.isinf(disparity), 0, disparity)
    check(datasets.Middlebury2014Stereo(tmp_path), finite, finite > 0)
    put(base / "im1E.png", seed=1)
    assert len(datasets.Middlebury2014Stereo(tmp_path, use_ambient_views=True)[0]) == 4
    with pytest.raises(ValueError, match="calibration"):
        datasets.Middlebury2014Stereo(tmp_path, split="test")
    with pytest.raises(FileNotFoundError, match="additional directory"):
        datasets.Middlebury2014Stereo(tmp_path, split="additional")


def test_crestereo(tmp_path):
    for name in ("shapenet", "reflective", "tree", "hole"):
        base = tmp_path / "CREStereo" / name
        stereo(base, ["0_left.jpg", "0_right.jpg"])
        for side in ("left", "right"):
            put(base / f"0_{side}.disp.png", pixels(6, 8))
    data = datasets.CREStereo(tmp_path)
    assert len(data) == 4 and np.allclose(data[3][2][0], pixels(6, 8) / 32) and data[0][3] is None


def test_falling_things(tmp_path):
    base = tmp_path / "FallingThings" / "single" / "can" / "kitchen"
    stereo(base, ["0.left.jpg", "0.right.jpg"])
    for side in ("left", "right"):
        wide_png(base / f"0.{side}.depth.png", steps())
    write(base / "_camera_settings.json", json.dumps({"camera_settings": [{"intrinsic_settings": {"fx": 2.0}}]}))
    left, right, found = datasets.FallingThingsStereo(tmp_path)[0]
    assert np.allclose(found[0], 6 * 2.0 * 100 / steps())


@pytest.mark.parametrize("variant, scene", [("FlyingThings3D", "TRAIN/A/0000"), ("Driving", "15mm/forwards/fast"),
                                            ("Monkaa", "a_rain")])
def test_scene_flow(tmp_path, variant, scene):
    base = tmp_path / "SceneFlow" / variant
    stereo(base, [f"frames_cleanpass/{scene}/{side}/1.png" for side in ("left", "right")])
    disparity = np.random.RandomState(0).rand(6, 8).astype(np.float32)
    for side in ("left", "right"):
        pfm(base / "disparity" / scene / side / "1.pfm", -disparity)
    check(datasets.SceneFlowStereo(tmp_path, variant), disparity)


def test_sintel_stereo(tmp_path):
    base = tmp_path / "Sintel" / "training"
    stereo(base, ["final_left/alley/1.png", "final_right/alley/1.png"])
    coded = pixels(6, 8, 3, seed=5)
    put(base / "disparities" / "alley" / "1.png", coded)
    with pytest.raises(FileNotFoundError, match="Occlusion"):
        datasets.SintelStereo(tmp_path)[0]
    hidden, outside = [np.where(pixels(6, 8, seed=seed) > 127, 255, 0).astype(np.uint8) for seed in (6, 7)]
    put(base / "occlusions" / "alley" / "1.png", hidden)
    put(base / "outofframe" / "alley" / "1.png", outside)
    red, green, blue = coded.astype(np.float32).transpose(2, 0, 1)
    check(datasets.SintelStereo(tmp_path), red * 4 + green / 64 + blue / 16384, (hidden == 0) & (outside == 0))


def test_instereo(tmp_path):
    base = tmp_path / "InStereo2k" / "train" / "000000"
    stereo(base, ["left.png", "right.png"])
    for side in ("left", "right"):
        wide_png(base / f"{side}_disp.png", steps())
    check(datasets.InStereo2k(tmp_path), steps() / 1024)


def test_eth3d(tmp_path):
    stereo(tmp_path / "ETH3D" / "two_view_training" / "hall", ["im0.png", "im1.png"])
    base = tmp_path / "ETH3D" / "two_view_training_gt" / "hall"
    disparity = np.random.RandomState(0).rand(6, 8).astype(np.float32)
    pfm(base / "disp0GT.pfm", -disparity)
    put(base / "mask0nocc.png", np.where(pixels(6, 8) > 127, 255, 0).astype(np.uint8))
    check(datasets.ETH3DStereo(tmp_path), disparity, pixels(6, 8) > 127)


# -- module paths ----------------------------------------------------------------------------------------------------


def test_module_paths():
    import importlib

    classes = {"cifar": "CIFAR10", "coco": "CocoDetection", "imagenet": "ImageNet", "voc": "VOCDetection",
               "celeba": "CelebA", "video_utils": "VideoClips", "samplers.clip_sampler": "RandomClipSampler",
               "stanford_cars": "StanfordCars", "ucf101": "UCF101", "sbd": "SBDataset"}
    for name, cls in classes.items():
        module = importlib.import_module(f"rushlight.vision.datasets.{name}")
        assert getattr(module, cls) is getattr(datasets, cls, getattr(module, cls))
