"""Random numbers of the CPU: rand, randn, randint, randperm, and the in-place distributions of Tensor.

Every function here is a stretch of raw 32-bit draws of the generator (`random_draws`, made in order by one native
kernel) and an ordinary element-wise operator that turns one draw (24 bits) or two (53 bits) into a number: that one
fuses with what follows. Draws are taken in the order of the memory of the result, as PyTorch takes them. Box-Muller
in groups of 16 has a kernel of its own. Read `generator` for the state, `dropout` and `sampling` next,
`codegen/cpu/rows/random.py` for the kernels.
"""

import math
import warnings

from ...base.lazy import Lazy
from ...core import dtype as dt
from ...core import infer as rules
from ...core.declare import elementwise, public
from ...core.device import resolve
from ...core.grads import GradRule, begin_write, check_inplace, end_write
from ...core.graph import MODE
from ...core.kinds import Kernel
from ...core.layout import contiguous_strides, dense_strides_like
from ...core.record import record
from ...core.storage import MetaStorage
from ...core.stream import STREAM
from ...core.tensor import Tensor, version_of
from ...core.tensor import empty as empty_tensor
from ..basic.complex import view_as_complex, view_as_real
from ..basic.copy import COPY, cast
from ..basic.creation import empty_like, sizes_of, zeros, zeros_like
from .generator import draw, generator_of

fractions = Lazy("fractions")

GROUP = 16  # numbers that Box-Muller makes at a time
WIDE_SPAN = 1 << 28  # from this span on an integer takes two draws
DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}

DRAWS = Kernel("random_draws", layouts=rules.strided, lower="rows.random:lower_draws", reads=("contiguous",))
BOX_MULLER = Kernel("box_muller", lower="rows.box_muller:lower_box_muller", reads=("contiguous",), writes="contiguous")
NORMALS = Kernel("random_normals", layouts=rules.strided, lower="rows.random:lower_normals", reads=("contiguous",))


def result_dtype(layouts, numbers, attrs):
    return None, dict(attrs)["dtype"]


# -- scalar bodies -------------------------------------------------------------------------------------------


def unit24(k, raw):
    """A draw as a float in [0, 1)."""
    return k.cast(raw & 0xFFFFFF, dt.float32) * 2.0**-24


def unit53(k, raw):
    """Two draws (the first in the low half of `raw`) as a double in [0, 1)."""
    high = k.cast(k.cast(raw & 0x1FFFFF, dt.int32), dt.float64)
    low = k.cast(k.bitwise("lshr", raw, 32), dt.int32) ^ -(1 << 31)
    return (high * 4294967296.0 + (k.cast(low, dt.float64) + 2147483648.0)) * 2.0**-53


def bits53(k, raw):
    """Two draws as the integer 0 <= n < 2**53 that `unit53` divides."""
    return ((raw & 0x1FFFFF) << 32) | k.bitwise("lshr", raw, 32)


def bits64(k, raw):
    """Two draws as 64 bits, the first one high."""
    return (raw << 32) | k.bitwise("lshr", raw, 32)


def unit(k, raw):
    return unit53(k, raw) if raw.dtype is dt.int64 else unit24(k, raw)


@elementwise("Tensor._random_uniform", name="random_uniform", promote=result_dtype)
def uniform_values(k, raw, low: float, high: float, dtype: object):
    """Draws as numbers in [low, high); what rounding would take to `high` becomes `low`."""
    wide = dtype.compute
    start, stop = k.cast(low, wide), k.cast(high, wide)
    value = k.cast(k.fma(unit(k, raw), stop - start, start), dtype)
    return k.where(value.eq(k.cast(high, dtype)), k.cast(low, dtype), value)


@elementwise("Tensor._random_integer", name="random_integer", promote=result_dtype)
def integer_values(k, raw, base: float, span: float, dtype: object):
    """base + draw % span, for a span below 2**28 in doubles (which are exact), else in 64 bits."""
    if raw.dtype is dt.int64:
        value = k.cast(k.mod(k.cast(bits64(k, raw), dt.uint64), k.cast(span, dt.uint64)), dt.int64) + base
        return k.cast(value, dtype)
    x = k.cast(raw ^ -(1 << 31), dt.float64) + 2147483648.0
    size = k.cast(span, dt.float64)
    rest = x - k.floor(x * (1.0 / size)) * size
    rest = k.where(rest < 0.0, rest + size, rest)
    rest = k.where(rest >= size, rest - size, rest)
    if dtype.category >= dt.FLOATING:
        return k.cast(rest + k.cast(base, dt.float64), dtype)
    return k.cast(k.cast(k.cast(rest, dt.int32), dt.int64) + base, dtype)


