"""The classes of both generations: texts, random choices, samples of several kinds, errors."""
import random

import numpy as np
import pytest

import rushlight as rl
from rushlight.vision import transforms as T
from rushlight.vision import tv_tensors
from rushlight.vision.transforms import v2 as V

Image = pytest.importorskip("PIL.Image")
PICTURE = np.random.RandomState(0).randint(0, 256, (24, 30, 3), dtype=np.uint8)


def picture():
    return Image.fromarray(PICTURE)


def tensor():
    return rl.from_numpy(PICTURE.transpose(2, 0, 1).copy())


def sample():
    return {
        "image": tv_tensors.Image(tensor()),
        "boxes": tv_tensors.BoundingBoxes([[2.0, 3, 12, 14], [5, 5, 5.5, 20]], format="XYXY", canvas_size=(24, 30)),
        "masks": tv_tensors.Mask(rl.stack([tensor()[0] > 100, tensor()[1] > 50])),
        "points": tv_tensors.KeyPoints([[3.0, 4.0], [20.0, 10.0]], canvas_size=(24, 30)),
        "labels": rl.tensor([1, 2]), "name": "a photo",
    }


@pytest.mark.parametrize("transform, text", [
    (T.Resize(20), "Resize(size=20, interpolation=bilinear, max_size=None, antialias=True)"),
    (T.RandomResizedCrop(8), "RandomResizedCrop(size=(8, 8), scale=(0.08, 1.0), ratio=(0.75, 1.3333), "
                             "interpolation=bilinear, antialias=True)"),
    (T.RandomRotation(9), "RandomRotation(degrees=[-9.0, 9.0], interpolation=nearest, expand=False, fill=0)"),
    (T.RandomAffine(5, scale=(0.5, 2)), "RandomAffine(degrees=[-5.0, 5.0], scale=(0.5, 2))"),
    (T.RandomPosterize(3), "RandomPosterize(bits=3,p=0.5)"),
    (T.ColorJitter(0.5), "ColorJitter(brightness=(0.5, 1.5), contrast=None, saturation=None, hue=None)"),
    (T.RandomApply([T.Grayscale()]), "RandomApply(\n    p=0.5\n    Grayscale(num_output_channels=1)\n)"),
    (T.AutoAugment(), "AutoAugment(policy=AutoAugmentPolicy.IMAGENET, fill=None)"),
    (V.Resize(20), "Resize(size=[20], interpolation=bilinear, antialias=True)"),
    (V.RandomCrop(4, padding=1), "RandomCrop(size=(4, 4), padding=[1, 1, 1, 1], pad_if_needed=False, fill=0, "
                                 "padding_mode=constant)"),
    (V.Lambda(len), "Lambda(len, types=['object'])"),
    (V.Compose([V.Identity()]), "Compose(    Identity())"),
])
def test_texts(transform, text):
    assert repr(transform) == text


# -- random choices --------------------------------------------------------------------------------------------------


def test_the_generations_draw_the_same():
    for make in (lambda N: N.RandomResizedCrop(9), lambda N: N.RandomAffine(30, (0.2, 0.1), (0.8, 1.2), 5),
                 lambda N: N.ColorJitter(0.4, 0.3, 0.2, 0.1), lambda N: N.RandomPerspective(p=1.0),
                 lambda N: N.RandomCrop(11), lambda N: N.RandomHorizontalFlip(), lambda N: N.GaussianBlur(3)):
        for seed in range(3):
            results = []
            for namespace in (T, V):
                rl.manual_seed(seed)
                results.append(np.asarray(make(namespace)(picture())))
            assert np.array_equal(*results)


def test_recorded_choices():
    """Numbers that PyTorch's generator gives for the same seed."""
    rl.manual_seed(0)
    assert T.RandomResizedCrop.get_params(picture(), (0.08, 1.0), (0.75, 4 / 3)) == (0, 0, 18, 21)
    assert T.RandomCrop.get_params(picture(), (10, 10)) == (13, 9, 10, 10)
    assert T.RandomRotation.get_params([-30, 30]) == pytest.approx(-0.5943953990936279)
    assert T.ColorJitter.get_params((0.5, 1.5), None, None, (-0.1, 0.1))[0] == [3, 2, 0, 1]


