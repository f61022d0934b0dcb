"""Images and videos in files and in memory: Pillow reads and writes the formats, `av` (optional) videos."""
from .image import (
    ImageReadMode, decode_avif, decode_gif, decode_heic, decode_image, decode_jpeg, decode_png, decode_webp,
    encode_jpeg, encode_png, read_file, read_image, write_file, write_jpeg, write_png,
)
from .video import read_video, read_video_timestamps, write_video

__all__ = [
    "ImageReadMode", "decode_avif", "decode_gif", "decode_heic", "decode_image", "decode_jpeg", "decode_png",
    "decode_webp", "encode_jpeg", "encode_png", "read_file", "read_image", "read_video", "read_video_timestamps",
    "write_file", "write_jpeg", "write_png", "write_video",
]
