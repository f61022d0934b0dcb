"""One element along a dimension, chosen by an index for each position, and its transpose: what losses and max with
indices are made of.

`pick(x, index, dim)` reads x at `index` (of size 1 in `dim`); `spread(g, index, dim, size)` puts g there and zeros
elsewhere, without a scatter: each position of the result compares itself with the index. Each is the gradient of the
other.
"""

from ...core.declare import apply
from ...core.errors import BadData
from ...core.kinds import Gather


def _pick_body(k, x, index, dim: int):
    at = [k.index(d) for d in range(len(x.shape))]
    at[dim] = x.checked(index, dim, "index")
    return x.load(at)


def _spread_body(k, g, index, dim: int):
    return k.where(k.index(dim).eq(index), g, k.const(0, g.dtype))


PICK = Gather("pick", _pick_body, aligned=(1,), params=("x", "index", "dim"),
              grad={"x": lambda g, x, index, dim: spread(g, index, dim, x.shape[dim])},
              failures={"index": BadData(IndexError, "index out of range in self")})
SPREAD = Gather("spread", _spread_body, aligned=(0, 1), params=("g_in", "index", "dim"),
                grad={"g_in": lambda g, index, dim: pick(g, index, dim)})


def pick(x, index, dim):
    """x at `index` along `dim`: the shape of `index`, which is that of x with size 1 in `dim`. IndexError when out of
    range.
    """
    attrs = (("dim", dim), ("out", ((tuple(index.shape), x._layout.dtype),)))
    return apply(PICK, (x, index, dim), (x, index), attrs=attrs)[0]


def spread(g, index, dim, size):
    """g (of size 1 in `dim`) at `index` along a new size of `dim`, zeros elsewhere."""
    shape = list(index.shape)
    shape[dim] = size
    attrs = (("dim", dim), ("out", ((tuple(shape), g._layout.dtype),)))
    return apply(SPREAD, (g, index, dim), (g, index), attrs=attrs)[0]
