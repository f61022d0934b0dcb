"""Layers around spectrograms: frames and their inversion, mel scales, cepstra, stretching and shifting."""

import math
import warnings

from ... import api as rl
from ... import linalg, nn
from .. import functional as F
from ..functional.resampling import apply_kernel, sinc_kernel
from ..functional.spectral import fit, stretch

LOG_FLOOR = 1e-6
DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


class _Framed(nn.Module):
    """Keeps sizes of frames and their window."""

    def __init__(self, n_fft, win_length, hop_length, window_fn, wkwargs, hops=2):
        super().__init__()
        self.n_fft = n_fft
        self.win_length = n_fft if win_length is None else win_length
        self.hop_length = self.win_length // hops if hop_length is None else hop_length
        self.register_buffer("window", window_fn(self.win_length, **(wkwargs or {})))


class Spectrogram(_Framed):
    """Compute spectrograms: sounds (..., time) → (..., n_fft // 2 + 1, frames).

    Args:
        n_fft (int): samples of a frame; win_length (int): of the window, `n_fft` by default.
        hop_length (int): samples from frame to frame, half a window by default.
        pad (int): zeros at both ends.
        window_fn, wkwargs: make the window from its length.
        power (float or None): exponent of the magnitude; None gives complex numbers.
        normalized (bool or str), center (bool), pad_mode (str), onesided (bool): as in `functional.spectrogram`.

    Example:
        >>> T.Spectrogram(n_fft=400)(torch.ones(1, 800)).shape
        torch.Size([1, 201, 5])
    """

    def __init__(self, n_fft=400, win_length=None, hop_length=None, pad=0, window_fn=rl.hann_window, power=2.0,
                 normalized=False, wkwargs=None, center=True, pad_mode="reflect", onesided=True, return_complex=None):
        super().__init__(n_fft, win_length, hop_length, window_fn, wkwargs)
        self.pad, self.power, self.normalized = pad, power, normalized
        self.center, self.pad_mode, self.onesided = center, pad_mode, onesided
        if return_complex is not None:
            warnings.warn("`return_complex` is deprecated and has no effect: `power=None` gives complex numbers")

    def forward(self, waveform):
        return F.spectrogram(waveform, self.pad, self.window, self.n_fft, self.hop_length, self.win_length, self.power,
                             self.normalized, self.center, self.pad_mode, self.onesided)


class InverseSpectrogram(_Framed):
    """Compute sounds from complex spectrograms; arguments are as in `Spectrogram`."""

    def __init__(self, n_fft=400, win_length=None, hop_length=None, pad=0, window_fn=rl.hann_window, normalized=False,
                 wkwargs=None, center=True, pad_mode="reflect", onesided=True):
        super().__init__(n_fft, win_length, hop_length, window_fn, wkwargs)
        self.pad, self.normalized, self.center = pad, normalized, center
        self.pad_mode, self.onesided = pad_mode, onesided

    def forward(self, spectrogram, length=None):
        return F.inverse_spectrogram(spectrogram, length, self.pad, self.window, self.n_fft, self.hop_length,
                                     self.win_length, self.normalized, self.center, self.pad_mode, self.onesided)


