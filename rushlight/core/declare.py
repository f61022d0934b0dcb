"""How declarations become public functions: the decorators of element-wise operators, composites and views, and `apply`
for functions written by hand.

    @elementwise("exp exp_ special.exp", promote="float", grad={"input": lambda g, out: g * out})
    def exp(k, input):
        "Exponential of each element."
        return k.exp(input)

The decorated function is the scalar body: `k` is the handler that emits the kernel, unannotated parameters are
operands (tensor or number), parameters annotated `float` are numbers that may change from call to call, all others
are static attributes. Its signature (without `k`) and docstring are the public ones. Public names: "exp" is
`torch.exp` and `Tensor.exp`; "exp_" the in-place forms; "nn.functional.relu" a function at that path; "Tensor.x" only
a method; "torch.x" only a function.

REGISTRY maps public paths to callables. `kinds` has the declarations. `tensor/`, `api.py` and the namespaces bind
from REGISTRY. Read `infer` (shape and dtype rules) next.
"""

import functools

from ..base.lazy import is_array
from . import dtype as dt
from . import infer as rules
from . import signatures
from .arguments import FIRST, alias, check_keywords, refuse, respelled
from .dispatch import REFUSALS, foreign
from .grads import GradRule, begin_write, end_write, wants_grad
from .kinds import OPERATORS, Composite, Elementwise, View
from .graph import MODE, under_grad
from .out import ITERATED, check_apart, dtype_of, settles
from .signatures import REQUIRED
from .record import (HIGHEST, LOWEST, MOST_FORMS, binary, binary_number, record_form,
                     unary)
from .stream import STREAM
from .tensor import Tensor, version_of, view

REGISTRY = {}


def register(names, function, inplace=None, method=None):
    """Enter a callable (and its in-place form) under its public names; `method`: what tensors get of it, if that is
    another."""
    for name in names.replace(",", " ").split():
        chosen = inplace if name.endswith("_") and not name.endswith("__") and inplace is not None else function
        if name.startswith("torch."):
            REGISTRY[name.removeprefix("torch.")] = chosen
        elif name.startswith("Tensor.") and chosen is function:
            REGISTRY[name] = method or function
        elif "." in name:
            REGISTRY[name] = chosen
        else:
            REGISTRY[name] = chosen
            REGISTRY[f"Tensor.{name}"] = method or chosen


def public(names, **facts):
    """Declare a composite: plain Python over other operators. `facts`: the fields of `kinds.Composite`."""
    return lambda function: publish(Composite(names, function, **facts))


def view_operator(names, **facts):
    """Declare a view: stride arithmetic. `facts`: the fields of `kinds.View`."""
    return lambda function: publish(View(names, function, **facts))


def publish(op):
    """The public function of a composite, entered under its names."""
    function, names = op.function, op.names
    method = call = function if op.grad is None else one_node(function, op.grad, op.node, op.conjugates)
    method.cast = op.cast
    if op.out and names and "out" not in signatures.names(function):
        call = with_out(call, function)
        call.cast = op.cast
    register(names, call, method=method if op.quick or not names else guarded(method, function))  # without out=
    return call


def guarded(call, function):
    """The call; where it fails because of an argument's kind, it raises a TypeError (Notes [Kinds of arguments],
    [Spellings of arguments])."""
    @signatures.named(function)
    def guard(*args, **kwargs):
        try:
            if not kwargs:
                return call(*args)
            check_keywords(function, kwargs)
            return call(*args, **kwargs)
        except REFUSALS as error:
            again = respelled(function, args, kwargs)
            if again is None:
                refuse(function, args, kwargs, error)
                raise
        return guard(*again[0], **again[1])
    guard.__dict__.update(call.__dict__)
    return guard


def one_node(function, grad, node_name, conjugates=False):
    """The composite as one node of the graph of gradients."""
    named = signatures.parameters(function)
    params, defaults = [p[0] for p in named], [p[1] for p in named]
    rule = GradRule(function.__name__, params, grad, node_name, conjugates)
    positions = {p: i for i, p in enumerate(params)}
    count = len(params)

    @signatures.named(function)
    def call(*args, **kwargs):
        values = args
        if kwargs or len(args) != count:
            values = bind(function.__name__, args, kwargs, params, defaults, positions, count)
        if not MODE.grad or not rule.may_apply(values):
            return function(*values)
        try:  # `under_grad` in line
            MODE.grad = False
            result = function(*values)
            MODE.grad = True
        except BaseException:
            MODE.grad = True
            raise
        rule.attach(values, (result,) if isinstance(result, Tensor) else list(result))
        return result
    call.rule = rule
    call.plain = function
    return call


