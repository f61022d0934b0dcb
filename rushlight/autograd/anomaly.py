"""Anomaly detection: nodes remember where in the forward pass they were made, and gradients are searched for NaN.

In: the mode. Out: warnings that name the user's line before the engine raises. Read `engine` next.
"""

import warnings

from ..base.lazy import Lazy
from ..core import grads as rules
from ..core.graph import MODE

traceback = Lazy("traceback")


def note_trace(node):
    """Write the user's stack on a new node, and which node's formula made it."""
    node.trace = "".join(traceback.format_stack()[:-4])
    node.parent = MODE.node


def blame(node):
    """Warn where in the forward pass a node was made whose gradient failed."""
    if node.trace is None:
        warnings.warn(f"Error detected in {node.name()}. No forward pass information available. Enable detect anomaly "
                      "during forward pass for more information.", stacklevel=3)
        return
    warnings.warn(f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{node.trace}",
                  stacklevel=3)
    parent = node.parent
    while parent is not None:
        where = parent.trace or "No forward pass information available."
        warnings.warn(f"\n\nPrevious calculation was induced by {parent.name()}. Traceback of forward call that "
                      f"induced the previous calculation:\n{where}", stacklevel=3)
        parent = parent.parent


class set_detect_anomaly:
    """Turn anomaly detection on or off; as a context manager restores what was.

    check_nan: raise RuntimeError when a backward formula gives NaN."""

    def __init__(self, mode, check_nan=True):
        self.before = MODE.anomaly, MODE.check_nan
        MODE.anomaly, MODE.check_nan = bool(mode), bool(check_nan)

    def __enter__(self):
        return None

    def __exit__(self, *error):
        MODE.anomaly, MODE.check_nan = self.before


class detect_anomaly:
    """Context manager with anomaly detection: failing gradients name the forward line, and NaN raises RuntimeError."""

    def __init__(self, check_nan=True):
        self.check_nan = check_nan
        self.before = MODE.anomaly, MODE.check_nan
        warnings.warn("Anomaly Detection has been enabled. This mode will increase the runtime and should only be "
                      "enabled for debugging.",
                      stacklevel=2)

    def __enter__(self):
        self.before = MODE.anomaly, MODE.check_nan
        MODE.anomaly, MODE.check_nan = True, bool(self.check_nan)

    def __exit__(self, *error):
        MODE.anomaly, MODE.check_nan = self.before


def is_anomaly_enabled():
    """Whether anomaly detection is on."""
    return MODE.anomaly


def is_anomaly_check_nan_enabled():
    """Whether anomaly detection raises for NaN."""
    return MODE.check_nan


rules.anomaly_trace = note_trace
