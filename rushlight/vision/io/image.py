"""Images as files in memory (tensors of bytes) and as tensors (C, H, W) of uint8, with Pillow's codecs.

A file that is not an image, is truncated or claims to be larger than `MAX_PIXELS` ends in a RuntimeError before memory
is used for it.
"""
import enum
import io
import os
import struct
import warnings

import numpy as np

from ... import api as rl
from ..pictures import pillow, to_array
from . import png

MAX_PIXELS = 1 << 28  # of one image or of all frames of an animation: above this a header is taken for a mistake


class ImageReadMode(enum.Enum):
    """The channels wanted of an image that is read."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4
    RGBA = RGB_ALPHA


_PILLOW_MODES = {
    ImageReadMode.GRAY: "L", ImageReadMode.GRAY_ALPHA: "LA", ImageReadMode.RGB: "RGB", ImageReadMode.RGB_ALPHA: "RGBA",
}
# What an image of a Pillow mode becomes where the channels are to stay as they are.
_UNCHANGED = {"1": "L", "P": "RGB", "PA": "RGBA", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "RGBX": "RGB"}
_WIDE = ("I;16", "I;16B", "I;16L", "I")


# -- files -----------------------------------------------------------------------------------------------------------


def read_file(path):
    """The bytes of a file as a tensor of uint8. RuntimeError if it cannot be read or is empty."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise RuntimeError(f"[Errno {error.errno}] {error.strerror}: '{os.fspath(path)}'") from error
    if not content:
        raise RuntimeError(f"Expected a non empty file: '{os.fspath(path)}'")
    return _tensor(content)


def write_file(filename, data):
    """Write a tensor of uint8 with one dimension to a file. RuntimeError for other tensors."""
    content = _content(data)
    with open(filename, "wb") as file:
        file.write(content)


def _tensor(content):
    return rl.frombuffer(bytearray(content), dtype=rl.uint8)


def _content(data):
    """The bytes of a tensor. RuntimeError unless it is one of uint8, of one dimension, on the CPU."""
    if not isinstance(data, rl.Tensor):
        raise TypeError(f"expected a tensor of uint8, got {type(data).__name__}")
    if data.device.type != "cpu":
        raise ValueError("Input tensor must be a CPU tensor")
    if data.dtype != rl.uint8:
        raise RuntimeError(f"Expected a torch.uint8 tensor, got {data.dtype}")
    if data.ndim != 1 or data.numel() == 0:
        raise RuntimeError(f"Expected a non empty 1-dimensional tensor, got one of shape {tuple(data.shape)}")
    return data.numpy().tobytes()


# -- decoding --------------------------------------------------------------------------------------------------------


def _mode(mode):
    return ImageReadMode[mode.upper()] if isinstance(mode, str) else mode


def _opened(data, formats):
    """An image in memory, opened but not decoded."""
    module = pillow("decoding an image")
    content = _content(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", module.DecompressionBombWarning)
        picture = _guarded(lambda: module.open(io.BytesIO(content), formats=formats), formats)
    frames = getattr(picture, "n_frames", 1) if formats == ["GIF"] else 1
    if picture.width * picture.height * frames > MAX_PIXELS:
        raise RuntimeError(f"decoding an image: {picture.width} x {picture.height} pixels in {frames} frame(s) are "
                           f"more than {MAX_PIXELS}, which are read at most")
    return picture


def _guarded(work, formats):
    """What `work` returns; all errors of codecs as RuntimeError."""
    try:
        return work()
    except MemoryError:
        raise
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, ZeroDivisionError,
            ArithmeticError, AttributeError, NotImplementedError, RuntimeError, AssertionError, struct.error) as error:
        what = "/".join(formats) if formats else "image"
        raise RuntimeError(f"decoding failed, the data are no whole {what} file: {error}") from error
    except Exception as error:
        # Pillow's DecompressionBombError and zlib.error derive from Exception alone.
        raise RuntimeError(f"decoding failed: {error}") from error


