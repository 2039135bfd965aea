"""Frames in and out of MP4 files, through PyAV (FFmpeg)."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.error import FFmpegError
from av.video.stream import VideoStream
from jaxtyping import UInt8

from suffuse.console import because
from suffuse.policy.errors import DataError

CODEC = "libx264"
PIXELS = "yuv420p"
"""What every player shows; it halves the resolution of colour, so width and height must be even."""

DEFAULT_QUALITY = 18
"""Constant rate factor of x264: 0 keeps everything that 4:2:0 can hold, 18 looks the same, 51 is worst."""


def write_video(
    frames: Iterable[UInt8[np.ndarray, "i j 3"]], path: Path, *, fps: float, quality: int = DEFAULT_QUALITY
) -> int:
    """Write frames as an MP4 (H.264) that can be searched frame by frame. Returns how many there were.

    Raises:
        DataError: a frame has another size than the first, or an odd one, or it cannot be written.
    """
    count = 0
    size: tuple[int, ...] = ()
    try:
        with av.open(str(path), mode="w", format="mp4") as container:
            stream = cast("VideoStream", container.add_stream(CODEC, rate=Fraction(fps).limit_denominator(1001)))
            stream.pix_fmt = PIXELS
            stream.options = {"crf": str(quality), "g": "2", "bf": "0"}
            stream.thread_count = 1
            for frame in frames:
                if not size:
                    size = frame.shape
                    stream.height, stream.width = frame.shape[:2]
                if frame.shape != size or frame.shape[0] % 2 or frame.shape[1] % 2:
                    raise DataError(
                        f"{path}: frame {count} is {frame.shape}; all must be {size}, even in both directions"
                    )
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                container.mux(stream.encode(picture))
                count += 1
            if count:
                container.mux(stream.encode(None))
    except (FFmpegError, OSError) as error:
        raise DataError(f"{path}: cannot be written as a video: {because(error)}") from error
    if not count:
        raise DataError(f"{path}: a video needs at least one frame")
    return count


def read_video(path: Path) -> UInt8[np.ndarray, "frames i j 3"]:
    """All frames of a video.

    Raises:
        DataError: there is no such file, it is no video, or it is damaged.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such video")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: has no pictures in it")
            container.streams.video[0].thread_type = "NONE"
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (FFmpegError, OSError, IndexError) as error:
        raise DataError(f"{path}: is not a video that can be read to its end: {because(error)}") from error
    if not frames:
        raise DataError(f"{path}: has no frames")
    return np.stack(frames)
