"""Launch records of new sizes, filled in from recipes for their structure without planning.

Note [Families]
Steps with a loop operator that differ in sizes alone share a `Family`: the recipes (fuse/recipe.py) of the kernels that
some of these sizes have needed so far. The record of another size is one of them, with extents and strides filled in. A
size that needs one more kernel adds a recipe; sizes that no recipe can describe (a sum in two steps) are planned one by
one, as are all operators that are not loops.
Families are kept on disk like records: a digest of the structure leads to the recipes and the names of their kernels.

Of the other operators, those whose launches need no code generator (`light` ones) have them made again for each size.

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
from . import machine, packs  # noqa: F401  (machine: before the first kernel)

MOST_FAMILIES = 1 << 13
MOST_RECIPES = 8  # of one family
FAMILIES = Memo(MOST_FAMILIES)
KERNELS = {}  # of what is lowered: key -> address; code is never unloaded
single = Lazy(f"{__package__}.single")


class Family:
    """What steps of one structure share. recipes: (Recipe, address of its kernel, number of the operand that has the
    shape of the domain, numbers of the recipe's operands); entries: the table entry of each operand and result; ins:
    how many are operands; name: for the disk."""

    __slots__ = ("recipes", "entries", "ins", "name")

    def __init__(self, name, entries, ins):
        self.name, self.entries, self.ins, self.recipes = name, entries, ins, []
        described = packs.read(name)
        for kernel, fields in described["recipes"] if described is not None else ():
            address = jit.find_kernels([kernel])
            if address is not None:
                self.enter(Recipe(source=kernel, checking=None, **fields), address[0])

    def enter(self, recipe, address):
        def number(where):
            _, result, which = where
            return which + self.ins if result else which
        operands = [*[number(where) for where, _, _, _ in recipe.operands], *map(number, recipe.randoms)]
        self.recipes.append((recipe, address, number(recipe.domain), operands))

    def fill(self, layouts):
        """The launch of operands and results of these layouts, None where no recipe has their kernel."""
        for recipe, address, domain, operands in self.recipes:
            seen = [layouts[i] for i in operands]
            measured = recipe.measure(layouts[domain].shape, seen)
            if measured is not None:
                words, tasks, cost = measured
                for at, i in zip(recipe.positions(seen), operands):
                    words[at] = 1 + self.entries[i]
                first = len(words) - len(recipe.numbers)
                for at, position in enumerate(recipe.numbers, first):
                    words[at] = 3 + max(self.entries) + position  # behind the address of scratch memory
                return Single(address, words, tasks, cost)
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
        self.enter(recipe, jit.compile_kernels([source], hurry=True)[source.key])
        packs.keep(self.name, {"recipes": [(known.source, known.plain()) for known, *_ in self.recipes]})
        return True


class Refs:
    """The operands of an instruction as (table entry, layout, 0), for what makes launches."""

    __slots__ = ("attrs", "ins", "outs")

    def __init__(self, attrs, ins, outs):
        self.attrs, self.ins, self.outs = attrs, ins, outs


def find(step, pattern, places):
    """(launch of a step, whether it was newly planned): a Single, or None if it needs more. `places`: where the
    step's key has the operands that exist before."""
    op = step.key[0].op
    if not op.is_loop:
        return (lowered(step, places) if op.light and pattern is None else None), False
    if pattern is not None and not is_plain(pattern, step.key, places):
        return None, False
    layouts = [*[step.key[at + 1] for at in places], *step.known.layouts]
    key = structure_of(step, pattern, layouts)
    family = FAMILIES.get(key)
    if family is None:
        name = packs.name_of(("family", op.name, *key[1:], dt.get_default_dtype()))
        family = FAMILIES.put(key, Family(name, table_entries(pattern, len(layouts)), (step.known.operands - 1) // 3))
    launch = family.fill(layouts)
    if launch is not None or not family.learn(step, pattern, places):
        return launch, False
    return family.fill(layouts), True


def lowered(step, places):
    """The launch of a step with a kernel of its own; None unless it is one launch of operands alone."""
    key, known = step.key, step.known
    ins = [(i, key[place + 1], 0) for i, place in enumerate(places[:(known.operands - 1) // 3])]
    results = [*[key[place + 1] for place in places[len(ins):]], *known.layouts]
    outs = [(i, layout, 0) for i, layout in enumerate(results, len(ins))]
    launches = lower.launches(key[0].op, Refs(key[0].attrs, ins, outs))
    if len(launches) != 1:
        return None
    (launch,), words = launches, []
    for word in launch.static:
        if word.__class__ is Memory:
            words += (1 + word.slot, word.offset)
        else:
            words.append(word)
    source = launch.source
    address = KERNELS.get(source.key)
    if address is None:
        address = KERNELS[source.key] = jit.compile_kernels([source], hurry=True)[source.key]
    return Single(address, words, launch.tasks, launch.cost)


def structure_of(step, pattern, layouts):
    """What the recipe of a step depends on besides its sizes. `layouts`: of its operands and results."""
    form, known, symbols = step.key[0], step.known, {}
    joined = known.info.name if known.info is not None else None  # the dtype of the computation
    found = [form.op, text_of(form.attrs), joined, known.args, known.given, pattern]
    for layout in layouts:
        found += (class_of(layout), layout.dtype.name)  # the name tells flipped types apart, on disk too
        for n in layout.shape:
            found.append(-n if n < 2 else symbols.setdefault(n, len(symbols)))
    return tuple(found)


def is_plain(pattern, key, places):
    """Whether operands of one storage are the same view."""
    return all([not distance and key[places[i] + 1] is key[places[at] + 1] for i, (at, distance) in enumerate(pattern)])


def table_entries(pattern, count):
    """The number of the table entry of each of `count` operands and results: those of one storage share one."""
    heads, found = {}, []
    for i in range(count):
        head = pattern[i][0] if pattern is not None else i
        found.append(heads.setdefault(head, len(heads)))
    return found
