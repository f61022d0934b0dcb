"""Batched tensors: what a function sees of its arguments under `vmap`, and the handler that computes with them.

In: a call of a public function with batched tensors among its arguments. Out: the call on whole batches (`rules`), or,
for functions without a rule, a loop over the samples that is recorded into one program. Read `rules` next, then
`vmap`.

Note [Batched tensors]
A `Batched` has the layout of one sample, so that shapes, dtypes and all that is asked of a tensor need no rule. `value`
is the whole batch (itself batched where vmaps are nested), `bdim` the dimension that counts samples, `level` the vmap
it belongs to. Its storage is a failed one: an operator that is reached past the door raises, and never computes with a
wrong value. Only whole batches reach autograd: gradients of batched computations are gradients of ordinary ones, and
their formulas know nothing of batches.
"""

import contextlib
import warnings

from .. import api
from ..core import dispatch
from ..core.block import Failure
from ..core.layout import layout as make_layout
from ..core.storage import fail, storage_on
from ..core.tensor import Tensor, make
from ..utils._pytree import tree_flatten, tree_unflatten

LEAKED = ("vmap: the values of a batched tensor were needed outside of operators; `.item()`, conversions to Python "
          "numbers, control flow that depends on data and saving are not possible inside vmap")
_HOLLOW = {}  # device -> the storage of batched tensors there
RULES = {}  # path without "Tensor." -> rule (level, entry, args, kwargs) -> result


class Batched(Tensor):
    """A tensor under vmap (Note [Batched tensors])."""

    __slots__ = ()
    __torch_function__ = dispatch.disabled

    def __repr__(self, *, tensor_contents=None):
        return f"BatchedTensor(lvl={self.level.depth}, bdim={self.bdim}, value={self.value!r})"


def hollow(device):
    """The storage of batched tensors of a device: without a value."""
    found = _HOLLOW.get(device)
    if found is None:
        found = _HOLLOW[device] = storage_on(0, device)
        fail(found, Failure(RuntimeError(LEAKED)))
    return found


def batch(value, bdim, level):
    """The batched tensor of a batch whose samples are counted by the dimension `bdim`."""
    layout = value._layout
    shape, strides = layout.shape, layout.strides
    if bdim < 0:
        bdim += len(shape)
    seen = make_layout(shape[:bdim] + shape[bdim + 1:], strides[:bdim] + strides[bdim + 1:], layout.dtype)
    made = make(Batched, hollow(value._storage.device), seen, value._offset)
    made.value, made.bdim, made.level = value, bdim, level
    return made


def is_batched(value, level):
    """Whether a value is a tensor that is batched at this level."""
    return value.__class__ is Batched and value.level is level


def contains(value, level):
    """Whether a value, or what lists, tuples and dictionaries in it hold, is batched at this level."""
    if value.__class__ is Batched:
        return value.level is level
    if isinstance(value, (list, tuple)):
        return any([contains(v, level) for v in value])
    if isinstance(value, dict):
        return any([contains(v, level) for v in value.values()])
    return isinstance(value, slice) and contains((value.start, value.stop, value.step), level)


class Level:
    """One vmap: the number of samples, how random numbers are drawn, and the handler of calls."""

    def __init__(self, size, randomness):
        self.size, self.randomness, self.depth = size, randomness, 0
        self.handler = self.handle
        LEVELS[self.handler] = self

    @contextlib.contextmanager
    def active(self):
        """A context in which calls of public functions compute with batches of this level."""
        self.depth = 1 + len(levels())
        dispatch.push_beneath(self.handler)
        try:
            yield self
        finally:
            dispatch.pop_beneath()
            LEVELS.pop(self.handler, None)

    def handle(self, entry, args, kwargs):
        """A call: by its rule, if it has one, else sample by sample."""
        path = entry.path
        name = path[7:] if path.startswith("Tensor.") else path
        rule = RULES.get(name) or RULES.get(name.rpartition(".")[2])
        if rule is not None and (getattr(rule, "always", False) or contains(args, self) or contains(kwargs, self)):
            return rule(self, entry, args, kwargs)
        if not (contains(args, self) or contains(kwargs, self)):
            return self.run(entry, args, kwargs)
        return loop(self, entry, args, kwargs)

    def run(self, entry, args, kwargs=None):
        """The call as the next handler outwards, or the operator itself, computes it."""
        with dispatch.without(self.handler):
            outer = dispatch.LOCAL.beneath
            if outer:
                return outer[-1](entry, args, kwargs or {})
            return entry.plain(*args, **(kwargs or {}))

    def outside(self):
        """A context in which this level is off the stack."""
        return dispatch.without(self.handler)

    def front(self, tensor):
        """The whole batch with samples counted by the first dimension."""
        if tensor.bdim == 0:
            return tensor.value
        with self.outside():
            return tensor.value.movedim(tensor.bdim, 0)

    def spread(self, tensor):
        """The same for any tensor: one that is not batched counts as a batch of equal samples."""
        if is_batched(tensor, self):
            return self.front(tensor)
        with self.outside():
            return tensor.unsqueeze(0).expand(self.size, *tensor.shape)

    def wrap(self, result, bdim=0):
        """The tensors of a result as batched ones."""
        if isinstance(result, Tensor):
            return batch(result, bdim, self)
        if isinstance(result, (list, tuple)):
            leaves, spec = tree_flatten(result)
            return tree_unflatten([batch(v, bdim, self) if isinstance(v, Tensor) else v for v in leaves], spec)
        return result


