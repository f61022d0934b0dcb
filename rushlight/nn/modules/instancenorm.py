"""Instance normalization: each channel of each example is normalized on its own."""
import warnings

from .. import functional as F
from .batchnorm import _check_dims, _LazyNormBase, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    """Instance normalization of any number of dimensions.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance of every channel of every example.
    Args: as for batch normalization, but by default there are neither weights nor running averages.
    """

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False,
        track_running_stats: bool = False, device=None, dtype=None, *, bias: bool = True,
    ):  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _get_no_batch_dim(self):
        """The number of dimensions of an input without a batch dimension."""
        raise NotImplementedError

    def _handle_no_batch_input(self, input):
        return self._apply_instance_norm(input.unsqueeze(0)).squeeze(0)

    def _apply_instance_norm(self, input):
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        version = local_metadata.get("version", None)
        if version is None and not self.track_running_stats:
            # Before version 0.4 running averages were always kept; what to do with them is the user's decision.
            found = [key for key in (prefix + "running_mean", prefix + "running_var") if key in state_dict]
            if found:
                names = " and ".join(f'"{key}"' for key in found)
                error_msgs.append(
                    "Unexpected running stats buffer(s) {names} for {klass} with track_running_stats=False. If "
                    "state_dict is a checkpoint saved before 0.4.0, this may be expected because {klass} does not "
                    "track running stats by default since 0.4.0. Please remove these keys from state_dict. If the "
                    "running stats are actually needed, instead set track_running_stats=True in {klass} to enable "
                    "them. See the documentation of {klass} for details.".format(names=names, klass=type(self).__name__)
                )
                for key in found:
                    state_dict.pop(key)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def forward(self, input):
        self._check_input_dim(input)
        feature_dim = input.dim() - self._get_no_batch_dim()
        if input.size(feature_dim) != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={feature_dim} to match num_features ({self.num_features}), but got: "
                    f"{input.size(feature_dim)}."
                )
            warnings.warn(
                f"input's size at dim={feature_dim} does not match num_features. You can silence this warning by not "
                "passing in num_features, which is not used because affine=False",
                stacklevel=2,
            )
        if input.dim() == self._get_no_batch_dim():
            return self._handle_no_batch_input(input)
        return self._apply_instance_norm(input)


class _Dims1:
    """The dimensions of InstanceNorm1d."""

    def _get_no_batch_dim(self):
        return 2

    def _check_input_dim(self, input):
        _check_dims(input, 2, 3)


class _Dims2:
    """The dimensions of InstanceNorm2d."""

    def _get_no_batch_dim(self):
        return 3

    def _check_input_dim(self, input):
        _check_dims(input, 3, 4)


class _Dims3:
    """The dimensions of InstanceNorm3d."""

    def _get_no_batch_dim(self):
        return 4

    def _check_input_dim(self, input):
        _check_dims(input, 4, 5)


class InstanceNorm1d(_Dims1, _InstanceNorm):
    """Instance normalization of sequences. Shape: (N, C, L) or (C, L), kept. Arguments: see BatchNorm1d."""


class LazyInstanceNorm1d(_Dims1, _LazyNormBase, _InstanceNorm):
    """An InstanceNorm1d that learns `num_features` from the first input."""

    cls_to_become = InstanceNorm1d


class InstanceNorm2d(_Dims2, _InstanceNorm):
    """Instance normalization of images. Shape: (N, C, H, W) or (C, H, W), kept. Arguments: see BatchNorm2d."""


class LazyInstanceNorm2d(_Dims2, _LazyNormBase, _InstanceNorm):
    """An InstanceNorm2d that learns `num_features` from the first input."""

    cls_to_become = InstanceNorm2d


class InstanceNorm3d(_Dims3, _InstanceNorm):
    """Instance normalization of volumes. Shape: (N, C, D, H, W) or (C, D, H, W), kept. Arguments: see BatchNorm3d."""


class LazyInstanceNorm3d(_Dims3, _LazyNormBase, _InstanceNorm):
    """An InstanceNorm3d that learns `num_features` from the first input."""

    cls_to_become = InstanceNorm3d
