"""Random numbers: draws of MT19937 from a state that is a tensor, and what is made of them.

An operator that draws takes the state first and gives the state after its draws last, see ops/random/generator.py. From
the same state the numbers are those of the CPU."""

import math

from ....base.lazy import numpy as np
from ....ops.random.generator import CACHED, LEFT, NEXT, NORMAL, STATE_WORDS, WORDS
from .values import in_memory_order, numbers_of, save, values

MIDDLE = 397
GROUP, HALF = 16, 8  # of Box and Muller


def twisted(words):
    """The next 624 words: word i needs words i and i + 1 of the old ones and word i + 397, which from i = 227 on is a
    new one."""
    new = [int(word) for word in words]
    for i in range(WORDS):
        mixed = (new[i] & 0x80000000) | (new[(i + 1) % WORDS] & 0x7FFFFFFF)
        new[i] = new[(i + MIDDLE) % WORDS] ^ (mixed >> 1) ^ (0x9908B0DF if mixed & 1 else 0)
    return np.array(new, np.uint32)


def tempered(words):
    """The draws that words of the state give."""
    words = words ^ (words >> np.uint32(11))
    words = words ^ ((words << np.uint32(7)) & np.uint32(0x9D2C5680))
    words = words ^ ((words << np.uint32(15)) & np.uint32(0xEFC60000))
    return words ^ (words >> np.uint32(18))


class Drawing:
    """Draws from a copy of a state, which goes to the last result."""

    def __init__(self, ins, outs):
        outs[-1][...] = ins[0]
        self.state = outs[-1].view(np.uint32)
        assert self.state.shape == (STATE_WORDS,)

    def draws(self, count):
        """The next `count` draws of 32 bits."""
        found, state = [], self.state
        while count:
            if state[LEFT] == 1:
                state[:WORDS] = twisted(state[:WORDS])
                state[LEFT], state[NEXT] = WORDS + 1, 0
            first, taken = int(state[NEXT]), min(count, int(state[LEFT]) - 1)
            found.append(tempered(state[first:first + taken]))
            state[LEFT] -= np.uint32(taken)
            state[NEXT] += np.uint32(taken)
            count -= taken
        return np.concatenate(found) if found else np.empty(0, np.uint32)

    def unit(self):
        """The next two draws as a double in [0, 1)."""
        high, low = map(int, self.draws(2))
        return ((high << 32 | low) & ((1 << 53) - 1)) * 2.0**-53

    def normal(self):
        """The next normal number. Pairs by Box and Muller: the cosine is returned, the sine waits in the state."""
        cached = self.state[NORMAL:NORMAL + 2].view(np.float64)
        if self.state[CACHED] == 1:
            value = float(cached[0])
            self.state[CACHED], cached[0] = 0, 0.0
            return value
        angle, other = self.unit() * (2 * math.pi), self.unit()
        radius = math.sqrt(math.log1p(-other) * -2.0)
        self.state[CACHED], cached[0] = 1, radius * math.sin(angle)
        return radius * math.cos(angle)


