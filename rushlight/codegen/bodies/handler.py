"""The handler `k` of operator bodies for CPU kernels: typed values in, IR out.

A body such as `k.where(x > 0, x, alpha * k.expm1(x))` runs once per kernel over `Typed` values: a DType, a builder
Value (scalar, or a vector of lanes along the kernel's inner dimension) and, for integers that grow with the lane, the
affine form that keeps loads contiguous. Mathematical functions come from `scalar.FUNCTIONS`. Read `loops` next.
"""

import functools

from ...base.lazy import Lazy
from ...core import dtype as dt
from ..ir.builder import BITS, Value, element, lanes, suffix, vector
from ..math.scalar import FUNCTIONS, HOME_OF
from ..math.scalar_base import extreme

complex_rules = Lazy(f"{__package__}.complex_rules")

STORED = {"float32": "float", "float64": "double", "float16": "half", "bfloat16": "i16", "int64": "i64", "int32": "i32",
          "int16": "i16",
          "int8": "i8", "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64", "bool": "i8"}
COMPUTED = {**STORED, "float16": "float", "bfloat16": "float", "bool": "i1"}


def stored_type(dtype):
    """The LLVM type of an element in memory."""
    found = STORED.get(dtype.plain.name)
    if found is None:
        raise NotImplementedError(f"kernels of dtype {dtype.name} are not implemented in rushlight")
    return found


def computed_type(dtype, width=1):
    return vector(COMPUTED[dtype.name], width)


class Typed:
    """A value of a body: `dtype`, builder `value`, and `affine` = (scalar Value of lane 0, integer step) or None."""

    __slots__ = ("k", "dtype", "value", "affine")

    def __init__(self, k, dtype, value, affine=None):
        self.k, self.dtype, self.value, self.affine = k, dtype, value, affine

    @property
    def uniform(self):
        return self.value is not None and self.value.type[0] != "<"

    def under(self, handler):
        """The same value for use under another handler."""
        return self if self.k is handler else Typed(handler, self.dtype, self.value, self.affine)

    def vector_value(self):
        """The builder Value; an affine index becomes a vector on demand."""
        if self.value is None:
            fn, (base, step) = self.k.fn, self.affine
            kind = vector("i64", self.k.width)
            ramp = fn.iota(kind) if step == 1 else Value(fn, kind, "<" + ", ".join(f"i64 {i * step}"
                                                                                   for i in range(self.k.width)) + ">")
            self.value = fn.convert(base, kind) + ramp
        return self.value

    def __add__(self, other):
        return self.k.add(self, other)

    def __radd__(self, other):
        return self.k.add(self, other)

    def __sub__(self, other):
        return self.k.sub(self, other)

    def __rsub__(self, other):
        return self.k.sub(self.k.like(other, self), self)

    def __mul__(self, other):
        return self.k.mul(self, other)

    def __rmul__(self, other):
        return self.k.mul(self, other)

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
        return self.k.bitwise("lshr" if not self.dtype.is_signed else "ashr", self, other)

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


class Complex(Typed):
    """A complex value: the pair of its parts, see complex_rules."""

    __slots__ = ("real", "imag")

    def __init__(self, k, dtype, real, imag):
        super().__init__(k, dtype, None)
        self.real, self.imag = real, imag

    @property
    def uniform(self):
        return self.real.uniform and self.imag.uniform

    def under(self, handler):
        if self.k is handler:
            return self
        return Complex(handler, self.dtype, self.real.under(handler), self.imag.under(handler))

    def vector_value(self):
        raise NotImplementedError(f"a kernel has no form for {self.dtype.name} in rushlight")


def by_parts(method):
    """A method of the handler that has a form of its own for complex operands."""
    @functools.wraps(method)
    def either(self, *values):
        for value in values:
            if value.__class__ is Complex:
                return complex_rules.RULES[method.__name__](self, *values)
        return method(self, *values)
    return either


