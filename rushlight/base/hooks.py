"""Handles that remove a registered hook.

In: the ordered dictionary that a hook lives in (of a module, a tensor, an optimizer). Out: `RemovableHandle`, which the
`register_*_hook` methods return. Read next: `nn/module.py` and `optim/optimizer.py`, which register hooks.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any


class RemovableHandle:
    """Removes a hook from the dictionary it was registered in; also a context manager that removes it on exit.

    Args:
        hooks_dict: the dictionary, from the handle's `id` to the hook. Held weakly: a handle keeps nothing alive.
        extra_dict: one more dictionary, or a list of them, with entries about the same hook.
    """

    id: int
    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extra = [] if extra_dict is None else extra_dict if isinstance(extra_dict, list) else [extra_dict]
        self.extra_dict_ref = tuple(weakref.ref(entry) for entry in extra)

    def remove(self) -> None:
        """Takes the hook out; nothing happens if it is gone already."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self) -> Any:
        if self.extra_dict_ref:
            return self.hooks_dict_ref(), self.id, tuple(reference() for reference in self.extra_dict_ref)
        return self.hooks_dict_ref(), self.id

    def __setstate__(self, state: Any) -> None:
        # A dictionary that is gone is stood in for by an empty one, whose weak reference dies at once.
        self.hooks_dict_ref = weakref.ref(OrderedDict() if state[0] is None else state[0])
        self.id = state[1]
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)
        extra = state[2] if len(state) > 2 else ()
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if entry is None else entry) for entry in extra)

    def __enter__(self) -> "RemovableHandle":
        return self

    def __exit__(self, type: Any, value: Any, tb: Any) -> None:
        self.remove()
