"""Tensors of which each rank holds some rows: `DTensor`, made by FSDP, understood by `distributed.checkpoint`.

PyTorch's DTensor shows the shape of the whole and computes with it. This one is its local part, with the operators of
any tensor; `full_tensor()` gathers the whole, and `global_shape` tells its shape.
"""
from .. import api as rl
from ..nn.parameter import Parameter
from . import collectives, world

__all__ = ["DTensor", "Replicate", "Shard", "ShardedParameter"]


class Shard:
    """The placement of a tensor that is cut along a dimension."""

    def __init__(self, dim):
        self.dim = dim

    def __eq__(self, other):
        return isinstance(other, Shard) and other.dim == self.dim

    def __hash__(self):
        return hash((Shard, self.dim))

    def __repr__(self):
        return f"Shard(dim={self.dim})"


class Replicate:
    """The placement of a tensor that every rank holds."""

    def __eq__(self, other):
        return isinstance(other, Replicate)

    def __hash__(self):
        return hash(Replicate)

    def __repr__(self):
        return "Replicate()"


class Rows:
    """Which rows of a tensor a rank holds: an equal number on every rank but the last ones, which may have fewer.

    Args: group; shape: of the whole tensor (a scalar counts as one row).
    """

    def __init__(self, group, shape):
        self.group, self.shape = group, tuple(shape)
        count, rank, length = group.size(), group.rank(), self.shape[0] if self.shape else 1
        self.step = -(-length // count)  # rows a rank
        self.start, self.stop = min(rank * self.step, length), min((rank + 1) * self.step, length)
        self.inner = 1  # elements a row
        for size in self.shape[1:]:
            self.inner *= size

    @property
    def local_shape(self):
        """The shape of this rank's part."""
        return (self.stop - self.start, *self.shape[1:])

    @property
    def padded(self):
        """The number of elements that every rank sends."""
        return self.step * self.inner

    def of(self, whole):
        """This rank's part of a whole tensor, as a view."""
        return (whole if whole.dim() else whole.reshape(1))[self.start:self.stop]

    def gather(self, part):
        """The whole tensor, from the parts of all ranks."""
        flat = part.detach().new_zeros(self.padded)
        flat[:part.numel()] = part.detach().reshape(-1)
        whole = flat.new_empty(self.group.size() * self.padded)
        collectives.all_gather_into_tensor(whole, flat, self.group)
        count = 1
        for size in self.shape:
            count *= size
        return whole[:count].reshape(self.shape)


class _Sharded:
    """The methods of tensors with an attribute `_shard` (Rows)."""

    @property
    def placements(self):
        """How the tensor is distributed."""
        return (Shard(0),)

    @property
    def global_shape(self):
        """The shape of the whole tensor."""
        return rl.Size(self._shard.shape)

    def to_local(self):
        """This rank's part, as an ordinary tensor."""
        return self.detach().as_subclass(rl.Tensor)

    def full_tensor(self):
        """The whole tensor. All ranks of the group call it."""
        return self._shard.gather(self)


class DTensor(_Sharded, rl.Tensor):
    """This rank's rows of a tensor."""


class ShardedParameter(_Sharded, Parameter):
    """This rank's rows of a parameter; what optimizers train."""

    def __deepcopy__(self, memo):
        raise NotImplementedError("copy.deepcopy: a sharded parameter; use its state_dict")


def sharded(tensor, rows):
    """A DTensor over the memory of a rank's part."""
    found = rl.Tensor._make_subclass(DTensor, tensor.detach().as_subclass(rl.Tensor), False)
    found._shard = rows
    return found


def sharded_parameter(tensor, rows, requires_grad):
    """A parameter over the memory of a rank's part."""
    found = rl.Tensor._make_subclass(ShardedParameter, tensor.detach(), requires_grad)
    found._shard = rows
    return found


def default_group(group):
    """The group that `group` means, an error if this rank is not in it."""
    found = world.member(group)
    if found is None:
        raise ValueError("this rank is not in the group")
    return found
