"""What an operator says of itself: one frozen dataclass for each kind, with every fact that the engine asks for.

    FLIP = Gather("flip", _flip_body, layouts=rules.strided, params=("input", "dims"), grad={"input": _flip_back})

A field that a kind does not have is a TypeError when the module is imported, a value that no rule knows a ValueError.
Declaring an operator enters it in OPERATORS. The engine asks for kinds and fields, never for a name. `declare` makes
the public functions; read it next.
"""

import binascii
import dataclasses
import marshal
import os
from collections.abc import Callable, Mapping
from typing import ClassVar

from . import infer as rules
from . import signatures
from .device import resolve
from .errors import DIVISION, DIVISION_CODE, BadData
from .grads import GradRule
from .record import MOST_FORMS, Form, record
from .room import check_layouts
from .signatures import REQUIRED

OPERATORS = {}
COMPOSITES = {}  # composites and views by their first public name
OUTSIDE = {}  # operators declared outside of the package: a stamp of their code by name, see `stamp`
PACKAGE = __name__.partition(".")[0]
PROMOTIONS = frozenset(("default", "float", "compare", "bool", "keep"))
DTYPES = frozenset(("all", "numeric", "integral", "integers", "floating"))
COMBINES = frozenset(("sum", "prod", "max", "min", "top", "any", "all", "argmax", "argmin"))


# Note [Layouts that kernels read]
# A template or native kernel is declared with what it assumes of its operands, `reads`: one need per operand, or a
# function of the attributes that gives them, or "any" for kernels that follow all strides, 0 included. A given output
# has its need in `writes`. `conform` copies operands that do not fit before they are recorded, for all operators;
# whatever comes past it is refused once, when the step is new (`Kernel.results`). Kernels never need more alignment
# than an element's, and read nothing beyond the elements of their operands.
FITS = {
    "any": lambda found: True,
    "rows": lambda found: found.ndim > 0 and found.strides[-1] == 1,  # the last dimension has no gaps
    "dense": lambda found: found.dense,  # no gaps and nothing twice, in whatever order of dimensions
    "contiguous": lambda found: found.contiguous,
}


def stamp(function):
    """A text that changes with the code of an operator: kernels on disk are kept by it. The files of the package have
    one of their own (runtime/cpu/jit.py)."""
    code = getattr(function, "__code__", None) or type(function).__call__.__code__
    try:
        status = os.stat(code.co_filename)
    except OSError:
        return f"{binascii.crc32(marshal.dumps(code)):08x}"
    return f"{code.co_filename} {status.st_size} {status.st_mtime_ns}"


def refuse(name, field, value, known):
    """ValueError for a value that no rule knows."""
    raise ValueError(f"operator {name}: {field}={value!r} is none of {', '.join(sorted(known))}")


# Note [Declarations are dataclasses]
# A dataclass makes its functions from text whenever it is defined, a millisecond each, at every import. `declaration`
# takes the fields from `dataclasses` and leaves the functions out: `Declaration` has one `__init__` for all kinds,
# which checks the names of the fields, and is frozen.
LEADING = {"leading": True}  # of fields that may be given by position


def declaration(kind):
    """Make a class a dataclass whose functions are those of Declaration."""
    kind = dataclasses.dataclass(init=False, repr=False, eq=False, match_args=False)(kind)
    fields = [field for field in dataclasses.fields(kind) if field.init]
    kind.leading = tuple([field.name for field in fields if field.metadata])
    needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    kind.optional = {f.name: {} if f.default is dataclasses.MISSING else f.default
                     for f in fields if f.name not in needed}
    kind.known = frozenset([*needed, *kind.optional])
    return kind


class Declaration:
    """What all declarations do: take their fields by name, check them, and stay as they are."""

    def __init__(self, *leading, **facts):
        kind = self.__class__
        if len(leading) > len(kind.leading):
            raise TypeError(f"{kind.__name__}() takes {', '.join(kind.leading)} by position, not {len(leading)} values")
        values = self.__dict__
        values.update(kind.optional)
        values.update(zip(kind.leading, leading))
        values.update(facts)
        if values.keys() != kind.known:
            self.complain()
        self.check()
        self.enter()

    def complain(self):
        """TypeError for a field that the kind does not have, or one that is missing."""
        kind, given = self.__class__.__name__, self.__dict__.keys()
        wrong, missing = sorted(given - self.known), sorted(self.known - given)
        if wrong:
            raise TypeError(f"{kind}() has no field {wrong[0]!r}; fields: {', '.join(sorted(self.known))}")
        raise TypeError(f"{kind}() needs the fields {', '.join(missing)}")

    def __setattr__(self, name, value):
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r} of {self!r}")

    def __delattr__(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r} of {self!r}")

    def check(self):
        """Refuse values of fields that no rule knows, and complete the others. Kinds extend it."""

    def enter(self):
        """Complete the declaration and make it known."""


