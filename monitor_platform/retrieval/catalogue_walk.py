"""Which page of the catalogue is asked for next: what is recent at once, all that is older little by little.

A feedback server may list millions of logs. A platform that starts asks after the begin of its live window; then it walks through
the older logs page by page, first through those behind the newest that its mirror has, then through all before, and compares them
with the mirror. So what the mirror lacks comes back, and nothing has to be remembered but a position.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from feedback_wire.catalogue import Catalogue
from feedback_wire.log_name import LogName
from monitor_platform.retrieval.feedback_server_client import Skipped
from monitor_platform.retrieval.fetch_plan import Holdings, complete, settled

MOST_REASONS = 100
"""Different reasons for which logs are skipped; names of servers are among them, and those are not ours to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRange:
    """Logs behind `after`, up to and with the stem `to`; `settled`: up to there they are all mirrored."""

    after: LogName | None
    to: str
    settled: LogName | None = None


def older_ranges(begin: LogName | None, mirrored: LogName | None) -> tuple[LogRange, ...]:
    """The older logs, in the order in which they are walked through, when live ones are those behind `begin`."""
    if begin is None:
        return ()
    if mirrored is None or mirrored.stem >= begin.stem:
        return (LogRange(after=None, to=begin.stem),)
    return LogRange(after=mirrored, to=begin.stem, settled=mirrored), LogRange(after=None, to=mirrored.stem)


def reached(page: Catalogue, last: LogName | None, held: Holdings, after: LogName | None) -> LogName | None:
    """Up to which log everything is sealed and mirrored, when the page behind `after` ends with `last`, be it taken or skipped."""
    whole = all(entry.sealed and complete(entry, held.get(entry.name.stem)) for entry in page.logs)
    return last if whole and last is not None else settled(page, held, after)


def onward(log_range: LogRange, last: LogName | None, *, more: bool, reached: LogName | None) -> LogRange | None:
    """Where to go on behind the page of `stretch` that ends with `last`, mirrored up to `reached`; None at the end.

    What could not be had is passed over, and asked for again when the end of the stretch is reached.
    """
    unbroken = log_range.settled == log_range.after
    settled_to = reached if unbroken else log_range.settled
    if last is not None and more and last.stem < log_range.to:
        return LogRange(after=last, to=log_range.to, settled=settled_to)
    if unbroken and (last is None or (reached is not None and reached.stem >= min(last.stem, log_range.to))):
        return None
    return LogRange(after=settled_to, to=log_range.to, settled=settled_to)


@dataclass(slots=True)
class SkippedLogs:
    """Logs that are listed and not taken, each counted once on a walk from the oldest to the newest."""

    reasons: Counter[str] = field(default_factory=Counter)
    _reached: dict[str, str] = field(default_factory=dict)

    def note(self, walk: str, skipped: Iterable[Skipped]) -> int:
        """How many of `skipped` are new on the `walk` of this name."""
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
        return f"{self.reasons.total()} logs are not taken: " + "; ".join(f"{n} {why}" for why, n in self.reasons.most_common(5))
