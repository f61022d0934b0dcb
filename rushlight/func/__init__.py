"""`torch.func`: functions of functions. Derivatives, batches and modules as functions.

Read `batched` first (what a function sees under vmap), then `rules`, `vmap` and `derivatives`.
"""

from . import custom  # noqa: F401  (it enters the rule of custom functions)
from .batched import debug_unwrap
from .derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from .rearrange import rearrange
from .stateless import functional_call, functionalize, replace_all_batch_norm_modules_, stack_module_state
from .vmap import vmap

__all__ = ["debug_unwrap", "functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd",
           "jacrev", "jvp", "linearize", "rearrange", "replace_all_batch_norm_modules_", "stack_module_state", "vjp",
           "vmap"]
