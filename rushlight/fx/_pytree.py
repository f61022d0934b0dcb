"""Nested inputs and outputs of traced programs, flat and back: lists, tuples, named tuples, dictionaries."""

from collections import OrderedDict, namedtuple


class TreeSpec(namedtuple("TreeSpec", ["type", "context", "children_specs"])):
    """The form of a nested value: the type of the container, what it needs beside its items, the forms of the items."""

    __slots__ = ()

    @property
    def num_leaves(self):
        """The number of leaves."""
        return 1 if self.type is None else sum(child.num_leaves for child in self.children_specs)


LEAF_SPEC = TreeSpec(None, None, ())


def children_of(value):
    """(type, context, items) of a container, None for a leaf."""
    if type(value) in (dict, OrderedDict) or (isinstance(value, dict) and type(value).__name__ == "immutable_dict"):
        return dict if type(value) is not OrderedDict else OrderedDict, list(value), list(value.values())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value), "namedtuple", list(value)
    if type(value) is tuple:
        return tuple, None, list(value)
    if isinstance(value, list):
        return list, None, list(value)
    return None


def tree_flatten(value):
    """(the leaves of a nested value, its form)."""
    found = children_of(value)
    if found is None:
        return [value], LEAF_SPEC
    kind, context, items = found
    leaves, specs = [], []
    for item in items:
        inner, spec = tree_flatten(item)
        leaves += inner
        specs.append(spec)
    return leaves, TreeSpec(kind, context, tuple(specs))


def tree_unflatten(leaves, spec):
    """The nested value of a form with these leaves."""
    leaves = iter(leaves)
    return _build(leaves, spec)


def _build(leaves, spec):
    if spec.type is None:
        return next(leaves)
    items = [_build(leaves, child) for child in spec.children_specs]
    if spec.type in (dict, OrderedDict):
        return spec.type(zip(spec.context, items))
    return spec.type(*items) if spec.context == "namedtuple" else spec.type(items)


def tree_map(fn, value):
    """`fn` of each leaf, in the same form."""
    leaves, spec = tree_flatten(value)
    return tree_unflatten([fn(leaf) for leaf in leaves], spec)


def tree_flatten_spec(value, spec, exact_structural_match=False):
    """The leaves of a value that has (at least) this form; containers below the leaves of the form stay whole."""
    if spec.type is None:
        return [value]
    found = children_of(value)
    items = found[2] if found is not None else list(value)
    if spec.type in (dict, OrderedDict):
        items = [value[key] for key in spec.context]
    leaves = []
    for item, child in zip(items, spec.children_specs):
        leaves += tree_flatten_spec(item, child)
    return leaves
