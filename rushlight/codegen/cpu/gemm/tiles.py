"""Register tiles of the contraction templates: a row per instruction set and element type, and what a step of one
costs.

A tile is `rows` x `vectors`: `rows` broadcast elements of A times `vectors` vectors of B are accumulated in rows *
vectors registers. Read microkernel.py for what is done with them.
"""

import dataclasses

# Accumulators leave room for one row of B and two broadcasts. {registers: [(rows, vectors), ...]}
SHAPES = {
    32: [
        (14, 2),
        (13, 2),
        (12, 2),
        (11, 2),
        (10, 2),
        (9, 2),
        (8, 3),
        (8, 2),
        (7, 3),
        (6, 4),
        (6, 2),
        (5, 4),
        (4, 4),
        (4, 2),
        (3, 4),
        (2, 4),
        (1, 8),
        (16, 1),
        (12, 1),
        (8, 1),
    ],
    16: [(6, 2), (5, 2), (4, 2), (4, 3), (3, 4), (2, 4), (1, 8), (8, 1)],
}


def fitting(shapes, target):
    """What a table by the number of vector registers holds for a machine."""
    return shapes[32 if target.registers >= 32 else 16]


@dataclasses.dataclass(frozen=True)
class Tile:
    """`rows` of A by `vectors` vectors of `lanes` elements of B."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self):
        return self.vectors * self.lanes


def narrower(vectors):
    """How many vectors the next narrower variant of a tile has, for the last panel of packed columns."""
    return -(-vectors // 2)


def tile_cost(rows, vectors):
    """Cycles of one step of K: two multiply-adds or two loads a cycle, four cycles of latency for eight in flight."""
    return max(rows * vectors / 2, (rows + vectors) / 2, 4) + 0.05 * (rows + vectors)
