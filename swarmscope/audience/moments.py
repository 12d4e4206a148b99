"""What can happen to a viewer: each is one thing that a player would tell the SDK."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Join:
    """A view begins."""

    channel: str


@dataclass(frozen=True, slots=True)
class Picture:
    """The first picture is there."""

    after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How it goes from now on; rates in kbit/s, `battery` in percent (None: on the mains)."""

    upload_kbps: float
    download_kbps: float
    playback_kbps: float
    p2p_ratio: float
    buffer_ms: int
    partners: int
    battery: int | None


@dataclass(frozen=True, slots=True)
class Freeze:
    """The picture stands still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The picture moves, but for the share of its pieces that come too late; `after_ms` stalled (0: it had not stood still)."""

    continuity: float
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """A report is due."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The view is over."""


Moment = Join | Picture | Conditions | Freeze | Flow | Report | Leave


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens `at_s` seconds after the simulation began."""

    at_s: float
    moment: Moment
