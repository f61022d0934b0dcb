"""Boxes, masks and key points drawn into images, and optical flow as colours. The public names are in utils.py."""
import math
import warnings

from .. import api as rl
from ..base.optional import optional
from .transforms.conversion import pil_to_tensor, to_pil_image
from .transforms.kernels.values import to_dtype_image


def _check_image(image, channels, text):
    if not isinstance(image, rl.Tensor):
        raise TypeError(f"The image must be a tensor, got {type(image)}")
    if image.dtype != rl.uint8 and not image.is_floating_point():
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.dim() != 3:
        raise ValueError("Pass individual images, not batches")
    if image.size(0) not in channels:
        raise ValueError(text)


def _palette(count):
    """As many colours as objects, which differ from each other."""
    primes = (2**25 - 1, 2**15 - 1, 2**21 - 1)
    return [tuple([i * prime % 255 for prime in primes]) for i in range(count)]


def _colours(colors, count, dtype=rl.uint8):
    """Colours given as None, one or a list, names or triples, as `count` triples; shares of 255 for float images."""
    if colors is None:
        colors = _palette(count)
    elif isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(f"Number of colors must be equal or larger than the number of objects, but got "
                             f"{len(colors)} < {count}.")
    elif not isinstance(colors, (tuple, str)):
        raise ValueError(f"`colors` must be a tuple or a string, or a list thereof, but got {colors}.")
    elif isinstance(colors, tuple) and len(colors) != 3:
        raise ValueError(f"If passed as tuple, colors should be an RGB triplet, but got {colors}.")
    else:
        colors = [colors] * count
    names = optional("PIL.ImageColor", "vision", "names of colours")
    triples = [names.getrgb(color) if isinstance(color, str) else color for color in colors]
    return [tuple([value / 255 for value in color]) for color in triples] if dtype.is_floating_point else triples


def _drawn(image, draw, mode=None):
    """What `draw(canvas)` makes of an image, in its dtype."""
    dtype = image.dtype
    picture = to_pil_image(to_dtype_image(image, rl.uint8, scale=True) if dtype.is_floating_point else image)
    draw(optional("PIL.ImageDraw", "vision", "drawing").Draw(picture, mode))
    result = pil_to_tensor(picture)
    return to_dtype_image(result, dtype, scale=True) if dtype.is_floating_point else result


# -- boxes -----------------------------------------------------------------------------------------------------------

DASH = 5  # pixels drawn, and left out


@rl.no_grad()
def draw_bounding_boxes(image, boxes, labels=None, colors=None, fill=False, width=1, font=None, font_size=None,
                        label_colors=None, label_background_colors=None, fill_labels=False):
    """Draw boxes into an image.

    Args:
        image (Tensor (1 or 3, H, W)): uint8, or floats in [0, 1].
        boxes (Tensor (N, 4) or (N, 8)): left, top, right, bottom, or four corners; the first side of those is dashed.
        labels (list of N texts, optional): what is written into each box; None for nothing.
        colors (name, RGB triple, or a list): colours of the boxes, by default all different.
        fill (bool): shade the inside.
        width (int): of the lines, in pixels.
        font, font_size: a file that Pillow can read, and a size.
        label_colors, label_background_colors: as `colors`, for the texts.
        fill_labels (bool): put the texts on a background.

    Returns:
        Tensor (3, H, W) of the dtype of the image.
    """
    _check_image(image, (1, 3), "Only grayscale and RGB images are supported")
    if boxes.shape[-1] == 4 and ((boxes[:, 0] > boxes[:, 2]).any() or (boxes[:, 1] > boxes[:, 3]).any()):
        raise ValueError("Boxes need to be in (xmin, ymin, xmax, ymax) format. Use torchvision.ops.box_convert to "
                         "convert them")
    count = boxes.shape[0]
    if count == 0:
        warnings.warn("boxes doesn't contain any box. No box was drawn", stacklevel=2)
        return image
    if labels is not None and len(labels) != count:
        raise ValueError(f"Number of boxes ({count}) and labels ({len(labels)}) mismatch. Please specify labels for "
                         "each box.")
    outlines = _colours(colors, count)
    texts, grounds = outlines, outlines
    if label_colors or fill_labels:
        texts = _colours(label_colors or "black", count)
    if fill_labels and label_background_colors:
        grounds = _colours(label_background_colors, count)
    letters = _font(font, font_size) if labels is not None else None
    corners = boxes.to(rl.int64).tolist()

    def draw(canvas):
        for i, box in enumerate(corners):
            inside = outlines[i] + (100,) if fill else None
            (_oriented if len(box) > 4 else _upright)(canvas, box, outlines[i], inside, width)
            if labels is not None and labels[i] is not None:
                place = (box[0] + width + 1, box[1] + width + 1)
                if fill_labels:
                    left, top, right, bottom = canvas.textbbox(place, labels[i], font=letters)
                    canvas.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=grounds[i])
                canvas.text(place, labels[i], fill=texts[i], font=letters)
    return _drawn(image.expand(3, -1, -1), draw, "RGBA" if fill else None)


