"""The collectives on tensors: broadcast, reduce, gather, scatter, all-to-all, and messages from rank to rank.

Each checks its tensors, turns them into memory and hands that to the group (group.py), at once or (async_op=True)
behind a `Work`. Tensors that are not contiguous travel as copies. Next to read: objects.py.
"""
import contextlib
import threading
import time

from .. import api as rl
from .group import GroupedWork, Work, Worker, data_of
from .store import DistBackendError, seconds
from .world import get_group_rank, member


class ReduceOp:
    """How values of several ranks become one."""

    class RedOpType(str):
        """The name of a reduction, and the factor of PREMUL_SUM."""

        factor = None

    SUM, AVG, PRODUCT, MIN, MAX = map(RedOpType, ("sum", "avg", "product", "min", "max"))
    BAND, BOR, BXOR, PREMUL_SUM = map(RedOpType, ("band", "bor", "bxor", "premul_sum"))


def _make_nccl_premul_sum(factor):
    """A sum of values times a factor."""
    op = ReduceOp.RedOpType("premul_sum")
    op.factor = float(factor)
    return op


class P2POp:
    """One message for `batch_isend_irecv`. op: isend or irecv."""

    def __init__(self, op, tensor, peer=None, group=None, tag=0, group_peer=None):
        if op not in (isend, irecv):
            raise ValueError("Invalid ``op``. Expected ``op`` to be of type ``torch.distributed.isend`` or "
                             "``torch.distributed.irecv``.")
        _check(tensor, "tensor")
        self.op, self.tensor, self.peer, self.group = op, tensor, peer, group
        self.tag, self.group_peer = tag, group_peer


def _check(tensor, name):
    if not isinstance(tensor, rl.Tensor):
        raise TypeError(f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor, but got "
                        f"{type(tensor)} instead.")
    if tensor.device.type != "cpu":
        raise RuntimeError(f"No backend type associated with device type {tensor.device.type}")


def _check_list(tensors, name, count):
    if not isinstance(tensors, (list, tuple)) or not all(isinstance(tensor, rl.Tensor) for tensor in tensors):
        raise TypeError(f"Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor].")
    if len(tensors) != count:
        raise ValueError(f"{name}: expected {count} tensors, one for each rank, got {len(tensors)}")
    for tensor in tensors:
        _check(tensor, name)


