"""Gradient rules: how a public operator's formulas become nodes of the graph.

A rule maps parameter names to formulas. A formula's own parameter names say what it needs: `g` (gradient of the
output; a tuple for several outputs), `out` (the output; `out1` the second one, `outs` all), `input_layout` (shape and
dtype of parameter `input`, without its values), or any parameter of the operator. Only what the formulas in use name
is saved. A formula returns the gradient of its parameter (a list for a list of tensors); one whose key is a tuple of
parameters returns their gradients as a tuple. Sums over broadcast dimensions and casts back to the parameter's dtype
are the engine's work. `gs` is `g` for several outputs with None, not zeros, for those that nobody used. `g`-only
parameters cost nothing to keep.

    grad={"input": lambda g, other: g * other, "other": lambda g, input: g * input}

Note [Complex gradients]
The gradient of a real loss L by z = x + iy is dL/dx + i dL/dy, as in PyTorch. For a function with a complex derivative
the rule of the chain then has the conjugate of that derivative. Formulas do not say so: a formula F(g, values) that is
linear in g and makes nothing but complex derivatives of `values` gives the gradient as conj(F(conj(g), values)), and
`GradPlan.backward` does that wherever a saved value is complex. Functions without a complex derivative (abs, real,
angle, norms) have rules with `conjugates=True`: their formulas are the whole truth.
"""

import functools

from . import signatures
from . import tensor as tensors
from .dtype import COMPLEX, FLOATING, scalar_type
from .graph import MODE, Node, Saved, raise_modified, refuse_inference, save, save_plain_result, save_result, sequence
from .stream import STREAM
from .tensor import (CUSTOM, DETACHED, INFERENCE, MULTI_OUTPUT, NO_GRAD_MODE, PLAIN, Tensor, raise_stale_view, refresh,
                     version_of)


def wants_grad(value):
    """Whether a parameter value (tensor, list of tensors, anything else) takes part in differentiation."""
    if isinstance(value, Tensor):
        if value._base is not None:
            refresh(value)
        return value._rg
    if value.__class__ in (list, tuple):
        return any([isinstance(v, Tensor) and v.requires_grad for v in value])
    return False


FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward."
)


OPERAND, LAYOUT, RESULT, RESULTS = range(4)


class GradPlan:
    """A rule for one choice of parameters that need gradients."""

    __slots__ = ("rule", "node_name", "wanted", "names", "calls", "counts", "sources", "results",
                 "keeps_result_alone", "operand", "keeps_tensors")

    def __init__(self, rule, wanted):
        self.rule, self.node_name, self.wanted = rule, rule.node_name, wanted
        self.names, self.calls = [], []
        self.counts = (None,) * len(wanted)
        for position in wanted:
            formula = rule.formulas[position]
            takes = []
            for name in rule.takes(position):
                if name in ("g", "gs"):
                    takes.append(name)
                else:
                    if name not in self.names:
                        self.names.append(name)
                    takes.append(self.names.index(name))
            self.calls.append((formula, tuple(takes)))
        self.sources = [rule.source(name) for name in self.names]
        self.results = [(i, kind, at) for i, (kind, at) in enumerate(self.sources) if kind >= RESULT]
        self.keeps_result_alone = self.sources == [(RESULT, 0)]
        self.keeps_tensors = any([kind >= RESULT or kind == OPERAND and at in rule.formulas
                                  for kind, at in self.sources])  # a number there is PyTorch's zero-dim tensor
        self.operand = self.sources[0][1] if len(self.sources) == 1 and self.sources[0][0] == OPERAND else None

    def list_counts(self, values):
        """For each parameter that wants a gradient the length of its list, None for a tensor."""
        return tuple([len(values[i]) if values[i].__class__ in (list, tuple) else None for i in self.wanted])

    def keep_operands(self, values):
        """What the node saves, in the order of `names`, with None for results; and the versions of the tensors in it.
        Taken before an in-place operator writes, so that backward notices where it wrote to one of them."""
        kept, versions, hooked = [], [], MODE.special and MODE.hooks
        for kind, at in self.sources:
            version = None
            if kind == OPERAND:
                value = values[at]
                if isinstance(value, Tensor):
                    if hooked:
                        value = save(value)
                    else:
                        version = value._storage.version if value._versions is None else value._versions[0]
                        if version < 0:
                            refuse_inference()
                elif value.__class__ in (list, tuple) and value and isinstance(value[0], Tensor):
                    value = tuple([save(v) for v in value])
            elif kind == LAYOUT:
                value = values[at]
                value = None if value is None else value._layout
            else:
                value = None
            kept.append(value)
            versions.append(version)
        return kept, versions

    def complete(self, kept, outs):
        """`kept` with the results: as Saved, because a node that held its own results would never be freed."""
        for i, kind, at in self.results:
            kept[i] = (
                save_result(outs[at], at) if kind == RESULT else tuple([save_result(o, n) for n, o in enumerate(outs)])
            )
        return kept

    def backward(self, node, grads):
        """Gradients for each edge of the node."""
        if node.freed:
            raise RuntimeError(FREED)
        values = unpack_all(node) if node.saved else ()
        conjugated = values and not self.rule.conjugates and has_complex(values)
        if conjugated:
            grads = conjugate_all(node, grads)
        g = grads[0]
        if len(grads) > 1:
            g = [make_zeros(m, grads) if x is None else x for x, m in zip(grads, node.metas)]
        results, shared = [], {}
        for (formula, takes), count in zip(self.calls, node.counts):
            if formula.__class__ is Joint:
                if formula.call not in shared:
                    shared[formula.call] = formula.call(*arguments(takes, g, grads, values))
                got = shared[formula.call][formula.index]
            else:
                got = formula(*arguments(takes, g, grads, values))
            if count is None:
                results.append(got)
            else:
                results.extend(got if got is not None else [None] * count)
        return [None if r is None else conjugate(r) for r in results] if conjugated else results


