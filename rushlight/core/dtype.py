"""Data types and PyTorch's promotion rules.

A `DType` is a singleton; `promote` joins two, `result_type` joins the operands of an operator (dimensioned tensors,
zero-dim tensors, Python numbers) as https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
describes. Read `layout` next.
"""

import functools
import math

from ..base.lazy import is_scalar
from ..base.lazy import numpy as np

BOOL, INTEGRAL, FLOATING, COMPLEX = range(4)


def check_fits(value, dtype):
    """RuntimeError for a number that has no place in a dtype. As in PyTorch negative numbers of at most the largest
    absolute value become the unsigned ones of the same bits, and all of them fit bool; infinities and NaN fit floating
    types. OverflowError for an integer beyond 64 bits."""
    if value.__class__ is int and not -(1 << 63) <= value < 1 << 64:
        raise OverflowError("int too big to convert")
    if dtype.category == INTEGRAL:
        most = (1 << 8 * dtype.itemsize - dtype.is_signed) - 1
        if math.isfinite(value) and -most - dtype.is_signed <= math.trunc(value) <= most:
            return
    elif dtype.category == BOOL or dtype is bfloat16 or not math.isfinite(value) or (
            abs(value) <= finfo(dtype.to_real()).max):
        return
    raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")


ABBREVIATIONS = {"bfloat16": "bf16", "bool": "b8"}


class DType:
    """A tensor element type: name, size in bytes, category (bool < integral < floating < complex).

    `plain` is the type of the values, `flipped` the type whose memory holds their conjugates (real numbers: their
    negatives), see Note [Flipped types].
    """

    __slots__ = ("name", "itemsize", "category", "is_signed", "numpy_name", "order", "compute", "_numpy", "plain",
                 "flipped", "__weakref__")

    def __init__(self, name, itemsize, category, numpy_name, order, is_signed=True):
        self.name, self.itemsize, self.category, self.order = name, itemsize, category, order
        self.numpy_name, self._numpy = numpy_name, None
        self.is_signed = is_signed
        self.compute = self  # the type kernels compute in: float32 for the half precisions
        self.plain, self.flipped = self, None

    @property
    def numpy(self):
        """NumPy's dtype; None for one that NumPy does not have."""
        if self._numpy is None and self.numpy_name:
            self._numpy = np.dtype(self.numpy_name)
        return self._numpy

    @property
    def is_floating_point(self):
        return self.category == FLOATING

    @property
    def is_complex(self):
        return self.category == COMPLEX

    def to_real(self):
        return REAL_OF.get(self.plain, self.plain)

    def to_complex(self):
        return COMPLEX_OF.get(self.plain, complex64 if self.category < COMPLEX else self.plain)

    @property
    def abbr(self):
        """A short name: "f32", "bf16", "i64", "b8"."""
        return ABBREVIATIONS.get(self.plain.name) or f"{self.plain.name[0]}{8 * self.itemsize}"

    def __repr__(self):
        return f"torch.{self.plain.name}"

    def __reduce__(self):
        return (by_name, (self.plain.name,))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


uint8 = DType("uint8", 1, INTEGRAL, "u1", 1, False)
int8 = DType("int8", 1, INTEGRAL, "i1", 2)
int16 = DType("int16", 2, INTEGRAL, "i2", 3)
int32 = DType("int32", 4, INTEGRAL, "i4", 4)
int64 = DType("int64", 8, INTEGRAL, "i8", 5)
uint16 = DType("uint16", 2, INTEGRAL, "u2", 3, False)
uint32 = DType("uint32", 4, INTEGRAL, "u4", 4, False)
uint64 = DType("uint64", 8, INTEGRAL, "u8", 5, False)
float16 = DType("float16", 2, FLOATING, "f2", 6)
bfloat16 = DType("bfloat16", 2, FLOATING, None, 6)
float32 = DType("float32", 4, FLOATING, "f4", 7)
float64 = DType("float64", 8, FLOATING, "f8", 8)
complex64 = DType("complex64", 8, COMPLEX, "c8", 9)
complex128 = DType("complex128", 16, COMPLEX, "c16", 10)
bool_ = DType("bool", 1, BOOL, "?", 0, False)
float16.compute = bfloat16.compute = float32


# Note [Flipped types]
# `x.conj()` is a view: same memory, read as conjugates. So is `x.conj().imag`, read as negatives. Such a view has a
# layout of a flipped type; kernels flip the values as they load and store them, and know only plain types in between.
# Results of operators always have plain types. `Tensor.dtype` is the plain type; nothing outside of layouts and
# memory accesses should meet a flipped one.
def _flip(plain, name):
    other = DType(f"{plain.name}.{name}", plain.itemsize, plain.category, plain.numpy_name, plain.order)
    other.plain, other.compute = plain, plain
    other.flipped, plain.flipped = plain, other
    return other


FLIPPED = tuple([_flip(complex64, "conj"), _flip(complex128, "conj"), _flip(float32, "neg"), _flip(float64, "neg")])

ALL = (uint8, int8, int16, int32, int64, uint16, uint32, uint64, float16, bfloat16, float32, float64, complex64,
       complex128, bool_)
BY_NAME = {d.name: d for d in ALL}
BY_NAME.update(half=float16, float=float32, double=float64, long=int64, int=int32, short=int16, cfloat=complex64,
               cdouble=complex128)
