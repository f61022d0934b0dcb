"""`torch.quasirandom`: Sobol sequences, points that fill the unit cube evenly.

Direction numbers are those of S. Joe and F. Y. Kuo (new-joe-kuo-6.21201, https://web.maths.unsw.edu.au/~fkuo/sobol/),
of which data/sobol.txt.gz has the first 1111 dimensions. Scrambling is by random lower triangular matrices and a
digital shift, in PyTorch's order of draws, so that the same seed gives the same points.
"""

import gzip
import pathlib

from . import api as rl
from .base.lazy import numpy as np

DATA = pathlib.Path(__file__).with_name("data") / "sobol.txt.gz"
BITS = 30


def direction_numbers(dimension):
    """(dimension, 30) integers: the k-th is exchanged (by exclusive or) where the k-th bit of the Gray code changes."""
    found = np.ones((dimension, BITS), np.int64)
    if dimension > 1:
        lines = gzip.decompress(DATA.read_bytes()).decode().split("\n")
        if dimension > len(lines) + 1:
            raise NotImplementedError(f"SobolEngine: more than {len(lines) + 1} dimensions are not implemented in "
                                      f"rushlight, got {dimension}")
        for d, line in enumerate(lines[:dimension - 1], 1):
            text, _, numbers = line.partition(":")
            polynomial = int(text)
            degree = polynomial.bit_length() - 1
            row = [int(n) for n in numbers.split()]
            for j in range(degree, BITS):
                value = row[j - degree]
                for k in range(degree):
                    if polynomial >> (degree - 1 - k) & 1:
                        value ^= row[j - k - 1] << (k + 1)
                row.append(value)
            found[d] = row
    return found << np.arange(BITS - 1, -1, -1)


def scrambled(state, triangles):
    """Direction numbers multiplied by triangular matrices of bits, modulo 2."""
    triangles = triangles.copy()
    triangles[:, range(BITS), range(BITS)] = 1
    bits = state[:, :, None] >> np.arange(BITS - 1, -1, -1) & 1  # from the highest
    products = np.einsum("dpk,djk->djp", triangles, bits) & 1
    return (products << np.arange(BITS - 1, -1, -1)).sum(-1)


class SobolEngine:
    """Draws points of a scrambled or plain Sobol sequence in [0, 1)^dimension.

    Args: dimension (1 to 1111); scramble; seed of the scrambling (None: the default generator)."""

    MAXBIT, MAXDIM = BITS, 21201

    def __init__(self, dimension, scramble=False, seed=None):
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}]")
        self.dimension, self.scramble, self.seed = dimension, scramble, seed
        self._state = direction_numbers(dimension)
        self.shift = rl.zeros(dimension, dtype=rl.int64)
        if scramble:
            self._scramble()
        self.sobolstate = rl.from_numpy(self._state)
        self.quasi = self.shift.clone()
        self._first_point = (self.quasi / 2 ** BITS).reshape(1, -1)
        self.num_generated = 0

    def _scramble(self):
        generator = None if self.seed is None else rl.Generator().manual_seed(self.seed)
        shift = rl.randint(2, (self.dimension, BITS), generator=generator)
        self.shift = (shift * 2 ** rl.arange(BITS)).sum(1)
        triangles = rl.randint(2, (self.dimension, BITS, BITS), generator=generator).tril()
        self._state = scrambled(self._state, triangles.numpy())

    def draw(self, n=1, out=None, dtype=None):
        """The next `n` points, (n, dimension), of the default dtype unless given."""
        dtype = rl.get_default_dtype() if dtype is None else dtype
        first = self.num_generated == 0
        walked = self._walk(n - first, self.num_generated - (not first))
        result = rl.from_numpy(walked).to(dtype) * 2.0 ** -BITS
        if first:
            result = rl.cat([self._first_point.to(dtype), result])
        self.num_generated += n
        if out is not None:
            return out.resize_(result.shape).copy_(result)
        return result

    def _walk(self, n, start):
        """The next n points as integers; `quasi` is the last of them."""
        lowest = np.arange(start, start + n, dtype=np.int64)
        changes = np.zeros(n, np.int64)  # the lowest bit that is 0: the one that the Gray code changes
        while (lowest & 1).any():
            changes[(lowest & 1).astype(bool)] += 1
            lowest = np.where(lowest & 1, lowest >> 1, 0)
        steps = self._state.T[changes]
        points = np.bitwise_xor.accumulate(np.concatenate([self.quasi.numpy()[None], steps]), 0)
        self.quasi = rl.from_numpy(points[-1].copy())
        return points[1:]

    def draw_base2(self, m, out=None, dtype=None):
        """The next 2 ** m points. ValueError unless as many as a power of two are drawn then."""
        n = 2 ** m
        total = self.num_generated + n
        if total & (total - 1):
            raise ValueError("The balance properties of Sobol' points require n to be a power of 2. "
                             f"{self.num_generated} points have been previously generated, then: n={self.num_generated}"
                             f"+2**{m}={total}. If you still want to do this, please use 'SobolEngine.draw()' instead.")
        return self.draw(n, out, dtype)

    def reset(self):
        """Start again."""
        self.quasi, self.num_generated = self.shift.clone(), 0
        return self

    def fast_forward(self, n):
        """Skip the next `n` points."""
        first = self.num_generated == 0
        self._walk(n - first, self.num_generated - (not first))
        self.num_generated += n
        return self

    def __repr__(self):
        parts = [f"dimension={self.dimension}"]
        parts += ["scramble=True"] if self.scramble else []
        parts += [f"seed={self.seed}"] if self.seed is not None else []
        return f"{type(self).__name__}({', '.join(parts)})"
