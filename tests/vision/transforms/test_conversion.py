"""Transforms: values bit by bit, types and shapes, errors and texts, for Pillow images, arrays and tensors."""
import numpy as np
import pytest

import rushlight as rl
from rushlight.vision import transforms
from rushlight.vision.transforms import functional as F

Image = pytest.importorskip("PIL.Image")


def pixels(*shape, seed=0):
    """Random uint8 samples."""
    return np.random.RandomState(seed).randint(0, 256, shape, dtype=np.uint8)


def equal(tensor, array):
    """True if dtype, shape and every bit agree."""
    got = tensor.numpy()
    return got.dtype == array.dtype and got.shape == array.shape and got.tobytes() == array.tobytes()


def scaled(array, dtype=np.float32):
    """uint8 samples (H, W, C) as (C, H, W) in [0, 1]."""
    return np.ascontiguousarray(array.transpose(2, 0, 1)).astype(dtype) / dtype(255)


@pytest.mark.parametrize("mode, channels", [("L", 1), ("LA", 2), ("RGB", 3), ("YCbCr", 3), ("RGBA", 4), ("CMYK", 4)])
def test_to_tensor_of_byte_images(mode, channels):
    image = Image.fromarray(pixels(5, 7, 3)).convert(mode)
    array = np.asarray(image).reshape(5, 7, channels)
    result = F.to_tensor(image)
    assert equal(result, scaled(array)) and result.is_contiguous()
    assert equal(F.pil_to_tensor(image), array.transpose(2, 0, 1))


def test_to_tensor_of_other_images():
    bits = Image.fromarray(pixels(4, 9) > 128)
    assert bits.mode == "1"
    assert equal(F.to_tensor(bits), np.asarray(bits)[None].astype(np.float32))
    wide = np.arange(12, dtype=np.int32).reshape(3, 4) * 1000
    assert equal(F.to_tensor(Image.fromarray(wide)), wide[None])
    real = np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4)
    assert equal(F.to_tensor(Image.fromarray(real)), real[None])
    short = (np.arange(12, dtype=np.uint16) * 5000).reshape(3, 4)
    assert equal(F.to_tensor(Image.fromarray(short)), short[None].astype(np.int16))


def test_to_tensor_of_arrays():
    array = pixels(4, 6, 3)
    assert equal(F.to_tensor(array), scaled(array))
    assert equal(F.to_tensor(array[:, :, 0]), scaled(array[:, :, :1]))
    real = np.random.RandomState(0).rand(4, 6, 2)
    assert equal(F.to_tensor(real), np.ascontiguousarray(real.transpose(2, 0, 1)))


def test_to_tensor_copies():
    array = pixels(4, 6)
    result = F.to_tensor(array)
    array[:] = 0
    assert result.max().item() > 0


def test_to_tensor_gives_the_default_dtype():
    array = pixels(4, 6, 3)
    for dtype, expected in ((rl.float64, scaled(array, np.float64)), (rl.float16, scaled(array, np.float16))):
        rl.set_default_dtype(dtype)
        try:
            assert equal(F.to_tensor(array), expected)
        finally:
            rl.set_default_dtype(rl.float32)


@pytest.mark.parametrize("value, error, words", [
    ([1, 2], TypeError, "should be PIL Image or ndarray"),
    (np.zeros(3, np.uint8), ValueError, "2/3 dimensional. Got 1"),
])
def test_to_tensor_errors(value, error, words):
    with pytest.raises(error, match=words):
        F.to_tensor(value)


@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 5, 4), (2, 3, 5, 4), (3, 160, 160)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalize(shape, dtype):
    values = np.random.RandomState(0).rand(*shape).astype(dtype)
    mean, std = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if shape[-3] == 3 else ((0.5,), (0.25,))
    means, stds = (np.array(numbers, dtype).reshape(-1, 1, 1) for numbers in (mean, std))
    expected = (values - means) / stds
    tensor = rl.from_numpy(values.copy())
    result = F.normalize(tensor, mean, std)
    assert equal(result, expected) and equal(tensor, values)
    assert equal(transforms.Normalize(list(mean), list(std))(tensor), expected)
    assert F.normalize(tensor, mean, std, inplace=True) is tensor
    assert equal(tensor, expected)


def test_normalize_keeps_gradients():
    tensor = rl.ones(1, 2, 2, requires_grad=True)
    F.normalize(tensor, (0.5,), (0.25,)).sum().backward()
    assert tensor.grad.tolist() == [[[4.0, 4.0], [4.0, 4.0]]]


def test_normalize_does_not_warn_about_values(recwarn):
    result = F.normalize(rl.tensor([[[float("inf"), 3e38]]]), (float("inf"),), (1e-3,))
    assert str(result.tolist()) == "[[[nan, -inf]]]"
    assert not recwarn.list


