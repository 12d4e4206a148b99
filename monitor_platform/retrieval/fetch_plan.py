"""Decides which bytes to fetch next, from the server's catalogue and the mirror's contents. Without I/O.

A position is a number of *records of a stem*, because a journal and its sealed log have the same records in the same order, but
different bytes and frames. So records that came from the journal are skipped in the sealed log, or the sealed log is not read at
all.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from feedback_wire.catalogue import Catalogue, LogEntry
from feedback_wire.log_name import Form, LogName

CLOCK_MARGIN_MS = 60_000
"""A smaller difference between two times is no sign of a clock that was set."""

REMEMBERED_MS = 86_400_000
"""Copies of a message are recognised for so long after it has left memory, also after a restart."""

LONGEST_PERIOD_S = 86_400
"""The maximum of a feedback server's --roll-seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredLog:
    """The mirrored part of one stem, and the part of it that is in the table.

    `bytes`: verified bytes from the start of the file. `records`: records from the start without a gap that are in the table.
    `doubtful`: damage was found; a journal's position then stays, and a sealed log is fetched again. `ahead_ms`: how far the
    server's clock was ahead when the log was first read; the table has the corrected times.
    """

    name: LogName
    bytes: int
    records: int = 0
    doubtful: bool = False
    ahead_ms: int = 0


@dataclass(frozen=True, slots=True)
class FetchTail:
    """Fetch an open journal from byte `start` to its durable length; its records from `start` on are new."""

    entry: LogEntry
    start: int


@dataclass(frozen=True, slots=True)
class FetchSealed:
    """Fetch a sealed log for the mirror. Its records from `take_from` on are loaded into the table; None: no record.

    `identities`: the table gets the identities of the messages, so that it recognises copies of them.
    """

    entry: LogEntry
    take_from: int | None
    identities: bool = False


Fetch = FetchTail | FetchSealed
MirroredLogs = Mapping[str, MirroredLog]
"""The mirrored logs of one server, by stem."""


def plan(catalogue: Catalogue, held: MirroredLogs, *, since_ms: int | None = None) -> tuple[Fetch, ...]:
    """All missing bytes, in order of urgency: open journals, then sealed logs with new records, then the others.

    Within each group the newest come first. Logs that end before `since_ms` are only for the mirror; of those that begin less than
    `REMEMBERED_MS` before, the table also gets the identities.
    """
    entries = _by_stem(catalogue)
    shown = {name.stem for name in in_window([entry.name for entry in entries], since_ms, more=catalogue.more)}
    wanted = (_fetch(entry, held.get(entry.name.stem), entry.name.stem in shown) for entry in reversed(entries))
    remembered = (_with_identities(fetch, shown, since_ms or 0) for fetch in wanted if fetch is not None)
    return tuple(sorted(remembered, key=_urgency))


def in_turn(fetches: Sequence[Fetch], waiting: Sequence[str]) -> tuple[Fetch, ...]:
    """The order of a round: the most urgent, then the one that has waited longest, then the others by urgency.

    `waiting`: the stems that earlier rounds did not reach, the longest first. Without this turn, open journals that fill every
    round would keep sealed logs out permanently.
    """
    if len(fetches) < 2:
        return tuple(fetches)
    first, *others = fetches
    turns = {stem: turn for turn, stem in enumerate(waiting)}
    next_one = min(others, key=lambda fetch: turns.get(fetch.entry.name.stem, len(turns)))
    return (first, next_one, *(fetch for fetch in others if fetch is not next_one))


def still_waiting(order: Sequence[Fetch], waiting: Sequence[str], *, done: Sequence[Fetch]) -> tuple[str, ...]:
    """The stems of `order` that a round did not reach, the one that has waited longest first. `done`: those that it reached."""
    left = {fetch.entry.name.stem: None for fetch in order if fetch not in done}
    return tuple({stem: None for stem in (*waiting, *left) if stem in left})


def settled(catalogue: Catalogue, held: MirroredLogs, after: LogName | None) -> LogName | None:
    """The newest log up to which all are sealed and mirrored. The next catalogue may begin after it."""
    for entry in _by_stem(catalogue):
        if not entry.sealed or not complete(entry, held.get(entry.name.stem)):
            break
        after = entry.name
    return after


