"""Policies that choose which submodules become units of their own: for `auto_wrap_policy`."""
from ...nn.modules.container import ModuleDict, ModuleList

__all__ = ["CustomPolicy", "ModuleWrapPolicy", "always_wrap_policy", "lambda_auto_wrap_policy",
           "size_based_auto_wrap_policy", "transformer_auto_wrap_policy"]


def always_wrap_policy(*args, **kwargs):
    """Every submodule."""
    return True


def lambda_auto_wrap_policy(module, recurse, nonwrapped_numel, lambda_fn):
    """The submodules for which lambda_fn(module) is true."""
    return True if recurse else lambda_fn(module)


def transformer_auto_wrap_policy(module, recurse, nonwrapped_numel, transformer_layer_cls):
    """The submodules of some classes."""
    return True if recurse else isinstance(module, tuple(transformer_layer_cls))


def size_based_auto_wrap_policy(module, recurse, nonwrapped_numel, min_num_params=int(1e8), force_leaf_modules=None,
                                exclude_wrap_modules=None):
    """Submodules with at least `min_num_params` parameters that are in no unit yet."""
    excluded = tuple(exclude_wrap_modules or (ModuleList, ModuleDict))
    leaves = tuple(force_leaf_modules or ())
    large = nonwrapped_numel >= min_num_params
    return large and not isinstance(module, leaves) if recurse else large and not isinstance(module, excluded)


class ModuleWrapPolicy:
    """The submodules of some classes."""

    def __init__(self, module_classes):
        self._classes = tuple(module_classes)

    def __call__(self, module, recurse, *args, **kwargs):
        return True if recurse else isinstance(module, self._classes)


class CustomPolicy:
    """The submodules for which lambda_fn(module) is true, or a dictionary of options for their units."""

    def __init__(self, lambda_fn):
        self._function = lambda_fn

    def __call__(self, module, recurse, *args, **kwargs):
        return True if recurse else self._function(module)


def wrap_children(module, policy, wrap, ignored):
    """Replace the submodules that the policy chooses, innermost first, by wrap(submodule, options).

    Returns the number of parameters that are in no unit yet.
    """
    own = {id(param): param.numel() for param in module.parameters() if id(param) not in ignored}
    left = sum(own.values())
    if not policy(module=module, recurse=True, nonwrapped_numel=left):
        return left
    for name, child in list(module.named_children()):
        if "_fsdp_unit" in child.__dict__:
            continue
        rest = wrap_children(child, policy, wrap, ignored)
        chosen = policy(module=child, recurse=False, nonwrapped_numel=rest)
        if chosen:
            setattr(module, name, wrap(child, chosen if isinstance(chosen, dict) else {}))
            left -= rest
    return left
