"""Whether views of one storage reach the same memory.

In: strides over a domain. Out: an answer that may say yes for views that do not meet, never no for views that do.
"""

MOST_TRIES = 2000


def meets_itself(strides, domain, size):
    """Whether two positions of the domain may reach the same element of `size` (in the unit of the strides)."""
    reach = size
    for s, n in sorted((abs(s), n) for s, n in zip(strides, domain) if n > 1):
        if s < reach:
            return True
        reach += s * (n - 1)
    return False


def may_meet(a, b, domain):
    """Whether two accesses over a domain may touch a byte in common, at whatever positions: a search for steps along
    the dimensions of both whose bytes add up to the distance of their first elements, given up after MOST_TRIES."""
    steps = sorted([(s, n) for s, n in zip(a.strides, domain) if s and n > 1]
                   + [(-s, n) for s, n in zip(b.strides, domain) if s and n > 1], key=lambda step: -abs(step[0]))
    rests = [(0, 0)]  # the lowest and highest sum that the steps behind one can make
    for s, n in reversed(steps):
        low, high = rests[-1]
        rests.append((low + min(0, s * (n - 1)), high + max(0, s * (n - 1))))
    rests.reverse()
    first, last = -(a.dtype.itemsize - 1), b.dtype.itemsize - 1  # sums that mean a common byte, around the distance
    tries, todo = 0, [(0, b.offset - a.offset)]
    while todo:
        at, distance = todo.pop()
        tries += 1
        if tries > MOST_TRIES:
            return True
        if at == len(steps):
            if -last <= distance <= -first:
                return True
            continue
        s, n = steps[at]
        low, high = rests[at + 1]
        # s * i + what the rest makes must come to distance + (first .. last)
        least, most = distance + first - high, distance + last - low
        if s < 0:
            s, least, most, sign = -s, -most, -least, -1
        else:
            sign = 1
        choices = range(max(0, -(-least // s)), min(n - 1, most // s) + 1)
        if len(choices) > MOST_TRIES:
            return True
        todo.extend([(at + 1, distance - sign * s * i) for i in choices])
    return False