def _decoded(data, mode, apply_exif_orientation, formats):
    picture = _opened(data, formats)
    mode = _mode(mode)

    def work():
        content = picture.fp.getvalue() if isinstance(picture.fp, io.BytesIO) else b""
        if png.is_wide(content):
            return _wide_channels(png.decode(content), mode)
        picture.load()
        turned = _upright(picture) if apply_exif_orientation else picture
        return _samples(turned, mode)
    return rl.from_numpy(_guarded(work, formats).transpose(2, 0, 1).copy())


# What undoes each orientation that EXIF knows: Pillow's transpose method.
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}


def _upright(picture):
    """The picture turned as its EXIF orientation says."""
    turn = _TURNS.get(picture.getexif().get(0x0112))
    return picture if turn is None else picture.transpose(turn)


def _samples(picture, mode):
    """The samples of a decoded picture as an array (H, W, C) of uint8, or uint16 for images of 16 bits."""
    if picture.mode in _WIDE:
        wide = np.asarray(picture).astype(np.uint16)[:, :, None]
        return _wide_channels(wide, mode)
    if mode is ImageReadMode.UNCHANGED:
        wanted = _UNCHANGED.get(picture.mode, picture.mode)
        if picture.mode == "P" and "transparency" in picture.info:
            wanted = "RGBA"
        elif picture.mode == "RGB" and "transparency" in picture.info:
            wanted = "RGBA"
    else:
        wanted = _PILLOW_MODES[mode]
    if picture.mode == "F":
        raise RuntimeError("images of floating-point samples are not read")
    return to_array(picture if picture.mode == wanted else picture.convert(wanted))


def _wide_channels(samples, mode):
    """Samples of 16 bits with the channels of a mode."""
    channels = [samples[:, :, i:i + 1] for i in range(samples.shape[2])]
    alpha = channels.pop() if len(channels) in (2, 4) else np.full_like(channels[0], 65535)
    if mode is ImageReadMode.UNCHANGED:
        return samples
    if mode in (ImageReadMode.GRAY, ImageReadMode.GRAY_ALPHA) and len(channels) == 3:
        grey = 0.299 * channels[0] + 0.587 * channels[1] + 0.114 * channels[2]
        channels = [np.rint(grey).astype(np.uint16)]
    elif mode in (ImageReadMode.RGB, ImageReadMode.RGB_ALPHA) and len(channels) == 1:
        channels = channels * 3
    if mode in (ImageReadMode.GRAY_ALPHA, ImageReadMode.RGB_ALPHA):
        channels.append(alpha)
    return np.concatenate(channels, 2)


def decode_png(input, mode=ImageReadMode.UNCHANGED, apply_exif_orientation=False):
    """Decode a PNG file.

    Args:
        input (Tensor): its bytes, uint8, one dimension.
        mode (ImageReadMode or str): the channels wanted.
        apply_exif_orientation (bool): turn the image as the file says.

    Returns:
        Tensor (C, H, W) of uint8, of uint16 for samples of 16 bits.

    Raises:
        RuntimeError: the bytes are not a complete PNG file.
    """
    return _decoded(input, mode, apply_exif_orientation, ["PNG"])


def decode_jpeg(input, mode=ImageReadMode.UNCHANGED, device="cpu", apply_exif_orientation=False):
    """Decode a JPEG file or a list of them. See `decode_png`."""
    if rl.device(device).type != "cpu":
        raise NotImplementedError(f"decode_jpeg: decoding on {device} is not implemented")
    if isinstance(input, list):
        if not input:
            raise ValueError("Input list must contain at least one element")
        if not all([isinstance(item, rl.Tensor) for item in input]):
            raise ValueError("All elements of the input list must be tensors.")
        return [_decoded(item, mode, apply_exif_orientation, ["JPEG"]) for item in input]
    return _decoded(input, mode, apply_exif_orientation, ["JPEG"])


