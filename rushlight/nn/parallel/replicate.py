"""Copies of a module, one for each device. Gradients reach the original."""
from .scatter_gather import as_device

__all__ = ["replicate"]


def replicate(network, devices, detach=False):
    """A list of copies of a module, one for every device.

    Parameters of the copies are ordinary tensors made from the original ones, so that gradients reach those, unless
    `detach`. Buffers are copied. The copies are for one forward and backward pass.
    """
    modules = list(network.modules())
    replicas = []
    for device in map(as_device, devices):
        copies = {module: module._replicate_for_data_parallel() for module in modules}
        moved = {}
        for module, replica in copies.items():
            for name, child in module._modules.items():
                replica._modules[name] = None if child is None else copies[child]
            for name, parameter in module._parameters.items():
                if parameter is None:
                    continue
                if parameter not in moved:
                    moved[parameter] = (parameter.detach() if detach else parameter).to(device)
                del replica._parameters[name]
                replica.__dict__[name] = moved[parameter]
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    replica._buffers[name] = buffer.to(device)
            replica._is_replica = True
        replicas.append(copies[network])
    return replicas
