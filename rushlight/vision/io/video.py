"""Videos, through the optional package `av`."""
from fractions import Fraction

import numpy as np

from ... import api as rl
from ...base.optional import optional


def _av(purpose):
    return optional("av", "video", purpose)


def _checked_unit(pts_unit):
    if pts_unit not in ("pts", "sec"):
        raise ValueError(f"pts_unit should be 'pts' or 'sec', got {pts_unit!r}")


def _frames(container, stream, start, end, unit):
    """The decoded frames of a stream whose time lies between start and end."""
    base = stream.time_base
    first = start if unit == "pts" else start / base
    last = end if unit == "pts" else end / base
    if first > 0:
        container.seek(int(first), stream=stream, backward=True)
    for frame in container.decode(stream):
        if frame.pts is None or frame.pts < first:
            continue
        if frame.pts > last:
            return
        yield frame


def read_video(filename, start_pts=0, end_pts=None, pts_unit="pts", output_format="THWC"):
    """Read the frames and the sound of a video.

    Args:
        filename: path of the file.
        start_pts, end_pts: what to read, in units of the stream, or seconds with `pts_unit="sec"`.
        output_format: "THWC" or "TCHW", the dimensions of the frames.

    Returns:
        Frames (T, H, W, 3) of uint8, sound (channels, samples) of float32, and a dictionary with `video_fps` and
        `audio_fps`, where the file has them.

    Raises:
        ImportError: `av` is not installed.
        RuntimeError: the file is none that can be read.
    """
    _checked_unit(pts_unit)
    if output_format.upper() not in ("THWC", "TCHW"):
        raise ValueError(f"output_format should be either 'THWC' or 'TCHW', got {output_format}.")
    end_pts = float("inf") if end_pts is None else end_pts
    if end_pts < start_pts:
        raise ValueError(f"end_pts should be larger than start_pts, got start_pts={start_pts} and end_pts={end_pts}")
    av = _av("read_video")
    frames, sound, info = [], [], {}
    try:
        with av.open(str(filename), metadata_errors="ignore") as container:
            for stream in container.streams.video[:1]:
                info["video_fps"] = float(stream.average_rate) if stream.average_rate else None
                frames = [frame.to_rgb().to_ndarray()
                          for frame in _frames(container, stream, start_pts, end_pts, pts_unit)]
        with av.open(str(filename), metadata_errors="ignore") as container:
            for stream in container.streams.audio[:1]:
                info["audio_fps"] = stream.rate
                sound = [frame.to_ndarray() for frame in _frames(container, stream, start_pts, end_pts, pts_unit)]
    except (av.error.FFmpegError, OSError) as error:
        raise RuntimeError(f"read_video: {filename} cannot be read: {error}") from error
    pictures = np.stack(frames) if frames else np.empty((0, 1, 1, 3), np.uint8)
    pictures = rl.from_numpy(pictures)
    samples = np.concatenate(sound, 1).astype(np.float32) if sound else np.empty((0, 0), np.float32)
    if output_format.upper() == "TCHW":
        pictures = pictures.permute(0, 3, 1, 2)
    return pictures, rl.from_numpy(samples), info


def read_video_timestamps(filename, pts_unit="pts"):
    """The times of a video's frames (in units of the stream, or seconds with `pts_unit="sec"`), and its frames a
    second."""
    _checked_unit(pts_unit)
    av = _av("read_video_timestamps")
    try:
        with av.open(str(filename), metadata_errors="ignore") as container:
            for stream in container.streams.video[:1]:
                times = sorted([packet.pts for packet in container.demux(stream) if packet.pts is not None])
                rate = float(stream.average_rate) if stream.average_rate else None
                return [time * stream.time_base for time in times] if pts_unit == "sec" else times, rate
    except (av.error.FFmpegError, OSError) as error:
        raise RuntimeError(f"read_video_timestamps: {filename} cannot be read: {error}") from error
    return [], None


def write_video(filename, video_array, fps, video_codec="libx264", options=None, audio_array=None, audio_fps=None,
                audio_codec=None, audio_options=None):
    """Write frames (T, H, W, 3) of uint8 as a video, with sound (channels, samples) where it is given."""
    av = _av("write_video")
    frames = rl.as_tensor(video_array, dtype=rl.uint8).numpy(force=True)
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"write_video: expected frames of shape (T, H, W, 3), got {frames.shape}")
    rate = Fraction(fps).limit_denominator(1 << 16)
    with av.open(str(filename), mode="w") as container:
        stream = container.add_stream(video_codec, rate=rate)
        stream.width, stream.height = frames.shape[2], frames.shape[1]
        stream.pix_fmt = "yuv420p" if video_codec != "libx264rgb" else "rgb24"
        stream.options = options or {}
        voice = None
        if audio_array is not None:
            samples = rl.as_tensor(audio_array).numpy(force=True)
            layout = "stereo" if samples.shape[0] > 1 else "mono"
            voice = container.add_stream(audio_codec, rate=audio_fps)
            voice.codec_context.layout = layout
            voice.options = audio_options or {}
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if voice is not None:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
            frame.sample_rate = audio_fps
            container.mux(voice.encode(frame))
            container.mux(voice.encode())