@pytest.mark.parametrize("tensor, std, error, words", [
    (5, (1.0,), TypeError, "should be Tensor Image"),
    (rl.zeros(1, 2, 2, dtype=rl.uint8), (1.0,), TypeError, "should be a float tensor. Got torch.uint8"),
    (rl.zeros(2, 2), (1.0,), ValueError, r"size \(..., C, H, W\)"),
    (rl.zeros(1, 2, 2), (0.0,), ValueError, "division by zero"),
    (rl.zeros(1, 2, 2), [1e-50], ValueError, "division by zero"),
    (rl.zeros(2, 1, 2, 2), (0.0,), ValueError, "division by zero"),
])
def test_normalize_errors(tensor, std, error, words):
    with pytest.raises(error, match=words):
        F.normalize(tensor, (0.0,), std)


def test_compose_is_what_a_data_set_does():
    to = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    array = pixels(28, 28)
    expected = (scaled(array[:, :, None]) - np.float32(0.5)) / np.float32(0.5)
    assert equal(to(Image.fromarray(array)), expected)


@pytest.mark.parametrize("source, target, value, expected", [
    (rl.uint8, rl.float32, 51, 51 / 255),
    (rl.float32, rl.uint8, 0.2, 51),
    (rl.float32, rl.uint8, 1.0, 255),
    (rl.uint8, rl.int16, 7, 7 * 128),
    (rl.int16, rl.uint8, 7 * 128, 7),
    (rl.bool, rl.uint8, True, 128),
    (rl.float64, rl.float32, 0.5, 0.5),
])
def test_convert_image_dtype(source, target, value, expected):
    result = transforms.ConvertImageDtype(target)(rl.tensor([[[value]]], dtype=source))
    assert result.dtype == target
    assert result.item() == pytest.approx(expected)


def test_convert_image_dtype_refuses_what_would_overflow():
    with pytest.raises(RuntimeError, match="cannot be performed safely"):
        F.convert_image_dtype(rl.zeros(1, 1, 1), rl.int32)


@pytest.mark.parametrize("channels, mode", [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_to_pil_image(channels, mode):
    array = pixels(5, 7, channels)
    image = F.to_pil_image(array)
    assert image.mode == mode and image.size == (7, 5)
    assert image.tobytes() == array.tobytes()
    assert F.to_pil_image(rl.from_numpy(array).permute(2, 0, 1)).tobytes() == array.tobytes()
    floats = F.to_pil_image(F.to_tensor(array))
    assert floats.mode == mode and np.abs(np.asarray(floats).astype(int) - np.asarray(image)).max() <= 1


def test_to_pil_image_of_other_types_and_modes():
    real = np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4)
    image = F.to_pil_image(real, "F")
    assert image.mode == "F" and np.asarray(image).tobytes() == real.tobytes()
    assert F.to_pil_image(np.ones((3, 4), np.int32)).mode == "I"
    assert F.to_pil_image(pixels(3, 4, 4), "CMYK").mode == "CMYK"
    assert transforms.ToPILImage("HSV")(pixels(3, 4, 3)).mode == "HSV"


@pytest.mark.parametrize("value, mode, error, words", [
    ("x", None, TypeError, "should be Tensor or ndarray"),
    (np.zeros((2, 2, 2, 2), np.uint8), None, ValueError, "2/3 dimensional. Got 4"),
    (np.zeros((2, 2, 5), np.uint8), None, ValueError, "> 4 channels. Got 5"),
    (np.zeros((2, 2), np.uint8), "RGB", ValueError, "Incorrect mode"),
    (np.zeros((2, 2, 3), np.uint8), "L", ValueError, "Only modes"),
    (np.zeros((2, 2), np.int64), None, TypeError, "int64 is not supported"),
    (np.zeros((2, 2, 3), np.int32), None, TypeError, "int32 is not supported"),
])
def test_to_pil_image_errors(value, mode, error, words):
    with pytest.raises(error, match=words):
        F.to_pil_image(value, mode)


def test_lambda():
    assert transforms.Lambda(abs)(-3) == 3
    with pytest.raises(TypeError, match="callable, got 'int'"):
        transforms.Lambda(3)


@pytest.mark.parametrize("transform, text", [
    (transforms.ToTensor(), "ToTensor()"),
    (transforms.PILToTensor(), "PILToTensor()"),
    (transforms.ToPILImage(), "ToPILImage()"),
    (transforms.ToPILImage("L"), "ToPILImage(mode=L)"),
    (transforms.Normalize((0.5,), [0.5]), "Normalize(mean=(0.5,), std=[0.5])"),
    (transforms.ConvertImageDtype(rl.float32), "ConvertImageDtype()"),
    (transforms.Lambda(abs), "Lambda()"),
    (transforms.Compose([transforms.ToTensor(), transforms.Lambda(abs)]), "Compose(\n    ToTensor()\n    Lambda()\n)"),
])
def test_texts(transform, text):
    assert repr(transform) == text