@declaration
class Operator(Declaration):
    """What operators of every kind say.

    params: the parameters that gradient formulas may name; grad: formula by parameter, see core/grads.py, also for
    `conjugates`; node: the name of the gradient's node, where it is not made of the operator's name.
    layouts: the rule of shapes, strides and dtypes, (op, layouts, number classes, pattern, attrs, given) -> (layouts
    of the results, info for the planner), see core/infer.py.
    failures: what its kernel reports about data, as name -> BadData. `code` gives the number of one in the error
    word.
    """

    name: str = dataclasses.field(metadata=LEADING)
    params: tuple = ()
    grad: Mapping | None = None
    node: str | None = None
    conjugates: bool = False
    layouts: Callable = rules.explicit
    failures: Mapping = dataclasses.field(default_factory=dict)
    rule: GradRule | None = dataclasses.field(init=False)
    forms: dict = dataclasses.field(init=False)
    checks: bool = dataclasses.field(init=False)  # whether its kernel may report a failure

    kind: ClassVar[str] = ""
    body: ClassVar[None] = None
    is_loop: ClassVar[bool] = False  # whether it fuses with others into one kernel of loops
    heavy: ClassVar[bool] = False
    checks_overlap: ClassVar[bool] = False
    repeats: ClassVar[bool] = False
    light: ClassVar[bool] = False
    reads: ClassVar[None] = None
    unjoined: ClassVar[int] = 0
    aligned: ClassVar[tuple] = ()

    def enter(self):
        """Check what all kinds say, make the rule of gradients, and enter the operator."""
        name = self.name
        if name in OPERATORS:
            raise ValueError(f"operator {name} is declared twice")
        if not callable(self.layouts):
            raise TypeError(f"operator {name}: layouts must be a function, not {type(self.layouts).__name__}")
        for failure in self.failures.values():
            if failure.__class__ is not BadData:
                raise TypeError(f"operator {name}: failures must be of class BadData, not {type(failure).__name__}")
        for function in self.code_of():
            if function.__module__.partition(".")[0] != PACKAGE:
                OUTSIDE[name] = stamp(function)
        rule = GradRule(name, self.params, self.grad, self.node, self.conjugates) if self.grad else None
        self.__dict__.update(rule=rule, forms={}, checks=bool(self.failures))
        OPERATORS[name] = self

    def code_of(self):
        """The functions that decide the code of its kernel."""
        return () if self.body is None else (self.body,)

    def results(self, layouts, numbers, pattern, attrs, given):
        """The rule of layouts alone."""
        return self.layouts(self, layouts, numbers, pattern, attrs, given)

    def infer(self, layouts, numbers, pattern, attrs, given):
        """The rule of layouts for results that need memory: they are refused here if there is not that much."""
        answer = self.results(layouts, numbers, pattern, attrs, given)
        check_layouts(answer[0])
        return answer

    def form(self, pattern, attrs=(), classes=()):
        """The Form of a pattern and attributes. `classes`: those of the attributes, where 2 and 2.0 differ."""
        key = (pattern, attrs, classes)
        form = self.forms.get(key)
        if form is None:
            if len(self.forms) >= MOST_FORMS:
                self.forms.clear()
            form = self.forms[key] = Form(self, pattern, attrs)
        return form

    def code(self, failure):
        """The number of a failure in the error word, see core/errors.py."""
        for code, name in enumerate(self.failures, 1):
            if name == failure:
                return code
        if failure == "division":
            return DIVISION_CODE
        raise KeyError(f"operator {self.name} reports {failure!r}, which it does not declare")

    def failure(self, code):
        """The BadData of a number in the error word."""
        return DIVISION if code == DIVISION_CODE else list(self.failures.values())[code - 1]

    def device(self, attrs):
        """The device of an operator without tensor operands."""
        return resolve(None)

    def __repr__(self):
        return f"<{self.kind} {self.name}>"


