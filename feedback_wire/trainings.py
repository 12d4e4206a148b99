"""Trainings of the QoE lab: what an operator asks for, and how far a training is. The server of trainings and its clients share it.

A session has the numbers of the seed project's statuses; `DISCARDED` is new: the session was played and its data must not be used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum, StrEnum
from math import isfinite
from re import compile as pattern
from typing import Any

SOURCES = ("hls", "dash", "overlay", "twitch")
CLIENTS = ("headless", "hls.js", "dash.js", "overlay")
CONGESTION_CONTROLS = ("cubic", "reno", "bbr")
TRACES = (
    "belgium4g-bicycle",
    "belgium4g-bus",
    "norway3g-a",
    "norway3g-b",
    "twitch-cascade",
    "twitch-fast-jitters",
    "twitch-intra-cascade",
    "twitch-slow-jitters",
    "twitch-spike",
)
"""The network traces that come with the lab. Over HTTP, no others are accepted."""
NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PLAYED_BY = {"hls": ("headless", "hls.js"), "dash": ("headless", "dash.js"), "overlay": ("overlay",), "twitch": ("hls.js",)}
"""The clients that can play each source; the first one is its usual client."""
IN_A_BROWSER = frozenset({"hls.js", "dash.js"})
"""The clients that need a whole processor: one of their sessions is played at a time."""
MOST_SECONDS_IN_ALL = 31 * 86_400
"""A training that would play longer than a month is refused as a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlayer:
    """A client and the source that it plays."""

    source: str
    client: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """What an operator asks for. `limits_mbps` limit the rate to the client and from it, in 10^6 bit/s."""

    name: str
    sessions: int
    limits_mbps: tuple[float, ...]
    seconds: float
    """How long each session plays, from the start of navigation."""
    source: str = "hls"
    """One source or several with commas. A block plays one of them."""
    client: str = "headless"
    """One client or several with commas. Each source is played by those of them that can."""
    delay_ms: float = 10.0
    """Delay of each direction of the shaped link."""
    loss: float = 0.0
    """Probability that a packet is lost, in each direction."""
    queue_ms: float = 100.0
    """How long a packet may wait in the queue of the shaped link."""
    congestion_control: str = "cubic"
    trace: str | None = None
    """Name or path of a network trace that the rate follows, scaled so that its mean is the limit; None: a fixed rate."""
    seed: int = 1
    """Decides the order of the sessions."""

    def __post_init__(self) -> None:
        """ValueError for a value that cannot be run."""
        if not NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r} is not usable as a folder; use letters, digits, '.', '-' and '_', at most 64")
        if not 1 <= self.sessions <= 100_000:
            raise ValueError(f"sessions is {self.sessions}; give 1 to 100000")
        if not self.limits_mbps or len(set(self.limits_mbps)) != len(self.limits_mbps):
            raise ValueError("limits must be different numbers of Mbit/s, such as 0.25,1,2")
        for limit in self.limits_mbps:
            _within("a limit in Mbit/s", limit, 0.05, 1000)
        _within("seconds", self.seconds, 5, 3600)
        _within("delay_ms", self.delay_ms, 0, 2000)
        _within("loss", self.loss, 0, 0.5)
        _within("queue_ms", self.queue_ms, 1, 60_000)
        if self.sessions * self.seconds > MOST_SECONDS_IN_ALL:
            raise ValueError(f"{self.sessions} sessions of {self.seconds:g} seconds take more than a month; ask for less")
        sources, clients = _listed("source", self.source, SOURCES), _listed("client", self.client, CLIENTS)
        for source in sources:
            if not any(each.source == source for each in self.players):
                raise ValueError(f"client {self.client!r} cannot play {source!r}; use {' or '.join(PLAYED_BY[source])}")
        for client in clients:
            if not any(each.client == client for each in self.players):
                raise ValueError(f"client {client!r} cannot play {self.source!r}; leave it out, or add a source that it plays")
        _one_of("congestion control", self.congestion_control, CONGESTION_CONTROLS)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self.source.split(","))

    @property
    def players(self) -> tuple[MediaPlayer, ...]:
        """What plays what, in the order of the sources. The blocks take them in turn."""
        clients = self.client.split(",")
        pairs = ((source, client) for source in self.sources for client in clients)
        return tuple(MediaPlayer(source=source, client=client) for source, client in pairs if client in PLAYED_BY[source])

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"limits_mbps": list(self.limits_mbps)}

    @classmethod
    def from_json(cls, data: object) -> "TrainingSettings":
        """The settings in decoded JSON; ValueError if a field is missing, unknown, of another type or out of range."""
        given = _known(cls, data)
        unknown = sorted(set(map(str, data)) - set(given)) if isinstance(data, dict) else []
        if unknown:
            raise ValueError(f"{unknown[0]!r} is unknown; a training has {', '.join(each.name for each in fields(cls))}")
        missing = sorted({"name", "sessions", "limits_mbps", "seconds"} - set(given))
        if missing:
            raise ValueError(f"{missing[0]!r} is missing; a training needs name, sessions, limits_mbps and seconds")
        return cls(**{name: _typed(name, value) for name, value in given.items()})


