"""Collectives of Python objects: each travels as a pickle, whose size travels first. Only among trusted processes."""
import pickle

from .. import api as rl
from ..base.lazy import numpy as np
from ..tensor.methods import over_array
from .collectives import all_gather, broadcast, gather, recv, scatter, send
from .world import member


def _pack(thing):
    data = over_array(np.frombuffer(bytearray(pickle.dumps(thing)), np.uint8))
    return data, rl.tensor([data.numel()])


def _load(data, size):
    return pickle.loads(data.numpy()[:int(size)].tobytes())


def _padded(data, size):
    return rl.cat([data, rl.zeros(size - data.numel(), dtype=rl.uint8)]) if size > data.numel() else data


def all_gather_object(object_list, obj, group=None):
    """object_list[r] becomes the object of rank r."""
    if member(group) is None:
        return
    count = member(group).size()
    data, size = _pack(obj)
    sizes = [rl.zeros_like(size) for _ in range(count)]
    all_gather(sizes, size, group)
    largest = max(int(s) for s in sizes)
    outputs = [rl.empty(largest, dtype=rl.uint8) for _ in range(count)]
    all_gather(outputs, _padded(data, largest), group)
    object_list[:] = [_load(output, s) for output, s in zip(outputs, sizes, strict=True)]


def gather_object(obj, object_gather_list=None, dst=None, group=None, group_dst=None):
    """object_gather_list[r] becomes the object of rank r, on rank `dst`."""
    if member(group) is None:
        return
    count = member(group).size()
    data, size = _pack(obj)
    sizes = [rl.zeros_like(size) for _ in range(count)]
    all_gather(sizes, size, group)
    largest = max(int(s) for s in sizes)
    wanted = object_gather_list is not None
    outputs = [rl.empty(largest, dtype=rl.uint8) for _ in range(count)] if wanted else None
    gather(_padded(data, largest), outputs, dst, group, group_dst=group_dst)
    if wanted:
        object_gather_list[:] = [_load(output, s) for output, s in zip(outputs, sizes, strict=True)]


def broadcast_object_list(object_list, src=None, group=None, device=None, group_src=None):
    """The objects of the list of rank `src` replace those of the other ranks."""
    if member(group) is None:
        return
    source = member(group).ranks[group_src] if src is None and group_src is not None else src or 0
    sending = member(group).ranks[member(group).rank()] == source
    packed = [_pack(thing) for thing in object_list] if sending else []
    sizes = rl.cat([size for _, size in packed]) if sending else rl.zeros(len(object_list), dtype=rl.int64)
    broadcast(sizes, source, group)
    whole = rl.cat([data for data, _ in packed]) if sending else rl.empty(int(sizes.sum()), dtype=rl.uint8)
    broadcast(whole, source, group)
    if not sending:
        parts = whole.split(sizes.tolist())
        object_list[:] = [_load(part, part.numel()) for part in parts]


def scatter_object_list(scatter_object_output_list, scatter_object_input_list=None, src=None, group=None,
                        group_src=None):
    """scatter_object_output_list[0] becomes scatter_object_input_list[this rank] of rank `src`."""
    if member(group) is None:
        return
    source = member(group).ranks[group_src] if src is None and group_src is not None else src or 0
    packed = None
    if member(group).ranks[member(group).rank()] == source:
        packed = [_pack(thing) for thing in scatter_object_input_list]
    largest = rl.tensor([max(data.numel() for data, _ in packed) if packed else 0])
    broadcast(largest, source, group)
    size, data = rl.zeros(1, dtype=rl.int64), rl.empty(int(largest), dtype=rl.uint8)
    scatter(size, packed and [s for _, s in packed], source, group)
    scatter(data, packed and [_padded(d, int(largest)) for d, _ in packed], source, group)
    scatter_object_output_list[0] = _load(data, size)


def send_object_list(object_list, dst=None, group=None, device=None, group_dst=None):
    """Send the objects of a list to rank `dst`."""
    data, size = _pack(list(object_list))
    send(size, dst, group, group_dst=group_dst)
    send(data, dst, group, group_dst=group_dst)


def recv_object_list(object_list, src=None, group=None, device=None, group_src=None):
    """Receive into the list what rank `src` (None: any) sends; returns that rank."""
    size = rl.zeros(1, dtype=rl.int64)
    source = recv(size, src, group, group_src=group_src)
    data = rl.empty(int(size), dtype=rl.uint8)
    recv(data, source, group)
    object_list[:] = _load(data, size)
    return source
