"""`rearrange`: dimensions named by a pattern, `"b (h w) c -> b c h w"`, split, joined, moved and added."""

import math
import re

from .. import api

REST = ("...",)  # a group of its own, where `(...)` joins
TOKEN = re.compile(r"\s*(\(|\)|\.\.\.|[A-Za-z_][A-Za-z_0-9]*|\d+)")


def rearrange(tensor, pattern, **axes_lengths):
    """The tensor (or tensors, stacked along a new first dimension) with its dimensions as the pattern says.

    Each side names dimensions from left to right; parentheses join several into one, `...` stands for all that are not
    named, 1 for a dimension of size 1. `axes_lengths`: sizes of names that a split needs. ValueError for patterns that
    do not fit."""
    if isinstance(tensor, (list, tuple)):
        tensor = api.stack(list(tensor))
    left, arrow, right = pattern.partition("->")
    if not arrow or "->" in right:
        raise ValueError(f"rearrange: a pattern has one '->', got {pattern!r}")
    before, after = parse(left), parse(right)
    names = [[name for group in side for name in group] for side in (before, after)]
    for side in names:
        if len(set(side)) != len(side):
            raise ValueError(f"rearrange: a name stands twice on one side of {pattern!r}")
    if set(names[0]) ^ set(names[1]):
        raise ValueError(f"rearrange: names on one side of {pattern!r} only: {sorted(set(names[0]) ^ set(names[1]))}")
    unknown = set(axes_lengths) - set(names[0])
    if unknown:
        raise ValueError(f"rearrange: sizes of names that are not in {pattern!r}: {sorted(unknown)}")
    sizes, rest = measure(before, tuple(tensor.shape), axes_lengths, pattern)
    flat = [name for group in before for name in group]
    tensor = tensor.reshape([n for name in flat for n in (rest if name == "..." else (sizes[name],))])
    places, at = {}, 0
    for name in flat:
        count = len(rest) if name == "..." else 1
        places[name] = list(range(at, at + count))
        at += count
    order = [d for group in after for name in group for d in places[name]]
    shape = []
    for group in after:
        if group is REST:
            shape += rest
        else:
            shape.append(math.prod([math.prod(rest) if name == "..." else sizes[name] for name in group]))
    return tensor.permute(order).reshape(shape)


def parse(text):
    """A side of a pattern as a list of groups of names; 1 is a group without names."""
    groups, inside, at = [], None, 0
    text = text.strip()
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"rearrange: cannot read {text[at:]!r}")
        at, token = found.end(), found.group(1)
        if token == "(":
            if inside is not None:
                raise ValueError("rearrange: parentheses cannot be nested")
            inside = []
        elif token == ")":
            if inside is None:
                raise ValueError("rearrange: a parenthesis is closed that was not opened")
            groups.append(inside)
            inside = None
        elif token.isdecimal():
            if token != "1":
                raise ValueError(f"rearrange: the only number in a pattern is 1, got {token}")
            if inside is None:
                groups.append([])
        elif inside is None:
            groups.append(REST if token == "..." else [token])
        else:
            inside.append(token)
    if inside is not None:
        raise ValueError("rearrange: a parenthesis is not closed")
    return groups


def measure(groups, shape, lengths, pattern):
    """(sizes of names, sizes of the dimensions that `...` stands for)."""
    named = [g for g in groups if g is not REST]
    extra = len(shape) - len(named)
    if extra < 0 or extra and len(named) == len(groups):
        raise ValueError(f"rearrange: {pattern!r} names {len(named)} dimensions of a tensor with {len(shape)}")
    sizes, rest, at = dict(lengths), (), 0
    for group in groups:
        if group is REST:
            rest = shape[at:at + extra]
            at += extra
            continue
        size = shape[at]
        at += 1
        unknown = [name for name in group if name not in sizes]
        if len(unknown) > 1:
            raise ValueError(f"rearrange: the sizes of {unknown} cannot be told apart in {pattern!r}")
        known = math.prod([sizes[name] for name in group if name in sizes])
        if unknown and known and not size % known:
            sizes[unknown[0]] = size // known
        elif unknown or known != size:
            raise ValueError(f"rearrange: a dimension of size {size} does not fit {group} in {pattern!r}")
    return sizes, rest
