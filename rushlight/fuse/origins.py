"""Makes the Recipe of a planned group: where its sizes and strides come from.

In: a group, with its Builder and Loops (see loopspec.py). Out: a Recipe (recipe.py).
"""

from ..codegen.loops.emitter import vector_lanes
from .group import row_positions
from .loopspec import may_split, weight_of
from .recipe import Recipe
from .sizes import TILE_SIDE


def recipe_of(group, builder, loops, source):
    """The Recipe of a group."""
    first, spec = group.members[0], loops.spec
    axes, found = [*loops.axes[0], *loops.axes[1]], origins(group)
    operands = []
    for access in builder.accesses:
        where, dims = found[id(access)]
        steps = [dims[at[-1]] if at else None for at in axes]
        operands.append((where, access.dtype.itemsize, steps, access.level == "full"))
    sizes = [n for n, _ in (*loops.kept, *loops.reduced)]
    strided = any([how in ("s", "t") for _, how in spec.accesses])
    return Recipe(
        source=source, kind=loops.kind, checking=builder.checking, axes=axes, kept=len(loops.kept), operands=operands,
        weight=weight_of(builder, spec, len(builder.accesses)), lanes=vector_lanes(spec), numbers=builder.numbers,
        domain=(first.number, first.facts.reduces is None, 0),
        randoms=[(m.number, False, i) for m in group.members for i in m.facts.randoms],
        splits=may_split(builder), compares=loops.inner is not None,
        tiled=[n >= TILE_SIDE for n in sizes] if group.reduce_dims is None and strided else None)


def origins(group):
    """For each Access of the members, by identity: where its operand stands, and for each dimension of the domain the
    dimension of the operand's layout that moves along it, or None."""
    found, domain, reduce_dims = {}, group.domain, group.reduce_dims
    for m in group.members:
        facts, every = m.facts, range(len(domain))
        shape = facts.shape
        if facts.reduces is not None:
            read = (domain, every)
            wrote = (shape, row_positions(shape, domain, facts.reduces))
        else:
            read = wrote = (shape, every if shape == domain else row_positions(shape, domain, reduce_dims))
        for result, accesses, refs, (over, positions) in ((False, m.ins, m.instruction.ins, read),
                                                          (True, m.outs, m.instruction.outs, wrote)):
            for which, (access, ref) in enumerate(zip(accesses, refs)):
                if access is not None:
                    found[id(access)] = ((m.number, result, which), moving(ref[1], over, domain, positions))
    return found


def moving(layout, shape, domain, positions):
    """See `origins`; the counterpart of `group.strides_over`."""
    dims, shift = [None] * len(domain), len(shape) - layout.ndim
    for i, (at, n) in enumerate(zip(positions, shape)):
        d = i - shift
        if d >= 0 and n == domain[at] and (layout.shape[d] != 1 or n == 1):
            dims[at] = d
    return dims
