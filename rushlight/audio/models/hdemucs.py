"""Hybrid Demucs (Défossez 2021, arXiv:2111.03600): separates sources with a spectrogram and the sound side by side."""

import math

from ... import api as rl
from ... import nn
from ...nn import functional as nnf
from .hdemucs_layers import DConv, ScaledEmbedding

TINY = 1e-5
SPREAD = 0.1  # standard deviation that initial weights are pulled to


def _normalisation(norm_type, groups, channels):
    return nn.GroupNorm(groups, channels) if norm_type == "group_norm" else nn.Identity()


def _along(freq, *values):
    """Sizes of a convolution: along frequency of a picture, or along time of a sound."""
    return [[value, 0 if position == 2 else 1] for position, value in enumerate(values)] if freq else list(values)


class _HEncLayer(nn.Module):
    def __init__(self, chin, chout, kernel_size=8, stride=4, norm_groups=4, empty=False, freq=True,
                 norm_type="group_norm", context=0, dconv_kw=None, pad=True):
        super().__init__()
        self.freq, self.stride, self.empty = freq, stride, empty
        layer = nn.Conv2d if freq else nn.Conv1d
        self.conv = layer(chin, chout, *_along(freq, kernel_size, stride, kernel_size // 4 if pad else 0))
        self.norm1 = _normalisation(norm_type, norm_groups, chout)
        if empty:
            self.rewrite, self.norm2, self.dconv = nn.Identity(), nn.Identity(), nn.Identity()
        else:
            self.rewrite = layer(chout, 2 * chout, 1 + 2 * context, 1, context)
            self.norm2 = _normalisation(norm_type, norm_groups, 2 * chout)
            self.dconv = DConv(chout, **(dconv_kw or {}))

    def forward(self, x, inject=None):
        if not self.freq:
            x = x.flatten(1, 2) if x.dim() == 4 else x
            x = nnf.pad(x, (0, -x.shape[-1] % self.stride))
        y = self.conv(x)
        if self.empty:
            return y
        if inject is not None:
            if inject.shape[-1] != y.shape[-1]:
                raise ValueError("Injection shapes do not align")
            y = y + (inject[:, :, None] if inject.dim() == 3 and y.dim() == 4 else inject)
        y = nnf.gelu(self.norm1(y))
        if self.freq:
            rows = self.dconv(y.permute(0, 2, 1, 3).flatten(0, 1))
            y = rows.unflatten(0, (y.shape[0], -1)).permute(0, 2, 1, 3)
        else:
            y = self.dconv(y)
        return nnf.glu(self.norm2(self.rewrite(y)), dim=1)


class _HDecLayer(nn.Module):
    def __init__(self, chin, chout, last=False, kernel_size=8, stride=4, norm_groups=1, empty=False, freq=True,
                 norm_type="group_norm", context=1, dconv_kw=None, pad=True):
        super().__init__()
        if pad and (kernel_size - stride) % 2:
            raise ValueError("Kernel size and stride do not align")
        self.pad = (kernel_size - stride) // 2 if pad else 0
        self.last, self.freq, self.chin, self.empty = last, freq, chin, empty
        layer, transposed = (nn.Conv2d, nn.ConvTranspose2d) if freq else (nn.Conv1d, nn.ConvTranspose1d)
        self.conv_tr = transposed(chin, chout, *_along(freq, kernel_size, stride))
        self.norm2 = _normalisation(norm_type, norm_groups, chout)
        if empty:
            self.rewrite, self.norm1 = nn.Identity(), nn.Identity()
        else:
            self.rewrite = layer(chin, 2 * chin, 1 + 2 * context, 1, context)
            self.norm1 = _normalisation(norm_type, norm_groups, 2 * chin)

    def forward(self, x, skip, length):
        if self.freq and x.dim() == 3:
            x = x.view(x.shape[0], self.chin, -1, x.shape[2])
        y = x if self.empty else nnf.glu(self.norm1(self.rewrite(x + skip)), dim=1)
        z = self.norm2(self.conv_tr(y))
        if not self.freq:
            z = z[..., self.pad:self.pad + length]
        elif self.pad:
            z = z[..., self.pad:-self.pad, :]
        return (z if self.last else nnf.gelu(z)), y


class HDemucs(nn.Module):
    """Separate sounds (N, audio_channels, time) into sources (N, len(sources), audio_channels, time).

    Args:
        sources (list of str): names of the sources.
        audio_channels, channels, growth: channels of the sound and of the first layer, and their factor by layer.
        nfft, depth (int): size of the spectrogram, layers.
        freq_emb, emb_scale, emb_smooth: of the embedding of frequencies.
        kernel_size, time_stride, stride, context, context_enc (int): of the convolutions.
        norm_starts, norm_groups (int): the first layer that is normalised, and its groups.
        dconv_depth, dconv_comp, dconv_attn, dconv_lstm, dconv_init: of the residual branches: convolutions, factor of
            their channels, the first layers with attention and with a recurrence, initial scale.
    """

    def __init__(self, sources, audio_channels=2, channels=48, growth=2, nfft=4096, depth=6, freq_emb=0.2,
                 emb_scale=10, emb_smooth=True, kernel_size=8, time_stride=2, stride=4, context=1, context_enc=0,
                 norm_starts=4, norm_groups=4, dconv_depth=2, dconv_comp=4, dconv_attn=4, dconv_lstm=4,
                 dconv_init=1e-4):
        super().__init__()
        self.depth, self.nfft, self.audio_channels, self.sources = depth, nfft, audio_channels, sources
        self.kernel_size, self.stride, self.hop_length = kernel_size, stride, nfft // 4
        self.freq_emb = None
        self.freq_encoder, self.freq_decoder = nn.ModuleList(), nn.ModuleList()
        self.time_encoder, self.time_decoder = nn.ModuleList(), nn.ModuleList()
        time_in, time_out, freqs = audio_channels, channels, nfft // 2
        freq_in, freq_out = 2 * audio_channels, channels
        for index in range(depth):
            freq, last = freqs > 1, 1 < freqs <= kernel_size
            options = {
                "kernel_size": (freqs if last else kernel_size) if freq else time_stride * 2,
                "stride": stride if freq else time_stride, "freq": freq, "pad": not last,
                "norm_type": "group_norm" if index >= norm_starts else "none", "norm_groups": norm_groups,
                "dconv_kw": {"lstm": index >= dconv_lstm, "attn": index >= dconv_attn, "depth": dconv_depth,
                             "compress": dconv_comp, "init": dconv_init},
            }
            narrow = last and nfft == 2048
            timed = {**options, "freq": False, "kernel_size": 4 if narrow else kernel_size,
                     "stride": 2 if narrow else stride, "pad": True}
            if last:
                time_out = freq_out = max(time_out, freq_out)
            encoder = _HEncLayer(freq_in, freq_out, context=context_enc, **options)
            if freq:
                self.time_encoder.append(_HEncLayer(time_in, time_out, context=context_enc, empty=last, **timed))
            self.freq_encoder.append(encoder)
            if index == 0:
                time_in = audio_channels * len(sources)
                freq_in = 2 * time_in
            self.freq_decoder.insert(0, _HDecLayer(freq_out, freq_in, last=index == 0, context=context, **options))
            if freq:
                self.time_decoder.insert(0, _HDecLayer(time_out, time_in, empty=last, last=index == 0,
                                                       context=context, **timed))
                freqs = 1 if freqs <= kernel_size else freqs // stride
            time_in, freq_in = time_out, freq_out
            time_out, freq_out = int(growth * time_out), int(growth * freq_out)
            if index == 0 and freq_emb:
                self.freq_emb = ScaledEmbedding(freqs, freq_in, smooth=emb_smooth, scale=emb_scale)
                self.freq_emb_scale = freq_emb
        _rescale(self)

    def _window(self, like):
        return rl.hann_window(self.nfft).to(like)

    def _spectrum(self, x):
        """Complex spectra (N, channels, nfft / 2, ceil(time / hop)) of sounds (N, channels, time)."""
        hop, time = self.hop_length, x.shape[-1]
        frames, pad = math.ceil(time / hop), hop // 2 * 3
        right = pad + frames * hop - time
        if time <= max(pad, right):  # too short for a reflection
            x = nnf.pad(x, (0, max(pad, right) - time + 1))
        x = nnf.pad(x, (pad, right), mode="reflect")
        found = rl.stft(x.flatten(0, 1), self.nfft, hop, self.nfft, self._window(x), normalized=True,
                        return_complex=True)
        return found.unflatten(0, x.shape[:2])[..., :-1, 2:2 + frames]

    def _sound(self, spectra, length):
        hop = self.hop_length
        pad = hop // 2 * 3
        real = nnf.pad(rl.view_as_real(spectra), (0, 0, 2, 2, 0, 1))
        whole = rl.view_as_complex(real.contiguous())
        found = rl.istft(whole.flatten(0, -3), self.nfft, hop, self.nfft, self._window(real), normalized=True,
                         length=hop * math.ceil(length / hop) + 2 * pad)
        return found.unflatten(0, whole.shape[:-2])[..., pad:pad + length]

    def forward(self, input):
        if input.ndim != 3:
            raise ValueError(f"Expected 3D tensor with dimensions (batch, channel, frames). Found: {input.shape}")
        if input.shape[1] != self.audio_channels:
            raise ValueError("The channel dimension of input Tensor must match `audio_channels` of HDemucs model. "
                             f"Found:{input.shape[1]}.")
        length = input.shape[-1]
        picture = rl.view_as_real(self._spectrum(input)).permute(0, 1, 4, 2, 3).flatten(1, 2)
        x, mean, spread = _standardised(picture)
        xt, time_mean, time_spread = _standardised(input)
        x, xt = self._coded(x, xt)
        count, sources = len(input), len(self.sources)
        x = x.view(count, sources, -1, *picture.shape[2:]) * spread[:, None] + mean[:, None]
        spectra = rl.view_as_complex(x.unflatten(2, (-1, 2)).permute(0, 1, 2, 4, 5, 3).contiguous())
        xt = xt.view(count, sources, -1, length) * time_spread[:, None] + time_mean[:, None]
        return xt + self._sound(spectra, length)

    def _coded(self, x, xt):
        """Both inputs through their encoders and decoders."""
        skips, time_skips, lengths, time_lengths = [], [], [], []
        for index, encode in enumerate(self.freq_encoder):
            lengths.append(x.shape[-1])
            inject = None
            if index < len(self.time_encoder):
                time_lengths.append(xt.shape[-1])
                layer = self.time_encoder[index]
                xt = layer(xt)
                if layer.empty:
                    inject = xt
                else:
                    time_skips.append(xt)
            x = encode(x, inject)
            if index == 0 and self.freq_emb is not None:
                rows = self.freq_emb(rl.arange(x.shape[-2], device=x.device))
                x = x + self.freq_emb_scale * rows.t()[None, :, :, None]
            skips.append(x)
        x, offset = rl.zeros_like(x), self.depth - len(self.time_decoder)
        xt = rl.zeros_like(x)
        for index, decode in enumerate(self.freq_decoder):
            x, before = decode(x, skips.pop(), lengths.pop())
            if index < offset:
                continue
            layer = self.time_decoder[index - offset]
            if layer.empty:
                if before.shape[2] != 1:
                    raise ValueError(f"If tdec empty is True, pre shape does not match {before.shape}")
                xt, _ = layer(before[:, :, 0], None, time_lengths.pop())
            else:
                xt, _ = layer(xt, time_skips.pop(), time_lengths.pop())
        return x, xt


def _standardised(x):
    """(values with mean 0 and standard deviation 1, mean, standard deviation), by example."""
    dims = tuple(range(1, x.dim()))
    mean, spread = x.mean(dims, keepdim=True), x.std(dims, keepdim=True)
    return (x - mean) / (TINY + spread), mean, spread


def _rescale(module):
    """Pull the spread of convolutions' weights half-way to SPREAD."""
    with rl.no_grad():
        for part in module.modules():
            if isinstance(part, (nn.Conv1d, nn.ConvTranspose1d, nn.Conv2d, nn.ConvTranspose2d)):
                scale = (part.weight.std() / SPREAD) ** 0.5
                part.weight /= scale
                if part.bias is not None:
                    part.bias /= scale


def hdemucs_low(sources):
    """Build the Hybrid Demucs for sounds of 8 kHz."""
    return HDemucs(sources, nfft=1024, depth=5)


def hdemucs_medium(sources):
    """Build the Hybrid Demucs for sounds of 16 to 32 kHz."""
    return HDemucs(sources, nfft=2048, depth=6)


def hdemucs_high(sources):
    """Build the Hybrid Demucs for sounds of 44.1 to 48 kHz."""
    return HDemucs(sources, nfft=4096, depth=6)
