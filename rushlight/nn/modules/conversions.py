"""How a module enters converted parameters and buffers: what `torch.__future__` sets, and the swap of two tensors."""

from ... import api as rl


class OPTIONS:
    """`overwrite`: converted parameters are new objects. `swap`: contents are exchanged."""

    overwrite = swap = False


STATE = ("_storage", "_layout", "_offset", "_rg", "_grad_fn", "_nr", "_base", "_grad", "_versions", "_hooks",
         "_view_version", "_creation", "_retain", "_accumulate", "__dict__")


def swap_tensors(t1, t2):
    """Exchange two tensors: every reference to the one is then to the other. RuntimeError where a graph refers to one
    of them, as for leaves that a backward pass will reach."""
    for t in (t1, t2):
        if t._accumulate is not None and t._accumulate() is not None:
            raise RuntimeError("AccumulateGrad node that was poisoned by swap_tensors: a graph refers to the tensor")
    first, second = [getattr(t1, name) for name in STATE], [getattr(t2, name) for name in STATE]
    for tensor, values in ((t1, second), (t2, first)):
        for name, value in zip(STATE, values):
            setattr(tensor, name, value)
    kinds = type(t1), type(t2)
    if kinds[0] is not kinds[1]:
        t1.__class__, t2.__class__ = kinds[1], kinds[0]


def enter_parameter(module, key, param, converted):
    """Make `converted` (made from `param` without a graph) the parameter of that name; the parameter."""
    if OPTIONS.swap and type(param) is not rl.Tensor:
        grad, param.grad = param.grad, None
        made = type(param)(converted, param.requires_grad) if not isinstance(converted, type(param)) else converted
        swap_tensors(param, made)
        param.grad = grad
        return param
    if OPTIONS.overwrite:
        made = type(param)(converted, param.requires_grad)
        made.grad = param.grad
        module._parameters[key] = made
        return made
    param.data = converted
    return param
