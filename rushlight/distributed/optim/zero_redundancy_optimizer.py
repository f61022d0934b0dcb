"""`ZeroRedundancyOptimizer`: every rank keeps the optimizer's state for a part of the parameters only.

All ranks have all parameters and, through DistributedDataParallel, the same gradients. Each updates its own part; then
the owner of each part broadcasts it.
"""
from ... import api as rl
from ...optim import Optimizer
from .. import collectives, objects, world
from ..algorithms.join import Join, Joinable, JoinHook
from ..tensor import default_group

__all__ = ["ZeroRedundancyOptimizer"]
MESSAGE = 250 << 20  # bytes that are broadcast as one


class _ZeroJoinHook(JoinHook):
    """A rank without input goes on to update its part, with the gradients that it has."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def main_hook(self):
        self.optimizer.step()


class ZeroRedundancyOptimizer(Optimizer, Joinable):
    """An optimizer whose state is distributed over the ranks.

    Args:
        params: as for any optimizer, the same on every rank.
        optimizer_class: of the optimizer that updates a rank's own parameters.
        process_group: the ranks (None: all).
        parameters_as_bucket_view (bool): let the parameters of a rank lie in one buffer, which is broadcast without
            copies.
        defaults: the arguments of optimizer_class.
    """

    def __init__(self, params, optimizer_class, process_group=None, parameters_as_bucket_view=False,
                 overlap_with_ddp=False, **defaults):
        if overlap_with_ddp:
            raise NotImplementedError("ZeroRedundancyOptimizer: overlap_with_ddp")
        self.process_group, self._class, self._defaults = default_group(process_group), optimizer_class, defaults
        self.initialized, self._states = False, None
        Optimizer.__init__(self, params, dict(defaults))
        Joinable.__init__(self)
        self.initialized, self._as_view = True, parameters_as_bucket_view
        self._distribute()

    def _distribute(self):
        """Give each parameter to the rank that has the least so far, the largest first; make this rank's optimizer."""
        count, own = self.process_group.size(), self.process_group.rank()
        loads, owner = [0] * count, {}
        for group in self.param_groups:
            for param in sorted(group["params"], key=lambda p: p.numel(), reverse=True):
                rank = loads.index(min(loads))
                owner[id(param)] = rank
                loads[rank] += param.numel()
        self._owner = owner
        self._parts = [[] for _ in range(count)]
        local = []
        for group in self.param_groups:
            for param in group["params"]:
                self._parts[owner[id(param)]].append(param)
            local.append({**group, "params": [p for p in group["params"] if owner[id(p)] == own]})
        before = self.optim.state if hasattr(self, "optim") else {}
        self.optim = self._class(local, **self._defaults)
        for param, state in before.items():
            if owner[id(param)] == own:
                self.optim.state[param] = state
        self._complete_groups()
        self._buckets = [_buckets(part) if self._as_view else None for part in self._parts]

    def _complete_groups(self):
        """Take over what the local optimizer has as defaults, for schedulers and checkpoints."""
        for group, local in zip(self.param_groups, self.optim.param_groups, strict=True):
            for key, value in local.items():
                if key != "params":
                    group.setdefault(key, value)

    def _sync_groups(self, to_local):
        for group, local in zip(self.param_groups, self.optim.param_groups, strict=True):
            source, target = (group, local) if to_local else (local, group)
            target.update({key: value for key, value in source.items() if key != "params"})

    def add_param_group(self, param_group):
        """Add parameters, which are distributed anew over the ranks."""
        super().add_param_group(param_group)
        if self.initialized:
            self._distribute()

    def step(self, closure=None, **kwargs):
        """Update this rank's parameters, and take over the others' from their owners. Returns what closure returns."""
        Join.notify_join_context(self)
        self._sync_groups(to_local=True)
        loss = self.optim.step(closure, **kwargs) if closure is not None else self.optim.step(**kwargs)
        self._sync_groups(to_local=False)
        for rank, part in enumerate(self._parts):
            tensors = self._buckets[rank] if self._as_view else [param.detach() for param in part]
            if tensors:
                collectives._broadcast_coalesced(self.process_group, tensors, MESSAGE, rank)
        return loss

    def consolidate_state_dict(self, to=0):
        """Collect the whole state on rank `to`, where `state_dict` gives it then. All ranks call it."""
        self._sync_groups(to_local=True)
        names = {id(param): number for number, param in enumerate(self._params())}
        own = {names[id(param)]: state for param, state in self.optim.state.items()}
        first = world.get_rank(self.process_group) == to
        states = [None] * self.process_group.size() if first else None
        objects.gather_object(own, states, group=self.process_group, group_dst=to)
        self._states = states

    def _params(self):
        return [param for group in self.param_groups for param in group["params"]]

    def state_dict(self):
        """The whole state, as of an optimizer of one process. RuntimeError unless `consolidate_state_dict` was called
        for this rank.
        """
        if self._states is None:
            raise RuntimeError("Optimizer state has not been consolidated on this rank. Please call "
                               f"`consolidate_state_dict(to={world.get_rank(self.process_group)})` on all ranks "
                               "beforehand if you meant to save the global state.")
        found = super().state_dict()
        found["state"] = {number: state for part in self._states for number, state in part.items()}
        return found

    def load_state_dict(self, state_dict):
        """Load a whole state; this rank keeps its part of it."""
        own, params = self.process_group.rank(), self._params()
        groups, mine = state_dict["param_groups"], {}
        numbers = [number for group in groups for number in group["params"]]
        if len(numbers) != len(params):
            raise ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's "
                             "group")
        local = {id(param): at for at, param in enumerate(p for g in self.optim.param_groups for p in g["params"])}
        for number, param in zip(numbers, params, strict=True):
            if self._owner[id(param)] == own and number in state_dict["state"]:
                mine[local[id(param)]] = state_dict["state"][number]
        kept, at = [], 0
        for group, part in zip(groups, self.optim.param_groups, strict=True):
            kept.append({**group, "params": list(range(at, at + len(part["params"])))})
            at += len(part["params"])
        self.optim.load_state_dict({"state": mine, "param_groups": kept})
        self._sync_groups(to_local=False)

    def join_hook(self, **kwargs):
        """What this optimizer does on a rank without input, within a Join context."""
        return _ZeroJoinHook(self)

    @property
    def join_device(self):
        """The device of the collectives of a Join context."""
        return rl.device("cpu")

    @property
    def join_process_group(self):
        """The group of the collectives of a Join context."""
        return self.process_group


def _buckets(params):
    """Move parameters into one buffer for each dtype; returns the buffers."""
    found = []
    with rl.no_grad():
        for dtype in dict.fromkeys(param.dtype for param in params):
            alike = [param for param in params if param.dtype is dtype]
            flat = rl.cat([param.detach().reshape(-1) for param in alike])
            for param, part in zip(alike, flat.split([param.numel() for param in alike]), strict=True):
                param.data = part.view(param.shape)
            found.append(flat)
    return found
