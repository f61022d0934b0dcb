"""`FullyShardedDataParallel`: a module around another, whose parameters are distributed (see `unit.py`).

Parameters keep their names and number of dimensions, as with PyTorch's `use_orig_params=True`, whatever that says: each
rank has some rows of every parameter. `NO_SHARD` is DistributedDataParallel's part.
"""
import contextlib

from ... import api as rl
from ...nn.modules.module import Module
from ...nn.utils import clip_grad
from .. import collectives, world
from ..device_mesh import DeviceMesh
from ..tensor import default_group, sharded
from . import api, optimizer_state, wrap
from .fully_shard import attach
from .unit import Policy, Unit, cast

__all__ = ["FullyShardedDataParallel"]
PREFIX = "_fsdp_wrapped_module."
HYBRID = (api.ShardingStrategy.HYBRID_SHARD, api.ShardingStrategy._HYBRID_SHARD_ZERO2)
WHOLE_BETWEEN = (api.ShardingStrategy.SHARD_GRAD_OP, api.ShardingStrategy._HYBRID_SHARD_ZERO2)
FULL = api.StateDictType.FULL_STATE_DICT


def _groups(process_group, strategy, mesh):
    """(group of the shards, group of the replicas or None)."""
    if isinstance(mesh, DeviceMesh):
        return (mesh.get_group(1), mesh.get_group(0)) if mesh.ndim == 2 else (mesh.get_group(), None)
    if strategy not in HYBRID:
        return default_group(process_group), None
    if not isinstance(process_group, tuple):
        raise ValueError("FullyShardedDataParallel: HYBRID_SHARD needs process_group=(shards, replicas) or a 2D "
                         "device_mesh")
    return default_group(process_group[0]), default_group(process_group[1])


