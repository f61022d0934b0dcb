"""Sizes and offsets as arguments: a program of known structure gets the plan that it would get if it were new."""
import random

import pytest

import rushlight as rl
from rushlight.base import switches
from rushlight.core.stream import STREAM
from rushlight.fuse import group, kits, plan, skeleton, structure
from rushlight.fuse.recipe import Filled
from rushlight.nn import functional as F

pytestmark = pytest.mark.skipif(switches.EAGER, reason="the eager mode has recorded nothing to look at")


def recorded(build, *sizes):
    """The arguments of plan.build for what `build` records."""
    rl.synchronize()
    kept = build(*sizes)
    block = STREAM.block
    path, numbers = block.step.path(), len(block.scalars)
    mask = bytes([s.nbytes != 0 and any(s is t._storage for t in kept) for s in block.slots])
    rl.synchronize()
    return path, mask, numbers


def forget():
    for memo in (skeleton.SKELETONS, kits.KITS, group.FACTS, structure.CLASSES):
        memo.clear()


def shown(planned, slots):
    """A plan as plain values."""
    launches = [[(x.source.key, x.tasks, x.cost, x.words(planned.places, slots)) for x in row]
                for s in planned.segments for row in s.launches]
    hosts = [repr(s.host) for s in planned.segments]
    places = {slot: at for slot, at in planned.places.items() if isinstance(slot, int)}
    return launches, hosts, planned.allocate, planned.external, places, planned.arena, planned.instructions


def launches(planned):
    return [x for s in planned.segments for row in s.launches for x in row]


def chain(n, m, k):
    x, y = rl.ones(n, m), rl.ones(m)
    return [(x * 2 + y).exp() - x.t().contiguous().t(), x[:, : m // 2] + 1, x.sum(1), x.sum(0)]


def views(n, m, k):
    x = rl.ones(n, m, k)
    y = x.permute(2, 0, 1) * 2
    z = x[:, 1:] + x[:, :-1]
    w = x[:, ::2].mean((0, 2))
    x[:, 0] = z[:, 0] * 0.5
    x[1:].add_(y.permute(1, 2, 0)[1:])
    return [y, z, w, x, x.transpose(0, 2) + 1, x.reshape(n, -1).softmax(-1)]


def layers(n, m, k):
    x = rl.ones(n, m)
    h = F.gelu(F.linear(x, rl.ones(k, m), rl.ones(k)))
    h = F.layer_norm(h, (k,), rl.ones(k), rl.ones(k))
    return [F.cross_entropy(h, rl.zeros(n, dtype=rl.int64)), h.argmax(1), h.var(0), h.cumsum(0), h.sort(1)[0]]


def indexing(n, m, k):
    x, at = rl.ones(n, m), rl.arange(n) % 2
    out = rl.zeros(n, m)
    out[at] = x * 2
    return [x[at] + 1, F.one_hot(at, 3).sum(0), rl.stack([x[i] * i for i in range(3)]), x.roll(1, 0), out,
            rl.cat([x, x.flip(1)], 1), rl.where(x > 0, x, -x).amax(0)]


def training(n, m, k):
    w = rl.ones(k, m, requires_grad=True)
    x = rl.ones(n, m)
    ((x @ w.t()).tanh().mean() + (w * w).sum()).backward()
    return [w.grad]


@pytest.mark.parametrize("build", [chain, views, layers, indexing])
def test_plans_of_known_structures_are_those_of_new_ones(build):
    draw = random.Random(build.__name__)
    interesting = [2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 40, 64, 96, 130, 300, 513, 1000]
    sizes = [tuple(draw.choices(interesting, k=3)) for _ in range(60)]
    sizes = [s for s in sizes if s[0] >= 3 and s[0] * s[1] * s[2] < 1 << 21]
    programs = [recorded(build, *s) for s in sizes]
    expected = []
    for path, mask, numbers in programs:
        forget()
        expected.append(shown(plan.build(path, mask, numbers), len(mask)))
    forget()
    for _ in range(2):
        for size, (path, mask, numbers), wanted in zip(sizes, programs, expected):
            assert shown(plan.build(path, mask, numbers), len(mask)) == wanted, size


@pytest.mark.parametrize("build", [chain, views, layers, indexing, training])
def test_a_third_size_is_filled_in(build):
    programs = [recorded(build, n, 40, 24) for n in (50, 60, 70)]
    forget()
    for path, mask, numbers in programs[:2]:
        plan.build(path, mask, numbers)
    found = launches(plan.build(*programs[2]))
    loops = [x for x in found if x.source.key[0] == "loop"]
    assert sum(isinstance(x, Filled) for x in loops) >= 0.8 * len(loops)


def test_offsets_are_arguments():
    x = rl.ones(100, 8)
    programs = [recorded(lambda row=row: [x[row + 1] * x[row + 2] + 1, x]) for row in range(3)]
    forget()
    for path, mask, numbers in programs:
        found = launches(plan.build(path, mask, numbers))
    assert len(skeleton.SKELETONS) == 1 and isinstance(found[0], Filled)


def test_gaps_that_happen_to_be_equal_are_another_structure():
    base = rl.ones(4000)

    def build(a, b):
        return [(base.as_strided((10, 10), (a, 1)) * 2).exp() + base.as_strided((10, 10, 1), (b, 1, 1))[..., 0], base]
    same, other = recorded(build, 20, 20), recorded(build, 20, 30)
    assert skeleton.key_of(same[0], same[1], 0) != skeleton.key_of(other[0], other[1], 0)


def test_skeletons_are_bounded():
    forget()
    for n in range(30):
        path, mask, numbers = recorded(lambda n=n: [sum(rl.ones(4) * i for i in range(n + 1))])
        plan.build(path, mask, numbers)
    memo = skeleton.SKELETONS
    assert memo.filled <= memo.most and len(memo) >= 1


def test_names_of_classes_tell_flipped_types_from_plain_ones():
    z = rl.ones(3, dtype=rl.complex64)
    assert repr(structure.class_of(z.conj()._layout)) != repr(structure.class_of(z._layout))
    assert repr(structure.class_of(z.conj().imag._layout)) != repr(structure.class_of(z.imag._layout))