def _reduction(op, dtype):
    """(name of the fold, factor). Refuses what the dtype does not have, as PyTorch's gloo does."""
    name = str(op)
    if name == "premul_sum":
        return "sum", op.factor
    if name in ("band", "bor", "bxor") and (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(f"Cannot use ReduceOp.{name.upper()} with non-integral dtype")
    if name in ("min", "max") and dtype.is_complex:
        raise ValueError(f"all_reduce does not support {name.upper()} on complex tensors")
    return name, None


class _Memory:
    """The bytes of tensors that an operation writes: their own, or copies that go back at its end."""

    def __init__(self):
        self._copies = []

    def of(self, tensor):
        """The bytes to read and write in place of the tensor's."""
        if tensor.is_contiguous():
            return data_of(tensor)
        copy = tensor.detach().contiguous()
        self._copies.append((tensor, copy))
        return data_of(copy)

    def finish(self):
        """Write the copies back."""
        with rl.no_grad():
            for tensor, copy in self._copies:
                tensor.copy_(copy)


def _run(group, action, memory, tensors, async_op):
    work = Work(memory.finish, tensors)
    worker = group.engine.worker
    if async_op or group.coalescing is not None:
        worker.submit(work, action)
        if group.coalescing is None:
            return work
        group.coalescing.append(work)
        return None
    worker.call(work, action)
    work.wait()
    return None


def _peer(group, rank, group_rank, name):
    """A peer's number within the group, from its number among all or within the group."""
    if (rank is None) == (group_rank is None):
        raise ValueError(f"Must specify exactly one of {name} and group_{name}")
    return group_rank if rank is None else get_group_rank(group, rank)


def broadcast(tensor, src=None, group=None, async_op=False, group_src=None):
    """The tensor of rank `src` replaces those of the other ranks."""
    _check(tensor, "tensor")
    group = member(group)
    if group is None:
        return None
    root, memory = _peer(group, src, group_src, "src"), _Memory()
    data = memory.of(tensor)
    return _run(group, lambda: group.engine.broadcast(data, root), memory, [tensor], async_op)


def _reduce(tensor, root, op, group, async_op):
    name, factor = _reduction(op, tensor.dtype)
    memory = _Memory()
    data, dtype = memory.of(tensor), tensor.dtype
    return _run(group, lambda: group.engine.reduce(data, dtype, name, root, factor), memory, [tensor], async_op)


def all_reduce(tensor, op=ReduceOp.SUM, group=None, async_op=False):
    """The reduction of all ranks' tensors replaces each of them.

    Args: tensor; op (ReduceOp); group: None for all; async_op: return a Work at once.

    Raises: DistBackendError, which names the rank, if one ends, is missing at the timeout or does something else.
    """
    _check(tensor, "tensor")
    group = member(group)
    return None if group is None else _reduce(tensor, None, op, group, async_op)


def reduce(tensor, dst=None, op=ReduceOp.SUM, group=None, async_op=False, group_dst=None):
    """The reduction of all ranks' tensors replaces that of rank `dst`."""
    _check(tensor, "tensor")
    group = member(group)
    return None if group is None else _reduce(tensor, _peer(group, dst, group_dst, "dst"), op, group, async_op)


def all_gather(tensor_list, tensor, group=None, async_op=False):
    """tensor_list[r] becomes the tensor of rank r, on every rank."""
    _check(tensor, "tensor")
    group = member(group)
    if group is None:
        return None
    _check_list(tensor_list, "tensor_list", group.size())
    memory = _Memory()
    data, outputs = data_of(tensor.detach().contiguous()), [memory.of(output) for output in tensor_list]
    return _run(group, lambda: group.engine.all_gather(data, outputs), memory, tensor_list, async_op)


def _pieces(tensor, sizes=None):
    """Views of the rows of a tensor: equal ones, or of the given numbers of rows."""
    return list(tensor.split(sizes))


def all_gather_into_tensor(output_tensor, input_tensor, group=None, async_op=False):
    """The tensors of all ranks, one after the other (or stacked), become the output."""
    _check(output_tensor, "output_tensor")
    _check(input_tensor, "input_tensor")
    group = member(group)
    if group is None:
        return None
    if output_tensor.numel() != input_tensor.numel() * group.size():
        raise ValueError("output tensor size must be equal to world_size times input tensor size")
    if output_tensor.dtype is not input_tensor.dtype:
        raise TypeError("output tensor must have the same type as input tensor")
    memory = _Memory()
    data, whole = data_of(input_tensor.detach().contiguous()), memory.of(output_tensor)
    outputs = [whole[i * data.size:(i + 1) * data.size] for i in range(group.size())]
    return _run(group, lambda: group.engine.all_gather(data, outputs), memory, [output_tensor], async_op)


_all_gather_base = all_gather_single = all_gather_into_tensor


def gather(tensor, gather_list=None, dst=None, group=None, async_op=False, group_dst=None):
    """gather_list[r] becomes the tensor of rank r, on rank `dst` (0)."""
    _check(tensor, "tensor")
    group = member(group)
    if group is None:
        return None
    root = _peer(group, group.ranks[0] if dst is None and group_dst is None else dst, group_dst, "dst")
    memory, outputs = _Memory(), None
    if group.rank() == root:
        if gather_list is None:
            raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
        _check_list(gather_list, "gather_list", group.size())
        outputs = [memory.of(output) for output in gather_list]
    elif gather_list:
        raise ValueError("Argument ``gather_list`` must NOT be specified on non-destination ranks.")
    data = data_of(tensor.detach().contiguous())
    return _run(group, lambda: group.engine.gather(data, outputs, root), memory, gather_list or [], async_op)


def scatter(tensor, scatter_list=None, src=None, group=None, async_op=False, group_src=None):
    """The tensor becomes scatter_list[this rank] of rank `src` (0)."""
    _check(tensor, "tensor")
    group = member(group)
    if group is None:
        return None
    root = _peer(group, group.ranks[0] if src is None and group_src is None else src, group_src, "src")
    inputs, memory = None, _Memory()
    if group.rank() == root:
        if scatter_list is None:
            raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
        _check_list(scatter_list, "scatter_list", group.size())
        if any(part.shape != tensor.shape for part in scatter_list):
            raise ValueError("scatter: all tensors must have the same size")
        inputs = [data_of(part.detach().contiguous()) for part in scatter_list]
    elif scatter_list:
        raise ValueError("Argument ``scatter_list`` must NOT be specified on non-source ranks.")
    data = memory.of(tensor)
    return _run(group, lambda: group.engine.scatter(inputs, data, root), memory, [tensor], async_op)


def reduce_scatter(output, input_list, op=ReduceOp.SUM, group=None, async_op=False):
    """The output becomes the reduction of all ranks' input_list[this rank]."""
    _check(output, "output")
    group = member(group)
    if group is None:
        return None
    _check_list(input_list, "input_list", group.size())
    if any(part.numel() != output.numel() for part in input_list):
        raise ValueError("reduce_scatter: all tensors must have the size of the output")
    (name, factor), memory = _reduction(op, output.dtype), _Memory()
    inputs, data, dtype = [data_of(part.detach().contiguous()) for part in input_list], memory.of(output), output.dtype
    return _run(group, lambda: group.engine.reduce_scatter(inputs, data, dtype, name, factor), memory, [output],
                async_op)


def reduce_scatter_tensor(output, input, op=ReduceOp.SUM, group=None, async_op=False):
    """The output becomes this rank's part of the reduction of all ranks' inputs."""
    _check(input, "input")
    count = -1 if member(group) is None else member(group).size()
    if count < 0:
        return None
    if input.numel() != output.numel() * count:
        raise ValueError("input tensor must be the same size as output size times world size")
    return reduce_scatter(output, list(input.contiguous().reshape(count, -1).unbind()), op, group, async_op)


_reduce_scatter_base = reduce_scatter_single = reduce_scatter_tensor


def all_to_all(output_tensor_list, input_tensor_list, group=None, async_op=False):
    """output_tensor_list[r] becomes the input_tensor_list[this rank] of rank r."""
    group = member(group)
    if group is None:
        return None
    _check_list(output_tensor_list, "output_tensor_list", group.size())
    _check_list(input_tensor_list, "input_tensor_list", group.size())
    memory = _Memory()
    inputs = [data_of(part.detach().contiguous()) for part in input_tensor_list]
    outputs = [memory.of(output) for output in output_tensor_list]
    return _run(group, lambda: group.engine.all_to_all(inputs, outputs), memory, output_tensor_list, async_op)


def all_to_all_single(output, input, output_split_sizes=None, input_split_sizes=None, group=None, async_op=False):
    """Rows of the input go to all ranks, rows of the output come from all: equal parts, or of the given sizes."""
    _check(output, "output")
    _check(input, "input")
    if member(group) is None:
        return None
    count, parts = member(group).size(), []
    for tensor, sizes in ((output, output_split_sizes), (input, input_split_sizes)):
        if not sizes and tensor.size(0) % count:
            raise RuntimeError("Tensor's dim 0 does not divide equally across group size")
        sizes = sizes or [tensor.size(0) // count] * count
        if sum(sizes) != tensor.size(0) or len(sizes) != count:
            raise RuntimeError("Split sizes doesn't match total dim 0 size")
        parts.append(_pieces(tensor, list(sizes)))
    return all_to_all(*parts, group, async_op)


def barrier(group=None, async_op=False, device_ids=None):
    """Wait until all ranks are here."""
    group = member(group)
    return None if group is None else _run(group, group.engine.barrier, _Memory(), [], async_op)


def monitored_barrier(group=None, timeout=None, wait_all_ranks=False):
    """Wait until all ranks are here. DistBackendError after `timeout`, which names the first missing rank, or with
    `wait_all_ranks` every missing one.
    """
    group = member(group)
    if group is not None:
        _run(group, lambda: group.engine.barrier(timeout, "monitored_barrier", not wait_all_ranks), _Memory(), [],
             False)


# --- several tensors as one ---

def _flat(tensors):
    """The tensors' values in one tensor."""
    return rl.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _spread(flat, tensors):
    """Write the values of `flat` into the tensors."""
    with rl.no_grad():
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))


