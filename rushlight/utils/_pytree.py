"""`torch.utils._pytree`: nested lists, tuples and dictionaries in; their leaves and a description of the nest out."""

import collections

_KINDS = {}  # class -> (take apart: value -> (children, context), put together: (children, context) -> value)


class TreeSpec:
    """The shape of a nest: the kind of container (None: a leaf), what it needs besides children, and their specs."""

    __slots__ = ("type", "context", "children_specs", "num_leaves")

    def __init__(self, type, context=None, children_specs=()):
        self.type, self.context, self.children_specs = type, context, list(children_specs)
        self.num_leaves = 1 if type is None else sum([c.num_leaves for c in children_specs])

    @property
    def num_children(self):
        """How many children the outermost container has."""
        return len(self.children_specs)

    def is_leaf(self):
        """Whether this is a single leaf."""
        return self.type is None

    def unflatten(self, leaves):
        """`tree_unflatten(leaves, self)`."""
        return tree_unflatten(leaves, self)

    def __eq__(self, other):
        return isinstance(other, TreeSpec) and (self.type, self.context, self.children_specs) == (
            other.type, other.context, other.children_specs)

    def __hash__(self):
        return hash((self.type, repr(self.context), tuple(self.children_specs)))

    def __repr__(self):
        if self.type is None:
            return "*"
        return f"TreeSpec({self.type.__name__}, {self.context}, {self.children_specs})"


class LeafSpec(TreeSpec):
    """The shape of a leaf."""

    __slots__ = ()

    def __init__(self):
        super().__init__(None)


_LEAF = LeafSpec()


def register_pytree_node(cls, flatten_fn, unflatten_fn, **options):
    """Make instances of a class containers: `flatten_fn(value)` gives (children, context), `unflatten_fn(children,
    context)` the value again."""
    if cls in _KINDS:
        raise ValueError(f"{cls} is already registered as pytree node.")
    _KINDS[cls] = (flatten_fn, unflatten_fn)


def _dictionary(made):
    return lambda d: (list(d.values()), list(d)), lambda values, keys: made(zip(keys, values))


register_pytree_node(list, lambda v: (list(v), None), lambda values, _: list(values))
register_pytree_node(tuple, lambda v: (list(v), None), lambda values, _: tuple(values))
register_pytree_node(dict, *_dictionary(dict))
register_pytree_node(collections.OrderedDict, *_dictionary(collections.OrderedDict))
register_pytree_node(collections.defaultdict, lambda d: (list(d.values()), (d.default_factory, list(d))),
                     lambda values, c: collections.defaultdict(c[0], zip(c[1], values)))
register_pytree_node(collections.deque, lambda d: (list(d), d.maxlen),
                     lambda values, length: collections.deque(values, maxlen=length))
_NAMED = (lambda v: (list(v), type(v)), lambda values, cls: cls(*values))
_RESULT = (lambda v: (list(v), type(v)), lambda values, cls: cls(values))


def _kind(value):
    """How a container is taken apart and put together, or None for a leaf."""
    cls = value.__class__
    found = _KINDS.get(cls)
    if found is None and isinstance(value, tuple):
        if hasattr(cls, "_make") and hasattr(cls, "_fields"):
            return _NAMED
        if cls.__module__.endswith("return_types"):
            return _RESULT
    return found


def tree_flatten(tree, is_leaf=None):
    """(leaves, spec): the leaves of a nest from left to right, and its shape for `tree_unflatten`."""
    leaves = []
    return leaves, _flatten(tree, leaves, is_leaf)


def _flatten(tree, leaves, is_leaf):
    kind = None if is_leaf is not None and is_leaf(tree) else _kind(tree)
    if kind is None:
        leaves.append(tree)
        return _LEAF
    children, context = kind[0](tree)
    return TreeSpec(type(tree), context, [_flatten(c, leaves, is_leaf) for c in children])


def tree_unflatten(leaves, treespec):
    """The nest of a shape with these leaves. ValueError if there are too many or too few."""
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(f"tree_unflatten(leaves, treespec): `leaves` has length {len(leaves)} but the spec refers to "
                         f"a pytree that holds {treespec.num_leaves} items ({treespec}).")
    return _unflatten(iter(leaves), treespec)