def has_complex(values):
    """Whether one of the saved values is complex."""
    for v in values:
        if isinstance(v, Tensor):
            if v._layout.dtype.category == COMPLEX:
                return True
        elif v.__class__ is complex:
            return True
        elif v.__class__ in (list, tuple) and v and isinstance(v[0], Tensor) and has_complex(v):
            return True
    return False


def conjugate_all(node, grads):
    """The gradients that a formula of complex derivatives takes. NotImplementedError for a function with a complex
    operand and a real result, which has none."""
    if all([m.dtype.category != COMPLEX for m in node.metas]):
        raise NotImplementedError(f"{node.name()}: the derivative for complex numbers is not implemented in rushlight")
    return [None if g is None else conjugate(g) for g in grads]


conjugate = None  # set by ops: Tensor -> Tensor


def arguments(takes, g, gs, values):
    """What a formula names: `g`, `gs` (None for results that nobody used, where `g` has zeros), or saved values."""
    return [g if t == "g" else values[t] if t != "gs" else gs for t in takes]


def make_zeros(found, grads):
    """The gradient of an output that nobody used, beside those of the others."""
    return zeros(tuple(found.shape), found.dtype, next((g._storage.device for g in grads if g is not None), None))


zeros = None  # set by ops: (shape, dtype, device or None) -> Tensor


def unpack_all(node):
    """The saved values of a node, tensors connected to the graph. RuntimeError for one that was modified in place
    since.
    """
    return [unpack(value, version, node) for value, version in zip(node.saved, node.versions)]


def unpack(value, version, node):
    """One saved value; `version`: that of an operand, None for anything else."""
    if version is not None:
        now = value._storage.version if value._versions is None else value._versions[0]
        if now != version:
            raise_modified(value._layout, value.grad_fn, value._nr, now, version)
        if value._creation == DETACHED and node.seq < value._view_version:
            raise RuntimeError("Trying to use a saved tensor that has been detached in-place, i.e. with .detach_()."
                               "This is not supported, please use out-of-place `.detach()` instead")
        return value
    if isinstance(value, Saved):
        return value.unpack(node)
    if value.__class__ is tuple and value and isinstance(value[0], Saved):
        return [v.unpack(node) for v in value]
    return value


class Joint:
    """One of the gradients that a formula for several parameters gives; it runs once a backward pass."""

    __slots__ = ("call", "index")

    def __init__(self, call, index):
        self.call, self.index = call, index


def single_formulas(formulas):
    """(parameter, formula) pairs; a key that is a tuple of parameters gives Joint formulas."""
    for key, formula in formulas.items():
        if key.__class__ is tuple:
            for i, param in enumerate(key):
                yield param, Joint(formula, i)
        else:
            yield key, formula


