"""Which bytes to fetch next, decided from what a server offers and what is already held; nothing in here does I/O.

A position counts *records of a stem*, because that is all that a journal and the log it is sealed into have in common: bytes and
frames differ, the records and their order do not. So what was taken from the journal is skipped in the sealed log, or the sealed
log need not be read at all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from feedback_wire.catalogue import Catalogue, LogEntry
from feedback_wire.log_name import Form, LogName

LONGEST_PERIOD_S = 86_400
"""A feedback server's --roll-seconds are at most so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the mirror holds of one stem, and how much of it the table has.

    `bytes` are the verified bytes from the begin of the file on, `records` the records from the begin on without a gap that
    are in the table. A `doubtful` log was found damaged: a journal's position then stands still, a sealed log is fetched again.
    `ahead_ms`: how far the server's clock was ahead when the log was first read; the table has the corrected times.
    """

    name: LogName
    bytes: int
    records: int = 0
    doubtful: bool = False
    ahead_ms: int = 0


@dataclass(frozen=True, slots=True)
class Tail:
    """Fetch an open journal from byte `start` to its durable length; its records from `start` on are new."""

    entry: LogEntry
    start: int


@dataclass(frozen=True, slots=True)
class Whole:
    """Fetch a sealed log for the mirror; its records from `take_from` on are new, None if there are none or none wanted."""

    entry: LogEntry
    take_from: int | None


Fetch = Tail | Whole
Holdings = Mapping[str, Held]
"""What is held of one server, by stem."""


def plan(catalogue: Catalogue, held: Holdings, *, since_ms: int | None = None) -> tuple[Fetch, ...]:
    """All that is missing, in the order in which it is wanted: open journals, then logs with new records, then the rest.

    Newest first within each, because the page shows now. Logs that end before `since_ms` are for the mirror only.
    """
    entries = _by_stem(catalogue)
    shown = {name.stem for name in in_window([entry.name for entry in entries], since_ms, more=catalogue.more)}
    wanted = [_fetch(entry, held.get(entry.name.stem), entry.name.stem in shown) for entry in reversed(entries)]
    return tuple(sorted(filter(None, wanted), key=_urgency))


def settled(catalogue: Catalogue, held: Holdings, after: LogName | None) -> LogName | None:
    """The newest log up to which everything is sealed and mirrored: what the next catalogue may begin behind."""
    for entry in _by_stem(catalogue):
        if not entry.sealed or not complete(entry, held.get(entry.name.stem)):
            break
        after = entry.name
    return after


def missing_bytes(fetches: Iterable[Fetch]) -> int:
    """How much there is to fetch."""
    return sum(fetch.entry.bytes - (fetch.start if isinstance(fetch, Tail) else 0) for fetch in fetches)


def live_begin(newest: LogName | None, *, now_ms: int, keep_ms: int | None) -> LogName | None:
    """What to ask after for all logs of the last `keep_ms`; None: from the first log on.

    `newest` is the server's: if this platform's clock is wrong, its newest logs are wanted all the same.
    """
    if newest is None or keep_ms is None:
        return None
    begins_s = min(newest.begins_s, now_ms // 1000) - keep_ms // 1000 - LONGEST_PERIOD_S
    return LogName(begins_s, newest.server, 0, Form.JOURNAL) if begins_s > 0 else None


def in_window(names: Iterable[LogName], since_ms: int | None, *, more: bool = False) -> list[LogName]:
    """The logs of one server that may hold records received since `since_ms`, by name.

    A log ends where the next period begins; how long periods are is the server's business, so the last log never ends, unless
    there are `more` behind it.
    """
    ordered = sorted(names)
    if since_ms is None:
        return ordered
    begins = sorted({name.begins_s for name in ordered})
    ends_ms = {begin: following * 1000 for begin, following in pairwise(begins)}
    if more and begins:
        ends_ms[begins[-1]] = (begins[-1] + LONGEST_PERIOD_S) * 1000
    return [name for name in ordered if ends_ms.get(name.begins_s, since_ms) >= since_ms]


def _by_stem(catalogue: Catalogue) -> list[LogEntry]:
    """One entry a stem, in the order of time; at the moment of sealing both forms may be listed, and the sealed one counts."""
    entries = {entry.name.stem: entry for entry in sorted(catalogue.logs, key=lambda entry: entry.sealed)}
    return [entries[stem] for stem in sorted(entries)]


def _fetch(entry: LogEntry, held: Held | None, shown: bool) -> Fetch | None:
    if not entry.sealed:
        return _tail(entry, held)
    if complete(entry, held):
        return None
    taken = held.records if held is not None else 0
    return Whole(entry, taken if shown and taken < entry.records else None)


def _tail(entry: LogEntry, held: Held | None) -> Tail | None:
    if held is not None and held.name != entry.name:
        return None  # we have it sealed
    # A journal that shrank is another journal.
    start = 0 if held is None or held.bytes > entry.bytes else held.bytes
    return None if start == entry.bytes else Tail(entry, start)


def complete(entry: LogEntry, held: Held | None) -> bool:
    """Whether all of a log is held, in the form in which it is offered, and without doubt."""
    return held is not None and held.name == entry.name and held.bytes == entry.bytes and not held.doubtful


def _urgency(fetch: Fetch) -> int:
    match fetch:
        case Tail():
            return 0
        case Whole(take_from=None):
            return 2
        case Whole():
            return 1
