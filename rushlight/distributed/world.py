"""The processes of a job: who they are, which groups they form, and how a program joins them and leaves.

`init_process_group` finds the others through a store and opens the group of all. Next to read: collectives.py.
"""
import importlib.util
import os
import time
import urllib.parse
from datetime import timedelta

from . import mpi, started
from .group import SharedGroup
from .store import DEFAULT_TIMEOUT, FileStore, PrefixStore, TCPStore, seconds

ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class GroupMember:
    """The group of a rank that is in none."""

    WORLD = None
    NON_GROUP_MEMBER = -100


class _GroupMeta(type):
    @property
    def WORLD(cls):
        return GroupMember.WORLD


class group(metaclass=_GroupMeta):
    """`group.WORLD` is the group of all processes."""


class Backend(str):
    """The name of a backend, in small letters."""

    GLOO, MPI, NCCL, UCC, UNDEFINED = "gloo", "mpi", "nccl", "ucc", "undefined"
    backend_list = [UNDEFINED, GLOO, NCCL, UCC, MPI]

    def __new__(cls, name):
        if not isinstance(name, str):
            raise ValueError(f"Backend constructor parameter must be string-ish, got {name!r}")
        return super().__new__(cls, name.lower())


class ProcessGroup:
    """Processes that do collectives together. Made by `init_process_group` and `new_group`."""

    def __init__(self, engine, ranks, name, store):
        self.engine, self.ranks, self.group_name, self.store = engine, list(ranks), name, store
        self.coalescing = None  # the _CoalescingManager that collects this group's operations

    def rank(self):
        """This process's number within the group."""
        return self.engine.rank

    def size(self):
        """The number of processes."""
        return self.engine.size

    def name(self):
        """The backend."""
        return self.engine.backend


_state = {"count": 0, "groups": {}, "store": None, "make": None}


def is_available():
    """Whether this machine has what the local backend needs."""
    return hasattr(os, "memfd_create") and hasattr(os, "pidfd_open")


def is_gloo_available():
    """Whether the backend `gloo` works."""
    return is_available()


def is_nccl_available():
    """False: there is no NCCL backend."""
    return False


def is_mpi_available():
    """Whether mpi4py is installed, which the backend `mpi` needs."""
    return importlib.util.find_spec("mpi4py") is not None


def is_ucc_available():
    """False: there is no UCC backend."""
    return False


def is_torchelastic_launched():
    """Whether a launcher (`run`) has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_initialized():
    """Whether there is a group of all processes."""
    return GroupMember.WORLD is not None


def _check_backend(backend):
    names = {name.rpartition(":")[2] for name in str(backend or "gloo").lower().split(",")}
    for name in names:
        if name == "nccl":
            raise NotImplementedError("init_process_group: backend 'nccl' needs CUDA and nccl4py (pip install "
                                      "nccl4py), and rushlight has no CUDA device; use 'gloo'")
        if name not in ("gloo", "mpi", "undefined"):
            raise ValueError(f"init_process_group: unknown backend {name!r}; expected gloo, mpi or nccl")
    return "mpi" if "mpi" in names else "gloo"


def _from_environment(rank, world_size, timeout, query):
    known = started.settings()
    given = {"RANK": query.get("rank", rank), "WORLD_SIZE": query.get("world_size", world_size)}
    known.update({name: value for name, value in given.items() if value not in (None, -1)})
    for name in ENVIRONMENT:
        if name not in known:
            raise ValueError("Error initializing torch.distributed using env:// rendezvous: environment variable "
                             f"{name} expected, but not set")
    rank, world_size = int(known["RANK"]), int(known["WORLD_SIZE"])
    by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = TCPStore(known["MASTER_ADDR"], int(known["MASTER_PORT"]), world_size, rank == 0 and not by_agent, timeout,
                     wait_for_workers=False)
    store.server = "the launcher" if by_agent else "rank 0"
    return PrefixStore(attempt(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")), store), rank, world_size


def attempt(number):
    """The prefix of the keys of a job's start number so-and-so."""
    return f"attempt/{number}"


