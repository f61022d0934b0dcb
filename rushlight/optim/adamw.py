"""AdamW: Adam whose weight decay does not go through the averages.

In: parameters with gradients. Out: `AdamW`. Read next: `adam.py`, which has the formula.
"""

from __future__ import annotations

from typing import Any

from .adam import Adam
from .optimizer import Optimizer, ParamsT

__all__ = ["AdamW", "Optimizer"]


class AdamW(Adam):
    r"""Adam with decoupled weight decay: each step first shrinks the parameter.

    .. math::
        \theta \leftarrow \theta (1 - \gamma \lambda), \text{ then Adam's step without weight decay}

    Args:
        params: tensors, (name, tensor) pairs or parameter groups.
        lr, betas, eps, amsgrad, maximize, foreach, capturable, differentiable, fused: as for `Adam`.
        weight_decay: lambda.

    Raises:
        ValueError: a hyperparameter out of its range.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019).
    """

    _late_defaults = {**Adam._late_defaults, "decoupled_weight_decay": True}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes over `state`; a loaded checkpoint of Adam cannot turn the decoupled weight decay off."""
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
