"""The state of modules: `state_dict`, a dictionary of a module's tensors, and `load_state_dict`.

A mixin of `Module` (module.py). Keys are dotted names; `state_dict()._metadata` holds every module's format version, so
that `_load_from_state_dict` of a class can read what an older version of it has written.
"""
import functools
import warnings
import weakref
from collections import OrderedDict, namedtuple
from collections.abc import Mapping

from ... import api as rl
from ..parameter import Parameter, is_lazy
from ...base.hooks import RemovableHandle

_EXTRA_STATE = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ("missing_keys", "unexpected_keys"))):
    """What `load_state_dict` returns: names the state did not have, and names the module does not have."""

    __slots__ = ()

    def __repr__(self):
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys!r}, unexpected_keys={self.unexpected_keys!r})"

    __str__ = __repr__


class _WrappedHook:
    """A hook that gets its module as first argument; knows the module weakly, and can be pickled and copied with it."""

    def __init__(self, hook, module=None):
        self.hook = hook
        functools.update_wrapper(self, hook)
        self.with_module = module is not None
        if self.with_module:
            self.module = weakref.ref(module)

    def __call__(self, *args, **kwargs):
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self):
        state = {"hook": self.hook, "with_module": self.with_module}
        if self.with_module:
            state["module"] = self.module()
        return state

    def __setstate__(self, state):
        self.hook = state["hook"]
        self.with_module = state["with_module"]
        if self.with_module:
            if state["module"] is None:
                raise RuntimeError("You are trying to revive the hook of a dead Module!")
            self.module = weakref.ref(state["module"])


class _Loading:
    """One run of `load_state_dict`: what was asked, and what has been found wrong so far."""

    def __init__(self, state_dict, metadata, strict, assign):
        self.state_dict = state_dict
        self.metadata = metadata
        self.strict = strict
        self.assign = assign
        self.missing = []
        self.unexpected = []
        self.errors = []

    def visit(self, module, state_dict, prefix=""):
        """Load a module and its descendants; each sees only the keys below its own name."""
        local = {} if self.metadata is None else dict(self.metadata.get(prefix[:-1], {}))
        if self.assign:
            local["assign_to_params_buffers"] = True
        module._load_from_state_dict(state_dict, prefix, local, True, self.missing, self.unexpected, self.errors)
        for name, child in module._modules.items():
            if child is not None:
                below = f"{prefix}{name}."
                self.visit(child, {key: value for key, value in state_dict.items() if key.startswith(below)}, below)
        incompatible = _IncompatibleKeys(self.missing, self.unexpected)
        for hook in module._load_state_dict_post_hooks.values():
            if hook(module, incompatible) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new "
                    "values, if incompatible_keys need to be modified, it should be done inplace."
                )

    def finish(self, name):
        """Raise what was found wrong, or return the names that did not match."""
        errors = self.errors
        if self.strict:
            if self.unexpected:
                errors.insert(0, f"Unexpected key(s) in state_dict: {_quoted(self.unexpected)}. ")
            if self.missing:
                errors.insert(0, f"Missing key(s) in state_dict: {_quoted(self.missing)}. ")
        if errors:
            raise RuntimeError("Error(s) in loading state_dict for {}:\n\t{}".format(name, "\n\t".join(errors)))
        return _IncompatibleKeys(self.missing, self.unexpected)


def _quoted(names):
    return ", ".join(f'"{name}"' for name in names)


