"""Neural networks: layers, containers, losses and initial values, with PyTorch's names. Next to read:
modules/module.py.
"""
from ..base import lazy
from ..core.namespace import publish as _publish
from . import functional, init, modules
from .attention_functional import multi_head_attention_forward
from .loss_functional import linear_cross_entropy
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

_PARTS = {
    "attention": "", "attention_functional": "", "common_types": "", "functional": "", "grad": "", "init": "",
    "loss_functional": "", "modules": " ".join(modules.__all__), "parallel": "DataParallel", "parameter": "",
    "sequences": "", "utils": "",
}
__getattr__, __dir__ = lazy.exports(globals(), _PARTS)
__all__ = [
    *_PARTS, *modules.__all__, "Buffer", "DataParallel", "Parameter", "UninitializedBuffer", "UninitializedParameter",
    "factory_kwargs",
]

# Functions made of other functions; functional.py, which they are made of, cannot import them.
functional.multi_head_attention_forward = _publish("nn.functional.multi_head_attention_forward",
                                                   multi_head_attention_forward)
functional.linear_cross_entropy = linear_cross_entropy
del multi_head_attention_forward, linear_cross_entropy


def factory_kwargs(kwargs):
    """The keyword arguments that make tensors (device, dtype, memory_format) out of `kwargs` and
    kwargs["factory_kwargs"].

    Raises TypeError for other names, or names given twice.
    """
    if kwargs is None:
        return {}
    names = ("device", "dtype", "memory_format")
    unexpected = kwargs.keys() - {*names, "factory_kwargs"}
    if unexpected:
        raise TypeError(f"unexpected kwargs {unexpected}")
    result = dict(kwargs.get("factory_kwargs", {}))
    for name in names:
        if name in kwargs:
            if name in result:
                raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
            result[name] = kwargs[name]
    return result