class Handler:
    """Emits the operations of a body into a builder function. `width`: lanes of the vectors of this part of the
    kernel."""

    def __init__(self, fn, width):
        self.fn, self.width = fn, width
        self.loader = None  # set by loops: emits loads at computed positions
        self.mask = None  # set by loops: the lanes that a step has, None for all
        self.report = None  # set by loops: (condition Value i1, code) -> None

    # -- making values -------------------------------------------------------------

    def wrap(self, dtype, value):
        return Typed(self, dtype, value)

    def const(self, number, dtype):
        """A constant."""
        if dtype.category == dt.COMPLEX:
            return self.complex(*[self.const(part, dtype.to_real()) for part in (number.real, number.imag)])
        return Typed(self, dtype, self.fn.constant(number, COMPUTED[dtype.name]))

    def complex(self, real, imag):
        """A complex value from its parts, of one floating dtype."""
        return Complex(self, real.dtype.to_complex(), real, imag)

    def like(self, value, other):
        """A number as a constant of another value's dtype; values pass."""
        return value if isinstance(value, Typed) else self.const(value, other.dtype)

    def pair(self, a, b):
        """Two operands brought to the same dtype and shape of value."""
        if not isinstance(b, Typed):
            b = self.const(b, a.dtype)
        elif not isinstance(a, Typed):
            a = self.const(a, b.dtype)
        elif a.dtype is not b.dtype:
            joined = dt.promote(a.dtype, b.dtype)
            a, b = self.cast(a, joined), self.cast(b, joined)
        x, y = a.vector_value(), b.vector_value()
        if x.type != y.type:
            width = max(lanes(x.type), lanes(y.type))
            x, y = self.fn.splat(x, width), self.fn.splat(y, width)
        return a.dtype, x, y

    def _affine(self, a, b, sign):
        """(base, step) of a + sign * b for indices where at most the step is a number, or None."""
        pair = []
        for v in (a, b):
            if not isinstance(v, Typed):
                pair.append((self.fn.constant(int(v), "i64"), 0))
            elif v.affine is not None:
                pair.append(v.affine)
            elif v.uniform and v.dtype is dt.int64:
                pair.append((v.value, 0))
            else:
                return None
        (x, s), (y, t) = pair
        step = s + sign * t
        base = x + y if sign > 0 else x - y
        return Typed(self, dt.int64, None if step else base, (base, step) if step else None)

    @by_parts
    def add(self, a, b):
        if a.affine is not None or (isinstance(b, Typed) and b.affine is not None):
            found = self._affine(a, b, 1)
            if found is not None:
                return found
        dtype, x, y = self.pair(a, b)
        return Typed(self, dtype, x | y if dtype is dt.bool_ else x + y)

    @by_parts
    def sub(self, a, b):
        if a.affine is not None or (isinstance(b, Typed) and b.affine is not None):
            found = self._affine(a, b, -1)
            if found is not None:
                return found
        dtype, x, y = self.pair(a, b)
        return Typed(self, dtype, x - y)

    @by_parts
    def mul(self, a, b):
        if isinstance(b, int) and a.affine is not None:
            return Typed(self, dt.int64, None, (a.affine[0] * b, a.affine[1] * b)) if b else self.const(0, dt.int64)
        dtype, x, y = self.pair(a, b)
        return Typed(self, dtype, x & y if dtype is dt.bool_ else x * y)

    @by_parts
    def div(self, a, b):
        """True division; the operands are floating."""
        dtype, x, y = self.pair(a, b)
        return Typed(self, dtype, x / y)

    @by_parts
    def fma(self, a, b, c):
        """a * b + c, rounded once; the operands are of one floating dtype."""
        dtype, x, y = self.pair(a, b)
        _, x, z = self.pair(Typed(self, dtype, x), c)
        y = self.fn.convert(y, x.type)
        return Typed(self, dtype, self.fn.fma(x, y, z))

    def truncdiv(self, a, b):
        """Division rounded towards zero; an integer divisor of zero reports ZeroDivisionError."""
        dtype, x, y = self.pair(a, b)
        if dtype.is_floating_point:
            return self.trunc(self.rounded(Typed(self, dtype, x / y)))
        return Typed(self, dtype, self._integer_divide(dtype, x, y)[0])

    def _safe_divisor(self, dtype, x, y):
        """The divisor without the values that trap (0, and -1 under the most negative number)."""
        fn = self.fn
        zero = y.eq(0)
        if self.report is not None:
            self.report(zero, "division")
        y = fn.select(zero, fn.convert(1, y.type), y)
        if dtype.is_signed:
            bits = BITS[element(y.type)]
            overflow = y.eq(-1) & x.eq(-(1 << (bits - 1)))
            y = fn.select(overflow, fn.convert(1, y.type), y)
        return y

    def _integer_divide(self, dtype, x, y):
        fn = self.fn
        y = self._safe_divisor(dtype, x, y)
        kind = "s" if dtype.is_signed else "u"
        quotient = fn.emit(x.type, f"{kind}div {x.type} {x.name}, {y.name}")
        return quotient, x - quotient * y, y

    def floordiv(self, a, b):
        """Division rounded down, as Python's // (floats: PyTorch's floor_divide)."""
        if isinstance(a, Typed) and a.affine is not None and isinstance(b, int) and b == 1:
            return a
        dtype, x, y = self.pair(a, b)
        fn = self.fn
        if dtype.is_floating_point:
            return self._float_floordiv(dtype, x, y)
        quotient, rest, y = self._integer_divide(dtype, x, y)
        if not dtype.is_signed:
            return Typed(self, dtype, quotient)
        opposite = (x ^ y) < 0
        down = rest.ne(0) & opposite
        return Typed(self, dtype, fn.select(down, quotient - 1, quotient))

    def _float_floordiv(self, dtype, x, y):
        a, b = Typed(self, dtype, x), Typed(self, dtype, y)
        rest = self.fmod(a, b)
        quotient = (a - rest) / b
        quotient = self.where(rest.ne(0) & self.logical_xor(b < 0, rest < 0), quotient - 1, quotient)
        floored = self.floor(quotient)
        floored = self.where(quotient - floored > 0.5, floored + 1, floored)
        floored = self.where(quotient.eq(0), self.copysign(self.const(0, dtype), a / b), floored)
        return self.where(b.eq(0), a / b, floored)

    def mod(self, a, b):
        """The remainder with the sign of the divisor, as Python's %."""
        dtype, x, y = self.pair(a, b)
        fn = self.fn
        if dtype.is_floating_point:
            return Typed(self, dtype, FUNCTIONS["remainder"](fn, x, y))
        _, rest, safe = self._integer_divide(dtype, x, y)
        if not dtype.is_signed:
            return Typed(self, dtype, rest)
        fix = rest.ne(0) & ((rest ^ safe) < 0)
        return Typed(self, dtype, fn.select(fix, rest + safe, rest))

    def fmod(self, a, b):
        """The remainder with the sign of the dividend, as C's fmod."""
        dtype, x, y = self.pair(a, b)
        if dtype.is_floating_point:
            return Typed(self, dtype, FUNCTIONS["fmod"](self.fn, x, y))
        return Typed(self, dtype, self._integer_divide(dtype, x, y)[1])

    @by_parts
    def neg(self, a):
        return Typed(self, a.dtype, -a.vector_value())

    @by_parts
    def abs(self, a):
        v = a.vector_value()
        if a.dtype.is_floating_point:
            return Typed(self, a.dtype, self.fn.intrinsic(f"llvm.fabs.{suffix(v.type)}", v.type, v))
        if not a.dtype.is_signed:
            return a
        return Typed(self, a.dtype, self.fn.select(v < 0, -v, v))

    def bitwise(self, op, a, b):
        if a.dtype is dt.bool_ and not isinstance(b, Typed):
            b = self.const(bool(b), dt.bool_)
        dtype, x, y = self.pair(a, b)
        if op in ("shl", "lshr", "ashr"):
            return Typed(self, dtype, self._shift(op, dtype, x, y))
        return Typed(self, dtype, self.fn.emit(x.type, f"{op} {x.type} {x.name}, {y.name}"))

    def _shift(self, op, dtype, x, y):
        """Shifts by a count outside the type give 0 (or the sign)."""
        fn, bits = self.fn, BITS[element(x.type)]
        outside = y.compare("ge", bits, unsigned=True)
        safe = fn.select(outside, fn.convert(bits - 1 if op == "ashr" else 0, y.type), y)
        shifted = fn.emit(x.type, f"{op} {x.type} {x.name}, {safe.name}")
        return shifted if op == "ashr" else fn.select(outside, fn.convert(0, x.type), shifted)

    @by_parts
    def compare(self, predicate, a, b):
        dtype, x, y = self.pair(a, b)
        return Typed(self, dt.bool_, x.compare(predicate, y, unsigned=not dtype.is_signed
                                               and not dtype.is_floating_point))

    # -- choices -------------------------------------------------------------------

    def boolean(self, a):
        """The truth of a value."""
        if not isinstance(a, Typed):
            return self.const(bool(a), dt.bool_)
        return a if a.dtype is dt.bool_ else self.compare("ne", a, 0)

    @by_parts
    def where(self, condition, a, b):
        condition = self.boolean(condition)
        if not isinstance(a, Typed):
            a = self.const(a, b.dtype)
        dtype, x, y = self.pair(a, b)
        c = condition.vector_value()
        width = max(lanes(c.type), lanes(x.type))
        fn = self.fn
        return Typed(self, dtype, fn.select(fn.splat(c, width), fn.splat(x, width), fn.splat(y, width)))

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
        return self._extreme("gt", a, b)

    def minimum(self, a, b):
        """The smaller; NaN if either is NaN."""
        return self._extreme("lt", a, b)

    def _extreme(self, predicate, a, b):
        dtype, x, y = self.pair(a, b)
        if dtype.is_floating_point:
            return Typed(self, dtype, extreme(self.fn, predicate, x, y))
        first = Typed(self, dtype, x)
        return self.where(self.compare(predicate, first, Typed(self, dtype, y)), first, Typed(self, dtype, y))

    @by_parts
    def isnan(self, a):
        if not a.dtype.is_floating_point:
            return self.const(False, dt.bool_)
        return a.ne(a)

    @by_parts
    def isinf(self, a):
        if not a.dtype.is_floating_point:
            return self.const(False, dt.bool_)
        return self.abs(a).eq(float("inf"))

    # -- conversions -----------------------------------------------------------------

    @by_parts
    def cast(self, a, dtype):
        """Conversion as C's; to bool: different from zero. Half precisions are rounded to their values."""
        if a.dtype is dtype:
            return a
        if dtype.category == dt.COMPLEX:
            part = self.cast(a, dtype.to_real())
            return self.complex(part, self.const(0, part.dtype))
        v, source = a.vector_value(), a.dtype
        if dtype is dt.bool_:
            return self.compare("ne", a, 0)
        kind = computed_type(dtype, lanes(v.type))
        if v.type == kind and source.is_floating_point and dtype.is_floating_point:
            return self.rounded(Typed(self, dtype, v))
        if source.is_floating_point:
            if dtype.is_floating_point:
                op = "fptrunc" if BITS[element(kind)] < BITS[element(v.type)] else "fpext"
                return self.rounded(Typed(self, dtype, self.fn.cast(op, v, kind)))
            return Typed(self, dtype, self._to_integer(v, kind, dtype))
        if dtype.is_floating_point:
            op = "sitofp" if source.is_signed else "uitofp"
            return self.rounded(Typed(self, dtype, self.fn.cast(op, v, kind)))
        from_bits, to_bits = BITS[element(v.type)], BITS[element(kind)]
        if from_bits == to_bits:
            return Typed(self, dtype, v)
        op = "trunc" if to_bits < from_bits else "sext" if source.is_signed else "zext"
        return Typed(self, dtype, self.fn.cast(op, v, kind))

    def _to_integer(self, v, kind, dtype):
        """Floats to integers through a type wide enough that the hardware's rule decides, as in compiled C."""
        fn, width, bits = self.fn, lanes(kind), BITS[element(kind)]
        if bits == 64:
            return fn.cast("fptosi", v, kind)
        wide = "i64" if not dtype.is_signed else "i32"
        number = fn.cast("fptosi", v, vector(wide, width))
        return number if element(kind) == wide else fn.cast("trunc", number, kind)

    @by_parts
    def rounded(self, a):
        """A half-precision value rounded to what memory would hold; others pass."""
        if a.dtype is dt.bfloat16:
            return Typed(self, a.dtype, self._from_bfloat(self._to_bfloat(a.value)))
        if a.dtype is dt.float16:
            half = self.fn.cast("fptrunc", a.value, vector("half", lanes(a.value.type)))
            return Typed(self, a.dtype, self.fn.cast("fpext", half, a.value.type))
        return a

    def _to_bfloat(self, v):
        """The upper 16 bits of a float, rounded to nearest even; NaN stays NaN."""
        fn, width = self.fn, lanes(v.type)
        wide = vector("i32", width)
        bits = fn.cast("bitcast", v, wide)
        odd = fn.emit(wide, f"lshr {wide} {bits.name}, {fn.convert(16, wide).name}") & 1
        moved = bits + odd + 0x7FFF
        moved = fn.select(v.ne(v), fn.convert(0x7FC00000, wide), moved)
        high = fn.emit(wide, f"lshr {wide} {moved.name}, {fn.convert(16, wide).name}")
        return fn.cast("trunc", high, vector("i16", width))

    def _from_bfloat(self, bits):
        fn, width = self.fn, lanes(bits.type)
        wide = fn.cast("zext", bits, vector("i32", width)) << 16
        return fn.cast("bitcast", wide, vector("float", width))

    # -- memory --------------------------------------------------------------------

    def from_memory(self, dtype, v):
        """What a load of the stored type means."""
        if dtype.plain is not dtype:
            return self.neg(self.from_memory(dtype.plain, v))
        width = lanes(v.type)
        if dtype is dt.bool_:
            return Typed(self, dtype, v.ne(0))
        if dtype is dt.bfloat16:
            return Typed(self, dtype, self._from_bfloat(v))
        if dtype is dt.float16:
            return Typed(self, dtype, self.fn.cast("fpext", v, vector("float", width)))
        return Typed(self, dtype, v)

    def pair_from_memory(self, dtype, real, imag):
        """A complex value from the loaded parts."""
        parts = [Typed(self, dtype.to_real(), v) for v in (real, imag)]
        return self.complex(parts[0], parts[1] if dtype.plain is dtype else -parts[1])

    def to_memory(self, a):
        """The builder Value to store."""
        v = a.vector_value()
        width = lanes(v.type)
        if a.dtype is dt.bool_:
            return self.fn.cast("zext", v, vector("i8", width))
        if a.dtype is dt.bfloat16:
            return self._to_bfloat(v)
        if a.dtype is dt.float16:
            return self.fn.cast("fptrunc", v, vector("half", width))
        return v

    def __getattr__(self, name):
        """Mathematical functions by name: `k.exp(x)`; the operands are floating or complex."""
        if name not in HOME_OF:
            raise AttributeError(f"kernel bodies have no function {name!r}")
        emit = FUNCTIONS[name]

        def call(first, *others):
            if first.__class__ is Complex or any([other.__class__ is Complex for other in others]):
                return self.complex_function(name, first, others)
            values = [first.vector_value()]
            for other in others:
                _, x, y = self.pair(Typed(self, first.dtype, values[0]), other)
                values = [x, *values[1:], y]
            return Typed(self, first.dtype, emit(self.fn, *values))
        return call

    def complex_function(self, name, first, others):
        """A mathematical function of operands of which one is complex."""
        emit = complex_rules.FUNCTIONS.get(name)
        if emit is None:
            raise NotImplementedError(f"{name}: complex numbers are not implemented in rushlight")
        return emit(self, *complex_rules.join(self, first, others[0])) if others else emit(self, first)
