"""The engine of both FSDPs: parameters of which every rank keeps some rows, and which are whole while they are used.

Note [Units]
A unit is the parameters of a module that are gathered together. Each is cut into rows (`tensor.Rows`); the rank's rows
of all of them lie in one buffer, `local`, and `shards` are parameters over parts of it: these the optimizer sees.
`wholes` are the parameters that the module computes with. Between uses their storages have no memory.

    before forward      gather: the buffers of all ranks fill the storages of the wholes
    after forward       the storages are emptied
    before backward     (a hook on the output's gradient) they are filled again
    after backward      (when the last gradient is there) gradients are reduced and scattered, storages are emptied

Filling writes memory and is no operator, so what autograd has saved stays valid. Before storages are emptied, the
stream is flushed: instructions that read them may be pending. Gathers of the unit that comes next, and the reduction of
gradients, run on the thread of the group meanwhile.
"""
from ... import api as rl
from ...autograd import engine
from ...cpu import synchronize
from ...nn.parameter import Parameter
from .. import collectives
from ..group import data_of
from ..tensor import Rows, sharded, sharded_parameter


class Entry:
    """A parameter of a unit. places: (module, name) wherever it is; names: from the unit's module on."""

    def __init__(self, param, group):
        self.rows, self.requires_grad, self.dtype = Rows(group, param.shape), param.requires_grad, param.dtype
        self.places, self.names = [], []
        self.shard = self.whole = None

    def install(self, param):
        """Let the modules compute with a parameter."""
        for module, name in self.places:
            setattr(module, name, param)


def entries_of(module, ignored, group):
    """The Entries of a module's parameters that no unit inside it has taken, by the parameter's id."""
    found = {}
    for prefix, owner in module.named_modules():
        for name, param in owner._parameters.items():
            if param is None or id(param) in ignored or hasattr(param, "_shard"):
                continue
            entry = found.setdefault(id(param), (param, Entry(param, group)))[1]
            entry.places.append((owner, name))
            entry.names.append(f"{prefix}.{name}" if prefix else name)
    return list(found.values())


class Policy:
    """What a unit does besides: dtypes, and when memory is given back."""

    def __init__(self, param_dtype=None, reduce_dtype=None, output_dtype=None, cast_inputs=True, reshard=True,
                 shard_grads=True):
        self.param_dtype, self.reduce_dtype, self.output_dtype = param_dtype, reduce_dtype, output_dtype
        self.cast_inputs, self.reshard, self.shard_grads = cast_inputs, reshard, shard_grads


class Order:
    """The units of a model in the order of their forward passes, which tells what to gather ahead."""

    def __init__(self, root=None):
        self.root, self.units, self.callback_queued, self.reducing = root, [], False, []

    def neighbour(self, unit, step):
        """The unit that is used next (step 1: in forward, -1: in backward), or None."""
        at = self.units.index(unit) + step if unit in self.units else -1
        return self.units[at] if 0 <= at < len(self.units) else None


