"""DistributedDataParallel: backward leaves on every process the average of all processes' gradients.

Parameters are cut into buckets in the reverse of their order, as gradients come. When the last gradient of a bucket
is there, its all_reduce starts on the group's thread while backward goes on; when all buckets are on their way, the
end of backward waits for them. Buckets start in the same order on all processes, whatever order the gradients have.
"""
import contextlib

from ... import api as rl
from ...base.lazy import Lazy
from ..modules.module import Module

# Both stand below this folder in the import order.
dist = Lazy(f"{__name__.split('.')[0]}.distributed")
joining = Lazy(f"{__name__.split('.')[0]}.distributed.algorithms.join")
MEGABYTE = 1 << 20


class _Bucket:
    """Parameters of one dtype whose gradients travel together."""

    def __init__(self, params):
        self.params, self.work = params, None
        self.flat = rl.zeros(sum(param.numel() for param in params), dtype=params[0].dtype)
        self.views = [part.view_as(param) for part, param in
                      zip(self.flat.split([param.numel() for param in params]), params, strict=True)]
        self.pending = set()


def _buckets(params, first, cap):
    """Buckets of up to `cap` bytes (the first one: `first`), of one dtype each."""
    found, group, size = [], [], 0
    for param in params:
        nbytes = param.numel() * param.element_size()
        limit = cap if found else first
        if group and (size + nbytes > limit or param.dtype is not group[0].dtype):
            found.append(_Bucket(group))
            group, size = [], 0
        group.append(param)
        size += nbytes
    if group:
        found.append(_Bucket(group))
    return found


