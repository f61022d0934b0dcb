"""Custom functions under vmap: `Function.apply` with batched tensors among its arguments."""

from typing import NamedTuple

from .. import api
from ..autograd import function
from ..core.tensor import Tensor
from ..utils._pytree import _broadcast_to_and_flatten, tree_flatten, tree_map, tree_unflatten
from .batched import batch, contains, is_batched, levels, within


class VmapInfo(NamedTuple):
    """What `Function.vmap` is told."""

    batch_size: int
    randomness: str


def apply(cls, args, kwargs):
    """The result under the innermost vmap that an argument is batched at; NotImplemented if there is none."""
    active = levels()
    at = next((i for i in range(len(active) - 1, -1, -1) if contains((args, kwargs), active[i])), None)
    if at is None:
        return NotImplemented
    level = active[at]
    own_rule = cls.vmap is not function.Function.vmap
    if own_rule and cls.generate_vmap_rule:
        raise RuntimeError(f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and an "
                           "overriden vmap staticmethod. Please set generate_vmap_rule=False or delete the overriden "
                           "vmap staticmethod to avoid ambiguity.")
    if not own_rule and not cls.generate_vmap_rule:
        raise RuntimeError(f"You tried to vmap over {cls.__name__}, but it does not have vmap support. Please override "
                           "and implement the vmap staticmethod or set generate_vmap_rule=True.")
    with within(active[:at]):
        return by_rule(cls, args, level) if own_rule else by_sample(cls, args, kwargs, level)


def by_rule(cls, args, level):
    """What the function's own rule gives."""
    in_dims = tree_map(lambda v: v.bdim if is_batched(v, level) else None, tuple(args))
    values = tree_map(lambda v: v.value if is_batched(v, level) else v, tuple(args))
    found = cls.vmap(VmapInfo(level.size, level.randomness), in_dims, *values)
    if not isinstance(found, tuple) or len(found) != 2:
        raise RuntimeError(f"{cls.__name__}.vmap: expected (outputs, out_dims), got {type(found)}")
    leaves, spec = tree_flatten(found[0])
    dims = _broadcast_to_and_flatten(tuple(found[1]) if isinstance(found[1], list) else found[1], spec)
    if dims is None:
        raise RuntimeError(f"{cls.__name__}.vmap: out_dims {found[1]} do not fit the structure of the outputs, {spec}")
    return tree_unflatten([v if d is None else batch(v, d, level) for v, d in zip(leaves, dims)], spec)


def by_sample(cls, args, kwargs, level):
    """The function for each sample, in one program: its forward and backward stay what they are."""
    results = [cls.apply(*tree_map(lambda v, n=n: v.value.select(v.bdim, n) if is_batched(v, level) else v, args),
                         **kwargs) for n in range(level.size)]
    columns = zip(*[tree_flatten(r)[0] for r in results])
    made = [batch(api.stack(list(c)), 0, level) if isinstance(c[0], Tensor) else c[0] for c in columns]
    return tree_unflatten(made, tree_flatten(results[0])[1])


function.under_transform = apply
