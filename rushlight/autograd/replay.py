"""Backward passes that are recorded once: the same graph at the same place of the stream runs no formula again.

Note [Replay]
What a backward pass records depends on the graph (its operators, edges, and what they saved), on the place in the
prefix tree, and on no value. A training loop builds the same graph step after step. So the first pass over a graph is
kept as a `Recording`: the step of the tree where it ended, the slots and numbers it added, and the gradients it gave to
leaves. When an equal graph arrives at the same place, the recording is put into the stream at once; describing a graph
costs about a tenth of running its formulas. A node whose result is that of one instruction of the pending block is
described by its slot: the path to the place fixes the instruction, hence the operands. A pass is left to the engine
when something else may look at it or change it: hooks, anomaly mode, custom functions, tensors whose memory others see,
saved-tensor hooks; it is not kept when it read a value, drew random numbers, or outgrew its block.

In: roots and their gradients. Out: whether the pass is done. Read `engine` first.
"""

import operator

from ..base import switches
from ..core import dtype as dt
from ..core.graph import MODE, Node, Saved
from ..core.grads import GradPlan
from ..core.layout import Layout
from ..core.record import user_line
from ..core.storage import ELSEWHERE, FailedStorage, Storage, is_exposed, new_storage, references
from ..core.stream import STREAM
from ..core.tensor import Tensor, view, DETACHED

MOST_RECORDINGS = 16  # at one place of the tree
NUMBERS = frozenset([int, float, bool])
SEQUENCE = operator.attrgetter("seq")
STATIC = frozenset([int, bool, str, type(None), dt.DType, Layout])


class Unread(Storage):
    """A slot that nobody can read: the result of an operator of a replayed pass that no gradient needs. The stream
    reads no other field of it."""

    __slots__ = ()
    address, guard, version = 0, None, 0


class Unfit(Exception):
    """This graph is for the engine."""


class Survey:
    """The description of a graph: `key` is equal for graphs whose passes record the same.

    `outer`: the storages outside of the pending block that the pass may read or write, by which they are known in it.
    """

    def __init__(self, roots, grads):
        self.key, self.outer, self.numbers, self.leaves = [dt.get_default_dtype()], [], {}, []
        self.known, self.block = {}, STREAM.block
        key, block, number = self.key, self.block, self.number
        self.nodes = sorted(self.collect(roots), key=SEQUENCE, reverse=True)
        for node in self.nodes:
            here = node.place >= 0 and node.block is block
            self.numbers[id(node)] = node.place if here else ~len(self.numbers)
        for target, output in roots:
            key += (number(target), output)
        for grad in grads:
            key.append(None if grad is None else self.tensor(grad))
        for node in self.nodes:
            place = self.numbers[id(node)]
            if place < 0:
                self.describe(node)
            elif node.extras is not None or node.freed:
                raise Unfit
            else:
                key += (node.op, place)
                for target, output in node.edges:
                    key += (number(target), output)
                for value in node.saved:
                    if value.__class__ in NUMBERS:
                        self.static(value)
        self.key = tuple(key)

    @staticmethod
    def collect(roots):
        """All nodes of the graph."""
        todo = [fn for fn, _ in roots if isinstance(fn, Node)]
        seen = set(todo)
        while todo:
            for edge in todo.pop().edges:
                if edge is not None:
                    target = edge[0]
                    if isinstance(target, Node) and target not in seen:
                        seen.add(target)
                        todo.append(target)
        return seen

    def describe(self, node):
        op, key = node.op, self.key
        if op.__class__ is not GradPlan or node.extras is not None or node.freed:
            raise Unfit
        key += (op, node.metas)
        if node.counts is not op.counts:
            key.append(tuple(node.counts))
        for edge in node.edges:
            if edge is None:
                key.append(None)
            else:
                target, number = edge
                key += (self.number(target), number)
        for value, version in zip(node.saved, node.versions):
            if version is not None:
                now = value._storage.version if value._versions is None else value._versions[0]
                if now != version or value._creation == DETACHED:
                    raise Unfit
                key += (self.storage(value._storage), value._layout, value._offset)
            elif isinstance(value, Saved):
                self.saved(value)
            else:
                self.static(value)

    def number(self, target):
        """The name of a node or leaf: the slot of a node's result in this block, where that tells all, else a negative
        number. A leaf is described when it is first met."""
        found = self.numbers.get(id(target))
        if found is None:
            found = self.numbers[id(target)] = ~len(self.numbers)
            if (target._hooks or target._accumulate is not None or "_post_accumulate_hooks" in target.__dict__
                    or target._storage.guard is ELSEWHERE):
                raise Unfit
            self.leaves.append(target)
            grad = target._grad
            self.key += (target._layout, None if grad is None else self.tensor(grad))
        return found

    def tensor(self, tensor):
        if tensor._versions is not None or tensor._base is not None or tensor._rg:
            raise Unfit
        return (self.storage(tensor._storage), tensor._layout, tensor._offset)

    def saved(self, value):
        versions = value.versions
        if value.hooks is not None or value.version != (
                versions[0] if versions.__class__ is list else versions.version):
            raise Unfit
        self.key += (self.storage(value.storage), value.layout, value.offset)

    def storage(self, storage):
        """A storage is called by its slot, or, where it has none, by the order of appearance."""
        guard = storage.guard
        if guard is not None and (guard is ELSEWHERE or is_exposed(storage) or storage.__class__ is FailedStorage):
            raise Unfit
        if storage.pending is self.block:
            return storage.index
        found = self.known.get(id(storage))
        if found is None:
            self.outer.append(storage)
            found = self.known[id(storage)] = -len(self.outer)
        return found

    def static(self, value):
        kind = value.__class__
        if kind in STATIC or getattr(kind, "tensorless", False):  # the latter are equal if they are one object
            self.key += (kind, value)
        elif kind is float:
            self.key.append(value.hex())
        elif isinstance(value, (tuple, list)):
            self.key += (kind, len(value))
            for item in value:
                if isinstance(item, Saved):
                    self.saved(item)
                else:
                    self.static(item)
        elif kind is slice:
            self.key.append(slice)
            self.static((value.start, value.stop, value.step))
        else:
            raise Unfit


