"""The one door: every public function, method, dunder and property can be intercepted here.

`publish` makes the public copy of a function. As long as nothing in the process can intercept calls, a public copy
runs its own code and nothing is tested (Note [Doors]). Handlers see the public function, the overriding types, and the
arguments as the program wrote them. From the outside inwards a call meets

1. function modes (`push`, `pop`), the innermost first, each with itself taken off the stack while it runs;
2. `__torch_function__` of the arguments, subclasses before their bases, else from left to right;
3. kernel handlers (`push_beneath`): autocast and its like, which see the entry and cannot decline;
4. the function itself.

How to write a handler (`docs/write-a-handler.md` has examples): subclass `torch.overrides.TorchFunctionMode`, or call
`push_beneath` with a function `(entry, args, kwargs) -> result`. `entry.plain` runs the operator itself,
`entry.function` is the public function, `entry.path` its name ("nn.functional.relu"), `entry.cast` its row of the
autocast policy. A kernel handler that runs `entry.function` again leaves the stack first: use `outside`.

Note [Doors]
A public function is a copy of an internal one: same code object, own identity. The first handler of a process swaps
the code of all copies for a door, `"entry".enter(args, kwargs)` with the entry as a constant; the identity of the
functions stays, so tables keyed by them stay true. A door that finds nobody watching counts; after as many idle calls
as an exchange of all doors costs, the original code goes back. So a program without handlers pays nothing, and one
that enters and leaves contexts in each step pays at most twice the cheaper of both ways. Functions inside the package
call one another by their internal names and never pass a door.

Arguments are searched for `__torch_function__` only while there can be some: instances of subclasses of Tensor are
known from their making to their end (`adopt`); a class that only looks like a tensor is found by the error that its
first instance causes (`guard`), and from then on everything is searched.
"""

import functools
import threading
import types
import weakref

from . import signatures

IDLE_CALLS = 4000  # after which the doors are taken out again: about what an exchange costs
REFUSALS = (TypeError, AttributeError, ValueError, NotImplementedError, RuntimeError, IndexError)
ENTRIES = {}  # of every public function: path -> Entry


class _Doors:
    """The state of the process: how many handlers there are in all threads, and whether the doors are in."""

    def __init__(self):
        self.lock = threading.Lock()
        self.watchers = 0
        self.instances = {}  # references to living tensors of classes that override, by their ids
        self.lookalikes = 0  # how many reasons there are to expect objects with __torch_function__ that are no tensors
        self.installed = False
        self.idle = 0

    def watch(self):
        """One more handler: see to it that the doors are in."""
        with self.lock:
            self.watchers += 1
            self.idle = 0
            if not self.installed:
                self.install()

    def unwatch(self):
        """One handler less."""
        with self.lock:
            self.watchers -= 1

    @property
    def overriding(self):
        """Whether arguments may override."""
        return bool(self.instances) or self.lookalikes

    def gone(self, reference):
        """A tensor of a class that overrides has died."""
        self.instances.pop(id(reference), None)

    def install(self):
        """Put the doors in."""
        self.installed = True
        self.idle = 0
        for entry in ENTRIES.values():
            entry.close()

    def remove(self):
        """Put the original code back, unless a handler has come since."""
        with self.lock:
            if self.installed and not (self.watchers or self.instances):
                self.installed = False
                for entry in ENTRIES.values():
                    entry.open()


DOORS = _Doors()


class _Local(threading.local):
    """The handlers of a thread."""

    modes = ()  # function modes, the innermost last
    beneath = ()  # kernel handlers, the innermost last
    subclasses = True  # whether __torch_function__ of arguments is asked
    enabled = True  # whether modes and __torch_function__ are asked


LOCAL = _Local()


