"""A small builder of LLVM IR text: Python expressions in, the text of a function out.

It is several times cheaper than a general IR library because it keeps no graph: a `Value` is a type and a name, every
operation appends one line. Types are the strings of LLVM's syntax ("i64", "float", "<8 x float>", "ptr"). Variables are
stack slots that LLVM's `sroa` pass turns into registers, so loops need no phi nodes. Read `loops` next for how kernels
use it.
"""

import contextlib
import struct

LINE = 64  # bytes of a cache line
FLOATS = ("half", "bfloat", "float", "double")
BITS = {"i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64, "half": 16, "bfloat": 16, "float": 32, "double": 64}
SIGNED_PREDICATES = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
FLOAT_PREDICATES = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}


def element(kind):
    """The element type of a vector type; a scalar type itself."""
    return kind[1:-1].split(" x ")[1] if kind[0] == "<" else kind


def lanes(kind):
    """The number of lanes of a vector type; 1 for a scalar type."""
    return int(kind[1:-1].split(" x ")[0]) if kind[0] == "<" else 1


def vector(kind, width):
    """The vector type of `width` lanes; the scalar type itself for width 1."""
    return kind if width == 1 else f"<{width} x {kind}>"


def is_float(kind):
    return element(kind) in FLOATS


def suffix(kind):
    """The overload suffix of an intrinsic: "<8 x float>" -> "v8f32"."""
    base = element(kind)
    name = {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64", "ptr": "p0"}.get(base, base)
    return name if kind[0] != "<" else f"v{lanes(kind)}{name}"


def float_literal(number, kind):
    """A constant that LLVM reads back exactly: hexadecimal digits of the double that equals the rounded value."""
    number = float(number)
    if kind == "float":
        try:
            number = struct.unpack("f", struct.pack("f", number))[0]
        except OverflowError:
            number = float("inf") if number > 0 else float("-inf")
    if kind == "half":
        return "0xH%04X" % struct.unpack("<H", struct.pack("<e", number))[0]
    return "0x%016X" % struct.unpack("<Q", struct.pack("<d", number))[0]


class Value:
    """An SSA value or constant: its function, LLVM type and name. Python operators emit instructions."""

    __slots__ = ("fn", "type", "name")

    def __init__(self, fn, kind, name):
        self.fn, self.type, self.name = fn, kind, name

    def __repr__(self):
        return f"{self.type} {self.name}"

    def _binary(self, other, integer, floating):
        fn = self.fn
        other = fn.convert(other, self.type)
        op = f"{floating} {fn.flags}" if is_float(self.type) else integer
        return fn.emit(self.type, f"{op} {self.type} {self.name}, {other.name}")

    def __add__(self, other):
        return self._binary(other, "add", "fadd")

    def __sub__(self, other):
        return self._binary(other, "sub", "fsub")

    def __mul__(self, other):
        return self._binary(other, "mul", "fmul")

    def __truediv__(self, other):
        return self._binary(other, "sdiv", "fdiv")

    def __floordiv__(self, other):
        """Signed division of integers, rounded towards zero (indices are never negative)."""
        return self._binary(other, "sdiv", "fdiv")

    def __mod__(self, other):
        return self._binary(other, "srem", "frem")

    def __and__(self, other):
        return self._binary(other, "and", "and")

    def __or__(self, other):
        return self._binary(other, "or", "or")

    def __xor__(self, other):
        return self._binary(other, "xor", "xor")

    def __lshift__(self, other):
        return self._binary(other, "shl", "shl")

    def __rshift__(self, other):
        return self._binary(other, "ashr", "ashr")

    __radd__ = __add__
    __rmul__ = __mul__
    __rand__ = __and__
    __ror__ = __or__

    def __rsub__(self, other):
        return self.fn.convert(other, self.type) - self

    def __rtruediv__(self, other):
        return self.fn.convert(other, self.type) / self

    def __neg__(self):
        if is_float(self.type):
            return self.fn.emit(self.type, f"fneg {self.type} {self.name}")
        return self.fn.constant(0, self.type) - self

    def compare(self, predicate, other, unsigned=False):
        fn = self.fn
        other = fn.convert(other, self.type)
        if is_float(self.type):
            op = f"fcmp {FLOAT_PREDICATES[predicate]}"
        else:
            name = SIGNED_PREDICATES[predicate]
            op = f"icmp {name.replace('s', 'u', 1) if unsigned and name[0] == 's' else name}"
        return fn.emit(vector("i1", lanes(self.type)), f"{op} {self.type} {self.name}, {other.name}")

    def __lt__(self, other):
        return self.compare("lt", other)

    def __le__(self, other):
        return self.compare("le", other)

    def __gt__(self, other):
        return self.compare("gt", other)

    def __ge__(self, other):
        return self.compare("ge", other)

    def eq(self, other):
        return self.compare("eq", other)

    def ne(self, other):
        return self.compare("ne", other)


class Variable:
    """A stack slot: `get()` loads it, `set(value)` stores to it."""

    __slots__ = ("fn", "type", "slot")

    def __init__(self, fn, kind, start=None):
        self.fn, self.type = fn, kind
        self.slot = fn.alloca(kind)
        if start is not None:
            self.set(start)

    def get(self):
        return self.fn.emit(self.type, f"load {self.type}, ptr {self.slot.name}")

    def set(self, value):
        value = self.fn.convert(value, self.type)
        self.fn.line(f"store {value.type} {value.name}, ptr {self.slot.name}")


class Function:
    """One function under construction; `flags` are the fast-math flags of the instructions that follow."""

    def __init__(self, module, name, params, returns="void", linkage="", attributes="nounwind"):
        self.module, self.name, self.returns = module, name, returns
        self.body, self.allocas = [], []
        self.counter = 0
        self.flags = ""
        self.args = [Value(self, kind.split(" ")[0] if kind[0] != "<" else kind, f"%{label}") for kind, label in params]
        signature = ", ".join(f"{kind} %{label}" for kind, label in params)
        self.head = f"define {linkage} {returns} @{name}({signature}) {attributes} {{"
        module.functions.append(self)

    # -- lines -----------------------------------------------------------------

    def line(self, text):
        self.body.append("  " + text)

    def emit(self, kind, text):
        self.counter += 1
        name = f"%v{self.counter}"
        self.body.append(f"  {name} = {text}")
        return Value(self, kind, name)

    def label(self, name):
        self.body.append(f"{name}:")

    def fresh(self, prefix):
        self.counter += 1
        return f"{prefix}{self.counter}"

    def branch(self, target):
        self.line(f"br label %{target}")

    def branch_if(self, condition, then, otherwise):
        self.line(f"br i1 {condition.name}, label %{then}, label %{otherwise}")

    def ret(self, value=None):
        self.line("ret void" if value is None else f"ret {value.type} {value.name}")

    def text(self):
        return "\n".join([self.head, "entry:", *self.allocas, *self.body, "}"])

    # -- values ----------------------------------------------------------------

    def constant(self, number, kind="i64"):
        base = element(kind)
        if base in FLOATS:
            literal = float_literal(number, base)
        elif base == "i1":
            literal = "true" if number else "false"
        else:
            literal = str(int(number))
        return Value(self, kind, literal if kind[0] != "<" else f"splat ({base} {literal})")

    def convert(self, value, kind):
        """A Value of this type: numbers become constants, scalars are spread over the lanes of a vector type."""
        if not isinstance(value, Value):
            return self.constant(value, kind)
        if value.type != kind:
            assert kind[0] == "<" and value.type == element(kind), f"{value.type} used as {kind}"
            return self.splat(value, lanes(kind))
        return value

    def poison(self, kind):
        return Value(self, kind, "poison")

    def alloca(self, kind, align=None):
        self.counter += 1
        name = f"%a{self.counter}"
        self.allocas.append(f"  {name} = alloca {kind}" + (f", align {align}" if align else ""))
        return Value(self, "ptr", name)

    def variable(self, kind, start=None):
        return Variable(self, kind, start)

    def splat(self, value, width):
        if width == 1 or value.type[0] == "<":
            return value
        kind = vector(value.type, width)
        one = self.emit(kind, f"insertelement {kind} poison, {value.type} {value.name}, i32 0")
        return self.emit(kind, f"shufflevector {kind} {one.name}, {kind} poison, <{width} x i32> zeroinitializer")

    def shuffle(self, a, b, order):
        mask = ", ".join(f"i32 {i}" for i in order)
        kind = vector(element(a.type), len(order))
        return self.emit(kind, f"shufflevector {a.type} {a.name}, {b.type} {b.name}, <{len(order)} x i32> <{mask}>")

    def extract(self, value, lane):
        lane = self.convert(lane, "i32")
        return self.emit(element(value.type), f"extractelement {value.type} {value.name}, i32 {lane.name}")

    def insert(self, value, item, lane):
        lane = self.convert(lane, "i32")
        return self.emit(value.type, f"insertelement {value.type} {value.name}, {item.type} {item.name}, i32 "
                                     f"{lane.name}")

    def across(self, value, join):
        """The lanes of a vector folded to one by halves, with `join` of two values."""
        width = lanes(value.type)
        while width > 2:
            width //= 2
            value = join(*(self.shuffle(value, value, range(at, at + width)) for at in (0, width)))
        return join(self.extract(value, 0), self.extract(value, 1)) if width == 2 else value

    def iota(self, kind):
        """The vector <0, 1, 2, ...> of an integer vector type."""
        base = element(kind)
        return Value(self, kind, "<" + ", ".join(f"{base} {i}" for i in range(lanes(kind))) + ">")

    def cast(self, op, value, kind):
        return self.emit(kind, f"{op} {value.type} {value.name} to {kind}")

    def select(self, condition, a, b):
        if condition.type == "i1" or condition.type[0] == "<":
            return self.emit(a.type, f"select {condition.type} {condition.name}, {a.type} {a.name}, {b.type} {b.name}")
        raise TypeError(f"select needs i1, got {condition.type}")

    def minimum(self, a, b):
        b = self.convert(b, a.type)
        return self.select(a < b, a, b)

    def maximum(self, a, b):
        b = self.convert(b, a.type)
        return self.select(a > b, a, b)

    def call(self, returns, name, *args):
        text = ", ".join(f"{a.type} {a.name}" for a in args)
        flags = self.flags if name.startswith("llvm.") and is_float(returns) else ""
        if returns == "void":
            self.line(f"call void @{name}({text})")
            return None
        return self.emit(returns, f"call {flags} {returns} @{name}({text})")

    def intrinsic(self, name, returns, *args):
        """Call an LLVM intrinsic or an external function, declaring it on first use."""
        self.module.declare(f"declare {returns} @{name}({', '.join(a.type for a in args)})")
        return self.call(returns, name, *args)

    def prefetch(self, pointer, nbytes=1, write=False, level=1):
        """Ask for the cache lines of `nbytes` bytes, to be read or also written; `level`: the cache to keep them in."""
        flags = [self.constant(flag, "i32") for flag in (int(write), 4 - level, 1)]  # the last: data
        for line in range(0, nbytes, LINE):
            self.intrinsic("llvm.prefetch.p0", "void", self.gep(pointer, line) if nbytes > 1 else pointer, *flags)

    def fma(self, a, b, c):
        return self.intrinsic(f"llvm.fma.{suffix(a.type)}", a.type, a, self.convert(b, a.type), self.convert(c, a.type))

    # -- memory ----------------------------------------------------------------

    def gep(self, pointer, index, kind="i8"):
        """Address of element `index` of type `kind` (never integer arithmetic on addresses: LLVM miscompiles that)."""
        index = self.convert(index, "i64")
        return self.emit("ptr", f"getelementptr {kind}, ptr {pointer.name}, i64 {index.name}")

    def load(self, pointer, kind, align=None, extra=""):
        tail = (f", align {align}" if align else "") + extra
        return self.emit(kind, f"load {kind}, ptr {pointer.name}{tail}")

    def store(self, value, pointer, align=None, extra=""):
        tail = (f", align {align}" if align else "") + extra
        self.line(f"store {value.type} {value.name}, ptr {pointer.name}{tail}")

    def load_at(self, pointer, index, kind):
        return self.load(self.gep(pointer, index, kind), kind)

    def store_at(self, value, pointer, index):
        self.store(value, self.gep(pointer, index, value.type))

    def load_vector(self, pointer, index, kind, width):
        """`width` neighbours starting at element `index`, aligned like one element."""
        return self.load(self.gep(pointer, index, kind), vector(kind, width), align=max(1, BITS[kind] // 8))

    def store_vector(self, value, pointer, index):
        kind = element(value.type)
        self.store(value, self.gep(pointer, index, kind), align=max(1, BITS[kind] // 8))

    def zero(self, pointer, nbytes):
        """Set bytes to 0. (Never llvm.memset: the loader of object code has no place for stubs of external
        functions.)"""
        wide = "<32 x i8>"
        whole = nbytes // 32 * 32
        with self.loop(0, whole, 32) as i:
            self.store(self.constant(0, wide), self.gep(pointer, i), 1)
        with self.loop(whole, nbytes) as i:
            self.store(self.constant(0, "i8"), self.gep(pointer, i), 1)

    # -- control flow ------------------------------------------------------------

    @contextlib.contextmanager
    def loop(self, start, stop, step=1):
        """for i in range(start, stop, step): yields i (i64)."""
        stop = self.convert(stop, "i64")
        counter = self.variable("i64", start)
        head, body, done = self.fresh("head"), self.fresh("body"), self.fresh("done")
        self.branch(head)
        self.label(head)
        index = counter.get()
        self.branch_if(index < stop, body, done)
        self.label(body)
        yield index
        step = self.convert(step, "i64")
        counter.set(self.emit("i64", f"add nsw i64 {index.name}, {step.name}"))
        self.branch(head)
        self.label(done)

    @contextlib.contextmanager
    def while_(self, condition):
        """Loop while `condition()` (a function that emits the test) holds."""
        head, body, done = self.fresh("head"), self.fresh("body"), self.fresh("done")
        self.branch(head)
        self.label(head)
        self.branch_if(condition(), body, done)
        self.label(body)
        yield
        self.branch(head)
        self.label(done)

    @contextlib.contextmanager
    def if_(self, condition):
        then, done = self.fresh("then"), self.fresh("endif")
        self.branch_if(condition, then, done)
        self.label(then)
        yield
        self.branch(done)
        self.label(done)

    def if_else(self, condition, then, otherwise):
        """Emit `then()` and `otherwise()` (functions that emit lines) as the two branches."""
        yes, no, done = self.fresh("then"), self.fresh("else"), self.fresh("endif")
        self.branch_if(condition, yes, no)
        self.label(yes)
        then()
        self.branch(done)
        self.label(no)
        otherwise()
        self.branch(done)
        self.label(done)


class Module:
    """The functions and declarations of one IR module."""

    def __init__(self):
        self.functions, self.declarations, self.globals = [], {}, []

    def declare(self, text):
        self.declarations[text] = None

    def function(self, name, params, returns="void", linkage="", attributes="nounwind"):
        return Function(self, name, params, returns, linkage, attributes)

    def lines(self):
        """The number of instructions."""
        return sum(len(f.body) for f in self.functions)

    def text(self):
        return "\n".join([*self.globals, *self.declarations, *(f.text() for f in self.functions)]) + "\n"
