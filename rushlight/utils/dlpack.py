"""`torch.utils.dlpack`: the exchange of memory with other libraries (see `sharing`)."""

from ..tensor.sharing import from_dlpack, to_dlpack  # noqa: F401