def _check_alike(tensors, name):
    _check_list(tensors, name, len(tensors))
    if not tensors:
        raise ValueError(f"{name}: expected at least one tensor")
    if any(tensor.dtype is not tensors[0].dtype for tensor in tensors):
        raise RuntimeError(f"{name}: tensors must all have the same type")


class _CoalescedMemory:
    """A flat copy of tensors, whose values go back at the end of an operation."""

    def __init__(self, tensors):
        self.flat, self._tensors = _flat(tensors), tensors

    def finish(self):
        """Write the values back."""
        _spread(self.flat, self._tensors)


def all_reduce_coalesced(tensors, op=ReduceOp.SUM, group=None, async_op=False):
    """`all_reduce` of each tensor of a list, in one operation. All must have one dtype."""
    tensors = [tensors] if isinstance(tensors, rl.Tensor) else list(tensors)
    _check_alike(tensors, "tensors")
    group = member(group)
    if group is None:
        return None
    name, factor = _reduction(op, tensors[0].dtype)
    memory, dtype = _CoalescedMemory(tensors), tensors[0].dtype
    data = data_of(memory.flat)
    return _run(group, lambda: group.engine.reduce(data, dtype, name, None, factor), memory, tensors, async_op)


def all_gather_coalesced(output_tensor_lists, input_tensor_list, group=None, async_op=False):
    """output_tensor_lists[r][i] becomes input_tensor_list[i] of rank r, in one operation. All must have one dtype."""
    inputs = list(input_tensor_list)
    _check_alike(inputs, "input_tensor_list")
    group = member(group)
    if group is None:
        return None
    if len(output_tensor_lists) != group.size():
        raise ValueError(f"output_tensor_lists: expected {group.size()} lists, one for each rank, got "
                         f"{len(output_tensor_lists)}")
    for outputs in output_tensor_lists:
        _check_alike(outputs, "output_tensor_lists")
        if [tensor.numel() for tensor in outputs] != [tensor.numel() for tensor in inputs]:
            raise ValueError("output_tensor_lists: every list must have the sizes of input_tensor_list")
    memories = [_CoalescedMemory(outputs) for outputs in output_tensor_lists]
    memory = _Memory()
    memory.finish = lambda: [each.finish() for each in memories]
    data, outputs = data_of(_flat(inputs)), [data_of(each.flat) for each in memories]
    results = [tensor for outputs in output_tensor_lists for tensor in outputs]
    return _run(group, lambda: group.engine.all_gather(data, outputs), memory, results, async_op)


