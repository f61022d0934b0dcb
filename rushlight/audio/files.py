"""Sounds in files: `load`, `save` and `info`, by the package `soundfile` (WAV, FLAC, OGG, MP3 and others).

`soundfile` is an optional extra that is imported when it is first needed.
"""

import dataclasses
import os
import warnings

from .. import api as rl
from ..base.lazy import numpy as np

INTEGERS = {"PCM_16": "int16", "PCM_24": "int32", "PCM_32": "int32"}
BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64, "ULAW": 8,
        "ALAW": 8}
ENCODINGS = {"PCM_S": "PCM_{}", "PCM_U": "PCM_U{}", "PCM_F": {32: "FLOAT", 64: "DOUBLE"}, "ULAW": "ULAW",
             "ALAW": "ALAW"}
DEFAULT_BUFFER = 4096


def _soundfile():
    try:
        import soundfile
    except ImportError as error:
        raise ImportError("reading and writing sounds needs the package soundfile: pip install 'rushlight[audio]'"
                          ) from error
    return soundfile


def _opened(uri):
    return os.fspath(uri) if isinstance(uri, (str, os.PathLike)) else uri


def _note_ignored(buffer_size, backend):
    if buffer_size != DEFAULT_BUFFER:
        warnings.warn("The 'buffer_size' parameter has no effect.", UserWarning, stacklevel=3)
    if backend is not None:
        warnings.warn("The 'backend' parameter has no effect: soundfile is the only one.", UserWarning, stacklevel=3)


def load(uri, frame_offset=0, num_frames=-1, normalize=True, channels_first=True, format=None, buffer_size=4096,
         backend=None):
    """Read a sound from a file.

    Args:
        uri (path or file object): the file.
        frame_offset (int): samples to skip; num_frames (int): samples to read, all that follow if -1.
        normalize (bool): give float32 from -1 to 1; else the integers of files that hold integers.
        channels_first (bool): give (channels, time) instead of (time, channels).
        format (str, optional): format of a file object, such as "wav", if it cannot be seen from the file.
        buffer_size, backend: have no effect.

    Returns:
        tuple: the sound and its sample rate.

    Raises:
        ImportError: `soundfile` is missing.
        RuntimeError: the file cannot be read.
    """
    _note_ignored(buffer_size, backend)
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(_opened(uri)) as file:
            dtype = "float32" if normalize else INTEGERS.get(file.subtype, "float32")
            file.seek(min(frame_offset, file.frames))
            data = file.read(num_frames, dtype, always_2d=True)
            rate = file.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        raise RuntimeError(f"cannot read a sound from {uri}: {error}") from error
    found = rl.from_numpy(np.ascontiguousarray(data.T if channels_first else data))
    return found, rate


def _subtype(soundfile, format, dtype, encoding, bits):
    """The subtype of soundfile for an encoding such as "PCM_S" with a number of bits; None for the format's own."""
    if encoding is None and bits is None:
        if format.upper() == "WAV" and dtype in (rl.float32, rl.float64):
            return "FLOAT" if dtype is rl.float32 else "DOUBLE"
        return None
    kind = "PCM_S" if encoding is None else encoding.upper()
    if kind not in ENCODINGS:
        raise ValueError(f"encoding must be one of {', '.join(ENCODINGS)}, got {encoding}")
    name = ENCODINGS[kind]
    if isinstance(name, dict):
        name = name.get(bits or 32, "")
    found = "PCM_S8" if kind == "PCM_S" and bits == 8 and format.upper() != "WAV" else name.format(
        bits or (8 if kind == "PCM_U" else 16))
    if found not in soundfile.available_subtypes(format.upper()):
        raise ValueError(f"{format} files have no encoding {encoding} with {bits} bits per sample")
    return found


def save(uri, src, sample_rate, channels_first=True, format=None, encoding=None, bits_per_sample=None,
         buffer_size=4096, backend=None, compression=None):
    """Write a sound to a file.

    Args:
        uri (path or file object): the file; the name's ending is its format.
        src (Tensor): (channels, time), or (time, channels) if not `channels_first`; (time,) for one channel.
        sample_rate (int): in Hz.
        format (str, optional): such as "wav" or "flac"; needed for file objects.
        encoding (str, optional): "PCM_S", "PCM_U", "PCM_F", "ULAW" or "ALAW".
        bits_per_sample (int, optional): of the encoding.
        compression (float, optional): from 0 (fast) to 1 (small), for FLAC, OGG and MP3.
        buffer_size, backend: have no effect.

    Raises:
        ImportError: `soundfile` is missing.
        ValueError: the shape, format or encoding does not fit.
        RuntimeError: the file cannot be written.
    """
    _note_ignored(buffer_size, backend)
    soundfile = _soundfile()
    if src.ndim not in (1, 2):
        raise ValueError(f"Expected 1D or 2D tensor, got {src.ndim}D")
    if format is None:
        if not isinstance(uri, (str, os.PathLike)):
            raise ValueError("a file object needs the argument `format`")
        format = os.path.splitext(os.fspath(uri))[1].lstrip(".")
    if format.upper() not in soundfile.available_formats():
        raise ValueError(f"unknown format of sounds: {format or uri!r}")
    data = src.detach().cpu().numpy()
    data = data.T if channels_first and src.ndim == 2 else data
    options = {} if compression is None else {"compression_level": float(compression)}
    try:
        soundfile.write(_opened(uri), data, sample_rate, format=format.upper(), closefd=False,
                        subtype=_subtype(soundfile, format, src.dtype, encoding, bits_per_sample), **options)
    except (soundfile.SoundFileError, OSError) as error:
        raise RuntimeError(f"cannot write a sound to {uri}: {error}") from error


@dataclasses.dataclass
class AudioMetaData:
    """What `info` gives: sample rate, samples of a channel, channels, bits of a sample (0 if compressed), encoding."""

    sample_rate: int
    num_frames: int
    num_channels: int
    bits_per_sample: int
    encoding: str


def info(uri, format=None, buffer_size=4096, backend=None):
    """Read what a file says about its sound: an `AudioMetaData`. Arguments and errors are those of `load`."""
    _note_ignored(buffer_size, backend)
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(_opened(uri)) as file:
            kind = file.subtype
            encoding = {"P": "PCM_S", "F": "PCM_F", "D": "PCM_F"}.get(kind[0], kind)
            encoding = "FLAC" if file.format == "FLAC" else "PCM_U" if kind == "PCM_U8" else encoding
            return AudioMetaData(file.samplerate, file.frames, file.channels, BITS.get(kind, 0), encoding)
    except (soundfile.SoundFileError, OSError) as error:
        raise RuntimeError(f"cannot read a sound from {uri}: {error}") from error


load_with_torchcodec = load
save_with_torchcodec = save
