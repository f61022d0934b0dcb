"""`fully_shard(module)`: the module stays what it is; its parameters become rows of theirs (see `unit.py`)."""
import dataclasses
from typing import Any

from ..device_mesh import DeviceMesh
from ..tensor import default_group, sharded
from .unit import Policy, Unit, share_order

__all__ = ["CPUOffloadPolicy", "FSDPModule", "MixedPrecisionPolicy", "OffloadPolicy", "UnshardHandle", "fully_shard",
           "register_fsdp_forward_method"]


@dataclasses.dataclass(frozen=True)
class MixedPrecisionPolicy:
    """param_dtype: of the gathered parameters and the computation; reduce_dtype: of the gradients' reduction (None:
    param_dtype); output_dtype: of the module's outputs; cast_forward_inputs: whether inputs become param_dtype.
    """

    param_dtype: Any = None
    reduce_dtype: Any = None
    output_dtype: Any = None
    cast_forward_inputs: bool = True


@dataclasses.dataclass
class OffloadPolicy:
    """Shards stay on their device."""


@dataclasses.dataclass
class CPUOffloadPolicy(OffloadPolicy):
    """Shards stay in the memory of the CPU, where they are in any case."""

    pin_memory: bool = True


class UnshardHandle:
    """A gather that was started by `unshard(async_op=True)`."""

    def __init__(self, unit):
        self._unit = unit

    def wait(self):
        """Make the parameters whole."""
        self._unit.unshard()


class FSDPModule:
    """The methods that `fully_shard` gives a module."""

    def _units(self, recurse=True):
        modules = self.modules() if recurse else [self]
        return [module._fsdp_unit for module in modules if "_fsdp_unit" in module.__dict__]

    def reshard(self):
        """Give the memory of this module's whole parameters back."""
        self._fsdp_unit.reshard()

    def unshard(self, async_op=False):
        """Make this module's parameters whole, at once or by `wait` of the UnshardHandle that is returned."""
        if async_op:
            self._fsdp_unit.start_gather()
            return UnshardHandle(self._fsdp_unit)
        self._fsdp_unit.unshard()
        return None

    def set_requires_gradient_sync(self, requires_gradient_sync, *, recurse=True):
        """Whether backward reduces gradients; if not, they add up whole on each rank."""
        for unit in self._units(recurse):
            unit.sync = requires_gradient_sync

    def set_reshard_after_forward(self, reshard_after_forward, recurse=True):
        """Whether parameters are given back between forward and backward."""
        for unit in self._units(recurse):
            unit.policy.reshard = unit.reshard_choice = reshard_after_forward

    def set_reshard_after_backward(self, reshard_after_backward, *, recurse=True):
        """Whether parameters are given back after backward."""
        for unit in self._units(recurse):
            unit.policy.shard_grads = reshard_after_backward


def _groups(mesh):
    """(group of the shards, group of the replicas or None) of a mesh of one dimension, or replicas x shards."""
    if mesh is None:
        return default_group(None), None
    if not isinstance(mesh, DeviceMesh) or mesh.ndim > 2:
        raise ValueError(f"fully_shard expects a 1D or 2D DeviceMesh but got {mesh}")
    if mesh.ndim == 1:
        return mesh.get_group(), None
    return mesh.get_group(1), mesh.get_group(0)


def attach(module, unit, convert):
    """Put the hooks of a unit on its module. convert(unit): the function that state dictionaries are made with."""
    module.__dict__["_fsdp_unit"] = unit
    module.register_forward_pre_hook(_enter, prepend=True, with_kwargs=True)
    module.register_forward_hook(_leave)
    module.register_state_dict_pre_hook(lambda m, prefix, keep_vars: unit.reshard())
    module._register_state_dict_hook(lambda m, state, prefix, metadata: unit.export(state, prefix, convert(unit)))
    module._register_load_state_dict_pre_hook(lambda state, prefix, *rest: unit.localize(state, prefix))


def _enter(module, args, kwargs):
    unit = module._fsdp_unit
    if unit.order.root is None:  # the first module called is the root of all that are inside
        units = [m._fsdp_unit for m in module.modules() if "_fsdp_unit" in m.__dict__]
        share_order(units, unit)
        if unit.reshard_choice is None:
            unit.policy.reshard = False
    return unit.before_forward(module, args, kwargs)


def _leave(module, args, output):
    unit = module._fsdp_unit
    output = unit.after_forward(module, args, output)
    if unit.order.root is unit:
        for other in unit.order.units:
            other.drop_gather()
    return output


def fully_shard(module, *, mesh=None, reshard_after_forward=None, shard_placement_fn=None, mp_policy=None,
                offload_policy=None, ignored_params=None, dp_mesh_dims=None):
    """Distribute the parameters of a module over ranks: each keeps some rows, gradients and optimizer state too.

    Call it on submodules first, then on the whole; each call makes one unit, whose parameters are gathered together
    before the module's forward and backward. Parameters become `ShardedParameter`s: make the optimizer afterwards.

    Args:
        module (Module, or a list of them that makes one unit): which keeps its type and names.
        mesh (DeviceMesh): of one dimension (None: all ranks), or replicas x shards.
        reshard_after_forward (bool): give the whole parameters back between forward and backward; None: all but those
            of the outermost module.
        mp_policy (MixedPrecisionPolicy); ignored_params (set of Parameter): these stay whole.

    Returns the module. Its class has the methods of FSDPModule as well.
    """
    if shard_placement_fn is not None:
        raise NotImplementedError("fully_shard: shard_placement_fn; parameters are cut along their first dimension")
    if isinstance(module, (list, tuple)):
        raise NotImplementedError("fully_shard: a list of modules as one unit; call it on a module that holds them")
    if "_fsdp_unit" in module.__dict__:
        raise AssertionError(f"Each distinct module can only be applied fully_shard once: {type(module).__name__}")
    policy = mp_policy or MixedPrecisionPolicy()
    group, replicas = _groups(mesh)
    reshard = True if reshard_after_forward is None else bool(reshard_after_forward)
    unit = Unit(module, group, replicas, Policy(policy.param_dtype, policy.reduce_dtype, policy.output_dtype,
                                                policy.cast_forward_inputs, reshard),
                {id(param) for param in ignored_params or ()})
    unit.reshard_choice = reshard_after_forward
    attach(module, unit, lambda unit: sharded)
    kind = type(module)
    module.__class__ = type(f"FSDP{kind.__name__}", (FSDPModule, kind), {"__module__": kind.__module__})
    return module


def register_fsdp_forward_method(module, method_name):
    """Let another method of a module gather and give back as `forward` does."""
    method = getattr(module, method_name)

    def call(*args, **kwargs):
        args, kwargs = _enter(module, args, kwargs)
        return _leave(module, args, method(*args, **kwargs))
    if isinstance(module, FSDPModule):
        setattr(module, method_name, call)
