"""The device "meta": tensors have layouts and no values. Operators run their shape rules (core/infer.py) and nothing
else, so that a model can be described before it is loaded."""

from ...core.device import Parts
from ...core.elsewhere import DescribingStream

PARTS = Parts("meta", DescribingStream)