class GradRule:
    """The gradient formulas of one operator."""

    def __init__(self, name, params, formulas, node_name=None, conjugates=False):
        self.conjugates = conjugates  # see Note [Complex gradients]
        self.node_name = node_name or default_node_name(name)
        self.params = list(params)
        self.positions = {p: i for i, p in enumerate(self.params)}
        self.formulas = {}
        for param, formula in single_formulas(formulas):
            if param not in self.positions:
                raise TypeError(f"{name}: gradient for unknown parameter {param!r}")
            self.formulas[self.positions[param]] = formula
        self.differentiable = tuple(sorted(self.formulas))
        self.plans = {}
        self.pairs = [None] * 4  # plans of two operands, by which of them need a gradient

    @functools.cached_property
    def node_class(self):
        """The class of the operator's nodes, made when the first one is."""
        return node_class(self.node_name)

    def takes(self, position):
        """The names that the formula of a parameter needs."""
        formula = self.formulas[position]
        return signatures.names(formula.call if formula.__class__ is Joint else formula)

    def may_apply(self, values):
        """Whether one of the parameters may want a gradient."""
        for i in self.differentiable:
            value = values[i]
            if isinstance(value, Tensor):
                if value._rg or value._base is not None:
                    return True
            elif value.__class__ in (list, tuple) and wants_grad(value):
                return True
        return False

    def attach_pair(self, a, b, out):
        """`attach` for two operands (the second may be a number) and the new result of one instruction on them, with
        everything unrolled: the hot path of arithmetic."""
        if a._base is not None:
            refresh(a)
        which = 1 if a._rg else 0
        if isinstance(b, Tensor):
            if b._base is not None:
                refresh(b)
            if b._rg:
                which += 2
        if not which:
            return
        if out._layout.dtype.category < 2:
            refuse_integers((a, b), out)
            return
        plan = self.pairs[which]
        if plan is None:
            wanted = tuple([i for i in self.differentiable if which >> i & 1])
            if not wanted:
                return
            plan = self.pairs[which] = GradPlan(self, wanted)
        if MODE.special or len(plan.wanted) != (which + 1) // 2:
            self.attach((a, b), (out,))
            return
        fn = a._grad_fn
        first = (fn, a._nr) if fn is not None else (a, 0)
        if which == 1:
            edges = (first,)
        else:
            fn = b._grad_fn
            second = (fn, b._nr) if fn is not None else (b, 0)
            edges = (second,) if which == 2 else (first, second)
        self.hang(plan, (a, b), edges, out)

    def attach_first(self, values, out):
        """`attach` where the first of `values` alone can need a gradient, for the new result of one instruction on
        them."""
        a = values[0]
        if a._base is not None:
            refresh(a)
        if not a._rg:
            return
        plan = self.plans.get(1)
        if plan is None or MODE.special or out._layout.dtype.category < 2:
            self.attach(values, (out,))
            return
        fn = a._grad_fn
        self.hang(plan, values, ((fn, a._nr) if fn is not None else (a, 0),), out)

    def hang(self, plan, values, edges, out):
        """Give the new result of one instruction on `values` its node, without hooks and anomaly mode."""
        node, storage = self.node_class(), out._storage
        if not plan.names:
            node.saved = node.versions = ()
        elif plan.keeps_result_alone:
            node.saved, node.versions = [save_plain_result(out, 0)], [None]
        elif plan.operand is not None:
            value = values[plan.operand]
            node.saved = [value]
            version = node.versions = [None if not isinstance(value, Tensor) else value._storage.version
                                       if value._versions is None else value._versions[0]]
            if version[0] is not None and version[0] < 0:
                refuse_inference()
        else:
            saved, node.versions = plan.keep_operands(values)
            node.saved = plan.complete(saved, (out,)) if plan.results else saved
        node.op, node.edges, node.metas, node.seq = plan, edges, out._layout.alone, sequence()
        node.extras, node.freed, node.counts = None, False, plan.counts
        node.place, node.block = storage.index, storage.pending
        out._grad_fn, out._rg = node, True

    def source(self, name):
        """Where a saved value comes from: (what it is, number of the parameter or result)."""
        at = self.positions.get(name)
        if at is not None:
            return OPERAND, at
        if name.endswith("_layout"):
            return LAYOUT, self.positions[name.removesuffix("_layout")]
        if name == "outs":
            return RESULTS, 0
        if name.startswith("out") and (name == "out" or name[3:].isdigit()):
            return RESULT, int(name[3:] or 0)
        raise TypeError(f"{self.node_name}: a formula names {name!r}, which is neither a parameter nor a result")

    def start(self, values, outs):
        """A node for these parameter values and results, with its edges and nothing saved yet; None where no gradient
        is wanted."""
        wanted, edges, counts = 0, [], None
        for i in self.differentiable:
            value = values[i]
            if isinstance(value, Tensor):
                if value._base is not None:
                    refresh(value)
                if value._rg:
                    wanted |= 1 << i
                    fn = value._grad_fn
                    edges.append((fn, value._nr) if fn is not None else (value, 0))
            elif value.__class__ in (list, tuple) and wants_grad(value):
                wanted |= 1 << i
                edges.extend([edge(v) if isinstance(v, Tensor) and v.requires_grad else None for v in value])
                counts = True
        if not wanted:
            return None
        plan = self.plans.get(wanted) or self.new_plan(wanted)
        node = self.node_class()
        node.op, node.edges, node.seq, node.extras, node.freed = plan, edges, sequence(), None, False
        node.counts = plan.list_counts(values) if counts else plan.counts
        node.saved = node.versions = ()
        node.place = -1
        node.metas = outs[0]._layout.alone if len(outs) == 1 else tuple([o._layout for o in outs])
        if MODE.anomaly:
            anomaly_trace(node)
        return node

    def attach(self, values, outs):
        """Make the node of an operator that has just been recorded, and give it to the outputs (a list) that can have
        gradients."""
        node = self.start(values, outs)
        if node is None:
            return
        plan = node.op
        if plan.names:
            node.saved, node.versions = plan.keep_operands(values)
            if plan.results:
                plan.complete(node.saved, outs)
        for number, out in enumerate(outs):
            if out._layout.dtype.category >= 2:
                out._grad_fn, out._nr, out._rg = node, number, True
            elif number == 0:
                refuse_integers([v for i in plan.wanted for v in
                                 (values[i] if values[i].__class__ in (list, tuple) else values[i:i + 1])], out)

    def new_plan(self, wanted):
        """The GradPlan for the parameters whose bits are set."""
        found = self.plans[wanted] = GradPlan(self, tuple([i for i in self.differentiable if wanted >> i & 1]))
        return found