def ended(rank):
    """The key under which the launcher notes the exit status of a rank that has failed."""
    return f"\0ended/{rank}"


def _rendezvous(url, rank, world_size, timeout):
    """(store, rank, world size) of an init_method."""
    parts = urllib.parse.urlparse(url)
    query = {key: int(value) for key, value in urllib.parse.parse_qsl(parts.query)}
    if parts.scheme == "env":
        return _from_environment(rank, world_size, timeout, query)
    rank, world_size = query.get("rank", rank), query.get("world_size", world_size)
    if rank < 0 or world_size < 0:
        raise ValueError(f"Error initializing torch.distributed using {parts.scheme}:// rendezvous: rank and "
                         "world size parameters missing")
    if parts.scheme == "tcp":
        return TCPStore(parts.hostname, parts.port, world_size, rank == 0, timeout, False), rank, world_size
    if parts.scheme == "file":
        return FileStore(parts.path, world_size), rank, world_size
    raise RuntimeError(f"No rendezvous handler for {parts.scheme}://")


def init_process_group(backend=None, init_method=None, timeout=None, world_size=-1, rank=-1, store=None,
                       group_name="", pg_options=None, device_id=None):
    """Join the other processes of the job; returns when all are there.

    Args:
        backend (str): "gloo" or None: shared memory of one machine; "mpi": whatever MPI runs on, in programs that
            mpiexec or Slurm start. MPI then says the rank and the number of ranks.
        init_method (str): "env://" (the default: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, or what mpiexec and Slurm
            set), "tcp://host:port" or "file:///path".
        timeout (timedelta): after which a collective is an error; 30 minutes.
        world_size (int), rank (int): of the job and of this process.
        store (Store): in place of init_method.

    Raises: ValueError if a group is there already or something is missing; NotImplementedError for other backends.
    """
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    if store is not None and init_method is not None:
        raise ValueError("Cannot specify both init_method and store.")
    name = _check_backend(backend)
    timeout = DEFAULT_TIMEOUT if timeout is None else timeout
    if not isinstance(timeout, timedelta):
        raise TypeError(f"Expected timeout argument to be of type datetime.timedelta, got {timeout}")
    if name == "mpi":
        store, rank, world_size = mpi.open_store(timeout)
    elif store is None:
        store, rank, world_size = _rendezvous(init_method or "env://", rank, world_size, timeout)
    elif rank < 0 or world_size < 1:
        raise ValueError("rank and world_size must be given if using store")
    if not 0 <= rank < world_size:
        raise ValueError(f"init_process_group: rank {rank} is not within 0 to {world_size - 1}")
    _state.update(store=store, count=0, timeout=timeout, make=None)
    GroupMember.WORLD = _open(range(world_size), rank, timeout, "0", name)


def adopt(store, make, rank, world_size):
    """Make the group of all ranks, and later ones, with a function from ranks to an engine (see simulated.py)."""
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    _state.update(store=store, count=0, timeout=DEFAULT_TIMEOUT, make=make)
    GroupMember.WORLD = _open(range(world_size), rank, DEFAULT_TIMEOUT, "0", "simulated")


def _open(ranks, rank, timeout, name, backend):
    store = PrefixStore(f"group/{name}", _state["store"])
    ranks = list(ranks)
    if _state["make"] is not None:
        engine = _state["make"](ranks)
    elif backend == "mpi":
        engine = mpi.MPIGroup(store, ranks.index(rank), len(ranks), ranks, timeout, int(name))
    else:
        engine = SharedGroup(store, ranks.index(rank), len(ranks), ranks, timeout, _lost)
    _state["groups"][name] = ProcessGroup(engine, ranks, name, store)
    return _state["groups"][name]


def _lost(rank):
    """The exit status of a process whose end the launcher has seen, else 0."""
    store = _state["store"]
    return int(store.get(ended(rank))) if store is not None and store.check([ended(rank)]) else 0


