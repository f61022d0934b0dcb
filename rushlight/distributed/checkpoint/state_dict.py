"""States of models and optimizers with the same names whatever is around the model: for `save` and `load`."""
import contextlib
import dataclasses

from ... import api as rl
from .. import collectives, objects, world
from ..fsdp import FullyShardedDataParallel, StateDictType, optimizer_state

__all__ = ["StateDictOptions", "get_model_state_dict", "get_optimizer_state_dict", "get_state_dict",
           "set_model_state_dict", "set_optimizer_state_dict", "set_state_dict"]
WRAPPERS = ("module.", "_orig_mod.", "_fsdp_wrapped_module.")


@dataclasses.dataclass
class StateDictOptions:
    """full_state_dict: whole tensors; with cpu_offload only on rank 0. ignore_frozen_params: leave those out.
    strict: of `load_state_dict`. broadcast_from_rank0: only rank 0 has the (full) state that is set.
    """

    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    keep_submodule_prefixes: bool = True
    strict: bool = True
    broadcast_from_rank0: bool = False
    flatten_optimizer_state_dict: bool = False


def _checked(options, submodules=None):
    options = options or StateDictOptions()
    if submodules is not None:
        raise NotImplementedError("checkpoint.state_dict: submodules")
    if options.flatten_optimizer_state_dict:
        raise NotImplementedError("checkpoint.state_dict: flatten_optimizer_state_dict")
    if options.broadcast_from_rank0 and not options.full_state_dict:
        raise ValueError("full_state_dict must be True when broadcast_from_rank0 is True.")
    return options


def _prefixes(model):
    """{name as the modules have it: name without wrappers} of parameters and buffers."""
    found = {}

    def visit(module, real, clean):
        for name in (*module._parameters, *module._buffers):
            found[real + name] = clean + name
        children = list(module._modules.items())
        for name, child in children:
            if child is not None:
                wrapper = f"{name}." in WRAPPERS and len(children) == 1
                visit(child, f"{real}{name}.", clean if wrapper else f"{clean}{name}.")
    visit(model, "", "")
    return found


@contextlib.contextmanager
def _kind(model, full):
    if not FullyShardedDataParallel.fsdp_modules(model):
        yield
        return
    kind = StateDictType.FULL_STATE_DICT if full else StateDictType.SHARDED_STATE_DICT
    with FullyShardedDataParallel.state_dict_type(model, kind):
        yield


def _clean(model):
    """{name in `state_dict()`: name without wrappers}."""
    names = _prefixes(model)
    return {**names, **{real.replace("_fsdp_wrapped_module.", ""): clean for real, clean in names.items()}}


def _named_parameters(model):
    names = _clean(model)
    return [(names[name], param) for name, param in model.named_parameters()]


def get_model_state_dict(model, *, submodules=None, options=None):
    """The model's state, with names as if nothing was around it."""
    options = _checked(options, submodules)
    names = _clean(model)
    with _kind(model, options.full_state_dict):
        state = model.state_dict()
    frozen = {names[name] for name, param in model.named_parameters() if not param.requires_grad}
    found = {}
    for name, value in state.items():
        if options.full_state_dict and hasattr(value, "_shard"):
            value = value.full_tensor()
        if not (options.ignore_frozen_params and names.get(name, name) in frozen):
            found[names.get(name, name)] = value
    return {} if _elsewhere(options) else found


def _elsewhere(options):
    return options.full_state_dict and options.cpu_offload and world.is_initialized() and world.get_rank() > 0


def _initialize(optimizer):
    """Give an optimizer that has made no step the state of one step that changes nothing."""
    if optimizer.state:
        return
    params = [param for group in optimizer.param_groups for param in group["params"] if param.requires_grad]
    if any(param.grad is not None for param in params):
        raise RuntimeError("the state of an optimizer cannot be made while its parameters have gradients; save and "
                           "load before backward, or after a step")
    rates = [group.get("lr") for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        if "lr" in group:
            group["lr"] = rl.tensor(0.0) if isinstance(group["lr"], rl.Tensor) else 0.0
    for param in params:
        param.grad = rl.zeros_like(param)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if rate is not None:
            group["lr"] = rate


def get_optimizer_state_dict(model, optimizers, *, submodules=None, options=None):
    """The state of an optimizer or of several, with names of parameters as keys."""
    options = _checked(options, submodules)
    found = {"state": {}, "param_groups": []}
    for optimizer in optimizers if isinstance(optimizers, (list, tuple)) else (optimizers,):
        _initialize(optimizer)
        part = optimizer_state.export(_named_parameters(model), optimizer, options.full_state_dict)
        found["state"].update(part["state"])
        found["param_groups"] += part["param_groups"]
    return {} if _elsewhere(options) else found


def get_state_dict(model, optimizers, *, submodules=None, options=None):
    """(the model's state, the optimizers' state)."""
    return (get_model_state_dict(model, submodules=submodules, options=options),
            get_optimizer_state_dict(model, optimizers, submodules=submodules, options=options))


def _shared(state, options):
    """The state of rank 0 on all ranks, if only that has it."""
    if not options.broadcast_from_rank0:
        return state
    box = [_outline(state)]
    objects.broadcast_object_list(box, src=0)
    return _received(box[0], state, world.get_rank() == 0)


class _Outline:
    """Stands for a tensor that follows."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, dtype


def _outline(value):
    if isinstance(value, rl.Tensor) and value.dim():
        return _Outline(tuple(value.shape), value.dtype)
    if isinstance(value, dict):
        return {key: _outline(item) for key, item in value.items()}
    return [_outline(item) for item in value] if isinstance(value, list) else value


def _received(outline, value, has):
    if isinstance(outline, _Outline):
        tensor = value.detach() if has else rl.empty(outline.shape, dtype=outline.dtype)
        collectives.broadcast(tensor, 0)
        return tensor
    if isinstance(outline, dict):
        return {key: _received(item, value[key] if has else None, has) for key, item in outline.items()}
    if isinstance(outline, list):
        return [_received(item, value[i] if has else None, has) for i, item in enumerate(outline)]
    return outline


def set_model_state_dict(model, model_state_dict, *, options=None):
    """Load what `get_model_state_dict` gives; returns the missing and unexpected keys."""
    options = _checked(options)
    state, names = _shared(model_state_dict, options), {}
    for real, clean in _clean(model).items():
        names.setdefault(clean, real)
    if FullyShardedDataParallel.fsdp_modules(model):
        names = {clean: real.replace("_fsdp_wrapped_module.", "") for clean, real in names.items()}
    return model.load_state_dict({names.get(name, name): value for name, value in state.items()}, options.strict)


def set_optimizer_state_dict(model, optimizers, optim_state_dict, *, options=None):
    """Load what `get_optimizer_state_dict` gives into the same optimizers."""
    options = _checked(options)
    state, at = _shared(optim_state_dict, options), 0
    for optimizer in optimizers if isinstance(optimizers, (list, tuple)) else (optimizers,):
        groups = state["param_groups"][at:at + len(optimizer.param_groups)]
        at += len(groups)
        own = {name for group in groups for name in group["params"]}
        part = {"state": {name: row for name, row in state["state"].items() if name in own}, "param_groups": groups}
        optimizer.load_state_dict(optimizer_state.localize(_named_parameters(model), optimizer, part))


def set_state_dict(model, optimizers, *, model_state_dict, optim_state_dict, options=None):
    """Load the states of a model and its optimizers; returns the model's missing and unexpected keys."""
    found = set_model_state_dict(model, model_state_dict, options=options)
    set_optimizer_state_dict(model, optimizers, optim_state_dict, options=options)
    return found
