"""Sequences of different lengths: padded and packed tensors, from lists and from one another.

Note [Packed sequences]: a packed sequence holds no padding. Sequences are sorted by decreasing length; `data` has the
first step of all of them, then the second step of those that have one, and so on; `batch_sizes` says how many there
are at each step. `sorted_indices` is the order of sorting (None if the sequences came sorted), `unsorted_indices`
undoes it. Packing and unpacking are a single look-up of rows, at places computed from the lengths, which are numbers
on the CPU.
"""
from collections import namedtuple
from collections.abc import Iterable

from .. import api as rl

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpad_sequence",
    "pack_sequence",
    "unpack_sequence",
]

PackedSequence_ = namedtuple("PackedSequence", ("data", "batch_sizes", "sorted_indices", "unsorted_indices"))


class PackedSequence(PackedSequence_):
    """A batch of sequences without padding, made by `pack_padded_sequence`; see Note [Packed sequences].

    Methods that move and cast apply to `data`, moving also to the indices; `batch_sizes` stays on the CPU.
    """

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if batch_sizes is None:  # PackedSequence((data, batch_sizes))
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence and pack_padded_sequences in nn.utils.rnn."
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, data, indices=None):
        sorted_indices, unsorted_indices = indices or (self.sorted_indices, self.unsorted_indices)
        return type(self)(data, self.batch_sizes, sorted_indices, unsorted_indices)

    def pin_memory(self):
        """The sequence in page-locked memory."""
        pinned = [bind(t, lambda t: t.pin_memory()) for t in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(self.data.pin_memory(), self.batch_sizes, *pinned)

    def to(self, *args, **kwargs):
        """The sequence with its data moved or cast, as `Tensor.to`; the same object if nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        if data.device == self.data.device:
            return self._with(data)
        moved = [bind(t, lambda t: t.to(data.device)) for t in (self.sorted_indices, self.unsorted_indices)]
        return self._with(data, moved)

    def cuda(self, *args, **kwargs):
        """The sequence on a GPU."""
        example = rl.tensor((), dtype=self.data.dtype, device=self.data.device).to(*args, **kwargs)
        if example.is_cuda:
            return self.to(*args, **kwargs)
        return self.to(*args, **{**kwargs, "device": "cuda"})

    def cpu(self, *args, **kwargs):
        """The sequence on the CPU."""
        return self.to(*args, **{**kwargs, "device": "cpu"})

    def double(self):
        """The sequence as float64."""
        return self.to(dtype=rl.double)

    def float(self):
        """The sequence as float32."""
        return self.to(dtype=rl.float)

    def half(self):
        """The sequence as float16."""
        return self.to(dtype=rl.half)

    def long(self):
        """The sequence as int64."""
        return self.to(dtype=rl.long)

    def int(self):
        """The sequence as int32."""
        return self.to(dtype=rl.int)

    def short(self):
        """The sequence as int16."""
        return self.to(dtype=rl.short)

    def char(self):
        """The sequence as int8."""
        return self.to(dtype=rl.int8)

    def byte(self):
        """The sequence as uint8."""
        return self.to(dtype=rl.uint8)

    @property
    def is_cuda(self):
        """True if the data is on a GPU."""
        return self.data.is_cuda

    def is_pinned(self):
        """True if the data is in page-locked memory."""
        return self.data.is_pinned()


def bind(optional, fn):
    """fn(optional), or None for None."""
    return None if optional is None else fn(optional)


def invert_permutation(permutation):
    """The permutation that undoes this one; None for None."""
    if permutation is None:
        return None
    places = rl.arange(0, permutation.numel(), device=permutation.device)
    return rl.empty_like(permutation).scatter_(0, permutation, places)


def _batch_sizes(lengths):
    """How many of the sequences of these decreasing lengths have a first step, a second, ..."""
    sizes = []
    remaining = len(lengths)
    for step in range(lengths[0]):
        while lengths[remaining - 1] <= step:
            remaining -= 1
        sizes.append(remaining)
    return sizes


def _places(batch_sizes, row_step, column_step):
    """Where in a padded tensor with its first two dimensions joined the rows of a packed one are."""
    return [row * row_step + column * column_step for row, size in enumerate(batch_sizes) for column in range(size)]


def _check_lengths(lengths, batch_size, enforce_sorted):
    """Raise RuntimeError unless these are the lengths of a batch of sequences."""
    if len(lengths) != batch_size:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} (batch_size={batch_size})"
        )
    if any(length <= 0 for length in lengths):
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if enforce_sorted and any(first < second for first, second in zip(lengths, lengths[1:])):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )


def _pack(input, lengths, batch_first, enforce_sorted=True):
    """(data, batch_sizes) for sequences sorted by decreasing length."""
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    _check_lengths(lengths, input.size(0 if batch_first else 1), enforce_sorted)
    steps, batch = (input.size(1), input.size(0)) if batch_first else (input.size(0), input.size(1))
    if lengths[0] > steps:
        raise RuntimeError(
            f"pack_padded_sequence: expected lengths of at most {steps}, the length of the padded sequences, got "
            f"{lengths[0]}"
        )
    sizes = _batch_sizes(lengths)
    places = _places(sizes, 1, steps) if batch_first else _places(sizes, batch, 1)
    rows = input.reshape(steps * batch, *input.shape[2:])
    return rows.index_select(0, rl.tensor(places, device=input.device)), rl.tensor(sizes)


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Pack a padded batch of sequences of different lengths.

    Args: `input` (L, B, *), with batch_first (B, L, *); `lengths`, a list or a tensor on the CPU; `enforce_sorted`,
    whether to insist on decreasing lengths instead of sorting. Raises RuntimeError for lengths that do not fit.
    """
    if isinstance(lengths, rl.Tensor) and lengths.dim() != 1:
        raise RuntimeError(
            f"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.dim()}D {lengths.device.type} "
            f"{lengths.type().rpartition('.')[2].removesuffix('Tensor')} tensor"
        )
    lengths = rl.as_tensor(lengths, dtype=rl.int64, device="cpu")
    if enforce_sorted:
        return PackedSequence(*_pack(input, lengths.tolist(), batch_first), None, None)
    lengths, sorted_indices = rl.sort(lengths, descending=True)
    sorted_indices = sorted_indices.to(input.device)
    input = input.index_select(0 if batch_first else 1, sorted_indices)
    return PackedSequence(*_pack(input, lengths.tolist(), batch_first), sorted_indices, None)


def _lengths(batch_sizes):
    """The decreasing lengths of sequences, from how many have each step."""
    lengths = []
    for step in range(len(batch_sizes) - 1, -1, -1):
        lengths.extend([step + 1] * (batch_sizes[step] - len(lengths)))
    return lengths


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """The inverse of `pack_padded_sequence`: (padded tensor, lengths), in the order before packing.

    Args: `sequence`, packed; `batch_first`, the layout of the result; `padding_value`; `total_length`, to which to
    pad, at least the longest (else ValueError).
    """
    data, batch_sizes, _, unsorted_indices = sequence
    sizes = batch_sizes.tolist()
    steps = len(sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    batch = sizes[0]
    places = _places(sizes, 1, steps) if batch_first else _places(sizes, batch, 1)
    padded = data.new_full((steps * batch, *data.shape[1:]), padding_value)
    padded = padded.index_copy(0, rl.tensor(places, device=data.device), data)
    padded = padded.view(*((batch, steps) if batch_first else (steps, batch)), *data.shape[1:])
    lengths = rl.tensor(_lengths(sizes))
    if unsorted_indices is None:
        return padded, lengths
    padded = padded.index_select(0 if batch_first else 1, unsorted_indices)
    return padded, lengths[unsorted_indices.cpu()]


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Put sequences (L_i, *) into one tensor (L, B, *), with batch_first (B, L, *), L being the largest length."""
    if isinstance(sequences, rl.Tensor):
        sequences = sequences.unbind(0)
    elif not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    sequences = tuple(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    longest = max(sequence.size(0) for sequence in sequences)
    first = sequences[0]
    shape = (len(sequences), longest) if batch_first else (longest, len(sequences))
    padded = first.new_full((*shape, *first.shape[1:]), padding_value)
    for place, sequence in enumerate(sequences):
        length = sequence.size(0)
        span = slice(0, length) if padding_side == "right" else slice(longest - length, longest)
        if batch_first:
            padded[place, span] = sequence
        else:
            padded[span, place] = sequence
    return padded


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """The inverse of `pad_sequence`: a list of tensors of these lengths."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [sequence[:length] for sequence, length in zip(padded_sequences, lengths.tolist())]


def pack_sequence(sequences, enforce_sorted=True):
    """Pack a list of sequences (L_i, *); `enforce_sorted` insists on decreasing lengths instead of sorting."""
    lengths = rl.tensor([sequence.size(0) for sequence in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """The inverse of `pack_sequence`: a list of tensors."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
