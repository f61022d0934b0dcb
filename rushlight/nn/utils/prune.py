"""Pruning: some values of a module's tensors stay zero.

The trained tensor becomes `<name>_orig`, a buffer `<name>_mask` says what is kept, and a hook before every call makes
<name> their product. `remove` makes that permanent. Next to read: prune_methods.py, the rules (they can be imported
from here, as in PyTorch).
"""
from ... import api as rl
from .prune_methods import (
    BasePruningMethod,
    CustomFromMask,
    Identity,
    L1Unstructured,
    LnStructured,
    PruningContainer,
    RandomStructured,
    RandomUnstructured,
)

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def identity(module, name):
    """Prune nothing, but bring a tensor into the form that pruned ones have; returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module, name, amount):
    """Prune values at random: a share (float) or a number (int) of them; returns the module."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module, name, amount, importance_scores=None):
    """Prune the values with the smallest absolute value, or smallest score: a share or a number; returns the module."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module, name, amount, dim):
    """Prune whole slices along a dimension at random: a share or a number of them; returns the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module, name, amount, n, dim, importance_scores=None):
    """Prune the slices along a dimension with the smallest n-norm: a share or a number of them; returns the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module, name, mask):
    """Prune where the mask is zero; returns the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters, pruning_method, importance_scores=None, **kwargs):
    """Prune several tensors as if they were one.

    Args: `parameters`, pairs (module, name); `pruning_method`, a class of unstructured pruning; `importance_scores`, a
    dictionary from pairs to scores; the rest goes to the class. Raises TypeError for something else.
    """
    if not isinstance(parameters, (list, tuple)):
        parameters = list(parameters)
    scores = importance_scores if importance_scores is not None else {}
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    tensors = [getattr(module, name) for module, name in parameters]
    joined_scores = _joined([scores.get(pair, t) for pair, t in zip(parameters, tensors)])
    masks = [
        getattr(module, name + "_mask", rl.ones_like(tensor)) for (module, name), tensor in zip(parameters, tensors)
    ]
    joined_mask = _joined(masks)
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    container.add_pruning_method(method)
    final_mask = container.compute_mask(joined_scores, joined_mask)
    start = 0
    for (module, name), tensor in zip(parameters, tensors):
        count = tensor.numel()
        custom_from_mask(module, name, mask=final_mask[start : start + count].view_as(tensor))
        start += count


def _joined(tensors):
    return rl.cat([tensor.reshape(-1) for tensor in tensors])


def remove(module, name):
    """Make the pruned tensor an ordinary parameter, zeros included; returns the module. ValueError if it is not
    pruned.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(
        f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
    )


def is_pruned(module):
    """True if a tensor of the module or of a descendant is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for submodule in module.modules()
        for hook in submodule._forward_pre_hooks.values()
    )
