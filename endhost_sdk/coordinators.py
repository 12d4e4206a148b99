"""Selects the coordinator of the next request: the first one that is not in backoff. A preferred coordinator is used
again after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from endhost_sdk.backoff import rest_s


@dataclass(slots=True)
class Coordinator:
    """The state of one coordinator, as this end host observed it. Times are on the monotonic clock."""

    url: str
    failures: int = 0
    asked_until_s: float = 0.0
    rests_until_s: float = 0.0

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self, now_s: float, *, asked_s: float, chance: float) -> None:
        """Start the backoff: the time that the coordinator asked for, plus a random time."""
        self.failures += 1
        self.asked_until_s = now_s + asked_s
        self.rests_until_s = self.asked_until_s + rest_s(self.failures, chance)

    def hurry(self) -> None:
        """Before the end of the process, wait only as long as the coordinator asked for."""
        self.rests_until_s = self.asked_until_s


class Coordinators:
    """The coordinators of one `Telemetry`, in order of preference."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._all = [Coordinator(url) for url in urls]

    def next(self, now_s: float) -> Coordinator | None:
        """The coordinator to use now, or None."""
        return next((one for one in self._all if one.rests_until_s <= now_s), None)

    def ready_at_s(self) -> float:
        """The earliest time at which a coordinator may be used."""
        return min(one.rests_until_s for one in self._all)

    def hurry(self) -> None:
        for one in self._all:
            one.hurry()
