"""Layers for sounds and features: resampling, volume, fades, filters, noise, voice activity, loss of transducers."""

import math

from ... import api as rl
from ... import nn
from .. import functional as F
from ..functional.convolution import check_mode
from ..functional.resampling import apply_kernel, new_lengths, reduced_rates, sinc_kernel


class MuLawEncoding(nn.Module):
    """Quantise values from -1 to 1 on a logarithmic scale; see `functional.mu_law_encoding`."""

    def __init__(self, quantization_channels=256):
        super().__init__()
        self.quantization_channels = quantization_channels

    def forward(self, x):
        return F.mu_law_encoding(x, self.quantization_channels)


class MuLawDecoding(nn.Module):
    """Invert `MuLawEncoding`."""

    def __init__(self, quantization_channels=256):
        super().__init__()
        self.quantization_channels = quantization_channels

    def forward(self, x_mu):
        return F.mu_law_decoding(x_mu, self.quantization_channels)


class Resample(nn.Module):
    """Resample sounds (..., time); arguments are as in `functional.resample`. The kernel is made once, in `dtype`."""

    def __init__(self, orig_freq=16000, new_freq=16000, resampling_method="sinc_interp_hann", lowpass_filter_width=6,
                 rolloff=0.99, beta=None, *, dtype=None):
        super().__init__()
        self.orig_freq, self.new_freq = orig_freq, new_freq
        self.gcd = math.gcd(int(orig_freq), int(new_freq))
        self.resampling_method, self.lowpass_filter_width = resampling_method, lowpass_filter_width
        self.rolloff, self.beta = rolloff, beta
        if orig_freq != new_freq:
            kernel, self.width = sinc_kernel(orig_freq, new_freq, self.gcd, lowpass_filter_width, rolloff,
                                             resampling_method, beta, dtype=dtype)
            self.register_buffer("kernel", kernel)

    def forward(self, waveform):
        if self.orig_freq == self.new_freq:
            return waveform
        return apply_kernel(waveform, self.orig_freq, self.new_freq, self.gcd, self.kernel, self.width)


class Speed(nn.Module):
    """Play sounds faster by `factor`; see `functional.speed`."""

    def __init__(self, orig_freq, factor):
        super().__init__()
        self.orig_freq, self.factor = orig_freq, factor
        self.source_sample_rate, self.target_sample_rate = reduced_rates(orig_freq, factor)
        self.resampler = Resample(self.source_sample_rate, self.target_sample_rate)

    def forward(self, waveform, lengths=None):
        return self.resampler(waveform), new_lengths(lengths, self.source_sample_rate, self.target_sample_rate)


class SpeedPerturbation(nn.Module):
    """Play sounds at one of several speeds, drawn at each call."""

    def __init__(self, orig_freq, factors):
        super().__init__()
        self.speeders = nn.ModuleList([Speed(orig_freq, factor) for factor in factors])

    def forward(self, waveform, lengths=None):
        return self.speeders[int(rl.randint(len(self.speeders), ()))](waveform, lengths)


class ComputeDeltas(nn.Module):
    """Compute slopes of features; see `functional.compute_deltas`."""

    def __init__(self, win_length=5, mode="replicate"):
        super().__init__()
        self.win_length, self.mode = win_length, mode

    def forward(self, specgram):
        return F.compute_deltas(specgram, self.win_length, self.mode)


class SlidingWindowCmn(nn.Module):
    """Subtract the mean over a window of frames; see `functional.sliding_window_cmn`."""

    def __init__(self, cmn_window=600, min_cmn_window=100, center=False, norm_vars=False):
        super().__init__()
        self.cmn_window, self.min_cmn_window = cmn_window, min_cmn_window
        self.center, self.norm_vars = center, norm_vars

    def forward(self, specgram):
        return F.sliding_window_cmn(specgram, self.cmn_window, self.min_cmn_window, self.center, self.norm_vars)


# Shapes of a fade, from x = 0 to 1. A fade-out is the shape of 1 - x, but for the sine of half a period by rounding.
FADES = {
    "linear": lambda x: x,
    "exponential": lambda x: rl.pow(2, x - 1) * x,
    "logarithmic": lambda x: rl.log10(0.1 + x) + 1,
    "quarter_sine": lambda x: rl.sin(x * math.pi / 2),
    "half_sine": lambda x: rl.sin(x * math.pi - math.pi / 2) / 2 + 0.5,
}


class Fade(nn.Module):
    """Fade sounds (..., time) in and out.

    Args:
        fade_in_len, fade_out_len (int): samples.
        fade_shape (str): "linear", "exponential", "logarithmic", "quarter_sine" or "half_sine".
    """

    def __init__(self, fade_in_len=0, fade_out_len=0, fade_shape="linear"):
        super().__init__()
        self.fade_in_len, self.fade_out_len, self.fade_shape = fade_in_len, fade_out_len, fade_shape

    def forward(self, waveform):
        shape = FADES.get(self.fade_shape, FADES["linear"])
        time, device = waveform.shape[-1], waveform.device
        rising = shape(rl.linspace(0, 1, self.fade_in_len, device=device))
        falling = shape(1 - rl.linspace(0, 1, self.fade_out_len, device=device))
        start = rl.cat((rising, rl.ones(time - self.fade_in_len, device=device))).clamp(0, 1)
        end = rl.cat((rl.ones(time - self.fade_out_len, device=device), falling)).clamp(0, 1)
        return start * end * waveform


