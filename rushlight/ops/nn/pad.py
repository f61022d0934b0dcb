"""Padding (`nn.functional.pad` in all modes) and the shuffles that trade channels for pixels.

Constant padding fills the border and copies the interior. The other modes read at positions that depend on sizes alone:
small index tensors, kept for the next call, and one gather kernel; the gradient adds with the same indices.
"""

from ...base.lazy import numpy as np
from ...core.declare import public
from ...core.graph import MODE
from ...core.layout import channels_last_strides, seems_channels_last
from ...core.record import record, write_copy
from ...core.tensor import empty
from ..basic.copy import COPY, COPY_FORM, in_format_of
from ..basic.creation import fill, index_tensor
from ..basic.fetch import Place, fetch, fetch_operator, fetch_rule, spread
from ..basic.view import slice_

MOST_SLICES = 12  # positions of border up to which the modes that read inside copy slice by slice
SMALL = 65536  # elements below which the whole result is filled at once


def _cropped(g, pad):
    """The interior of a padded gradient; zeros where the padding was negative."""
    return constant_pad(g, tuple([-n for n in pad]), 0)


@public("Tensor._constant_pad", grad={"input": _cropped}, node="ConstantPadNdBackward0", out=False)
def constant_pad(input, pad, value):
    """Pad with a number: `pad` holds (before, after) from the last dimension backwards; negative numbers crop."""
    found = input._layout
    rank = found.ndim
    before, after = [0] * rank, [0] * rank
    for i in range(len(pad) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = pad[2 * i], pad[2 * i + 1]
    source = input.detach()
    take = slice_
    for d in range(rank):
        if before[d] < 0 or after[d] < 0:
            source = take(source, d, max(0, -before[d]), found.shape[d] - max(0, -after[d]), 1)
    before, after = [max(n, 0) for n in before], [max(n, 0) for n in after]
    shape = tuple([n + a + b for n, a, b in zip(source._layout.shape, before, after)])
    if shape == tuple(source._layout.shape):
        return source.clone()
    strides = channels_last_strides(shape) if seems_channels_last(found) else None
    out = empty(shape, found.dtype, input._storage.device, strides)
    inner = out
    whole = out._layout.numel <= SMALL or source._layout.numel * 4 < out._layout.numel
    if whole:
        fill(out, value)
    for d in range(rank):
        size = source._layout.shape[d]
        if before[d] and not whole:
            fill(take(inner, d, 0, before[d], 1), value)
        if after[d] and not whole:
            fill(take(inner, d, before[d] + size, before[d] + size + after[d], 1), value)
        inner = take(inner, d, before[d], before[d] + size, 1)
    if source._layout.numel:
        record(COPY, "t", (), (source,), (), (inner,))
    return out


@public("constant_pad_nd", out=False)
def constant_pad_nd(input, pad, value=0):
    """Pad with a number; negative padding crops. `pad`: (before, after) from the last dimension backwards."""
    check_pad(input, pad)
    for i in range(len(pad) // 2):
        size = input._layout.shape[-1 - i]
        if size + pad[2 * i] + pad[2 * i + 1] < 0:
            raise RuntimeError(f"The input size {size}, plus negative padding {pad[2 * i]} and {pad[2 * i + 1]} "
                               f"resulted in a negative output "
                               f"size, which is invalid. Check dimension {input.dim() - 1 - i} of your input.")
    return constant_pad(input, tuple(int(n) for n in pad), value)


def check_pad(input, pad):
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) // 2 > input.dim():
        raise RuntimeError("Length of pad should be no more than twice the number of dimensions of the input. Pad "
                           f"length is {len(pad)} while the input has {input.dim()} dimensions.")


# -- reflect, replicate, circular ------------------------------------------------------------------------------------


_POSITIONS = {}


def positions(mode, size, before, after):
    """Where each position of a padded dimension reads from, as an index tensor (kept)."""
    key = (mode, size, before, after)
    found = _POSITIONS.get(key)
    if found is None:
        if len(_POSITIONS) > 256:
            _POSITIONS.clear()
        at = np.arange(-before, size + after)
        if mode == "replicate":
            at = np.clip(at, 0, size - 1)
        elif mode == "reflect":
            at = np.abs(at)
            at = (size - 1) - np.abs(size - 1 - at)
        else:
            low, inside = max(-before, 0), max(size - max(-before, 0) - max(-after, 0), 1)
            at = low + np.arange(-max(before, 0), inside + max(after, 0)) % inside
        found = _POSITIONS[key] = index_tensor(at)
    return found


OPERATORS = {}
NODES = {"reflect": "Reflection", "replicate": "Replication", "circular": "Circular"}
for _mode in ("reflect", "replicate", "circular"):
    for _n in (1, 2, 3):
        OPERATORS[_mode, _n] = (fetch_operator(f"{_mode}_pad{_n}d"), fetch_rule(f"{_mode}_pad{_n}d",
                                                                                f"{NODES[_mode]}Pad{_n}DBackward0"))


def check_sizes(input, pad, mode):
    """The errors of the modes that read inside."""
    count = len(pad) // 2
    rank = input.dim()
    if rank not in (count + 1, count + 2):
        raise NotImplementedError("Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now")
    if any(n == 0 for n in input._layout.shape[1:]):
        raise RuntimeError(f"Expected {count + 1}D or {count + 2}D (batch mode) tensor with possibly 0 batch size and "
                           f"other non-zero dimensions for input, but got: {list(input.shape)}")
    for i in range(count):
        size, before, after = input._layout.shape[-1 - i], pad[2 * i], pad[2 * i + 1]
        if mode == "reflect" and (before >= size or after >= size):
            raise RuntimeError(f"Argument #{4 + 2 * i}: Padding size should be less than the corresponding input "
                               f"dimension, but got: padding "
                               f"({before}, {after}) at dimension {rank - 1 - i} of input {list(input.shape)}")
        if mode == "circular" and (before > size or after > size):
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if size + before + after < (0 if mode == "circular" else 1):
            raise RuntimeError(f"input (size {size}) is too small. Calculated output size: {size + before + after}"
                               if mode != "circular" else "Negative padding value is resulting in an empty dimension")


def indexed_pad(input, pad, mode):
    """Pad by reading at computed positions."""
    pad = tuple(int(n) for n in pad)
    check_sizes(input, pad, mode)
    count, shape, rank = len(pad) // 2, list(input._layout.shape), input.dim()
    tensors, spec = [], [("d", d) for d in range(rank)]
    for i in range(count):
        d = rank - 1 - i
        if pad[2 * i] or pad[2 * i + 1]:
            spec[d] = ("i", len(tensors))
            at = positions(mode, shape[d], pad[2 * i], pad[2 * i + 1]).to(input.device)
            tensors.append(spread(at, i))
            shape[d] += pad[2 * i] + pad[2 * i + 1]
    if not tensors:
        return input.clone()
    place = Place(tuple(spec), shape)
    if min(pad) < 0 or sum(pad) > MOST_SLICES:
        return fetch(*OPERATORS[mode, count], input, tensors, place)
    result = by_slices(input, pad, mode, shape)
    if MODE.grad:
        OPERATORS[mode, count][1].attach((input, tensors, place, input._layout.shape), [result])
    return result


def by_slices(input, pad, mode, shape):
    """Narrow padding: the interior is copied, then one dimension after the other gets its border from what is there
    already."""
    found = input._layout
    last = found.ndim == 4 and seems_channels_last(found)
    out = empty(tuple(shape), found.dtype, input._storage.device, channels_last_strides(shape) if last else None)
    take, rank = slice_, found.ndim
    parts = [out]
    for d in range(rank):
        before = pad[2 * (rank - 1 - d)] if rank - 1 - d < len(pad) // 2 else 0
        parts.append(take(parts[-1], d, before, before + found.shape[d], 1))
    write_copy(COPY_FORM, input, out._storage, parts[-1]._layout, parts[-1]._offset)
    for i in range(len(pad) // 2):
        d = rank - 1 - i
        before, after, size = pad[2 * i], pad[2 * i + 1], found.shape[d]
        whole = parts[d]
        for at, read in border(mode, before, after, size):
            source, target = take(whole, d, read, read + 1, 1), take(whole, d, at, at + 1, 1)
            write_copy(COPY_FORM, source, out._storage, target._layout, target._offset)
    return out


def border(mode, before, after, size):
    """(position, position it copies) of the border of one dimension of the result."""
    for k in range(1, before + 1):
        yield before - k, before + {"reflect": k, "replicate": 0, "circular": size - k}[mode]
    for k in range(1, after + 1):
        yield before + size - 1 + k, before + {"reflect": size - 1 - k, "replicate": size - 1, "circular": k - 1}[mode]


def _pad_cast(input, pad, mode="constant", value=None):
    return "float32" if mode in ("reflect", "replicate") else None


@public("nn.functional.pad", out=False, cast=_pad_cast)
def pad(input, pad, mode="constant", value=None):
    """Pad dimensions: `pad` holds (before, after) from the last dimension backwards; negative numbers crop.

    mode: "constant" (with `value`, default 0), "reflect", "replicate", "circular". RuntimeError and
    NotImplementedError as PyTorch."""
    pad = tuple(pad.tolist()) if hasattr(pad, "tolist") else tuple(pad)
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    check_pad(input, pad)
    if value is not None and value != 0:
        raise RuntimeError(f"Padding mode \"{mode}\" doesn't take in value argument")
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if len(pad) not in (2, 4, 6):
        raise NotImplementedError("Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now")
    return indexed_pad(input, pad, mode)


# -- shuffles --------------------------------------------------------------------------------------------------------


@public("pixel_shuffle nn.functional.pixel_shuffle",
        grad={"input": lambda g, upscale_factor: pixel_unshuffle(g, upscale_factor)}, out=False)
def pixel_shuffle(input, upscale_factor):
    """(*, C r r, H, W) -> (*, C, H r, W r): blocks of channels become blocks of pixels."""
    r = upscale_factor
    if input.dim() < 3:
        raise RuntimeError("pixel_shuffle expects input to have at least 3 dimensions, but got input with "
                           f"{input.dim()} dimension(s)")
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = input._layout.shape
    if c % (r * r):
        raise RuntimeError("pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
                           f"upscale_factor, but input.size(-3)={c} is not divisible by {r * r}")
    n = len(lead)
    parts = input.reshape(*lead, c // (r * r), r, r, h, w)
    moved = parts.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    found = moved.reshape(*lead, c // (r * r), h * r, w * r)
    return in_format_of(found.clone() if r == 1 else found, input)


@public("pixel_unshuffle nn.functional.pixel_unshuffle",
        grad={"input": lambda g, downscale_factor: pixel_shuffle(g, downscale_factor)}, out=False)
def pixel_unshuffle(input, downscale_factor):
    """(*, C, H r, W r) -> (*, C r r, H, W): the inverse of `pixel_shuffle`."""
    r = downscale_factor
    if input.dim() < 3:
        raise RuntimeError("pixel_unshuffle expects input to have at least 3 dimensions, but got input with "
                           f"{input.dim()} dimension(s)")
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = input._layout.shape
    if h % r:
        raise RuntimeError("pixel_unshuffle expects height to be divisible by downscale_factor, but "
                           f"input.size(-2)={h} is not divisible by {r}")
    if w % r:
        raise RuntimeError(f"pixel_unshuffle expects width to be divisible by downscale_factor, but input.size(-1)={w} "
                           f"is not divisible by {r}")
    n = len(lead)
    parts = input.reshape(*lead, c, h // r, r, w // r, r)
    moved = parts.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    found = moved.reshape(*lead, c * r * r, h // r, w // r)
    return in_format_of(found.clone() if r == 1 else found, input)


@public("channel_shuffle nn.functional.channel_shuffle native_channel_shuffle", out=False)
def channel_shuffle(input, groups):
    """(*, C, H, W) with the channels of `groups` groups interleaved."""
    if input.dim() < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    n, c, *rest = input._layout.shape
    if c % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.")
    found = input.reshape(n, groups, c // groups, *rest).transpose(1, 2).reshape(n, c, *rest)
    return in_format_of(found, input)