def decode_webp(input, mode=ImageReadMode.UNCHANGED):
    """Decode a WebP file. See `decode_png`."""
    return _decoded(input, mode, False, ["WEBP"])


def decode_avif(input, mode=ImageReadMode.UNCHANGED):
    """Decode an AVIF file, where Pillow can. See `decode_png`."""
    return _decoded(input, mode, False, ["AVIF"])


def decode_heic(input, mode=ImageReadMode.UNCHANGED):
    """Decode a HEIC file, where a plugin of Pillow's can. See `decode_png`."""
    return _decoded(input, mode, False, ["HEIF"])


def decode_gif(input):
    """Decode a GIF file: a tensor (3, H, W), or (N, 3, H, W) of an animation. RuntimeError as for `decode_png`."""
    picture = _opened(input, ["GIF"])

    def work():
        frames = []
        for index in range(picture.n_frames):
            picture.seek(index)
            frames.append(to_array(picture.convert("RGB")).transpose(2, 0, 1))
        return np.stack(frames)
    frames = rl.from_numpy(_guarded(work, ["GIF"]))
    return frames[0] if len(frames) == 1 else frames


def decode_image(input, mode=ImageReadMode.UNCHANGED, apply_exif_orientation=False):
    """Decode a file of any of the formats JPEG, PNG, GIF, WebP and AVIF: its bytes, or its path. See `decode_png`."""
    data = input if isinstance(input, rl.Tensor) else read_file(input)
    formats = ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF"]
    known = pillow("decode_image")
    known.init()
    if _content(data)[:4] == b"GIF8":
        return decode_gif(data)
    return _decoded(data, mode, apply_exif_orientation, [name for name in formats if name in known.OPEN])


def read_image(path, mode=ImageReadMode.UNCHANGED, apply_exif_orientation=False):
    """Read an image from a file. See `decode_image`."""
    return decode_image(read_file(path), mode, apply_exif_orientation)


# -- encoding --------------------------------------------------------------------------------------------------------


def _encoded(image, **options):
    """An image (C, H, W) as the bytes of a file."""
    if not isinstance(image, rl.Tensor) or image.dtype != rl.uint8:
        raise RuntimeError(f"Input tensor dtype should be uint8, got {getattr(image, 'dtype', type(image))}")
    if image.ndim != 3:
        raise RuntimeError(f"Input data should be a 3-dimensional tensor, got {image.ndim} dimensions")
    if image.shape[0] not in (1, 3):
        raise RuntimeError(f"The number of channels should be 1 or 3, got: {image.shape[0]}")
    if image.numel() == 0:
        raise RuntimeError(f"expected an image with pixels, got one of shape {tuple(image.shape)}")
    samples = np.ascontiguousarray(image.permute(1, 2, 0).numpy(force=True))
    file = io.BytesIO()
    picture = pillow("encoding an image").fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    picture.save(file, **options)
    return _tensor(file.getvalue())


def encode_png(input, compression_level=6):
    """Encode an image (1 or 3, H, W) of uint8 as PNG, with a level of compression from 0 to 9: a tensor of bytes."""
    if not 0 <= compression_level <= 9:
        raise RuntimeError("Compression level should be between 0 and 9")
    return _encoded(input, format="PNG", compress_level=compression_level)


def encode_jpeg(input, quality=75):
    """Encode an image (1 or 3, H, W) of uint8, or a list of them, as JPEG of a quality from 1 to 100."""
    if quality < 1 or quality > 100:
        raise ValueError("Image quality should be a positive number between 1 and 100")
    if isinstance(input, list):
        if not input:
            raise ValueError("encode_jpeg requires at least one input tensor when a list is passed")
        return [_encoded(image, format="JPEG", quality=quality) for image in input]
    return _encoded(input, format="JPEG", quality=quality)


def write_png(input, filename, compression_level=6):
    """Write an image to a PNG file. See `encode_png`."""
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input, filename, quality=75):
    """Write an image to a JPEG file. See `encode_jpeg`."""
    write_file(filename, encode_jpeg(input, quality))
