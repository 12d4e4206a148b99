"""What can be played, as a playlist describes it: representations of one content, each with its segments."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from qoe_lab.clients.client_settings import CannotPlayError

FetchUrl = Callable[[str], Awaitable[bytes]]
"""Gets what is at a URL."""


class BrokenPlaylistError(CannotPlayError):
    """The playlist cannot be played; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """One of the encodings of the content. `bps` is its declared rate."""

    name: str
    url: str
    bps: int
    height: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of the video."""

    url: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentList:
    """The segments of a representation, after a head that decoders need first, if there is one."""

    head_url: str | None
    segments: tuple[Segment, ...]


class Presentation(Protocol):
    """`representations` are sorted by their rate, from the lowest."""

    streaming_format: str
    """`h` for HLS, `d` for DASH, as in CMCD."""
    representations: tuple[Representation, ...]

    async def segments(self, representation: Representation) -> SegmentList:
        """BrokenPlaylistError if its playlist cannot be used."""
        ...
