"""A history on disk: one DuckDB file in a folder, written by one thread in whole transactions, read by any number.

The MOS model and the reporting period are stored with the sums, because they cannot be derived from sums. A history that was built
with other values is refused.
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import duckdb

from feedback_analysis.duckdb_database import close_database, open_database
from feedback_analysis.history.attendance import count_unfolded
from feedback_analysis.history.history_selection import HourSelection, kept_measure
from feedback_analysis.history.new_names import NEW_NAMES
from feedback_analysis.history.schema import ADDED, FORMAT, HOUR, MINUTE, ROLLUPS, TABLES, UNFOLDED
from feedback_analysis.measures.registry import Measure, View
from feedback_analysis.measures.selection import Span
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.time_limit import watched
from feedback_analysis.time_units import HOUR_MS

FILE = "history.duckdb"

# Together with Python, Bokeh and a batch of logs, the platform stays within 1 GiB.
MEMORY_MIB = 384

# Rows that may be unfolded before their hours are rewritten: about half an hour of 7,000 peers, added minute by minute.
FOLD_EVERY = 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The values with which sums were computed: the MOS model and the end hosts' reporting period in seconds."""

    mos: MosModel
    period_s: float = 30.0

    @property
    def facts(self) -> dict[str, str]:
        """The same as texts, as the table `facts` has them."""
        return {"format": str(FORMAT), "mos": json.dumps(asdict(self.mos)), "period_s": repr(float(self.period_s))}

    @classmethod
    def of_facts(cls, facts: Mapping[str, str]) -> "Basis":
        return cls(mos=MosModel(**json.loads(facts["mos"])), period_s=float(facts["period_s"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedDays:
    """Days, and the messages summed in them, that were dropped because of their age."""

    days: int = 0
    messages: int = 0

    def __add__(self, other: "DroppedDays") -> "DroppedDays":
        return DroppedDays(days=self.days + other.days, messages=self.messages + other.messages)


class HistoryStore:
    """The tables of `schema` in `folder`, which is created if it does not exist; ValueError if they cannot be used.

    `basis` None: open an existing history with the values that it was built with.
    """

    def __init__(self, folder: Path, basis: Basis | None) -> None:
        if basis is None and not (folder / FILE).exists():
            raise ValueError(f"there is no history in {folder}; create one with swarmscope history build LOGS --into {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._version = 0
        self._writing = threading.Lock()
        self._root = _opened(folder / FILE)
        try:
            self.basis = self._begin(basis)
        except BaseException:
            close_database(self._root)
            raise

    @property
    def version(self) -> int:
        """Grows with every change: answers of one version are the same."""
        return self._version

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor on which all queries see the store in the same state."""
        with closing(self._root.cursor()) as cursor:
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            with watched(cursor):
                yield cursor
            cursor.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for one transaction: its changes are committed if the block ends without an error, and otherwise rolled back."""
        with self._writing, closing(self._root.cursor()) as cursor:
            cursor.execute("BEGIN TRANSACTION")
            yield cursor  # closing without COMMIT rolls back
            cursor.execute("COMMIT")
            self._version += 1

    @contextmanager
    def searching(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for temporary tables. Each statement sees the latest state of the store."""
        with closing(self._root.cursor()) as cursor:
            yield cursor

    def fold(self, *, at_least: int = FOLD_EVERY) -> None:
        """Merge the rows of each key into one row, if hours with new rows have `at_least` rows."""
        if self._unfolded_rows() < at_least:
            return
        with self.writing() as db:
            for rollup in ROLLUPS:
                db.execute(f"CREATE OR REPLACE TEMP TABLE folded AS {rollup.folded(UNFOLDED)}")
                db.execute(f"DELETE FROM {rollup.name} WHERE {UNFOLDED}")
                db.execute(f"INSERT INTO {rollup.name} BY NAME FROM folded")
            db.execute("DROP TABLE folded")
            db.execute(f"DELETE FROM {HOUR.name} WHERE {UNFOLDED}")
            db.execute(f"INSERT INTO {HOUR.name} BY NAME {HOUR.folded(UNFOLDED, source=MINUTE.name)}")
            count_unfolded(db)
            db.execute("DELETE FROM unfolded")

    def drop_before(self, before_ms: int) -> DroppedDays:
        """Drop the whole hours before the hour of `before_ms`. A peer with messages only in dropped hours counts as new when it
        returns."""
        hour = {"hour": before_ms // HOUR_MS}
        with self.writing() as db:
            [(days, messages)] = db.execute(
                "SELECT count(DISTINCT hour // 24), coalesce(sum(messages), 0)::BIGINT FROM session_hour WHERE hour < $hour", hour
            ).fetchall()
            for table in (
                *(rollup.name for rollup in (*ROLLUPS, HOUR)),
                "copies",
                "conflicts",
                "unfolded",
                "attendance",
                "counters",
                "uptimes",
            ):
                db.execute(f"DELETE FROM {table} WHERE hour < $hour", hour)
            # Numbers are reused: a number that any table still refers to has to keep its name.
            db.execute("DELETE FROM peers WHERE id NOT IN (SELECT peer FROM session_hour UNION SELECT peer FROM presence)")
            db.execute("DELETE FROM sessions WHERE id NOT IN (SELECT session FROM session_hour UNION SELECT session FROM seen)")
        return DroppedDays(days=int(days), messages=int(messages))

    def begins_ms(self) -> int | None:
        """The start (Unix ms) of the first hour in the history; None while it is empty."""
        with self.reading() as cursor:
            [(hour,)] = cursor.execute("SELECT min(hour) FROM session_hour").fetchall()
        return None if hour is None else int(hour) * HOUR_MS

    def hours_s(self) -> list[int]:
        """The start of each hour in the history, Unix time in seconds."""
        with self.reading() as cursor:
            return [hour * (HOUR_MS // 1000) for (hour,) in cursor.execute("SELECT DISTINCT hour FROM session_hour").fetchall()]

    def select(self, span: Span | None, where: Mapping[str, str], by: Sequence[str] = ()) -> HourSelection:
        """The partials of the whole hours of `span` (None: all); ValueError if `where` or `by` names something that is not kept."""
        return HourSelection(span, where, by, period_s=self.basis.period_s)

    def measure(self, name: str, view: View) -> Measure:
        """The measure called `name`; ValueError if there is none, `view` cannot show it, or the history does not keep it."""
        return kept_measure(name, view)

    def unreadable_records(self, cursor: duckdb.DuckDBPyConnection) -> int:
        """The number of records in the ingested logs that could not be read."""
        return int(cursor.execute("SELECT coalesce(sum(unreadable), 0) FROM logs").fetchall()[0][0])

    def close(self) -> None:
        close_database(self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _begin(self, basis: Basis | None) -> Basis:
        with closing(self._root.cursor()) as cursor:
            made = cursor.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'facts'").fetchall() != [(0,)]
            known = dict(cursor.execute("SELECT name, value FROM facts").fetchall()) if made else None
        if known is None:
            return self._make(basis or Basis(mos=MosModel()))
        wanted = (basis.facts if basis is not None else known) | {"format": str(FORMAT)}
        if _effective(known) != _effective(wanted):
            raise ValueError(f"the history in {self.folder} was built {_difference(_effective(known), _effective(wanted))}")
        with self.writing() as db:
            for added in (*ADDED, NEW_NAMES):
                db.execute(added)
        return Basis.of_facts(known)

    def _make(self, basis: Basis) -> Basis:
        with self.writing() as db:
            for table in (*TABLES, NEW_NAMES):
                db.execute(table)
            db.executemany("INSERT INTO facts VALUES (?, ?)", list(basis.facts.items()))
        return basis

    def _unfolded_rows(self) -> int:
        with self.reading() as cursor:
            [(rows,)] = cursor.execute("SELECT count(*) FROM session_hour SEMI JOIN unfolded USING (hour)").fetchall()
        return int(rows)


def extent(store: HistoryStore) -> Span | None:
    """From the first to the last message of the history; None while it is empty."""
    with store.reading() as cursor:
        return store.select(None, {}).covered(cursor)


def _opened(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        return open_database(path, temp=str(path.with_suffix(".tmp")), memory_mib=MEMORY_MIB)
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise ValueError(f"another process uses the history in {path.parent}; query that process, or stop it first") from error
        why = str(error).splitlines()[0]
        raise ValueError(
            f"the history in {path.parent} cannot be opened: {why}; move it away and run `swarmscope history build` again"
        ) from error


def _effective(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts with only the constants of the MOS model that have an effect: earlier versions accepted --mos-c2 under ceiling."""
    if facts.get("format") != str(FORMAT):
        return dict(facts)  # the model of another format may have other fields
    return {**facts, "mos": json.dumps(asdict(Basis.of_facts(facts).mos.effective))}


def _difference(known: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    for name, value in wanted.items():
        if known.get(name) != value:
            return f"with {name} {known.get(name)}, not {value}; use the same settings, or build another one in another folder"
    return "by a later version of Swarmscope; use that one"
