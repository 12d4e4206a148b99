"""Loads new, verified records of the mirror's files into the table. It blocks, so a thread runs it.

A number of records is a position in a log, except after damage. Then the last certain position is used, and the table drops the
records that are loaded twice.
"""

import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import zstandard

from feedback_analysis.reading.log_files import UnreadLog
from feedback_analysis.reading.verified_log import VerifiedLog, open_if_readable, open_log
from feedback_wire.frames import Damage
from feedback_wire.log_name import Form, LogName
from monitor_platform.retrieval.feed_status import RetrievalCounts
from monitor_platform.retrieval.fetch_plan import FetchSealed, MirroredLog
from monitor_platform.retrieval.kind_tables import KindTable
from monitor_platform.retrieval.mirror import Mirror
from monitor_platform.retrieval.remainder import remainder
from serving.few_lines import few_lines

log = logging.getLogger(__name__)


class Damaged(Exception):  # noqa: N818 - only the copy may be damaged
    """The fetched bytes are damaged. Fetching them again may help."""


@dataclass(frozen=True, slots=True)
class LoadedLog:
    """The state of a log after its file was read, and the counts of reading it."""

    held: MirroredLog
    counts: RetrievalCounts


class TableLoader:
    """Loads records into the table, one call at a time."""

    def __init__(self, mirror: Mirror, table: KindTable) -> None:
        self._mirror = mirror
        self._table = table

    def read_back(self, name: LogName, *, ahead_ms: int = 0) -> LoadedLog:
        """Load a log that an earlier run has mirrored. A damaged or unreadable log is doubtful, so it is fetched again."""
        path = self._mirror.path(name)
        with open_if_readable(path) as found:
            if isinstance(found, UnreadLog):
                log.error("%s: %s; the log is fetched again if its feedback server still has it", name, found.reason)
                return LoadedLog(
                    MirroredLog(name=name, bytes=0, doubtful=True, ahead_ms=ahead_ms), RetrievalCounts(damaged_frames=1)
                )
            damages = _damages(found, growing=name.form is Form.JOURNAL)
            _log_damages(name, damages)
            added = self._table.add(replace(found, ahead_ms=ahead_ms), fresh=False)
            counts = added + RetrievalCounts(damaged_frames=len(damages))
            if name.form is Form.JOURNAL:
                end, records = (0, 0) if damages else (found.end, found.records or 0)
                held = MirroredLog(name=name, bytes=end, records=records, ahead_ms=ahead_ms)
            else:
                records = 0 if damages else found.records or 0
                held = MirroredLog(name=name, bytes=path.stat().st_size, records=records, doubtful=bool(damages), ahead_ms=ahead_ms)
            return LoadedLog(held, counts)

    def tail(self, held: MirroredLog, stop: int, *, again: bool) -> LoadedLog:
        """Load the records of a journal's copy from `held` on. The copy reaches at most to byte `stop` of the journal.

        Raises Damaged for damage, unless it was fetched `again`: then its undamaged frames are loaded.
        """
        path = self._mirror.path(held.name)
        with open_log(path, start=held.bytes) as found:
            growing = path.stat().st_size < stop
            damages = _damages(found, growing=growing)
            self._raise_if_damaged(held.name, damages, again=again or held.doubtful)
            counts = self._add(replace(found, ahead_ms=held.ahead_ms)) + RetrievalCounts(damaged_frames=len(_lasting(damages)))
            doubtful = held.doubtful or bool(damages)
            records = held.records if doubtful else held.records + (found.records or 0)
            end = found.end if damages or growing else stop
            return LoadedLog(replace(held, bytes=end, records=records, doubtful=doubtful), counts)

    def whole(self, sealed: FetchSealed, *, again: bool, ahead_ms: int = 0) -> LoadedLog:
        """Load what `sealed` wants of a complete sealed log; Damaged as for `tail`."""
        entry, name = sealed.entry, sealed.entry.name
        part = self._mirror.part(name)
        with open_log(part, form=name.form, kind=name.kind) as found, tempfile.TemporaryDirectory(prefix="swarmscope-") as folder:
            self._raise_if_damaged(name, found.damages, again=again)
            counts = RetrievalCounts(damaged_frames=len(found.damages), logs_mirrored=1)
            if sealed.take_from is not None:
                rest = _without_first(sealed.take_from, found, Path(folder) / "remainder")
                counts += self._add(replace(rest, ahead_ms=ahead_ms))
            elif sealed.identities:
                self._table.add_identities(replace(found, ahead_ms=ahead_ms))
        self._mirror.complete(name)
        return LoadedLog(MirroredLog(name=name, bytes=entry.bytes, records=entry.records, ahead_ms=ahead_ms), counts)

    def _add(self, found: VerifiedLog) -> RetrievalCounts:
        if not found.records and not found.damages:
            return RetrievalCounts()
        return self._table.add(found, fresh=True)

    def _raise_if_damaged(self, name: LogName, damages: tuple[Damage, ...], *, again: bool) -> None:
        if damages and not again:
            raise Damaged(f"{name}, byte {damages[0].offset}: {damages[0].reason}")
        _log_damages(name, damages)


def _without_first(records: int, found: VerifiedLog, target: Path) -> VerifiedLog:
    """`found` without its first `records`; all of it if they cannot be counted, and the table drops the copies."""
    if found.damages or not records:
        return found
    try:
        return remainder(found, records, target)
    except (zstandard.ZstdError, pa.ArrowException) as error:
        log.warning("%s: the checksums are correct, but the content is invalid: %s", found.source.name, error)
        return found


def _damages(found: VerifiedLog, *, growing: bool) -> tuple[Damage, ...]:
    """The damages of a journal's copy. While it is `growing`, an incomplete end is not damage."""
    return _lasting(found.damages) if growing else found.damages


def _lasting(damages: tuple[Damage, ...]) -> tuple[Damage, ...]:
    """The damages without an incomplete end. That is found again, and counted then, when more bytes follow."""
    return tuple(damage for damage in damages if not damage.torn)


def _log_damages(name: LogName, damages: tuple[Damage, ...]) -> None:
    with few_lines(log.error, f"damaged parts of {name}") as report:
        for damage in damages:
            report(f"{name}, byte {damage.offset}: {damage.reason} ({damage.size} bytes)")
