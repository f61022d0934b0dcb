"""Spectrograms and what is made of them: inversion, phase vocoder, Griffin-Lim, pitch shift, centroid."""

import math
import warnings

from ... import api as rl
from ...nn import functional as nnf
from .resampling import resample

REAL_TO_COMPLEX = {rl.float64: rl.complex128, rl.float32: rl.complex64}


def _normalisation(normalized):
    """(whether frames are divided by the root of their length, whether by the window's energy)."""
    if isinstance(normalized, str):
        if normalized not in ("frame_length", "window"):
            raise ValueError(f"Invalid normalized parameter: {normalized}")
        return normalized == "frame_length", normalized == "window"
    if isinstance(normalized, bool):
        return False, normalized
    raise TypeError("Input type not supported")


def _energy(window):
    return window.pow(2.0).sum().sqrt()


def spectrogram(waveform, pad, window, n_fft, hop_length, win_length, power, normalized, center=True,
                pad_mode="reflect", onesided=True, return_complex=None):
    """Compute the short-time Fourier transform of sounds, or a power of its magnitude.

    Args:
        waveform (Tensor): (..., time).
        pad (int): zeros at both ends.
        window (Tensor): (win_length,).
        n_fft (int): samples of a frame; hop_length, win_length (int): as in `torch.stft`.
        power (float or None): exponent of the magnitude; None gives complex numbers.
        normalized (bool or str): True or "window" divides by the root of the window's energy, "frame_length" by that of
            the frame's length.
        center (bool), pad_mode (str), onesided (bool): as in `torch.stft`.
        return_complex: has no effect any more.

    Returns:
        Tensor: (..., n_fft // 2 + 1, frames).

    Example:
        >>> F.spectrogram(torch.ones(1, 800), 0, torch.hann_window(400), 400, 200, 400, 2.0, False).shape
        torch.Size([1, 201, 5])
    """
    if return_complex is not None:
        warnings.warn("`return_complex` is deprecated and has no effect: `power=None` gives complex numbers")
    if pad > 0:
        waveform = nnf.pad(waveform, (pad, pad))
    by_length, by_window = _normalisation(normalized)
    shape = waveform.shape
    found = rl.stft(waveform.reshape(-1, shape[-1]), n_fft, hop_length, win_length, window, center, pad_mode, by_length,
                    onesided, return_complex=True)
    found = found.reshape(shape[:-1] + found.shape[-2:])
    if by_window:
        found = found / _energy(window)
    if power is None:
        return found
    return found.abs() if power == 1.0 else found.abs().pow(power)


def inverse_spectrogram(spectrogram, length, pad, window, n_fft, hop_length, win_length, normalized, center=True,
                        pad_mode="reflect", onesided=True):
    """Compute sounds from complex spectrograms (..., freq, time): the inverse of `spectrogram` with `power=None`.

    `length` is the number of samples of the result; as many as the frames give if None. Other arguments are as in
    `spectrogram`. Raises ValueError if the spectrogram is not complex.
    """
    by_length, by_window = _normalisation(normalized)
    if not spectrogram.is_complex():
        raise ValueError("Expected `spectrogram` to be complex dtype.")
    if by_window:
        spectrogram = spectrogram * _energy(window)
    shape = spectrogram.shape
    found = rl.istft(spectrogram.reshape(-1, *shape[-2:]), n_fft, hop_length, win_length, window, center, by_length,
                     onesided, None if length is None else length + 2 * pad)
    if length is not None and pad > 0:
        found = found[:, pad:-pad]
    return found.reshape(shape[:-2] + found.shape[-1:])


