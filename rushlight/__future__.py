"""`torch.__future__`: how `module.to(...)` and its like enter converted parameters.

By default a parameter keeps its identity and gets new memory (`p.data = converted`). Overwriting makes a new Parameter;
swapping exchanges the contents of the two tensors, so that every reference sees the converted one.
"""

from .nn.modules import conversions as _conversions


def set_overwrite_module_params_on_conversion(value):
    """Whether conversions make new parameters."""
    _conversions.OPTIONS.overwrite = value


def get_overwrite_module_params_on_conversion():
    """Whether conversions make new parameters."""
    return _conversions.OPTIONS.overwrite


def set_swap_module_params_on_conversion(value):
    """Whether conversions and `load_state_dict` swap the contents of parameters."""
    _conversions.OPTIONS.swap = value


def get_swap_module_params_on_conversion():
    """Whether conversions and `load_state_dict` swap the contents of parameters."""
    return _conversions.OPTIONS.swap