LEVELS = {}  # handler -> its level


def levels():
    """The active levels of this thread, the outermost first."""
    return [LEVELS[h] for h in dispatch.LOCAL.beneath if h in LEVELS]


def debug_unwrap(tensor, *, recurse=True):
    """The whole batch of a batched tensor, for looking at it in a debugger: what is computed with it is not mapped.

    recurse: the ordinary tensor below all levels, else one level is taken off."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"debug_unwrap: Expected a Tensor, got {type(tensor)}")
    while tensor.__class__ is Batched:
        tensor = tensor.value
        if not recurse:
            break
    return tensor


@contextlib.contextmanager
def bare():
    """A context in which no level is active."""
    before = dispatch.LOCAL.beneath
    dispatch.LOCAL.beneath = tuple([h for h in before if h not in LEVELS])
    try:
        yield
    finally:
        dispatch.LOCAL.beneath = before


def whole(tensor, active):
    """The ordinary tensor below all levels: their samples are its first dimensions, the outermost first. A tensor that
    already is of this form keeps its identity, which gradients need."""
    for at in range(len(active) - 1, -1, -1):
        level = active[at]
        with within(active[:at]):
            tensor = level.spread(tensor)
    return tensor


@contextlib.contextmanager
def within(active):
    """A context in which just these levels are active."""
    before = dispatch.LOCAL.beneath
    keep = {level.handler for level in active}
    dispatch.LOCAL.beneath = tuple([h for h in before if h not in LEVELS or h in keep])
    try:
        yield
    finally:
        dispatch.LOCAL.beneath = before




def rewrap(tensor, active):
    """The batched tensor of what `whole` gives."""
    for level in active:
        tensor = batch(tensor, 0, level)
    return tensor


# -- sample by sample ------------------------------------------------------------------------------------------------

_TOLD = set()


def loop(level, entry, args, kwargs):
    """A call without a rule: once for each sample, all in one program. Says so once for each function."""
    if entry.path not in _TOLD:
        _TOLD.add(entry.path)
        warnings.warn(f"There is a performance drop because we have not yet implemented the batching rule for "
                      f"{entry.path}: it runs once for each of the {level.size} samples.", UserWarning, stacklevel=4)
    leaves, spec = tree_flatten((list(args), dict(kwargs)))
    at = [i for i, v in enumerate(leaves) if is_batched(v, level)]
    originals = [leaves[i] for i in at]
    with level.outside():
        parts = [[part for part in t.value.unbind(t.bdim)] if not writes(entry) else
                 [t.value.select(t.bdim, n) for n in range(level.size)] for t in originals]
    results = []
    for n in range(level.size):
        for i, part in zip(at, parts):
            leaves[i] = part[n]
        own_args, own_kwargs = tree_unflatten(leaves, spec)
        results.append(level.run(entry, tuple(own_args), own_kwargs))
    return joined(level, results, originals, parts)


def writes(entry):
    """Whether a call writes an operand: then samples have to be views that can be written."""
    name = entry.path.rpartition(".")[2]
    return name.endswith("_") and not name.endswith("__") or name == "__setitem__" or name.startswith("__i")


def joined(level, results, originals, parts):
    """The results of all samples as one batched result."""
    first, spec = tree_flatten(results[0])
    columns = zip(*[tree_flatten(r)[0] for r in results])
    made = []
    for value, column in zip(first, columns):
        own = [t for t, part in zip(originals, parts) if value is part[0]]
        if own:
            made.append(own[0])
        elif isinstance(value, Tensor):
            with level.outside():
                made.append(batch(api.stack(list(column)), 0, level))
        elif all([c == value for c in column]):
            made.append(value)
        else:
            raise RuntimeError(LEAKED)
    return tree_unflatten(made, spec)
