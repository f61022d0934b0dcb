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
    spans = {}  # bytes of a step -> fewest and most such steps that lead from an element of b to one of a
    for access, sign in ((a, 1), (b, -1)):
        for s, n in zip(access.strides, domain):
            low, high = spans.get(abs(s), (0, 0))
            end = (n - 1) * (sign if s > 0 else -sign)
            spans[abs(s)] = low + min(0, end), high + max(0, end)
    spans.pop(0, None)
    steps = sorted(((s, low, high) for s, (low, high) in spans.items() if low < high), reverse=True)
    rests = [(0, 0)]  # the lowest and highest sum that the steps behind one can make
    for s, low, high in reversed(steps):
        rests.append((rests[-1][0] + s * low, rests[-1][1] + s * high))
    rests.reverse()
    # the first bytes of two elements that meet lie at most this far apart
    first, last = 1 - a.dtype.itemsize, b.dtype.itemsize - 1
    tries, todo = 0, [(0, b.offset - a.offset)]
    while todo:
        at, distance = todo.pop()
        tries += 1
        if tries > MOST_TRIES:
            return True
        if at == len(steps):
            if first <= -distance <= last:
                return True
            continue
        s, low, high = steps[at]
        # s * k and what the rest makes must come to distance + (first .. last)
        least, most = distance + first - rests[at + 1][1], distance + last - rests[at + 1][0]
        choices = range(max(low, -(-least // s)), min(high, most // s) + 1)
        if len(choices) > MOST_TRIES:
            return True
        todo.extend([(at + 1, distance - s * k) for k in choices])
    return False
