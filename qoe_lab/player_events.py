"""The events of one session, as its client wrote them: one JSON object per line, in order of time.

A client appends to this file while it plays, so that a killed client leaves what it knew. `labels/` reads it; no other format
exists for any client. Times are milliseconds since the navigation start, which is when the client began to ask for the page or
the playlist, not when it began to count. `wall_ms` of the first event joins them with the capture, whose clock is the same.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from math import isfinite
from pathlib import Path
from typing import Literal, get_args

from serving.regular_files import open_regular

EventName = Literal[
    "navigation",  # the first event: wall_ms is set
    "first_frame",  # the first picture is shown: startup ends
    "stall_begin",  # the picture stands still although the client wants to play; not before the first frame
    "stall_end",
    "switch",  # another representation is on screen: height and kbps are set; also for the first one
    "segment",  # a media segment has arrived: kbps (of the representation), bytes, took_ms
    "sample",  # each 250 ms: buffer_ms, position_ms, height, decoded_frames, dropped_frames
    "error",  # detail says what failed
    "end",  # the client stopped as planned; a file without it is of a client that died
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerEvent:
    """One event. Fields that the event does not have are None, and absent from the file."""

    event: EventName
    t_ms: float
    wall_ms: float | None = None
    height: int | None = None
    kbps: float | None = None
    """The declared rate of a representation."""
    bytes: int | None = None
    took_ms: float | None = None
    buffer_ms: float | None = None
    position_ms: float | None = None
    decoded_frames: int | None = None
    dropped_frames: int | None = None
    detail: str | None = None

    def line(self) -> str:
        """The event as a line of the file, with its end."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None}) + "\n"


def read_events(path: Path) -> Iterator[PlayerEvent]:
    """The events of a file. ValueError for a line that is no event. A last line that is cut off is left out."""
    with TextIOWrapper(open_regular(path), encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return
            try:
                event = PlayerEvent(**json.loads(line))
                _check_types(event)
            except (TypeError, ValueError, RecursionError) as error:
                raise ValueError(f"{path}:{number} is not a player event: {error}") from error
            yield event


_WHOLE = {"height", "bytes", "decoded_frames", "dropped_frames"}
LATEST_MS = 86_400_000.0
"""A session has a slot for each second: an absurd time would fill the memory. Sessions last at most an hour."""
_LARGEST = 2.0**53


def _check_types(event: PlayerEvent) -> None:
    """ValueError or TypeError for a value that the events of a client never have: another program, or a fault, wrote it."""
    if event.event not in get_args(EventName):
        raise ValueError(f"event is {event.event!r}")
    for name, value in asdict(event).items():
        if name in ("event", "detail") or (value is None and name != "t_ms"):
            continue
        numeric = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if not numeric or (name in _WHOLE and value != int(value)) or not -_LARGEST < value < _LARGEST:
            raise ValueError(f"{name} is {value!r}")
    if not 0 <= event.t_ms <= LATEST_MS:
        raise ValueError(f"t_ms is {event.t_ms!r}")
    if not isinstance(event.detail, str | None):
        raise TypeError(f"detail is {event.detail!r}")
    (event.detail or "").encode()  # UnicodeEncodeError is a ValueError
