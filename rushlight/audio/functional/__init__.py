"""Functions of sounds, as `torchaudio.functional` has them; a family a file."""

from .alignment import TokenSpan, edit_distance, forced_align, merge_tokens, rnnt_loss
from .beamforming import apply_beamforming, mvdr_weights_rtf, mvdr_weights_souden, psd, rtf_evd, rtf_power
from .convolution import add_noise, convolve, fftconvolve, frechet_distance
from .effects import contrast, dcshift, dither, flanger, gain, overdrive, phaser
from .features import (
    compute_deltas, detect_pitch_frequency, loudness, mask_along_axis, mask_along_axis_iid, sliding_window_cmn,
)
from .filtering import (
    allpass_biquad, band_biquad, bandpass_biquad, bandreject_biquad, bass_biquad, biquad, deemph_biquad, deemphasis,
    equalizer_biquad, filtfilt, highpass_biquad, lfilter, lowpass_biquad, preemphasis, riaa_biquad, treble_biquad,
)
from .resampling import resample, speed
from .scales import (
    DB_to_amplitude, amplitude_to_DB, create_dct, linear_fbanks, melscale_fbanks, mu_law_decoding, mu_law_encoding,
)
from .spectral import griffinlim, inverse_spectrogram, phase_vocoder, pitch_shift, spectral_centroid, spectrogram
from .voice import vad

__all__ = [
    "DB_to_amplitude", "TokenSpan", "add_noise", "allpass_biquad", "amplitude_to_DB", "apply_beamforming",
    "band_biquad", "bandpass_biquad", "bandreject_biquad", "bass_biquad", "biquad", "compute_deltas", "contrast",
    "convolve", "create_dct", "dcshift", "deemph_biquad", "deemphasis", "detect_pitch_frequency", "dither",
    "edit_distance", "equalizer_biquad", "fftconvolve", "filtfilt", "flanger", "forced_align", "frechet_distance",
    "gain", "griffinlim", "highpass_biquad", "inverse_spectrogram", "lfilter", "linear_fbanks", "loudness",
    "lowpass_biquad", "mask_along_axis", "mask_along_axis_iid", "melscale_fbanks", "merge_tokens", "mu_law_decoding",
    "mu_law_encoding", "mvdr_weights_rtf", "mvdr_weights_souden", "overdrive", "phase_vocoder", "phaser", "pitch_shift",
    "preemphasis", "psd", "resample", "riaa_biquad", "rnnt_loss", "rtf_evd", "rtf_power", "sliding_window_cmn",
    "spectral_centroid", "spectrogram", "speed", "treble_biquad", "vad",
]
