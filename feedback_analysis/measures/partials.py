"""The partials from which every measure is computed, for every engine: partial → merge → final.

A *partial* describes some of the records: those of one hour, one file, one group or one machine. Partials of one key merge by sum,
minimum, maximum or latest value, in any order. So every split of the records gives the same result. A *final* number is computed
from merged partials only, by the functions of this package. There are three kinds of partials:

- exact sums: pairs of 128-bit whole numbers, numerator and denominator (`exact.py`);
- session rows: one or more rows per session, with the columns of SESSION_COLUMNS;
- peer rows: one or more rows per peer, with its weight and, for a histogram, its own mean.

An engine is a `Source`. Its `Partials` are SQL that makes these rows: `messages` from single messages, `history` from sums per
hour. docs/adr/0016-each-measure-once.md gives the reasons, and what cannot be shared.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, Self

import duckdb

from feedback_analysis.measures.exact import exact_sum, exact_sum_where
from feedback_analysis.measures.registry import Measure, View
from feedback_analysis.measures.selection import Selection, Span
from feedback_analysis.measures.statistics import Group, Quantiles, Rows

RATES = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "mos")
"""The measures that a summary has over messages, each with a mean."""

VIEWING = ("rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "start_failures", "p2p_ratio")
"""The measures that a summary has as one number each. The denominator of `stall_ms` is the number of stalls, that of
`start_failures` the number of sessions that tried to start."""

UPLOAD_OF_BOTH, DOWNLOAD_OF_BOTH = (
    f"CASE WHEN upload_kbps IS NOT NULL AND download_kbps IS NOT NULL THEN {name} END" for name in ("upload_kbps", "download_kbps")
)
"""SQL: numerator and denominator of the contribution ratio in one message; NULL unless the message carries both rates."""

MERGED_WEIGHT = "max(weight) AS weight"
"""SQL: merges the weights of one peer or session: the weight of its message with the largest weight."""

DECIMALS = 9
"""A peer's mean is rounded to these, so that a peer that always sent 0.9 lies at the edge 0.9, not a binary fraction below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialColumn:
    """A column of a partial row. SQL aggregates: `of_messages` computes it from messages, `merged` from partial rows of one key."""

    name: str
    kind: str
    of_messages: str
    merged: str


def merging(function: str, name: str, kind: str, of: str) -> PartialColumn:
    """A column that one SQL aggregate both computes and merges."""
    return PartialColumn(name=name, kind=kind, of_messages=f"{function}({of})", merged=f"{function}({name})")


def latest_startup(value: str, rank: str, by: str) -> tuple[PartialColumn, PartialColumn]:
    """The startup of the message with the highest rank `by`, and that rank."""
    started = "FILTER (WHERE startup_ms IS NOT NULL)"
    return (
        PartialColumn(
            name=value,
            kind="BIGINT",
            of_messages=f"arg_max(startup_ms, {by}) {started}",
            merged=f"arg_max({value}, {rank}) FILTER (WHERE {rank} IS NOT NULL)",
        ),
        PartialColumn(name=rank, kind="HUGEINT", of_messages=f"max({by}) {started}", merged=f"max({rank})"),
    )


SESSION_COLUMNS = (
    merging("min", "first_ms", "BIGINT", "received_ms"),
    merging("max", "last_ms", "BIGINT", "received_ms"),
    merging("min", "min_seq", "BIGINT", "seq"),
    merging("max", "max_seq", "BIGINT", "seq"),
    merging("min", "min_uptime_ms", "BIGINT", "uptime_ms"),
    merging("max", "max_uptime_ms", "BIGINT", "uptime_ms"),
    *latest_startup("startup_ms", "startup_seq", "seq"),
)
"""The columns of a session row in addition to `session`, `peer`, `weight` and `messages`."""

SESSION_NAMES = ("session", "peer", "weight", "messages", *(column.name for column in SESSION_COLUMNS))

STARTUP = "arg_max(startup_ms, startup_seq) FILTER (WHERE startup_ms IS NOT NULL)::DOUBLE AS startup_ms"
"""SQL: the startup of a session, in ms, from its rows: the last that it reported."""