def _broadcast_coalesced(process_group, tensors, buffer_size, src=0):
    """`broadcast` of each tensor of a list, in messages of up to `buffer_size` bytes of one dtype."""
    group, pending, size = member(process_group), [], 0

    def send():
        flat = _flat(pending)
        broadcast(flat, group=group, group_src=src)
        if group.rank() != src:
            _spread(flat, pending)
        pending.clear()
    for tensor in tensors:
        nbytes = tensor.numel() * tensor.element_size()
        if pending and (size + nbytes > buffer_size or tensor.dtype is not pending[0].dtype):
            send()
            size = 0
        pending.append(tensor)
        size += nbytes
    if pending:
        send()


class _CoalescingManager:
    """What `_coalescing_manager` yields: the operations started within it."""

    def __init__(self):
        self.works = []

    def append(self, work):
        """Add an operation to wait for."""
        if work is not None:
            self.works.append(work)

    def wait(self):
        """Wait for all operations."""
        GroupedWork(self.works).wait()


@contextlib.contextmanager
def _coalescing_manager(group=None, device=None, async_ops=False):
    """Collectives within it are waited for together: at its end, or by `wait` of what it yields (async_ops=True)."""
    manager, target = _CoalescingManager(), member(group)
    target.coalescing = manager
    try:
        yield manager
    finally:
        target.coalescing = None
    if not async_ops:
        manager.wait()


