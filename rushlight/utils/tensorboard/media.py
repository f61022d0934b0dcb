"""Summaries of images, video and audio: encoded files inside protocol buffers."""
import io
import wave

import numpy as np

from ...base.optional import optional
from ._convert_np import make_np
from ._utils import _prepare_video, convert_to_HWC
from .protos import Summary


def _to_bytes(pixels):
    """Pixels as uint8: floating values are taken as [0, 1]. Values outside are cut off."""
    scale = 1 if pixels.dtype == np.uint8 else 255
    return (pixels.astype(np.float32) * scale).clip(0, 255).astype(np.uint8)


def image(tag, tensor, rescale=1, dataformats="NCHW"):
    """A summary of one picture; a batch becomes a grid.

    Args:
        tag: the name.
        tensor: uint8 in [0, 255] or floating in [0, 1], with one, three or four channels.
        rescale: the factor by which the picture is enlarged.
        dataformats: the names of the axes, for instance "CHW", "NHWC" or "HW".
    """
    return _one(tag, make_image(_to_bytes(convert_to_HWC(make_np(tensor), dataformats)), rescale))


def image_boxes(tag, tensor_image, tensor_boxes, rescale=1, dataformats="CHW", labels=None):
    """A summary of a picture with boxes (x0, y0, x1, y1) drawn into it, one a row of `tensor_boxes`."""
    pixels = _to_bytes(convert_to_HWC(make_np(tensor_image), dataformats))
    return _one(tag, make_image(pixels, rescale, make_np(tensor_boxes), labels))


def _one(tag, found):
    return Summary(value=[Summary.Value(tag=tag, image=found)])


def draw_boxes(disp_image, boxes, labels=None):
    """Draw boxes and their labels into a picture of Pillow, in place; returns it."""
    pen = optional("PIL.ImageDraw", "vision", "add_image_with_boxes").Draw(disp_image)
    for index, (left, top, right, bottom) in enumerate(np.asarray(boxes)[:, :4].tolist()):
        pen.rectangle((left, top, right, bottom), outline="Red", width=2)
        if labels is not None and labels[index]:
            _draw_label(pen, str(labels[index]), left, bottom)
    return disp_image


def _draw_label(pen, text, left, bottom):
    """Black text on red, standing on the box's lower edge."""
    x0, y0, x1, y1 = pen.textbbox((0, 0), text)
    width, height = x1 - x0, y1 - y0
    margin = np.ceil(0.05 * height)
    pen.rectangle((left, bottom - height - 2 * margin, left + width, bottom), fill="Red")
    pen.text((left + margin, bottom - height - margin), text, fill="black")


def make_image(tensor, rescale=1, rois=None, labels=None):
    """The `Summary.Image` of an array (H, W, C) of uint8, encoded as PNG."""
    pillow = optional("PIL.Image", "vision", "logging images")
    height, width, channels = tensor.shape
    picture = pillow.fromarray(np.ascontiguousarray(tensor))
    if rois is not None:
        draw_boxes(picture, rois, labels)
    if rescale != 1:
        picture = picture.resize((int(width * rescale), int(height * rescale)), pillow.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=file.getvalue())


def video(tag, tensor, fps=4):
    """A summary of videos (B, T, C, H, W) that play side by side, as an animated GIF with `fps` frames a second."""
    return _one(tag, make_video(_to_bytes(_prepare_video(make_np(tensor))), fps))


def make_video(tensor, fps):
    """The `Summary.Image` of frames (T, H, W, C) of uint8, encoded as an animated GIF."""
    pillow = optional("PIL.Image", "vision", "add_video")
    _, height, width, channels = tensor.shape
    frames = [pillow.fromarray(frame[:, :, 0] if channels == 1 else frame) for frame in np.ascontiguousarray(tensor)]
    file = io.BytesIO()
    # A GIF counts hundredths of a second. Pillow merges equal frames, and adds up their durations.
    frames[0].save(file, format="GIF", save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0)
    return Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=file.getvalue())


def audio(tag, tensor, sample_rate=44100):
    """A summary of a sound (L,) with values in [-1, 1], encoded as WAV of 16 bits. Values outside are cut off."""
    samples = make_np(tensor).squeeze()
    if samples.ndim != 1:
        raise AssertionError(f"input tensor should be 1 dimensional, got shape {samples.shape}")
    if samples.size and abs(samples).max() > 1:
        print("warning: audio amplitude out of range, auto clipped.")
        samples = samples.clip(-1, 1)
    samples = (samples * np.iinfo(np.int16).max).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(sample_rate)
        sound.writeframes(samples.tobytes())
    found = Summary.Audio(sample_rate=sample_rate, num_channels=1, length_frames=len(samples),
                          encoded_audio_string=file.getvalue(), content_type="audio/wav")
    return Summary(value=[Summary.Value(tag=tag, audio=found)])
