"""`torch.utils.flop_counter`: how many floating point operations products and convolutions of a program take.

In: calls of public functions, seen by a mode. Out: counts by function. A product of n terms counts as 2 n, as in
PyTorch; everything else counts nothing. What a backward pass computes is not seen by modes: each gradient of a product
costs what the product costs, which `get_total_flops(backward=True)` adds.
"""

import collections
import math

from ..core.tensor import Tensor
from ..overrides import TorchFunctionMode, resolve_name

__all__ = ["FlopCounterMode"]


def matmul_flops(a, b, result):
    """2 times the elements of the result times the terms of each."""
    return 2 * result.numel() * a.shape[-1]


def linear_flops(input, weight, result):
    """As a product."""
    return 2 * result.numel() * weight.shape[-1]


def conv_flops(input, weight, result):
    """2 times the elements of the result times the taps of each."""
    return 2 * result.numel() * math.prod(weight.shape[1:])


def conv_transpose_flops(input, weight, result):
    """2 times the elements of the input times the taps of each."""
    return 2 * input.numel() * math.prod(weight.shape[1:])


def addmm_flops(input, a, b, result):
    """The product alone."""
    return matmul_flops(a, b, result)


def attention_flops(query, key, value, result):
    """Two products of batches of matrices."""
    return 2 * query.numel() * key.shape[-2] + 2 * result.numel() * key.shape[-2]


FORMULAS = {
    **dict.fromkeys("matmul mm bmm mv dot __rmatmul__".split(), (matmul_flops, 2)),
    **dict.fromkeys("addmm baddbmm addmv".split(), (addmm_flops, 3)),
    "linear": (linear_flops, 2),
    **dict.fromkeys("conv1d conv2d conv3d".split(), (conv_flops, 2)),
    **dict.fromkeys("conv_transpose1d conv_transpose2d conv_transpose3d".split(), (conv_transpose_flops, 2)),
    "scaled_dot_product_attention": (attention_flops, 3),
}


class FlopCounterMode(TorchFunctionMode):
    """A context that counts floating point operations.

    Args: `mods`, accepted and not needed; `depth`, accepted: the table has functions, not modules; `display`, whether
    the table is printed at the end; `custom_mapping`, more formulas: a public function to `(*tensors, result) ->
    operations`.

    Example::

        from torch.utils.flop_counter import FlopCounterMode
        with FlopCounterMode(display=False) as counter:
            torch.ones(2, 3) @ torch.ones(3, 4)
        assert counter.get_total_flops() == 2 * 2 * 3 * 4
    """

    def __init__(self, mods=None, depth=2, display=True, custom_mapping=None):
        super().__init__()
        self.display, self.custom = display, dict(custom_mapping or {})
        self.counts = collections.Counter()

    def __enter__(self):
        self.counts.clear()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        if self.display:
            print(self.get_table())

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        formula, count = (self.custom[func], None) if func in self.custom else self.formula(func)
        if formula is not None:
            tensors = [v for v in (*args, *(kwargs or {}).values()) if isinstance(v, Tensor)]
            self.counts[resolve_name(func)] += formula(*tensors[:count], result)
        return result

    @staticmethod
    def formula(func):
        """(the formula of a function or None, how many tensors it takes)."""
        return FORMULAS.get(getattr(func, "__name__", None), (None, 0))

    def get_total_flops(self, backward=False):
        """The sum over all functions; with `backward` also of the two gradients of each product."""
        return sum(self.counts.values()) * (3 if backward else 1)

    def get_flop_counts(self):
        """{"Global": operations by public function}."""
        return {"Global": dict(self.counts)}

    def get_table(self, depth=None):
        """The counts as text, the largest first."""
        total = self.get_total_flops()
        rows = [("Global", total)] + [(f" - {name}", count) for name, count in self.counts.most_common()]
        width = max([len(name) for name, _ in rows])
        return "\n".join([f"{'Module':<{width}}  {'FLOP':>16}  {'% Total':>8}"] + [
            f"{name:<{width}}  {count:>16,}  {100 * count / max(total, 1):>7.2f}%" for name, count in rows])
