"""`GradScaler`: scale losses so that gradients in half precision do not vanish, skip steps whose gradients overflow."""

import inspect
import warnings
from collections import abc, defaultdict
from enum import Enum

from .. import api as rl

__all__ = ["GradScaler", "OptState"]


class OptState(Enum):
    """How far an optimizer is in an iteration."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _fresh():
    return {"stage": OptState.READY, "found": None}


class GradScaler:
    """Scales losses by a factor that adapts: it doubles after `growth_interval` good steps and halves after a bad one.

    A step is bad if a gradient has an infinite or NaN element; it is then skipped. The order of an iteration is
    `scale(loss).backward()`, optionally `unscale_(optimizer)`, `step(optimizer)`, `update()`.

    Args:
        device (str): the device type of the gradients.
        init_scale (float): the first factor.
        growth_factor (float): what the factor is multiplied by after good steps, greater than 1.
        backoff_factor (float): what it is multiplied by after a bad step, less than 1.
        growth_interval (int): the number of consecutive good steps before it grows.
        enabled (bool): False makes `scale` and `step` plain, and `update` nothing.

    Example:
        >>> scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        >>> w = torch.nn.Parameter(torch.ones(1))
        >>> optimizer = torch.optim.SGD([w], lr=0.5)
        >>> scaler.scale((w * 2).sum()).backward()
        >>> scaler.step(optimizer)
        >>> scaler.update()
        >>> w.item(), scaler.get_scale()
        (0.0, 4.0)
    """

    def __init__(self, device="cuda", init_scale=2.0**16, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000,
                 enabled=True):
        self._device = device
        self._enabled = enabled
        if enabled and device == "cuda":
            warnings.warn("torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.", stacklevel=2)
            self._enabled = False
        if not self._enabled:
            return
        if not growth_factor > 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if not backoff_factor < 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._init_scale = init_scale
        self._scale = None
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        self._per_optimizer_states = defaultdict(_fresh)

    def _need_scale(self, what):
        if self._scale is None:
            raise AssertionError(f"Attempted {what} but _scale is None.  This may indicate your script did not use "
                                 "scaler.scale(loss or outputs) earlier in the iteration.")

    def scale(self, outputs):
        """A tensor, or the tensors in nested lists and tuples, times the factor. ValueError for anything else."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, rl.Tensor):
            if self._scale is None:
                self._scale = rl.full((), self._init_scale, dtype=rl.float32, device=outputs.device)
            return outputs * self._scale
        if isinstance(outputs, abc.Iterable) and not isinstance(outputs, (str, bytes)):
            scaled = [self.scale(item) for item in outputs]
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else iter(scaled)
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer):
        """Divide the gradients of an optimizer's parameters by the factor, in place, and note whether all are finite.

        Call it before gradients are looked at or clipped; `step` does it otherwise. RuntimeError if it was called for
        this optimizer since the last `update`, ValueError for gradients in float16.
        """
        if not self._enabled:
            return
        self._need_scale("unscale_")
        entry = self._per_optimizer_states[id(optimizer)]
        if entry["stage"] is OptState.UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if entry["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        inverse = self._scale.double().reciprocal().float()
        entry["found"] = self._unscale_grads_(optimizer, inverse, False)
        entry["stage"] = OptState.UNSCALED

    def _unscale_grads_(self, optimizer, inverse, allow_fp16):
        """Unscale; a tensor with the number of gradients that are not finite, None without gradients."""
        bad = None
        with rl.no_grad():
            for group in optimizer.param_groups:
                for param in group["params"]:
                    if param.grad is None:
                        continue
                    if not allow_fp16 and param.grad.dtype is rl.float16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    grad = param.grad
                    this = rl.isfinite(grad).all().logical_not().to(rl.float32)
                    grad.mul_(inverse.to(grad.dtype))
                    bad = this if bad is None else bad + this
        return bad

    def step(self, optimizer, *args, **kwargs):
        """`optimizer.step(*args, **kwargs)` with unscaled gradients, unless one of them is infinite or NaN.

        Returns what the optimizer's step returns, None if it is skipped. RuntimeError for closures, and if it was
        called for this optimizer since the last `update`.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._need_scale("step")
        entry = self._per_optimizer_states[id(optimizer)]
        if entry["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if getattr(optimizer, "_step_supports_amp_scaling", False) and self._takes_scaler(optimizer):
            kwargs = {**kwargs, "grad_scaler": self}
            entry["stage"] = OptState.STEPPED
            return optimizer.step(*args, **kwargs)
        if entry["stage"] is OptState.READY:
            self.unscale_(optimizer)
        if entry["found"] is None:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        entry["found"] = float(entry["found"].item())
        result = None if entry["found"] else optimizer.step(*args, **kwargs)
        entry["stage"] = OptState.STEPPED
        return result

    @staticmethod
    def _takes_scaler(optimizer):
        return "grad_scaler" in inspect.signature(optimizer.step).parameters

    def update(self, new_scale=None):
        """End an iteration: adapt the factor, or set it to `new_scale` (a float or a tensor of one element)."""
        if not self._enabled:
            return
        self._need_scale("update")
        if new_scale is not None:
            self._set_scale(new_scale)
        else:
            found = [entry["found"] for entry in self._per_optimizer_states.values() if entry["found"] is not None]
            if not found:
                raise AssertionError("No inf checks were recorded prior to update.")
            self._adapt(any(float(value) for value in found))
        self._per_optimizer_states = defaultdict(_fresh)

    def _set_scale(self, new_scale):
        if isinstance(new_scale, float):
            self._scale.fill_(new_scale)
            return
        if new_scale.device.type != self._scale.device.type or new_scale.numel() != 1 or new_scale.requires_grad:
            raise AssertionError("new_scale should be a float or a 1-element torch.cuda.FloatTensor or "
                                 "torch.FloatTensor with requires_grad=False.")
        self._scale.copy_(new_scale.reshape(()))

    def _adapt(self, overflowed):
        """The next factor."""
        if overflowed:
            self._scale.fill_(self._scale.item() * self._backoff_factor)
            self._growth_tracker = 0
            return
        self._growth_tracker += 1
        if self._growth_tracker == self._growth_interval:
            grown = self._scale * self._growth_factor
            if rl.isfinite(grown).item():
                self._scale.copy_(grown)
            self._growth_tracker = 0

    def get_scale(self):
        """The factor as a float; 1.0 if disabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else self._scale.item()

    def get_growth_factor(self):
        """What the factor is multiplied by after good steps."""
        return self._growth_factor

    def set_growth_factor(self, new_factor):
        """Set what the factor is multiplied by after good steps."""
        self._growth_factor = new_factor

    def get_backoff_factor(self):
        """What the factor is multiplied by after a bad step."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor):
        """Set what the factor is multiplied by after a bad step."""
        self._backoff_factor = new_factor

    def get_growth_interval(self):
        """The number of consecutive good steps before the factor grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval):
        """Set the number of consecutive good steps before the factor grows."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self):
        """The number of good steps since the factor changed."""
        return self._growth_tracker if self._enabled else 0

    def is_enabled(self):
        """Whether losses are scaled."""
        return self._enabled

    def state_dict(self):
        """The state as a dictionary, empty if disabled. Call it after `update`."""
        if not self._enabled:
            return {}
        return {"scale": self.get_scale(), "growth_factor": self._growth_factor,
                "backoff_factor": self._backoff_factor, "growth_interval": self._growth_interval,
                "_growth_tracker": self._growth_tracker}

    def load_state_dict(self, state_dict):
        """Take over a state. RuntimeError if it is empty and this scaler is enabled."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("The source state dict is empty, possibly because it was saved from a disabled instance "
                               "of GradScaler.")
        self._init_scale = state_dict["scale"]
        if self._scale is not None:
            self._scale.fill_(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]

    def __getstate__(self):
        state = self.__dict__.copy()
        if self._enabled:
            if self._per_optimizer_states:
                raise AssertionError("A GradScaler instance may only be pickled at the beginning of an iteration, or "
                                     "at the end after scaler.update().")
            state["_init_scale"] = self.get_scale()
            state["_scale"] = None
            state.pop("_per_optimizer_states")
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        if self._enabled:
            self._per_optimizer_states = defaultdict(_fresh)