class SessionStatus(IntEnum):
    """How one attempt to play a session ended."""

    NOT_CAPTURED = -1
    UNDER_CAPTURING = 0
    CAPTURED = 1
    DISCARDED = 2


class TrainingState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    """Sessions remain, and no process runs them: after a pause, Ctrl-C or a crash."""
    CANCELLED = "cancelled"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionProgress:
    """One attempt to play a planned session. A session that was not tried yet has the attempt 0 and no id."""

    number: int
    block: int
    limit_mbps: float
    attempt: int
    status: SessionStatus
    session_id: str | None = None
    reason: str | None = None
    """Why a discarded session is not valid."""
    detail: str | None = None
    changed_ms: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"status": int(self.status)}

    @classmethod
    def from_json(cls, data: object) -> "SessionProgress":
        """The session in decoded JSON; ValueError if it is invalid."""
        known = _known(cls, data)
        try:
            return cls(**known | {"status": SessionStatus(known["status"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{str(data)[:200]!r} is not the progress of a session: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitProgress:
    """The sessions under one limit."""

    limit_mbps: float
    planned: int
    captured: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress:
    """How far a training is. `planned` sessions end as `captured` or `given_up`; until then they wait or run."""

    training_id: str
    settings: TrainingSettings
    state: TrainingState
    created_ms: int
    planned: int
    captured: int
    running: int
    given_up: int
    """Planned sessions that failed in every attempt."""
    discarded: Mapping[str, int] = field(default_factory=dict)
    """Attempts that were discarded, by reason."""
    limits: Sequence[LimitProgress] = ()
    remaining_s: float | None = None
    """Expected time to the end; None if it is not running."""
    dataset: bool = False
    """Whether its data set was exported."""
    failure: str | None = None
    """Why the process that ran it last ended early."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"settings": self.settings.to_json(), "limits": [asdict(each) for each in self.limits]}

    @classmethod
    def from_json(cls, data: object) -> "TrainingProgress":
        """The progress in decoded JSON; ValueError if it is invalid."""
        known = _known(cls, data)
        try:
            made = {
                "settings": TrainingSettings.from_json(known["settings"]),
                "state": TrainingState(known["state"]),
                "limits": tuple(LimitProgress(**_known(LimitProgress, each)) for each in known["limits"]),
            }
            return cls(**known | made)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{str(data)[:200]!r} is not the progress of a training: {error}") from None


def _known(of: Any, data: object) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    """The values that this version knows, so that a newer server may send more. ValueError if `data` is no object."""
    match data:
        case dict():
            names = {each.name for each in fields(of)}
            return {name: value for name, value in data.items() if name in names}
        case _:
            raise ValueError(f"{str(data)[:200]!r} is not an object")


_TEXTS = {"name", "source", "client", "congestion_control"}
_WHOLE = {"sessions", "seed"}


def _typed(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if name == "limits_mbps":
        if not isinstance(value, list) or not all(map(_is_number, value)):
            raise ValueError(f"limits_mbps is {value!r}; send a list of numbers, such as [0.25, 1, 2]")
        return tuple(float(each) for each in value)
    if name in _TEXTS or name == "trace":
        if not isinstance(value, str) and not (name == "trace" and value is None):
            raise ValueError(f"{name} is {value!r}; send a text")
        return value
    if not _is_number(value) or (name in _WHOLE and not isinstance(value, int)):
        raise ValueError(f"{name} is {value!r}; send a {'whole ' if name in _WHOLE else ''}number")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _within(what: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{what} is {value:g}, which is out of range; give {least:g} to {most:g}")


def _listed(what: str, text: str, choices: Sequence[str]) -> list[str]:
    """ValueError if a name is unknown or repeated."""
    names = text.split(",")
    for name in names:
        _one_of(what, name, choices)
    if len(set(names)) != len(names):
        raise ValueError(f"{what} {text!r} repeats a name; give each once, such as {','.join(choices[:2])}")
    return names


def _one_of(what: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{what} {value!r} is unknown; use one of {', '.join(choices)}")