class Entry:
    """A public function: its name, the function that handlers see, and how to run the operator itself."""

    __slots__ = ("path", "copy", "function", "plain", "cast", "code", "door", "order")

    def __init__(self, path, copy):
        self.path, self.copy, self.function, self.plain = path, copy, copy, copy
        self.cast = getattr(copy, "cast", None)
        self.code, self.door = copy.__code__, None
        self.order = None

    def close(self):
        """Put the door in."""
        if self.door is None:
            copy = self.copy
            self.plain = duplicate(copy)
            self.door = door_code(self, copy)
            copy.__dict__.setdefault("__wrapped__", self.plain)  # inspect.signature reads it there
        self.copy.__code__ = self.door

    def open(self):
        """Take the door out."""
        self.copy.__code__ = self.code

    def enter(self, args, kwargs):
        """A call of the public function: ask the handlers, then run it."""
        doors = DOORS
        searched = doors.instances or doors.lookalikes
        if not (doors.watchers or searched):
            DOORS.idle += 1
            if DOORS.idle > IDLE_CALLS:
                DOORS.remove()
            return self.plain(*args, **kwargs)
        local = LOCAL
        if local.enabled:
            found = overriding(args, kwargs) if searched and local.subclasses else ()
            if found or local.modes:
                if self.order is not None:
                    args, kwargs = self.order(args, kwargs)
                return ask(self.function, found, args, kwargs, self.order is not None)
        if local.beneath:
            return local.beneath[-1](self, args, kwargs)
        return self.plain(*args, **kwargs)

    def __repr__(self):
        return f"<entry {self.path}>"


class OperatorEntry(Entry):
    """A method of Python's operators: a TypeError of its handlers means NotImplemented, so that Python goes on to the
    other operand."""

    __slots__ = ()

    def enter(self, args, kwargs):
        try:
            return super().enter(args, kwargs)
        except TypeError:
            if args and not isinstance(args[0], tensor_class):
                raise
            return NotImplemented


def duplicate(function):
    """A function of the same code, defaults and closure, with an identity of its own."""
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__,
                              function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


@functools.cache
def template(count):
    """The code of a door of a function with `count` free variables; an exchange of code needs as many."""
    cells = ", ".join(f"c{i}" for i in range(count))
    keep = f"        if 0: ({cells},)\n" if count else ""
    source = f"def outer({cells}):\n    def door(*args, **kwargs):\n{keep}" \
             "        return 'entry'.enter(args, kwargs)\n    return door\n"
    space = {}
    exec(compile(source, __file__, "exec"), space)  # noqa: S102  (our own text)
    code = space["outer"](*[None] * count).__code__
    return code.replace(co_firstlineno=Entry.enter.__code__.co_firstlineno)  # so that tracebacks show `enter`


def door_code(entry, function):
    """The door of an entry, as code that can take the place of the function's own."""
    found = template(len(function.__code__.co_freevars))
    return found.replace(co_consts=tuple([entry if c == "entry" else c for c in found.co_consts]),
                         co_freevars=function.__code__.co_freevars, co_name=function.__name__)


def publish(path, function, module=None, seen_as=None, in_python=False):
    """The public copy of a function under its path ("nn.functional.relu", "Tensor.add").

    in_python: handlers see the arguments as PyTorch's functions in Python pass them (`by_keyword`).
    seen_as: the path of the function that handlers see instead, for dunders (`x + y` is `Tensor.add`). A function that
    names a free variable `entry` finds its entry there. What is not a plain function is returned as it is."""
    if not isinstance(function, types.FunctionType):
        return function
    own = types.CellType()
    copy = with_cell(function, "entry", own)
    name = path.rpartition(".")[2]
    copy.__name__ = name
    copy.__qualname__ = f"Tensor.{name}" if path.startswith("Tensor.") else name
    copy.__module__ = module or function.__module__
    if path.startswith("Tensor."):
        copy.__signature__ = signatures.Shown(function, "self", False, signatures.DOCUMENTED.get(path))
    elif getattr(function, "takes_out", False) and not path.startswith("nn."):
        flat = "." not in path and signatures.names(function)[:1] == ["A"]  # only linalg calls its matrices so
        copy.__signature__ = signatures.Shown(function, "input" if flat else None, True,
                                              signatures.DOCUMENTED.get(path))
    elif path in signatures.DOCUMENTED:
        copy.__signature__ = signatures.Shown(function, renamed=signatures.DOCUMENTED[path])
    own.cell_contents = entry = (OperatorEntry if getattr(function, "refuses", False) else Entry)(path, copy)
    if seen_as is not None and seen_as in ENTRIES:
        entry.function = ENTRIES[seen_as].function
    if in_python:
        entry.order = by_keyword(copy)
    ENTRIES[path] = entry
    if DOORS.installed:
        entry.close()
    return copy


