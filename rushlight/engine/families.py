"""Launch records of new sizes: what is known of a structure is filled in, and nothing is planned.

Note [Families]
Steps with a loop operator that differ in sizes alone share a `Family`: the recipes (fuse/recipe.py) of the kernels that
some of these sizes have needed so far. The record of another size is one of them, with extents and strides filled in. A
size that needs one more kernel adds a recipe; sizes that no recipe can describe (a sum in two steps) are planned one by
one, as is everything that is no loop.
Families are kept on disk like records: a digest of the structure leads to the recipes and the names of their kernels.

Of the other operators, those whose launches need no code generator (`light` ones) have theirs made anew for each size.

In: a step of the prefix tree. Out: its packed launch, or None. Read `records` next.
"""


from ..base.lazy import Lazy
from ..base.memo import Memo
from ..codegen import lower
from ..codegen.ir.kernel import Memory
from ..core import dtype as dt
from ..fuse.recipe import Recipe
from ..fuse.structure import class_of, text_of
from ..runtime.cpu import jit
from ..runtime.cpu.program import Single
from . import packs

MOST_FAMILIES = 1 << 13
MOST_RECIPES = 8  # of one family
FAMILIES = Memo(MOST_FAMILIES)
single = Lazy(f"{__package__}.single")


class Family:
    """What steps of one structure share. recipes: (Recipe, address of its kernel); name: for the disk."""

    __slots__ = ("recipes", "name")

    def __init__(self, name):
        self.name, self.recipes = name, []
        described = packs.read(name)
        for kernel, fields in described["recipes"] if described is not None else ():
            address = jit.find_kernels([kernel])
            if address is not None:
                self.recipes.append((Recipe(source=kernel, checking=None, **fields), address[0]))

    def fill(self, refs, entries):
        """The launch of operands of these sizes, None where no recipe has their kernel."""
        for recipe, address in self.recipes:
            filled = recipe.fill(refs)
            if filled is not None:
                return Single(address, filled.words({}, entries), filled.tasks, filled.cost)
        return None

    def learn(self, step, pattern, places):
        """Plan one more size; whether there is a recipe for it now. `places`: see `single.describe`."""
        if len(self.recipes) >= MOST_RECIPES:
            return False
        found = single.recipe(step, pattern, places)
        if found is None:
            return False
        recipe, source = found
        recipe.source = jit.kernel_name(source.key)
        self.recipes.append((recipe, jit.compile_kernels([source], hurry=True)[source.key]))
        packs.keep(self.name, {"recipes": [(known.source, known.plain()) for known, _ in self.recipes]})
        return True


class Refs:
    """The operands of an instruction as (table entry, layout, 0), for what makes launches."""

    __slots__ = ("attrs", "ins", "outs")

    def __init__(self, attrs, ins, outs):
        self.attrs, self.ins, self.outs = attrs, ins, outs


def find(step, pattern, places):
    """(launch of a step, whether it was planned anew): a Single, or None for what needs more. `places`: where the
    step's key has the operands that exist before."""
    op = step.key[0].op
    if not op.is_loop:
        return (lowered(step, places) if op.light and pattern is None else None), False
    if pattern is not None and not is_plain(pattern, step.key, places):
        return None, False
    key = structure_of(step, pattern, places)
    family = FAMILIES.get(key)
    if family is None:
        family = FAMILIES.put(key, Family(packs.name_of(("family", op.name, *key[1:], dt.get_default_dtype()))))
    refs, entries = operands(step, pattern, places)
    launch = family.fill([refs], entries)
    if launch is not None or not family.learn(step, pattern, places):
        return launch, False
    return family.fill([refs], entries), True


def lowered(step, places):
    """The launch of a step with a kernel of its own; None unless it is one launch of operands alone."""
    launches = lower.launches(step.key[0].op, operands(step, None, places)[0])
    if len(launches) != 1:
        return None
    (launch,), words = launches, []
    for word in launch.static:
        if word.__class__ is Memory:
            words += (1 + word.slot, word.offset)
        else:
            words.append(word)
    source = launch.source
    return Single(jit.compile_kernels([source], hurry=True)[source.key], words, launch.tasks, launch.cost)


def structure_of(step, pattern, places):
    """What the recipe of a step depends on besides its sizes."""
    key, known, symbols = step.key, step.known, {}
    found = [key[0].op, text_of(key[0].attrs), known.info, known.args, known.given, pattern]
    for layout in (*[key[at + 1] for at in places], *known.layouts):
        found += (class_of(layout), layout.dtype.name)  # the name tells flipped types apart, on disk too
        for n in layout.shape:
            found.append(-n if n < 2 else symbols.setdefault(n, len(symbols)))
    return tuple(found)


def is_plain(pattern, key, places):
    """Whether operands of one storage are the same view."""
    return all([not distance and key[places[i] + 1] is key[places[at] + 1] for i, (at, distance) in enumerate(pattern)])


def operands(step, pattern, places):
    """(Refs of a step, the number of its table entries)."""
    key, known, refs, entries = step.key, step.known, [], {}
    for i, place in enumerate(places):
        at = i if pattern is None else pattern[i][0]
        refs.append((entries.setdefault(at, len(entries)), key[place + 1], 0))
    count = (known.operands - 1) // 3
    outs = refs[count:]
    if not known.given:
        outs = [(len(entries) + i, layout, 0) for i, layout in enumerate(known.layouts)]
    return Refs(key[0].attrs, refs[:count], outs), len(entries) + (0 if known.given else len(outs))
