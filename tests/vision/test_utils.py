"""Grids of images: the places of the images, ranges, single images and lists; files."""
import numpy as np
import pytest

import rushlight as rl
from rushlight.vision import get_image_backend, set_image_backend
from rushlight.vision.utils import make_grid, save_image


def images(*shape):
    """Values 0, 1, 2, ... as float32."""
    return rl.arange(int(np.prod(shape)), dtype=rl.float32).reshape(shape)


def test_grid():
    batch = images(5, 3, 2, 4)
    grid = make_grid(batch, nrow=3, padding=1, pad_value=-1.0)
    assert grid.shape == (3, 2 * 3 + 1, 3 * 5 + 1)
    expected = np.full((3, 7, 16), -1, np.float32)
    for index in range(5):
        row, column = divmod(index, 3)
        expected[:, row * 3 + 1:row * 3 + 3, column * 5 + 1:column * 5 + 5] = batch[index].numpy()
    assert np.array_equal(grid.numpy(), expected)


def test_single_images_and_lists():
    grey = images(4, 4)
    assert make_grid(grey).shape == make_grid(grey[None]).shape == make_grid(grey[None, None]).shape == (3, 4, 4)
    assert make_grid([images(3, 4, 4)] * 5, padding=0).equal(make_grid(images(3, 4, 4).expand(5, 3, 4, 4), padding=0))
    assert make_grid(images(2, 1, 4, 4)).shape == (3, 8, 14)


def test_normalize():
    batch = images(2, 3, 2, 2)
    kept = batch.clone()
    assert make_grid(batch, normalize=True, padding=0).max().item() == 1
    each = make_grid(batch, normalize=True, scale_each=True, padding=0)
    assert each[:, :, :2].equal(each[:, :, 2:]) and batch.equal(kept)
    clipped = make_grid(batch, normalize=True, value_range=(0, 11), padding=0)
    assert clipped[:, :, 2:].min().item() == 1
    with pytest.raises(TypeError, match="has to be a tuple"):
        make_grid(batch, normalize=True, value_range=[0, 1])


@pytest.mark.parametrize("value", [3, [rl.zeros(3, 2, 2), 3]])
def test_errors(value):
    with pytest.raises(TypeError, match="tensor or list of tensors expected, got .*int"):
        make_grid(value)


def test_save_image(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    values = np.random.RandomState(0).rand(3, 4, 6).astype(np.float32)
    save_image(rl.from_numpy(values), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGB"
        expected = (values * np.float32(255) + np.float32(0.5)).astype(np.uint8).transpose(1, 2, 0)
        assert np.array_equal(np.asarray(image), expected)
    with open(tmp_path / "b", "wb") as file:
        save_image(rl.zeros(4, 1, 2, 2), file, format="png", padding=1)
    with Image.open(tmp_path / "b") as image:
        assert image.size == (13, 4)


def test_backend():
    set_image_backend("PIL")
    assert get_image_backend() == "PIL"
    with pytest.raises(ValueError, match="Invalid backend 'cv2'"):
        set_image_backend("cv2")
    with pytest.raises(NotImplementedError, match="accimage"):
        set_image_backend("accimage")
