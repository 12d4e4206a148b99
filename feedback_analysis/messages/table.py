"""The table of messages: each message is in it once.

A message is identified by `(session_id, seq)`. If there are several copies, the one that was received first stays, for any order of
reading. So the table, and every number from it, is the same for one file or many, in any order, live or recorded.
"""

import secrets
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import duckdb

from feedback_analysis.duckdb_database import close_database, open_database, transaction
from feedback_analysis.geo.atlas import Atlas
from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.registry import Measure, View, measure_of
from feedback_analysis.measures.selection import REPORTING_PERIOD_S, Span
from feedback_analysis.messages.ingest import SCHEMA, Added, ingest
from feedback_analysis.messages.message_selection import MessageSelection
from feedback_analysis.messages.outside import (
    add_read_identities,
    begin_search,
    drop_oldest,
    end_search,
    merge,
    narrow_search,
    read_identities,
    search,
)
from feedback_analysis.quality.all_models import Models, all_models
from feedback_analysis.quality.model import macros
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.log_files import UnreadLog
from feedback_analysis.reading.verified_log import VerifiedLog, removed_since
from feedback_analysis.reading.wrong_clocks import WrongClocks
from feedback_analysis.time_limit import watched
from feedback_analysis.time_units import FOREVER_MS
from feedback_wire.frames import Damage
from serving.memory import is_no_memory

_T = TypeVar("_T")

# A record takes about 400 bytes uncompressed and 65 compressed. Compressing takes half as long as reading. A million records are
# 400 MB, which few machines lack, and smaller tables need not be compressed.
COMPRESSED_EVERY = 1_000_000

# Enough to see what is wrong. A file that is damaged everywhere must not fill the memory.
REMEMBERED_DAMAGES = 1_000


@dataclass(frozen=True, slots=True)
class DamagedLog:
    """A part of a file that could not be read."""

    source: Path
    damage: Damage

    def __str__(self) -> str:
        return f"{self.source}, byte {self.damage.offset}: {self.damage.reason} ({self.damage.size} bytes)"


def _temp_folder() -> str:
    """The folder for data that does not fit into DuckDB's memory; empty (none) if there is no folder for temporary files.

    DuckDB's default is the working directory, which may be read-only.
    """
    try:
        return str(Path(tempfile.gettempdir()) / f"swarmscope-{secrets.token_hex(8)}")
    except FileNotFoundError:
        return ""


