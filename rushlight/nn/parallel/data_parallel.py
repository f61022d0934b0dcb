"""Data parallelism within one process: batches come in, and are split over the devices that there are."""
from ... import api as rl
from ..modules.module import Module
from .parallel_apply import parallel_apply
from .replicate import replicate
from .scatter_gather import as_device, gather, scatter_kwargs

__all__ = ["DataParallel", "data_parallel"]


def _device_ids(device_ids):
    """Numbers of the GPUs to use; an empty list without any."""
    cuda = getattr(rl, "cuda", None)
    if cuda is None or not cuda.is_available():
        return []
    if device_ids is None:
        return list(range(cuda.device_count()))
    return [device if isinstance(device, int) else rl.device(device).index for device in device_ids]


class DataParallel(Module):
    """A module whose batches are split over several GPUs along dimension `dim`, which get a copy of it for every call.

    Args: `module`; `device_ids`, all GPUs by default; `output_device`, where results are joined, the first one by
    default. The module itself is the attribute `module`. Without a GPU it is called as it is.
    """

    def __init__(self, module, device_ids=None, output_device=None, dim: int = 0):
        super().__init__()
        self.dim = dim
        self.module = module
        self.device_ids = _device_ids(device_ids)
        if self.device_ids:
            self.output_device = self.device_ids[0] if output_device is None else output_device
            if len(self.device_ids) == 1:
                self.module.to(as_device(self.device_ids[0]))

    def forward(self, *inputs, **kwargs):
        if not self.device_ids:
            return self.module(*inputs, **kwargs)
        inputs, kwargs = self.scatter(inputs, kwargs, self.device_ids)
        if not inputs and not kwargs:
            inputs, kwargs = ((),), ({},)
        if len(self.device_ids) == 1:
            return self.module(*inputs[0], **kwargs[0])
        replicas = self.replicate(self.module, self.device_ids[: len(inputs)])
        return self.gather(self.parallel_apply(replicas, inputs, kwargs), self.output_device)

    def replicate(self, module, device_ids):
        """One copy of the module for every device."""
        return replicate(module, device_ids, not rl.is_grad_enabled())

    def scatter(self, inputs, kwargs, device_ids):
        """The arguments for every device."""
        return scatter_kwargs(inputs, kwargs, device_ids, dim=self.dim)

    def parallel_apply(self, replicas, inputs, kwargs):
        """The outputs of all copies."""
        return parallel_apply(replicas, inputs, kwargs, self.device_ids[: len(replicas)])

    def gather(self, outputs, output_device):
        """The outputs joined on one device."""
        return gather(outputs, output_device, dim=self.dim)


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    """module(*inputs, **module_kwargs), with the batch split over GPUs as `DataParallel` does."""
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return DataParallel(module, device_ids, output_device, dim)(*inputs, **(module_kwargs or {}))
