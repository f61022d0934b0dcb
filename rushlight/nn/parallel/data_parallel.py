"""Data parallelism within one process: batches come in, and are split over the devices that there are.

Without a GPU, and with a single one, the module is called as it is.
"""
from ... import api as rl
from ...base import errors
from ..modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


def _device_ids(device_ids):
    """Numbers of the GPUs to use; an empty list without any."""
    cuda = getattr(rl, "cuda", None)
    if cuda is None or not cuda.is_available():
        return []
    if device_ids is None:
        return list(range(cuda.device_count()))
    return [device if isinstance(device, int) else rl.device(device).index for device in device_ids]


def _check_single(device_ids):
    if len(device_ids) > 1:
        raise errors.missing("DataParallel", "a batch split over several GPUs", "give device_ids=[one GPU]")


class DataParallel(Module):
    """A module whose batches are split over several GPUs along dimension `dim`.

    Args: `module`; `device_ids`, all GPUs by default; `output_device`, the first of them by default. The module itself
    is the attribute `module`. With several GPUs NotImplementedError is raised; without one it is called as it is.
    """

    def __init__(self, module, device_ids=None, output_device=None, dim: int = 0):
        super().__init__()
        self.dim = dim
        self.module = module
        self.device_ids = _device_ids(device_ids)
        _check_single(self.device_ids)
        if self.device_ids:
            self.output_device = self.device_ids[0] if output_device is None else output_device
            self.module.to(rl.device("cuda", self.device_ids[0]))

    def forward(self, *inputs, **kwargs):
        return data_parallel(self.module, inputs, self.device_ids, dim=self.dim, module_kwargs=kwargs)


def _moved(value, device):
    """Tensors in nested tuples, lists and dictionaries on another device."""
    if isinstance(value, rl.Tensor):
        return value.to(device)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[_moved(entry, device) for entry in value])
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(entry, device) for entry in value)
    if isinstance(value, dict):
        return type(value)((key, _moved(entry, device)) for key, entry in value.items())
    return value


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    """module(*inputs, **module_kwargs), with the batch split over GPUs as `DataParallel` does."""
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    kwargs = module_kwargs or {}
    device_ids = _device_ids(device_ids)
    _check_single(device_ids)
    if device_ids:
        device = rl.device("cuda", device_ids[0])
        inputs, kwargs = _moved(inputs, device), _moved(kwargs, device)
    return module(*inputs, **kwargs)