def missing_bytes(fetches: Iterable[Fetch]) -> int:
    """The number of bytes to fetch."""
    return sum(fetch.entry.bytes - (fetch.start if isinstance(fetch, FetchTail) else 0) for fetch in fetches)


def live_begin(newest: LogName | None, *, now_ms: int, keep_ms: int | None) -> LogName | None:
    """The log after which the logs of the last `keep_ms` begin; None: begin with the first log.

    `newest`: the server's newest log. It is used if this platform's clock is ahead, so that the newest logs are included.
    """
    if newest is None or keep_ms is None:
        return None
    begins_s = min(newest.begins_s, now_ms // 1000) - keep_ms // 1000 - LONGEST_PERIOD_S
    return LogName(begins_s, newest.server, 0, Form.JOURNAL) if begins_s > 0 else None


def in_window(names: Iterable[LogName], since_ms: int | None, *, more: bool = False) -> list[LogName]:
    """The logs of one server, by name, that may have records received since `since_ms`.

    A log ends when the next one begins. The server chooses the length of a log, so the last log has no end, unless there are
    `more`.
    """
    ordered = sorted(names)
    if since_ms is None:
        return ordered
    begins = sorted({name.begins_s for name in ordered})
    ends_ms = {begin: following * 1000 for begin, following in pairwise(begins)}
    if more and begins:
        ends_ms[begins[-1]] = (begins[-1] + LONGEST_PERIOD_S) * 1000
    return [name for name in ordered if ends_ms.get(name.begins_s, since_ms) >= since_ms]


def corrections_in_use(ahead_ms: Mapping[str, int], *, since_ms: int | None, now_ms: int) -> dict[str, int]:
    """The clock corrections, by stem, of the logs that may have records since `since_ms` by the platform's clock.

    A correction that puts a log into the future is left out: it was measured while the platform's own clock was wrong.
    """
    found: dict[str, int] = {}
    for stem, ahead in ahead_ms.items():
        try:
            begins_ms = LogName.parse(f"{stem}.{Form.JOURNAL}").begins_s * 1000 - ahead
        except ValueError:
            continue
        if begins_ms <= now_ms + CLOCK_MARGIN_MS and (since_ms is None or begins_ms + LONGEST_PERIOD_S * 1000 >= since_ms):
            found[stem] = ahead
    return found


def _by_stem(catalogue: Catalogue) -> list[LogEntry]:
    """One entry for each stem, in order of time. While a log is being sealed, both the journal and the sealed log may be listed;
    then the sealed log is used.
    """
    entries = {entry.name.stem: entry for entry in sorted(catalogue.logs, key=lambda entry: entry.sealed)}
    return [entries[stem] for stem in sorted(entries)]


def _fetch(entry: LogEntry, held: MirroredLog | None, shown: bool) -> Fetch | None:
    if not entry.sealed:
        return _tail(entry, held)
    if complete(entry, held):
        return None
    taken = held.records if held is not None else 0
    return FetchSealed(entry, taken if shown and taken < entry.records else None)


def _with_identities(fetch: Fetch, shown: Collection[str], since_ms: int) -> Fetch:
    """The `fetch` with identities if it is a log from before `since_ms` that may have the first copies of later messages."""
    if isinstance(fetch, FetchTail) or fetch.entry.name.stem in shown:
        return fetch
    return replace(fetch, identities=fetch.entry.name.begins_s * 1000 >= since_ms - REMEMBERED_MS)


def _tail(entry: LogEntry, held: MirroredLog | None) -> FetchTail | None:
    if held is not None and held.name != entry.name:
        return None  # the mirror has the sealed log
    # A journal that became shorter is a new journal.
    start = 0 if held is None or held.bytes > entry.bytes else held.bytes
    return None if start == entry.bytes else FetchTail(entry, start)


def complete(entry: LogEntry, held: MirroredLog | None) -> bool:
    """Whether the mirror has the whole log, in the offered form, without damage."""
    return held is not None and held.name == entry.name and held.bytes == entry.bytes and not held.doubtful


def _urgency(fetch: Fetch) -> int:
    match fetch:
        case FetchTail():
            return 0
        case FetchSealed(take_from=None):
            return 2
        case FetchSealed():
            return 1