def _unflatten(leaves, spec):
    if spec.type is None:
        return next(leaves)
    children = [_unflatten(leaves, c) for c in spec.children_specs]
    kind = _KINDS.get(spec.type) or (_NAMED if hasattr(spec.type, "_fields") else _RESULT)
    return kind[1](children, spec.context)


def tree_leaves(tree, is_leaf=None):
    """The leaves of a nest."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree, is_leaf=None):
    """The shape of a nest."""
    return tree_flatten(tree, is_leaf)[1]


tree_iter = tree_leaves


def tree_map(func, tree, *rests, is_leaf=None):
    """The nest with `func(leaf, *leaves of the others)` in the place of each leaf."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [_up_to(rest, spec) for rest in rests]
    return tree_unflatten([func(*values) for values in zip(leaves, *others)], spec)


def _up_to(tree, spec):
    """The parts of a nest in the places of a shape's leaves."""
    if spec.type is None:
        return [tree]
    kind = _kind(tree)
    if kind is None or type(tree) is not spec.type:
        raise ValueError(f"Node type mismatch; expected {spec.type}, but got {type(tree)}.")
    children, context = kind[0](tree)
    if len(children) != len(spec.children_specs) or context != spec.context:
        raise ValueError(f"Node context mismatch; expected {spec.context}, but got {context}.")
    return [leaf for c, s in zip(children, spec.children_specs) for leaf in _up_to(c, s)]


def tree_map_(func, tree, *rests, is_leaf=None):
    """Call `func` on each leaf; the nest itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def _matching(types):
    if isinstance(types, (type, tuple)):
        return lambda value: isinstance(value, types)
    return types


def tree_map_only(types, func, tree=None, is_leaf=None):
    """`tree_map` for the leaves of some types (a class, several, or a predicate); others stay."""
    matches = _matching(types)
    return tree_map(lambda v: func(v) if matches(v) else v, tree, is_leaf=is_leaf)


def tree_map_only_(types, func, tree, is_leaf=None):
    """Call `func` on the leaves of some types; the nest itself."""
    tree_map_only(types, func, tree, is_leaf)
    return tree


def tree_all(pred, tree, is_leaf=None):
    """Whether the predicate holds for all leaves."""
    return all([pred(v) for v in tree_leaves(tree, is_leaf)])


def tree_any(pred, tree, is_leaf=None):
    """Whether the predicate holds for a leaf."""
    return any([pred(v) for v in tree_leaves(tree, is_leaf)])


def tree_all_only(types, pred, tree, is_leaf=None):
    """Whether the predicate holds for all leaves of some types."""
    matches = _matching(types)
    return all([pred(v) for v in tree_leaves(tree, is_leaf) if matches(v)])


def tree_any_only(types, pred, tree, is_leaf=None):
    """Whether the predicate holds for a leaf of some types."""
    matches = _matching(types)
    return any([pred(v) for v in tree_leaves(tree, is_leaf) if matches(v)])


def _broadcast_to_and_flatten(tree, treespec, is_leaf=None):
    """A value for each leaf of a shape from a nest that may end earlier; None if they do not fit."""
    if is_leaf is not None and is_leaf(tree) or _kind(tree) is None:
        return [tree] * treespec.num_leaves
    if treespec.type is None or type(tree) is not treespec.type:
        return None
    children, context = _kind(tree)[0](tree)
    if len(children) != len(treespec.children_specs) or context != treespec.context:
        return None
    found = []
    for child, spec in zip(children, treespec.children_specs):
        part = _broadcast_to_and_flatten(child, spec, is_leaf)
        if part is None:
            return None
        found += part
    return found




__all__ = ["LeafSpec", "TreeSpec", "register_pytree_node", "tree_all", "tree_all_only", "tree_any", "tree_any_only",
           "tree_flatten", "tree_iter", "tree_leaves", "tree_map", "tree_map_", "tree_map_only", "tree_map_only_",
           "tree_structure", "tree_unflatten"]
