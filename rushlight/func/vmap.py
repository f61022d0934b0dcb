"""`vmap`: a function of samples becomes a function of batches.

In: a function and which dimensions count samples. Out: a function that computes all samples at once. Read `batched`
first; the rules are entered by importing `rules`, `rules_views` and `rules_products`.
"""

import functools

from .. import api
from ..core.tensor import Tensor
from ..utils._pytree import _broadcast_to_and_flatten, tree_flatten, tree_unflatten
from . import rules, rules_products, rules_views  # noqa: F401  (they enter the rules)
from .batched import Level, batch, is_batched


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    """A function that applies `func` to every sample of its arguments, all at once.

    Inside `func` tensors have the shape of one sample. Functions have batching rules by kind (element-wise, along
    dimensions, views, products, convolutions, indexing); those without run once for each sample, in one program, and a
    warning says so once. Transforms nest in any order.

    Args:
        func: a function of tensors, or nests of them, that returns tensors or a nest of them.
        in_dims: the dimension that counts samples, for all arguments, or a nest like the arguments; None for what is
            the same for all samples.
        out_dims: where that dimension stands in the results; a nest like the results.
        randomness: "error", or whether random numbers are "different" or the "same" for all samples.
        chunk_size: how many samples at most are computed at once; None for all.

    Returns:
        The function of batches.

    Raises:
        ValueError: in_dims or out_dims do not fit; the sizes of batches differ.
        RuntimeError: the function needs a value (`.item()`, `if x:`), or random numbers in mode "error".

    Example::

        dot = torch.vmap(torch.dot)
        x = torch.ones(5, 3)
        assert dot(x, x).tolist() == [3.0] * 5
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        leaves, spec, dims, size = prepared(func, in_dims, args)
        kw_leaves, kw_spec = tree_flatten(kwargs)
        kw_dims = [0 if isinstance(v, Tensor) and kw_mapped(v, size) else None for v in kw_leaves]
        count = len(leaves)
        every, every_dims = leaves + kw_leaves, dims + kw_dims

        def call(values):
            return func(*tree_unflatten(values[:count], spec), **tree_unflatten(values[count:], kw_spec))
        if chunk_size is None or chunk_size >= size:
            return run(func, call, every, every_dims, size, out_dims, randomness)
        return chunked(func, call, every, every_dims, size, out_dims, randomness, chunk_size)
    return wrapped


def kw_mapped(value, size):
    """Keyword arguments are mapped over their first dimension, as in PyTorch."""
    if not value.ndim or value.shape[0] != size:
        raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got a keyword "
                         f"argument of shape {list(value.shape)} for {size} samples")
    return True


def prepared(func, in_dims, args):
    """(leaves of the arguments, their spec, the dimension of each or None, the number of samples)."""
    name = getattr(func, "__name__", repr(func))
    where = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, (int, tuple, list)):
        raise ValueError(f"{where}expected `in_dims` to be int or a (potentially nested) tuple matching the structure "
                         f"of inputs, got: {type(in_dims)}.")
    if not args:
        raise ValueError(f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to "
                         "vmap over a function with no inputs. The latter is unsupported.")
    leaves, spec = tree_flatten(args)
    dims = _broadcast_to_and_flatten(tuple(in_dims) if isinstance(in_dims, list) else in_dims, spec)
    if dims is None:
        raise ValueError(f"{where}in_dims is not compatible with the structure of `inputs`. in_dims has structure "
                         f"{tree_flatten(in_dims)[1]} but inputs has structure {spec}.")
    found, sizes = [], []
    for value, dim in zip(leaves, dims):
        if dim is None:
            found.append(None)
            continue
        if not isinstance(dim, int):
            raise ValueError(f"{where}Got in_dim={dim} for an input but in_dim must be either an integer dimension or "
                             "None.")
        if not isinstance(value, Tensor):
            raise ValueError(f"{where}Got in_dim={dim} for an input but the input is of type {type(value)}. We cannot "
                             "vmap over non-Tensor arguments, please use None as the respective in_dim")
        if not -value.ndim <= dim < value.ndim:
            raise ValueError(f"{where}Got in_dim={dim} for some input, but that input is a Tensor of dimensionality "
                             f"{value.ndim} so expected in_dim to satisfy -{value.ndim} <= in_dim < {value.ndim}.")
        found.append(dim % value.ndim)
        sizes.append(value.shape[dim])
    if not sizes:
        raise ValueError(f"{where}at least one Tensor to vmap over is needed (in_dims are all None)")
    if len(set(sizes)) > 1:
        raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} "
                         "for the mapped dimension")
    return leaves, spec, found, sizes[0]


def run(func, call, leaves, dims, size, out_dims, randomness):
    """All samples at once."""
    level = Level(size, randomness)
    with level.active():
        values = [v if d is None else batch(v, d, level) for v, d in zip(leaves, dims)]
        result = call(values)
    found, spec = tree_flatten(result)
    where = out_dims_of(func, found, spec, out_dims)
    return tree_unflatten([unwrapped(v, d, level) for v, d in zip(found, where)], spec)


def out_dims_of(func, found, spec, out_dims):
    """The dimension of samples for each result."""
    name = getattr(func, "__name__", repr(func))
    for value in found:
        if not isinstance(value, Tensor):
            raise ValueError(f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(value)} as a "
                             f"return.")
    wanted = tuple(out_dims) if isinstance(out_dims, list) else out_dims
    if spec.type is None and isinstance(wanted, tuple) and len(wanted) == 1:
        wanted = wanted[0]
    where = _broadcast_to_and_flatten(wanted, spec)
    if where is None or not all([d is None or isinstance(d, int) for d in where]):
        raise ValueError(f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the "
                         f"structure of `outputs`. out_dims has structure {tree_flatten(out_dims)[1]} but outputs has "
                         f"structure {spec}.")
    return where


def unwrapped(value, dim, level):
    """A result as a whole batch with samples counted by the dimension `dim`."""
    if dim is None:
        if is_batched(value, level):
            raise ValueError("vmap: out_dims is None for a result that differs from sample to sample")
        return value
    if not is_batched(value, level):
        value = value.unsqueeze(0).expand(level.size, *value.shape)
        return value if dim == 0 else value.movedim(0, dim)
    rank = value.ndim + 1
    if not -rank <= dim < rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})")
    return value.value if value.bdim == dim % rank else value.value.movedim(value.bdim, dim)


def chunked(func, call, leaves, dims, size, out_dims, randomness, chunk_size):
    """Chunks of samples one after the other, joined."""
    results, state = [], api.get_rng_state() if randomness == "same" else None
    for start in range(0, size, chunk_size):
        if state is not None:
            api.set_rng_state(state)
        stop = min(start + chunk_size, size)
        part = [v if d is None else v.narrow(d, start, stop - start) for v, d in zip(leaves, dims)]
        results.append(run(func, call, part, dims, stop - start, out_dims, randomness))
    found, spec = tree_flatten(results[0])
    where = out_dims_of(func, found, spec, out_dims)
    columns = zip(*[tree_flatten(r)[0] for r in results])
    return tree_unflatten([c[0] if d is None else api.cat(list(c), d) for c, d in zip(columns, where)], spec)
