"""DataParallel as PyTorch's where there is one device, or none: the module itself runs."""
from ... import api as rl
from ..modules.module import Module
from .parallel_apply import parallel_apply
from .replicate import replicate
from .scatter_gather import gather, scatter_kwargs


class DataParallel(Module):
    """Runs a module on the devices that there are; on the CPU that is the module itself.

    Args: module (Module); device_ids, output_device, dim: as PyTorch's; more than one device is a
    NotImplementedError.
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0):
        super().__init__()
        _check_devices(device_ids)
        self.module, self.device_ids, self.dim, self.output_device = module, [], dim, output_device

    def forward(self, *inputs, **kwargs):
        """The module's output."""
        return self.module(*inputs, **kwargs)

    def replicate(self, module, device_ids):
        """Copies of a module that share its parameters, one a device."""
        return replicate(module, device_ids)

    def scatter(self, inputs, kwargs, device_ids):
        """The parts of arguments for each device."""
        return scatter_kwargs(inputs, kwargs, device_ids, dim=self.dim)

    def parallel_apply(self, replicas, inputs, kwargs):
        """The outputs of the copies."""
        return parallel_apply(replicas, inputs, kwargs, self.device_ids[:len(replicas)])

    def gather(self, outputs, output_device):
        """The outputs joined along the batch."""
        return gather(outputs, output_device, dim=self.dim)


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    """The module's output for inputs (a tensor, or a tuple of them), as `DataParallel` computes it."""
    _check_devices(device_ids)
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*inputs, **(module_kwargs or {}))


def _check_devices(device_ids):
    devices = {str(rl.device(f"cuda:{d}" if isinstance(d, int) else d)) for d in device_ids or ()}
    if devices:
        raise NotImplementedError(f"DataParallel: devices {', '.join(sorted(devices))}; there is only the CPU")