# --- messages ---

_workers, _workers_lock = {}, threading.Lock()


def _message_worker(group, source, target):
    with _workers_lock:
        return _workers.setdefault((id(group.engine), source, target), Worker())


def _message(tensor, peer, group_peer, group, tag, sending, name):
    _check(tensor, "tensor")
    group = member(group)
    if group is None:
        raise ValueError("this rank is not in the group")
    other, memory = _peer(group, peer, group_peer, name), _Memory()
    if other == group.rank():
        raise ValueError(f"Invalid {'destination' if sending else 'source'} rank: {name} rank should not be the same "
                         "as the rank of the current process.")
    own, engine, work = group.rank(), group.engine, Work(memory.finish, [tensor])
    if sending:
        data = data_of(tensor.detach().contiguous())
        _message_worker(group, own, other).submit(work, lambda: engine.send(data, other, tag))
    else:
        data = memory.of(tensor)
        _message_worker(group, other, own).submit(work, lambda: engine.receive(data, other, tag))
    return work


def isend(tensor, dst=None, group=None, tag=0, group_dst=None):
    """Send a tensor to rank `dst`; returns a Work, until whose end the tensor must not change."""
    return _message(tensor, dst, group_dst, group, tag, True, "dst")


def irecv(tensor, src=None, group=None, tag=0, group_src=None):
    """Receive into a tensor what rank `src` sends; returns a Work."""
    if src is None and group_src is None:
        group_src = _any_source(member(group))
    return _message(tensor, src, group_src, group, tag, False, "src")


def send(tensor, dst=None, group=None, tag=0, group_dst=None):
    """Send a tensor to rank `dst`; returns when it is received."""
    isend(tensor, dst, group, tag, group_dst).wait()


def recv(tensor, src=None, group=None, tag=0, group_src=None):
    """Receive into a tensor what rank `src` (None: any) sends; returns that rank."""
    group = member(group)
    if group is None:
        return -1
    if src is None and group_src is None:
        group_src = _any_source(group)
    irecv(tensor, src, group, tag, group_src).wait()
    return group.ranks[group_src] if src is None else src


def _any_source(group):
    """The rank of the group from which something waits."""
    end = time.monotonic() + seconds(group.engine.timeout)
    while not (found := group.engine.sources()):
        if time.monotonic() > end:
            raise DistBackendError("recv: timed out, no rank has sent anything")
        time.sleep(0.001)
    return found[0]


def batch_isend_irecv(p2p_op_list):
    """Start the messages of a list of P2POp; returns their Works."""
    if not isinstance(p2p_op_list, list) or not p2p_op_list or not all(isinstance(p, P2POp) for p in p2p_op_list):
        raise ValueError("Invalid ``p2p_op_list``. Each op is expected to be of type ``torch.distributed.P2POp``.")
    return [p.op(p.tensor, p.peer, p.group, p.tag, p.group_peer) for p in p2p_op_list]
