"""Pictures whose steps wait: the same results as one step after the other, and in fact one pass."""
import numpy as np
import pytest

import rushlight as rl
from rushlight.vision import resampling, tv_tensors
from rushlight.vision import transforms as T
from rushlight.vision.transforms import conversion, pending, v2

image = pytest.importorskip("PIL.Image")
BICUBIC, NEAREST = T.InterpolationMode.BICUBIC, T.InterpolationMode.NEAREST
COLOURS = ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
GREY = ((0.4,), (0.2,))


def picture(mode="RGB", size=(75, 100)):
    samples = np.random.RandomState(0).randint(0, 256, (*size, 3), dtype=np.uint8)
    return image.fromarray(samples).convert(mode)


def stepwise(chain, sample):
    for transform in chain.transforms:
        sample = transform(sample)
    return sample


def same(found, expected):
    assert type(found) is type(expected)
    if isinstance(found, rl.Tensor):
        found, expected = found.as_subclass(rl.Tensor), expected.as_subclass(rl.Tensor)
        assert found.dtype is expected.dtype and found.shape == expected.shape
        tolerance = 3e-7 if found.is_floating_point() else 0  # a fused multiplication and addition rounds once
        return rl.allclose(found, expected, rtol=0, atol=tolerance)
    return found.mode == expected.mode and np.array_equal(found, expected)


def compare(chain, sample, seeds=4):
    for seed in range(seeds):
        rl.manual_seed(seed)
        found = chain(sample)
        rl.manual_seed(seed)
        assert same(found, stepwise(chain, sample))


FIRST = {
    "imagenet": lambda s: [T.RandomResizedCrop(24), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(*s)],
    "evaluation": lambda s: [T.Resize(30), T.CenterCrop(24), T.ToTensor(), T.Normalize(*s)],
    "bicubic": lambda s: [T.Resize(30, BICUBIC), T.RandomCrop(24), T.RandomVerticalFlip(1.0), T.ToTensor()],
    "flips and crops": lambda s: [T.RandomHorizontalFlip(1.0), T.RandomCrop(50), T.RandomHorizontalFlip(1.0),
                                  T.RandomCrop(24), T.RandomVerticalFlip(1.0), T.Resize(20), T.ToTensor()],
    "two sizes": lambda s: [T.Resize(30), T.Resize(20), T.ToTensor()],
    "border": lambda s: [T.CenterCrop(120), T.ToTensor()],
    "padding": lambda s: [T.RandomCrop(40, padding=4), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(*s)],
    "nearest": lambda s: [T.RandomResizedCrop(24, interpolation=NEAREST), T.ToTensor()],
    "picture": lambda s: [T.RandomResizedCrop(24), T.RandomHorizontalFlip(1.0)],
    "colours": lambda s: [T.Resize((20, 100)), T.RandomHorizontalFlip(1.0), T.RandomInvert(1.0), T.ToTensor()],
    "in place": lambda s: [T.Resize(20), T.ToTensor(), T.Normalize(s[0], s[1], inplace=True)],
}


@pytest.mark.parametrize("name", FIRST)
def test_first_generation(name):
    for mode, statistics in (("RGB", COLOURS), ("L", GREY), ("RGBA", ((0.5,), (0.5,))), ("1", GREY)):
        if name == "colours" and mode in ("1", "RGBA"):
            continue  # Pillow does not invert these
        compare(T.Compose(FIRST[name](statistics)), picture(mode))


def floats(statistics):
    return [v2.ToDtype(rl.float32, scale=True), v2.Normalize(*statistics)]


