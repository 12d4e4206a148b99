"""The settings of `swarmscope simulate`. Invalid values are refused before the first end host joins."""

from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from endhost_sdk.telemetry_settings import feedback_urls
from swarmscope.audience.flash_crowd import FlashCrowd

ENDLESS_CROWD_AT_S = 60.0
CROWD_SHARE = 0.4


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of `swarmscope simulate`; ValueError for an invalid value."""

    coordinator: tuple[str, ...] = ("http://127.0.0.1:8080",)
    """URL of a coordinator. Repeat the flag for each one. Each end host uses one of them, and the others if that one fails."""

    peers: int = 1000
    """Number of end hosts, including those of the flash crowd."""

    period: float = 30.0
    """Seconds between two reports of a session."""

    duration: float | None = None
    """Seconds until all end hosts leave. Without it, the simulation runs until Ctrl-C."""

    seed: int = 1
    """Seed of the random numbers. The same seed gives the same end hosts with the same behaviour."""

    truth: Path | None = None
    """Write the expected measures to this JSON file. Compare them with those of the monitoring platform."""

    key: str = field(default="", repr=False)
    """Ingest key that the coordinators accept. Set SWARMSCOPE_SIMULATE_KEY instead to hide it from other users of this machine."""

    flash_crowd: bool = False
    """Let two fifths of the end hosts join at once, at half of --duration (after 60 seconds if --duration is not set)."""

    def __post_init__(self) -> None:
        feedback_urls(self.coordinator)
        if self.peers < 1:
            raise ValueError(f"--peers is {self.peers}; use a whole number of at least 1, such as 1000")
        for flag, value in (("period", self.period), ("duration", self.duration)):
            if value is not None and not 0 < value < inf:
                raise ValueError(f"--{flag} is {value:g}; it needs a number of seconds above 0, such as 30")
        if self.truth is not None and not self.truth.parent.is_dir():
            raise ValueError(f"--truth {self.truth} cannot be written: there is no folder {self.truth.parent}")
        if self.truth is not None and self.truth.is_dir():
            raise ValueError(f"--truth {self.truth} cannot be written: it is a folder; name a file")

    @property
    def crowd(self) -> FlashCrowd:
        if not self.flash_crowd:
            return FlashCrowd()
        return FlashCrowd(at_s=ENDLESS_CROWD_AT_S if self.duration is None else self.duration / 2, share=CROWD_SHARE)