def refuse_integers(values, out):
    """PyTorch's RuntimeError for the integer result of an integer tensor with a history (`fill_` can give it one)."""
    if any([isinstance(v, Tensor) and v._rg and v._layout.dtype.category < FLOATING for v in values]):
        raise RuntimeError(f"Autograd not support dtype: {scalar_type(out._layout.dtype)}")


NODE_CLASSES = {}


def node_class(name):
    """The class of nodes of this name: programs print `type(x.grad_fn).__name__`."""
    found = NODE_CLASSES.get(name)
    if found is None:
        found = NODE_CLASSES[name] = type(name, (Node,), {"__slots__": ()})
    return found


differentiate = None  # set by autograd: (outputs, inputs, gradients of the outputs) -> gradients that have a graph
anomaly_trace = None  # set by autograd: note on a node where in the forward pass it was made


def edge(tensor):
    """Where the gradient of this tensor goes."""
    if tensor._base is not None:
        refresh(tensor)
    fn = tensor._grad_fn
    if fn is not None:
        return (fn, tensor._nr)
    return (tensor, 0) if tensor._rg else None


def edge_before_write(view, inner):
    """The number of the edge of `inner` that leads to what `view` was before the write, or None."""
    before = edge(view) if view._rg else None
    for i, e in enumerate(inner.edges):
        if before is not None and e is not None and e[0] is before[0] and e[1] == before[1]:
            return i
    return None


def default_node_name(name):
    """"add" -> "AddBackward0", "log_softmax" -> "LogSoftmaxBackward0"."""
    return "".join([part[:1].upper() + part[1:] for part in name.strip("_").split("_")]) + "Backward0"


# -- in-place writes -------------------------------------------------------------------------------------------------