EVERY_NAME = {**BY_NAME, **{d.name: d for d in FLIPPED}}
REAL_OF = {complex64: float32, complex128: float64}
COMPLEX_OF = {float32: complex64, float64: complex128}
SCALAR_TYPES = {"float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long",
                "int32": "Int",
                "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool", "complex64": "ComplexFloat",
                "complex128": "ComplexDouble", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64"}


def by_name(name):
    return EVERY_NAME[name]


def scalar_type(dtype):
    """The name PyTorch's messages use: float32 -> "Float"."""
    return SCALAR_TYPES[dtype.plain.name]


class _Default:
    """The default floating point dtype, changed by `set_default_dtype`."""

    dtype = float32


def get_default_dtype():
    """The dtype of Python floats that become tensors."""
    return _Default.dtype


WATCHERS = []  # functions to call after a change of the default, of those that keep what was promoted with it


def set_default_dtype(d):
    """Set the dtype of Python floats that become tensors. TypeError unless floating point."""
    if not isinstance(d, DType) or not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, got {d}")
    _Default.dtype = d
    for watcher in WATCHERS:
        watcher()


def _promote(a, b):
    if a is b:
        return a
    if a.category != b.category:
        low, high = sorted((a, b), key=lambda d: d.category)
        if high.category == COMPLEX and low is float64:
            return complex128
        return high
    if a.category == FLOATING and {a, b} == {float16, bfloat16}:
        return float32
    if a.category == INTEGRAL and (a.is_signed != b.is_signed):
        unsigned, signed = (b, a) if a.is_signed else (a, b)
        if unsigned is not uint8:
            raise RuntimeError(f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
                               f"{scalar_type(a)} and {scalar_type(b)}")
        return signed if signed.itemsize > unsigned.itemsize else int16
    return a if a.order > b.order else b


_PROMOTED = {}


def promote(a, b):
    """The smallest dtype that holds both: torch.promote_types."""
    if a is b:
        return a.plain
    found = _PROMOTED.get((a, b))
    if found is None:
        found = _PROMOTED[a, b] = _promote(a.plain, b.plain)
    return found


def of_number(value):
    """The dtype a Python number stands for in promotion."""
    kind = value.__class__
    if kind is bool:
        return bool_
    if kind is int:
        return int64
    if kind is float:
        return _Default.dtype
    if kind is complex:
        return _Default.dtype.to_complex()
    return number_kind(value)


def number_kind(value):
    """The dtype of a NumPy scalar or other number-like object."""
    if is_scalar(value):
        value = value.item()
    if isinstance(value, bool):
        return bool_
    if isinstance(value, int):
        return int64
    if isinstance(value, float):
        return _Default.dtype
    if isinstance(value, complex):
        return _Default.dtype.to_complex()
    raise TypeError(f"expected a Number, got {type(value).__name__}")


def is_number(value):
    return isinstance(value, (bool, int, float, complex)) or (
        is_scalar(value) and isinstance(value, (np.number, np.bool_)))


def plain(value):
    """A Python number for one of NumPy's; other values as they are."""
    return value.item() if is_scalar(value) else value


@functools.cache
def numpy_types():
    """{NumPy's dtype: DType}."""
    return {d.numpy: d for d in ALL if d.numpy_name}


def combine_categories(high, low):
    """Join a result of higher priority with one of lower: only a higher category can change it."""
    if low is None:
        return high
    if high is None or low.category > high.category:
        return low if high is None else combine_up(high, low)
    return high


def combine_up(high, low):
    if low.category == COMPLEX and high.category == FLOATING:
        return high.to_complex()  # as precise as the operand of higher priority
    return low


def result_type(dimensioned, zero_dim, numbers):
    """Join dtypes by priority: dimensioned tensors, then zero-dim tensors, then Python numbers (iterables of
    dtypes)."""
    joined = []
    for group in (dimensioned, zero_dim, numbers):
        result = None
        for dtype in group:
            result = dtype.plain if result is None else promote(result, dtype)
        joined.append(result)
    dims, zeros, plain = joined
    return combine_categories(dims, combine_categories(zeros, plain))


def can_cast(source, target):
    """Whether a result of dtype `source` may be written to a tensor of dtype `target`."""
    if source.category == COMPLEX and target.category != COMPLEX:
        return False
    if source.category == FLOATING and target.category < FLOATING:
        return False
    return not (source.category > BOOL and target.category == BOOL)


class iinfo:
    """Limits of an integer dtype: bits, min, max."""

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, dtype):
        if dtype.category == BOOL:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        if dtype.category != INTEGRAL:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{dtype}'")
        self.bits, self.dtype = dtype.itemsize * 8, dtype.name
        self.min = -1 << self.bits - 1 if dtype.is_signed else 0
        self.max = (1 << self.bits) - 1 + self.min

    def __repr__(self):
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


# The bits of the fraction and the largest exponent.
FLOATING_FORMATS = {float16: (10, 15), bfloat16: (7, 127), float32: (23, 127), float64: (52, 1023)}


class finfo:
    """Limits of a floating dtype: bits, eps, max, min, tiny, smallest_normal, resolution."""

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, dtype=None):
        dtype = (dtype or get_default_dtype()).to_real()
        if dtype.category != FLOATING:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{dtype}'")
        self.dtype, self.bits = dtype.name, dtype.itemsize * 8
        fraction, largest = FLOATING_FORMATS[dtype]
        self.eps, self.tiny = 2.0**-fraction, 2.0 ** (1 - largest)
        self.max = math.ldexp(2 - self.eps, largest)
        self.resolution = float(f"1e-{math.floor(fraction * math.log10(2))}")
        self.min, self.smallest_normal = -self.max, self.tiny

    def __repr__(self):
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
                f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})")