class FullyShardedDataParallel(Module):
    """Distributes the parameters, gradients and optimizer state of a module over ranks.

    Args:
        module (Module); process_group: None for all, or (group of shards, group of replicas) for HYBRID_SHARD.
        sharding_strategy (ShardingStrategy): FULL_SHARD by default.
        auto_wrap_policy: which submodules are units of their own (see `fsdp.wrap`); None: those that are wrapped
            already.
        mixed_precision (MixedPrecision); ignored_modules (iterable of Module): these stay whole on every rank.
        sync_module_states (bool): parameters and buffers start as those of rank 0.
        param_init_fn: called with modules that are on device "meta", to give them values.
        device_mesh (DeviceMesh): in place of process_group.
        cpu_offload, backward_prefetch, forward_prefetch, limit_all_gathers, use_orig_params, device_id: accepted; there
            is one way on the CPU.
    """

    def __init__(self, module, process_group=None, sharding_strategy=None, cpu_offload=None, auto_wrap_policy=None,
                 backward_prefetch=api.BackwardPrefetch.BACKWARD_PRE, mixed_precision=None, ignored_modules=None,
                 param_init_fn=None, device_id=None, sync_module_states=False, forward_prefetch=False,
                 limit_all_gathers=True, use_orig_params=False, ignored_states=None, device_mesh=None):
        super().__init__()
        strategy = sharding_strategy or api.ShardingStrategy.FULL_SHARD
        if strategy is api.ShardingStrategy.NO_SHARD:
            raise NotImplementedError("FullyShardedDataParallel: NO_SHARD; use DistributedDataParallel")
        ignored = _ignored(ignored_modules, ignored_states)
        group, replicas = _groups(process_group, strategy, device_mesh)
        if param_init_fn is not None:
            _materialize(module, param_init_fn)
        if sync_module_states:
            values = [t.detach() for t in (*module.parameters(), *module.buffers()) if not hasattr(t, "_shard")]
            for part in (group, replicas):
                if part is not None and values:
                    collectives._broadcast_coalesced(part, values, 250 << 20)
        options = dict(process_group=process_group, sharding_strategy=strategy, mixed_precision=mixed_precision,
                       ignored_states=[param for param in module.parameters() if id(param) in ignored],
                       device_mesh=device_mesh)
        if auto_wrap_policy is not None:
            wrap.wrap_children(module, auto_wrap_policy, lambda child, more: FullyShardedDataParallel(
                child, **{**options, **more}), ignored)
        self._fsdp_wrapped_module, self.process_group, self.sharding_strategy = module, group, strategy
        self.mixed_precision, self.training = mixed_precision or api.MixedPrecision(), module.training
        self._state_dict_type, self._state_config = FULL, api.FullStateDictConfig()
        self._optim_config = api.FullOptimStateDictConfig()
        self._attach(replicas, ignored)

    def _attach(self, replicas, ignored):
        precision, whole_between = self.mixed_precision, self.sharding_strategy in WHOLE_BETWEEN
        if precision.buffer_dtype is not None:
            for buffer in self.buffers():
                if buffer.is_floating_point():
                    buffer.data = buffer.data.to(precision.buffer_dtype)
        unit = Unit(self._fsdp_wrapped_module, self.process_group, replicas,
                    Policy(precision.param_dtype, precision.reduce_dtype, None, precision.cast_forward_inputs,
                           not whole_between), ignored)
        unit.reshard_choice = not whole_between
        self._register_state_dict_hook(_strip)
        attach(self, unit, self._converter)
        self._register_load_state_dict_pre_hook(_restore)
        self._register_state_dict_hook(_only_first)

    def _converter(self, unit):
        if self._state_dict_type is not FULL:
            return sharded
        return lambda shard, rows: rows.gather(shard)

    @property
    def module(self):
        """The module within."""
        return self._fsdp_wrapped_module

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == PREFIX[:-1]:
                raise
            return getattr(self._fsdp_wrapped_module, name)

    def __getitem__(self, key):
        return self._fsdp_wrapped_module[key]

    def forward(self, *args, **kwargs):
        """The module's output."""
        precision = self.mixed_precision
        root = self._fsdp_unit.order.root is self._fsdp_unit
        if root and precision.param_dtype is not None and precision.cast_root_forward_inputs:
            args, kwargs = cast((args, kwargs), precision.param_dtype)
        return self._fsdp_wrapped_module(*args, **kwargs)

    def named_parameters(self, *args, **kwargs):
        """As of any module, with the names that the parameters have without FSDP."""
        for name, param in super().named_parameters(*args, **kwargs):
            yield name.replace(PREFIX, ""), param

    def named_buffers(self, *args, **kwargs):
        """As of any module, with the names that the buffers have without FSDP."""
        for name, buffer in super().named_buffers(*args, **kwargs):
            yield name.replace(PREFIX, ""), buffer

    @contextlib.contextmanager
    def no_sync(self):
        """Within it, gradients add up whole on each rank; the first backward after it reduces the sums."""
        units = [module._fsdp_unit for module in self.fsdp_modules(self)]
        before = [unit.sync for unit in units]
        for unit in units:
            unit.sync = False
        try:
            yield
        finally:
            for unit, sync in zip(units, before, strict=True):
                unit.sync = sync

    def clip_grad_norm_(self, max_norm, norm_type=2.0):
        """Scale all gradients down to a norm over all ranks of at most max_norm; returns the norm before."""
        return clip_grad.clip_grad_norm_(list(self.parameters()), max_norm, norm_type)

    @staticmethod
    def fsdp_modules(module, root_only=False):
        """The FSDP modules within a module, itself too; root_only: only those that are within no other."""
        found = [m for m in module.modules() if isinstance(m, FullyShardedDataParallel)]
        inner = {id(m) for outer in found for m in outer.modules() if m is not outer}
        return [m for m in found if id(m) not in inner] if root_only else found

    @staticmethod
    @contextlib.contextmanager
    def summon_full_params(module, recurse=True, writeback=True, rank0_only=False, offload_to_cpu=False,
                           with_grads=False):
        """Within it parameters are whole; writeback: what is changed in them stays changed."""
        if rank0_only or with_grads:
            raise NotImplementedError("FullyShardedDataParallel.summon_full_params: rank0_only, with_grads")
        modules = FullyShardedDataParallel.fsdp_modules(module) if recurse else [module]
        for each in modules:
            each._fsdp_unit.unshard()
        try:
            yield
        finally:
            for each in modules:
                _write_back(each._fsdp_unit, writeback)

    @staticmethod
    def set_state_dict_type(module, state_dict_type, state_dict_config=None, optim_state_dict_config=None):
        """Choose what `state_dict` gives; returns the settings before."""
        modules, before = FullyShardedDataParallel.fsdp_modules(module), None
        names = {FULL: "Full", api.StateDictType.LOCAL_STATE_DICT: "Local",
                 api.StateDictType.SHARDED_STATE_DICT: "Sharded"}
        name = names[state_dict_type]
        for each in modules:
            before = before or api.StateDictSettings(each._state_dict_type, each._state_config, each._optim_config)
            each._state_dict_type = state_dict_type
            each._state_config = state_dict_config or getattr(api, f"{name}StateDictConfig")()
            each._optim_config = optim_state_dict_config or getattr(api, f"{name}OptimStateDictConfig")()
        return before

    @staticmethod
    @contextlib.contextmanager
    def state_dict_type(module, state_dict_type, state_dict_config=None, optim_state_dict_config=None):
        """Within it `state_dict` gives another kind."""
        before = FullyShardedDataParallel.set_state_dict_type(module, state_dict_type, state_dict_config,
                                                              optim_state_dict_config)
        try:
            yield
        finally:
            if before is not None:
                FullyShardedDataParallel.set_state_dict_type(module, before.state_dict_type, before.state_dict_config,
                                                             before.optim_state_dict_config)

    @staticmethod
    def get_state_dict_type(module):
        """What `set_state_dict_type` has set."""
        first = FullyShardedDataParallel.fsdp_modules(module)[0]
        return api.StateDictSettings(first._state_dict_type, first._state_config, first._optim_config)

    @staticmethod
    def optim_state_dict(model, optim, optim_state_dict=None, group=None):
        """The optimizer's state with names of parameters as keys, whole or this rank's rows, as
        `set_state_dict_type` says. All ranks call it.
        """
        settings = FullyShardedDataParallel.get_state_dict_type(model)
        full = settings.state_dict_type is FULL
        found = optimizer_state.export(model.named_parameters(), optim, full, optim_state_dict)
        only_first = full and settings.optim_state_dict_config.rank0_only
        return {} if only_first and world.get_rank(group) else found

    @staticmethod
    def optim_state_dict_to_load(model, optim, optim_state_dict, is_named_optimizer=False, load_directly=False,
                                 group=None):
        """From what `optim_state_dict` has given, a dictionary for `optim.load_state_dict`."""
        found = optimizer_state.localize(model.named_parameters(), optim, optim_state_dict)
        if load_directly:
            optim.load_state_dict(found)
        return found


