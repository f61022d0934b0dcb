"""Views that meet in memory: the test for it, and what in-place operators do about it."""
import itertools
import random
from types import SimpleNamespace

import pytest

import rushlight as rl
from rushlight.fuse.overlap import MOST_TRIES, may_meet, meets_itself


def access(offset, strides, size):
    return SimpleNamespace(offset=offset, strides=strides, dtype=SimpleNamespace(itemsize=size))


def touched(a, domain):
    starts = [a.offset + sum(i * s for i, s in zip(index, a.strides))
              for index in itertools.product(*map(range, domain))]
    return {start + byte for start in starts for byte in range(a.dtype.itemsize)}


def test_may_meet_is_exact_for_small_views():
    pick = random.Random(1)
    found = set()
    for _ in range(3000):
        domain = [pick.choice([1, 2, 3, 5]) for _ in range(pick.randint(1, 3))]
        a, b = (access(pick.randrange(60) * 2, [pick.choice([0, 1, 2, 3, 5, 8, 20]) * 4 for _ in domain],
                       pick.choice([1, 4])) for _ in range(2))
        expected = bool(touched(a, domain) & touched(b, domain))
        assert may_meet(a, b, domain) == expected, (domain, vars(a), vars(b))
        found.add(expected)
    assert found == {True, False}


def test_large_views_that_interleave_do_not_meet():
    domain = (1000, 1000)
    left, right = access(0, (8000, 8), 4), access(4, (8000, 8), 4)
    assert not may_meet(left, right, domain)
    assert not may_meet(access(0, (8000, 4), 4), access(4000, (8000, 4), 4), domain)
    assert may_meet(left, access(8, (8000, 8), 4), domain)


def test_the_search_is_given_up_with_yes():
    count = MOST_TRIES
    assert may_meet(access(0, (6, 10), 1), access(1, (6, 10), 1), (count, count))


def test_meets_itself():
    assert meets_itself((1, 1), (4, 2), 1) and not meets_itself((4, 1), (4, 2), 1)
    assert not meets_itself((0, 1), (1, 2), 1) and meets_itself((0, 1), (2, 2), 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_writes_over_their_own_operands_go_element_by_element(threads):
    """The values are what PyTorch prints for these programs."""
    rl.set_num_threads(threads)
    x = rl.arange(5.0, dtype=rl.float64)
    x.unfold(0, 2, 1).add_(1)
    assert x.tolist() == [1, 3, 4, 5, 5]
    x = rl.arange(6.0)
    x.unfold(0, 3, 1).copy_(rl.arange(12.0).reshape(4, 3))
    assert x.tolist() == [0, 3, 6, 9, 10, 11]
    x = rl.arange(36) - 18
    x[::2] += x[0]
    assert x.tolist() == [n - 18 if n % 2 else -36 if n == 0 else n - 54 for n in range(36)]
    x = rl.ones(3, 2)
    part = x[..., ::2]
    part.fill_(2)
    x += part
    assert x.tolist() == [[4, 5]] * 3


def test_operands_of_other_dtypes_are_converted_first():
    x = rl.arange(6.0)
    x.unfold(0, 3, 1).sub_(rl.arange(3, dtype=rl.float64))
    assert x.tolist() == [0, 1, 2, 3, 3, 3]


def test_disjoint_parts_keep_their_fast_kernels():
    x = rl.arange(64.0).reshape(8, 8)
    x[:, ::2] += x[:, 1::2]
    x[:, :4] *= x[:, 4:]
    rows = [[float(8 * i + j) for j in range(8)] for i in range(8)]
    for row in rows:
        row[::2] = [a + b for a, b in zip(row[::2], row[1::2])]
        row[:4] = [a * b for a, b in zip(row[:4], row[4:])]
    assert x.tolist() == rows