class StateMethods:
    """The methods of `Module` that save and load its state."""

    def get_extra_state(self):
        """Override to save something besides tensors under the key `_extra_state`; returns what is to be saved."""
        raise RuntimeError(_never_called("get"))

    def set_extra_state(self, state):
        """Override together with `get_extra_state`; gets what that has returned."""
        raise RuntimeError(_never_called("set"))

    # -- saving --------------------------------------------------------------

    def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
        """An ordered dictionary of all parameters and persistent buffers by dotted name.

        The tensors are detached but share memory with the module's, unless keep_vars, which gives them as they are.
        `destination` is a dictionary to fill, `prefix` is put before every name. Positional arguments are deprecated.
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead. Refer to "
                "https://pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module.state_dict for details.",
                FutureWarning,
                stacklevel=2,
            )
            destination = args[0] if destination is None else destination
            prefix = args[1] if len(args) > 1 and prefix == "" else prefix
            keep_vars = args[2] if len(args) > 2 and keep_vars is False else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            result = hook(self, destination, prefix, local_metadata)
            if not getattr(hook, "_from_public_api", False):
                destination = destination if result is None else result
            elif result is not None:
                raise RuntimeError("state_dict post-hook must return None")
        return destination

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        """Put this module's own tensors, not those of its submodules, into the dictionary."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                destination[prefix + name] = parameter if keep_vars else parameter.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if type(self).get_extra_state is not StateMethods.get_extra_state:
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    # -- loading -------------------------------------------------------------

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Copy the tensors of a state into this module and its descendants.

        strict: all keys must match exactly, else RuntimeError; otherwise the result tells which did not.
        assign: the state's tensors become the module's, instead of being copied into them.
        Returns a named tuple (missing_keys, unexpected_keys). Raises RuntimeError if shapes differ.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None)
        # Hooks may rename and remove entries of what they see, which must not change the caller's dictionary.
        state_dict = OrderedDict(state_dict)
        if metadata is not None:
            state_dict._metadata = metadata
        loading = _Loading(state_dict, metadata, strict, assign)
        loading.visit(self, state_dict)
        return loading.finish(type(self).__name__)

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        """Load this module's own tensors, not those of its submodules; overridden to read older formats.

        What is wrong is added to the three lists; nothing is raised.
        """
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        skipped = self._non_persistent_buffers_set
        own = {name: value for name, value in self._parameters.items() if value is not None}
        own |= {name: value for name, value in self._buffers.items() if value is not None and name not in skipped}
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, parameter in own.items():
            key = prefix + name
            if key in state_dict:
                problem = self._load_tensor(name, parameter, key, state_dict[key], assign)
                if problem:
                    error_msgs.append(problem)
            elif strict:
                missing_keys.append(key)
        self._load_extra_state(state_dict, prefix + _EXTRA_STATE, strict, missing_keys, unexpected_keys)
        if strict:
            unexpected_keys.extend(self._unknown_keys(state_dict, prefix, own))

    def _load_tensor(self, name, parameter, key, value, assign):
        """Load one tensor; returns an error message or None."""
        if not isinstance(value, rl.Tensor):
            return (
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from '
                f"checkpoint but received {type(value)}"
            )
        lazy = is_lazy(parameter)
        if not lazy and parameter.dim() == 0 and value.dim() == 1:
            value = value[0]  # version 0.3 and older wrote scalars as vectors of one element
        if not lazy and value.shape != parameter.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, the shape in "
                f"current model is {parameter.shape}."
            )
        if parameter.is_meta and not value.is_meta and not assign:
            warnings.warn(
                f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in the current "
                "model, which is a no-op. (Did you mean to pass `assign=True` to assign items in the state "
                "dictionary to their corresponding key in the module instead of copying them in place?)",
                stacklevel=2,
            )
        try:
            with rl.no_grad():
                if assign:
                    self._assign_tensor(name, parameter, value)
                else:
                    parameter.copy_(value)
        except Exception as error:  # whatever a copy can raise is reported with all other problems
            return (
                f'While copying the parameter named "{key}", whose dimensions in the model are {parameter.size()} and '
                f"whose dimensions in the checkpoint are {value.size()}, an exception occurred : {error.args}."
            )
        return None

    def _assign_tensor(self, name, parameter, value):
        if isinstance(parameter, Parameter):
            if isinstance(value, Parameter):
                value.requires_grad_(parameter.requires_grad)
            else:
                value = Parameter(value, requires_grad=parameter.requires_grad)
        setattr(self, name, value)

    def _load_extra_state(self, state_dict, key, strict, missing_keys, unexpected_keys):
        if type(self).set_extra_state is not StateMethods.set_extra_state:
            if key in state_dict:
                self.set_extra_state(state_dict[key])
            elif strict:
                missing_keys.append(key)
        elif strict and key in state_dict:
            unexpected_keys.append(key)

    def _unknown_keys(self, state_dict, prefix, own):
        """Keys below the prefix that are neither this module's tensors nor below one of its submodules."""
        for key in state_dict:
            if not key.startswith(prefix) or key == prefix + _EXTRA_STATE:
                continue
            name, dot, _ = key[len(prefix) :].partition(".")
            if name not in (self._modules if dot else own):
                yield key

    # -- hooks ---------------------------------------------------------------

    def _register_state_dict_hook(self, hook):
        """Call hook(module, state_dict, prefix, local_metadata) after saving; what it returns replaces the
        dictionary.
        """
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was previously registered via "
                "register_state_dict_post_hook"
            )
        return _add_hook(self._state_dict_hooks, hook)

    def register_state_dict_post_hook(self, hook):
        """Call hook(module, state_dict, prefix, local_metadata) after saving; it may change the dictionary in place."""
        hook._from_public_api = True
        return _add_hook(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook):
        """Call hook(module, prefix, keep_vars) before saving."""
        return _add_hook(self._state_dict_pre_hooks, hook)

    def _register_load_state_dict_pre_hook(self, hook, with_module=False):
        """Call hook([module,] state_dict, prefix, ...) before loading, with the arguments of
        `_load_from_state_dict`.
        """
        return _add_hook(self._load_state_dict_pre_hooks, _WrappedHook(hook, self if with_module else None))

    def register_load_state_dict_pre_hook(self, hook):
        """Call hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        first.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook):
        """Call hook(module, incompatible_keys) after loading; it may change the two lists in place and must return
        None.
        """
        return _add_hook(self._load_state_dict_post_hooks, hook)


def _add_hook(hooks, hook):
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def _never_called(verb):
    return (
        f"Reached a code path in Module.{verb}_extra_state() that should never be called. Please file an issue at "
        "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml to report this bug."
    )