def spectral_centroid(waveform, sample_rate, pad, window, n_fft, hop_length, win_length):
    """Compute the mean frequency of each frame, weighted by magnitude: (..., time) → (..., frames)."""
    found = spectrogram(waveform, pad, window, n_fft, hop_length, win_length, 1.0, False)
    frequencies = rl.linspace(0, sample_rate // 2, 1 + n_fft // 2, device=found.device).unsqueeze(1)
    return (frequencies * found).sum(-2) / found.sum(-2)


def griffinlim(specgram, window, n_fft, hop_length, win_length, power, n_iter, momentum, length, rand_init):
    """Find sounds whose spectrograms have given magnitudes (Griffin and Lim 1984; Perraudin et al. 2013).

    Args:
        specgram (Tensor): (..., freq, frames), magnitudes to the power `power`.
        n_iter (int): iterations; momentum (float): of the fast variant, at least 0 and less than 1.
        length (int or None): samples of the result.
        rand_init (bool): begin with random phases instead of 0.

    Returns:
        Tensor: (..., time).
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be in range [0, 1). Found: {momentum}")
    momentum = momentum / (1 + momentum)
    shape = specgram.shape
    specgram = specgram.reshape(-1, *shape[-2:]).pow(1 / power)
    dtype = REAL_TO_COMPLEX.get(specgram.dtype)
    if dtype is None:
        raise ValueError(f"Unexpected dtype {specgram.dtype}")
    start = rl.rand if rand_init else rl.ones
    angles, before = start(specgram.shape, dtype=dtype, device=specgram.device), None

    def sound():
        return rl.istft(specgram * angles, n_fft, hop_length, win_length, window, length=length)

    for _ in range(n_iter):
        rebuilt = rl.stft(sound(), n_fft, hop_length, win_length, window, return_complex=True)
        angles = rebuilt if before is None or not momentum else rebuilt - before * momentum
        angles = angles / (angles.abs() + 1e-16)
        before = rebuilt
    found = sound()
    return found.reshape(shape[:-2] + found.shape[-1:])


def phase_vocoder(complex_specgrams, rate, phase_advance):
    """Stretch spectrograms in time by 1 / rate without a change of pitch.

    Args:
        complex_specgrams (Tensor): (..., freq, frames), complex.
        rate (float): how much faster the result is.
        phase_advance (Tensor): (freq, 1), expected phase advance of each bin from frame to frame.

    Returns:
        Tensor: (..., freq, ceil(frames / rate)).

    Example:
        >>> F.phase_vocoder(torch.ones(2, 33, 10, dtype=torch.cfloat), 2.0, torch.zeros(33, 1)).shape
        torch.Size([2, 33, 5])
    """
    if rate == 1.0:
        return complex_specgrams
    shape = complex_specgrams.shape
    frames = complex_specgrams.reshape(-1, *shape[-2:])
    steps = rl.arange(0, frames.shape[-1], rate, device=frames.device, dtype=rl.real(frames).dtype)
    fractions = steps % 1.0
    first = frames[..., :1].angle()
    frames = nnf.pad(frames, (0, 2))
    early = frames.index_select(-1, steps.long())
    late = frames.index_select(-1, (steps + 1).long())
    advance = late.angle() - early.angle() - phase_advance
    advance = advance - 2 * math.pi * rl.round(advance / (2 * math.pi)) + phase_advance
    phase = rl.cat((first, advance[..., :-1]), -1).cumsum(-1)
    magnitude = fractions * late.abs() + (1 - fractions) * early.abs()
    found = rl.polar(magnitude, phase)
    return found.reshape(shape[:-2] + found.shape[1:])


def stretch(waveform, n_steps, bins_per_octave, n_fft, win_length, hop_length, window):
    """Sounds (..., time), longer by the factor that `n_steps` of an octave change their pitch: (rows, time')."""
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    window = rl.hann_window(win_length, device=waveform.device) if window is None else window
    waveform = waveform.reshape(-1, waveform.shape[-1])
    rate = 2.0 ** (-float(n_steps) / bins_per_octave)
    spectra = rl.stft(waveform, n_fft, hop_length, win_length, window, return_complex=True)
    advance = rl.linspace(0, math.pi * hop_length, spectra.shape[-2], device=spectra.device)[..., None]
    return rl.istft(phase_vocoder(spectra, rate, advance), n_fft, hop_length, win_length, window,
                    length=round(waveform.shape[-1] / rate))


def fit(waveform, shape):
    """Rows of samples cut or filled with zeros to a shape."""
    extra = shape[-1] - waveform.shape[-1]
    waveform = waveform[..., :shape[-1]] if extra < 0 else nnf.pad(waveform, (0, extra))
    return waveform.reshape(shape)


def pitch_shift(waveform, sample_rate, n_steps, bins_per_octave=12, n_fft=512, win_length=None, hop_length=None,
                window=None):
    """Raise the pitch of sounds (..., time) by `n_steps` of `bins_per_octave` in an octave.

    A phase vocoder changes the length, resampling changes it back. `n_fft`, `win_length`, `hop_length` and `window`
    are those of the spectrograms; a hop is a quarter of a frame by default, the window that of Hann.
    """
    stretched = stretch(waveform, n_steps, bins_per_octave, n_fft, win_length, hop_length, window)
    rate = 2.0 ** (-float(n_steps) / bins_per_octave)
    return fit(resample(stretched, int(sample_rate / rate), sample_rate), waveform.shape)
