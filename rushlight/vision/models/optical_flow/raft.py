"""RAFT for optical flow (Teed and Deng 2020, arXiv:2003.12039): a recurrent unit reads correlations of features."""

import functools
import math
import typing

from .... import api as rl
from .... import nn
from ....nn import functional as F
from ....nn import init
from ...ops.misc import Conv2dNormActivation
from .._api import register_model, weights_enum
from .._utils import handle_legacy_interface, init_modules, load_weights, unit_norm
from ._utils import grid_sample, make_coords_grid, upsample_flow

__all__ = ("RAFT", "raft_large", "raft_small", "Raft_Large_Weights", "Raft_Small_Weights")


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, in_channels, out_channels, *, norm_layer, stride=1, always_project=False):
        super().__init__()
        conv = functools.partial(Conv2dNormActivation, norm_layer=norm_layer, bias=True)
        self.convnormrelu1 = conv(in_channels, out_channels, 3, stride=stride)
        self.convnormrelu2 = conv(out_channels, out_channels, 3)
        self.downsample = nn.Identity()
        if stride != 1 or always_project:
            self.downsample = conv(in_channels, out_channels, 1, stride=stride, activation_layer=None)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.downsample(x) + self.convnormrelu2(self.convnormrelu1(x)))


class BottleneckBlock(nn.Module):
    """A 3 x 3 convolution between 1 x 1 convolutions, beside a shortcut."""

    def __init__(self, in_channels, out_channels, *, norm_layer, stride=1):
        super().__init__()
        conv = functools.partial(Conv2dNormActivation, norm_layer=norm_layer, bias=True)
        middle = out_channels // 4
        self.convnormrelu1 = conv(in_channels, middle, 1)
        self.convnormrelu2 = conv(middle, middle, 3, stride=stride)
        self.convnormrelu3 = conv(middle, out_channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Identity()
        if stride != 1:
            self.downsample = conv(in_channels, out_channels, 1, stride=stride, activation_layer=None)

    def forward(self, x):
        return self.relu(self.downsample(x) + self.convnormrelu3(self.convnormrelu2(self.convnormrelu1(x))))


class FeatureEncoder(nn.Module):
    """Images (N, 3, H, W) → features (N, layers[-1], H / 8, W / 8)."""

    def __init__(self, *, block=ResidualBlock, layers=(64, 64, 96, 128, 256), strides=(2, 1, 2, 2),
                 norm_layer=nn.BatchNorm2d):
        super().__init__()
        if len(layers) != 5:
            raise ValueError(f"The expected number of layers is 5, instead got {len(layers)}")
        self.convnormrelu = Conv2dNormActivation(3, layers[0], 7, stride=strides[0], norm_layer=norm_layer, bias=True)
        for i in (1, 2, 3):
            setattr(self, f"layer{i}", nn.Sequential(
                block(layers[i - 1], layers[i], norm_layer=norm_layer, stride=strides[i]),
                block(layers[i], layers[i], norm_layer=norm_layer, stride=1)))
        self.conv = nn.Conv2d(layers[3], layers[4], kernel_size=1)
        init_modules(
            self,
            (nn.Conv2d, lambda m: init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")),
            ((nn.BatchNorm2d, nn.InstanceNorm2d), unit_norm),
        )
        self.output_dim = layers[-1]
        self.downsample_factor = 2 ** strides.count(2)

    def forward(self, x):
        return self.conv(self.layer3(self.layer2(self.layer1(self.convnormrelu(x)))))


class MotionEncoder(nn.Module):
    """Flow (N, 2, H, W) and correlations → motion features (N, out_channels, H, W)."""

    def __init__(self, *, in_channels_corr, corr_layers=(256, 192), flow_layers=(128, 64), out_channels=128):
        super().__init__()
        if len(flow_layers) != 2:
            raise ValueError(f"The expected number of flow_layers is 2, instead got {len(flow_layers)}")
        if len(corr_layers) not in (1, 2):
            raise ValueError(f"The number of corr_layers should be 1 or 2, instead got {len(corr_layers)}")
        conv = functools.partial(Conv2dNormActivation, norm_layer=None)
        self.convcorr1 = conv(in_channels_corr, corr_layers[0], 1)
        self.convcorr2 = conv(*corr_layers, 3) if len(corr_layers) == 2 else nn.Identity()
        self.convflow1 = conv(2, flow_layers[0], 7)
        self.convflow2 = conv(*flow_layers, 3)
        self.conv = conv(corr_layers[-1] + flow_layers[-1], out_channels - 2, 3)  # the flow itself is the rest
        self.out_channels = out_channels

    def forward(self, flow, corr_features):
        parts = [self.convcorr2(self.convcorr1(corr_features)), self.convflow2(self.convflow1(flow))]
        return rl.cat([self.conv(rl.cat(parts, dim=1)), flow], dim=1)


class ConvGRU(nn.Module):
    """A gated recurrent unit whose products are convolutions."""

    def __init__(self, *, input_size, hidden_size, kernel_size, padding):
        super().__init__()
        for gate in "zrq":
            conv = nn.Conv2d(hidden_size + input_size, hidden_size, kernel_size=kernel_size, padding=padding)
            setattr(self, f"conv{gate}", conv)

    def forward(self, h, x):
        both = rl.cat([h, x], dim=1)
        z = rl.sigmoid(self.convz(both))
        r = rl.sigmoid(self.convr(both))
        q = rl.tanh(self.convq(rl.cat([r * h, x], dim=1)))
        return (1 - z) * h + z * q


def _pass_through_h(h, _):
    return h


class RecurrentBlock(nn.Module):
    """One or two `ConvGRU` one after the other."""

    def __init__(self, *, input_size, hidden_size, kernel_size=((1, 5), (5, 1)), padding=((0, 2), (2, 0))):
        super().__init__()
        if len(kernel_size) != len(padding):
            raise ValueError("kernel_size should have the same length as padding, instead got len(kernel_size) = "
                             f"{len(kernel_size)} and len(padding) = {len(padding)}")
        if len(kernel_size) not in (1, 2):
            raise ValueError(f"kernel_size should either 1 or 2, instead got {len(kernel_size)}")
        units = [ConvGRU(input_size=input_size, hidden_size=hidden_size, kernel_size=k, padding=p)
                 for k, p in zip(kernel_size, padding)]
        self.convgru1 = units[0]
        self.convgru2 = units[1] if len(units) == 2 else _pass_through_h
        self.hidden_size = hidden_size

    def forward(self, h, x):
        return self.convgru2(self.convgru1(h, x), x)


class FlowHead(nn.Module):
    """Hidden states → changes of the flow."""

    def __init__(self, *, in_channels, hidden_size):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, hidden_size, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden_size, 2, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.conv2(self.relu(self.conv1(x)))


class UpdateBlock(nn.Module):
    """One step: hidden state, context, correlations and flow → hidden state and change of the flow."""

    def __init__(self, *, motion_encoder, recurrent_block, flow_head):
        super().__init__()
        self.motion_encoder = motion_encoder
        self.recurrent_block = recurrent_block
        self.flow_head = flow_head
        self.hidden_state_size = recurrent_block.hidden_size

    def forward(self, hidden_state, context, corr_features, flow):
        motion = self.motion_encoder(flow, corr_features)
        hidden_state = self.recurrent_block(hidden_state, rl.cat([context, motion], dim=1))
        return hidden_state, self.flow_head(hidden_state)


class MaskPredictor(nn.Module):
    """Hidden states → weights for `upsample_flow`; `multiplier` keeps their gradients small."""

    def __init__(self, *, in_channels, hidden_size, multiplier=0.25):
        super().__init__()
        self.convrelu = Conv2dNormActivation(in_channels, hidden_size, norm_layer=None, kernel_size=3)
        self.conv = nn.Conv2d(hidden_size, 8 * 8 * 9, 1, padding=0)
        self.multiplier = multiplier

    def forward(self, x):
        return self.multiplier * self.conv(self.convrelu(x))


class CorrBlock(nn.Module):
    """Correlations of all pairs of features, at several resolutions of the second image.

    Args:
        num_levels (int): resolutions.
        radius (int): correlations are read within this distance of a place.
    """

    def __init__(self, *, num_levels=4, radius=4):
        super().__init__()
        self.num_levels, self.radius = num_levels, radius
        self.corr_pyramid = [rl.tensor(0)]
        self.out_channels = num_levels * (2 * radius + 1) ** 2

    def build_pyramid(self, fmap1, fmap2):
        """Compute the correlations of two feature maps (N, C, H, W)."""
        if fmap1.shape != fmap2.shape:
            raise ValueError(f"Input feature maps should have the same shape, instead got {fmap1.shape} (fmap1.shape) "
                             f"!= {fmap2.shape} (fmap2.shape)")
        least = 2 * 2 ** (self.num_levels - 1)
        if any(n < least for n in fmap1.shape[-2:]):
            raise ValueError("Feature maps are too small to be down-sampled by the correlation pyramid. H and W of "
                             f"feature maps should be at least {least}; got: {fmap1.shape[-2:]}. Remember that input "
                             "images to the model are downsampled by 8, so that means their dimensions should be at "
                             f"least 8 * {least} = {8 * least}.")
        count, channels, h, w = fmap1.shape
        volume = rl.matmul(fmap1.reshape(count, channels, h * w).transpose(1, 2), fmap2.reshape(count, channels, h * w))
        volume = (volume / math.sqrt(channels)).reshape(count * h * w, 1, h, w)
        self.corr_pyramid = [volume]
        for _ in range(self.num_levels - 1):
            volume = F.avg_pool2d(volume, kernel_size=2, stride=2)
            self.corr_pyramid.append(volume)

    def index_pyramid(self, centroids_coords):
        """Return the correlations (N, out_channels, H, W) around the places (N, 2, H, W)."""
        count, _, h, w = centroids_coords.shape
        line = rl.linspace(-self.radius, self.radius, 2 * self.radius + 1, device=centroids_coords.device)
        delta = rl.stack(rl.meshgrid(line, line, indexing="ij"), dim=-1)[None]
        places, found = centroids_coords.permute(0, 2, 3, 1).reshape(count * h * w, 1, 1, 2), []
        for volume in self.corr_pyramid:
            found.append(grid_sample(volume, places + delta, align_corners=True).reshape(count, h, w, -1))
            places = places / 2
        features = rl.cat(found, dim=-1).permute(0, 3, 1, 2).contiguous()
        wanted = (count, self.out_channels, h, w)
        if tuple(features.shape) != wanted:
            raise ValueError(f"Output shape of index pyramid is incorrect. Should be {wanted}, got {features.shape}")
        return features


class RAFT(nn.Module):
    """RAFT: two images (N, 3, H, W) in [-1, 1] → a list of flows (N, 2, H, W), one an update, the last the best.

    Args:
        feature_encoder, context_encoder (Module): make features at an eighth of the resolution.
        corr_block (Module): has `build_pyramid` and `index_pyramid`.
        update_block (Module): makes a step; has `hidden_state_size`.
        mask_predictor (Module, optional): weights of `upsample_flow`; the flow is interpolated without.
    """

    def __init__(self, *, feature_encoder, context_encoder, corr_block, update_block, mask_predictor=None):
        super().__init__()
        self.feature_encoder = feature_encoder
        self.context_encoder = context_encoder
        self.corr_block = corr_block
        self.update_block = update_block
        self.mask_predictor = mask_predictor
        if not hasattr(update_block, "hidden_state_size"):
            raise ValueError("The update_block parameter should expose a 'hidden_state_size' attribute.")

    def forward(self, image1, image2, num_flow_updates=12):
        count, _, h, w = image1.shape
        if (h, w) != tuple(image2.shape[-2:]):
            raise ValueError(f"input images should have the same shape, instead got ({h}, {w}) != {image2.shape[-2:]}")
        if h % 8 or w % 8:
            raise ValueError(f"input image H and W should be divisible by 8, instead got {h} (h) and {w} (w)")
        small = (h // 8, w // 8)
        fmap1, fmap2 = rl.chunk(self.feature_encoder(rl.cat([image1, image2], dim=0)), chunks=2, dim=0)
        _check_size("feature", fmap1, small)
        self.corr_block.build_pyramid(fmap1, fmap2)
        hidden, context = self._start(image1, small)
        start = make_coords_grid(count, *small, device=fmap1.device)
        places, flows = start, []
        for _ in range(num_flow_updates):
            places = places.detach()  # no gradients from one step to the one before through the places
            correlations = self.corr_block.index_pyramid(centroids_coords=places)
            hidden, change = self.update_block(hidden, context, correlations, places - start)
            places = places + change
            mask = None if self.mask_predictor is None else self.mask_predictor(hidden)
            flows.append(upsample_flow(flow=places - start, up_mask=mask))
        return flows

    def _start(self, image, small):
        """(hidden state, context) of an image."""
        found, size = self.context_encoder(image), self.update_block.hidden_state_size
        _check_size("context", found, small)
        rest = found.shape[1] - size
        if rest <= 0:
            raise ValueError(f"The context encoder outputs {found.shape[1]} channels, but it should have at strictly "
                             f"more than hidden_state={size} channels")
        hidden, context = rl.split(found, [size, rest], dim=1)
        return rl.tanh(hidden), F.relu(context)


def _check_size(name, features, small):
    if tuple(features.shape[-2:]) != small:
        raise ValueError(f"The {name} encoder should downsample H and W by 8")


def _raft(*, encoder_block, feature_layers, context_layers, context_norm, radius, corr_layers, flow_layers,
          motion_channels, hidden_size, kernel_size, padding, head_size, predicts_mask, **kwargs):
    """Build a RAFT; parts in `kwargs` replace those that the sizes describe."""
    features = kwargs.pop("feature_encoder", None) or FeatureEncoder(
        block=encoder_block, layers=feature_layers, norm_layer=nn.InstanceNorm2d)
    context = kwargs.pop("context_encoder", None) or FeatureEncoder(
        block=encoder_block, layers=context_layers, norm_layer=context_norm)
    correlations = kwargs.pop("corr_block", None) or CorrBlock(num_levels=4, radius=radius)
    update = kwargs.pop("update_block", None)
    if update is None:
        motion = MotionEncoder(in_channels_corr=correlations.out_channels, corr_layers=corr_layers,
                               flow_layers=flow_layers, out_channels=motion_channels)
        recurrent = RecurrentBlock(
            input_size=motion.out_channels + context_layers[-1] - hidden_size, hidden_size=hidden_size,
            kernel_size=kernel_size, padding=padding)
        head = FlowHead(in_channels=hidden_size, hidden_size=head_size)
        update = UpdateBlock(motion_encoder=motion, recurrent_block=recurrent, flow_head=head)
    mask = kwargs.pop("mask_predictor", None)
    if mask is None and predicts_mask:
        mask = MaskPredictor(in_channels=hidden_size, hidden_size=256, multiplier=0.25)
    return RAFT(feature_encoder=features, context_encoder=context, corr_block=correlations, update_block=update,
                mask_predictor=mask, **kwargs)


LARGE = {
    "encoder_block": ResidualBlock, "feature_layers": (64, 64, 96, 128, 256), "context_layers": (64, 64, 96, 128, 256),
    "context_norm": nn.BatchNorm2d, "radius": 4, "corr_layers": (256, 192), "flow_layers": (128, 64),
    "motion_channels": 128, "hidden_size": 128, "kernel_size": ((1, 5), (5, 1)), "padding": ((0, 2), (2, 0)),
    "head_size": 256, "predicts_mask": True,
}
SMALL = {
    "encoder_block": BottleneckBlock, "feature_layers": (32, 32, 64, 96, 128),
    "context_layers": (32, 32, 64, 96, 160), "context_norm": None, "radius": 3, "corr_layers": (96,),
    "flow_layers": (64, 32), "motion_channels": 82, "hidden_size": 96, "kernel_size": (3,), "padding": (1,),
    "head_size": 128, "predicts_mask": False,
}


def _variant(name, weights, pretrained, sizes):
    def build(*, weights: typing.Optional[weights] = None, progress=True, **kwargs):
        chosen = enumeration.verify(weights)
        model = _raft(**sizes, **kwargs)
        if chosen is not None:
            load_weights(model, chosen, progress)
        return model

    enumeration = weights
    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"""Build the {name[5:]} RAFT.

    Args:
        weights ({weights.__name__} or str, optional): published weights to load; none by default.
        progress (bool): show a progress bar while weights are downloaded.
        kwargs: parts that replace those of this model, as arguments of `RAFT`.
    """
    return register_model()(handle_legacy_interface(weights=("pretrained", weights[pretrained]))(build))


Raft_Large_Weights = weights_enum("Raft_Large_Weights", __name__)
Raft_Small_Weights = weights_enum("Raft_Small_Weights", __name__)

raft_large = _variant("raft_large", Raft_Large_Weights, "C_T_SKHT_V2", LARGE)
raft_small = _variant("raft_small", Raft_Small_Weights, "C_T_V2", SMALL)
