"""`segment_reduce`: sums, means, products and extremes of consecutive stretches of a tensor.

In: data and how long the stretches along a dimension are. Out: one row a stretch. It is a scatter: the number of its
stretch is the position that an element goes to.
"""

from ...core.declare import REGISTRY, public
from ...core.tensor import Tensor
from ..basic.creation import arange, full

KINDS = {"sum": ("sum", 0.0), "mean": ("sum", 0.0), "prod": ("prod", 1.0), "max": ("amax", -float("inf")),
         "min": ("amin", float("inf"))}


@public("torch.segment_reduce", out=False)
def segment_reduce(data, reduce, *, lengths=None, indices=None, offsets=None, axis=0, unsafe=False, initial=None):
    """Reduce consecutive stretches of `data` along a dimension, each to one row.

    Without `initial`, empty stretches give 0 (sum), 1 (prod), NaN (mean) or an infinity.

    Args:
        data (Tensor): any shape, floating.
        reduce (str): "sum", "mean", "max", "min" or "prod".
        lengths (Tensor, optional): how long the stretches are, of shape data.shape[:axis] + (stretches,).
        indices (None): accepted as None alone.
        offsets (Tensor, optional): where they begin, and where the last one ends: one more than stretches.
        axis (int): the dimension that is cut into stretches.
        unsafe (bool): whether to trust that the lengths add up to the size of the dimension.
        initial (number, optional): what each stretch starts with.

    Returns:
        Tensor: the shape of `data` with the number of stretches in `axis`.

    Raises:
        RuntimeError: neither lengths nor offsets are given, or the lengths do not add up.

    Example:
        >>> torch.segment_reduce(torch.tensor([1.0, 2.0, 3.0]), "sum", lengths=torch.tensor([1, 2]))
        tensor([1., 5.])
    """
    if reduce not in KINDS:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    if lengths is None and offsets is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    edges = offsets if lengths is None else lengths
    axis = axis + data.ndim if axis < 0 else axis
    if edges.ndim != axis + 1:
        raise RuntimeError(f"segment_reduce(): Expected axis to be the last dimension of "
                           f"{'lengths' if offsets is None else 'offsets'} but got {axis}.")
    size = data.shape[axis]
    if lengths is None:
        lengths = offsets.narrow(axis, 1, offsets.shape[axis] - 1) - offsets.narrow(axis, 0, offsets.shape[axis] - 1)
    elif not unsafe:
        check_lengths(lengths, size)
    return reduced(data, reduce, lengths, axis, initial)


def check_lengths(lengths, size):
    """RuntimeError unless lengths are not negative and add up."""
    if lengths.numel() and int(lengths.min()) < 0:
        raise RuntimeError("segment_reduce(): lengths contains negative value!")
    totals = lengths.sum(-1)
    if not bool((totals == size).all()):
        raise RuntimeError("segment_reduce(): Expected all rows of lengths along axis to sum to "
                           "data.size(lengths.dim()-1) when !unsafe.")


def reduced(data, reduce, lengths, axis, initial):
    """The rows of the stretches."""
    kind, neutral = KINDS[reduce]
    rank, count, size = data.ndim, lengths.shape[axis], data.shape[axis]
    ends = lengths.cumsum(-1)
    places = arange(size, dtype=ends.dtype, device=ends.device)
    places = places.expand(*lengths.shape[:-1], size).contiguous()
    numbers = REGISTRY["searchsorted"](ends.contiguous(), places, right=True)
    index = numbers.reshape(*numbers.shape, *[1] * (rank - axis - 1)).expand(data.shape)
    start = neutral if initial is None else initial.item() if isinstance(initial, Tensor) else initial
    shape = (*data.shape[:axis], count, *data.shape[axis + 1:])
    made = full(shape, start, dtype=data.dtype, device=data.device).scatter_reduce(axis, index, data, kind)
    if reduce != "mean":
        return made
    lengths = lengths.reshape(*lengths.shape, *[1] * (rank - axis - 1))
    if initial is not None:
        lengths = lengths.clamp(min=1)
    return made / lengths.to(data.dtype)