def _font(font, font_size):
    fonts = optional("PIL.ImageFont", "vision", "labels of boxes")
    if font is None:
        if font_size is not None:
            warnings.warn("Argument 'font_size' will be ignored since 'font' is not set.", stacklevel=4)
        return fonts.load_default()
    return fonts.truetype(font=font, size=font_size or 10)


def _upright(canvas, box, outline, inside, width):
    canvas.rectangle(box, width=width, outline=outline, fill=inside)


def _oriented(canvas, box, outline, inside, width):
    """A box of four corners, its first side dashed."""
    points = list(zip(box[0::2], box[1::2]))
    _dashed(canvas, points[0], points[1], outline, width)
    for start, end in zip(points[1:], points[2:] + points[:1]):
        canvas.line((start, end), width=width, fill=outline)
    canvas.polygon(box, fill=inside, outline=None, width=0)


def _dashed(canvas, start, end, colour, width):
    length = math.dist(start, end)
    turn = math.atan2(end[1] - start[1], end[0] - start[0])
    x, y = start
    for number in range(math.ceil(length / DASH)):
        step = min(DASH, length - number * DASH)
        following = (x + math.cos(turn) * step, y + math.sin(turn) * step)
        if number % 2 == 0:
            canvas.line([(x, y), following], colour, width)
        x, y = following


# -- masks -----------------------------------------------------------------------------------------------------------


@rl.no_grad()
def draw_segmentation_masks(image, masks, alpha=0.8, colors=None):
    """Shade the pixels of masks.

    Args:
        image (Tensor (3, H, W)): uint8, or floats in [0, 1].
        masks (Tensor (N, H, W) or (H, W)): bool; where they overlap the shade is black.
        alpha (float): 0 leaves the image as it is, 1 covers it.
        colors (name, RGB triple, or a list): by default all different.

    Returns:
        Tensor (3, H, W) of the dtype of the image.
    """
    _check_image(image, (3,), "Pass an RGB image. Other Image formats are not supported")
    if masks.ndim == 2:
        masks = masks[None]
    if masks.ndim != 3:
        raise ValueError("masks must be of shape (H, W) or (batch_size, H, W)")
    if masks.dtype != rl.bool:
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    if masks.shape[-2:] != image.shape[-2:]:
        raise ValueError("The image and the masks must have the same height and width")
    if masks.shape[0] == 0:
        warnings.warn("masks doesn't contain any mask. No mask was drawn", stacklevel=2)
        return image
    shade = image
    for mask, color in zip(masks, _colours(colors, masks.shape[0], image.dtype)):
        shade = rl.where(mask, rl.tensor(color, dtype=image.dtype, device=image.device)[:, None, None], shade)
    shade = rl.where(masks.sum(0) > 1, rl.zeros_like(shade), shade)
    return (image * (1 - alpha) + shade * alpha).to(image.dtype)


# -- key points ------------------------------------------------------------------------------------------------------


