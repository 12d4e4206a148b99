"""The steps of a scenario: each is one action that a player reports to the SDK."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JoinAction:
    """A session begins."""

    channel: str


@dataclass(frozen=True, slots=True)
class FirstPicture:
    """The first picture appears."""

    after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """New values of rates in kbit/s and others. `battery` is in percent; None means mains power."""

    upload_kbps: float
    download_kbps: float
    playback_kbps: float
    p2p_ratio: float
    buffer_ms: int
    partners: int
    battery: int | None


@dataclass(frozen=True, slots=True)
class StallBegin:
    """Playback stalls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Playing:
    """Playback runs with this continuity. `after_ms` is the duration of the stall that ended; 0 if there was no stall."""

    continuity: float
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class ReportAction:
    """A report is due."""


@dataclass(frozen=True, slots=True)
class LeaveAction:
    """The session ends."""


Action = JoinAction | FirstPicture | Conditions | StallBegin | Playing | ReportAction | LeaveAction


@dataclass(frozen=True, slots=True)
class ScenarioStep:
    """An action that happens `at_s` seconds after the start of the simulation."""

    at_s: float
    action: Action
