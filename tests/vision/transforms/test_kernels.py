"""Functions of both generations on images: against NumPy's own arithmetic, and Pillow images against tensors."""
import math

import numpy as np
import pytest

import rushlight as rl
from rushlight.vision import tv_tensors
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.v2 import functional as VF

Image = pytest.importorskip("PIL.Image")
Mode = F.InterpolationMode


def samples(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def array():
    return samples(3, 12, 14)


@pytest.fixture
def image(array):
    return rl.from_numpy(array.copy())


@pytest.fixture
def picture(array):
    return Image.fromarray(array.transpose(1, 2, 0).copy())


def back(picture):
    return np.asarray(picture).transpose(2, 0, 1)


# -- geometry --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [F, VF])
def test_flips(module, array, image, picture):
    assert np.array_equal(module.hflip(image).numpy(), array[:, :, ::-1])
    assert np.array_equal(module.vflip(image).numpy(), array[:, ::-1])
    assert np.array_equal(back(module.hflip(picture)), array[:, :, ::-1])
    assert np.array_equal(back(module.vflip(picture)), array[:, ::-1])


@pytest.mark.parametrize("module", [F, VF])
def test_crop_past_the_border_is_black(module, array, image, picture):
    wanted = np.zeros((3, 9, 10), np.uint8)
    wanted[:, 2:, 3:] = array[:, :7, :7]
    assert np.array_equal(module.crop(image, -2, -3, 9, 10).numpy(), wanted)
    assert np.array_equal(back(module.crop(picture, -2, -3, 9, 10)), wanted)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_pad(mode, array, image, picture):
    wanted = np.pad(array, ((0, 0), (2, 4), (1, 3)), mode)
    assert np.array_equal(F.pad(image, [1, 2, 3, 4], padding_mode=mode).numpy(), wanted)
    assert np.array_equal(VF.pad(image, [1, 2, 3, 4], padding_mode=mode).numpy(), wanted)
    assert np.array_equal(back(F.pad(picture, (1, 2, 3, 4), padding_mode=mode)), wanted)


def test_pad_with_a_colour(array, image, picture):
    result = VF.pad(image, 2, fill=[9.0, 8.0, 7.0]).numpy()
    assert result[:, 0, 0].tolist() == [9, 8, 7] and np.array_equal(result[:, 2:-2, 2:-2], array)
    assert np.array_equal(back(VF.pad(picture, 2, fill=[9, 8, 7])), result)


@pytest.mark.parametrize("size, most, wanted", [
    (6, None, (6, 7)), ([6], None, (6, 7)), ((5, 9), None, (5, 9)), (10, 11, (10, 11)), (None, 7, (6, 7)),
])
def test_resized_sizes(size, most, wanted, image):
    assert VF.resize(image, size, max_size=most).shape[-2:] == wanted


def test_resize_of_a_constant_stays_constant():
    for mode in (Mode.NEAREST, Mode.BILINEAR, Mode.BICUBIC):
        result = F.resize(rl.full((3, 8, 9), 77, dtype=rl.uint8), [5, 13], mode)
        assert result.dtype == rl.uint8 and result.unique().tolist() == [77]


def test_antialiased_resize_by_half_is_a_triangle_filter():
    row = np.arange(8.0) ** 2
    result = F.resize(rl.tensor(row).expand(1, 8, 8).float(), [8, 4]).numpy()[0, 0]
    weights = np.array([1, 3, 3, 1]) / 8
    inner = [weights @ row[2 * i - 1:2 * i + 3] for i in (1, 2)]
    assert np.allclose(result[1:3], inner)


def test_nearest_resize(array, image):
    rows, columns = (np.arange(5) * 12 // 5), (np.arange(7) * 14 // 7)
    assert np.array_equal(F.resize(image, [5, 7], Mode.NEAREST).numpy(), array[:, rows][:, :, columns])


def test_tensor_and_picture_are_resized_alike(image, picture):
    for mode in (Mode.BILINEAR, Mode.BICUBIC):
        difference = F.resize(image, [7, 9], mode).numpy().astype(int) - back(F.resize(picture, [7, 9], mode))
        assert np.abs(difference).max() <= 1


def test_center_five_and_ten_crops(array, image, picture):
    assert np.array_equal(F.center_crop(image, 4).numpy(), array[:, 4:8, 5:9])
    assert np.array_equal(back(F.center_crop(picture, 4)), array[:, 4:8, 5:9])
    padded = F.center_crop(image, [16, 14]).numpy()
    assert padded.shape == (3, 16, 14) and np.array_equal(padded[:, 2:-2], array) and not padded[:, :2].any()
    crops = F.ten_crop(image, (5, 6))
    assert len(crops) == 10 and np.array_equal(crops[3].numpy(), array[:, -5:, -6:])
    assert np.array_equal(crops[5].numpy(), array[:, :5, ::-1][:, :, :6])
    with pytest.raises(ValueError, match="bigger than input size"):
        F.five_crop(image, 13)


def test_rotations_by_quarters(array, image):
    square = image[:, :, :12]
    for turns in range(4):
        result = VF.rotate(square, 90.0 * turns).numpy()
        assert np.array_equal(result, np.rot90(array[:, :, :12], turns, (1, 2)))
    assert VF.rotate(image, 90, expand=True).shape == (3, 14, 12)


def test_affine_translation(array, image, picture):
    result = F.affine(image, 0, [3, -2], 1.0, [0.0, 0.0]).numpy()
    wanted = np.zeros_like(array)
    wanted[:, :10, 3:] = array[:, 2:, :11]
    assert np.array_equal(result, wanted)
    assert np.array_equal(back(F.affine(picture, 0, [3, -2], 1.0, [0.0, 0.0])), wanted)
    filled = F.affine(image, 0, [3, -2], 1.0, [0.0, 0.0], fill=[5.0]).numpy()
    assert filled[:, 11, 0].tolist() == [5, 5, 5]


def test_perspective_with_equal_corners_changes_nothing(array, image):
    corners = [[0, 0], [13, 0], [13, 11], [0, 11]]
    assert np.array_equal(F.perspective(image, corners, corners).numpy(), array)
    with pytest.raises(ValueError, match="exactly four corners"):
        F.perspective(image, corners[:3], corners)
    with pytest.raises(ValueError, match="Either the startpoints"):
        VF.perspective(image, None, None)


def test_elastic_by_one_pixel(array, image):
    displacement = rl.zeros(1, 12, 14, 2)
    displacement[..., 0] = 2 / 14
    result = F.elastic_transform(image, displacement, Mode.NEAREST).numpy()
    assert np.array_equal(result[:, :, :-1], array[:, :, 1:])
    with pytest.raises(ValueError, match="displacement shape should be"):
        F.elastic_transform(image, displacement[:, :5])


# -- colours ---------------------------------------------------------------------------------------------------------


def grey_of(array):
    red, green, blue = array.astype(np.float32)
    return np.float32(0.2989) * red + np.float32(0.587) * green + np.float32(0.114) * blue


def test_grey(array, image):
    assert np.array_equal(F.rgb_to_grayscale(image).numpy()[0], grey_of(array).astype(np.uint8))
    assert F.rgb_to_grayscale(image, 3).shape == image.shape


def close(result, wanted, levels=1):
    return np.abs(result.numpy().astype(int) - wanted.clip(0, 255).astype(int)).max() <= levels


def test_adjustments(array, image):
    whole = array.astype(np.float32)
    grey = np.floor(grey_of(array))
    assert close(F.adjust_brightness(image, 1.5), whole * 1.5)
    assert close(F.adjust_contrast(image, 0.5), whole * 0.5 + grey.mean() * 0.5)
    assert close(F.adjust_saturation(image, 2.0), whole * 2 - grey)
    assert close(F.adjust_gamma(image, 2.0), (whole / 255) ** 2 * 255.999)
    assert close(F.adjust_hue(image, 0.0), whole)
    third = F.adjust_hue(rl.tensor([255, 0, 0], dtype=rl.uint8).reshape(3, 1, 1), 1 / 3)
    assert third.flatten().tolist() == [0, 255, 0]
    for function in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_sharpness):
        with pytest.raises(ValueError, match="not non-negative"):
            function(image, -1)
    with pytest.raises(ValueError, match="is not in"):
        F.adjust_hue(image, 0.7)


def test_sharpness_of_the_middle_pixel():
    image = rl.zeros(1, 3, 3)
    image[0, 1, 1] = 1.0
    assert F.adjust_sharpness(image, 0.0)[0, 1, 1].item() == pytest.approx(5 / 13)


def test_levels(array, image):
    assert np.array_equal(F.invert(image).numpy(), 255 - array)
    assert np.array_equal(F.posterize(image, 3).numpy(), array & 0b11100000)
    assert np.array_equal(F.solarize(image, 100).numpy(), np.where(array >= 100, 255 - array, array))
    stretched = F.autocontrast(image // 2 + 50).numpy()
    assert stretched.min() == 0 and stretched.max() >= 254
    flat = rl.full((3, 4, 4), 9, dtype=rl.uint8)
    assert F.autocontrast(flat).unique().tolist() == [9] and F.equalize(flat).unique().tolist() == [9]
    with pytest.raises(TypeError, match="uint8"):
        F.equalize(image.float())


def test_levels_of_pictures_and_tensors_agree(image, picture):
    for function, *args in ((F.equalize,), (F.invert,), (F.posterize, 2), (F.solarize, 90)):
        assert np.array_equal(function(image, *args).numpy(), back(function(picture, *args)))


def test_permuted_channels(array, image, picture):
    assert np.array_equal(VF.permute_channels(image, [2, 0, 1]).numpy(), array[[2, 0, 1]])
    assert np.array_equal(back(VF.permute_channels(picture, [2, 0, 1])), array[[2, 0, 1]])


# -- values ----------------------------------------------------------------------------------------------------------


def test_blur_of_a_point_is_the_window():
    image = rl.zeros(1, 7, 7)
    image[0, 3, 3] = 1.0
    x = np.arange(-1, 2) / 1.5
    window = np.exp(-x ** 2 / 2)
    window /= window.sum()
    result = F.gaussian_blur(image, 3, 1.5).numpy()[0, 2:5, 2:5]
    assert np.allclose(result, np.outer(window, window), atol=1e-6)
    with pytest.raises(ValueError, match="odd"):
        F.gaussian_blur(image, 4)


def test_dtypes_with_scale():
    image = rl.tensor([[[0, 128, 255]]], dtype=rl.uint8)
    assert VF.to_dtype(image, rl.float32, scale=True).tolist() == [[[0.0, pytest.approx(128 / 255), 1.0]]]
    assert VF.to_dtype(image, rl.int32, scale=True).tolist() == [[[0, 128 << 23, 255 << 23]]]
    floats = rl.tensor([[[0.0, 0.5, 1.0]]])
    assert VF.to_dtype(floats, rl.uint8, scale=True).tolist() == [[[0, 127, 255]]]
    with pytest.raises(RuntimeError, match="safely"):
        VF.to_dtype(floats, rl.int32, scale=True)


def test_noise():
    rl.manual_seed(0)
    noisy = VF.gaussian_noise(rl.full((1, 50, 50), 0.5), sigma=0.1)
    assert abs(noisy.mean().item() - 0.5) < 0.01 and abs(noisy.std().item() - 0.1) < 0.01
    with pytest.raises(ValueError, match="uint8 or float"):
        VF.gaussian_noise(rl.zeros(1, 2, 2, dtype=rl.int32))


def test_erase(image):
    result = F.erase(image, 1, 2, 3, 4, 7)
    assert result[:, 1:4, 2:6].unique().tolist() == [7] and image[0, 1, 2].item() == samples(3, 12, 14)[0, 1, 2]


def test_jpeg(image, picture):
    assert VF.jpeg(image, 90).shape == image.shape and VF.jpeg(picture, 90).size == picture.size
    smooth = rl.full((2, 3, 16, 16), 100, dtype=rl.uint8)
    assert (VF.jpeg(smooth, 95).int() - 100).abs().max() <= 2


def test_gradients_pass(array):
    for function in (lambda x: VF.resize(x, [5, 6]), lambda x: VF.rotate(x, 20.0, Mode.BILINEAR),
                     lambda x: VF.adjust_saturation(x, 1.5), lambda x: VF.gaussian_blur(x, 3)):
        image = rl.tensor(array[:, :6, :7] / 255.0, dtype=rl.float32, requires_grad=True)
        function(image).sum().backward()
        assert image.grad.abs().sum() > 0


# -- dispatch --------------------------------------------------------------------------------------------------------


def test_kernels_by_class(image):
    video = tv_tensors.Video(image[None])
    assert type(VF.resize(video, 5)) is tv_tensors.Video and VF.resize(video, 5).shape == (1, 3, 5, 5)
    mask = tv_tensors.Mask(image[0] > 100)
    small = VF.resize(mask, [6, 7])
    assert type(small) is tv_tensors.Mask and small.shape == (6, 7) and small.dtype == rl.bool
    assert [type(crop) for crop in VF.five_crop(tv_tensors.Image(image), 5)] == [tv_tensors.Image] * 5
    assert VF.resize_video(video=video, size=5).shape == (1, 3, 5, 5)
    with pytest.raises(TypeError, match="supports inputs of type"):
        VF.resize("a text", 5)


def test_own_kernels(image):
    class Sound(tv_tensors.TVTensor):
        pass

    @VF.register_kernel("horizontal_flip", Sound)
    def flip(inpt):
        return inpt * -1

    @VF.register_kernel(VF.resize, Sound)
    def resize(inpt, size, max_size=None, **others):
        return size, sorted(others)
    sound = rl.ones(3).as_subclass(Sound)
    assert VF.horizontal_flip(sound).tolist() == [-1, -1, -1]
    assert VF.resize(sound, 4) == (4, ["antialias", "interpolation"])
    for functional, cls in (("nothing", Sound), (math.sin, Sound), (VF.resize, int), (VF.resize, tv_tensors.Image)):
        with pytest.raises(ValueError):
            VF.register_kernel(functional, cls)
