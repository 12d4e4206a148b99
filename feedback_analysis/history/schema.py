"""The tables of a history. A row of a rollup is a partial: several rows may have the same key, and every query merges them.

So adding a log only appends rows, a late log is like any other, and folding the rows of one key into one row only saves space.
Each rollup has the column `hour` (hours since 1970, UTC), by which it is folded, dropped, and skipped in scans.
"""

from dataclasses import dataclass

from feedback_analysis.measures.exact import ONE
from feedback_analysis.measures.partials import (
    DOWNLOAD_OF_BOTH,
    SESSION_COLUMNS,
    UPLOAD_OF_BOTH,
    PartialColumn,
    latest_startup,
    merging,
)
from feedback_analysis.messages.stalls_and_starts import PLAYED
from feedback_analysis.time_units import MINUTE_MS

FORMAT = 2
"""The version of the file format. A history of another version has to be built again."""

HOUR_MINUTES = 60

DIMENSIONS = ("channel", "isp", "area", "district", "country", "app", "platform")
"""The dimensions by which a history can be filtered and grouped; it can be filtered by identities too."""

MEANS = ("mos", "continuity", "upload_kbps", "download_kbps", "playback_kbps", "p2p_ratio", "buffer_ms", "partners")
"""Measures that are means over messages: the numerator is in `NAME_sum`, the number of messages that carry it in `NAME_n`."""

BLOCK = 64
"""How many message numbers one row of `seen` covers, a bit each."""

# (received_ms, seq) as one number; message numbers are below 2^53.
RANK = "(received_ms::HUGEINT * 9007199254740992 + seq)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """A table of partial rows. `keys` have their SQL types, in the order in which folded rows are sorted."""

    name: str
    keys: dict[str, str]
    columns: tuple[PartialColumn, ...]

    @property
    def table(self) -> str:
        """SQL that creates it."""
        kinds = self.keys | {column.name: column.kind for column in self.columns}
        return f"CREATE TABLE {self.name} ({', '.join(f'{name} {kind}' for name, kind in kinds.items())})"

    def of_messages(self, source: str, **computed: str) -> str:
        """SQL: the partial rows of `source`, a relation of messages; `computed`: SQL of the keys that are no column of it."""
        keys = ", ".join(f"{computed[name]} AS {name}" if name in computed else name for name in self.keys)
        sums = ", ".join(f"{column.of_messages} AS {column.name}" for column in self.columns)
        return f"SELECT {keys}, {sums} FROM {source} GROUP BY {', '.join(str(at) for at in range(1, len(self.keys) + 1))}"

    def folded(self, condition: str, *, source: str = "") -> str:
        """SQL: one row per key of the rows that meet `condition`, from this rollup or from a finer one, `source`."""
        keys, sums = ", ".join(self.keys), ", ".join(f"{column.merged} AS {column.name}" for column in self.columns)
        return f"SELECT {keys}, {sums} FROM {source or self.name} WHERE {condition} GROUP BY {keys} ORDER BY {keys}"


def _counted(name: str, of_messages: str) -> PartialColumn:
    return PartialColumn(name=name, kind="UINTEGER", of_messages=of_messages, merged=f"sum({name})")


def _summed(name: str) -> PartialColumn:
    return PartialColumn(name=name, kind="HUGEINT", of_messages=f"coalesce(sum({name}), 0)", merged=f"sum({name})")


SCALED = {f"{name}_sum": f"{name} * weight" for name in MEANS} | {
    "both_upload_sum": f"{UPLOAD_OF_BOTH} * weight",
    "both_download_sum": f"{DOWNLOAD_OF_BOTH} * weight",
}
"""SQL of the summands by the name of their column; computed once per message, because several rollups sum them."""
SCALED = {name: f"CAST({value} * {ONE}::DOUBLE AS HUGEINT)" for name, value in SCALED.items()}


VIEWED = ("rebuffering_ratio", "stalls_per_hour", "stall_ms")
"""Measures of the increases of session counters: numerator in `NAME_sum`, denominator in `NAME_base` (`counter_increases.py`)."""


def _viewed() -> tuple[PartialColumn, ...]:
    """NULL where no message has them: in the rows of a version that did not keep them, and of end hosts without these counters."""
    sides = (f"{name}_{side}" for name in VIEWED for side in ("sum", "base"))
    return (*(merging("sum", side, "HUGEINT", side) for side in sides), LONGEST_STALL)


LONGEST_STALL = merging("max", "longest_stall_ms", "DOUBLE", "longest_stall_ms")


def _sums() -> tuple[PartialColumn, ...]:
    """Numerators and denominators. The weight is a key of the row, so a denominator is a plain count."""
    means = [(_summed(f"{name}_sum"), _counted(f"{name}_n", f"count({name})")) for name in MEANS]
    return (
        _counted("messages", "count(*)"),
        *(column for pair in means for column in pair),
        _summed("both_upload_sum"),
        _summed("both_download_sum"),
        *_viewed(),
    )


def _joined(name: str, of: str) -> PartialColumn:
    return PartialColumn(name=name, kind="BIGINT", of_messages=f"min({of}) FILTER (WHERE event = 'join')", merged=f"min({name})")


SESSION_HOUR = Rollup(
    name="session_hour",
    keys={"hour": "INTEGER", "slice": "INTEGER", "session": "INTEGER", "peer": "INTEGER", "weight": "DOUBLE"},
    columns=(
        *_sums(),
        *SESSION_COLUMNS,
        *latest_startup("heard_startup_ms", "heard_rank", RANK),
        # The format has these columns, but nothing reads them: the largest is the last value only if no counter was reset.
        merging("max", "stall_count", "BIGINT", "stall_count"),
        merging("max", "stall_ms", "BIGINT", "stall_ms"),
        merging("max", "played_ms", "BIGINT", "played_ms"),
        PartialColumn(
            name="heard",
            kind="UBIGINT",
            of_messages=f"bit_or(1::UBIGINT << ((received_ms // {MINUTE_MS}) % {HOUR_MINUTES})::UBIGINT)",
            merged="bit_or(heard)",
        ),
        _joined("joined_ms", "received_ms"),
        _joined("joined_seq", "seq"),
        PartialColumn(
            name="has_played", kind="BOOLEAN", of_messages=f"coalesce(bool_or({PLAYED}), false)", merged="bool_or(has_played)"
        ),
        PartialColumn(
            name="has_left", kind="BOOLEAN", of_messages="coalesce(bool_or(event = 'leave'), false)", merged="bool_or(has_left)"
        ),
    ),
)
"""A row per session, hour and slice; `heard` has a bit for each minute with a message. `joined_ms` and `joined_seq` are those of
the first message that joins."""

PRESENCE = Rollup(
    name="presence",
    keys={"hour": "INTEGER", "slice": "INTEGER", "peer": "INTEGER", "weight": "DOUBLE"},
    columns=(
        PartialColumn(
            name="present",
            kind="UBIGINT",
            of_messages=f"bit_or(1::UBIGINT << (minute % {HOUR_MINUTES})::UBIGINT)",
            merged="bit_or(present)",
        ),
    ),
)
"""A bit for each minute of the hour. It is set if the peer was present at the minute's end: it sent a message within the last
reporting period."""

MINUTE = Rollup(
    name="minute_sums",
    keys={"hour": "INTEGER", "dimension": "VARCHAR", "value": "VARCHAR", "minute": "INTEGER", "weight": "DOUBLE"},
    columns=_sums(),
)
"""The sums of each minute for each value of one dimension; the dimension '' has all messages."""

HOUR = Rollup(
    name="hour_sums",
    keys={"hour": "INTEGER", "dimension": "VARCHAR", "value": "VARCHAR", "weight": "DOUBLE"},
    columns=_sums(),
)
"""The same sums per hour, computed from the minutes when an hour is folded; not valid for the hours in `unfolded`."""

SEEN = Rollup(
    name="seen",
    keys={"hour": "INTEGER", "session": "INTEGER", "block": "BIGINT"},
    columns=(
        PartialColumn(
            name="numbers",
            kind="UBIGINT",
            of_messages=f"bit_or(1::UBIGINT << (seq % {BLOCK})::UBIGINT)",
            merged="bit_or(numbers)",
        ),
    ),
)
"""Which messages have been counted; `block` is seq // 64."""