def bind(name, args, kwargs, params, defaults, positions, count):
    """Positional and keyword arguments as the list of parameter values. TypeError as Python raises it."""
    if not kwargs and len(args) == count:
        return args
    if len(args) > count:
        raise TypeError(f"{name}() takes {count} positional arguments but {len(args)} were given")
    values = list(args) + defaults[len(args):]
    for key, value in kwargs.items():
        at = positions.get(key)
        if at is None:
            at = positions.get(alias(key, positions)) if key not in FIRST or args else 0
            if at is None:
                raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
        if at < len(args):
            raise TypeError(f"{name}() got multiple values for argument '{key}'")
        values[at] = value
    for i, value in enumerate(values):
        if value is REQUIRED:
            raise TypeError(f"{name}() missing 1 required positional arguments: \"{params[i]}\"")
    return values


def with_out(call, function):
    """Add `out=`: the result is copied into the tensors given (resized where empty), as PyTorch does."""
    entry = None  # of the public copy (core/dispatch.py)

    @signatures.named(function)
    def wrapper(*args, **kwargs):
        try:
            if not kwargs:
                return call(*args)
            check_keywords(function, kwargs)
            if kwargs.get("out") is not None:
                return into_out(function.__name__, call, kwargs["out"], args, without(kwargs, "out"))
            kwargs.pop("out", None)
            return call(*args, **kwargs)
        except REFUSALS as error:
            again = respelled(function, args, kwargs)
            if again is None and (entry is None or not foreign(args, kwargs)):
                refuse(function, args, kwargs, error)
                raise
        return entry.enter(args, kwargs) if again is None else wrapper(*again[0], **again[1])
    wrapper.rule = getattr(call, "rule", None)
    wrapper.takes_out = True
    return wrapper


def without(kwargs, name):
    """The keyword arguments except one."""
    return {key: value for key, value in kwargs.items() if key != name}


def into_out(name, call, out, args, kwargs):
    """Run a function and copy its results into the tensors of `out=`."""
    outs = [out] if isinstance(out, Tensor) else list(out)
    if MODE.grad and any(wants_grad(v) for v in (*args, *kwargs.values(), outs)):
        raise RuntimeError(f"{name}(): functions with out=... arguments don't support automatic differentiation, but "
                           "one of the arguments requires grad.")
    for o in outs:
        if not isinstance(o, Tensor):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(o).__name__}")
    asked = kwargs.get("dtype")
    op = OPERATORS.get(name)
    if name in ITERATED or op is not None and op.checks_overlap:
        check_apart(name, (*args, *kwargs.values()), outs)
    result = call(*args, **dtype_of(name, outs, kwargs))
    results = [result] if isinstance(result, Tensor) else list(result)
    for o, r in zip(outs, results):
        if not settles(name, r._layout, o._layout, asked):
            rules.check_out(name, r._layout, o._layout)
        if o._layout.shape != r._layout.shape:
            REGISTRY["Tensor._make_room"](o, r._layout.shape, r._layout.strides if r._layout.dense else None)
        REGISTRY["Tensor.copy_"](o, r)
    if isinstance(result, Tensor):
        return out
    return type(result)(*outs) if hasattr(result, "_fields") else type(result)(outs)


# -- element-wise ----------------------------------------------------------------------------------------------------


def elementwise(names, name=None, cast=None, **facts):
    """Declare an element-wise operator (see the module's docstring).

    `facts`: the fields of `kinds.Elementwise`. `name`: the operator's, if it is not the body's. `cast`: the row of the
    autocast policy (see core/autocast.py).
    """
    def declare(body):
        op = Elementwise(name or body.__name__, body, **facts)
        function, inplace = build_elementwise(op, body)
        function.cast = cast
        if function.fast is not None:
            function.fast.cast = cast
        register(names, function, inplace)
        function.op = op
        function.inplace = inplace
        return function
    return declare


