"""Named results: the tuple types of operators with several outputs, as `torch.return_types.max`.

In: the name of an operator and of its fields. Out: a tuple class whose items are also attributes. `ops/` makes one
for each operator that needs it; `api.py` shows them under `return_types`.
"""

from operator import itemgetter

TYPES = {}


class NamedResult(tuple):
    """A tuple with named fields and PyTorch's way of printing them."""

    __slots__ = ()
    __match_args__ = ()
    n_fields = n_sequence_fields = n_unnamed_fields = 0

    def __new__(cls, *values):
        if len(values) == 1 and cls.n_fields != 1:
            values = tuple(values[0])
        if len(values) != cls.n_fields:
            raise TypeError(f"{cls.__module__}.{cls.__name__}() takes a {cls.n_fields}-sequence "
                            f"({len(values)}-sequence given)")
        return tuple.__new__(cls, values)

    @property
    def _fields(self):
        return self.__match_args__

    def __repr__(self):
        items = ",\n".join([f"{name}={value!r}" for name, value in zip(self.__match_args__, self)])
        return f"{self.__module__}.{type(self).__name__}(\n{items})"

    def __reduce__(self):
        return (by_name, (type(self).__name__, tuple(self)))


def by_name(name, values):
    """Make the named result of an operator from its values; pickles call this."""
    return TYPES[name](*values)


def named_result(name, *fields):
    """The class of the results of one operator."""
    members = {"__slots__": (), "__match_args__": fields, "__module__": "torch.return_types", "n_fields": len(fields),
               "n_sequence_fields": len(fields)}
    for i, field in enumerate(fields):
        members[field] = property(itemgetter(i))
    made = TYPES[name] = type(name, (NamedResult,), members)
    return made
