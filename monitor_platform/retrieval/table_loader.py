"""From a file in the mirror to rows in the table: verified, and without what was taken before. It blocks, so a thread runs it.

Only damage makes a count of records unreliable as a position. Where there is any, the position stays where it was for certain, and
the table, which knows every message, drops what then comes twice.
"""

import logging
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import zstandard

from feedback_analysis.messages.ingest import Added
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.reading.log_files import UnreadLog
from feedback_analysis.reading.verified_log import VerifiedLog, open_if_readable, open_log
from feedback_wire.catalogue import LogEntry
from feedback_wire.frames import Damage
from feedback_wire.log_name import Form, LogName
from monitor_platform.retrieval.display_delay import DelayWindow
from monitor_platform.retrieval.fetch_plan import Held
from monitor_platform.retrieval.mirror import Mirror
from monitor_platform.retrieval.remainder import remainder
from monitor_platform.retrieval.status import RetrievalCounts

log = logging.getLogger(__name__)


class Damaged(Exception):  # noqa: N818 - it may be only the copy that is damaged
    """What was fetched is damaged, and fetching it again may help."""


@dataclass(frozen=True, slots=True)
class LoadedLog:
    """What is held now that a file was read, and what reading it did."""

    held: Held
    counts: RetrievalCounts


class TableLoader:
    """Hands verified records to the table; one call at a time. Records received before `since_ms` say nothing of the delay."""

    def __init__(self, mirror: Mirror, table: FeedbackTable, delays: DelayWindow, *, since_ms: int) -> None:
        self._mirror = mirror
        self._table = table
        self._delays = delays
        self._since_ms = since_ms
        self._last_shown_ms = 0

    def read_back(self, name: LogName, *, ahead_ms: int = 0) -> LoadedLog:
        """A log that an earlier run has mirrored; damage in it makes it doubtful, so that it is fetched again.

        So is a file that cannot be read at all.
        """
        path = self._mirror.path(name)
        with open_if_readable(path) as found:
            if isinstance(found, UnreadLog):
                log.error("%s: %s; it is fetched again, if its feedback server still has it", name, found.reason)
                return LoadedLog(Held(name=name, bytes=0, doubtful=True, ahead_ms=ahead_ms), RetrievalCounts(damaged_frames=1))
            damages = _damages(found, growing=name.form is Form.JOURNAL)
            _log_damages(name, damages)
            counts = _counts(self._table.add(replace(found, ahead_ms=ahead_ms))) + RetrievalCounts(damaged_frames=len(damages))
            if name.form is Form.JOURNAL:
                end, records = (0, 0) if damages else (found.end, found.records or 0)
                held = Held(name=name, bytes=end, records=records, ahead_ms=ahead_ms)
            else:
                records = 0 if damages else found.records or 0
                held = Held(name=name, bytes=path.stat().st_size, records=records, doubtful=bool(damages), ahead_ms=ahead_ms)
            return LoadedLog(held, counts)

    def tail(self, held: Held, stop: int, *, again: bool) -> LoadedLog:
        """The records of a journal's copy from `held` on, the copy now reaching to byte `stop` of the journal or less far.

        Damaged, unless this is the copy as fetched `again`: then its whole frames are taken.
        """
        path = self._mirror.path(held.name)
        with open_log(path, start=held.bytes) as found:
            growing = path.stat().st_size < stop
            damages = _damages(found, growing=growing)
            self._insist(held.name, damages, again=again or held.doubtful)
            counts = self._take(replace(found, ahead_ms=held.ahead_ms)) + RetrievalCounts(damaged_frames=len(_lasting(damages)))
            doubtful = held.doubtful or bool(damages)
            records = held.records if doubtful else held.records + (found.records or 0)
            end = found.end if damages or growing else stop
            return LoadedLog(replace(held, bytes=end, records=records, doubtful=doubtful), counts)

    def whole(self, entry: LogEntry, take_from: int | None, *, again: bool, ahead_ms: int = 0) -> LoadedLog:
        """The records of a sealed log that has arrived, from `take_from` on; Damaged as for `tail`."""
        name = entry.name
        part = self._mirror.part(name)
        with open_log(part, form=name.form) as found, tempfile.TemporaryDirectory(prefix="swarmscope-") as folder:
            self._insist(name, found.damages, again=again)
            counts = RetrievalCounts(damaged_frames=len(found.damages), logs_mirrored=1)
            if take_from is not None:
                rest = _without_first(take_from, found, Path(folder) / "remainder")
                counts += self._take(replace(rest, ahead_ms=ahead_ms))
        self._mirror.complete(name)
        return LoadedLog(Held(name=name, bytes=entry.bytes, records=entry.records, ahead_ms=ahead_ms), counts)

    def _take(self, found: VerifiedLog) -> RetrievalCounts:
        if not found.records and not found.damages:
            return RetrievalCounts()
        shown_ms = self._last_shown_ms = max(_now_ms(), self._last_shown_ms + 1)
        added = self._table.add(found, shown_ms=shown_ms)
        with self._table.reading() as cursor:
            sent = cursor.execute(
                "SELECT sent_ms FROM feedback WHERE shown_ms = $shown AND received_ms >= $since",
                {"shown": shown_ms, "since": self._since_ms},
            ).fetchnumpy()["sent_ms"]
        return _counts(added) + RetrievalCounts(implausible_clocks=self._delays.shown(sent, now_ms=_now_ms()))

    def _insist(self, name: LogName, damages: tuple[Damage, ...], *, again: bool) -> None:
        if damages and not again:
            raise Damaged(f"{name}, byte {damages[0].offset}: {damages[0].reason}")
        _log_damages(name, damages)


def _without_first(records: int, found: VerifiedLog, target: Path) -> VerifiedLog:
    """`found` without what was taken of it; all of it if the records cannot be counted off, and the table sorts them out."""
    if found.damages or not records:
        return found
    try:
        return remainder(found, records, target)
    except (zstandard.ZstdError, pa.ArrowException) as error:
        log.warning("%s: its checksums are right, its content is not: %s", found.source.name, error)
        return found


def _damages(found: VerifiedLog, *, growing: bool) -> tuple[Damage, ...]:
    """The damages of a journal's copy; while it is `growing`, a torn end is only what has not arrived yet."""
    return _lasting(found.damages) if growing else found.damages


def _lasting(damages: tuple[Damage, ...]) -> tuple[Damage, ...]:
    """Without a torn end: in a journal it is met again, and counted then, when there is more behind it."""
    return tuple(damage for damage in damages if not damage.torn)


def _log_damages(name: LogName, damages: tuple[Damage, ...]) -> None:
    for damage in damages:
        log.error("%s, byte %d: %s (%d bytes)", name, damage.offset, damage.reason, damage.size)


def _counts(added: Added) -> RetrievalCounts:
    return RetrievalCounts(
        records_taken=added.records,
        duplicates_dropped=added.duplicates,
        conflicts_dropped=added.conflicts,
        unreadable_records=added.unreadable,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
