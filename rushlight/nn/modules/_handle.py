"""Handles that take hooks away again: a dictionary of hooks comes in, an object with `remove()` goes out."""
import weakref


class RemovableHandle:
    """What `register_*_hook` returns: `remove()` takes the hook away; as a context manager it does so at the end.

    `hooks_dict` maps the handle's `id` to the hook; `extra_dict` are further dictionaries (or one) with the same key.
    All are referred to weakly. Calling `remove()` twice does no harm.
    """

    next_id = 0

    def __init__(self, hooks_dict, *, extra_dict=None):
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        if extra_dict is None:
            extra_dict = ()
        elif isinstance(extra_dict, dict):
            extra_dict = (extra_dict,)
        self.extra_dict_ref = tuple(weakref.ref(extra) for extra in extra_dict)

    def remove(self):
        """Take the hook away."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self):
        return self.hooks_dict_ref(), self.id, tuple(reference() for reference in self.extra_dict_ref)

    def __setstate__(self, state):
        hooks, self.id, *rest = state
        # A handle whose dictionary is gone comes back with an empty one of its own, which frees it at once.
        self.hooks_dict_ref = weakref.ref(_Hooks() if hooks is None else hooks)
        self.extra_dict_ref = tuple(weakref.ref(extra) for extra in (rest[0] if rest else ()) if extra is not None)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.remove()


class _Hooks(dict):
    """An empty dictionary that can be referred to weakly."""
