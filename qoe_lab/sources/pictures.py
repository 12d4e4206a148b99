"""The pictures of a content, drawn from its recipe: the same recipe gives the same pictures."""

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from qoe_lab.sources.ladder import ContentRecipe

WIDTH, HEIGHT = 1280, 720
_MARGIN = 320
"""The drawn scene is larger than the picture by this, so that the picture can move over it."""

Plane = NDArray[np.uint8]


def pictures(recipe: ContentRecipe, frames: int) -> Iterator[VideoFrame]:
    """`frames` pictures of 1280x720 in YUV 4:2:0."""
    random = np.random.default_rng(zlib.crc32(recipe.content_id.encode()))
    grains = [_grain(random, recipe.grain) for _ in range(3)]
    for number in range(frames):
        in_scene = number % recipe.scene_frames
        if in_scene == 0:
            luma, chroma = _scene(random, recipe.detail), _scene(random, 2)
        shift = _bounced(in_scene * recipe.motion)
        picture = np.empty((HEIGHT * 3 // 2, WIDTH), np.uint8)
        picture[:HEIGHT] = luma[shift // 2 : shift // 2 + HEIGHT, shift : shift + WIDTH]
        picture[HEIGHT:] = chroma[: HEIGHT // 2, shift : shift + WIDTH] // 4 + 96
        _disc(picture, number)
        if recipe.grain:
            picture[:HEIGHT] += np.roll(grains[number % 3], number * 37, axis=1)
        yield VideoFrame.from_ndarray(picture, format="yuv420p")


def _bounced(shift: int) -> int:
    """Where the picture is on the scene: it turns round at the margins."""
    turned = shift % (2 * _MARGIN)
    return min(turned, 2 * _MARGIN - turned)


def _scene(random: np.random.Generator, octaves: int) -> Plane:
    """Structure of all sizes down to that of the last octave, with values from 32 to 200."""
    width, height = WIDTH + _MARGIN, HEIGHT + _MARGIN
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        small = random.integers(0, 256, (4 << octave, 6 << octave), np.uint8)
        large = VideoFrame.from_ndarray(small, format="gray").reformat(width=width, height=height, interpolation="BICUBIC")
        total += large.to_ndarray().astype(np.float32) / (1.5**octave)
    total -= total.min()
    scaled: Plane = (total * (168 / max(float(total.max()), 1.0)) + 32).astype(np.uint8)
    return scaled


def _grain(random: np.random.Generator, strength: int) -> Plane:
    return random.integers(0, strength + 1, (HEIGHT, WIDTH), np.uint8)


def _disc(picture: Any, number: int) -> None:  # noqa: ANN401 - a view into the array
    """A ball that crosses the picture, so that even a still content moves."""
    x, y = 100 + (number * 9) % (WIDTH - 200), HEIGHT // 2 + int(200 * np.sin(number / 12))
    rows, columns = np.ogrid[-40:41, -40:41]
    inside = rows**2 + columns**2 <= 1600
    picture[y - 40 : y + 41, x - 40 : x + 41][inside] = 225