def _tensors(value):
    """The tensors within an output."""
    if isinstance(value, rl.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def _reached(outputs):
    """The ids of the leaves that a backward from the outputs reaches."""
    stack = [tensor.grad_fn for tensor in outputs if tensor.grad_fn is not None]
    leaves, seen = {id(tensor) for tensor in outputs if tensor.grad_fn is None}, {}  # seen keeps the ids taken
    while stack:
        node = stack.pop()
        if node is None or id(node) in seen:
            continue
        seen[id(node)] = node
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        stack.extend(following for following, _ in node.next_functions)
    return leaves


class DistributedDataParallel(Module):
    """Trains a module on several processes, each of which has its part of the batch.

    Parameters and buffers start as those of rank 0. After backward, each gradient is the average over the processes:
    with a loss that is a mean over equal parts, the gradient of one process on the whole batch.

    Args:
        module (Module); process_group: None for all; broadcast_buffers (bool): rank 0's buffers before each forward.
        bucket_cap_mb (float): megabytes of gradients that travel together (25); the first bucket has 1.
        find_unused_parameters (bool): parameters that the output does not depend on count as ready, with zeros.
        gradient_as_bucket_view (bool): gradients are parts of the buckets and are not copied back.
        init_sync (bool): whether parameters start as those of rank 0.
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0, broadcast_buffers=True, init_sync=True,
                 process_group=None, bucket_cap_mb=None, find_unused_parameters=False, check_reduction=False,
                 gradient_as_bucket_view=False, static_graph=False, **_):
        super().__init__()
        params = [param for param in module.parameters() if param.requires_grad]
        if not params:
            raise RuntimeError("DistributedDataParallel is not needed when a module doesn't have any parameters that "
                               "require a gradient.")
        if device_ids:
            raise ValueError(f"DistributedDataParallel: device_ids must be None for a module on the CPU, got "
                             f"{device_ids}")
        self.module, self.process_group, self.dim = module, process_group or dist.group.WORLD, dim
        if self.process_group is None:
            raise ValueError("Default process group has not been initialized, please make sure to call "
                             "init_process_group.")
        self.broadcast_buffers, self.find_unused_parameters = broadcast_buffers, find_unused_parameters
        self.gradient_as_bucket_view, self.require_backward_grad_sync = gradient_as_bucket_view, True
        self._count = dist.get_world_size(self.process_group)
        self._check_same(params)
        if init_sync:
            self._broadcast([*module.parameters(), *module.buffers()])
        cap = (25 if bucket_cap_mb is None else bucket_cap_mb) * MEGABYTE
        self._buckets = _buckets(params[::-1], min(cap, MEGABYTE), cap)
        self._place = {id(param): (bucket, i) for bucket in self._buckets for i, param in enumerate(bucket.params)}
        self._hooks = [param.register_post_accumulate_grad_hook(self._ready) for param in params]
        self._sync, self._next, self._unused, self._comm_hook = False, 0, set(), None
        self._join_config, self._divisor = joining._JoinConfig(), None  # None: the average over all ranks

    def _check_same(self, params):
        shapes = [None] * self._count
        dist.all_gather_object(shapes, [tuple(param.shape) for param in params], self.process_group)
        for rank, other in enumerate(shapes):
            if other != shapes[0]:
                raise RuntimeError(f"DDP expects same model across all ranks, but rank {rank} has other parameters "
                                   "than rank 0")

    def _broadcast(self, tensors, root=0):
        tensors = [tensor.detach() for tensor in tensors]
        if tensors:
            dist._broadcast_coalesced(self.process_group, tensors, 250 * MEGABYTE, root)

    def forward(self, *inputs, **kwargs):
        """The module's output."""
        self._divisor = None
        if self._join_config.enable and rl.is_grad_enabled():
            self._begin_joined()
        self._sync = rl.is_grad_enabled() and self.require_backward_grad_sync
        if self._sync and self._next:
            raise RuntimeError("Expected to have finished reduction in the prior iteration before starting a new one. "
                               "Some parameters got no gradient; pass find_unused_parameters=True.")
        if self._sync and self.broadcast_buffers and self.training:
            self._broadcast(self.module.buffers(), self._root(True) if self._join_config.enable else 0)
        output = self.module(*inputs, **kwargs)
        if self._sync:
            self._prepare(output)
        return output

    def _prepare(self, output):
        self._next, self._unused = 0, set()
        for bucket in self._buckets:
            bucket.pending, bucket.work = {id(param) for param in bucket.params}, None
        if self.find_unused_parameters:
            reached = _reached(_tensors(output))
            self._unused = {id(param) for bucket in self._buckets for param in bucket.params} - reached
            for bucket in self._buckets:
                bucket.pending -= self._unused

    @contextlib.contextmanager
    def no_sync(self):
        """Within it, gradients add up on each process; the first backward after it averages the sums."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def register_comm_hook(self, state, hook):
        """Let `hook(state, bucket)` do the communication of each bucket in place of the average.

        bucket: a GradBucket. The hook returns a Future of the tensor that replaces the bucket's buffer, and divides by
        the number of ranks itself. `distributed.algorithms.ddp_comm_hooks` has some.
        """
        if self._comm_hook is not None:
            raise RuntimeError("register_comm_hook can only be called once.")
        if not callable(hook):
            raise TypeError("Communication hook must be callable.")
        self._comm_hook = (state, hook)

    def join(self, divide_by_initial_world_size=True, enable=True, throw_on_early_termination=False):
        """A context for loops over different numbers of batches; see `distributed.algorithms.Join`.

        divide_by_initial_world_size: gradients are divided by the number of all ranks, else by that of the ranks that
        still have batches.
        """
        return joining.Join([self], enable, throw_on_early_termination,
                            divide_by_initial_world_size=divide_by_initial_world_size)

    def join_hook(self, **kwargs):
        """What this rank does after its last batch."""
        self._divide_by_all = kwargs.get("divide_by_initial_world_size", True)
        return _JoinHook(self)

    @property
    def join_device(self):
        """The device of the collectives of `join`."""
        return rl.device("cpu")

    @property
    def join_process_group(self):
        """The group of `join`."""
        return self.process_group

    def _begin_joined(self):
        """Tell ranks without batches that an iteration begins, and whether it has a backward pass with communication.
        """
        work = joining.Join.notify_join_context(self)
        if work is not None:
            work.wait()
            self._divisor = self._count if self._divide_by_all else int(work.result()[0])
        self._any_syncs(self.require_backward_grad_sync)

    def _any_syncs(self, own):
        flag = rl.tensor([int(own)], dtype=rl.int32)
        dist.all_reduce(flag, group=self.process_group)
        return int(flag) > 0

    def _root(self, active):
        """The highest rank that still has batches."""
        rank = rl.tensor([dist.get_rank(self.process_group) if active else -1], dtype=rl.int32)
        dist.all_reduce(rank, dist.ReduceOp.MAX, self.process_group)
        return int(rank)

    def _ready(self, param):
        """A gradient is there; starts all buckets whose turn it is, and waits for all after the last."""
        if not self._sync:
            return
        self._place[id(param)][0].pending.discard(id(param))
        while self._next < len(self._buckets) and not self._buckets[self._next].pending:
            self._fill(self._buckets[self._next])
            self._start(self._next)
            self._next += 1
        if self._next == len(self._buckets):
            self._finish()

    def _fill(self, bucket):
        with rl.no_grad():
            for param, view in zip(bucket.params, bucket.views, strict=True):
                if param.grad is None:
                    view.zero_()
                elif param.grad is not view:
                    view.copy_(param.grad)

    def _start(self, number):
        bucket = self._buckets[number]
        if self._comm_hook is not None:
            state, hook = self._comm_hook
            bucket.work = hook(state, dist.GradBucket(bucket, number, number == len(self._buckets) - 1))
            return
        op = dist.ReduceOp.AVG if self._divisor is None else dist.ReduceOp.SUM
        bucket.work = dist.all_reduce(bucket.flat, op, self.process_group, async_op=True)

    def _collect(self, bucket):
        """Wait for the communication of a bucket; its result is in `bucket.flat` then."""
        result = bucket.work.wait()
        if self._comm_hook is not None:
            result = result[0] if isinstance(result, (list, tuple)) else result
            if result is not bucket.flat:
                bucket.flat.copy_(result)
        elif self._divisor is not None:
            bucket.flat.div_(self._divisor)

    def _finish(self):
        self._sync, self._next = False, 0
        used = self._used_anywhere() if self.find_unused_parameters else None
        with rl.no_grad():
            for bucket in self._buckets:
                self._collect(bucket)
                for param, view in zip(bucket.params, bucket.views, strict=True):
                    if used is not None and id(param) not in used:
                        continue  # no process has a gradient: it stays as it is
                    if self.gradient_as_bucket_view:
                        param.grad = view
                    elif param.grad is None:
                        param.grad = view.clone()
                    else:
                        param.grad.copy_(view)

    def _used_anywhere(self):
        """The ids of the parameters that have a gradient on some process."""
        params = [param for bucket in self._buckets for param in bucket.params]
        flags = rl.tensor([int(id(param) not in self._unused) for param in params], dtype=rl.int32)
        dist.all_reduce(flags, dist.ReduceOp.MAX, self.process_group)
        return {id(param) for param, flag in zip(params, flags.tolist(), strict=True) if flag}


class _JoinHook:
    """The collectives of a DistributedDataParallel on a rank that has no more batches."""

    def __init__(self, model):
        self.model = model

    def main_hook(self):
        """Answer one iteration: the flag, the buffers, and zeros for every bucket."""
        model = self.model
        if not model._any_syncs(False):
            return
        if model.broadcast_buffers and model.training:
            model._broadcast(model.module.buffers(), model._root(False))
        model._divisor = model._count
        with rl.no_grad():
            for number, bucket in enumerate(model._buckets):
                bucket.flat.zero_()
                model._start(number)
        if model.find_unused_parameters:
            model._unused = {id(param) for bucket in model._buckets for param in bucket.params}
            model._used_anywhere()
        for bucket in model._buckets:
            bucket.work.wait()

    def post_hook(self, is_last_joiner):
        """All ranks take the parameters and buffers of one that had batches until the end."""
        model = self.model
        model._broadcast([*model.module.parameters(), *model.module.buffers()], model._root(is_last_joiner))