class Calls:
    """The callables of one element-wise operator."""

    def __init__(self, op):
        self.op, self.rule = op, op.rule
        self.params, self.letters, self.defaults = op.params, op.letters, op.defaults
        self.positions = {p: i for i, p in enumerate(self.params)}
        self.count = len(self.params)
        self.plain = "a" not in self.letters and "n" not in self.letters

    def split(self, values):
        """What `record_form` takes: (form, tensors, numbers)."""
        pattern, attrs, classes, tensors, numbers = "", [], [], [], []
        for position, name in enumerate(self.params[:self.op.tensors]):
            if not isinstance(values[position], Tensor):
                raise TypeError(f"{self.op.name}(): argument '{name}' (position {position + 1}) must be Tensor, not "
                                f"{type(values[position]).__name__}")
        for letter, name, value in zip(self.letters, self.params, values):
            if isinstance(value, complex) and letter != "a":
                value = complex_operand(value, values)
            if letter == "a":
                attrs.append((name, value))
                classes.append(value.__class__)
            elif isinstance(value, Tensor):
                pattern += "t"
                tensors.append(value)
            else:
                pattern += "n"
                numbers.append(as_number(self.op.name, name, value))
        if self.op.fills and numbers and tensors:
            dt.check_fits(numbers[0], tensors[0]._layout.dtype.plain)
        return self.op.form(pattern, tuple(attrs), tuple(classes)), tensors, numbers

    def apply(self, values):
        form, tensors, numbers = self.split(values)
        if not tensors:
            if self.op.wraps and dt.is_number(values[0]):
                return self.apply([complex_scalar(values[0], dt.of_number(values[0])), *values[1:]])
            raise TypeError(f"{self.op.name}(): argument '{self.params[0]}' (position 1) must be Tensor, not "
                            f"{type(values[0]).__name__}")
        out = record_form(form, tensors, numbers)[0]
        if MODE.grad and self.rule is not None and (not self.op.casts
                                                    or out._layout.dtype.category >= dt.FLOATING):
            self.rule.attach(values, [out])
        return out

    def apply_inplace(self, values):
        target = values[0]
        if not isinstance(target, Tensor):
            raise TypeError(f"{self.op.name}_(): argument 'input' (position 1) must be Tensor, not "
                            f"{type(target).__name__}")
        node = begin_write(self.rule, values, target)
        write_form(*self.split(values), target, node)
        return target


def write_form(form, tensors, numbers, target, node):
    """Record a form that writes into `target`, and give the target the node of `begin_write`. No exception leaves a
    write without its history."""
    version = version_of(target)
    try:
        record_form(form, tensors, numbers, (target,))
        end_write(node, target)
    except BaseException:
        STREAM.unsettled.append((node, target, version))  # Note [Unsettled writes] in core/grads.py
        STREAM.dirty = True
        raise


def complex_operand(value, values):
    """A complex number among operands: a zero-dim tensor as precise as the result. (Programs take real numbers as
    arguments; a complex one lies in memory.)"""
    wide = dt.get_default_dtype() is dt.float64 or any(
        [isinstance(v, Tensor) and v.dtype in (dt.float64, dt.complex128) for v in values])
    return complex_scalar(value, dt.complex128 if wide else dt.complex64)


complex_scalar = None  # set by ops: (number, dtype) -> zero-dim Tensor


def as_number(op, name, value):
    """A Python bool, int or float from a number-like argument."""
    if value.__class__ in (bool, int, float):
        return value
    if isinstance(value, complex):
        raise RuntimeError(f"{op}(): argument '{name}' must be a real number, not complex")
    if dt.is_number(value):
        return value.item() if hasattr(value, "item") else (float(value) if isinstance(value, float) else int(value))
    if isinstance(value, Tensor):
        return value.item()
    if hasattr(value, "__index__") and not is_array(value):
        return rules.as_index(value)
    raise TypeError(f"{op}(): argument '{name}' must be Tensor or Number, not {type(value).__name__}")