def _ignored(modules, states):
    found = {id(param) for module in modules or () for param in module.parameters()}
    for state in states or ():
        found |= {id(p) for p in state.parameters()} if isinstance(state, Module) else {id(state)}
    return found


def _materialize(module, initialize):
    for each in module.modules():
        own = [*each._parameters.values(), *each._buffers.values()]
        if any(tensor is not None and tensor.device.type == "meta" for tensor in own):
            initialize(each)


def _strip(module, state, prefix, metadata):
    """State hook: names without the wrapper."""
    for key in [key for key in state if key.startswith(prefix + PREFIX)]:
        state[prefix + key[len(prefix) + len(PREFIX):]] = state.pop(key)


def _only_first(module, state, prefix, metadata):
    """State hook: with rank0_only, the other ranks keep no entry of this module."""
    if module._state_dict_type is FULL and module._state_config.rank0_only and world.get_rank():
        for key in [key for key in state if key.startswith(prefix)]:
            del state[key]


def _restore(state, prefix, *rest):
    """Loading hook: names with the wrapper."""
    for key in [key for key in state if key.startswith(prefix)]:
        state[prefix + PREFIX + key[len(prefix):]] = state.pop(key)


def _write_back(unit, writeback):
    if writeback and unit.is_whole:
        with rl.no_grad():
            for entry in unit.entries:
                entry.shard.copy_(entry.rows.of(entry.whole.detach()))
    unit.reshard()
