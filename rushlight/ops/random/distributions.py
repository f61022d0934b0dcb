"""The in-place distributions of Tensor: bernoulli_, exponential_, geometric_, cauchy_, log_normal_.

In: the tensor to overwrite and the parameters. Out: an element-wise operator over raw draws, two for each element. Read
`random` first.
"""

from ...core import dtype as dt
from ...core.declare import elementwise, public
from ...core.errors import BadData
from ...core.tensor import Tensor
from ..basic.creation import empty_like, zeros_like
from .random import (
    CPP_NAMES,
    bits53,
    check_floating,
    emit,
    few_normals,
    fill_in_place,
    in_place,
    raw_draws,
    result_dtype,
    unit,
    unit53,
    zero_rule,
)


@elementwise("Tensor._random_bernoulli", name="random_bernoulli", promote=result_dtype)
def bernoulli_values(k, raw, threshold: float, dtype: object):
    """1 where the 53-bit draw is below the threshold, which is p * 2**53 rounded up."""
    return k.cast(bits53(k, raw) < threshold, dtype)


PROBABILITY = BadData(RuntimeError, "Expected p_in >= 0 && p_in <= 1 to be true, but got false.")


@elementwise("Tensor._random_bernoulli_each", name="random_bernoulli_each", promote=result_dtype,
             failures={"probability": PROBABILITY})
def bernoulli_each(k, raw, p, dtype: object):
    """1 where the draw is below the probability given for the element, which is checked to be one."""
    p = k.cast(p, dt.float64 if raw.dtype is dt.int64 else dt.float32)
    k.report((~((p >= 0.0) & (p <= 1.0))).vector_value(), "probability")
    return k.cast(unit(k, raw) < p, dtype)


@elementwise("Tensor._random_exponential", name="random_exponential", promote=result_dtype, heavy=True)
def exponential_values(k, raw, rate: float, dtype: object):
    """-log(1 - u) / rate."""
    return k.cast(k.log1p(-unit53(k, raw)) * (-1.0 / rate), dtype)


@elementwise("Tensor._random_geometric", name="random_geometric", promote=result_dtype, heavy=True)
def geometric_values(k, raw, p: float, dtype: object):
    """ceil(log u / log(1 - p))."""
    return k.cast(k.ceil(k.log(unit53(k, raw)) / k.log(1.0 - p)), dtype)


@elementwise("Tensor._random_cauchy", name="random_cauchy", promote=result_dtype, heavy=True)
def cauchy_values(k, raw, median: float, sigma: float, dtype: object):
    """median + sigma * tan(pi * (u - 1/2))."""
    return k.cast(k.tan((unit53(k, raw) - 0.5) * 3.141592653589793) * sigma + median, dtype)


@elementwise("Tensor._random_exp", name="random_exp", promote=result_dtype, heavy=True)
def exp_values(k, value, dtype: object):
    """exp of a double, rounded to the dtype."""
    return k.cast(k.exp(value), dtype)


BERNOULLI_RULE, BERNOULLI_EACH_RULE = zero_rule("BernoulliBackward2"), zero_rule("BernoulliBackward1")
EXPONENTIAL_RULE, GEOMETRIC_RULE = zero_rule("ExponentialBackward0"), zero_rule("GeometricBackward0")
CAUCHY_RULE, LOG_NORMAL_RULE = zero_rule("CauchyBackward0"), zero_rule("LogNormalBackward0")


def threshold(p):
    """The integer t with n < t exactly where n * 2**-53 < p. RuntimeError unless 0 <= p <= 1."""
    p = float(p)
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    scaled = p * 2.0**53
    return int(scaled) + (scaled != int(scaled))


def _each_into(tensor, p, generator, out):
    """Bernoulli numbers with a probability per element, for the Layout of `tensor`."""
    check_floating(p.dtype, "bernoulli_tensor_cpu_p_")
    raw = raw_draws(tensor, generator, p.dtype is dt.float64)
    return emit(bernoulli_each, tensor._layout.dtype, (raw, p.detach()), (), out)


@public("Tensor.bernoulli_", out=False)
def bernoulli_(self, p=0.5, *, generator=None):
    """1 with probability p (a number, or a tensor that broadcasts), else 0."""
    if isinstance(p, Tensor):
        wide = p.expand(self.shape)
        return fill_in_place(self, BERNOULLI_EACH_RULE, lambda: _each_into(self, wide, generator, self))
    return in_place(bernoulli_values, self, BERNOULLI_RULE, generator, True, (threshold(p),))


def _bernoulli_back(g):
    return zeros_like(g)


@public("Tensor._bernoulli", grad={"input": _bernoulli_back}, node="BernoulliBackward0", out=False)
def _bernoulli(input, generator):
    check_floating(input.dtype, "bernoulli_tensor_cpu_p_")
    tensor = empty_like(input)
    return _each_into(tensor, input, generator, None) if input.numel() else tensor


@public("bernoulli")
def bernoulli(input, p=None, *, generator=None):
    """Return 1 with the probability that `input` gives for each element, else 0.

    Args:
        input (Tensor): probabilities in [0, 1], floating; only the shape and dtype with `p`.
        p (float or Tensor, optional): the probability of all elements.
        generator (Generator, optional): the state that the draws come from; the default one by default.
        out (Tensor, optional): where the result is written.

    Returns:
        Tensor: the shape and dtype of `input`.

    Raises:
        RuntimeError: a probability is outside of [0, 1].

    Example:
        >>> _ = torch.manual_seed(0)
        >>> torch.bernoulli(torch.tensor([0.0, 1.0, 0.5]))
        tensor([0., 1., 1.])
    """
    if p is None:
        return _bernoulli(input, generator)
    return empty_like(input).bernoulli_(p, generator=generator)


def check_continuous(dtype, name):
    if dtype.category != dt.FLOATING:
        what = CPP_NAMES.get(dtype.name, dtype.name) if name == "Cauchy" else dt.scalar_type(dtype)
        raise RuntimeError(f"{name} distribution is a continuous probability distribution. dtype must be a floating "
                           f"point but you specified {what}")


@public("Tensor.exponential_", out=False)
def exponential_(self, lambd=1, *, generator=None):
    """Numbers of density lambd * exp(-lambd * x). RuntimeError unless lambd > 0."""
    check_continuous(self._layout.dtype, "Exponential")
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    return in_place(exponential_values, self, EXPONENTIAL_RULE, generator, True, (float(lambd),))


@public("Tensor.geometric_", out=False)
def geometric_(self, p, *, generator=None):
    """How many trials of probability p until the first success. RuntimeError unless 0 < p < 1."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return in_place(geometric_values, self, GEOMETRIC_RULE, generator, True, (float(p),))


@public("Tensor.cauchy_", out=False)
def cauchy_(self, median=0, sigma=1, *, generator=None):
    """Cauchy numbers. RuntimeError unless sigma > 0."""
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    check_continuous(self._layout.dtype, "Cauchy")
    return in_place(cauchy_values, self, CAUCHY_RULE, generator, True, (float(median), float(sigma)))


@public("Tensor.log_normal_", out=False)
def log_normal_(self, mean=1, std=2, *, generator=None):
    """exp of normal numbers. RuntimeError unless std > 0."""
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    check_continuous(self._layout.dtype, "Log normal")

    def write():
        values = few_normals(self, generator, float(mean), float(std))
        emit(exp_values, self._layout.dtype, (values,), (), self)
    return fill_in_place(self, LOG_NORMAL_RULE, write)
