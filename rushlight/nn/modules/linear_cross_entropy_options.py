"""Options of `LinearCrossEntropyLoss`: how its work is split, checked."""
import re
from dataclasses import dataclass

from ... import api as rl

__all__ = ["LinearCrossEntropyOptions"]

_POLICIES = ("auto", "compact", "accurate")
_METHODS = re.compile(r"auto|aspect_ratio(:[1-9]\d*)?")


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch splits the logits of a linear cross entropy into pieces. Here it is recorded; results do not depend
    on it.

    Raises ValueError for values that PyTorch refuses.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: object = None

    def __post_init__(self):
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        if self.acc_policy not in _POLICIES:
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        method = self.chunking_method
        if method is not None and not (isinstance(method, str) and _METHODS.fullmatch(method)):
            raise ValueError(f"invalid chunking_method: {method!r}")
        if self.acc_dtype not in (None, rl.float16, rl.bfloat16, rl.float32, rl.float64):
            raise ValueError(
                "acc_dtype must be one of {None, torch.float16, torch.bfloat16, torch.float32, torch.float64}, got "
                f"{self.acc_dtype!r}. Pass acc_dtype=None to let the op pick automatically."
            )
