"""Modules as functions of their parameters: `functional_call`, `stack_module_state`; and `functionalize`."""

import functools

from .. import api
from ..nn.modules.batchnorm import _BatchNorm
from ..nn.utils import stateless


def functional_call(module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """module(*args, **kwargs), with the parameters and buffers of a dictionary (or several) in the place of its own.

    Args:
        parameter_and_buffer_dicts: a dictionary from names to tensors, or a tuple of them.
        args: a tuple of arguments, or the only one. kwargs: a dictionary of keyword arguments.
        tie_weights: tensors that the module has under several names are replaced under all of them.
        strict: RuntimeError unless there is a tensor for every name.

    Raises:
        ValueError: a name is in two dictionaries.

    Example::

        import torch.func
        model = torch.nn.Linear(3, 1)
        zeros = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
        assert torch.func.functional_call(model, zeros, torch.ones(3)).item() == 0.0
    """
    return stateless._functional_call(module, parameter_and_buffer_dicts, args, kwargs, tie_weights=tie_weights,
                                      strict=strict)


def stack_module_state(models):
    """(parameters, buffers) of several modules of one structure: dictionaries of tensors with the modules counted by
    the first dimension, for `vmap` over `functional_call`.

    Parameters are leaves that require gradients where the modules' do.

    Raises:
        RuntimeError: there are no modules, they are of several classes, or some train and others do not.

    Example::

        import torch.func
        models = [torch.nn.Linear(3, 2) for _ in range(4)]
        parameters, buffers = torch.func.stack_module_state(models)
        assert parameters["weight"].shape == (4, 2, 3)
    """
    if len(models) == 0:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all([m.training for m in models]) or not any([m.training for m in models])):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any([type(m) is not type(models[0]) for m in models]):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    params = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    stacked = {}
    for name, first in params[0].items():
        parts = [p[name] for p in params]
        if any([p.requires_grad is not first.requires_grad for p in parts]):
            raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
        stacked[name] = api.stack([p.detach() for p in parts]).requires_grad_(first.requires_grad)
    return stacked, {name: api.stack([b[name] for b in buffers]) for name in buffers[0]}


def replace_all_batch_norm_modules_(root):
    """Have all batch normalisations of a module forget their running statistics, which `vmap` cannot write: they
    normalise by the batch, also in evaluation. Changes the module, and returns it."""
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def functionalize(func, *, remove="mutations"):
    """The function, with writes to intermediate tensors hidden. Here it is the function itself: its results are the
    same, and what records it (fx) sees its calls as they are.

    Raises:
        RuntimeError: `remove` is neither "mutations" nor "mutations_and_views".
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(f"functionalize: remove should be 'mutations' or 'mutations_and_views', got {remove!r}")

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        return func(*args, **kwargs)
    return wrapper
