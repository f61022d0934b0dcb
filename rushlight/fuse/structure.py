"""What the structure of a program keeps of layouts and attributes (Note [Structure is the key] in skeleton.py).

Needs no code generator, see recipe.py.
"""

from ..base.memo import Memo
from .sizes import REORDER_ELEMENTS, TILE_SIDE

MOST_PATTERNS = 1 << 14
PATTERNS = {}
CLASSES = Memo(1 << 15)
TEXTS = Memo(1 << 14)


class Pattern:
    """A class of layouts, compared by identity. `loose`: they leave gaps. Its repr is the same in every process."""

    __slots__ = ("loose", "key")

    def __init__(self, loose, key):
        self.loose, self.key = loose, key

    def __repr__(self):
        dtype, *rest = self.key  # whose name tells flipped types from plain ones
        return f"Pattern({dtype.name}, {rest})"


def class_of(layout):
    """What the structure keeps of a layout besides its sizes: a Pattern, or the layout itself."""
    return CLASSES.get(layout) or CLASSES.put(layout, classify(layout))


def classify(layout):
    """The Pattern of a layout whose dimensions lie inside one another; any other layout comes back."""
    how, expected = [], {}
    end = 1
    for rank, (stride, d) in enumerate(sorted([(s, d) for d, (n, s) in enumerate(zip(layout.shape, layout.strides))
                                               if n > 1 and s])):
        if stride < end:
            return layout
        expected[d] = (rank, stride == end)
        end = stride * layout.shape[d]
    for d, (n, s) in enumerate(zip(layout.shape, layout.strides)):
        how.append((min(n, 2) + (n >= 4) + (n >= TILE_SIDE), s == 1 if n <= 1 else expected.get(d)))
    numel = layout.numel
    key = (layout.dtype, min(numel, 2) + (numel >= REORDER_ELEMENTS), *how)
    found = PATTERNS.get(key)
    if found is None:
        if len(PATTERNS) >= MOST_PATTERNS:
            PATTERNS.clear()
        found = PATTERNS[key] = Pattern(any([not tight for _, tight in expected.values()]), key)
    return found


def text_of(attrs):
    """The attributes of a loop operator as a text without the layouts of results, which are those of its operands."""
    if not attrs:
        return None
    found = TEXTS.get(id(attrs))
    if found is None or found[0] is not attrs:
        found = TEXTS.put(id(attrs), (attrs, repr([entry for entry in attrs if entry[0] != "out"])))
    return found[1]
