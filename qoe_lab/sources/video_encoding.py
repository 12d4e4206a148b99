"""Encoding of contents with PyAV. A content that is there already is not encoded again.

Each content is encoded in a process of its own, and its folder appears when it is complete.
"""

import io
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame

from qoe_lab.sources import mp4_boxes
from qoe_lab.sources.ladder import (
    DEFAULT_CONTENTS,
    DESCRIPTION,
    FRAMES_PER_S,
    Content,
    ContentRecipe,
    EncodedRung,
    Rung,
    described,
    made_from,
    read_content,
)
from qoe_lab.sources.pictures import pictures
from serving.locked_scratch import scratch_folder
from serving.regular_files import read_regular_text
from serving.worker_processes import end_with_the_parent

ENCODED_S = 8
"""Of each content; the server repeats its segments."""

FIRST_SHARE = 0.4
"""Of a second's bits, what the first segment may have in addition. With more, the declared rate of short segments, which is that of
the largest one, is far above the mean."""

_MUXING = {"movflags": "frag_keyframe+empty_moov+default_base_moof+skip_trailer"}


def make_contents(
    folder: Path,
    recipes: Sequence[ContentRecipe] = DEFAULT_CONTENTS,
    *,
    seconds: int = ENCODED_S,
    progress: Callable[[str, int, int], None] = lambda _id, _done, _all: None,
) -> list[Content]:
    """Encode what is missing or was made from another recipe. `progress` gets the content, and how many of how many are there."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [recipe for recipe in recipes if not _is_made(folder, recipe, seconds)]
    done = len(recipes) - len(missing)
    for recipe in recipes:
        if recipe not in missing:
            progress(recipe.content_id, done, len(recipes))
    if missing:
        workers = min(len(missing), len(os.sched_getaffinity(0)))
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=end_with_the_parent) as pool:
            made = {pool.submit(make_content, folder, recipe, seconds): recipe for recipe in missing}
            for each in as_completed(made):
                each.result()
                done += 1
                progress(made[each].content_id, done, len(recipes))
    return [read_content(folder / recipe.content_id) for recipe in recipes]


def _is_made(folder: Path, recipe: ContentRecipe, seconds: int) -> bool:
    try:
        fields = json.loads(read_regular_text(folder / recipe.content_id / DESCRIPTION))
        return bool(fields["made_from"] == made_from(recipe, seconds))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def make_content(folder: Path, recipe: ContentRecipe, seconds: int) -> None:
    """Encode one content into a folder beside the final one, then rename it. `seconds` are whole segments of it."""
    with scratch_folder(f".{recipe.content_id}-", folder) as temporary:
        made = temporary / "made"
        made.mkdir()
        encoders = [_Encoder(rung, recipe) for rung in recipe.rungs]
        for number, picture in enumerate(pictures(recipe, seconds * FRAMES_PER_S)):
            for encoder in encoders:
                encoder.add(picture, number)
        encoded = tuple(encoder.write(made) for encoder in encoders)
        segments = seconds // recipe.segment_s
        content = Content(content_id=recipe.content_id, segment_s=recipe.segment_s, segments=segments, rungs=encoded)
        (made / DESCRIPTION).write_text(described(content, made_from(recipe, seconds)), encoding="utf-8")
        target = folder / recipe.content_id
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)


class _Encoder:
    """One rung: H.264 with a limited rate, a key frame at the beginning of each segment, in fragmented MP4."""

    def __init__(self, rung: Rung, recipe: ContentRecipe) -> None:
        self._rung = rung
        self._segment_s = recipe.segment_s
        self._written = io.BytesIO()
        self._output: Any = av.open(self._written, mode="w", format="mp4", options=_MUXING)
        limits = {"crf": "17", "maxrate": f"{rung.kbps}k", "bufsize": f"{rung.kbps}k"}
        steady = {"preset": "ultrafast", "bf": "0", "sc_threshold": "0", "threads": "1", "x264-params": f"vbv-init={FIRST_SHARE}"}
        self._stream: Any = self._output.add_stream("libx264", rate=FRAMES_PER_S, options={**steady, **limits})
        self._stream.width, self._stream.height, self._stream.pix_fmt = rung.width, rung.height, "yuv420p"
        self._stream.codec_context.gop_size = recipe.segment_frames

    def add(self, picture: VideoFrame, number: int) -> None:
        frame = picture.reformat(width=self._rung.width, height=self._rung.height, interpolation="FAST_BILINEAR")
        frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_S)
        self._output.mux(self._stream.encode(frame))

    def write(self, folder: Path) -> EncodedRung:
        """Write the segments, and describe them."""
        self._output.mux(self._stream.encode(None))
        self._output.close()
        head, segments = mp4_boxes.split(self._written.getvalue())
        rung, target = self._rung, folder / self._rung.name
        target.mkdir()
        (target / "init.mp4").write_bytes(head)
        for number, segment in enumerate(segments):
            (target / f"{number}.m4s").write_bytes(segment)
        sizes = tuple(map(len, segments))
        return EncodedRung(
            name=rung.name,
            width=rung.width,
            height=rung.height,
            codecs=mp4_boxes.codecs(head),
            timescale=mp4_boxes.timescale(head),
            bandwidth_bps=round(max(sizes) * 8 / self._segment_s),
            average_bps=round(sum(sizes) * 8 / self._segment_s / len(sizes)),
            segment_bytes=sizes,
        )