def split_params(body):
    """(names, letters, defaults) of a body's parameters after `k`; letters: "t" operand, "n" number, "a" attribute."""
    params = signatures.parameters(body)[1:]
    letters = ["t" if note is REQUIRED else "n" if note in (float, "float") else "a" for _, _, note, _ in params]
    return [p[0] for p in params], letters, [p[1] for p in params]


@declaration
class Elementwise(Operator):
    """A body that computes one element.

    promote: "default" (operands join), "float" (integers become the default float), "compare" (operands join, result
    bool), "bool" (no join, result bool), "keep" (no join, result like the first), or a function (layouts, number
    classes, attrs) -> (joined or None, result). dtypes: "all", "numeric" (no bool), "integral" (with bool),
    "integers", "floating"; complex: also complex numbers; refuse: the text for other dtypes, where PyTorch has its own.
    heavy: too expensive to compute twice. contiguous: the result is contiguous whatever the strides of the operands.
    checks_overlap: operands that share memory with a written one in part are refused. casts: the result may have
    another dtype than its rule of gradients. tensors: how many of the first parameters must be tensors. fills: a number
    is written to the first operand as it is, so that it has to fit its dtype. wraps: a call of numbers alone counts as
    one of zero-dim tensors. unjoined: how many of the first operands keep their dtype. repeats: it may write elements
    that share memory, because writing twice is as good as once.
    """

    body: Callable = dataclasses.field(metadata=LEADING)
    layouts: Callable = rules.elementwise
    promote: str | Callable = "default"
    dtypes: str = "all"
    complex: bool = False
    refuse: str | None = None
    heavy: bool = False
    contiguous: bool = False
    checks_overlap: bool = True
    casts: bool = False
    tensors: int = 0
    fills: bool = False
    wraps: bool = False
    unjoined: int = 0
    repeats: bool = False
    letters: list = dataclasses.field(init=False)
    defaults: list = dataclasses.field(init=False)

    kind: ClassVar[str] = "elementwise"
    is_loop: ClassVar[bool] = True

    def check(self):
        if self.promote not in PROMOTIONS and not callable(self.promote):
            refuse(self.name, "promote", self.promote, PROMOTIONS)
        if self.dtypes not in DTYPES:
            refuse(self.name, "dtypes", self.dtypes, DTYPES)
        params, letters, defaults = split_params(self.body)
        self.__dict__.update(params=params, letters=letters, defaults=defaults)


@declaration
class Reduction(Operator):
    """Values along some dimensions become one.

    combine: a name of codegen/reductions.py, or a function (k, total, value) -> total that may take the values in any
    order, with `start` as the total of no value. accumulate: (dtype, attributes) -> the dtype of the total. outs:
    (dtype, attributes) -> the dtypes of the results.
    """

    combine: str | Callable
    accumulate: Callable
    outs: Callable
    start: bool | int | float = 0
    layouts: Callable = rules.reduction

    kind: ClassVar[str] = "reduction"
    is_loop: ClassVar[bool] = True

    def check(self):
        if self.combine not in COMBINES and not callable(self.combine):
            refuse(self.name, "combine", self.combine, COMBINES)

    def code_of(self):
        return (self.combine,) if callable(self.combine) else ()

    @property
    def finds(self):
        """Whether it also gives the position of the value."""
        return self.combine in ("argmax", "argmin")


@declaration
class Gather(Operator):
    """A body that computes one element and reads operands at positions of its own choice.

    aligned: the operands that it reads at the element's own position, as an element-wise body does; the attribute
    "aligned" of an instruction stands above it.
    """

    body: Callable = dataclasses.field(metadata=LEADING)
    aligned: tuple = ()

    kind: ClassVar[str] = "gather"
    is_loop: ClassVar[bool] = True


