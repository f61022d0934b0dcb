"""Bounded dictionaries of results that can be computed again."""


class Memo:
    """Keeps at least the entries of weight `most // 2` that were used last, and never much more than `most`.

    Entries are in two generations. A hit in the old one moves its entry to the young one; when that is full, it becomes
    the old one and what is left of the old one goes. So a hit costs one look-up and no order is kept. Values are not
    None. Not safe for threads: the caller holds a lock.
    """

    __slots__ = ("most", "young", "old", "filled", "weigh")

    def __init__(self, most, weigh=None):
        """`weigh`: the weight of a value, 1 unless given."""
        self.most, self.young, self.old, self.filled, self.weigh = most, {}, {}, 0, weigh

    def get(self, key):
        """The value of a key, or None."""
        value = self.young.get(key)
        if value is None:
            value = self.old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key, value):
        """Enter a value; returns it."""
        if self.filled >= self.most // 2:
            self.young, self.old, self.filled = {}, self.young, 0
        self.young[key] = value
        self.filled += 1 if self.weigh is None else self.weigh(value)
        return value

    def clear(self):
        """Forget everything."""
        self.young, self.old, self.filled = {}, {}, 0

    def __len__(self):
        return len(self.young) + len(self.old)
