"""Contents and their rungs, and the file `content.json` that describes an encoded content.

Contents differ in the length of their segments and in their rungs, as those of real services do. With one length for all, the gap
between two requests alone would tell whether a player stalls.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from serving.regular_files import read_regular_text

FRAMES_PER_S = 25
DESCRIPTION = "content.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def check_name(what: str, name: str) -> str:
    """The name; ValueError unless it is usable as a folder and in a URL."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{what} {name!r} is not usable; use at most 32 of a-z, 0-9, '-' and '_'")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """The target of a rung. `kbps` limits its rate; an easy content needs less."""

    name: str
    width: int
    height: int
    kbps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentRecipe:
    """How the pictures of a content are drawn. The more detail, motion and grain, the more bits it needs."""

    content_id: str
    detail: int
    """Octaves of structure in the picture, 1 to 7."""
    motion: int
    """Pixels by which the picture moves from frame to frame, at a height of 720."""
    grain: int
    """Strength of the noise that differs in each frame, 0 to 20."""
    scene_frames: int
    """Frames between two cuts."""
    segment_s: int
    """Length of each segment."""
    rungs: tuple[Rung, ...]
    """From the lowest."""

    def __post_init__(self) -> None:
        check_name("content_id", self.content_id)

    @property
    def segment_frames(self) -> int:
        return self.segment_s * FRAMES_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRung:
    """A rung as it was encoded. `bandwidth_bps` is the rate of its largest segment, which players compare with their throughput."""

    name: str
    width: int
    height: int
    codecs: str
    timescale: int
    bandwidth_bps: int
    average_bps: int
    segment_bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """An encoded content: its rungs, from the lowest, and the number of different segments of each."""

    content_id: str
    segment_s: float
    segments: int
    rungs: tuple[EncodedRung, ...]

    def __post_init__(self) -> None:
        check_name("content_id", self.content_id)
        for rung in self.rungs:
            check_name("rung", rung.name)

    def rung(self, name: str) -> EncodedRung:
        """KeyError if there is none of this name."""
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise KeyError(name)


def _ladder(**kbps: int) -> tuple[Rung, ...]:
    """Rungs by their names, with their rates."""
    pictures = {"144p": (256, 144), "240p": (426, 240), "360p": (640, 360), "480p": (854, 480), "720p": (1280, 720)}
    return tuple(
        Rung(name=name, width=width, height=height, kbps=kbps[f"p{height}"])
        for name, (width, height) in pictures.items()
        if f"p{height}" in kbps
    )


USUAL_LADDER = _ladder(p144=150, p240=400, p360=800, p480=1500, p720=2500)
SAVING_LADDER = _ladder(p144=120, p240=280, p360=550, p480=1000, p720=1800)
SPARSE_LADDER = _ladder(p144=200, p360=900, p720=3000)

DEFAULT_CONTENTS = (
    ContentRecipe(content_id="lecture", detail=3, motion=0, grain=1, scene_frames=150, segment_s=4, rungs=USUAL_LADDER),
    ContentRecipe(content_id="drama", detail=4, motion=1, grain=3, scene_frames=75, segment_s=2, rungs=SAVING_LADDER),
    ContentRecipe(content_id="nature", detail=7, motion=2, grain=4, scene_frames=100, segment_s=1, rungs=SPARSE_LADDER),
    ContentRecipe(content_id="game", detail=6, motion=8, grain=0, scene_frames=60, segment_s=4, rungs=SPARSE_LADDER),
    ContentRecipe(content_id="football", detail=5, motion=6, grain=5, scene_frames=125, segment_s=2, rungs=USUAL_LADDER),
    ContentRecipe(content_id="concert", detail=4, motion=4, grain=9, scene_frames=25, segment_s=1, rungs=SAVING_LADDER),
)
"""Each length of segments has two ladders, and each ladder two lengths: neither determines the other."""


def described(content: Content, made_from: dict[str, object]) -> str:
    """The text of `content.json`. `made_from` shows whether the encoded files fit the recipe of a later run."""
    return json.dumps({**asdict(content), "made_from": made_from}, indent=1) + "\n"


def made_from(recipe: ContentRecipe, seconds: int) -> dict[str, object]:
    """Everything that decides how the encoded files of a content look, as it is read from JSON again."""
    rungs = [asdict(rung) for rung in recipe.rungs]
    return {"version": 2, "recipe": asdict(recipe) | {"rungs": rungs}, "seconds": seconds}


def read_content(folder: Path) -> Content:
    """The content in a folder. ValueError if its description is missing or broken."""
    path = folder / DESCRIPTION
    try:
        fields = json.loads(read_regular_text(path))
        fields.pop("made_from")
        rungs = tuple(EncodedRung(**{**rung, "segment_bytes": tuple(rung["segment_bytes"])}) for rung in fields.pop("rungs"))
        return Content(**fields, rungs=rungs)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path} does not describe a content: {error}; make it again with python -m qoe_lab.sources make"
        ) from error


def read_contents(folder: Path) -> dict[str, Content]:
    """All contents of a folder by their ids. ValueError if it has none."""
    found = {path.parent.name: read_content(path.parent) for path in sorted(folder.glob(f"*/{DESCRIPTION}"))}
    if not found:
        raise ValueError(f"{folder} has no contents; make some with python -m qoe_lab.sources make {folder}")
    return found