def new_group(ranks=None, timeout=None, backend=None, pg_options=None, use_local_synchronization=False,
              group_desc=None, device_id=None):
    """A group of some of the processes (all by default). All processes call this, in the same order."""
    world = world_group()
    name = _check_backend(backend) if backend else world.engine.backend
    ranks = list(range(world.size())) if ranks is None else sorted(ranks)
    if len(set(ranks)) != len(ranks):
        raise ValueError(f"new_group: a rank appears twice in {ranks}")
    if ranks and not 0 <= ranks[0] <= ranks[-1] < world.size():
        raise ValueError("the new group's rank should be within the world_size set by init_process_group")
    _state["count"] += 1
    if world.rank() not in ranks:
        return GroupMember.NON_GROUP_MEMBER
    return _open(ranks, world.rank(), timeout or _state["timeout"], str(_state["count"]), name)


def new_subgroups(group_size=None, group=None, timeout=None, backend=None, pg_options=None, group_desc=None):
    """(the group of this process, all groups) when the processes are cut into groups of `group_size`."""
    size = get_world_size()
    if not group_size or size % group_size:
        raise ValueError(f"The world size ({size}) must be divisible by group_size={group_size}")
    groups = [new_group(range(i, i + group_size), timeout, backend) for i in range(0, size, group_size)]
    return groups[get_rank() // group_size], groups


def get_pg_count():
    """The number of groups that are open."""
    return len(_state["groups"])


def world_group():
    """The group of all processes. ValueError before `init_process_group`."""
    if GroupMember.WORLD is None:
        raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")
    return GroupMember.WORLD


def member(group):
    """The group that `group` stands for (None: all); None if this process is not in it."""
    if group is None:
        return world_group()
    return None if group == GroupMember.NON_GROUP_MEMBER else group


def get_rank(group=None):
    """This process's number within the group (None: all); -1 if it is not in it."""
    group = member(group)
    return -1 if group is None else group.rank()


def get_world_size(group=None):
    """The number of processes in the group (None: all); -1 if this process is not in it."""
    group = member(group)
    return -1 if group is None else group.size()


def get_backend(group=None):
    """The backend of a group."""
    group = member(group)
    if group is None:
        raise ValueError("Invalid process group specified")
    return Backend(group.name())


def get_group_rank(group, global_rank):
    """The number within the group of a process of all."""
    ranks = member(group).ranks
    if global_rank not in ranks:
        raise ValueError(f"Global rank {global_rank} is not part of group {group}")
    return ranks.index(global_rank)


def get_global_rank(group, group_rank):
    """The number among all of a process of the group."""
    ranks = member(group).ranks
    if not 0 <= group_rank < len(ranks):
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return ranks[group_rank]


def get_process_group_ranks(group):
    """The members of a group, as numbers among all."""
    return list(member(group).ranks)


def get_node_local_rank(fallback_rank=None):
    """The number of this process on its machine."""
    known = started.settings()
    if "LOCAL_RANK" in known:
        return int(known["LOCAL_RANK"])
    if fallback_rank is None:
        raise RuntimeError("LOCAL_RANK is not in the environment. Consider passing fallback_rank")
    return int(fallback_rank)


def destroy_process_group(group=None):
    """Leave a group; None: all of them, the store too."""
    target = member(group)
    if target is None:
        return
    everything = target is GroupMember.WORLD
    for name in list(_state["groups"]) if everything else [target.group_name]:
        _state["groups"].pop(name).engine.close()
    if everything:
        GroupMember.WORLD = None
        _leave_store(target)


def _leave_store(world):
    """Close the store; the process that serves it waits until the others have left it."""
    store = _state["store"]
    while isinstance(store, PrefixStore):
        store = store.underlying_store
    _state["store"] = None
    if not isinstance(store, (TCPStore, FileStore)):
        return
    if isinstance(store, TCPStore) and world.size() > 1:
        store.add("\0left", 1)
        if store._server is not None:
            _wait_for_leaving(store, world.size())
    store.close()


def _wait_for_leaving(store, size, limit=timedelta(seconds=2)):
    store.set_timeout(limit)
    pause = 0.002
    for _ in range(int(seconds(limit) / pause)):
        if store.add("\0left", 0) >= size:
            return
        time.sleep(pause)