@elementwise("Tensor._random_bits", name="random_bits", promote=result_dtype)
def all_bits(k, raw, dtype: object):
    """64 random bits."""
    return k.cast(bits64(k, raw), dtype)


# -- recording -----------------------------------------------------------------------------------------------


def raw_draws(tensor, generator, wide):
    """Draws for a result like a tensor: int32, or int64 with two draws each."""
    found = tensor._layout
    strides = found.strides if found.dense else dense_strides_like(found.shape, found.strides)
    return draw(DRAWS, generator, ((tuple(found.shape), tuple(strides), dt.int64 if wide else dt.int32),),
                tensor._storage.device)[0]


def emit(function, dtype, tensors, numbers=(), out=None):
    """Record an element-wise operator of this file; into `out` if given."""
    pattern, attrs = "t" * len(tensors) + "n" * len(numbers), (("dtype", dtype),)
    if out is None:
        return record(function.op, pattern, attrs, tensors, numbers)[0]
    record(function.op, pattern, attrs, tensors, numbers, (out,))
    return out


def fill_in_place(self, rule, write):
    """Run `write()`, which overwrites a tensor with random numbers, under the rules of in-place operators; the
    tensor."""
    node = begin_write(rule, (self,), self)
    version = version_of(self)
    try:
        if self._layout.numel and self._storage.__class__ is not MetaStorage:
            write()
        end_write(node, self)
    except BaseException:
        STREAM.unsettled.append((node, self, version))  # Note [Unsettled writes] in core/grads.py
        STREAM.dirty = True
        raise
    return self


def zero_gradient(g):
    return zeros_like(g)


def zero_rule(node):
    """The rule of an in-place distribution: what was there before gets a gradient of zero."""
    return GradRule(node, ["input"], {"input": zero_gradient}, node)


def in_place(function, self, node_rule, generator, wide, numbers):
    """One element-wise distribution written over a tensor."""
    def write():
        emit(function, self._layout.dtype, (raw_draws(self, generator, wide),), numbers, self)
    return fill_in_place(self, node_rule, write)


# -- uniform -------------------------------------------------------------------------------------------------


UNIFORM_RULE = zero_rule("UniformBackward0")


def check_floating(dtype, what):
    if dtype.category != dt.FLOATING:
        raise NotImplementedError(f"\"{what}\" not implemented for '{dt.scalar_type(dtype)}'")


def uniform_into(tensor, low, high, generator):
    found = tensor._layout
    emit(uniform_values, found.dtype, (raw_draws(tensor, generator, found.dtype is dt.float64),), (low, high), tensor)


@public("Tensor.uniform_", out=False)
def uniform_(self, from_=0, to=1, *, generator=None, **named):
    """Numbers evenly spread over [from, to). RuntimeError if from > to."""
    low, high = float(named.pop("from", from_)), float(to)
    if self._layout.dtype.is_complex:
        uniform_(view_as_real(self), low, high, generator=generator)
        return self
    found = self._layout
    check_floating(found.dtype, "check_uniform_bounds")
    info = dt.finfo(found.dtype)
    for name, bound in (("from", low), ("to", high)):
        if not info.min <= bound <= info.max:
            raise RuntimeError(f"{name} is out of bounds for {found.dtype.name.removesuffix('32')}")
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}")
    if high - low > info.max:
        raise RuntimeError(f"uniform_ expects to-from <= std::numeric_limits<{dt.scalar_type(found.dtype)}>::max(), "
                           f"but found to={high:g} and from={low:g} which result in to-from to exceed the limit")
    return fill_in_place(self, UNIFORM_RULE, lambda: uniform_into(self, low, high, generator))


