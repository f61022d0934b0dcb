"""A chain of data pipes as a whole: brings shuffling, seeds and shards to the pipes they concern.

Used by DataLoader: a `Shuffler` gets the seed of the pass, a `ShardingFilter` the part of its worker. Read next:
iter.py.
"""

import warnings

from ..sampler import draw_seed
from .datapipe import IterDataPipe, MapDataPipe


def pipes_of(pipe):
    """The pipe and all pipes that it draws from, the last one first."""
    found, pending = {}, [pipe]
    while pending:
        thing = pending.pop(0)
        if isinstance(thing, (IterDataPipe, MapDataPipe)):
            if id(thing) not in found:
                found[id(thing)] = thing
                pending.extend(vars(thing).values())
        elif isinstance(thing, (list, tuple)):
            pending.extend(thing)
        elif isinstance(thing, dict):
            pending.extend(thing.values())
    return list(found.values())


def apply_shuffle_settings(datapipe, shuffle=None):
    """Turns all Shufflers on or off, adding one at the end if there is none; None leaves everything as it is."""
    if shuffle is None:
        return datapipe
    shufflers = [pipe for pipe in pipes_of(datapipe) if _has(pipe, "set_shuffle") and _has(pipe, "set_seed")]
    if not shufflers and shuffle:
        warnings.warn(
            "`shuffle=True` was set, but the datapipe does not contain a `Shuffler`. Adding one at the end. Be aware "
            "that the default buffer size might not be sufficient for your task.", stacklevel=4)
        datapipe = datapipe.shuffle()
        shufflers = [datapipe]
    for shuffler in shufflers:
        shuffler.set_shuffle(shuffle)
    return datapipe


def apply_random_seed(datapipe, rng):
    """Gives every pipe that takes a seed one from a generator."""
    for pipe in pipes_of(datapipe):
        if _has(pipe, "set_seed"):
            pipe.set_seed(draw_seed(rng))
    return datapipe


def apply_sharding(datapipe, num_of_instances, instance_id):
    """Tells every pipe that can give out a part which of how many parts this process gets."""
    for pipe in pipes_of(datapipe):
        if _has(pipe, "apply_sharding"):
            pipe.apply_sharding(num_of_instances, instance_id)
    return datapipe


def _has(pipe, name):
    # Not hasattr: every name of a functional form is an attribute of every pipe.
    return callable(getattr(type(pipe), name, None))
