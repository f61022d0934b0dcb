"""`torch.storage`: the classes of storages."""

from .tensor.conversion import TypedStorage, UntypedStorage

Storage = UntypedStorage

__all__ = ["Storage", "TypedStorage", "UntypedStorage"]