ROLLUPS = (SESSION_HOUR, PRESENCE, MINUTE, SEEN)

UNFOLDED = "hour IN (FROM unfolded)"
FOLDED = "hour NOT IN (FROM unfolded)"
"""SQL: whether no messages were added to an hour since it was folded, and whether some were."""

CONFLICTS = "CREATE TABLE IF NOT EXISTS conflicts (hour INTEGER, conflicts BIGINT)"
COUNTERS = """CREATE TABLE IF NOT EXISTS counters (
    session INTEGER, hour INTEGER, seq BIGINT, stall_count BIGINT, stall_ms BIGINT, played_ms BIGINT,
    run_ms HUGEINT, run_stalls HUGEINT
)"""
UPTIMES = """CREATE TABLE IF NOT EXISTS uptimes (
    session INTEGER, hour INTEGER, seq BIGINT, uptime_ms BIGINT, added_ms BIGINT
)"""
_FIRST_COLUMNS = {
    column.name for column in SESSION_HOUR.columns if column not in _viewed() and not column.name.startswith(("joined_", "has_"))
}
ADDED = (
    CONFLICTS,
    COUNTERS,
    UPTIMES,
    *(
        f"ALTER TABLE {rollup.name} ADD COLUMN IF NOT EXISTS {column.name} {column.kind}"
        for rollup in (SESSION_HOUR, MINUTE, HOUR)
        for column in rollup.columns
        if column.name not in _FIRST_COLUMNS
    ),
)
"""SQL: adds what histories of earlier versions lack, when they are opened. Their rows have NULL in the new columns."""

TABLES = (
    *(rollup.table for rollup in (*ROLLUPS, HOUR)),
    "CREATE TABLE attendance (hour INTEGER, dimension VARCHAR, value VARCHAR, minute INTEGER, weight HUGEINT)",
    "CREATE TABLE peers (id INTEGER, name VARCHAR)",
    "CREATE TABLE sessions (id INTEGER, name VARCHAR)",
    f"CREATE TABLE slices (id INTEGER, {', '.join(f'{name} VARCHAR' for name in DIMENSIONS)})",
    "CREATE TABLE copies (hour INTEGER, copies BIGINT)",
    CONFLICTS,
    COUNTERS,
    UPTIMES,
    "CREATE TABLE unfolded (hour INTEGER)",
    "CREATE TABLE logs (name VARCHAR, stem VARCHAR, bytes BIGINT, modified_ns BIGINT, sha256 VARCHAR, unreadable BIGINT)",
    "CREATE TABLE facts (name VARCHAR, value VARCHAR)",
)
"""`attendance` has the weight of the peers present in each minute, in total and for each value of one dimension. Like `hour_sums`,
it is computed when hours are folded."""
