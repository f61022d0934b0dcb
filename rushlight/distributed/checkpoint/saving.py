"""`save` and `load`: which rank writes what, and errors that all ranks see.

The coordinator (rank 0) gets from every rank a list of what it has, and tells each what to write: parts that several
ranks have (parameters that are not distributed, values that are not tensors) are written by one, the one that has the
least to write so far. See Note [Format] in files.py.
"""
import concurrent.futures
import os
import threading
import typing
import uuid

from ... import api as rl
from .. import objects, world
from ..group import data_of
from . import files

__all__ = ["FileSystemReader", "FileSystemWriter", "Stateful", "async_save", "load", "save"]


@typing.runtime_checkable
class Stateful(typing.Protocol):
    """An object with a state of its own; in a state dictionary it stands for `state_dict()`."""

    def state_dict(self):
        """The state to save."""

    def load_state_dict(self, state_dict):
        """Take over a state."""


class FileSystemWriter:
    """Writes a checkpoint into a folder."""

    def __init__(self, path, single_file_per_rank=True, sync_files=True, thread_count=1, overwrite=True, **_):
        self.path, self.overwrite = os.fspath(path), overwrite

    @property
    def checkpoint_id(self):
        """The folder."""
        return self.path


class FileSystemReader:
    """Reads a checkpoint from a folder."""

    def __init__(self, path, **_):
        self.path = os.fspath(path)

    @property
    def checkpoint_id(self):
        """The folder."""
        return self.path

    def read_metadata(self):
        """The table of contents."""
        return files.read_metadata(self.path)


def _folder(checkpoint_id, storage):
    if storage is not None:
        return storage.path if checkpoint_id is None else os.fspath(checkpoint_id)
    if checkpoint_id is None:
        raise RuntimeError("Must specify either checkpoint_id or a storage reader/writer")
    return os.fspath(checkpoint_id)


class _Ranks:
    """The ranks that take part; one alone without a group of processes."""

    def __init__(self, group, no_dist=False):
        self.group = None if no_dist or not world.is_initialized() else world.member(group)
        self.rank = 0 if self.group is None else self.group.rank()
        self.count = 1 if self.group is None else self.group.size()

    def gather(self, thing):
        """The things of all ranks on rank 0, None on the others."""
        if self.group is None:
            return [thing]
        found = [None] * self.count if self.rank == 0 else None
        objects.gather_object(thing, found, group=self.group, group_dst=0)
        return found

    def scatter(self, things):
        """From the list of rank 0, the thing of this rank."""
        if self.group is None:
            return things[0]
        box = [None]
        objects.scatter_object_list(box, things, group=self.group, group_src=0)
        return box[0]

    def broadcast(self, thing):
        """The thing of rank 0."""
        if self.group is None:
            return thing
        box = [thing]
        objects.broadcast_object_list(box, group=self.group, group_src=0)
        return box[0]

    def together(self, message, action):
        """Do `action()` on every rank; returns all results on rank 0. CheckpointException on all ranks if one failed.
        """
        result = failure = None
        try:
            result = action()
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
        rows = self.gather((result, failure))
        failures = rows and {rank: text for rank, (_, text) in enumerate(rows) if text is not None}
        failures = self.broadcast(failures)
        if failures:
            raise files.CheckpointException(message, failures)
        return rows and [row for row, _ in rows]


def _flat(value, path=()):
    """(path, leaf) for every leaf of nested dictionaries and lists that hold tensors."""
    if isinstance(value, dict) and value and all(isinstance(key, (str, int)) for key in value):
        for key, item in value.items():
            yield from _flat(item, (*path, key))
    elif isinstance(value, (list, tuple)) and _holds_tensors(value):
        for number, item in enumerate(value):
            yield from _flat(item, (*path, number))
    else:
        yield path, value


def _holds_tensors(value):
    if isinstance(value, rl.Tensor):
        return True
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return any(_holds_tensors(item) for item in items)


def _name(path):
    return ".".join(str(key).replace("\\", "\\\\").replace(".", "\\.") if number else str(key)
                    for number, key in enumerate(path))


