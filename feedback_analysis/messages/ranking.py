"""A summary whose groups are the worst by one measure, instead of those with the most messages; all others are one group."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Self

import duckdb

from feedback_analysis.measures.registry import LOWER_IS_BETTER, Measure, View
from feedback_analysis.measures.selection import OTHER, Span
from feedback_analysis.measures.statistics import Group, Rows
from feedback_analysis.measures.summary import MOST_GROUPS, RANKABLE, Summary, summarize
from feedback_analysis.measures.summary_fields import DISTRIBUTIONS
from feedback_analysis.messages.message_selection import KeptGroups, MessageSelection
from feedback_analysis.messages.table import FeedbackTable


def number_of(group: Mapping[str, Any], name: str) -> float | None:
    """The number in a summary: of a distribution, its mean."""
    value = group[name]
    found: float | None = value["mean"] if name in DISTRIBUTIONS and value is not None else value
    return found


def ranked(
    table: FeedbackTable,
    *,
    by: Sequence[str],
    sort: str,
    top: int,
    least_sessions: int = 1,
    span: Span | None = None,
    where: Mapping[str, str] | None = None,
) -> Summary:
    """As `summarize`, with the `top` worst groups by `sort` (one of RANKABLE), the worst first, and then the group of all others.

    Groups with fewer than `least_sessions` sessions, or without a value, belong to the others. ValueError for another `sort`.
    """
    if sort not in RANKABLE:
        raise ValueError(f"{sort!r} does not sort groups; choose from {', '.join(RANKABLE)}")
    whole = summarize(table, span=span, where=where, by=by, top=MOST_GROUPS)
    known = [each for each in whole["groups"] if _has_a_name(each) and each["sessions"] >= least_sessions]
    worst = sorted((each for each in known if number_of(each, sort) is not None), key=lambda each: number_of(each, sort) or 0)
    if sort in LOWER_IS_BETTER or sort in {"peers", "sessions", "messages"}:
        worst.reverse()
    worst = worst[:top]
    names = [tuple(each["by"].values()) for each in worst]
    others = sum(map(_has_a_name, whole["groups"])) + whole["groups_left_out"] - len(names)
    if not others:
        return whole | {"groups": worst}
    found = summarize(_TableOfGroups(table, names, others), span=span, where=where, by=by)
    found["groups"].sort(key=lambda each: names.index(tuple(each["by"].values())) if _has_a_name(each) else len(names))
    return found


def _has_a_name(group: Mapping[str, Any]) -> bool:
    return not all(name == OTHER for name in group["by"].values())


@dataclass(frozen=True, slots=True)
class _TableOfGroups:
    """The table as a source that keeps only the groups `names` separate; `others`: how many groups are in `(other)`."""

    table: FeedbackTable
    names: Sequence[Group]
    others: int

    def reading(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return self.table.reading()

    def select(self, span: Span | None, where: Mapping[str, str], by: Sequence[str] = ()) -> "_SelectionOfGroups":
        return _SelectionOfGroups(span, where, by, period_s=self.table.period_s, names=self.names, others=self.others)

    def measure(self, name: str, view: View) -> Measure:
        return self.table.measure(name, view)

    def unreadable_records(self, cursor: duckdb.DuckDBPyConnection) -> int:
        return self.table.unreadable_records(cursor)


@dataclass(slots=True)
class _SelectionOfGroups(MessageSelection):
    names: Sequence[Group] = ()
    others: int = 0

    def largest(self, cursor: duckdb.DuckDBPyConnection, top: int, sessions: Rows | None = None) -> tuple[Self, int]:
        columns = [f"worst_{at}" for at in range(len(self.by))]
        if not columns:
            return self, 0
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE worst ({', '.join(f'{column} VARCHAR' for column in columns)})")
        if self.names:
            cursor.executemany(f"INSERT INTO worst VALUES ({', '.join('?' * len(columns))})", self.names)
        return replace(self, kept=(KeptGroups(table="worst", names=tuple(self.by)),)), self.others