SECOND = {
    "tensor": lambda s: [v2.PILToTensor(), v2.RandomResizedCrop(24), v2.RandomHorizontalFlip(), *floats(s)],
    "picture first": lambda s: [v2.RandomResizedCrop(24), v2.RandomHorizontalFlip(), v2.ToImage(), *floats(s)],
    "image": lambda s: [v2.ToImage(), v2.Resize(30), v2.CenterCrop(24), *floats(s)],
    "not normalised": lambda s: [v2.ToImage(), v2.Resize(30), v2.ToDtype(rl.float32, scale=True)],
    "two sizes": lambda s: [v2.ToImage(), v2.Resize(30), v2.Resize(20), v2.RandomCrop(10), v2.RandomVerticalFlip(1.0)],
    "border": lambda s: [v2.ToImage(), v2.CenterCrop(200), v2.RandomHorizontalFlip(1.0)],
    "aliased": lambda s: [v2.ToImage(), v2.Resize(20, antialias=False), v2.Resize(15), v2.ToDtype(rl.float64)],
    "colours": lambda s: [v2.RandomCrop(40, padding=3), v2.ToImage(), v2.RandomInvert(1.0), *floats(s)],
    "flip last": lambda s: [v2.ToImage(), v2.Resize(30), *floats(s), v2.RandomHorizontalFlip(1.0)],
    "crop of floats": lambda s: [v2.ToImage(), v2.Resize(30), v2.ToDtype(rl.float32, scale=True), v2.RandomCrop(8)],
}


@pytest.mark.parametrize("name", SECOND)
def test_second_generation(name):
    for mode, statistics in (("RGB", COLOURS), ("L", GREY)):
        chain = SECOND[name](statistics)
        compare(v2.Compose(chain), picture(mode))
        chain = [transform for transform in chain if not isinstance(transform, v2.PILToTensor)]
        compare(v2.Compose(chain), conversion.pil_to_tensor(picture(mode)))
        compare(v2.Compose(chain), tv_tensors.Image(picture(mode)))


def test_labels_stay():
    chain = v2.Compose([v2.RandomResizedCrop(24), v2.ToImage(), *floats(COLOURS)])
    for label in (3, "cat", None, rl.tensor([1, 2])):
        found, kept = chain(picture(), label)
        assert kept is label and found.shape == (3, 24, 24)


def test_boxes_move_with_the_picture():
    boxes = tv_tensors.BoundingBoxes(rl.tensor([[10, 10, 50, 60]]), format="XYXY", canvas_size=(75, 100))
    chain = v2.Compose([v2.Resize((150, 200)), v2.RandomHorizontalFlip(1.0), v2.ToImage()])
    found, moved = chain(picture(), boxes)
    assert found.shape == (3, 150, 200) and moved.tolist() == [[100, 20, 180, 120]]


def test_one_pass(monkeypatch):
    calls = []
    resample = resampling.resample
    monkeypatch.setattr(resampling, "resample", lambda *args: calls.append(args) or resample(*args))
    pending.pillow_order()
    for chain in (T.Compose(FIRST["imagenet"](COLOURS)), v2.Compose(SECOND["tensor"](COLOURS))):
        calls.clear()
        chain(picture())
        assert len(calls) == 1 and calls[0][5] is not None  # with the table that normalises


def test_other_versions_of_pillow(monkeypatch):
    monkeypatch.setattr(pending, "pillow_order", lambda: None)
    compare(T.Compose(FIRST["imagenet"](COLOURS)), picture())


def test_the_installed_pillow_is_known():
    assert pending.pillow_order() is not None


def test_hooks_and_subclasses_see_pictures():
    seen = []

    class Mine(T.RandomHorizontalFlip):
        def forward(self, img):
            seen.append(img)
            return super().forward(img)

    hooked = T.RandomHorizontalFlip()
    hooked.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    T.Compose([T.Resize(20), hooked, Mine(), T.Lambda(lambda img: seen.append(img) or img), T.ToTensor()])(picture())
    assert [type(img) for img in seen] == [image.Image] * 3


def test_draws_are_those_of_tensors():
    from rushlight.vision.transforms import _draws

    for low, high in ((0.08, 1.0), (-0.3, 0.29), (0, 1)):
        rl.manual_seed(1)
        expected = [rl.empty(1).uniform_(float(low), float(high)).item() for _ in range(700)]
        rl.manual_seed(1)
        assert [_draws.uniform(low, high) for _ in range(700)] == expected
    rl.manual_seed(2)
    expected = [int(rl.randint(3, 1000, size=(1,))) for _ in range(50)], [bool(rl.rand(1) < 0.3) for _ in range(50)]
    rl.manual_seed(2)
    assert ([_draws.below(3, 1000) for _ in range(50)], [_draws.chance(0.3) for _ in range(50)]) == expected
