"""Chooses the next catalogue page: recent logs at once, older ones page by page. Without I/O.

A feedback server may list millions of logs. A platform that starts requests the logs of its live window first. Then it walks
through the older logs page by page and compares them with the mirror: first the logs after the newest one in the mirror, then all
earlier ones. So missing logs are fetched, and the only state is a position.
"""

from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from feedback_wire.catalogue import Catalogue
from feedback_wire.log_name import LogName
from monitor_platform.retrieval.feedback_server_client import Skipped
from monitor_platform.retrieval.fetch_plan import MirroredLogs, complete, settled

MOST_REASONS = 100
"""The largest number of different reasons for skipped logs. A reason contains a server name, and their number has no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRange:
    """The logs after `after`, up to and including the stem `to`. Up to `settled` all are mirrored."""

    after: LogName | None
    to: str
    settled: LogName | None = None


def older_ranges(begin: LogName | None, mirrored: LogName | None) -> tuple[LogRange, ...]:
    """The ranges of older logs in the order of the walk. Live logs are those after `begin`."""
    if begin is None:
        return ()
    if mirrored is None or mirrored.stem >= begin.stem:
        return (LogRange(after=None, to=begin.stem),)
    return LogRange(after=mirrored, to=begin.stem, settled=mirrored), LogRange(after=None, to=mirrored.stem)


def settled_after(page: Catalogue, last: LogName | None, held: MirroredLogs, after: LogName | None) -> LogName | None:
    """The log up to which all are sealed and mirrored, for the page after `after` that ends with `last`, fetched or skipped."""
    whole = all(entry.sealed and complete(entry, held.get(entry.name.stem)) for entry in page.logs)
    return last if whole and last is not None else settled(page, held, after)


def rest_of(log_range: LogRange, last: LogName | None, *, more: bool, mirrored_to: LogName | None) -> LogRange | None:
    """The rest of `log_range` after the page that ends with `last` and is mirrored up to `mirrored_to`; None at the end.

    Logs that failed are passed over, and requested again after the end of the range.
    """
    unbroken = log_range.settled == log_range.after
    settled_to = mirrored_to if unbroken else log_range.settled
    if last is not None and more and last.stem < log_range.to:
        return LogRange(after=last, to=log_range.to, settled=settled_to)
    if unbroken and (last is None or (mirrored_to is not None and mirrored_to.stem >= min(last.stem, log_range.to))):
        return None
    return LogRange(after=settled_to, to=log_range.to, settled=settled_to)


@dataclass(slots=True)
class RemovedLogs:
    """Finds the logs that a server removes before they are fetched completely: they were listed as incomplete, and are listed no
    more."""

    _incomplete: Set[str] = frozenset()

    def note(self, listed: Set[str], incomplete: Set[str]) -> list[str]:
        """The stems that have left the list since the last call. `incomplete`: those that are listed and not fetched completely."""
        removed, self._incomplete = sorted(self._incomplete - listed), incomplete
        return removed


@dataclass(slots=True)
class SkippedLogs:
    """Logs that are listed but not fetched. Each is counted once in a walk from the oldest to the newest."""

    reasons: Counter[str] = field(default_factory=Counter)
    _reached: dict[str, str] = field(default_factory=dict)

    def note(self, walk: str, skipped: Iterable[Skipped]) -> int:
        """Count the new ones of `skipped` in the `walk` of this name, and return their number."""
        reached = self._reached.get(walk, "")
        new = sorted((log for log in skipped if log.name > reached), key=lambda log: log.name)
        for log in new:
            self.reasons[log.reason if log.reason in self.reasons or len(self.reasons) < MOST_REASONS else "other reasons"] += 1
            self._reached[walk] = log.name
        return len(new)

    def in_words(self) -> str:
        """Empty if there are none."""
        if not self.reasons:
            return ""
        return f"{self.reasons.total()} logs are not fetched: " + "; ".join(f"{n} {why}" for why, n in self.reasons.most_common(5))
