"""What sizes decide about a loop kernel: its tasks and their cost, whether a reduction is split, the direction of
vectors.

Needs no code generator, so that a kernel on disk can be filled in for other sizes without one (see recipe.py).
"""

import math

ROW_NANOSECONDS, ELEMENT_NANOSECONDS, HEAVY_NANOSECONDS = 8.0, 0.12, 0.6
TASK_NANOSECONDS = 25_000.0
TILE_SIDE = 16  # tiles pay from here on
SPLIT_ELEMENTS, SPLIT_BLOCK, SPLIT_ROWS = 65536, 16384, 4
# A split of kind "col" has so many rows and elements at least; a block of it so many rows. More than 32 were slower:
# the processor reads ahead in so many pages.
SPLIT_TALL, SPLIT_AREA, SPLIT_STEPS = 256, 1 << 18, 32
REORDER_ELEMENTS = 8192  # what is smaller stays in the cache, in whatever order it is read


def is_col(steps, size):
    """Whether rows lie closer together than the elements of one, so that vectors go across them.

    steps: for each operand the strides along the innermost kept and the innermost reduced dimension. What has one value
    a row or column tells nothing about the order of memory, if there is something else.
    """
    moving = [pair for pair in steps if pair[0] and pair[1]] or steps
    kept, reduced = [min([abs(pair[i]) or 1 << 40 for pair in moving]) for i in (0, 1)]
    return kept < reduced and size >= 4


def splits(kind, kept, reduced):
    """Whether a reduction of these sizes is worth two steps."""
    rows, columns = math.prod([d[0] for d in kept]), math.prod([d[0] for d in reduced])
    if kind == "row":
        return rows <= SPLIT_ROWS and columns >= SPLIT_ELEMENTS
    return columns >= SPLIT_TALL and rows * columns >= SPLIT_AREA


def divide(kind, kept, reduced, weight, lanes):
    """(chunk, tasks, cost) of loops of these sizes; `lanes`: the elements of one step."""
    rows, columns = math.prod([d[0] for d in kept]), math.prod([d[0] for d in reduced])
    if kind == "flat":
        units, unit = columns, weight
    elif kind in ("tile", "col"):
        units = math.prod([d[0] for d in kept[:-1]]) * -(-kept[-1][0] // lanes)
        unit = ROW_NANOSECONDS + columns * lanes * weight * (2 if kind == "tile" else 1)
    else:
        units, unit = rows, ROW_NANOSECONDS + columns * weight
    cost = units * unit
    chunk = max(1, math.ceil(TASK_NANOSECONDS / unit)) if kind != "ordered" else rows
    if kind == "flat":
        chunk = max(4096, -(-chunk // 256) * 256)
    return chunk, max(1, -(-units // chunk)), cost