def check_inplace(tensor, grads_wanted):
    """PyTorch's rules for writing to a tensor while gradients are recorded."""
    if not MODE.grad:
        return
    base = tensor._base
    if base is None:
        if tensor._rg and tensor._grad_fn is None:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        return
    if tensor._creation == INFERENCE and not MODE.inference:
        raise_stale_view(tensor, indirect=False)
    if tensor._rg or base._rg or grads_wanted:
        if tensor._creation in (MULTI_OUTPUT, NO_GRAD_MODE, CUSTOM):
            raise_stale_view(tensor, indirect=False)
        if base._rg and base._grad_fn is None:
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
        if base._rg and tensor._grad_fn is None:  # its base got a history, and nobody has asked for its own since
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
    refresh(tensor)


def begin_write(rule, values, target):
    """What an in-place operator does to the graph before it writes to `target` (the first of `values`): PyTorch's
    checks, and a node whose edges and saved operands are those of before. None where no gradient is recorded; else
    give the result to `end_write`."""
    if not MODE.grad:
        return None
    check_inplace(target, any([wants_grad(v) for v in values if v is not target]))
    node = rule.start(values, (target,)) if rule is not None else None
    if node is None:
        return None
    plan = node.op
    saving = values
    if rule.params[0] in plan.names:
        saving = [clone(target), *values[1:]]
    node.saved, node.versions = plan.keep_operands(saving)
    return node


# Note [Unsettled writes]
# An exception may end an in-place operator between the write and its history. The handler cannot mend that: where the
# recursion limit is reached, a call would fail again. It puts the write on a list of the stream, which settles it in
# `repair`, before the next operator or backward pass.
def settle_write(node, target, version):
    """If the target of an interrupted in-place operator was written (its version moved from `version`), its history
    says so."""
    if node is not None and version_of(target) != version:
        written = target if target._base is None else target._base
        fn = written._grad_fn
        if fn is not node and not (fn is not None and fn.saved and fn.saved[-1] is node):  # that of CopySlices
            end_write(node, target)


STREAM.settle = settle_write


def end_write(node, target):
    """The target has been written: the node of `begin_write` becomes its history."""
    if node is not None:
        node.op.complete(node.saved, [target])
        rebase(target, node, 0 if node.op.wanted[0] == 0 else None)


clone = None  # set by ops: Tensor -> Tensor
make_copy_slices = None  # set by autograd: (base, view, node) -> node for the base


def rebase(tensor, node, own=None):
    """The tensor has been written by the operator of `node`: give it, its base and so its other views their new
    history.

    own: the number of the edge that leads to what the tensor was before, where the caller knows it."""
    base, before = tensor._base, tensor._grad_fn
    if base is None:
        tensor._grad_fn, tensor._nr, tensor._rg = node, 0, True
    else:
        slices = make_copy_slices(base, tensor, node, own)
        move_retained(base, base._grad_fn, slices)
        # In one line, which nothing interrupts: what is left then, `refresh` does whenever somebody looks at a view.
        base._grad_fn, base._nr, base._rg, tensor._rg, tensor._view_version = slices, 0, True, True, -1
        refresh(tensor)
    move_retained(tensor, before, tensor._grad_fn)


def move_retained(tensor, old, new):
    """`retain_grad` follows a tensor that is written in place to its new node."""
    if not tensor._retain or old is None or old is new:
        return
    mine = [r for r in old.retains or () if r[1]() is tensor]
    if mine:
        old.retains = [r for r in old.retains if r[1]() is not tensor]
        new.retains = [*(new.retains or ()), (tensor._nr, mine[0][1])]


tensors.move_retained = move_retained


def mark_view(tensor, source, multi=False):
    """Make `tensor` (a new tensor over the storage of `source`) a view in autograd's eyes."""
    base = source._base
    tensor._base = source if base is None else base
    tensor._versions = source._versions
    tensor._view_version = tensor._storage.version if tensor._versions is None else tensor._versions[0]
    if multi:
        tensor._creation = MULTI_OUTPUT
    elif not MODE.grad:
        tensor._creation = INFERENCE if MODE.inference else NO_GRAD_MODE
    elif base is not None:
        tensor._creation = source._creation
    else:
        tensor._creation = PLAIN
    return tensor


make_view = tensors.view