ONLINE = "coalesce(max(max_uptime_ms) - min(min_uptime_ms), max(last_ms) - min(first_ms)) / 1000 AS online_s"
"""SQL: how long a session was online, in seconds, from its rows; by the server's clock if it never sent its uptime."""

STARTUP_SUMS = (exact_sum("startup_ms * weight"), exact_sum_where("weight", "startup_ms IS NOT NULL"))
"""SQL: numerator and denominator of the mean startup, over sessions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Rows, and the SQL aggregates that make an exact numerator and denominator of them."""

    rows: Rows
    aggregates: tuple[str, ...]

    def by_group(self, cursor: duckdb.DuckDBPyConnection) -> dict[Group, tuple[int, ...]]:
        """The merged sums of each group."""
        return self.rows.aggregate(cursor, *self.aggregates)


class Partials(Selection, ABC):
    """The partials of the selected records, as SQL for one DuckDB cursor."""

    __slots__ = ()

    @abstractmethod
    def covered(self, cursor: duckdb.DuckDBPyConnection) -> Span | None:
        """The time range that the answer is about; None if it is all records and there are none."""

    @abstractmethod
    def sessions(self, cursor: duckdb.DuckDBPyConnection) -> Rows:
        """One or more rows per session and group, with the columns SESSION_NAMES."""

    def numbered_sessions(self, cursor: duckdb.DuckDBPyConnection) -> Rows:
        """The same, to count messages and missing numbers: the uptimes may not be continuous over restarts of a player."""
        return self.sessions(cursor)

    @abstractmethod
    def peers(self) -> Rows:
        """One or more rows per peer and group: `peer` and `weight`."""

    @abstractmethod
    def message_count(self) -> Sums:
        """The weight of the messages."""

    @abstractmethod
    def sums(self, measure: Measure) -> Sums:
        """Numerator and denominator of a mean, a ratio, or a measure with one value per session."""

    @abstractmethod
    def summary_sums(self, cursor: duckdb.DuckDBPyConnection) -> tuple[Mapping[Group, tuple[int, ...]], Quantiles]:
        """For each group, without the total: the weight of the messages, then numerator and denominator of the contribution ratio
        and of each of RATES. Also the quantiles of RATES for each group and the total, if the engine can compute them."""

    @abstractmethod
    def viewing(self, cursor: duckdb.DuckDBPyConnection) -> Mapping[str, Mapping[Group, tuple[int, ...]]]:
        """Of each of VIEWING that the engine keeps: numerator and denominator of each group and the total."""

    @abstractmethod
    def peer_values(self, measure: Measure) -> Rows:
        """One row per peer: `weight`, and its own mean of `measure` as `value`."""

    @abstractmethod
    def present(self, period_s: float) -> "Partials":
        """The records that make a peer present at the end of the time range; ValueError if the engine does not know them."""

    @abstractmethod
    def largest(self, cursor: duckdb.DuckDBPyConnection, top: int, sessions: Rows | None = None) -> tuple[Self, int]:
        """The same selection, in which the `top` groups with the most messages stay separate and all others become one group,
        `(other)`; and the number of groups in `(other)`.

        `sessions`: the session rows of this selection, if they are already known.
        """

    @abstractmethod
    def left_out(self, cursor: duckdb.DuckDBPyConnection) -> tuple[int, int]:
        """The number of duplicates and of conflicts in the time range; filters do not apply."""

    @abstractmethod
    def filled(self, cursor: duckdb.DuckDBPyConnection) -> str:
        """SQL with columns `session` and `filled`, for the sessions in the temporary table `gaps`: how many message numbers in a
        session's gaps are known from records outside the time range (see loss.py)."""


class Source(Protocol):
    """An engine that holds records, or sums of them."""

    def reading(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A cursor on which all queries see the same state."""

    def select(self, span: Span | None, where: Mapping[str, str], by: Sequence[str] = ()) -> Partials:
        """The partials of some records; ValueError if `where` or `by` names something that the engine does not keep."""

    def measure(self, name: str, view: View) -> Measure:
        """The measure called `name`; ValueError if there is none, `view` cannot show it, or the engine does not keep it."""

    def unreadable_records(self, cursor: duckdb.DuckDBPyConnection) -> int:
        """The number of records that are known to exist and could not be read."""
