"""Arrangements of pictures: figures of matplotlib, batches and videos as one array (H, W, C) or one a frame."""
import numpy as np

from ...base.optional import optional


def figure_to_image(figures, close=True):
    """Draw a matplotlib figure as an array (3, H, W); a list of figures of one size as (N, 3, H, W).

    `close` closes the figures afterwards, which frees their memory.
    """
    agg = optional("matplotlib.backends.backend_agg", "demo", "add_figure")
    pyplot = optional("matplotlib.pyplot", "demo", "add_figure")

    def draw(figure):
        canvas = agg.FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]
        if close:
            pyplot.close(figure)
        return np.moveaxis(pixels, 2, 0)

    return np.stack([draw(figure) for figure in figures]) if isinstance(figures, list) else draw(figures)


def _prepare_video(V):
    """A batch of videos (B, T, C, H, W) as frames (T, rows * H, columns * W, C).

    The videos play side by side: their number is filled up with black ones to a power of two.
    """
    batch, frames, channels, height, width = V.shape
    if V.dtype == np.uint8:
        V = V.astype(np.float32) / 255
    missing = (1 << (batch - 1).bit_length()) - batch
    if missing:
        V = np.concatenate((V, np.zeros((missing, *V.shape[1:]), V.dtype)))
    rows = 1 << ((batch.bit_length() - 1) // 2)
    columns = len(V) // rows
    grid = V.reshape(rows, columns, frames, channels, height, width).transpose(2, 0, 4, 1, 5, 3)
    return grid.reshape(frames, rows * height, columns * width, channels)


def make_grid(I, ncols=8):  # noqa: E741  (PyTorch's name)
    """Images (N, 1 or 3, H, W) side by side, `ncols` in a row, as one array (3, rows * H, columns * W)."""
    if not isinstance(I, np.ndarray):
        raise AssertionError(f"make_grid: expected an array, got {type(I).__name__}")
    if I.ndim != 4 or I.shape[1] not in (1, 3):
        raise AssertionError(f"make_grid: expected images (N, 1 or 3, H, W), got shape {I.shape}")
    images = np.repeat(I, 3, axis=1) if I.shape[1] == 1 else I
    count, _, height, width = images.shape
    ncols = min(count, ncols)
    canvas = np.zeros((3, -(-count // ncols) * height, ncols * width), I.dtype)
    for index, picture in enumerate(images):
        top, left = index // ncols * height, index % ncols * width
        canvas[:, top:top + height, left:left + width] = picture
    return canvas


def convert_to_HWC(tensor, input_format):
    """An array whose axes are named by `input_format` ("CHW", "NHWC", "HW", ...) as (H, W, C); batches as a grid."""
    input_format = input_format.upper()
    if len(set(input_format)) != len(input_format):
        raise AssertionError(f"You can not use the same dimension shorthand twice. input_format: {input_format}")
    if tensor.ndim != len(input_format):
        raise AssertionError("size of input tensor and input format are different. "
                             f"tensor shape: {tensor.shape}, input_format: {input_format}")
    order = {4: "NCHW", 3: "HWC", 2: "HW"}.get(len(input_format), "")
    if sorted(order) != sorted(input_format):
        raise AssertionError(f"input_format: expected an order of NCHW, HWC or HW, got {input_format}")
    found = tensor.transpose([input_format.index(axis) for axis in order])
    if found.ndim == 4:
        return make_grid(found).transpose(1, 2, 0)
    if found.ndim == 2:
        found = found[:, :, None]
    return np.repeat(found, 3, axis=2) if found.shape[2] == 1 else found