def build_elementwise(op, body):
    """The public function and in-place function of an element-wise operator, specialised by arity."""
    spec = Calls(op)
    rule, params, defaults, positions, count = spec.rule, spec.params, spec.defaults, spec.positions, spec.count
    name = op.name
    if spec.plain and count == 1:
        fast = fast_unary(op, rule)
    elif spec.plain and count == 2:
        fast = fast_binary(op, rule, spec)
    elif spec.letters == ["t", "a"] and not op.casts:
        fast = fast_attribute(op, rule, spec)
    else:
        fast = None

    entry = None  # of the public copy (core/dispatch.py)

    @signatures.named(body)
    def function(*args, **kwargs):
        try:
            if not kwargs and fast is not None and len(args) == count:
                return fast(*args)
            if "out" in kwargs:
                if kwargs["out"] is not None:
                    return into_out(name, function, kwargs["out"], args, without(kwargs, "out"))
                del kwargs["out"]
            return spec.apply(bind(name, args, kwargs, params, defaults, positions, count))
        except REFUSALS:
            if entry is None or not foreign(args, kwargs):
                raise
        return entry.enter(args, kwargs)

    @signatures.named(body)
    def inplace(*args, **kwargs):
        return spec.apply_inplace(bind(name + "_", args, kwargs, params, defaults, positions, count))
    function.__signature__ = signatures.signature(body, 1)
    function.takes_out = True
    inplace.__signature__ = function.__signature__
    inplace.__name__ = name + "_"
    function.fast = fast
    return function, inplace


def fast_unary(op, rule):
    """The path of one operand: the in-line functions of the Tensor class are such."""
    form, name = op.form("t"), op.name

    def fast(input):
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        out = unary(form, input)
        if (input._rg or input._base is not None) and rule is not None and MODE.grad:
            rule.attach_first((input,), out)
        return out
    return fast


def fast_attribute(op, rule, spec):
    """The path of one operand and one attribute."""
    name = spec.params[1]

    @functools.lru_cache(MOST_FORMS, typed=True)
    def form_of(value):
        return op.form("t", ((name, value),), (value.__class__,))

    def fast(input, value):
        if not isinstance(input, Tensor):
            return spec.apply((input, value))  # which refuses it
        out = unary(form_of(value), input)
        if (input._rg or input._base is not None) and rule is not None and MODE.grad:
            rule.attach_first((input, value), out)
        return out
    return fast


def fast_binary(op, rule, spec):
    """The path of two operands: operators of the Tensor class call it directly."""
    number_allowed = op.tensors < 2
    pair, with_number = op.form("tt"), op.form("tn")

    def otherwise(input, other):
        return spec.apply((input, other))

    def fast(input, other):
        if isinstance(input, Tensor):
            if isinstance(other, Tensor):
                out = binary(pair, input, other)
                if (input._rg or other._rg or input._base is not None or other._base is not None) and rule is not None \
                        and MODE.grad:
                    rule.attach_pair(input, other, out)
                return out
            kind = other.__class__
            if number_allowed and (kind is float or kind is int and LOWEST <= other <= HIGHEST):
                out = binary_number(with_number, input, other)
                if (input._rg or input._base is not None) and rule is not None and MODE.grad:
                    rule.attach_pair(input, other, out)
                return out
        return otherwise(input, other)
    return fast


# -- other kinds: a public function, written by hand, records the operator and attaches its gradient -----------------


def composed(rule, values, compute):
    """What `compute()` gives, recorded without gradients, as one step of the graph by `rule`: for operators that
    some dtypes make of several instructions."""
    before = MODE.grad
    result = under_grad(False, compute)
    result = view(result._storage, result._layout, result._offset)  # not a view in autograd's eyes
    if before:
        rule.attach(values, (result,))
    return result


def apply_form(form, values, tensors, numbers=()):
    """`apply` of a form to tensors that are not written."""
    if form.op.reads is not None:
        tensors = form.op.conform(form.attrs, tensors)
    results = record_form(form, tensors, numbers)
    rule = form.op.rule
    if rule is not None and MODE.grad:
        rule.attach(values, results)
    return results


def apply(op, values, tensors, numbers=(), attrs=(), pattern=None, outs=None):
    """Record `op` and give its results a node. `values`: the parameter values that the gradient rule names (op.params).

    Returns the list of result tensors. With `outs` (in-place) the single written tensor must be `outs[0]`.
    """
    form = op.form("t" * len(tensors) + "n" * len(numbers) if pattern is None else pattern, attrs)
    if outs is None:
        return apply_form(form, values, tensors, numbers)
    if op.reads is not None:
        tensors = op.conform(attrs, tensors)
    write_form(form, tensors, numbers, outs[0], begin_write(op.rule, values, outs[0]))
    return outs
