"""Which coordinator gets the next request: the first in the list that is not resting, so a preferred one gets its work back."""

from collections.abc import Sequence
from dataclasses import dataclass

from endhost_sdk.backoff import rest_s


@dataclass(slots=True)
class Coordinator:
    """One coordinator as this end host has known it; times on the sender's monotonic clock."""

    url: str
    failures: int = 0
    asked_until_s: float = 0.0
    rests_until_s: float = 0.0

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self, now_s: float, *, asked_s: float, chance: float) -> None:
        """Leave it alone for a while: for what it asked for itself, and some random time more."""
        self.failures += 1
        self.asked_until_s = now_s + asked_s
        self.rests_until_s = self.asked_until_s + rest_s(self.failures, chance)

    def hurry(self) -> None:
        """There is no later: do not wait longer than it asked for."""
        self.rests_until_s = self.asked_until_s


class Coordinators:
    """The coordinators of one Telemetry, in order of preference."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._all = [Coordinator(url) for url in urls]

    def next(self, now_s: float) -> Coordinator | None:
        """The one to try now, if any."""
        return next((one for one in self._all if one.rests_until_s <= now_s), None)

    def ready_at_s(self) -> float:
        """When the first of them may be tried."""
        return min(one.rests_until_s for one in self._all)

    def hurry(self) -> None:
        for one in self._all:
            one.hurry()
