"""`torch.random`: seeds and states of the CPU generator, and `fork_rng`, from the operator registry
(ops/random/generator.py)."""

from .core.declare import REGISTRY
from .core.namespace import fill

default_generator = REGISTRY["default_generator"]
fill(globals(), "random")
