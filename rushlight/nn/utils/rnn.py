"""Padded and packed sequences under the name that PyTorch gives their module; they are in nn/sequences.py."""
from ..sequences import (  # noqa: F401
    PackedSequence,
    PackedSequence_,
    bind,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)

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
