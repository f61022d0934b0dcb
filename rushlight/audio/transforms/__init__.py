"""Transforms of sounds and spectrograms as layers: `torchaudio.transforms`."""

from .beamforming import MVDR, PSD, RTFMVDR, SoudenMVDR
from .masking import FrequencyMasking, SpecAugment, TimeMasking
from .spectral import (
    LFCC, MFCC, AmplitudeToDB, GriffinLim, InverseMelScale, InverseSpectrogram, MelScale, MelSpectrogram, PitchShift,
    SpectralCentroid, Spectrogram, TimeStretch,
)
from .waveforms import (
    AddNoise, ComputeDeltas, Convolve, Deemphasis, FFTConvolve, Fade, Loudness, MuLawDecoding, MuLawEncoding,
    Preemphasis, RNNTLoss, Resample, SlidingWindowCmn, Speed, SpeedPerturbation, Vad, Vol,
)

__all__ = [
    "AddNoise", "AmplitudeToDB", "ComputeDeltas", "Convolve", "Deemphasis", "FFTConvolve", "Fade", "FrequencyMasking",
    "GriffinLim", "InverseMelScale", "InverseSpectrogram", "LFCC", "Loudness", "MFCC", "MVDR", "MelScale",
    "MelSpectrogram", "MuLawDecoding", "MuLawEncoding", "PSD", "PitchShift", "Preemphasis", "RNNTLoss", "RTFMVDR",
    "Resample", "SlidingWindowCmn", "SoudenMVDR", "SpecAugment", "SpectralCentroid", "Spectrogram", "Speed",
    "SpeedPerturbation", "TimeMasking", "TimeStretch", "Vad", "Vol",
]