def with_cell(function, name, cell):
    """A copy of the function in which the free variable of this name, if there is one, is another cell."""
    cells, free = function.__closure__, function.__code__.co_freevars
    if name in free:
        at = free.index(name)
        cells = (*cells[:at], cell, *cells[at + 1:])
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, cells)
    copy.__kwdefaults__, copy.__doc__ = function.__kwdefaults__, function.__doc__
    copy.__dict__.update(function.__dict__)
    copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
    if function.__annotations__:
        copy.__annotations__ = function.__annotations__
    return copy


def publish_property(path, found):
    """The property with public accessors: handlers see `Tensor.shape.__get__`, as in PyTorch."""
    parts = [None if f is None else publish(f"{path}.{name}", f)
             for f, name in ((found.fget, "__get__"), (found.fset, "__set__"), (found.fdel, "__delete__"))]
    made = property(*parts, doc=found.__doc__)
    for part, name in zip(parts, ("__get__", "__set__", "__delete__")):
        if part is not None and isinstance(part, types.FunctionType):
            ENTRIES[f"{path}.{name}"].function = getattr(made, name)
    return made


def publish_class(cls, hidden=(), seen_as=None):
    """Publish the methods and properties that a class has itself, except those whose names are `hidden`."""
    seen_as = seen_as or {}
    names = [n for n in vars(cls) if n not in hidden]
    for name in sorted(names, key=lambda n: n in seen_as):  # a dunder looks up the method it is seen as
        value = vars(cls)[name]
        path = f"Tensor.{name}"
        if isinstance(value, types.FunctionType):
            other = seen_as.get(name)
            setattr(cls, name, publish(path, value, cls.__module__, other and f"Tensor.{other}"))
        elif isinstance(value, property):
            setattr(cls, name, publish_property(path, value))


UNWRAPPED = set()  # accessors whose results stay as they are for subclasses


# -- classes that override -------------------------------------------------------------------------------------------

PLAIN = {int, float, bool, str, complex, type(None), slice, type(Ellipsis)}  # and Tensor: never asked


def disabled(func, types, args=(), kwargs=None):
    """The `__torch_function__` of a class that wants none: its instances are treated as plain tensors."""
    with DisableSubclasses():
        return func(*args, **(kwargs or {}))


def overrides(cls):
    """Whether a class has a `__torch_function__` that is to be asked."""
    if cls in PLAIN:
        return False
    handler = getattr(cls, "__torch_function__", None)
    return handler is not None and handler is not disabled


def adopt(tensor):
    """A tensor of a subclass has been made: if the class overrides, arguments are searched while the tensor lives."""
    if not overrides(type(tensor)):
        return tensor
    doors = DOORS
    reference = weakref.ref(tensor, doors.gone)
    doors.instances[id(reference)] = reference
    if not doors.installed:
        with doors.lock:
            doors.install()
    return tensor


def foreign(args, kwargs):
    """Whether arguments of a call that failed override, and are the first objects to do so that are not tensors. From
    then on arguments are searched for the rest of the process."""
    doors = DOORS
    if doors.lookalikes or not LOCAL.subclasses or not LOCAL.enabled or not overriding(args, kwargs):
        return False
    searching().__enter__()
    return True


class searching:
    """A context in which arguments are searched for objects with `__torch_function__` that are not tensors. For those
    who make such objects, so that no call has to fail first."""

    def __enter__(self):
        DOORS.lookalikes += 1
        DOORS.watch()

    def __exit__(self, *error):
        DOORS.lookalikes -= 1
        DOORS.unwatch()