@rl.no_grad()
def draw_keypoints(image, keypoints, connectivity=None, colors=None, radius=2, width=3, visibility=None):
    """Draw points, and lines between them.

    Args:
        image (Tensor (3, H, W)): uint8, or floats in [0, 1].
        keypoints (Tensor (N, K, 2)): K points of N objects, (x, y).
        connectivity (list of pairs of ints, optional): which points are joined.
        colors (name or RGB triple): colour of the points.
        radius, width (int): of points and lines, in pixels.
        visibility (Tensor (N, K) or (N, K, 1), optional): which points are drawn.

    Returns:
        Tensor (3, H, W) of the dtype of the image.
    """
    _check_image(image, (3,), "Pass an RGB image. Other Image formats are not supported")
    if keypoints.ndim != 3:
        raise ValueError("keypoints must be of shape (num_instances, K, 2)")
    if visibility is None:
        visibility = rl.ones(keypoints.shape[:-1], dtype=rl.bool)
    if visibility.ndim == 3:
        visibility = visibility.squeeze(-1)
    if visibility.ndim != 2:
        raise ValueError(f"visibility must be of shape (num_instances, K). Got ndim={visibility.ndim}")
    if visibility.shape != keypoints.shape[:-1]:
        raise ValueError("keypoints and visibility must have the same dimensionality for num_instances and K. Got "
                         f"{visibility.shape = } and {keypoints.shape = }")
    objects = list(zip(keypoints.to(rl.int64).tolist(), visibility.to(rl.bool).tolist()))

    def draw(canvas):
        for points, seen in objects:
            for (x, y), visible in zip(points, seen):
                if visible:
                    canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colors, outline=None, width=0)
            for first, second in connectivity or ():
                if seen[first] and seen[second]:
                    canvas.line((tuple(points[first]), tuple(points[second])), width=width)
    return _drawn(image, draw)


# -- optical flow ----------------------------------------------------------------------------------------------------

# Sectors of the wheel of colours: how many steps, and which channels are full, rising or falling along it.
_WHEEL = ((15, 0, 1, True), (6, 1, 0, False), (4, 1, 2, True), (11, 2, 1, False), (13, 2, 0, True), (6, 0, 2, False))


def _wheel():
    """The colours (55, 3) of directions, 0 to 255 (Baker et al., A Database and Evaluation Methodology for Optical
    Flow)."""
    colours = []
    for steps, full, changing, rising in _WHEEL:
        for step in range(steps):
            colour = [0.0, 0.0, 0.0]
            colour[full] = 255.0
            level = math.floor(255 * step / steps)
            colour[changing] = level if rising else 255 - level
            colours.append(colour)
    return colours


@rl.no_grad()
def flow_to_image(flow):
    """Show optical flow (2, H, W) or (N, 2, H, W), float32, as colours: direction as hue, length as saturation.

    Returns:
        Tensor (3, H, W) or (N, 3, H, W) of uint8.
    """
    if flow.dtype != rl.float32:
        raise ValueError(f"Flow should be of dtype torch.float, got {flow.dtype}.")
    batch = flow[None] if flow.ndim == 3 else flow
    if batch.ndim != 4 or batch.shape[1] != 2:
        raise ValueError(f"Input flow should have shape (2, H, W) or (N, 2, H, W), got {flow.shape}.")
    longest = (batch ** 2).sum(1).sqrt().max()
    batch = batch / (longest + rl.finfo(rl.float32).eps)
    length = (batch ** 2).sum(1).sqrt()
    turn = rl.atan2(-batch[:, 1], -batch[:, 0]) / math.pi
    wheel = rl.tensor(_wheel(), device=flow.device)
    place = (turn + 1) / 2 * (len(wheel) - 1)
    low = place.floor().to(rl.int64)
    high = rl.where(low + 1 == len(wheel), 0, low + 1)
    share = (place - low).unsqueeze(-1)
    colours = (1 - share) * wheel[low] / 255.0 + share * wheel[high] / 255.0
    colours = (255 * (1 - length.unsqueeze(-1) * (1 - colours))).floor().to(rl.uint8).permute(0, 3, 1, 2)
    return colours[0] if flow.ndim == 3 else colours
