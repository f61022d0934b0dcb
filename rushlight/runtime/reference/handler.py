"""The handler `k` of operator bodies over NumPy: every operation takes whole arrays.

A `Value` is a dtype and an array of the type that bodies compute in: float32 for the half precisions, whose values are
rounded where a body converts to them. The methods are those of codegen/handler.py, and mean the same. Mathematical
functions come from `functions`. Read `kernels` next.
"""

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.errors import DIVISION
from .functions import FUNCTIONS

PREDICATES = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
              "ne": "not_equal"}


def failed(op, name, values=None):
    """The exception of a failure that an operator declares. `values`: the offending ones."""
    failure = DIVISION if name == "division" and name not in op.failures else op.failures[name]
    return failure.exception(failure.text if values is None else failure.text.replace("{value}", str(values.max())))


def computed(dtype):
    """The NumPy type that values of a dtype are computed in."""
    return dtype.compute.numpy


def from_bfloat(bits):
    """The float32 values of bfloat16 bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_bfloat(values):
    """The bits of float32 values rounded to bfloat16, ties to even; NaN stays NaN."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)


class Value:
    """A value of a body. Its operators are those of the handler."""

    __slots__ = ("k", "dtype", "array")

    def __init__(self, k, dtype, array):
        self.k, self.dtype, self.array = k, dtype, np.asarray(array)

    def vector_value(self):
        """What `k.report` takes."""
        return self.array

    @property
    def real(self):
        return Value(self.k, self.dtype.to_real(), self.array.real)

    @property
    def imag(self):
        return Value(self.k, self.dtype.to_real(), self.array.imag)

    def __add__(self, other):
        return self.k.add(self, other)

    __radd__ = __add__

    def __sub__(self, other):
        return self.k.sub(self, other)

    def __rsub__(self, other):
        return self.k.sub(self.k.like(other, self), self)

    def __mul__(self, other):
        return self.k.mul(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other):
        return self.k.div(self, other)

    def __rtruediv__(self, other):
        return self.k.div(self.k.like(other, self), self)

    def __floordiv__(self, other):
        return self.k.floordiv(self, other)

    def __mod__(self, other):
        return self.k.mod(self, other)

    def __neg__(self):
        return self.k.neg(self)

    def __and__(self, other):
        return self.k.bitwise("and", self, other)

    def __or__(self, other):
        return self.k.bitwise("or", self, other)

    def __xor__(self, other):
        return self.k.bitwise("xor", self, other)

    def __lshift__(self, other):
        return self.k.bitwise("shl", self, other)

    def __rshift__(self, other):
        return self.k.bitwise("ashr" if self.dtype.is_signed else "lshr", self, other)

    def __invert__(self):
        return self.k.bitwise("xor", self, True if self.dtype is dt.bool_ else -1)

    def __lt__(self, other):
        return self.k.compare("lt", self, other)

    def __le__(self, other):
        return self.k.compare("le", self, other)

    def __gt__(self, other):
        return self.k.compare("gt", self, other)

    def __ge__(self, other):
        return self.k.compare("ge", self, other)

    def eq(self, other):
        return self.k.compare("eq", self, other)

    def ne(self, other):
        return self.k.compare("ne", self, other)