class Unit:
    """The parameters of a module that are gathered together. See Note [Units].

    Args: module; group: of the ranks among which rows are distributed; replicas: None, or the group of the ranks that
    hold the same rows; policy (Policy); ignored: ids of parameters to leave alone.
    """

    def __init__(self, module, group, replicas, policy, ignored=()):
        self.group, self.replicas, self.policy = group, replicas, policy
        self.sync, self.is_whole, self.order, self.gathering = True, False, Order(), None
        pairs = entries_of(module, ignored, group)
        self.entries = [entry for _, entry in pairs]
        dtypes = {entry.dtype for entry in self.entries}
        if len(dtypes) > 1:
            raise ValueError(f"FSDP expects uniform original parameter dtype in one unit but got {dtypes}")
        self.local, self.pending = None, set()
        if pairs:
            self._shard([param for param, _ in pairs])

    def _shard(self, params):
        """Copy this rank's rows out of the parameters, and put shards in their places."""
        dtype = self.policy.param_dtype or params[0].dtype
        self.local = rl.zeros(sum(entry.rows.padded for entry in self.entries), dtype=params[0].dtype)
        at = 0
        with rl.no_grad():
            for param, entry in zip(params, self.entries, strict=True):
                part = entry.rows.of(param.detach())
                view = self.local[at:at + part.numel()].view(entry.rows.local_shape)
                view.copy_(part)
                entry.shard = sharded_parameter(view, entry.rows, entry.requires_grad)
                entry.whole = Parameter(rl.empty(param.shape, dtype=dtype), entry.requires_grad)
                entry.whole.untyped_storage().resize_(0)
                if entry.requires_grad:
                    entry.whole.register_post_accumulate_grad_hook(self._arrived)
                entry.install(entry.shard)
                at += entry.rows.padded

    # --- whole and sharded ---

    def start_gather(self):
        """Begin to gather the parameters, unless they are whole or on their way."""
        if self.is_whole or self.gathering is not None or not self.entries:
            return
        local = self.local if self.policy.param_dtype is None else self.local.to(self.policy.param_dtype)
        everything = local.new_empty(self.group.size() * local.numel())
        work = collectives.all_gather_into_tensor(everything, local, self.group, async_op=True)
        self.gathering = (work, everything)

    def unshard(self):
        """Make the parameters whole, and let the module compute with them."""
        if self.is_whole or not self.entries:
            return
        self.start_gather()
        (work, everything), self.gathering = self.gathering, None
        work.wait()
        ranks = data_of(everything).reshape(self.group.size(), -1)
        at, item = 0, everything.element_size()
        for entry in self.entries:
            size, whole = entry.rows.padded * item, entry.whole
            nbytes = whole.numel() * item
            whole.untyped_storage().resize_(nbytes)
            # A rank's rows of one parameter are neighbours in its buffer; those of two ranks are not.
            memory, full = data_of(whole), nbytes // size if size else 0  # full: ranks that have all of their rows
            memory[:full * size].reshape(full, size)[:] = ranks[:full, at:at + size]
            if full * size < nbytes:
                memory[full * size:] = ranks[full, at:at + nbytes - full * size]
            at += size
            entry.install(whole)
        self.is_whole = True

    def reshard(self):
        """Give the memory of the whole parameters back."""
        if not self.is_whole:
            return
        synchronize()
        for entry in self.entries:
            entry.whole.untyped_storage().resize_(0)
            entry.install(entry.shard)
        self.is_whole = False

    # --- forward ---

    def before_forward(self, module, args, kwargs):
        """Forward pre-hook: gather, and begin to gather what comes next."""
        if self not in self.order.units:
            self.order.units.append(self)
        self.unshard()
        following = self.order.neighbour(self, 1)
        if following is not None and not self.order.callback_queued:  # a recomputation in backward gathers nothing more
            following.start_gather()
        if self.policy.param_dtype is not None and self.policy.cast_inputs:
            return cast((args, kwargs), self.policy.param_dtype)
        return args, kwargs

    def after_forward(self, module, args, output):
        """Forward hook: give memory back, and watch for the gradient of the output."""
        if rl.is_grad_enabled():
            for tensor in tensors_in(output):
                if tensor.requires_grad:
                    tensor.register_hook(self._before_backward)
        if self.policy.output_dtype is not None:
            output = cast(output, self.policy.output_dtype)
        if not self.pending and (self.policy.reshard or not rl.is_grad_enabled()):
            self.reshard()
        return output

    def drop_gather(self):
        """Forget what was gathered ahead and has not been used; the parameters may change before they are."""
        if self.gathering is not None:
            self.gathering[0].wait()
            self.gathering = None

    # --- backward ---

    def _before_backward(self, grad):
        if not self.order.callback_queued:
            self.order.callback_queued = True
            engine.queue_callback(self._end_of_backward)
        self.unshard()
        self.pending = {id(entry.whole) for entry in self.entries if entry.requires_grad}
        following = self.order.neighbour(self, -1)
        if following is not None:
            following.start_gather()

    def _arrived(self, param):
        self.pending.discard(id(param))
        if not self.pending:
            self._after_backward()

    def _after_backward(self):
        """Reduce and scatter the gradients that are there; give memory back."""
        self.pending = set()
        if self.sync:
            while len(self.order.reducing) > 1:  # gradients of two units at most are in memory whole
                self.order.reducing.pop(0)()
            self._start_reduce()
        if self.policy.shard_grads:
            self.reshard()

    def _start_reduce(self):
        used = [entry for entry in self.entries if entry.requires_grad]
        if all(entry.whole.grad is None for entry in used):
            return
        count, dtype = self.group.size(), self.policy.reduce_dtype or used[0].whole.dtype
        with rl.no_grad():
            stacked = rl.zeros(count, sum(entry.rows.padded for entry in used), dtype=dtype)
            at = 0
            for entry in used:
                grad, size = entry.whole.grad, entry.rows.padded
                if grad is not None:
                    stretch = stacked[:, at:at + size]
                    flat, whole = grad.reshape(-1), grad.numel() // size
                    stretch[:whole] = flat[:whole * size].view(whole, size)
                    if whole * size < grad.numel():
                        stretch[whole, :grad.numel() - whole * size] = flat[whole * size:]
                entry.whole.grad = None
                at += size
            own = stacked.new_empty(at)
        op = collectives.ReduceOp.AVG
        work = collectives.reduce_scatter_tensor(own, stacked.view(-1), op, self.group, async_op=True)
        self.order.reducing.append(lambda: self._finish_reduce(work, own, used))

    def _finish_reduce(self, work, own, used):
        work.wait()
        if self.replicas is not None:
            collectives.all_reduce(own, collectives.ReduceOp.AVG, self.replicas)
        at = 0
        with rl.no_grad():
            for entry in used:
                part = own[at:at + entry.shard.numel()].view(entry.shard.shape).to(entry.dtype)
                if entry.shard.grad is None:
                    entry.shard.grad = part.clone()
                    entry.shard.grad._shard = entry.rows
                else:
                    entry.shard.grad.add_(part)
                at += entry.rows.padded

    def _end_of_backward(self):
        order = self.order
        order.callback_queued = False
        for unit in order.units:
            if unit.pending:  # some of its parameters have no gradient in this pass
                unit._after_backward()
            unit.drop_gather()
            if unit.policy.shard_grads:
                unit.reshard()
        while order.reducing:
            order.reducing.pop(0)()

    # --- state ---

    def export(self, state, prefix, convert):
        """Replace this unit's entries of a state dictionary by convert(shard, rows)."""
        for entry in self.entries:
            value = convert(entry.shard.detach(), entry.rows)
            for name in entry.names:
                if prefix + name in state:
                    state[prefix + name] = value

    def localize(self, state, prefix):
        """Replace whole tensors of a state dictionary by this rank's rows of them."""
        self.reshard()
        for entry in self.entries:
            for name in entry.names:
                value = state.get(prefix + name)
                if value is not None and not hasattr(value, "_shard") and tuple(value.shape) == entry.rows.shape:
                    state[prefix + name] = sharded(entry.rows.of(value.detach()), entry.rows)


def tensors_in(value):
    """The tensors within an output."""
    if isinstance(value, rl.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for item in value for tensor in tensors_in(item)] if isinstance(value, (list, tuple)) else []


def cast(value, dtype):
    """The same structure with floating point tensors in another dtype."""
    if isinstance(value, rl.Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: cast(item, dtype) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[cast(item, dtype) for item in value])
    return type(value)(cast(item, dtype) for item in value) if isinstance(value, (list, tuple)) else value


def share_order(units, root):
    """Let the units of one model gather ahead for each other."""
    order = Order(root)
    for unit in units:
        unit.order = order