class Vol(nn.Module):
    """Amplify sounds by `gain`, of `gain_type` "amplitude", "power" or "db", and clip them to -1 ... 1."""

    def __init__(self, gain, gain_type="amplitude"):
        super().__init__()
        if gain_type in ("amplitude", "power") and gain < 0:
            raise ValueError("If gain_type = amplitude or power, gain must be positive.")
        self.gain, self.gain_type = gain, gain_type

    def forward(self, waveform):
        if self.gain_type == "amplitude":
            waveform = waveform * self.gain
        elif self.gain_type == "db":
            waveform = F.gain(waveform, self.gain)
        elif self.gain_type == "power":
            waveform = F.gain(waveform, 10 * math.log10(self.gain))
        return waveform.clamp(-1, 1)


class Loudness(nn.Module):
    """Measure loudness in LKFS; see `functional.loudness`."""

    def __init__(self, sample_rate):
        super().__init__()
        self.sample_rate = sample_rate

    def forward(self, wavefrom):
        return F.loudness(wavefrom, self.sample_rate)


class Vad(nn.Module):
    """Cut what comes before the first speech; arguments are as in `functional.vad`."""

    def __init__(self, sample_rate, trigger_level=7.0, trigger_time=0.25, search_time=1.0, allowed_gap=0.25,
                 pre_trigger_time=0.0, boot_time=0.35, noise_up_time=0.1, noise_down_time=0.01,
                 noise_reduction_amount=1.35, measure_freq=20.0, measure_duration=None, measure_smooth_time=0.4,
                 hp_filter_freq=50.0, lp_filter_freq=6000.0, hp_lifter_freq=150.0, lp_lifter_freq=2000.0):
        super().__init__()
        self.sample_rate, self.trigger_level, self.trigger_time = sample_rate, trigger_level, trigger_time
        self.search_time, self.allowed_gap, self.pre_trigger_time = search_time, allowed_gap, pre_trigger_time
        self.boot_time, self.noise_up_time, self.noise_down_time = boot_time, noise_up_time, noise_down_time
        self.noise_reduction_amount, self.measure_freq = noise_reduction_amount, measure_freq
        self.measure_duration, self.measure_smooth_time = measure_duration, measure_smooth_time
        self.hp_filter_freq, self.lp_filter_freq = hp_filter_freq, lp_filter_freq
        self.hp_lifter_freq, self.lp_lifter_freq = hp_lifter_freq, lp_lifter_freq

    def forward(self, waveform):
        return F.vad(waveform, self.sample_rate, self.trigger_level, self.trigger_time, self.search_time,
                     self.allowed_gap, self.pre_trigger_time, self.boot_time, self.noise_up_time, self.noise_down_time,
                     self.noise_reduction_amount, self.measure_freq, self.measure_duration, self.measure_smooth_time,
                     self.hp_filter_freq, self.lp_filter_freq, self.hp_lifter_freq, self.lp_lifter_freq)


class _Convolution(nn.Module):
    def __init__(self, mode="full"):
        super().__init__()
        check_mode(mode)
        self.mode = mode


class Convolve(_Convolution):
    """Convolve signals directly; see `functional.convolve`."""

    def forward(self, x, y):
        return F.convolve(x, y, self.mode)


class FFTConvolve(_Convolution):
    """Convolve signals by Fourier transforms; see `functional.convolve`."""

    def forward(self, x, y):
        return F.fftconvolve(x, y, self.mode)


class AddNoise(nn.Module):
    """Add noise at a ratio of signal to noise; see `functional.add_noise`."""

    def forward(self, waveform, noise, snr, lengths=None):
        return F.add_noise(waveform, noise, snr, lengths)


class Preemphasis(nn.Module):
    """Compute y[t] = x[t] - coeff x[t - 1]."""

    def __init__(self, coeff=0.97):
        super().__init__()
        self.coeff = coeff

    def forward(self, waveform):
        return F.preemphasis(waveform, self.coeff)


class Deemphasis(nn.Module):
    """Invert `Preemphasis`, and clip to -1 ... 1."""

    def __init__(self, coeff=0.97):
        super().__init__()
        self.coeff = coeff

    def forward(self, waveform):
        return F.deemphasis(waveform, self.coeff)


class RNNTLoss(nn.Module):
    """Compute the loss of a transducer; see `functional.rnnt_loss`."""

    def __init__(self, blank=-1, clamp=-1.0, reduction="mean", fused_log_softmax=True):
        super().__init__()
        self.blank, self.clamp, self.reduction = blank, clamp, reduction
        self.fused_log_softmax = fused_log_softmax

    def forward(self, logits, targets, logit_lengths, target_lengths):
        return F.rnnt_loss(logits, targets, logit_lengths, target_lengths, self.blank, self.clamp, self.reduction,
                           self.fused_log_softmax)