class FeedbackTable:
    """An in-memory DuckDB table `feedback`: the record's fields, `extra`, the location of the peer, and the MOS of each message.

    One thread at a time writes. Any number of threads read, each with its own cursor, and see complete additions only.
    A field that a record does not carry is NULL, except `channel`, `isp`, `app` and `platform`, which are "unknown".
    """

    compressed_every = COMPRESSED_EVERY
    _rows = "feedback"
    _whole = True

    period_s = REPORTING_PERIOD_S
    """The end hosts' reporting period: a session that joins is given two of them to play."""

    def __init__(self, locator: Locator, mos: MosModel, *, models: Models | None = None) -> None:
        self.mos = mos
        self.models: Models = {**(models or all_models()), "mos": mos}
        self.locator = locator
        self._edition = locator.edition
        self._root = open_database(temp=_temp_folder())
        self._root.execute("ATTACH ':memory:' AS store (COMPRESS)")
        self._writer = self.cursor()
        self._writer.execute(self._schema())
        for model in self.models.values():
            self._writer.execute(macros(model))
        self._writing = threading.RLock()
        self._version = 0
        self._unreadable = 0
        self._unreadable_for: Counter[str] = Counter()
        self._dropped_identities = 0
        self._uncompressed = 0
        self._damages: deque[DamagedLog] = deque(maxlen=REMEMBERED_DAMAGES)
        self._unread: tuple[UnreadLog, ...] = ()
        self.passed_over: tuple[Path, ...] = ()
        """Files that look like logs and were not read, because they do not have the name of one."""
        self.wrong_clocks = WrongClocks()
        """The servers whose records have wrong times, which are not corrected."""

    @property
    def atlas(self) -> Atlas:
        """The areas and districts of the table."""
        return self.locator.atlas

    @property
    def version(self) -> int:
        """Grows with every change of the table: answers of one version are the same."""
        return self._version

    @property
    def unreadable(self) -> int:
        """The number of records that are known to exist and could not be read."""
        return self._unreadable

    @property
    def unreadable_for(self) -> Counter[str]:
        """The number of unreadable records by reason: the required field without a value, or `reading.rows.NO_OBJECT`.

        Records in damaged parts of files have no reason, so the sum may be less than `unreadable`.
        """
        return Counter(self._unreadable_for)

    @property
    def dropped_identities(self) -> int:
        """How many intervals of identities were dropped for memory: copies of these messages count again."""
        return self._dropped_identities

    @property
    def damages(self) -> tuple[DamagedLog, ...]:
        """The parts of files that could not be read, oldest first, at most the last thousand."""
        return tuple(self._damages)

    @property
    def unread(self) -> tuple[UnreadLog, ...]:
        """The files and folders that could not be opened, so that their records are not known."""
        return self._unread

    def note_unread(self, unread: Iterable[UnreadLog]) -> None:
        """Note files whose records are missing from the table."""
        with self._writing:
            self._unread = tuple(dict.fromkeys((*self._unread, *unread)))  # a log may be read twice

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A new connection for one thread, which has to close it."""
        cursor = self._root.cursor()
        cursor.execute("USE store")
        return cursor

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor on which all queries see the table in the same state."""
        with closing(self.cursor()) as cursor, transaction(cursor), watched(cursor):
            yield cursor

    def select(self, span: Span | None, where: Mapping[str, str], by: Sequence[str] = ()) -> MessageSelection:
        """The partials of the messages in `span` (None: all) that match `where`, grouped `by` dimensions."""
        return MessageSelection(span, where, by, period_s=self.period_s)

    def measure(self, name: str, view: View) -> Measure:
        """The measure called `name`; ValueError if there is none or `view` cannot show it."""
        return measure_of(name, view)

    def unreadable_records(self, cursor: duckdb.DuckDBPyConnection) -> int:
        """As `unreadable`; counted outside the table, so `cursor` is not needed."""
        return self._unreadable

    def add(self, log: VerifiedLog, *, shown_ms: int | None = None) -> Added:
        """Add the records of `log`. `shown_ms` (Unix ms): from when views can show them; None for recorded logs."""
        return self.add_all([log], shown_ms=shown_ms)

    def add_all(self, logs: Sequence[VerifiedLog], *, shown_ms: int | None = None) -> Added:
        """Add several logs of one form together, which uses all cores."""
        with self._writing:
            added = self._ingest(logs, shown_ms)
            self._unreadable += added.unreadable
            self._unreadable_for += added.reasons
            self._damages.extend(DamagedLog(log.source, damage) for log in logs for damage in log.damages)
            self._version += 1
            self._compress(added.records)
            return added

    def drop_before(self, received_ms: int, *, and_from_ms: int = FOREVER_MS) -> int:
        """Drop the messages received before `received_ms`, and those from `and_from_ms` on; returns how many.

        Their identities are kept, to recognise copies.
        """
        dropped = f"received_ms < {int(received_ms)} OR received_ms >= {int(and_from_ms)}"
        try:
            return self._drop(dropped, keep_identities=True)
        except duckdb.OutOfMemoryException:
            return self._drop(dropped, keep_identities=False)

    def _drop(self, dropped: str, *, keep_identities: bool) -> int:
        with self.changing() as db:
            if keep_identities:
                merge(db, f"SELECT session_id, seq, received_ms FROM feedback WHERE {dropped}")
            gone = db.execute(f"DELETE FROM feedback WHERE {dropped}").fetchall()[0][0]
            db.execute(f"DELETE FROM duplicate WHERE {dropped}")
            db.execute("DELETE FROM location WHERE ip NOT IN (SELECT ip FROM feedback)")
            dropped_identities = drop_oldest(db) if keep_identities else gone
        self._dropped_identities += dropped_identities
        return int(gone)

    def add_identities(self, logs: Sequence[VerifiedLog]) -> None:
        """Add only the identities of the messages in `logs` (one form), so that copies of these messages are not added later.

        If a copy of such a message is in the table already, the copy that was received first stays. A log that DuckDB cannot read
        is added to `damages`.
        """

        def read(db: duckdb.DuckDBPyConnection, logs: Sequence[VerifiedLog]) -> int:
            if read_identities(db, self._rows, logs):
                self._add_rows(db, logs, None, only="wanted")
            add_read_identities(db, self._rows)
            return drop_oldest(db)

        def refuse(log: VerifiedLog, error: duckdb.Error) -> int:
            self._note_refused(log, error)
            return 0

        with self._writing:
            self._dropped_identities += sum(self._read(logs, read, refuse))
            self._version += 1

    def begin_search(self) -> None:
        """Begin a search for messages of the sessions in the table; then call `search`."""
        with self.changing() as db:
            begin_search(db, self._rows)

    def search(self, logs: Sequence[VerifiedLog], *, before: bool) -> None:
        """Search `logs` (one form) from before, or after, the time range of the table for messages of its sessions.

        Copies of messages in the table are added; of other messages, only the identity.
        """
        with self._writing:
            self._search(logs, before=before and self._whole)
            self._damages.extend(DamagedLog(log.source, damage) for log in logs for damage in log.damages)
            self._version += 1

    def narrow_search(self) -> bool:
        """Continue the search with only the sessions in which numbers are missing; returns whether there are any."""
        with self.changing() as db:
            return narrow_search(db, self._rows)

    def end_search(self) -> None:
        """End the search: the identities that were found are known from now on."""
        with self.changing() as db:
            end_search(db, self._rows)

    def prepare_for_reading(self) -> None:
        """Prepare for reading when no more logs come: compress all rows, and use one core per query.

        A compressed table is faster to query. A page runs a dozen queries at once, and dividing each among cores costs a fifth
        more.
        """
        self._compress_now()
        self._writer.execute("SET threads = 1")

    def close(self) -> None:
        self._writer.close()
        close_database(self._root)

    @contextmanager
    def changing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection that writes, in its own transaction; every change makes a new version."""
        with self._writing, transaction(self._writer) as db:
            yield db
        self._version += 1

    def _schema(self) -> str:
        return SCHEMA

    def _add_rows(self, db: duckdb.DuckDBPyConnection, logs: Sequence[VerifiedLog], shown_ms: int | None, only: str = "") -> Added:
        return ingest(db, logs, self.locator, self.mos, shown_ms, only=only)

    def _compress(self, added: int) -> None:
        self._uncompressed += added
        if self._uncompressed >= self.compressed_every:
            self._compress_now()

    def _compress_now(self) -> None:
        try:
            self._writer.execute("CHECKPOINT store")
        except duckdb.TransactionException:
            return  # fails while others read; the next addition tries again
        self._uncompressed = 0

    def _ingest(self, logs: Sequence[VerifiedLog], shown_ms: int | None) -> Added:
        def read(db: duckdb.DuckDBPyConnection, logs: Sequence[VerifiedLog]) -> Added:
            edition = self._clear_locations(db)
            added = self._add_rows(db, logs, shown_ms)
            self._edition = edition
            return added

        first, *others = self._read(logs, read, self._refuse)
        return sum(others, first)

    def _search(self, logs: Sequence[VerifiedLog], *, before: bool) -> None:
        def read(db: duckdb.DuckDBPyConnection, logs: Sequence[VerifiedLog]) -> None:
            if search(db, self._rows, logs, before=before):
                self._add_rows(db, logs, None, only="wanted")

        self._read(logs, read, self._refuse)

    def _read(
        self,
        logs: Sequence[VerifiedLog],
        read: Callable[[duckdb.DuckDBPyConnection, Sequence[VerifiedLog]], _T],
        refuse: Callable[[VerifiedLog, duckdb.Error], _T],
    ) -> list[_T]:
        """The result of `read` for all `logs` in one transaction.

        DuckDB may be unable to read a log although its checksums are right. Then each log is read in its own transaction, and
        `refuse` gives the result of a log that cannot be read.
        """
        try:
            with transaction(self._writer) as db:
                return [read(db, logs)]
        except duckdb.Error as error:
            _raise_if_no_memory(error)
            if len(logs) == 1:
                return [refuse(logs[0], error)]
        return [result for log in logs for result in self._read([log], read, refuse)]

    def _clear_locations(self, db: duckdb.DuckDBPyConnection) -> int:
        """Locate addresses again after a database was replaced; stored records keep their location. Returns the new edition."""
        edition = self.locator.edition
        if edition != self._edition:
            db.execute("DELETE FROM location")
        return edition

    def _refuse(self, log: VerifiedLog, error: duckdb.Error) -> Added:
        is_there = self._note_refused(log, error)
        return Added(records=0, duplicates=0, unreadable=(log.records or 0) + log.lost if is_there else 0)

    def _note_refused(self, log: VerifiedLog, error: duckdb.Error) -> bool:
        """Note that DuckDB cannot read a log; returns whether its file is still there."""
        removed = removed_since(log)
        if removed is not None:
            self.note_unread([removed])
            return False
        reason = f"whole, yet not readable: {str(error).splitlines()[0]}"
        self._damages.append(DamagedLog(log.source, Damage(0, log.end, reason)))
        return True


def _raise_if_no_memory(error: duckdb.Error) -> None:
    """MemoryError if the system has no memory left, which is no fault of the log."""
    if is_no_memory(error):
        raise MemoryError from error