@pytest.mark.parametrize("namespace", [T, V])
@pytest.mark.parametrize("name", ["AutoAugment", "RandAugment", "TrivialAugmentWide", "AugMix"])
def test_augmentation(namespace, name):
    transform = getattr(namespace, name)()
    for seed in range(6):
        for image in (picture(), tensor()):
            rl.manual_seed(seed)
            first = transform(image)
            rl.manual_seed(seed)
            second = transform(image)
            assert type(first) is type(image) and np.array_equal(np.asarray(first), np.asarray(second))
    with pytest.raises(ValueError, match="not recognized"):
        namespace.AutoAugment("nothing")
    with pytest.raises(ValueError, match="severity"):
        namespace.AugMix(severity=11)


def test_policies_have_25_pairs():
    for policy in T.AutoAugmentPolicy:
        pairs = T.AutoAugment(policy).policies
        assert len(pairs) == 25 and all(0 <= p <= 1 for pair in pairs for _, p, _ in pair)
    assert T.AutoAugment().policies[0] == (("Posterize", 0.4, 8), ("Rotate", 0.6, 9))


def test_pythons_generator_chooses_in_the_first_generation():
    chosen = T.RandomChoice([lambda x: 0, lambda x: 1, lambda x: 2], p=[0.0, 0.0, 1.0])
    assert chosen(None) == 2
    random.seed(1)
    order = [0, 1, 2]
    random.shuffle(order)
    random.seed(1)
    seen = []
    T.RandomOrder([lambda x, i=i: seen.append(i) for i in range(3)])(None)
    assert seen == order


# -- the second generation -------------------------------------------------------------------------------------------


def test_a_sample_moves_as_a_whole():
    rl.manual_seed(0)
    result = V.Compose([V.RandomHorizontalFlip(1.0), V.Resize([12, 15])])(sample())
    assert result["image"].shape == (3, 12, 15) and result["masks"].shape == (2, 12, 15)
    assert result["boxes"].canvas_size == result["points"].canvas_size == (12, 15)
    assert result["boxes"][0].tolist() == [9.0, 1.5, 14.0, 7.0]
    assert result["labels"].tolist() == [1, 2] and result["name"] == "a photo"


def test_first_pure_tensor_is_the_image():
    first, second = V.Resize(6)(tensor(), tensor())
    assert first.shape == (3, 6, 7) and second.shape == (3, 24, 30)
    image, untouched = V.Resize(6)(picture(), tensor())
    assert image.size == (7, 6) and untouched.shape == (3, 24, 30)


def test_cleaning_of_samples():
    result = V.SanitizeBoundingBoxes()(sample())
    assert result["boxes"].shape == (1, 4) and result["labels"].tolist() == [1] and result["masks"].shape[0] == 1
    with pytest.raises(ValueError, match="labels"):
        V.SanitizeBoundingBoxes()({"boxes": sample()["boxes"]})
    assert V.SanitizeBoundingBoxes(labels_getter=None)({"boxes": sample()["boxes"]})["boxes"].shape == (1, 4)


def test_iou_crop_and_zoom():
    for seed in range(5):
        rl.manual_seed(seed)
        result = V.RandomIoUCrop()(sample())
        assert result["image"].shape[-2:] == result["masks"].shape[-2:] == result["boxes"].canvas_size
        zoomed = V.RandomZoomOut(p=1.0)(sample())
        assert zoomed["image"].shape[-1] >= 30 and zoomed["boxes"].canvas_size == zoomed["image"].shape[-2:]
    with pytest.raises(TypeError, match="bounding boxes"):
        V.RandomIoUCrop()(tensor())


