"""Batches over devices: split nested tensors into one part for every device (`scatter`), and join them (`gather`)."""
from ... import api as rl

__all__ = ["scatter", "scatter_kwargs", "gather"]


def as_device(device):
    """A device from a number (of a GPU), a name or a device."""
    return rl.device("cuda", device) if isinstance(device, int) else rl.device(device)


def _is_named_tuple(value):
    return isinstance(value, tuple) and hasattr(value, "_asdict") and hasattr(value, "_fields")


def scatter(inputs, target_gpus, dim=0):
    """A list with one copy of `inputs` for every device, in which tensors are chunks of the originals along `dim`.

    Tuples, lists and dictionaries are searched; other objects are the same in all copies.
    """
    if isinstance(inputs, rl.Tensor):
        chunks = inputs.chunk(len(target_gpus), dim)
        return [chunk.to(as_device(device)) for chunk, device in zip(chunks, target_gpus)]
    if _is_named_tuple(inputs):
        return [type(inputs)(*parts) for parts in zip(*(scatter(entry, target_gpus, dim) for entry in inputs))]
    if isinstance(inputs, (tuple, list)) and inputs:
        return [type(inputs)(parts) for parts in zip(*(scatter(entry, target_gpus, dim) for entry in inputs))]
    if isinstance(inputs, dict) and inputs:
        columns = [scatter(entry, target_gpus, dim) for entry in inputs.values()]
        return [type(inputs)(zip(inputs, parts)) for parts in zip(*columns)]
    return [inputs for _ in target_gpus]


def scatter_kwargs(inputs, kwargs, target_gpus, dim=0):
    """Two tuples of the same length: the positional arguments and the keyword arguments for every device."""
    inputs = scatter(inputs, target_gpus, dim) if inputs else []
    kwargs = scatter(kwargs, target_gpus, dim) if kwargs else []
    inputs.extend(() for _ in range(len(kwargs) - len(inputs)))
    kwargs.extend({} for _ in range(len(inputs) - len(kwargs)))
    return tuple(inputs), tuple(kwargs)


def gather(outputs, target_device, dim=0):
    """The outputs of all devices joined on one, along `dim`; scalars become a vector. Structures are kept."""
    first = outputs[0]
    if isinstance(first, rl.Tensor):
        moved = [output.to(as_device(target_device)) for output in outputs]
        return rl.stack(moved) if first.dim() == 0 else rl.cat(moved, dim)
    if first is None:
        return None
    if isinstance(first, dict):
        if not all(len(first) == len(output) for output in outputs):
            raise ValueError("All dicts must have the same number of keys")
        return type(first)((key, gather([output[key] for output in outputs], target_device, dim)) for key in first)
    joined = [gather(entries, target_device, dim) for entries in zip(*outputs)]
    return type(first)(*joined) if _is_named_tuple(first) else type(first)(joined)