class Recording:
    """What a backward pass added to the stream.

    added: for each new slot the number of an outer storage, or the bytes of a fresh one and its device, or None for the
    result of an operator that is not read later (an operator that writes into `empty` memory needs that to be there).
    grads: (number of the leaf, slot, layout, offset). writes: (slot, number of writes) of storages that were written.
    checks: places of operators that check data.
    """

    __slots__ = ("end", "added", "scalars", "checks", "held", "grads", "writes")

    def play(self, survey, keep_graph):
        """Put the recording into the stream."""
        block = STREAM.block
        slots, outer = block.slots, survey.outer
        for what in self.added:
            if what is None:
                storage = Unread()
            elif what.__class__ is int:
                STREAM.enter(outer[what])
                continue
            else:
                storage = new_storage(*what, len(slots), block)
            slots.append(storage)
        block.scalars.extend(self.scalars)
        block.held += self.held
        if self.checks:
            line = user_line()
            block.lines.extend([(depth, line) for depth in self.checks])
        for slot, count in self.writes:
            slots[slot].version += count
        block.step = self.end
        for leaf, slot, layout, offset in self.grads:
            survey.leaves[leaf]._grad = view(slots[slot], layout, offset)
        if not keep_graph:
            for node in survey.nodes:
                node.release()


class Learner:
    """What there was before a pass that may be kept."""

    def __init__(self, survey):
        block = self.block = STREAM.block
        self.survey, self.key = survey, survey.key
        self.start, self.held = block.step, block.held
        self.slots, self.scalars, self.checks = len(block.slots), len(block.scalars), len(block.lines)
        self.versions = [s.version for s in (*block.slots, *survey.outer)]
        self.grads = [leaf._grad for leaf in survey.leaves]

    def learn(self):
        """Keep the pass that has just been recorded, if it can be told by its survey alone."""
        if STREAM.block is not self.block:
            return
        found = self.recording()
        if found is not None:
            if self.start.replays is None or len(self.start.replays) >= MOST_RECORDINGS:
                self.start.replays = {}
            self.start.replays[self.key] = found

    def recording(self):
        """The Recording, or None."""
        block, survey, made = self.block, self.survey, Recording()
        slots = block.slots
        outer = {id(storage): i for i, storage in enumerate(survey.outer)}
        alive = references(slots)
        made.grads = self.new_grads()
        if made.grads is None:
            return None
        given = {slot for _, slot, _, _ in made.grads}
        results = self.results()
        made.added = []
        for slot in range(self.slots, len(slots)):
            storage = slots[slot]
            if id(storage) in outer:
                made.added.append(outer[id(storage)])
            elif storage.address:
                return None  # a constant that a formula made: its memory is not there another time
            elif not alive[slot] and slot in results:
                made.added.append(None)
            elif not alive[slot] or slot in given:
                made.added.append((storage.nbytes, storage.device))
            else:
                return None
        before = dict(zip(map(id, (*slots[:self.slots], *survey.outer)), self.versions))
        unread = [False] * self.slots + [what is None for what in made.added]
        made.writes = [(i, s.version - before.get(id(s), 0)) for i, s in enumerate(slots)
                       if not unread[i] and s.version != before.get(id(s), 0)]
        made.end, made.held = block.step, block.held - self.held
        made.scalars = tuple(block.scalars[self.scalars:])
        made.checks = [depth for depth, _ in block.lines[self.checks:]]
        return made

    def results(self):
        """The slots of results of operators: what the program itself gives memory, where it needs any."""
        found, step = set(), self.block.step
        while step is not self.start:
            found.update(range(step.count - len(step.layouts), step.count))
            step = step.parent
        return found

    def new_grads(self):
        """(number of the leaf, slot, layout, offset) of the gradients that leaves got; None if one is not fresh."""
        found = []
        for number, (leaf, before) in enumerate(zip(self.survey.leaves, self.grads)):
            grad = leaf._grad
            if grad is before:
                continue
            storage = grad._storage
            fresh = storage.pending is self.block and storage.index >= self.slots and grad.__class__ is Tensor
            if not fresh or grad._versions is not None or grad._base is not None or grad._rg:
                return None
            found.append((number, storage.index, grad._layout, grad._offset))
        return found


def run(roots, grads, keep_graph, engine):
    """Run a plain backward pass (no graph of its own, into the leaves): from a recording, or by `engine()`.

    `grads`: the gradients of the roots, None for ones.
    """
    survey = None
    if not (MODE.anomaly or MODE.hooks or switches.EAGER):
        with STREAM.lock:
            if STREAM.dirty:
                STREAM.repair()
            survey = fit(roots, grads)
            if survey is not None:
                known = STREAM.block.step.replays
                found = None if known is None else known.get(survey.key)
                if found is not None:
                    try:
                        found.play(survey, keep_graph)
                    except BaseException:
                        STREAM.dirty = True
                        raise
                else:
                    learner = Learner(survey)
                    engine()
                    learner.learn()
    if survey is None:
        engine()


def fit(roots, grads):
    """The survey of a graph, None if its pass cannot be replayed."""
    try:
        return Survey(roots, grads)
    except Unfit:
        return None
