"""Lazy modules: their first input determines the shapes they are made with.

Next to read: parameter.py (UninitializedParameter), linear.py (LazyLinear, the simplest one).
"""
from ..parameter import is_lazy

__all__ = ["LazyModuleMixin"]


class LazyModuleMixin:
    """Put before the ordinary class in the bases of a lazy one, which defines `initialize_parameters(*args, **kwargs)`.

    The first call runs that with the call's arguments, checks that every parameter and buffer has its shape then, and
    turns the object into one of class `cls_to_become` (if not None). Until then its state can be saved and loaded, and
    it can be moved and cast.
    """

    cls_to_become = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        # Uninitialized tensors cannot be detached; they are saved as they are.
        for name, value in (*self._parameters.items(), *self._buffers.items()):
            if value is None or name in self._non_persistent_buffers_set:
                continue
            destination[prefix + name] = value if is_lazy(value) or keep_vars else value.detach()

    def _lazy_load_hook(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
        """Give tensors the shapes that they have in a state that is about to be loaded."""
        for name, value in (*self._parameters.items(), *self._buffers.items()):
            saved = state_dict.get(prefix + name)
            if value is not None and saved is not None and is_lazy(value) and not is_lazy(saved):
                value.materialize(saved.shape)

    def initialize_parameters(self, *args, **kwargs):
        """Give the parameters their shapes and values, from the arguments of the first call."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self):
        """True if a parameter or buffer has no shape yet."""
        return any(is_lazy(value) for value in (*self._parameters.values(), *self._buffers.values()))

    def _infer_parameters(self, module, args, kwargs=None):
        """The hook that runs before the first call."""
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        delattr(module, "_initialize_hook")
        delattr(module, "_load_hook")
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become

    def _replicate_for_data_parallel(self):
        raise RuntimeError(
            "Modules with uninitialized parameters can't be used with `DataParallel`. Run a dummy forward pass to "
            "correctly initialize the modules"
        )
