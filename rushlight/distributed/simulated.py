"""One process that stands for thousands: collectives whose time is computed, for plans of how a job grows.

`start(size, network, clock)` opens a group of `size` ranks of which only this one exists. DistributedDataParallel, FSDP
and the rest run unchanged; a collective gives what it would give if all ranks had this rank's values, and takes time on
a virtual clock: the network is busy from the moment an operation is started, after those before it, and whoever waits
for the operation waits until its end. Computation takes the time that the program adds (`Clock.compute`).
"""
import math

from ..base.lazy import numpy as np
from . import world
from .group import fold
from .store import HashStore


class Network:
    """Latency and bandwidth within and between machines, and the algorithms of the collectives.

    Args:
        node (int): ranks a machine.
        inner_latency, outer_latency (float): seconds of one message within, between machines.
        inner_bandwidth (float): bytes a second of each rank within its machine.
        outer_bandwidth (float): bytes a second of each machine's link.
        algorithm (str): "ring" over all ranks; "tree": two binary trees; "levels": a ring within each machine, then for
            each part the faster of ring and tree between machines; "best": the fastest of them.
    """

    def __init__(self, node=8, inner_latency=2e-6, outer_latency=8e-6, inner_bandwidth=200e9, outer_bandwidth=50e9,
                 algorithm="levels"):
        self.node, self.algorithm = node, algorithm
        self.inner_latency, self.outer_latency = inner_latency, outer_latency
        self.inner_bandwidth, self.outer_bandwidth = inner_bandwidth, outer_bandwidth

    def _link(self, ranks):
        """(latency, bandwidth) of the slowest link in a ring or tree over all ranks. Neighbours of a ring are on one
        machine where they can be, so each machine's link carries the ring once.
        """
        if ranks <= self.node:
            return self.inner_latency, self.inner_bandwidth
        return self.outer_latency, min(self.outer_bandwidth, self.inner_bandwidth)

    def half_ring(self, ranks, nbytes):
        """Seconds of a reduce_scatter or all_gather of `nbytes` in all, by a ring."""
        latency, bandwidth = self._link(ranks)
        return (ranks - 1) * (latency + nbytes / ranks / bandwidth)

    def tree(self, ranks, nbytes):
        """Seconds of an all_reduce by two binary trees that each carry half of the data, in a pipeline."""
        latency, bandwidth = self._link(ranks)
        return 2 * math.ceil(math.log2(max(2, ranks))) * latency + 2 * nbytes / bandwidth

    def _levels(self, ranks, nbytes):
        """Seconds of each of the three stages of an all_reduce: within, between, within machines."""
        local = min(self.node, ranks)
        machines = -(-ranks // local)
        inside = (local - 1) * (self.inner_latency + nbytes / local / self.inner_bandwidth)
        share = self.outer_bandwidth / local  # the machine's link is shared by its ranks
        part = nbytes / local
        ring = (machines - 1) * (self.outer_latency + part / machines / share)
        return inside, ring, 2 * math.ceil(math.log2(max(2, machines))) * self.outer_latency + 2 * part / share

    def all_reduce(self, ranks, nbytes):
        """Seconds of an all_reduce."""
        if ranks == 1:
            return 0.0
        inside, ring, tree = self._levels(ranks, nbytes)
        between = 0.0 if ranks <= self.node else min(2 * ring, tree)
        found = {"ring": 2 * self.half_ring(ranks, nbytes), "tree": self.tree(ranks, nbytes),
                 "levels": 2 * inside + between}
        return min(found.values()) if self.algorithm == "best" else found[self.algorithm]

    def half(self, ranks, nbytes):
        """Seconds of a reduce_scatter or an all_gather of `nbytes` in all."""
        if ranks == 1:
            return 0.0
        if self.algorithm in ("ring", "tree"):
            return self.half_ring(ranks, nbytes)
        inside, ring, tree = self._levels(ranks, nbytes)
        levels = inside + (0.0 if ranks <= self.node else min(ring, tree / 2))
        return min(levels, self.half_ring(ranks, nbytes)) if self.algorithm == "best" else levels

    def broadcast(self, ranks, nbytes):
        """Seconds of a broadcast by a tree, in a pipeline."""
        latency, bandwidth = self._link(ranks)
        return math.ceil(math.log2(max(2, ranks))) * latency + nbytes / bandwidth if ranks > 1 else 0.0

    def all_to_all(self, ranks, nbytes):
        """Seconds of an all_to_all of `nbytes` a rank."""
        latency, bandwidth = self._link(ranks)
        return (ranks - 1) * latency + nbytes / (bandwidth if ranks <= self.node else self.outer_bandwidth / self.node)


class Clock:
    """Virtual time. now: of the program; busy: when the network is free again; spent: seconds of each collective."""

    def __init__(self):
        self.now = self.busy = self.computed = 0.0
        self.spent, self.messages = {}, []

    def compute(self, duration):
        """The program computes for so many seconds."""
        self.now += duration
        self.computed += duration

    def communicate(self, name, nbytes, duration):
        """The network carries an operation that is started now; returns when it ends."""
        self.busy = max(self.busy, self.now) + duration
        self.spent[name] = self.spent.get(name, 0.0) + duration
        self.messages.append((name, nbytes))
        return self.busy

    def wait_until(self, end):
        """The program waits."""
        self.now = max(self.now, end)


class _Worker:
    """In place of the thread of collectives: operations are done at once, and end later on the clock."""

    def __init__(self, group):
        self._group = group

    def submit(self, work, action):
        """Do an operation; who waits for it waits until its end."""
        work.run(action)
        end, clock, finish = self._group.end, self._group.clock, work._finish

        def complete():
            clock.wait_until(end)
            if finish is not None:
                finish()
        work._finish = complete

    call = submit

    def close(self):
        """There is no thread to end."""


class SimulatedGroup:
    """A group of processes of which only this one exists."""

    backend = "simulated"

    def __init__(self, rank, size, network, clock):
        self.rank, self.size, self.network, self.clock, self.end = rank, size, network, clock, 0.0
        self.worker = _Worker(self)

    def _spend(self, name, nbytes, duration):
        self.end = self.clock.communicate(name, nbytes, duration)

    def barrier(self, timeout=None, name="barrier", first=False):
        """All ranks are here."""
        self._spend("barrier", 0, self.network.all_reduce(self.size, 0))

    def broadcast(self, data, root):
        """All ranks have the data of this one."""
        self._spend("broadcast", data.size, self.network.broadcast(self.size, data.size))

    def _all(self, data, dtype, op, scale=None):
        """The reduction of `size` equal arrays."""
        if op == "sum":
            return fold([data], dtype, "sum", self.size if scale is None else self.size * scale)
        if op in ("product", "bxor"):
            raise NotImplementedError(f"simulated: ReduceOp {op}")
        return data

    def reduce(self, data, dtype, op, root=None, scale=None):
        """The reduction of equal data of all ranks."""
        duration = self.network.all_reduce(self.size, data.size)
        self._spend("all_reduce" if root is None else "reduce", data.size, duration if root is None else duration / 2)
        data[:] = self._all(data, dtype, op, scale)

    def all_gather(self, data, outputs):
        """All ranks' data, which are equal."""
        self._spend("all_gather", data.size * self.size, self.network.half(self.size, data.size * self.size))
        for output in outputs:
            output[:] = data

    def gather(self, data, outputs, root):
        """All ranks' data, which are equal, on the root."""
        self._spend("gather", data.size * self.size, self.network.half(self.size, data.size * self.size))
        for output in outputs or ():
            output[:] = data

    def scatter(self, inputs, output, root):
        """This rank's part of what it has as root."""
        self._spend("scatter", output.size * self.size, self.network.half(self.size, output.size * self.size))
        if inputs is not None:
            output[:] = inputs[self.rank]

    def reduce_scatter(self, inputs, output, dtype, op, scale=None):
        """This rank's part of the reduction."""
        nbytes = output.size * self.size
        self._spend("reduce_scatter", nbytes, self.network.half(self.size, nbytes))
        output[:] = self._all(np.ascontiguousarray(inputs[self.rank]), dtype, op, scale)

    def all_to_all(self, inputs, outputs):
        """What the others send is what this rank sends."""
        nbytes = sum(part.size for part in inputs)
        self._spend("all_to_all", nbytes, self.network.all_to_all(self.size, nbytes))
        for source, target in zip(inputs, outputs, strict=True):
            target[:] = source

    def close(self):
        """Nothing is left to close."""


def start(size, network=None, clock=None, rank=0):
    """Open a group of all ranks, of which this process is one; returns its Clock. `destroy_process_group` ends it."""
    clock = clock or Clock()
    network = network or Network()
    store = HashStore()
    world.adopt(store, lambda ranks: SimulatedGroup(list(ranks).index(rank), len(ranks), network, clock), rank, size)
    return clock


def count_time(model, clock, tokens, flops):
    """Let the linear layers of a model add their time to a clock: 2 operations a weight and token forward, 4 backward,
    at `flops` a second.
    """
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if weight is not None and weight.dim() == 2 and hasattr(module, "in_features"):
            duration = 2 * module.in_features * module.out_features * tokens / flops
            module.register_forward_pre_hook(lambda m, args, duration=duration: clock.compute(duration))
            module.register_full_backward_pre_hook(lambda m, grads, duration=duration: clock.compute(2 * duration))