def guard(function, explain, respell, check):
    """A function that is called again through its door where it fails with arguments that override, and with what
    `respell(function, args, kwargs)` gives if that is not None; of other failures `explain(function, args, kwargs,
    error)` may make a better error. `check(function, kwargs)` sees keywords before."""
    entry = None

    def guarded(*args, **kwargs):
        try:
            if kwargs:
                check(function, kwargs)
            return function(*args, **kwargs)
        except REFUSALS as error:
            again = respell(function, args, kwargs)
            if again is None and (entry is None or not foreign(args, kwargs)):
                explain(function, args, kwargs, error)
                raise
        return entry.enter(args, kwargs) if again is None else guarded(*again[0], **again[1])
    guarded.__name__, guarded.__qualname__, guarded.__doc__ = function.__name__, function.__qualname__, function.__doc__
    guarded.__module__ = function.__module__
    guarded.__dict__.update(function.__dict__)
    guarded.__wrapped__ = function
    return guarded


tensor_class = object  # set by core.tensor: the class whose methods Python's operators are


def operator_form(path, function):
    """A method of Python's operators: NotImplemented where the function refuses its operands with a TypeError.

    A function with a free variable `otherwise` calls that for operands outside its fast path; then no frame is added.
    """
    free = function.__code__.co_freevars
    if "otherwise" in free:
        slow = function.__closure__[free.index("otherwise")].cell_contents
        fast = with_cell(function, "otherwise", types.CellType(operator_form(path, slow)))
        fast.refuses = True
        return fast

    def method(self, *operands):
        try:
            return function(self, *operands)
        except TypeError:
            if not isinstance(self, tensor_class):
                raise
            if not foreign((self, *operands), {}):
                return NotImplemented
        return ENTRIES[path].enter((self, *operands), {})
    method.__name__, method.__qualname__, method.__doc__ = function.__name__, function.__qualname__, function.__doc__
    method.__module__, method.refuses = function.__module__, True
    method.cast = getattr(function, "cast", None)
    return method


def overriding(args, kwargs):
    """The arguments that override, one of each class, in the order in which they are asked: subclasses before their
    bases, else from left to right. Looks into lists and tuples."""
    found = []
    for value in (*args, *kwargs.values()) if kwargs else args:
        cls = value.__class__
        if cls in PLAIN:
            continue
        if cls is list or cls is tuple:
            for inner in value:
                if inner.__class__ not in PLAIN:
                    insert(found, inner)
        else:
            insert(found, value)
    return found


def insert(found, value):
    """Add an argument that overrides to the list, unless its class is there."""
    cls = type(value)
    if not overrides(cls) or any([type(other) is cls for other in found]):
        return
    for i, other in enumerate(found):
        if issubclass(cls, type(other)):
            found.insert(i, value)
            return
    found.append(value)


# -- asking ----------------------------------------------------------------------------------------------------------


def ask(function, found, args, kwargs, in_python=False):
    """What the innermost mode, or else the overriding arguments, give for a call. TypeError if all decline."""
    local, mode = LOCAL, None
    kinds = tuple([type(value) for value in found])
    if local.modes:
        before = local.modes
        mode = before[-1]
        local.modes = before[:-1]
        try:
            result = mode.__torch_function__(function, kinds, args, kwargs)
        finally:
            local.modes = before
        if result is not NotImplemented:
            return result
    for value in found:
        result = type(value).__torch_function__(function, kinds, args, kwargs)
        if result is not NotImplemented:
            return result
    if in_python:
        tail = f" nor was it found on the currently active mode {mode}" if mode is not None else ""
        raise TypeError(f"no implementation found for '{full_name(function)}' on types that implement "
                        f"__torch_function__: {list(kinds)}{tail}")
    lines = [f"  - mode object {mode!r}\n"] if mode is not None else []
    lines += [f"  - tensor subclass {kind!r}\n" for kind in kinds]
    raise TypeError(f"Multiple dispatch failed for '{full_name(function)}'; all __torch_function__ handlers returned "
                    f"NotImplemented:\n\n{''.join(lines)}\nFor more information, try re-running with "
                    "TORCH_LOGS=not_implemented")


