"""Typed vector access for the contraction templates: loads that widen, stores that round, masks, strips turned into
columns.

A template computes in `compute_kind(dtype)`; memory may hold a narrower dtype. Everything here emits through the
builder.
"""

from . import builder

KINDS = {
    "float32": "float",
    "float64": "double",
    "float16": "half",
    "bfloat16": "bfloat",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint8": "i8",
}
COMPUTE = {"half": "float", "bfloat": "float", "i16": "i32", "i8": "i32"}
DTYPES = {"float": "float32", "double": "float64", "i32": "int32", "i64": "int64"}  # of the kinds computed in
BYTES = {dtype: builder.BITS[kind] // 8 for dtype, kind in KINDS.items()}


def storage_kind(dtype):
    """The LLVM type an element of `dtype` has in memory."""
    if dtype not in KINDS:
        raise NotImplementedError(f"contraction of dtype {dtype} on the CPU")
    return KINDS[dtype]


def compute_kind(dtype):
    """The LLVM type that sums of `dtype` are accumulated in: float for the half precisions, i32 for small integers
    (their wrapped sums agree), else the type itself."""
    kind = storage_kind(dtype)
    return COMPUTE.get(kind, kind)


def compute_dtype(dtype):
    """The dtype name of `compute_kind`."""
    return DTYPES[compute_kind(dtype)]


def widen(fn, value, dtype):
    """A value as it lies in memory (bfloat16 as i16) converted to the compute type."""
    kind, width = storage_kind(dtype), builder.lanes(value.type)
    target = builder.vector(compute_kind(dtype), width)
    if kind == "bfloat":
        bits = fn.cast("zext", value, builder.vector("i32", width)) << 16
        return fn.cast("bitcast", bits, target)
    if kind == "half":
        return fn.cast("fpext", value, target)
    if kind in ("i8", "i16"):
        return fn.cast("zext" if dtype == "uint8" else "sext", value, target)
    return value


def narrow(fn, value, dtype):
    """A value of the compute type rounded to what lies in memory (bfloat16 as i16, nearest even, NaN kept quiet)."""
    kind, width = storage_kind(dtype), builder.lanes(value.type)
    if kind == "bfloat":
        words = builder.vector("i32", width)
        bits = fn.cast("bitcast", value, words)
        odd = lshr(fn, bits, 16) & 1
        rounded = lshr(fn, bits + (odd + 0x7FFF), 16)
        quiet = lshr(fn, bits, 16) | 0x40
        return fn.cast("trunc", fn.select(value.ne(value), quiet, rounded), builder.vector("i16", width))
    if kind == "half":
        return fn.cast("fptrunc", value, builder.vector("half", width))
    if kind in ("i8", "i16"):
        return fn.cast("trunc", value, builder.vector(kind, width))
    return value


def lshr(fn, value, bits):
    return fn.emit(value.type, f"lshr {value.type} {value.name}, {fn.constant(bits, value.type).name}")


def memory_kind(dtype):
    """The type used for loads and stores: `storage_kind`, but i16 for bfloat16."""
    kind = storage_kind(dtype)
    return "i16" if kind == "bfloat" else kind


def load(fn, pointer, index, dtype, width=1, mask=None):
    """`width` neighbouring elements from element `index` on, in the compute type; lanes off the mask read as 0."""
    kind = memory_kind(dtype)
    place = fn.gep(pointer, index, kind)
    if mask is None:
        return widen(fn, fn.load(place, builder.vector(kind, width), align=BYTES[dtype]), dtype)
    vector = builder.vector(kind, width)
    name = f"llvm.masked.load.{builder.suffix(vector)}.p0"
    align = fn.constant(BYTES[dtype], "i32")
    return widen(fn, fn.intrinsic(name, vector, place, align, mask, fn.constant(0, vector)), dtype)


def gather(fn, pointer, places, dtype):
    """The elements at `places` (a vector of i64), in the compute type."""
    width, kind = builder.lanes(places.type), memory_kind(dtype)
    vector = builder.vector(kind, width)
    where = fn.emit(f"<{width} x ptr>", f"getelementptr {kind}, ptr {pointer.name}, {places.type} {places.name}")
    name = f"llvm.masked.gather.{builder.suffix(vector)}.v{width}p0"
    align, mask = fn.constant(BYTES[dtype], "i32"), constant_mask(fn, width, width)
    return widen(fn, fn.intrinsic(name, vector, where, align, mask, fn.poison(vector)), dtype)


def store(fn, value, pointer, index, dtype, mask=None):
    """Round a value of the compute type to `dtype` and store it from element `index` on (the lanes of the mask)."""
    place = fn.gep(pointer, index, memory_kind(dtype))
    value = narrow(fn, value, dtype)
    if mask is None:
        fn.store(value, place, align=BYTES[dtype])
        return
    name = f"llvm.masked.store.{builder.suffix(value.type)}.p0"
    fn.intrinsic(name, "void", value, place, fn.constant(BYTES[dtype], "i32"), mask)


def mask_below(fn, count, width, offset=0):
    """Lanes l with offset + l < count (i64 value), clamped to what 32 bits hold."""
    words = builder.vector("i32", width)
    small = fn.cast("trunc", fn.minimum(count, 1 << 20), "i32")
    return fn.iota(words).compare("lt", fn.splat(small - offset, width))


def constant_mask(fn, count, width):
    """The mask of the first `count` of `width` lanes, a constant."""
    bits = ", ".join(f"i1 {'true' if lane < count else 'false'}" for lane in range(width))
    return builder.Value(fn, f"<{width} x i1>", f"<{bits}>")


def multiply_add(fn, a, b, c):
    """a * b + c: fused for floats, wrapping for integers."""
    return fn.fma(a, b, c) if builder.is_float(a.type) else a * b + c


def quad(kind):
    """How many elements of a type 16 bytes hold: the rows that `columns_of` turns at once."""
    return 128 // builder.BITS[builder.element(kind)]


def columns_of(fn, rows):
    """The columns of a strip of `quad` rows, as vectors of `quad` elements.

    Interleaving inside 16-byte lanes, then taking the lanes apart: cheap on every instruction set, and no square
    block needed.
    """
    kind, size, width = rows[0].type, len(rows), builder.lanes(rows[0].type)
    assert size == quad(kind), f"{size} rows of {kind}"
    low = [item for lane in range(0, width, size) for i in range(size // 2) for item in (lane + i, width + lane + i)]
    high = [item + size // 2 for item in low]
    if size == 2:
        mixed = [fn.shuffle(rows[0], rows[1], low), fn.shuffle(rows[0], rows[1], high)]
    else:
        first = [fn.shuffle(rows[i], rows[i + 2], order) for i in (0, 1) for order in (low, high)]
        mixed = [fn.shuffle(first[i], first[i + 2], order) for i in (0, 1) for order in (low, high)]
    return [
        fn.shuffle(mixed[c % size], mixed[c % size], range(c // size * size, c // size * size + size))
        for c in range(width)
    ]


def store_columns(fn, rows, count, pointer, stride, dtype):
    """Store column c of up to `quad` rows (the first `count` of them real) to pointer[c * stride ...]."""
    size = quad(rows[0].type)
    rows = [rows[min(i, len(rows) - 1)] for i in range(size)]
    for c, column in enumerate(columns_of(fn, rows)):
        part = (
            column
            if count == size
            else fn.extract(column, 0)
            if count == 1
            else fn.shuffle(column, column, range(count))
        )
        store(fn, part, pointer, fn.convert(stride, "i64") * c, dtype)
