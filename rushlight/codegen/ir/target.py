"""The CPU that code is generated for, as numbers: vector width and cache sizes.

Code generation never queries the CPU itself. The runtime sets `current` once, before the first plan; tests may set
any target they like. Read cpu/gemm/tiles.py next for what is derived from it.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Target:
    """`vector_bytes`: width of a vector register; `registers`: how many there are; `l1`, `l2`, `l3`: data caches in
    bytes (of one core; `l3` shared); `matrix`: the matrix unit the process may use: "amx" (bfloat16 tiles) or none;
    `stack`: bytes of the stack of a thread that runs kernels."""

    vector_bytes: int = 32
    registers: int = 16
    l1: int = 32768
    l2: int = 524288
    l3: int = 16777216
    matrix: str = ""
    stack: int = 8388608

    def lanes(self, kind):
        """The number of elements of LLVM type `kind` in one register."""
        return self.vector_bytes // {"float": 4, "double": 8, "i32": 4, "i64": 8}[kind]

    def can_mask(self, itemsize):
        """Whether vectors of elements of this size are loaded and stored under a mask by one instruction (AVX-512 any,
        AVX2 those of 4 and 8 bytes); LLVM turns instructions that the target lacks into a branch per lane."""
        return itemsize >= {64: 1, 32: 4}.get(self.vector_bytes, 1 << 8)


current = Target()


def set_current(target):
    """Use `target` for the plans that follow."""
    global current
    current = target
