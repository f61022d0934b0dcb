"""Parameters as one vector, and back."""
from ... import api as rl

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters):
    """All values of the parameters in one vector. Raises TypeError if they are on different devices."""
    parameters = list(parameters)
    _check_devices(parameters)
    return rl.cat([parameter.view(-1) for parameter in parameters])


def vector_to_parameters(vec, parameters):
    """Make the values of a vector those of the parameters, which share its memory then."""
    if not isinstance(vec, rl.Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {rl.typename(vec)}")
    parameters = list(parameters)
    _check_devices(parameters)
    start = 0
    for parameter in parameters:
        count = parameter.numel()
        parameter.data = vec[start : start + count].view_as(parameter).data
        start += count


def _check_devices(parameters):
    if len({parameter.device for parameter in parameters}) > 1:
        raise TypeError("Found two parameters on different devices, this is currently not supported.")