def new_random(name, shape, size, out, dtype, device):
    """The empty result of a function that takes `*size`."""
    if not shape and size is None:
        raise TypeError(f"{name}() received an invalid combination of arguments - got ()")
    shape = sizes_of(name, (size,) if size is not None else shape)
    if out is not None:
        return out if tuple(out.shape) == shape else out._make_room(shape)
    return empty_tensor(shape, dtype or dt.get_default_dtype(), resolve(device))


def fresh(tensor, out, requires_grad, make, write):
    """Fill the result of a factory: `make()` records a new tensor, `write(out)` one that the caller gave."""
    if out is not None:
        if MODE.grad:
            check_inplace(out, False)
        if out._layout.numel:
            write(out)
        return out
    described = tensor._storage.__class__ is MetaStorage
    result = make() if tensor._layout.numel and not described else tensor
    if requires_grad:
        result.requires_grad = True
    return result


@public("torch.rand", out=False)
def rand(*shape, size=None, generator=None, names=None, out=None, dtype=None, layout=None, device=None,
         requires_grad=False, pin_memory=False):
    """Return numbers evenly spread over [0, 1).

    Args:
        shape (int): the sizes, or one sequence of them.
        size (sequence of int, optional): the sizes, by keyword.
        generator (Generator, optional): the state that the draws come from; the default one by default.
        names (None): accepted as None alone.
        out (Tensor, optional): where the result is written.
        dtype (dtype, optional): floating; the default one by default.
        layout (layout, optional): `torch.strided`.
        device (device, optional): where the tensor lies.
        requires_grad (bool): whether autograd records what is done with it.
        pin_memory (bool): accepted; it changes nothing on the CPU.

    Returns:
        Tensor: the shape given.

    Raises:
        RuntimeError: a size is negative, or the dtype is not floating.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> torch.rand(3)
        tensor([0.4963, 0.7682, 0.0885])
    """
    tensor = new_random("rand", shape, size, out, dtype, device)
    return _rand(tensor, generator, out, requires_grad)


def pairs_of(make, tensor, out, requires_grad):
    """A complex result as pairs of real numbers that `make(tensor, out)` draws."""
    found = make(real_empty(tensor), None if out is None else view_as_real(out))
    return out if out is not None else view_as_complex(found).detach().requires_grad_(requires_grad)


def real_empty(tensor):
    """An empty real tensor that a complex one is a view of."""
    return empty_tensor((*tensor.shape, 2), tensor.dtype.to_real(), tensor.device,
                        (*[2 * s for s in tensor.stride()], 1))


def _rand(tensor, generator, out=None, requires_grad=False):
    if tensor._layout.dtype.is_complex:
        return pairs_of(lambda real, given: _rand(real, generator, given), tensor, out, requires_grad)
    found = tensor._layout
    check_floating(found.dtype, "check_uniform_bounds")

    def make():
        return emit(uniform_values, found.dtype, (raw_draws(tensor, generator, found.dtype is dt.float64),),
                    (0.0, 1.0))
    return fresh(tensor, out, requires_grad, make, lambda o: uniform_into(o, 0.0, 1.0, generator))


@public("torch.rand_like", out=False)
def rand_like(input, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
              memory_format=None):
    """`rand` of the shape, dtype and strides of a tensor."""
    tensor = empty_like(input, dtype=dtype, device=device, memory_format=memory_format)
    return _rand(tensor, generator, None, requires_grad)


# -- normal --------------------------------------------------------------------------------------------------


NORMAL_RULE = zero_rule("NormalBackward0")