def _states(state_dict):
    """The dictionary with the states of Stateful objects in place of them."""
    return {key: value.state_dict() if not isinstance(value, rl.Tensor) and isinstance(value, Stateful) else value
            for key, value in state_dict.items()}


def _described(leaf):
    """(dtype, whole shape, first row, rows) of a tensor's part; Nones and 0 for other values."""
    if not isinstance(leaf, rl.Tensor):
        return (None, None, 0, 1)
    dtype = str(leaf.dtype).rpartition(".")[2]
    rows = getattr(leaf, "_shard", None)
    if rows is None:
        return (dtype, tuple(leaf.shape), 0, leaf.size(0) if leaf.dim() else 1)
    return (dtype, rows.shape, rows.start, rows.stop - rows.start)


def _assign(plans):
    """For each rank the names that it writes: every part once, by a rank that has it and little to write."""
    holders = {}
    for rank, plan in enumerate(plans):
        for name, (description, nbytes) in plan.items():
            holders.setdefault((name, description[2:]), (nbytes, []))[1].append(rank)
    loads, found = [0] * len(plans), [set() for _ in plans]
    ordered = sorted(holders.items(), key=lambda item: (len(item[1][1]), -item[1][0]))
    for (name, _), (nbytes, ranks) in ordered:
        rank = ranks[0] if len(ranks) == 1 else min(ranks, key=loads.__getitem__)
        loads[rank] += nbytes
        found[rank].add(name)
    return found


def plan_of(leaves):
    """{name: (description, bytes)} of what a rank has. leaves: {name: tensor or other value}."""
    return {name: (_described(leaf), leaf.numel() * leaf.element_size() if isinstance(leaf, rl.Tensor) else 0)
            for name, leaf in leaves.items()}


def _write(folder, file, leaves, names):
    items = []
    for name in sorted(names):
        leaf = leaves[name]
        _, _, start, rows = _described(leaf)
        if isinstance(leaf, rl.Tensor):
            if rows:
                items.append((name, start, rows, data_of(leaf.detach().contiguous())))
        else:
            items.append((name, 0, 1, files.value_bytes(leaf)))
    return files.write_parts(folder, file, items) if items else []


def _contents(plans, written):
    """The Metadata of all ranks' parts."""
    entries = {}
    for plan in plans:
        for name, ((dtype, shape, _, _), _) in plan.items():
            entry = entries.setdefault(name, files.Entry(dtype, shape, []))
            if (entry.dtype, entry.shape) != (dtype, shape):
                raise ValueError(f"{name} is {dtype} {shape} on one rank and {entry.dtype} {entry.shape} on another")
    for rank_parts in written:
        for name, part in rank_parts:
            entries[name].parts.append(part)
    return files.Metadata(entries)


def save(state_dict, *, checkpoint_id=None, storage_writer=None, planner=None, process_group=None, no_dist=False, **_):
    """Write a checkpoint. All ranks call it; each writes its own parts.

    Args:
        state_dict: of tensors, nested dictionaries, other values, and objects with a state (Stateful). Tensors that are
            equal on all ranks are written once.
        checkpoint_id: the folder. One that has a checkpoint keeps it until the new one is complete.
        process_group: the ranks (None: all); no_dist (bool): this process alone.

    Returns the Metadata on rank 0, None elsewhere. Raises CheckpointException on all ranks if one has failed.
    """
    if planner is not None:
        raise NotImplementedError("checkpoint.save: planner")
    ranks, folder = _Ranks(process_group, no_dist), _folder(checkpoint_id, storage_writer)
    if storage_writer is not None and not storage_writer.overwrite and os.path.exists(
            os.path.join(folder, files.TABLE)):
        raise RuntimeError(f"Checkpoint already exists at {folder} and overwrite is False")
    return _save(dict(_leaves(state_dict)), ranks, folder)


def _leaves(state_dict):
    for path, leaf in _flat(_states(state_dict)):
        yield _name(path), leaf


