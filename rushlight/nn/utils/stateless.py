"""Calls of a module with other parameters than its own."""
import contextlib
import warnings

from ... import api as rl

__all__ = ["functional_call"]

# What is found under a name that the module does not have; PyTorch lets a call set such names too.
_ABSENT = object()


def functional_call(module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """Deprecated: see `rushlight.func.functional_call`, which has the same arguments."""
    warnings.warn(
        "This API is deprecated as of PyTorch 2.0 and will be removed in a future version of PyTorch. Please use "
        "torch.func.functional_call instead which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)


def _functional_call(module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """module(*args, **kwargs), with parameters and buffers replaced by those of a dictionary (or several) for the call.

    Args: `args`, a tuple, or one argument; `tie_weights`, replace tensors that appear under several names under all of
    them; `strict`, insist on a tensor for every name (else RuntimeError).
    """
    if not isinstance(parameters_and_buffers, dict):
        merged = {}
        for tensors in parameters_and_buffers:
            repeated = merged.keys() & tensors.keys()
            if repeated:
                raise ValueError(
                    f"{sorted(repeated)} appeared in multiple dictionaries; behavior of functional call is ambiguous"
                )
            merged.update(tensors)
        parameters_and_buffers = merged
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _replaced(module, parameters_and_buffers, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def _all_names(module):
    """Every name of a parameter or buffer, also where several name the same tensor: {name: tensor}."""
    return dict((*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)))


def _tied_names(module, tensors):
    """The dictionary with entries for all other names of the tensors that it replaces."""
    names = _all_names(module)
    groups = {}
    for name, tensor in names.items():
        groups.setdefault(id(tensor), set()).add(name)
    tied = dict(tensors)
    for name in tensors:
        if name not in names:
            continue
        group = groups[id(names[name])]
        given = [other for other in group if other in tensors]
        if len({id(tensors[other]) for other in given}) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(given)}, which are tied. Consider using "
                "tie_weights=False"
            )
        for other in group - tensors.keys():
            tied[other] = tensors[name]
    return tied


def _check_names(module, tensors):
    """Raise RuntimeError unless the dictionary has exactly the names of the module."""
    names = _all_names(module)
    missing, unexpected = sorted(names.keys() - tensors.keys()), sorted(tensors.keys() - names.keys())
    if not missing and not unexpected:
        return
    parts = []
    if unexpected:
        parts.append("Unexpected key(s): " + ", ".join(map(repr, unexpected)) + ".")
    if missing:
        parts.append("Missing key(s): " + ", ".join(map(repr, missing)) + ".")
    raise RuntimeError("Error(s) in reparametrizing for {}:\n\t{}".format(module._get_name(), "\n\t".join(parts)))


@contextlib.contextmanager
def _replaced(module, tensors, tie_weights, strict):
    """Replace parameters and buffers for the length of a `with` block; buffers that change in it change in the
    dictionary.
    """
    if tie_weights:
        given = tensors
        tensors = _tied_names(module, tensors)
    if strict:
        _check_names(module, tensors)
    undo = []
    try:
        for name, tensor in tensors.items():
            undo.append((name, *_swap(module, name, tensor)))
        yield
    finally:
        for name, owner, key, old in reversed(undo):
            current = _put(owner, key, old)
            if not tie_weights or name in given:
                tensors[name] = current
        if tie_weights:
            given.update((name, tensors[name]) for name in given)


def _swap(module, name, tensor):
    """Put a tensor into the tree under a dotted name; returns (module, attribute, what was there)."""
    path, _, key = name.rpartition(".")
    owner = module.get_submodule(path)
    if not isinstance(tensor, rl.Tensor):
        raise TypeError(f"{tensor} is not an instance of torch.Tensor")
    return owner, key, _put(owner, key, tensor)


def _put(owner, key, tensor):
    """Make a tensor the parameter, buffer or attribute of a module without checks; returns what was there."""
    for registry in (owner._parameters, owner._buffers):
        if key in registry:
            old = registry[key]
            registry[key] = tensor
            owner.__dict__[key] = tensor
            return old
    old = getattr(owner, key, _ABSENT)
    if tensor is _ABSENT:
        delattr(owner, key)
    else:
        setattr(owner, key, tensor)
    return old