def _draw_normals(tensor, generator, mean, std):
    """New normal numbers for a tensor that is contiguous and has at least 16 elements: the operands of Box-Muller."""
    found = tensor._layout
    wide = found.dtype is dt.float64
    count = found.numel
    if count % GROUP:
        # the last 16 numbers are made again from new draws; the half precisions do not draw for the first,
        # incomplete, try
        count = (count // GROUP * GROUP if found.dtype.itemsize == 2 else count) + GROUP
    raw = draw(DRAWS, generator, (((count,), (1,), dt.int64 if wide else dt.int32),), tensor._storage.device)[0]
    return raw, (mean, std)


def few_normals(tensor, generator, mean, std):
    """Normal numbers one by one, as doubles; the generator keeps the second of a pair."""
    found = tensor._layout
    strides = found.strides if found.dense else dense_strides_like(found.shape, found.strides)
    return draw(NORMALS, generator, ((tuple(found.shape), tuple(strides), dt.float64),), tensor._storage.device, "tnn",
                (), (mean, std))[0]


def normal_into(tensor, mean, std, generator):
    """Overwrite a tensor of at least one element."""
    found = tensor._layout
    if found.numel >= GROUP and found.contiguous:
        raw, numbers = _draw_normals(tensor, generator, mean, std)
        record(BOX_MULLER, "tnn", (), (raw,), numbers, (tensor,))
    else:
        record(COPY, "t", (), (few_normals(tensor, generator, mean, std),), (), (tensor,))


def new_normal(tensor, mean, std, generator):
    """As `normal_into`, with a new result like the (empty) tensor."""
    found = tensor._layout
    if found.numel >= GROUP and found.contiguous:
        raw, numbers = _draw_normals(tensor, generator, mean, std)
        return record(BOX_MULLER, "tnn", (("out", ((tuple(found.shape), found.dtype),)),), (raw,), numbers)[0]
    values = few_normals(tensor, generator, mean, std)
    return values if found.dtype is dt.float64 else record(cast.op, "t", (("dtype", found.dtype),), (values,))[0]


def check_normal(dtype, std):
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    check_floating(dtype, "normal_kernel_cpu")


@public("Tensor.normal_", out=False)
def normal_(self, mean=0, std=1, *, generator=None):
    """Normally distributed numbers. RuntimeError if std < 0."""
    if self._layout.dtype.is_complex:
        normal_(view_as_real(self), mean, std / math.sqrt(2), generator=generator)
        return self
    mean, std = float(mean), float(std)
    check_normal(self._layout.dtype, std)
    return fill_in_place(self, NORMAL_RULE, lambda: normal_into(self, mean, std, generator))


def _normal(tensor, mean, std, generator, out=None, requires_grad=False):
    """Normal numbers in a new tensor or `out`; of complex ones each part has half of the variance."""
    if tensor._layout.dtype.is_complex:
        return pairs_of(lambda real, given: _normal(real, mean, std / math.sqrt(2), generator, given), tensor, out,
                        requires_grad)
    check_normal(tensor._layout.dtype, std)
    return fresh(tensor, out, requires_grad, lambda: new_normal(tensor, mean, std, generator),
                 lambda o: normal_into(o, mean, std, generator))


@public("torch.randn", out=False)
def randn(*shape, size=None, generator=None, names=None, out=None, dtype=None, layout=None, device=None,
          requires_grad=False, pin_memory=False):
    """Return normal numbers of mean 0 and variance 1.

    Box-Muller: sqrt(-2 * log(u)) * cos(2 * pi * v), in groups of 16 from 16 elements on, one by one below.

    Args:
        shape (int): the sizes, or one sequence of them.
        size (sequence of int, optional): the sizes, by keyword.
        generator (Generator, optional): the state that the draws come from; the default one by default.
        names (None): accepted as None alone.
        out (Tensor, optional): where the result is written.
        dtype (dtype, optional): floating or complex; the default one by default.
        layout (layout, optional): `torch.strided`.
        device (device, optional): where the tensor lies.
        requires_grad (bool): whether autograd records what is done with it.
        pin_memory (bool): accepted; it changes nothing on the CPU.

    Returns:
        Tensor: the shape given.

    Raises:
        RuntimeError: a size is negative.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> torch.randn(3)
        tensor([ 1.5410, -0.2934, -2.1788])
    """
    tensor = new_random("randn", shape, size, out, dtype, device)
    return _normal(tensor, 0.0, 1.0, generator, out, requires_grad)


@public("torch.randn_like", out=False)
def randn_like(input, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
               memory_format=None):
    """`randn` of the shape, dtype and strides of a tensor."""
    tensor = empty_like(input, dtype=dtype, device=device, memory_format=memory_format)
    return _normal(tensor, 0.0, 1.0, generator, None, requires_grad)


@public("torch.normal", out=False)
def normal(mean=0.0, std=1.0, size=None, *, generator=None, out=None, dtype=None, layout=None, device=None,
           requires_grad=False, pin_memory=False):
    """Normal numbers with the given mean and standard deviation, each a number or a tensor (broadcast); `size` for
    two numbers."""
    tensors = isinstance(mean, Tensor), isinstance(std, Tensor)
    if not any(tensors):
        if size is None:
            raise TypeError("normal() received an invalid combination of arguments - got (float, float), but expected "
                            "one of: (Tensor mean, Tensor std), (Tensor mean, float std), (float mean, Tensor std), "
                            "(float mean, float std, tuple of ints size)")
        tensor = new_random("normal", (), size, out, dtype, device)
        return _normal(tensor, float(mean), float(std), generator, out, requires_grad)
    result = _normal_each(mean, std, generator) if all(tensors) \
        else _normal_around(mean, float(std), generator) if tensors[0] else _normal_spread(float(mean), std, generator)
    return result if out is None else out._make_room(result.shape).copy_(result)


def _like_shape(shape, like):
    return empty_tensor(tuple(shape), like.dtype, like.device)


@public("Tensor._normal_around", grad={"mean": zero_gradient}, node="NormalBackward1", out=False)
def _normal_around(mean, std, generator):
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    check_floating(mean.dtype, "normal_kernel_cpu")
    if not mean.numel():
        return empty_like(mean)
    return new_normal(_like_shape(mean.shape, mean), 0.0, std, generator) + mean


@public("Tensor._normal_spread", grad={"std": zero_gradient}, node="NormalBackward2", out=False)
def _normal_spread(mean, std, generator):
    check_spread(std)
    if not std.numel():
        return empty_like(std)
    return new_normal(_like_shape(std.shape, std), 0.0, 1.0, generator) * std + mean


@public("Tensor._normal_each", grad={"mean": zero_gradient, "std": zero_gradient}, node="NormalBackward3", out=False)
def _normal_each(mean, std, generator):
    check_spread(std)
    shape = rules.broadcast_shapes(mean.shape, std.shape)
    joined = empty_tensor(shape, dt.promote(mean.dtype, std.dtype), mean.device)
    if not joined.numel():
        return joined
    return new_normal(joined, 0.0, 1.0, generator) * std + mean


def check_spread(std):
    check_floating(std.dtype, "normal_kernel_cpu")
    if std.numel() and bool((std.detach() < 0).any()):
        raise RuntimeError("normal expects all elements of std >= 0.0")


# -- integers ------------------------------------------------------------------------------------------------


CPP_NAMES = {
    "uint8": "unsigned char", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long int",
    "uint16": "unsigned short", "uint32": "unsigned int", "uint64": "unsigned long", "bool": "bool", "float32": "float",
    "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
}
RANDOM_RULES = [zero_rule(f"RandomBackward{i}") for i in range(3)]


def limits(dtype):
    """The smallest and largest integer that `random_` accepts for a dtype."""
    if dtype is dt.bool_:
        return 0, 1
    info = dt.finfo(dtype) if dtype.category >= dt.FLOATING else dt.iinfo(dtype)
    return info.min, info.max


def exact_limit(dtype):
    """The largest integer up to which a dtype holds all of them."""
    if dtype.category >= dt.FLOATING:
        return 1 << DIGITS[dtype.name]
    return limits(dtype)[1]


def signed64(number):
    """The 64 bits of an integer as a signed one."""
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number


def integers(tensor, low, high, generator, out=None):
    """Integers of [low, high) like a tensor; `high` None means 64 random bits."""
    found = tensor._layout
    if high is None:
        return emit(all_bits, found.dtype, (raw_draws(tensor, generator, True),), (), out)
    span = high - low
    raw = raw_draws(tensor, generator, span >= WIDE_SPAN)
    return emit(integer_values, found.dtype, (raw,), (signed64(low), signed64(span)), out)


def rounded_to(digits, number):
    """An integer rounded to so many binary digits, ties to even."""
    shift = max(0, abs(number).bit_length() - digits)
    unit = 1 << shift
    return round(fractions.Fraction(number, unit)) * unit


def representable(dtype, low, high):
    """Bounds moved inwards where a floating dtype would round the first or last integer across them."""
    if dtype.category < dt.FLOATING:
        return low, high
    digits = DIGITS[dtype.name]
    for name, bound in (("from", low), ("to - 1", high - 1)):
        if abs(bound) > 1 << digits:
            warnings.warn(f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision limitations "
                          f"{CPP_NAMES[dtype.name]} can support discrete uniform distribution only within this "
                          f"range. This warning "
                          "will become an error in version 1.7 release, please fix the code in advance", stacklevel=5)
    first, last = rounded_to(digits, low + 1), rounded_to(digits, high - 1)
    if first < low:
        low = first + (1 << (abs(low + 1).bit_length() - digits))
    if last >= high:
        high = last - (1 << (abs(high - 1).bit_length() - digits))
    return low, high


def check_range(dtype, low, high):
    """RuntimeErrors of `random_` for bounds out of order or out of the dtype's range."""
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    least, most = limits(dtype)
    for name, bound in (("from", low), ("to - 1", high - 1)):
        if not least <= bound <= most:
            raise RuntimeError(f"{name} is out of bounds for {CPP_NAMES[dtype.name]}")


@public("Tensor.random_", out=False)
def random_(self, *bounds, generator=None, **named):
    """random_([from,] to) or random_(from, None): integers of [from, to); without bounds all non-negative ones that
    the dtype holds exactly."""
    bounds = list(bounds)
    for name in ("from", "to"):
        if name in named:
            bounds.append(named.pop(name))
            bounds = bounds + [None] if name == "from" and "to" not in named else bounds
    if named or len(bounds) > 2 or any(b is not None and not hasattr(b, "__index__") for b in bounds):
        raise TypeError(f"random_() received an invalid combination of arguments - got "
                        f"({', '.join(type(b).__name__ for b in [*bounds, *named.values()])})")
    low, high = bounds if len(bounds) == 2 else (0, bounds[0] if bounds else None)
    return _random_in_place(self, low, high, 2 - len(bounds), generator)


def _random_in_place(self, low, high, kind, generator):
    """`random_` with its arguments told apart: `kind` 0 for (from, to or None), 1 for (to), 2 for none."""
    found = self._layout
    dtype = found.dtype
    if kind == 2:
        wide = dtype in (dt.int64, dt.uint64, dt.float64)
        return fill_in_place(self, RANDOM_RULES[2], lambda: _whole_range(self, exact_limit(dtype) + 1, generator, wide))
    if high is None and low != -(1 << 63):
        high = exact_limit(dtype) + 1
    elif high is not None:
        check_range(dtype, low, high)
        low, high = representable(dtype, low, high)
    return fill_in_place(self, RANDOM_RULES[kind], lambda: integers(self, low, high, generator, self))


def _whole_range(tensor, span, generator, wide):
    """`random_()`: the width of the draw follows the dtype, not the span."""
    raw = raw_draws(tensor, generator, wide)
    if span & (span - 1):
        emit(integer_modulo, tensor._layout.dtype, (raw,), (signed64(span),), tensor)
    else:
        emit(low_bits, tensor._layout.dtype, (raw,), (span - 1,), tensor)


@elementwise("Tensor._random_low_bits", name="random_low_bits", promote=result_dtype)
def low_bits(k, raw, mask: float, dtype: object):
    """Some of the bits of a draw."""
    value = bits64(k, raw) if raw.dtype is dt.int64 else k.cast(raw, dt.int64)
    return k.cast(value & mask, dtype)


@elementwise("Tensor._random_modulo", name="random_modulo", promote=result_dtype)
def integer_modulo(k, raw, span: float, dtype: object):
    """draw % span in unsigned 64 bits."""
    if raw.dtype is dt.int64:
        value = k.cast(bits64(k, raw), dt.uint64)
    else:
        value = k.cast(k.cast(raw, dt.uint32), dt.uint64)
    return k.cast(k.cast(k.mod(value, k.cast(span, dt.uint64)), dt.int64), dtype)


@public("torch.randint", out=False)
def randint(*args, low=None, high=None, size=None, generator=None, out=None, dtype=None, layout=None, device=None,
            requires_grad=False, pin_memory=False):
    """randint(low=0, high, size): integers of [low, high), int64 unless `dtype` is given."""
    low, high, size = _bounds("randint", list(args), low, high, size, 3)
    if dtype is None:
        dtype = out.dtype if out is not None else dt.int64
    tensor = new_random("randint", (), size, out, dtype, device)
    return _randint(tensor, low, high, generator, out, requires_grad)


def _bounds(name, args, low, high, size, most):
    """(low, high, size) from positional arguments (low may be left out) and keywords. TypeError where they do not
    fit."""
    given = args + [v for v in (low, high, size if most == 3 else None) if v is not None]
    if most == 3 and size is None and args:
        size = args.pop()
    if len(args) == 2:
        low, high = args
    elif len(args) == 1:
        low, high = (args[0], high) if high is not None else (low, args[0])
    if high is None or args and len(args) > 2 or (most == 3 and size is None):
        raise TypeError(f"{name}() received an invalid combination of arguments - got "
                        f"({', '.join(type(v).__name__ for v in given)})")
    bounds = []
    for label, bound in (("low", 0 if low is None else low), ("high", high)):
        if not hasattr(bound, "__index__"):
            raise TypeError(f"{name}(): argument '{label}' must be int, not {type(bound).__name__}")
        bounds.append(rules.as_index(bound))
    return bounds[0], bounds[1], size


def _randint(tensor, low, high, generator, out, requires_grad):
    check_range(tensor.dtype, low, high)
    low, high = representable(tensor.dtype, low, high)
    return fresh(tensor, out, requires_grad, lambda: integers(tensor, low, high, generator),
                 lambda o: integers(o, low, high, generator, o))


@public("torch.randint_like", out=False)
def randint_like(input, *args, low=None, high=None, generator=None, dtype=None, layout=None, device=None,
                 requires_grad=False, pin_memory=False, memory_format=None):
    """randint_like(input, low=0, high): integers of the shape and dtype of a tensor."""
    low, high, _ = _bounds("randint_like", list(args), low, high, None, 2)
    tensor = empty_like(input, dtype=dtype, device=device, memory_format=memory_format)
    return _randint(tensor, low, high, generator, None, requires_grad)


SHUFFLE = Kernel("random_shuffle", lower="rows.random:lower_shuffle", reads=("contiguous",))


@public("torch.randperm", out=False)
def randperm(n, *, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False,
             pin_memory=False):
    """Return the numbers 0 to n - 1 in random order.

    Args:
        n (int): how many numbers.
        generator (Generator, optional): the state that the draws come from; the default one by default.
        out (Tensor, optional): where the result is written.
        dtype (dtype, optional): int64 by default.
        layout (layout, optional): `torch.strided`.
        device (device, optional): where the tensor lies.
        requires_grad (bool): whether autograd records what is done with it.
        pin_memory (bool): accepted; it changes nothing on the CPU.

    Returns:
        Tensor: a vector of `n` numbers.

    Raises:
        RuntimeError: `n` is negative, or does not fit the dtype.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> torch.randperm(5)
        tensor([4, 0, 1, 3, 2])
    """
    if not hasattr(n, "__index__"):
        raise TypeError(f"randperm(): argument 'n' (position 1) must be int, not {type(n).__name__}")
    n = rules.as_index(n)
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    dtype = dtype or (out.dtype if out is not None else dt.int64)
    if dtype.category >= dt.FLOATING and n > (1 << DIGITS[dtype.name]) + 1:
        raise RuntimeError(f"n cannot be greater than {(1 << DIGITS[dtype.name]) + 1} for {dt.scalar_type(dtype)} "
                           f"type.")
    if n and n - 1 > limits(dtype)[1]:
        raise RuntimeError(f"value cannot be converted to type {dtype.name}_t without overflow")
    device = out.device if out is not None else resolve(device)
    if n > 1:
        raw = draw(DRAWS, generator, (((n - 1,), contiguous_strides((n - 1,)), dt.int32),), device)[0]
        result = record(SHUFFLE, "t", (("out", (((n,), dt.int64),)),), (raw,))[0]
        result = result if dtype is dt.int64 else cast(result, dtype)
    else:
        generator_of(generator, device)
        result = zeros((n,), dtype=dtype, device=device)
    if out is not None:
        return out._make_room((n,)).copy_(result)
    return result.requires_grad_(requires_grad)
