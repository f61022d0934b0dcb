"""Samples from distributions given by tensors: multinomial and poisson.

In: probabilities, rates. Out: samples of the generator's draws, in PyTorch's order. Read `random` first.
"""

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import into_out, public
from ...core.kinds import Host, Kernel
from ...core.record import record
from ...core.tensor import empty as empty_tensor
from ..basic.creation import empty_like
from .generator import draw
from .random import DRAWS, check_floating, zero_gradient

MOST_CATEGORIES = 1 << 24


def _choose(outs, ins, numbers):
    """Categories of the uniform numbers that pairs of draws give, by the running sums of each row of probabilities."""
    probabilities, raw = ins
    raw = raw.view(np.uint64)
    bits = ((raw << np.uint64(32)) | (raw >> np.uint64(32))) & np.uint64((1 << 53) - 1)
    uniform = bits.astype(np.float64) * 2.0**-53
    kind = probabilities.dtype if probabilities.dtype == np.float64 else np.dtype(np.float32)
    for row, weights in enumerate(probabilities):
        sums = np.cumsum(weights, dtype=kind)
        sums = sums / sums[-1]
        sums[-1] = 1
        outs[0][row] = np.minimum(np.searchsorted(sums.astype(np.float64), uniform[row], side="left"), len(sums) - 1)


CHOOSE = Host("multinomial", _choose)


def _check_probabilities(input, many):
    """RuntimeError for probabilities that are not finite, negative, or sum up to nothing. `many`: with replacement."""
    found = input.detach()
    positive = found >= 0
    finite, empty = (positive & (found < float("inf"))).all(), (found.sum(-1) == 0).any()  # one flush computes both
    if not finite:
        if many and not positive.all():
            raise RuntimeError("invalid multinomial distribution (encountering probability entry < 0)")
        raise RuntimeError("invalid multinomial distribution (encountering probability entry = infinity or NaN)" if many
                           else "probability tensor contains either `inf`, `nan` or element < 0")
    if empty:
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


@public("multinomial")
def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """Draw indices of categories with given probabilities.

    Args:
        input (Tensor): weights that are not negative, (categories) or (rows, categories); they need not add up to 1.
        num_samples (int): how many indices each row gives.
        replacement (bool): whether an index may be drawn several times.
        generator (Generator, optional): the state that the draws come from; the default one by default.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: int64, (num_samples) or (rows, num_samples).

    Raises:
        RuntimeError: a weight is negative or not finite, all are 0, or there are too few to draw from.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> torch.multinomial(torch.tensor([0.0, 1.0, 3.0]), 4, replacement=True)
        tensor([2, 2, 2, 2])
    """
    if out is None:
        return _multinomial(input, num_samples, replacement, generator)
    if out.dtype is not dt.int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {dt.scalar_type(out.dtype)}")
    return into_out("multinomial", _multinomial, out, (input, num_samples, replacement, generator), {})


def _multinomial(input, num_samples, replacement, generator):
    if input.dim() not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if input.dtype.category != dt.FLOATING:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: "
                           f"{dt.scalar_type(input.dtype)}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    categories = input.shape[-1]
    if not replacement and num_samples > categories:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if categories > MOST_CATEGORIES:
        raise RuntimeError("number of categories cannot exceed 2^24")
    if not input.numel():
        return empty_tensor((*input.shape[:-1], num_samples), dt.int64, input.device)
    _check_probabilities(input, replacement and num_samples > 1)
    if not replacement or num_samples == 1:
        # the largest of p / exponential numbers: one for each category
        found = input.detach()
        ratios = found / empty_like(found).exponential_(1, generator=generator)
        if num_samples == 1:
            return ratios.argmax(-1, keepdim=True)
        return ratios.topk(num_samples)[1]
    rows = input.detach().reshape(-1, categories)
    shape = (rows.shape[0], num_samples)
    raw = draw(DRAWS, generator, ((shape, (num_samples, 1), dt.int64),), input.device)[0]
    result = record(CHOOSE, "tt", (("out", ((shape, dt.int64),)),), (rows, raw))[0]
    return result if input.dim() == 2 else result.reshape(num_samples)


POISSON = Kernel("poisson", layouts=rules.strided, lower="rows.sampling:lower_poisson", reads=("contiguous", "dense"))


@public("torch.poisson", grad={"input": zero_gradient}, out=False)
def poisson(input, generator=None):
    """Return a Poisson number for each rate.

    Args:
        input (Tensor): rates that are not negative, floating.
        generator (Generator, optional): the state that the draws come from; the default one by default.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        RuntimeError: a rate is negative.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> torch.poisson(torch.tensor([0.0, 4.0, 100.0]))
        tensor([  0.,   7., 102.])
    """
    check_floating(input.dtype, "poisson_cpu")
    if not input.numel():
        return empty_like(input)
    if bool((input < 0).any()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    rates = input if input._layout.dense else input.contiguous()  # the result has their strides
    found = rates._layout
    return draw(POISSON, generator, ((tuple(found.shape), found.strides, found.dtype),), input.device, "tt",
                (rates,))[0]
