"""Masks for pretraining: spans of frames or channels, drawn at random."""

from .... import api as rl
from .... import nn
from ....distributions import Categorical


def _span_lengths(kind, count, length, other):
    if kind == "static":
        return rl.full((count,), length)
    if kind == "uniform":
        return rl.randint(int(other), length * 2 + 1, size=(count,))
    if kind == "normal":
        return rl.normal(length, other, size=(count,)).round().clamp(min=1).int()
    if kind == "poisson":
        return rl.poisson(rl.full((count,), float(length))).round().int()
    raise Exception(f"unknown mask selection: {kind}")


def _apart(lengths, size, space):
    """Positions of spans that do not overlap, with `space` between them: the longest first, each into a free part that
    is drawn by its length."""
    places, parts, least = [], [(0, size)], min(lengths)
    for length in sorted(lengths, reverse=True):
        room = rl.tensor([end - start for start, end in parts], dtype=rl.int32)
        room = rl.where(room < length + space, 0, room)
        if not int(room.sum()):
            break
        start, end = parts.pop(int(Categorical(room / room.sum()).sample()))
        first = int(rl.randint(start, end - length, size=(1,)))
        places.extend(range(first, first + length))
        if first - start - space >= least:
            parts.append((start, first - space + 1))
        if end - first - least - space > least:
            parts.append((first + length + space, end))
    return rl.tensor(places, dtype=rl.int64)


def _anywhere(lengths, size, count):
    """Positions of spans that start at random."""
    least = min(lengths)
    if size - least <= count:
        least = size - count - 1
    starts = rl.randperm(size - least)[:count].tolist()
    return rl.tensor([start + i for start, length in zip(starts, lengths) for i in range(length)], dtype=rl.int64)


def mask_indices(shape, padding, probability, length, kind="static", other=0.0, least=0, no_overlap=False, space=0):
    """Draw a mask (N, size), as many masked in each row; `padding` (N, size) marks what does not count."""
    rows, size = shape
    whole = max(least, int(probability * size / float(length) + rl.rand(1)))
    found = []
    for row in range(rows):
        valid, count = size, whole
        if padding is not None:
            valid = size - int(padding[row].sum())
            count = max(least, int(probability * valid / float(length) + rl.rand(1)))
        lengths = _span_lengths(kind, count, length, other).tolist()
        if sum(lengths) == 0:
            lengths[0] = min(length, valid - 1)
        places = _apart(lengths, valid, space) if no_overlap else _anywhere(lengths, valid, count)
        found.append(places[places < valid].unique())
    fewest = min(len(places) for places in found)
    mask = rl.full(shape, False)
    for row, places in enumerate(found):
        if len(places) > fewest:
            places = places[rl.randperm(len(places))[:fewest]]
        mask[row, places] = True
    return mask


class MaskGenerator(nn.Module):
    """Replace spans of frames (N, time, features) by a learned embedding, and spans of channels by 0.

    Arguments are those of `hubert_pretrain_model`.
    """

    def __init__(self, encoder_embed_dim, mask_prob, mask_selection, mask_other, mask_length, no_mask_overlap,
                 mask_min_space, mask_channel_prob, mask_channel_selection, mask_channel_other, mask_channel_length,
                 no_mask_channel_overlap, mask_channel_min_space):
        super().__init__()
        self.mask_prob, self.mask_selection, self.mask_other = mask_prob, mask_selection, mask_other
        self.mask_length, self.no_mask_overlap, self.mask_min_space = mask_length, no_mask_overlap, mask_min_space
        self.mask_channel_prob, self.mask_channel_selection = mask_channel_prob, mask_channel_selection
        self.mask_channel_other, self.mask_channel_length = mask_channel_other, mask_channel_length
        self.no_mask_channel_overlap = no_mask_channel_overlap
        self.mask_channel_min_space = mask_channel_min_space
        self.mask_embedding = nn.Parameter(rl.empty(encoder_embed_dim))
        nn.init.uniform_(self.mask_embedding)

    def forward(self, x, padding_mask):
        count, time, channels = x.shape
        mask = None
        if self.mask_prob > 0:
            mask = mask_indices((count, time), padding_mask, self.mask_prob, self.mask_length, self.mask_selection,
                                self.mask_other, 2, self.no_mask_overlap, self.mask_min_space).to(x.device)
            x = rl.where(mask[..., None], self.mask_embedding.to(x.dtype), x)
        if self.mask_channel_prob > 0:
            across = mask_indices((count, channels), None, self.mask_channel_prob, self.mask_channel_length,
                                  self.mask_channel_selection, self.mask_channel_other, 0,
                                  self.no_mask_channel_overlap, self.mask_channel_min_space).to(x.device)
            x = x.masked_fill(across.unsqueeze(1), 0)
        return x, mask
