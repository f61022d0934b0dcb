"""The dictionaries of a module's parameters, buffers and submodules, mirrored as attributes of the module.

Note [Mirrored registries]
PyTorch keeps parameters in `module._parameters` only, and `module.weight` is found by `Module.__getattr__`: a failed
ordinary look-up followed by a Python call, twice for every linear layer of every step. Here the registries stay the
truth about what is registered and in which order, and every entry is also an ordinary attribute in the module's
`__dict__`, which the interpreter finds without any Python code. `Registry` keeps the two in step when programs write to
`_parameters` and friends directly. It refers to its module weakly, so that modules are freed by reference counts;
copies and pickles of it are plain dictionaries, and `Module.__setstate__` builds the mirror anew.
"""


class Registry(dict):
    """A dictionary whose entries are also attributes of the module that `owner()` returns; it is None once that is
    gone.
    """

    __slots__ = ("owner",)

    def __init__(self, owner, entries=()):
        super().__init__(entries)
        self.owner = owner
        module = owner()
        if entries and module is not None:
            module.__dict__.update(entries)

    def _attributes(self):
        module = self.owner()
        return {} if module is None else module.__dict__

    def __setitem__(self, name, value):
        super().__setitem__(name, value)
        self._attributes()[name] = value

    def __delitem__(self, name):
        super().__delitem__(name)
        self._attributes().pop(name, None)

    def pop(self, name, *default):
        """Remove an entry and its attribute; returns the value, or the default."""
        if name in self:
            self._attributes().pop(name, None)
        return super().pop(name, *default)

    def popitem(self):
        """Remove the entry that was added last; returns (name, value)."""
        name, value = super().popitem()
        self._attributes().pop(name, None)
        return name, value

    def clear(self):
        """Remove all entries and their attributes."""
        attributes = self._attributes()
        for name in self:
            attributes.pop(name, None)
        super().clear()

    def update(self, *args, **kwargs):
        """As dict.update."""
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __ior__(self, other):
        self.update(other)
        return self

    def setdefault(self, name, default=None):
        """As dict.setdefault."""
        if name not in self:
            self[name] = default
        return self[name]

    def __reduce_ex__(self, protocol):
        return dict, (), None, None, iter(self.items())