def random_draws(instruction, ins, outs, numbers):
    """(state) -> (draws of any dense layout of 4 or 8 bytes an element, state)."""
    raw = in_memory_order(outs[0])
    raw[...] = Drawing(ins, outs).draws(outs[0].nbytes // 4).view(raw.dtype)


def random_normals(instruction, ins, outs, numbers):
    """(state; mean, std) -> (doubles of any dense layout, state)."""
    mean, std = numbers_of(instruction, numbers)
    drawing, out = Drawing(ins, outs), in_memory_order(outs[0])
    for i in range(out.size):
        out[i] = drawing.normal() * std + mean


def unit53(raw):
    """Pairs of draws, the first in the low half, as doubles in [0, 1)."""
    raw = raw.view(np.uint64)
    return (((raw & np.uint64(0x1FFFFF)) << np.uint64(32)) | (raw >> np.uint64(32))) * 2.0**-53


def box_muller(instruction, ins, outs, numbers):
    """(draws; mean, std) -> normal numbers: from each 16 draws eight cosines, then eight sines. A size that is no
    multiple of 16 ends with a group of its own, which overwrites the last 16 places."""
    mean, std = numbers_of(instruction, numbers)
    raw, count = ins[0].reshape(-1), outs[0].size
    wide = raw.dtype.itemsize == 8
    units = unit53(raw) if wide else ((raw & 0xFFFFFF).astype(np.float32) * np.float32(2.0**-24)).astype(np.float64)
    flat, whole = np.empty(count), count // GROUP * GROUP

    def groups(units):
        pairs = units.reshape(-1, 2, HALF)
        radius, angle = np.sqrt(-2 * np.log(1 - pairs[:, 0])), pairs[:, 1] * (2 * math.pi)
        return (np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1) * std + mean).reshape(-1)

    flat[:whole] = groups(units[:whole])
    if count % GROUP:
        flat[-GROUP:] = groups(units[-GROUP:])
    save(instruction, outs, 0, flat.reshape(outs[0].shape))


def random_shuffle(instruction, ins, outs, numbers):
    """(count - 1 draws) -> a permutation: position i changes places with one of those from i on, by draw i."""
    count = outs[0].size
    found = list(range(count))
    for i, draw in enumerate(ins[0].view(np.uint32).tolist()):
        other = i + draw % (count - i)
        found[i], found[other] = found[other], found[i]
    outs[0][...] = found


def each(sample):
    """A kernel that walks the memory of its operands in order: `sample(drawing, *elements)` gives each element."""
    def kernel(instruction, ins, outs, numbers):
        drawing = Drawing(ins, outs)
        operands = [in_memory_order(array) for array in values(instruction, ins)[1:]]
        own = numbers_of(instruction, numbers)
        found = np.zeros_like(outs[0], np.float64)  # in the same order of memory
        in_memory_order(found)[...] = [sample(drawing, *elements, *own) for elements in zip(*operands)]
        save(instruction, outs, 0, found)
    return kernel


def rrelu_noise(drawing, value, low, high):
    """The slope of an element: a random one where it is not above zero."""
    return drawing.unit() * (high - low) + low if value <= 0 else 1.0


def poisson(drawing, rate):
    """Knuth's method for small rates, Hoermann's transformed rejection (PTRS, 1993) from 10 on."""
    rate = float(rate)
    if rate >= 10:
        return many_events(drawing, rate)
    count, product, limit = 0.0, 1.0, math.exp(-rate)
    while rate > 0:
        product *= drawing.unit()
        if product <= limit:
            break
        count += 1
    return count


