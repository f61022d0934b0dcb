"""Conv-TasNet (Luo and Mesgarani 2019, arXiv:1809.07454): separates sources by masks on a learned basis."""

from ... import nn
from ...nn import functional as nnf

EPS = 1e-8
ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}


class ConvBlock(nn.Module):
    """A depth-wise separable convolution: (result to add to the input or None, result for the output)."""

    def __init__(self, io_channels, hidden_channels, kernel_size, padding, dilation=1, no_residual=False):
        super().__init__()
        self.conv_layers = nn.Sequential(
            nn.Conv1d(io_channels, hidden_channels, 1), nn.PReLU(), nn.GroupNorm(1, hidden_channels, eps=EPS),
            nn.Conv1d(hidden_channels, hidden_channels, kernel_size, padding=padding, dilation=dilation,
                      groups=hidden_channels),
            nn.PReLU(), nn.GroupNorm(1, hidden_channels, eps=EPS))
        self.res_out = None if no_residual else nn.Conv1d(hidden_channels, io_channels, 1)
        self.skip_out = nn.Conv1d(hidden_channels, io_channels, 1)

    def forward(self, input):
        features = self.conv_layers(input)
        return None if self.res_out is None else self.res_out(features), self.skip_out(features)


class MaskGenerator(nn.Module):
    """Stacks of dilated convolutions: features (N, C, frames) → masks (N, sources, C, frames)."""

    def __init__(self, input_dim, num_sources, kernel_size, num_feats, num_hidden, num_layers, num_stacks,
                 msk_activate):
        super().__init__()
        if msk_activate not in ACTIVATIONS:
            raise ValueError(f"Unsupported activation {msk_activate}")
        self.input_dim, self.num_sources = input_dim, num_sources
        self.input_norm = nn.GroupNorm(1, input_dim, eps=EPS)
        self.input_conv = nn.Conv1d(input_dim, num_feats, 1)
        dilations = [2 ** layer for layer in range(num_layers)] * num_stacks
        self.receptive_field = 1 + (kernel_size - 1) * sum(dilations)
        self.conv_layers = nn.ModuleList(
            ConvBlock(num_feats, num_hidden, kernel_size, dilation, dilation, number == len(dilations))
            for number, dilation in enumerate(dilations, 1))
        self.output_prelu = nn.PReLU()
        self.output_conv = nn.Conv1d(num_feats, input_dim * num_sources, 1)
        self.mask_activate = ACTIVATIONS[msk_activate]()

    def forward(self, input):
        features, output = self.input_conv(self.input_norm(input)), 0.0
        for layer in self.conv_layers:
            residual, skip = layer(features)
            features = features if residual is None else features + residual
            output = output + skip
        output = self.mask_activate(self.output_conv(self.output_prelu(output)))
        return output.view(input.shape[0], self.num_sources, self.input_dim, -1)


class ConvTasNet(nn.Module):
    """Separate sounds (N, 1, time) into sources (N, num_sources, time).

    `enc_*` are sizes of the basis, `msk_*` those of the mask generator, `msk_activate` is "sigmoid" or "relu".
    """

    def __init__(self, num_sources=2, enc_kernel_size=16, enc_num_feats=512, msk_kernel_size=3, msk_num_feats=128,
                 msk_num_hidden_feats=512, msk_num_layers=8, msk_num_stacks=3, msk_activate="sigmoid"):
        super().__init__()
        self.num_sources, self.enc_num_feats, self.enc_kernel_size = num_sources, enc_num_feats, enc_kernel_size
        self.enc_stride = stride = enc_kernel_size // 2
        self.encoder = nn.Conv1d(1, enc_num_feats, enc_kernel_size, stride, stride, bias=False)
        self.mask_generator = MaskGenerator(enc_num_feats, num_sources, msk_kernel_size, msk_num_feats,
                                            msk_num_hidden_feats, msk_num_layers, msk_num_stacks, msk_activate)
        self.decoder = nn.ConvTranspose1d(enc_num_feats, 1, enc_kernel_size, stride, stride, bias=False)

    def forward(self, input):
        if input.ndim != 3 or input.shape[1] != 1:
            raise ValueError(f"Expected 3D tensor (batch, channel==1, frames). Found: {input.shape}")
        time = input.shape[2]
        extra = -(time - self.enc_kernel_size % 2) % self.enc_stride
        features = self.encoder(nnf.pad(input, (0, extra)))
        masked = self.mask_generator(features) * features.unsqueeze(1)
        decoded = self.decoder(masked.flatten(0, 1))
        return decoded.view(input.shape[0], self.num_sources, time + extra)[..., :time]


def conv_tasnet_base(num_sources=2):
    """Build the non-causal Conv-TasNet of the paper, with rectified masks."""
    return ConvTasNet(num_sources, msk_activate="relu")
