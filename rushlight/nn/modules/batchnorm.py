"""Batch normalization: each channel is normalized over the batch.

In training mode mean and variance are those of the batch, and running averages of them are kept for evaluation mode.
Next to read: instancenorm.py, which shares `_NormBase`; normalization.py for what normalizes within one example.
"""
import sys

from ... import api as rl
from .. import functional as F
from .. import init
from ..parameter import Parameter, UninitializedBuffer, UninitializedParameter
from . import _sync_batchnorm
from .lazy import LazyModuleMixin
from .module import Module

__all__ = [
    "BatchNorm1d",
    "LazyBatchNorm1d",
    "BatchNorm2d",
    "LazyBatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]


class _NormBase(Module):
    """The parameters and running statistics of batch and instance normalization."""

    # 2: there is a buffer num_batches_tracked.
    _version = 2

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device=None, dtype=None, *, bias: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            value = Parameter(rl.empty(num_features, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, value)
        if track_running_stats:
            self.register_buffer("running_mean", rl.zeros(num_features, device=device, dtype=dtype))
            self.register_buffer("running_var", rl.ones(num_features, device=device, dtype=dtype))
            self.register_buffer("num_batches_tracked", rl.tensor(0, dtype=rl.long, device=device))
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self):
        """Forget all batches: mean 0, variance 1, count 0."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """Forget all batches; weight 1, bias 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input):
        raise NotImplementedError

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        version = local_metadata.get("version", None)
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            own = self.num_batches_tracked
            known = own is not None and own.device != rl.device("meta")
            state_dict[key] = own if known else rl.tensor(0, dtype=rl.long)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class _BatchNorm(_NormBase):
    """Batch normalization of any number of dimensions; subclasses check it.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over all dimensions but the second.
    Args: `num_features`, the number of channels; `eps`; `momentum`, the share of a new batch in the running averages,
    None for the mean over all batches; `affine`, whether there are weights; `bias`, whether there is a bias then;
    `track_running_stats`, whether there are running averages: without them batches are used in evaluation mode too.
    """

    def forward(self, input):
        self._check_input_dim(input)
        factor = 0.0 if self.momentum is None else self.momentum
        training = self.training
        if training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                factor = 1.0 / float(self.num_batches_tracked)
        # The running averages are read in evaluation mode, and updated in training mode if they are tracked.
        use_batch = training or (self.running_mean is None and self.running_var is None)
        keep = not training or self.track_running_stats
        mean, variance = (self.running_mean, self.running_var) if keep else (None, None)
        return self._normalize(input, mean, variance, use_batch, factor)

    def _normalize(self, input, running_mean, running_var, use_batch, momentum):
        return F.batch_norm(input, running_mean, running_var, self.weight, self.bias, use_batch, momentum, self.eps)


class _LazyNormBase(LazyModuleMixin, _NormBase):
    """Lazy normalization: `num_features` comes from the first input."""

    weight: UninitializedParameter
    bias: UninitializedParameter

    def __init__(
        self, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True,
        device=None, dtype=None, *, bias: bool = True,
    ):  # fmt: skip
        super().__init__(0, eps, momentum, False, False, device, dtype)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = rl.tensor(0, dtype=rl.long, device=device)

    def reset_parameters(self):
        """As in the ordinary class, once the shapes are known."""
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input):
        """Give parameters and buffers their shape, from the second dimension of the input."""
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        for value in (self.weight, self.bias, self.running_mean, self.running_var):
            if value is not None:
                value.materialize((self.num_features,))
        self.reset_parameters()


def _check_dims(input, first, second=None):
    """Raise unless the input has `first` (or `second`) dimensions."""
    if input.dim() not in (first, second):
        wanted = f"{first}D" if second is None else f"{first}D or {second}D"
        raise ValueError(f"expected {wanted} input (got {input.dim()}D input)")


class BatchNorm1d(_BatchNorm):
    """Batch normalization of every channel. Shape: (N, C) or (N, C, L), kept. Arguments and formula: see
    `_BatchNorm`.
    """

    def _check_input_dim(self, input):
        _check_dims(input, 2, 3)


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """A BatchNorm1d that learns `num_features` from the first input."""

    cls_to_become = BatchNorm1d

    def _check_input_dim(self, input):
        _check_dims(input, 2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalization of every channel. Shape: (N, C, H, W), kept. Arguments and formula: see `_BatchNorm`."""

    def _check_input_dim(self, input):
        _check_dims(input, 4)


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """A BatchNorm2d that learns `num_features` from the first input."""

    cls_to_become = BatchNorm2d

    def _check_input_dim(self, input):
        _check_dims(input, 4)


class BatchNorm3d(_BatchNorm):
    """Batch normalization of every channel. Shape: (N, C, D, H, W), kept. Arguments and formula: see `_BatchNorm`."""

    def _check_input_dim(self, input):
        _check_dims(input, 5)


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """A BatchNorm3d that learns `num_features` from the first input."""

    cls_to_become = BatchNorm3d

    def _check_input_dim(self, input):
        _check_dims(input, 5)


class SyncBatchNorm(_BatchNorm):
    """Batch normalization over the batches of all processes of `process_group`, of any number of dimensions from two
    on.

    Without a group of processes it is the same as BatchNorm.
    """

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, process_group=None, device=None, dtype=None, *, bias: bool = True,
    ):  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input):
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")
        if input.size(1) == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    def _normalize(self, input, running_mean, running_var, use_batch, momentum):
        # `distributed` stands below this folder in the import order. If nobody has imported it, there is no group.
        distributed = sys.modules.get(__name__.partition(".")[0] + ".distributed")
        joined = distributed is not None and distributed.is_initialized()
        if not (self.training and joined and distributed.get_world_size(self.process_group) > 1):
            return super()._normalize(input, running_mean, running_var, use_batch, momentum)
        return _sync_batchnorm.normalize(
            input, running_mean, running_var, self.weight, self.bias, momentum, self.eps, self.process_group
        )

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        """The module with every BatchNorm in it replaced by a SyncBatchNorm that has the same parameters and
        buffers.
        """
        converted = module
        if isinstance(module, _BatchNorm):
            converted = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
            )
            if module.affine:
                with rl.no_grad():
                    converted.weight = module.weight
                    converted.bias = module.bias
            converted.running_mean = module.running_mean
            converted.running_var = module.running_var
            converted.num_batches_tracked = module.num_batches_tracked
            converted.training = module.training
            if hasattr(module, "qconfig"):
                converted.qconfig = module.qconfig
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted
