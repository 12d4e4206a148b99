"""A short clip with H.264 and AAC, made by PyAV."""

import math
from array import array
from pathlib import Path

import av

FRAMES_A_SECOND = 25


def write_clip(path: Path, *, seconds: int = 3) -> Path:
    """160 × 90 pixels of a colour that changes, and a tone."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=FRAMES_A_SECOND)
        video.width, video.height, video.pix_fmt, video.bit_rate = 160, 90, "yuv420p", 200_000
        video.options = {"g": "25", "preset": "ultrafast"}
        audio = out.add_stream("aac", rate=48_000)
        audio.layout, audio.bit_rate = "mono", 48_000
        for number in range(seconds * FRAMES_A_SECOND):
            frame = av.VideoFrame(160, 90, "yuv420p")
            for plane, value in zip(frame.planes, (number * 3 % 256, 90, 160), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts = number
            out.mux(video.encode(frame))
        for begin in range(0, seconds * 48_000, 1024):
            sound = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            sound.planes[0].update(array("f", (0.1 * math.sin(at / 17) for at in range(begin, begin + 1024))).tobytes())
            sound.sample_rate, sound.pts = 48_000, begin
            out.mux(audio.encode(sound))
        for stream in (video, audio):
            out.mux(stream.encode(None))
    return path
