"""An optimizer that works on other parameters and another state for a while.

In: an optimizer, parameters and a `state_dict`. Out: `swap_in_optimizer_params_and_state`, a context manager.
Read next: `optimizer.py`.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from .optimizer import Optimizer

__all__ = ["swap_in_optimizer_params_and_state"]

NAME = "swap_in_optimizer_params_and_state"


@contextlib.contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer, swapin_parameters: dict[str, Any], swapin_optim_state: dict[str, Any]
) -> Iterator[None]:
    """Puts other parameters and another state in the place of the optimizer's, until the block ends.

    Args:
        optimizer: an optimizer that has state already.
        swapin_parameters: tensors by name, in the order of the optimizer's parameters.
        swapin_optim_state: state and groups, in the form of `optimizer.state_dict()`. Its tensors are written in
            place by what the optimizer does; new entries are not put into it.

    Raises:
        RuntimeError: the two do not fit the optimizer's groups.
    """
    check_fits(optimizer, swapin_parameters, swapin_optim_state)
    saved_state, saved_groups = optimizer.state, [dict(group) for group in optimizer.param_groups]
    remaining = iter(swapin_parameters.values())
    state: defaultdict[Any, Any] = defaultdict(dict)
    try:
        for group, given in zip(optimizer.param_groups, swapin_optim_state["param_groups"]):
            params = [next(remaining) for _ in given["params"]]
            group.update(given, params=params)
            for number, param in zip(given["params"], params):
                state[param] = dict(swapin_optim_state["state"].get(number, {}))
        optimizer.state = state
        yield
    finally:
        for group, saved in zip(optimizer.param_groups, saved_groups):
            group.clear()
            group.update(saved)
        optimizer.state = saved_state


def check_fits(optimizer: Optimizer, parameters: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuses parameters and state that do not have the structure of the optimizer's own."""
    if not optimizer.state:
        raise RuntimeError(f"{NAME} requires initialized optimizer state.")
    if not isinstance(given, dict) or not isinstance(given.get("state"), dict):
        raise RuntimeError(f"{NAME} requires an optimizer state_dict with a dict 'state'.")
    groups, given_groups = optimizer.param_groups, given.get("param_groups")
    if not isinstance(given_groups, list) or len(given_groups) != len(groups):
        raise RuntimeError(f"{NAME} requires 'param_groups' with one entry a group of the optimizer.")
    for index, (group, given_group) in enumerate(zip(groups, given_groups)):
        if set(given_group) != set(group):
            raise RuntimeError(
                f"{NAME} requires the keys of group {index} to match the optimizer's. "
                f"Keys only in swap-in: {[key for key in given_group if key not in group]}. "
                f"Keys only in live: {[key for key in group if key not in given_group]}."
            )
        if len(given_group["params"]) != len(group["params"]):
            raise RuntimeError(f"{NAME}: param group {index} has a different number of params than the optimizer's.")
    numbers = {number for group in given_groups for number in group["params"]}
    if len(parameters) < sum(len(group["params"]) for group in groups):
        raise RuntimeError(f"{NAME} requires as many parameters as the optimizer's groups have.")
    if extra := [number for number in given["state"] if number not in numbers]:
        raise RuntimeError(f"{NAME} requires state keyed by the parameters' numbers; got extra keys {extra!r}.")