class Handler:
    """The operations of the body of an operator. `domain`: the shape over which a gathering body runs, see `index`."""

    def __init__(self, op, domain=()):
        self.op, self.domain = op, domain

    # -- making values -------------------------------------------------------------

    def const(self, number, dtype):
        """A constant. Integers wrap to the bits of the dtype."""
        if dtype.category == dt.INTEGRAL:
            bits = 8 * dtype.itemsize
            number = int(number) & ((1 << bits) - 1)
            if dtype.is_signed and number >> (bits - 1):
                number -= 1 << bits
        return Value(self, dtype, np.array(number, computed(dtype)))

    def complex(self, real, imag):
        """A complex value from its parts."""
        dtype = real.dtype.to_complex()
        shape = np.broadcast_shapes(real.array.shape, imag.array.shape)
        found = np.empty(shape, dtype.numpy)
        found.real, found.imag = real.array, imag.array
        return Value(self, dtype, found)

    def like(self, value, other):
        """A number as a constant of another value's dtype; values pass."""
        return value if isinstance(value, Value) else self.const(value, other.dtype)

    def index(self, d):
        """The position of each element of the domain along dimension d."""
        shape = [1] * len(self.domain)
        shape[d] = self.domain[d]
        return Value(self, dt.int64, np.arange(self.domain[d]).reshape(shape))

    def pair(self, a, b):
        """(dtype, array, array) of two operands brought to one dtype."""
        if not isinstance(b, Value):
            b = self.const(b, a.dtype)
        elif not isinstance(a, Value):
            a = self.const(a, b.dtype)
        elif a.dtype is not b.dtype:
            joined = dt.promote(a.dtype, b.dtype)
            a, b = self.cast(a, joined), self.cast(b, joined)
        return a.dtype, a.array, b.array

    def report(self, condition, failure, value=None):
        """Raise what the operator declares as this failure where an element of `condition` holds. Its text shows the
        largest of those values."""
        if np.any(condition):
            values = None if value is None else np.broadcast_to(value, condition.shape)[condition]
            raise failed(self.op, failure, values)

    # -- arithmetic ----------------------------------------------------------------

    def add(self, a, b):
        dtype, x, y = self.pair(a, b)
        return Value(self, dtype, x | y if dtype is dt.bool_ else x + y)

    def sub(self, a, b):
        dtype, x, y = self.pair(a, b)
        return Value(self, dtype, x - y)

    def mul(self, a, b):
        dtype, x, y = self.pair(a, b)
        return Value(self, dtype, x & y if dtype is dt.bool_ else x * y)

    def div(self, a, b):
        """True division; the operands are floating."""
        dtype, x, y = self.pair(a, b)
        return Value(self, dtype, x / y)

    def fma(self, a, b, c):
        """a * b + c in a wider type, rounded once more."""
        dtype, x, y = self.pair(a, b)
        _, _, z = self.pair(Value(self, dtype, x), c)
        wide = np.float64 if dtype.compute is dt.float32 else np.longdouble
        return Value(self, dtype, (x.astype(wide) * y + z).astype(computed(dtype)))

    def truncdiv(self, a, b):
        """Division rounded towards zero; an integer divisor of zero reports ZeroDivisionError."""
        dtype, x, y = self.pair(a, b)
        if dtype.is_floating_point:
            return Value(self, dtype, np.trunc(x / y))
        return Value(self, dtype, self._integer_divide(x, y)[0])

    def _integer_divide(self, x, y):
        """(quotient rounded towards zero, rest)."""
        self.report(y == 0, "division")
        quotient = np.floor_divide(x, y)
        rest = x - quotient * y
        up = (rest != 0) & ((x < 0) != (y < 0))
        quotient = quotient + up.astype(quotient.dtype)
        return quotient, x - quotient * y

    def floordiv(self, a, b):
        """Division rounded down."""
        dtype, x, y = self.pair(a, b)
        if dtype.is_floating_point:
            return self._float_floordiv(dtype, x, y)
        self.report(y == 0, "division")
        return Value(self, dtype, np.floor_divide(x, y))

    def _float_floordiv(self, dtype, x, y):
        """As Python divides floats: the quotient of what the remainder leaves, moved to the nearest integer."""
        rest = np.fmod(x, y)
        quotient = (x - rest) / y
        quotient = np.where((rest != 0) & ((y < 0) != (rest < 0)), quotient - 1, quotient)
        floored = np.floor(quotient)
        floored = np.where(quotient - floored > 0.5, floored + 1, floored)
        floored = np.where(quotient == 0, np.copysign(0, x / y), floored)
        return Value(self, dtype, np.where(y == 0, x / y, floored).astype(x.dtype))

    def mod(self, a, b):
        """The remainder with the sign of the divisor."""
        dtype, x, y = self.pair(a, b)
        if dtype.is_floating_point:
            rest = np.fmod(x, y)
            return Value(self, dtype, np.where((rest != 0) & ((y < 0) != (rest < 0)), rest + y, rest))
        self.report(y == 0, "division")
        return Value(self, dtype, np.remainder(x, y))

    def fmod(self, a, b):
        """The remainder with the sign of the dividend."""
        dtype, x, y = self.pair(a, b)
        if dtype.is_floating_point:
            return Value(self, dtype, np.fmod(x, y))
        return Value(self, dtype, self._integer_divide(x, y)[1])

    def neg(self, a):
        return Value(self, a.dtype, np.negative(a.array))

    def abs(self, a):
        return Value(self, a.dtype.to_real(), np.abs(a.array))

    def bitwise(self, op, a, b):
        """"and", "or", "xor", or a shift: "shl", "lshr" (of the bits), "ashr" (with the sign)."""
        if isinstance(a, Value) and a.dtype is dt.bool_ and not isinstance(b, Value):
            b = self.const(bool(b), dt.bool_)
        dtype, x, y = self.pair(a, b)
        if op in ("shl", "lshr", "ashr"):
            return Value(self, dtype, shifted(op, x, y))
        return Value(self, dtype, getattr(np, f"bitwise_{op}")(x, y))

    def compare(self, predicate, a, b):
        dtype, x, y = self.pair(a, b)
        return Value(self, dt.bool_, getattr(np, PREDICATES[predicate])(x, y))

    # -- choices -------------------------------------------------------------------

    def boolean(self, a):
        """The truth of a value."""
        if not isinstance(a, Value):
            return self.const(bool(a), dt.bool_)
        return a if a.dtype is dt.bool_ else self.compare("ne", a, 0)

    def where(self, condition, a, b):
        condition = self.boolean(condition)
        if not isinstance(a, Value):
            a = self.const(a, b.dtype)
        dtype, x, y = self.pair(a, b)
        return Value(self, dtype, np.where(condition.array, x, y))

    def logical_xor(self, a, b):
        return self.bitwise("xor", self.boolean(a), self.boolean(b))

    def logical_and(self, a, b):
        return self.bitwise("and", self.boolean(a), self.boolean(b))

    def logical_or(self, a, b):
        return self.bitwise("or", self.boolean(a), self.boolean(b))

    def logical_not(self, a):
        return self.bitwise("xor", self.boolean(a), True)

    def maximum(self, a, b):
        """The larger; NaN if either is NaN."""
        dtype, x, y = self.pair(a, b)
        return Value(self, dtype, np.maximum(x, y))

    def minimum(self, a, b):
        """The smaller; NaN if either is NaN."""
        dtype, x, y = self.pair(a, b)
        return Value(self, dtype, np.minimum(x, y))

    def isnan(self, a):
        if a.dtype.category < dt.FLOATING:
            return self.const(False, dt.bool_)
        return Value(self, dt.bool_, np.isnan(a.array))

    def isinf(self, a):
        if a.dtype.category < dt.FLOATING:
            return self.const(False, dt.bool_)
        return Value(self, dt.bool_, np.isinf(a.array))

    # -- conversions ---------------------------------------------------------------

    def cast(self, a, dtype):
        """Conversion as C's; to bool: different from zero. Half precisions are rounded to their values."""
        if not isinstance(a, Value):
            return self.const(a, dtype)
        if a.dtype is dtype:
            return a
        if dtype is dt.bool_:
            return self.compare("ne", a, 0)
        array = a.array.real if a.dtype.is_complex and not dtype.is_complex else a.array
        if a.dtype.category >= dt.FLOATING > dtype.category:
            array = to_integer(array, dtype)
        return self.rounded(Value(self, dtype, array.astype(computed(dtype))))

    def rounded(self, a):
        """A half-precision value rounded to what memory would hold; others pass."""
        if a.dtype is dt.bfloat16:
            return Value(self, a.dtype, from_bfloat(to_bfloat(a.array)))
        if a.dtype is dt.float16:
            return Value(self, a.dtype, a.array.astype(np.float16).astype(np.float32))
        return a

    # -- memory --------------------------------------------------------------------

    def from_memory(self, dtype, stored):
        """The value of elements as they lie in memory."""
        plain = dtype.plain
        if plain is dt.bfloat16:
            return Value(self, plain, from_bfloat(stored))
        array = stored.astype(computed(plain)) if stored.dtype != computed(plain) else stored
        if dtype is not plain:
            array = np.conj(array) if dtype.is_complex else np.negative(array)
        return Value(self, plain, array)

    def to_memory(self, value, dtype):
        """The elements to store for a value in a layout of this dtype."""
        array = self.rounded(self.cast(value, dtype.plain)).array
        if dtype is not dtype.plain:
            array = np.conj(array) if dtype.is_complex else np.negative(array)
        return to_bfloat(array) if dtype is dt.bfloat16 else array.astype(dtype.plain.numpy)

    def __getattr__(self, name):
        """Mathematical functions by name: `k.exp(x)`."""
        function = FUNCTIONS.get(name)
        if function is None:
            raise NotImplementedError(f"the function {name} is not implemented over NumPy")

        def call(first, *others):
            values = [first]
            for other in others:
                dtype, x, y = self.pair(values[0], other)
                values = [Value(self, dtype, x), *values[1:], Value(self, dtype, y)]
            dtype = values[0].dtype
            return Value(self, dtype, function(*[v.array for v in values]).astype(computed(dtype)))
        return call


def shifted(op, x, y):
    """x shifted by y; a count outside the type gives 0 (or the sign)."""
    bits = 8 * x.dtype.itemsize
    outside = (y < 0) | (y >= bits)
    if op == "ashr":
        return np.right_shift(x, np.where(outside, bits - 1, y).astype(y.dtype))
    count = np.where(outside, 0, y).astype(y.dtype)
    if op == "shl":
        moved = np.left_shift(x, count)
    else:
        unsigned = np.dtype(f"u{x.dtype.itemsize}")
        moved = np.right_shift(x.view(unsigned), count.astype(unsigned)).view(x.dtype)
    return np.where(outside, 0, moved).astype(x.dtype)


def to_integer(array, dtype):
    """Floats as integers through 64 bits (32 for the small signed types), as compiled C converts them on x86: what does
    not fit becomes the most negative number."""
    wide = 64 if dtype.itemsize == 8 or not dtype.is_signed else 32
    limit = 2.0 ** (wide - 1)
    whole = np.trunc(array.astype(np.float64))
    fits = (whole >= -limit) & (whole < limit)
    return np.where(fits, np.where(fits, whole, 0).astype(np.int64), np.int64(-(1 << (wide - 1))))