def _save(leaves, ranks, folder):
    plans = ranks.gather(plan_of(leaves))
    names = ranks.scatter(_assign(plans) if plans else None)
    identity = ranks.broadcast(uuid.uuid4().hex[:8])
    written = ranks.together("save", lambda: _write(folder, f"__{ranks.rank}_{identity}.distcp", leaves, names))
    done = []

    def finish():
        if ranks.rank == 0:
            done.append(_contents(plans, written))
            os.makedirs(folder, exist_ok=True)
            files.commit(folder, done[0])
    ranks.together("save", finish)
    return done[0] if done else None


def load(state_dict, *, checkpoint_id=None, storage_reader=None, planner=None, process_group=None, no_dist=False, **_):
    """Fill a state dictionary from a checkpoint, in place. All ranks call it.

    The number of ranks and the way tensors are distributed may differ from those of the save. Tensors are filled; other
    values are replaced; objects with a state get `load_state_dict`.

    Raises CheckpointException on all ranks if one has failed, as for a name that the checkpoint lacks.
    """
    if planner is not None:
        raise NotImplementedError("checkpoint.load: planner")
    ranks, folder = _Ranks(process_group, no_dist), _folder(checkpoint_id, storage_reader)
    tables = ranks.together("load", lambda: files.read_metadata(folder) if ranks.rank == 0 else None)
    metadata = ranks.broadcast(tables and tables[0])
    states = _states(state_dict)
    ranks.together("load", lambda: _fill(states, folder, metadata))
    for key, value in list(state_dict.items()):
        if not isinstance(value, rl.Tensor) and isinstance(value, Stateful):
            value.load_state_dict(states[key])
        else:
            state_dict[key] = states[key]


def _fill(states, folder, metadata):
    for path, leaf in list(_flat(states)):
        name = _name(path)
        entry = metadata.entries.get(name)
        if entry is None:
            raise RuntimeError(f"Missing key in checkpoint state_dict: {name}.")
        if isinstance(leaf, rl.Tensor):
            _, shape, start, _ = _described(leaf)
            if entry.shape is None or tuple(entry.shape) != tuple(shape):
                raise ValueError(f"Size mismatch between saved {entry.shape} and current: {shape} for {name}")
            files.read_rows(folder, name, entry, start, leaf)
        else:
            target = states
            for key in path[:-1]:
                target = target[key]
            if entry.dtype is None:
                target[path[-1]] = files.value_of(files.read_part(folder, entry.parts[0]))
            else:
                target[path[-1]] = rl.empty(entry.shape, dtype=getattr(rl, entry.dtype))
                files.read_rows(folder, name, entry, 0, target[path[-1]])


_async = {"group": None, "thread": None}


def async_save(state_dict, *, checkpoint_id=None, storage_writer=None, planner=None, process_group=None, no_dist=False,
               **_):
    """`save` on a thread of its own, of a copy of the state. Returns a concurrent.futures.Future.

    All ranks call it. Ranks of the default group open a second group for it, the first time.
    """
    if planner is not None:
        raise NotImplementedError("checkpoint.async_save: planner")
    folder = _folder(checkpoint_id, storage_writer)
    if _async["thread"] is not None:
        _async["thread"].join()  # saves happen one after the other
    if world.is_initialized() and process_group is None and not no_dist:
        if _async["group"] is None or _async["group"][0] is not world.world_group():
            _async["group"] = (world.world_group(), world.new_group())
        process_group = _async["group"][1]
    ranks, leaves = _Ranks(process_group, no_dist), {}
    for name, leaf in _leaves(state_dict):
        leaves[name] = leaf
        if isinstance(leaf, rl.Tensor):
            leaves[name] = leaf.detach().clone()
            if hasattr(leaf, "_shard"):
                leaves[name]._shard = leaf._shard
            data_of(leaves[name].contiguous())  # computed now: the tensor may change after this call
    future = concurrent.futures.Future()

    def run():
        try:
            future.set_result(_save(leaves, ranks, folder))
        except BaseException as error:
            future.set_exception(error)
    _async["thread"] = threading.Thread(target=run, name="rushlight checkpoint")
    _async["thread"].start()
    return future