def test_mixing():
    images, labels = rl.rand(4, 3, 8, 8), rl.arange(4)
    rl.manual_seed(0)
    mixed, shares = V.MixUp(num_classes=4)(images, labels)
    share = shares[0, 0].item()
    assert rl.allclose(shares.sum(1), rl.ones(4)) and shares[1, 0].item() == pytest.approx(1 - share)
    assert rl.allclose(mixed[1], images[1] * share + images[0] * (1 - share), atol=1e-6)
    pasted, shares = V.CutMix(num_classes=4)(images, labels)
    own = (pasted[1] == images[1]).all(0).float().mean().item()
    assert shares[1, 1].item() == pytest.approx(own, abs=1e-5)
    with pytest.raises(ValueError, match="num_classes must be passed"):
        V.MixUp()(images, labels)
    with pytest.raises(ValueError, match="does not support"):
        V.CutMix(num_classes=4)(picture(), labels)


def test_dtypes_by_class():
    result = V.ToDtype({tv_tensors.Image: rl.float32, tv_tensors.Mask: rl.int64, "others": None}, scale=True)(sample())
    assert result["image"].dtype == rl.float32 and result["image"].max() <= 1
    assert result["masks"].dtype == rl.int64 and result["labels"].dtype == rl.int64
    with pytest.raises(ValueError, match="No dtype was specified"):
        V.ToDtype({tv_tensors.Mask: rl.int64})(sample())


def test_queries():
    flat = [sample()["image"], sample()["boxes"]]
    assert V.query_size(flat) == (24, 30) and V.query_chw(flat) == (3, 24, 30)
    assert V.has_any(flat, tv_tensors.BoundingBoxes) and not V.has_all(flat, tv_tensors.Mask, tv_tensors.Image)
    assert V.get_bounding_boxes(flat) is flat[1]
    with pytest.raises(ValueError, match="multiple HxW"):
        V.query_size([rl.zeros(3, 2, 2), rl.zeros(3, 3, 3)])
    with pytest.raises(TypeError, match="No image"):
        V.query_chw(["nothing"])


def test_conversions_between_kinds():
    image = V.ToImage()(picture())
    assert type(image) is tv_tensors.Image and np.array_equal(image.numpy(), PICTURE.transpose(2, 0, 1))
    assert type(V.ToPureTensor()(image)) is rl.Tensor
    assert np.array_equal(np.asarray(V.ToPILImage()(image)), PICTURE)
    with pytest.warns(UserWarning, match="deprecated"):
        V.ToTensor()


@pytest.mark.parametrize("make, error", [
    (lambda: T.Resize(2.5), TypeError), (lambda: T.Resize([1, 2, 3]), ValueError),
    (lambda: T.Pad("wide"), TypeError), (lambda: T.Pad(1, padding_mode="round"), ValueError),
    (lambda: T.RandomRotation(-3), ValueError), (lambda: T.RandomAffine(3, translate=(2, 0)), ValueError),
    (lambda: T.ColorJitter(-1), ValueError), (lambda: T.ColorJitter(hue=0.7), ValueError),
    (lambda: T.GaussianBlur(4), ValueError), (lambda: T.RandomErasing(value="blue"), ValueError),
    (lambda: T.ElasticTransform(alpha=3), TypeError), (lambda: T.RandomCrop(99)(picture()), ValueError),
    (lambda: V.Resize(None), ValueError), (lambda: V.Compose([]), ValueError), (lambda: V.Compose(3), TypeError),
    (lambda: V.RandomHorizontalFlip(2), ValueError), (lambda: V.JPEG(True), TypeError), (lambda: V.JPEG(0), ValueError),
    (lambda: V.RandomZoomOut(side_range=(0.5, 2)), ValueError), (lambda: V.Normalize([0], [1])(picture()), TypeError),
    (lambda: V.FiveCrop(3)(sample()), TypeError), (lambda: V.AutoAugment()(sample()), TypeError),
])
def test_errors(make, error):
    with pytest.raises(error):
        make()
