"""`torch.func`: functions of functions. Derivatives, batches and modules as functions.

Read `batched` first (what a function sees under vmap), then `rules`, `vmap` and `derivatives`.
"""

from . import custom  # noqa: F401  (it enters the rule of custom functions)
from .derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from .stateless import functional_call, functionalize, stack_module_state
from .vmap import vmap

__all__ = ["functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp",
           "linearize", "stack_module_state", "vjp", "vmap"]