class GriffinLim(_Framed):
    """Find sounds of given spectrograms; see `functional.griffinlim`."""

    def __init__(self, n_fft=400, n_iter=32, win_length=None, hop_length=None, window_fn=rl.hann_window, power=2.0,
                 wkwargs=None, momentum=0.99, length=None, rand_init=True):
        super().__init__(n_fft, win_length, hop_length, window_fn, wkwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in the range [0, 1). Found: {momentum}")
        self.n_iter, self.power, self.momentum = n_iter, power, momentum
        self.length, self.rand_init = length, rand_init

    def forward(self, specgram):
        return F.griffinlim(specgram, self.window, self.n_fft, self.hop_length, self.win_length, self.power,
                            self.n_iter, self.momentum, self.length, self.rand_init)


class SpectralCentroid(_Framed):
    """Compute the mean frequency of each frame: (..., time) → (..., frames)."""

    def __init__(self, sample_rate, n_fft=400, win_length=None, hop_length=None, pad=0, window_fn=rl.hann_window,
                 wkwargs=None):
        super().__init__(n_fft, win_length, hop_length, window_fn, wkwargs)
        self.sample_rate, self.pad = sample_rate, pad

    def forward(self, waveform):
        return F.spectral_centroid(waveform, self.sample_rate, self.pad, self.window, self.n_fft, self.hop_length,
                                   self.win_length)


class AmplitudeToDB(nn.Module):
    """Convert powers (`stype` "power") or amplitudes to decibels, at most `top_db` below the largest."""

    def __init__(self, stype="power", top_db=None):
        super().__init__()
        if top_db is not None and top_db < 0:
            raise ValueError("top_db must be positive value")
        self.stype, self.top_db = stype, top_db
        self.multiplier = 10.0 if stype == "power" else 20.0
        self.amin, self.ref_value = 1e-10, 1.0
        self.db_multiplier = math.log10(max(self.amin, self.ref_value))

    def forward(self, x):
        return F.amplitude_to_DB(x, self.multiplier, self.amin, self.db_multiplier, self.top_db)


def _along_frequency(specgram, matrix):
    """Values (..., freq, time) times a matrix (freq, n): (..., n, time)."""
    return (specgram.transpose(-1, -2) @ matrix).transpose(-1, -2)


class _Mel(nn.Module):
    """Keeps a bank of mel filters."""

    def __init__(self, n_mels, sample_rate, f_min, f_max, n_stft, norm, mel_scale):
        super().__init__()
        self.n_mels, self.sample_rate, self.n_stft = n_mels, sample_rate, n_stft
        self.f_min, self.f_max = f_min, float(sample_rate // 2) if f_max is None else f_max
        self.norm, self.mel_scale = norm, mel_scale
        if f_min > self.f_max:
            raise ValueError(f"Require f_min: {f_min} <= f_max: {self.f_max}")
        self.register_buffer("fb", F.melscale_fbanks(n_stft, f_min, self.f_max, n_mels, sample_rate, norm, mel_scale))


class MelScale(_Mel):
    """Sum spectra into mel bands: (..., n_stft, time) → (..., n_mels, time)."""

    def __init__(self, n_mels=128, sample_rate=16000, f_min=0.0, f_max=None, n_stft=201, norm=None, mel_scale="htk"):
        super().__init__(n_mels, sample_rate, f_min, f_max, n_stft, norm, mel_scale)

    def forward(self, specgram):
        return _along_frequency(specgram, self.fb)


class InverseMelScale(_Mel):
    """Estimate spectra from mel bands by least squares: (..., n_mels, time) → (..., n_stft, time), not negative."""

    def __init__(self, n_stft, n_mels=128, sample_rate=16000, f_min=0.0, f_max=None, norm=None, mel_scale="htk",
                 driver="gels"):
        super().__init__(n_mels, sample_rate, f_min, f_max or None, n_stft, norm, mel_scale)
        if driver not in DRIVERS:
            raise ValueError(f"driver must be one of {list(DRIVERS)}. Found {driver}.")
        self.driver = driver

    def forward(self, melspec):
        shape = melspec.shape
        if shape[-2] != self.n_mels:
            raise ValueError(f"Expected an input with {self.n_mels} mel bins. Found: {shape[-2]}")
        rows = melspec.reshape(-1, *shape[-2:])
        bank = self.fb.transpose(-1, -2).expand(rows.shape[0], -1, -1)
        found = rl.relu(linalg.lstsq(bank, rows, driver=self.driver).solution)
        return found.reshape(*shape[:-2], -1, shape[-1])


class MelSpectrogram(nn.Module):
    """Compute spectrograms in mel bands: sounds (..., time) → (..., n_mels, frames).

    Arguments are those of `Spectrogram` and `MelScale`.

    Example:
        >>> T.MelSpectrogram(16000, n_mels=40)(torch.ones(1, 800)).shape
        torch.Size([1, 40, 5])
    """

    def __init__(self, sample_rate=16000, n_fft=400, win_length=None, hop_length=None, f_min=0.0, f_max=None, pad=0,
                 n_mels=128, window_fn=rl.hann_window, power=2.0, normalized=False, wkwargs=None, center=True,
                 pad_mode="reflect", onesided=None, norm=None, mel_scale="htk"):
        super().__init__()
        if onesided is not None:
            warnings.warn("Argument 'onesided' is deprecated and has no effect")
        self.sample_rate, self.n_fft, self.pad, self.n_mels = sample_rate, n_fft, pad, n_mels
        self.f_min, self.f_max, self.power, self.normalized = f_min, f_max, power, normalized
        self.spectrogram = Spectrogram(n_fft, win_length, hop_length, pad, window_fn, power, normalized, wkwargs,
                                       center, pad_mode)
        self.win_length, self.hop_length = self.spectrogram.win_length, self.spectrogram.hop_length
        self.mel_scale = MelScale(n_mels, sample_rate, f_min, f_max, n_fft // 2 + 1, norm, mel_scale)

    def forward(self, waveform):
        return self.mel_scale(self.spectrogram(waveform))


class _Cepstra(nn.Module):
    """Keeps what turns spectra in bands into cepstra."""

    def __init__(self, sample_rate, dct_type, norm):
        super().__init__()
        if dct_type != 2:
            raise ValueError(f"DCT type not supported: {dct_type}")
        self.sample_rate, self.dct_type, self.norm = sample_rate, dct_type, norm
        self.top_db = 80.0
        self.amplitude_to_DB = AmplitudeToDB("power", self.top_db)

    def cepstra(self, bands, logarithm):
        bands = rl.log(bands + LOG_FLOOR) if logarithm else self.amplitude_to_DB(bands)
        return _along_frequency(bands, self.dct_mat)


class MFCC(_Cepstra):
    """Compute mel-frequency cepstral coefficients: sounds (..., time) → (..., n_mfcc, frames).

    Args:
        sample_rate (int): in Hz; n_mfcc (int): coefficients, at most as many as mel bands.
        dct_type (int): 2; norm (str or None): "ortho" for an orthogonal transform.
        log_mels (bool): natural logarithm instead of decibels.
        melkwargs (dict): arguments of `MelSpectrogram`.
    """

    def __init__(self, sample_rate=16000, n_mfcc=40, dct_type=2, norm="ortho", log_mels=False, melkwargs=None):
        super().__init__(sample_rate, dct_type, norm)
        self.n_mfcc, self.log_mels = n_mfcc, log_mels
        self.MelSpectrogram = MelSpectrogram(sample_rate=sample_rate, **(melkwargs or {}))
        if n_mfcc > self.MelSpectrogram.n_mels:
            raise ValueError("Cannot select more MFCC coefficients than # mel bins")
        self.register_buffer("dct_mat", F.create_dct(n_mfcc, self.MelSpectrogram.n_mels, norm))

    def forward(self, waveform):
        return self.cepstra(self.MelSpectrogram(waveform), self.log_mels)


class LFCC(_Cepstra):
    """Compute linear-frequency cepstral coefficients; as `MFCC`, with `n_filter` equally wide bands and `speckwargs`
    for `Spectrogram`."""

    def __init__(self, sample_rate=16000, n_filter=128, f_min=0.0, f_max=None, n_lfcc=40, dct_type=2, norm="ortho",
                 log_lf=False, speckwargs=None):
        super().__init__(sample_rate, dct_type, norm)
        self.f_min, self.f_max = f_min, float(sample_rate // 2) if f_max is None else f_max
        self.n_filter, self.n_lfcc, self.log_lf = n_filter, n_lfcc, log_lf
        self.Spectrogram = Spectrogram(**(speckwargs or {}))
        if n_lfcc > self.Spectrogram.n_fft:
            raise ValueError("Cannot select more LFCC coefficients than # fft bins")
        bins = self.Spectrogram.n_fft // 2 + 1
        self.register_buffer("filter_mat", F.linear_fbanks(bins, f_min, self.f_max, n_filter, sample_rate))
        self.register_buffer("dct_mat", F.create_dct(n_lfcc, n_filter, norm))

    def forward(self, waveform):
        return self.cepstra(_along_frequency(self.Spectrogram(waveform), self.filter_mat), self.log_lf)


class TimeStretch(nn.Module):
    """Stretch complex spectrograms (..., n_freq, frames) in time; see `functional.phase_vocoder`.

    Args:
        hop_length (int): of the spectrogram, n_freq - 1 by default.
        fixed_rate (float): rate to use if `forward` gets none.
    """

    def __init__(self, hop_length=None, n_freq=201, fixed_rate=None):
        super().__init__()
        self.fixed_rate = fixed_rate
        hop_length = n_freq - 1 if hop_length is None else hop_length
        self.register_buffer("phase_advance", rl.linspace(0, math.pi * hop_length, n_freq)[..., None])

    def forward(self, complex_specgrams, overriding_rate=None):
        if not complex_specgrams.is_complex():
            warnings.warn("The input to TimeStretch must be complex; results for real numbers are not valid",
                          stacklevel=4)
        rate = self.fixed_rate if overriding_rate is None else overriding_rate
        if rate is None:
            raise ValueError("If no fixed_rate is specified, must pass a valid rate to the forward method.")
        return F.phase_vocoder(complex_specgrams, rate, self.phase_advance)


class PitchShift(nn.modules.lazy.LazyModuleMixin, _Framed):
    """Raise the pitch of sounds; see `functional.pitch_shift`. The first input sets the dtype of the kernel."""

    def __init__(self, sample_rate, n_steps, bins_per_octave=12, n_fft=512, win_length=None, hop_length=None,
                 window_fn=rl.hann_window, wkwargs=None):
        super().__init__(n_fft, win_length, hop_length, window_fn, wkwargs, hops=4)
        self.sample_rate, self.n_steps, self.bins_per_octave = sample_rate, n_steps, bins_per_octave
        self.orig_freq = int(sample_rate / 2.0 ** (-float(n_steps) / bins_per_octave))
        self.gcd = math.gcd(self.orig_freq, int(sample_rate))
        if self.orig_freq != sample_rate:
            self.width = -1
            self.kernel = nn.parameter.UninitializedParameter(device=None, dtype=None)

    def initialize_parameters(self, input):
        """Compute the kernel in the dtype of an input."""
        if not self.has_uninitialized_params() or self.orig_freq == self.sample_rate:
            return
        with rl.no_grad():
            kernel, self.width = sinc_kernel(self.orig_freq, self.sample_rate, self.gcd, dtype=input.dtype,
                                             device=input.device)
            self.kernel.materialize(kernel.shape)
            self.kernel.copy_(kernel)

    def forward(self, waveform):
        found = stretch(waveform, self.n_steps, self.bins_per_octave, self.n_fft, self.win_length, self.hop_length,
                        self.window)
        if self.orig_freq != self.sample_rate:
            found = apply_kernel(found, self.orig_freq, self.sample_rate, self.gcd, self.kernel, self.width)
        return fit(found, waveform.shape)