@declaration
class Kernel(Operator):
    """A kernel with IR of its own.

    lower: the lowering, (instruction) -> launches: its path, see codegen/lower.py, or the function; light: making them
    needs no code generator. reads, writes: the layouts it is made for (Note [Layouts that kernels read]). repeats: it
    writes in order, also into tensors some of whose elements share memory.
    """

    lower: str | Callable
    light: bool = False
    reads: str | tuple | Callable | None = dataclasses.field()  # the None of other kinds is no default
    writes: str = "any"
    repeats: bool = False

    kind: ClassVar[str] = "kernel"

    def check(self):
        known = (self.reads,) if isinstance(self.reads, str) else () if callable(self.reads) else self.reads
        for need in (*known, self.writes):
            if need not in FITS:
                refuse(self.name, "reads", need, FITS)
        if self.reads == "any":
            self.__dict__.update(reads=None)
        if not isinstance(self.lower, str) and not callable(self.lower):
            raise TypeError(f"operator {self.name}: lower must be a name or a function, not {self.lower!r}")

    def code_of(self):
        return (self.lower,) if callable(self.lower) else ()

    def needs(self, attrs, count):
        """The needs of `count` operands."""
        if self.reads is None:
            return ("any",) * count
        return self.reads(attrs) if callable(self.reads) else self.reads

    def conform(self, attrs, tensors):
        """The operands as the kernel reads them: those whose layouts do not fit are copied."""
        return [t if FITS[need](t._layout) else record(OPERATORS["contiguous"], "t", (), (t,))[0]
                for t, need in zip(tensors, self.needs(attrs, len(tensors)))]

    def results(self, layouts, numbers, pattern, attrs, given):
        """The rule of layouts, after layouts that the kernel is not made for. Only a mistake of ours gets there."""
        if self.reads is not None or self.writes != "any":
            needs = self.needs(attrs, len(layouts))
            for layout, need in (*zip(layouts, needs), *((layout, self.writes) for layout in given or ())):
                if not FITS[need](layout):
                    raise RuntimeError(f"{self.name}: an operand of shape {list(layout.shape)} and strides "
                                       f"{list(layout.strides)} is not {need}")
        return self.layouts(self, layouts, numbers, pattern, attrs, given)


@declaration
class Template(Kernel):
    """A contraction: its kernel is made from a template that takes sizes, strides and dtypes (matrix products,
    convolutions). The fields are those of kernels."""

    kind: ClassVar[str] = "template"


@declaration
class Scan(Kernel):
    """Running results along one dimension.

    step: (k, totals, value, position) -> totals, over values of a handler; start: the totals before the first element.
    Each total is a result; the second is a position, of int64. total: dtype of the result -> dtype of the first total.
    """

    step: Callable
    start: tuple
    total: Callable
    lower: str | Callable = "rows.scan:scan"
    reads: str | tuple | Callable | None = "any"

    kind: ClassVar[str] = "scan"

    def code_of(self):
        return (self.step,)


@declaration
class Scatter(Kernel):
    """Elements are written at computed positions, where some may meet.

    combines: by the attribute "mode" of an instruction, a named function (k, old, new) -> what is stored; None: the new
    element.
    """

    combines: Mapping
    lower: str | Callable = "rows.scatter:lower_scatter"
    reads: str | tuple | Callable | None = "any"

    kind: ClassVar[str] = "scatter"

    def check(self):
        super().check()
        for mode, combine in self.combines.items():
            if combine is not None and combine.__name__ == "<lambda>":
                raise ValueError(f"operator {self.name}: combines[{mode!r}] needs a name, which is in the kernel's key")

    def code_of(self):
        return [combine for combine in self.combines.values() if combine is not None]


@declaration
class Host(Operator):
    """A body over NumPy arrays that view the memory of the operands: (results, operands, numbers, **attributes)."""

    body: Callable = dataclasses.field(metadata=LEADING)

    kind: ClassVar[str] = "host"


@declaration
class Macro(Operator):
    """Several operators recorded as one instruction, see core/macro.py. Its failures are those of its parts."""

    body: Callable = dataclasses.field(metadata=LEADING)
    layouts: Callable

    kind: ClassVar[str] = "macro"


@declaration
class Composite(Declaration):
    """Plain Python over other operators, under its public names.

    grad, node, conjugates: with a formula it is one node of the graph (core/grads.py), and its body runs without
    recording gradients. out: it takes `out=`. cast: the row of the autocast policy (core/autocast.py). quick: the
    method is too short for a call more, and takes care of its arguments' kinds itself (Note [Kinds of arguments]).
    """

    names: str = dataclasses.field(metadata=LEADING)
    function: Callable = dataclasses.field(metadata=LEADING)
    grad: Mapping | None = None
    node: str | None = None
    conjugates: bool = False
    out: bool = True
    cast: str | None = None
    quick: bool = False

    def enter(self):
        if self.names:
            COMPOSITES[self.names.partition(" ")[0]] = self

    def __repr__(self):
        return f"<{self.__class__.__name__.lower()} {self.names or self.function.__name__}>"


@declaration
class View(Composite):
    """Stride arithmetic: the result lies in the memory of its first operand, and no instruction is recorded."""

    out: bool = False