def many_events(drawing, rate):
    root, log_rate = math.sqrt(rate), math.log(rate)
    b = root * 2.53 + 0.931
    a = b * 0.02483 - 0.059
    inverse, ratio = 1.1328 / (b - 3.4) + 1.1239, 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = drawing.unit() - 0.5, drawing.unit()
        us = 0.5 - abs(u)
        k = math.floor((a * 2.0 / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= ratio:
            return k
        if k < 0 or us < 0.013 and v > us:
            continue
        left = math.log(v) + math.log(inverse) - math.log(a / (us * us) + b)
        if left <= k * log_rate - rate - math.lgamma(k + 1):
            return k


def gamma(drawing, shape):
    """Marsaglia and Tsang's rejection (2000): a cube of a normal number. Shapes below 1 are raised by 1, and the sample
    is scaled by a power of a uniform number. Single precision is rounded where PyTorch rounds."""
    kind = shape.dtype.type
    least = float(np.finfo(kind).tiny)
    if not shape > 0:
        return least if shape == 0 else math.nan
    scale = 1.0
    if shape < 1:
        scale = (1.0 - drawing.unit()) ** float(kind(1) / shape)
        shape = kind(shape + kind(1))
    d = float(kind(shape - kind(np.float32(1 / 3))))
    c = 1.0 / math.sqrt(d * 9.0)
    while True:
        y = 0.0
        while y <= 0:
            x = drawing.normal()
            y = c * x + 1.0
        v, square, u = y * y * y, x * x, 1.0 - drawing.unit()
        if u < 1.0 - square * float(np.float32(0.0331)) * square:
            return max(scale * d * v, least)
        if math.log(u) < square * 0.5 + d * (1.0 - v + math.log(v)):
            return max(scale * d * v, least)


# log(k!) less Stirling's formula for it, k from 0 to 9
TAILS = [math.lgamma(k + 1) - (0.5 * math.log(2 * math.pi) + (k + 0.5) * math.log(k + 1) - (k + 1)) for k in range(10)]


class Binomial:
    """Successes among `total` trials of probability `chance` <= 1/2. What PyTorch computes in the type of the operands
    is rounded to it by `kind`, so that both take the same number of draws."""

    def __init__(self, drawing, total, chance):
        self.drawing, self.total, self.chance, self.kind = drawing, total, chance, total.dtype.type

    def unit(self):
        return self.kind(self.drawing.unit())

    def few(self):
        """How many geometric numbers fit into the trials."""
        log_miss, spent, count = np.log1p(-self.chance), self.kind(0), 0
        while True:
            spent = self.kind(spent + np.ceil(np.log(self.unit()) / log_miss))
            if not spent <= self.total:
                return count
            count += 1

    def tail(self, k):
        """log(k!) less Stirling's formula for it."""
        if k <= 9 and k == int(k):
            return float(self.kind(TAILS[int(k)]))
        square = float(self.kind((k + 1) * (k + 1)))
        return float(self.kind((1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / float(k + 1)))

    def many(self):
        """Hoermann's transformed rejection (BTRS, 1993)."""
        kind, total, p = self.kind, self.total, self.chance
        spread = np.sqrt(total * p * (kind(1) - p))
        b = kind(float(spread) * 2.53 + 1.15)
        a = kind(float(b) * 0.0248 - 0.0873 + float(p) * 0.01)
        c, inside = kind(float(total * p) + 0.5), kind(0.92 - 4.2 / float(b))
        odds = p / (kind(1) - p)
        alpha = kind((5.1 / float(b) + 2.83) * float(spread))
        m = np.floor((total + kind(1)) * p)
        while True:
            u = kind(float(self.unit()) - 0.5)
            v = self.unit()
            us = kind(0.5 - abs(float(u)))
            k = np.floor((a * kind(2) / us + b) * u + c)
            if float(us) >= 0.07 and v <= inside:
                return k
            if 0 <= k <= total and np.log(v * alpha / (a / (us * us) + b)) <= self.bound(m, k, odds):
                return k

    def bound(self, m, k, odds):
        """The logarithm of the probability of k, relative to that of m."""
        n, one = self.total, self.kind(1)
        value = (float(m) + 0.5) * float(np.log((m + one) / (odds * (n - m + one))))
        value += float((n + one) * np.log((n - m + one) / (n - k + one)))
        value += (float(k) + 0.5) * float(np.log(odds * (n - k + one) / (k + one)))
        return self.kind(value + self.tail(m) + self.tail(n - m) - self.tail(k) - self.tail(n - k))


def binomial(drawing, total, p):
    """The number of successes; without a draw where it is sure."""
    if not (0 < total < math.inf and 0 < p < 1):
        return total + p if math.isnan(total + p) else total if p >= 1 else 0.0
    mirrored = p > 0.5
    found = Binomial(drawing, total, total.dtype.type(1) - p if mirrored else p)
    count = float(found.many() if total * found.chance >= 10 else found.few())
    return float(total) - count if mirrored else count


SPECIFICATIONS = {
    "rows.random:lower_draws": random_draws, "rows.random:lower_normals": random_normals,
    "rows.random:lower_shuffle": random_shuffle, "rows.box_muller:lower_box_muller": box_muller,
    "rows.sampling:lower_slopes": each(rrelu_noise), "rows.sampling:lower_poisson": each(poisson),
    "rows.sampling:lower_gamma": each(gamma), "rows.sampling:lower_binomial": each(binomial),
}