def full_name(function):
    """The name of a public function in messages: "torch.add", "torch.Tensor.add"."""
    for entry in ENTRIES.values():
        if entry.function is function or entry.copy is function:
            return f"torch.{entry.path}"
    return f"{getattr(function, '__module__', None)}.{getattr(function, '__name__', function)}"


def by_keyword(function):
    """How PyTorch passes on the arguments of its functions that are written in Python: those without a default by
    position, all others by keyword. A function (args, kwargs) -> (args, kwargs)."""
    @functools.cache
    def parameters():
        return [(name, default, kind) for name, default, _, kind in signatures.parameters(function)]

    def order(args, kwargs):
        named = parameters()
        if len(args) > len(named) or any([kind not in (signatures.POSITIONAL, signatures.KEYWORD)
                                          for _, _, kind in named]):
            return args, kwargs
        given = {name: value for (name, _, _), value in zip(named, args)}
        if given.keys() & kwargs.keys():
            return args, kwargs
        given.update(kwargs)
        first, rest = [], {}
        for name, default, kind in named:
            if default is signatures.REQUIRED and kind is signatures.POSITIONAL and not rest:
                if name not in given:
                    return args, kwargs
                first.append(given.pop(name))
            elif name in given:
                rest[name] = given.pop(name)
            elif default is not signatures.REQUIRED:
                rest[name] = default
        rest.update(given)
        return tuple(first), rest
    return order


# -- stacks ----------------------------------------------------------------------------------------------------------


def push(mode):
    """Enter a function mode in this thread: an object with `__torch_function__(func, types, args, kwargs)`."""
    LOCAL.modes += (mode,)
    DOORS.watch()


def pop():
    """Leave the innermost function mode of this thread; the mode."""
    mode = LOCAL.modes[-1]
    LOCAL.modes = LOCAL.modes[:-1]
    DOORS.unwatch()
    return mode


def push_beneath(handler):
    """Enter a kernel handler in this thread: a function (entry, args, kwargs) -> result."""
    LOCAL.beneath += (handler,)
    DOORS.watch()


def pop_beneath():
    """Leave the innermost kernel handler of this thread."""
    LOCAL.beneath = LOCAL.beneath[:-1]
    DOORS.unwatch()


def switch_beneath(handler, on):
    """See to it that a kernel handler is on the stack of this thread (innermost), or that it is not."""
    local = LOCAL
    if on and handler not in local.beneath:
        local.beneath += (handler,)
        DOORS.watch()
    elif not on and handler in local.beneath:
        local.beneath = tuple([h for h in local.beneath if h is not handler])
        DOORS.unwatch()


class without:
    """A context in which a kernel handler is off the stack."""

    __slots__ = ("handler", "before")

    def __init__(self, handler):
        self.handler = handler

    def __enter__(self):
        before = self.before = LOCAL.beneath
        LOCAL.beneath = tuple([h for h in before if h is not self.handler])

    def __exit__(self, *error):
        LOCAL.beneath = self.before


def outside():
    """A context in which the innermost kernel handler is off its stack."""
    return without(LOCAL.beneath[-1])


class _State:
    """A context that sets attributes of the thread's state."""

    sets = {}

    def __enter__(self):
        local = LOCAL
        self.before = [(name, getattr(local, name)) for name in self.sets]
        for name, value in self.sets.items():
            setattr(local, name, value)
        return self

    def __exit__(self, *error):
        for name, value in self.before:
            setattr(LOCAL, name, value)


class DisableSubclasses(_State):
    """`__torch_function__` of arguments is not asked; modes are."""

    sets = {"subclasses": False}


class DisableAll(_State):
    """Neither modes nor `__torch_function__` are asked."""

    sets = {"enabled": False}


class Inside(_State):
    """The inside of an operator: nothing is asked, not even kernel handlers. Gradient formulas run in it."""

    sets = {"enabled": False, "beneath": ()}


def is_active(values=()):
    """Whether a call with these arguments would be intercepted by a mode or `__torch_function__`."""
    local = LOCAL
    if not local.enabled:
        return False
    return bool(local.modes) or local.subclasses and any([overrides(type(v)) for v in values])
