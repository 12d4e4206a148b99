"""The swarm of the streaming overlay, from the messages of its nodes: the tree at a moment, and the failures in a time range."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from feedback_analysis.measures.selection import OTHER, UNKNOWN, Span
from feedback_analysis.messages.message_selection import MessageSelection
from feedback_analysis.messages.stalls_and_starts import LOOK_BACK_MS
from feedback_analysis.messages.swarm_tree import (
    PATH_SEPARATOR,
    ROLES,
    SILENT_PERIODS,
    Failure,
    NodeReport,
    Outage,
    SwarmNode,
    idle_relays,
    outages,
    streams_of,
    tree_at,
)
from feedback_analysis.messages.table import FeedbackTable

KEPT_PERIODS = 10
LEAST_KEPT_MS = 120_000
"""A node that has stopped reporting stays in the tree for ten periods, or for two minutes."""

TOGETHER_PERIODS = 3
NEARLY_ALL = 0.9
MOST_FAILURES = 2_000
MOST_NODES = 10_000

_NUMBERS = (
    *("upload_kbps", "download_kbps", "continuity", "startup_ms", "stall_count", "buffer_ms"),
    *("loss_before_repair", "loss_after_repair", "missed_packets", "skipped_packets", "skipped_per_minute"),
    *("queued_bytes", "missing_streams"),
)
_COLUMNS = ("upload_kbps", "download_kbps", "continuity", "startup_ms", "stall_count", "buffer_ms")
"""The numbers that are fields of the message; the others are in `extra`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swarm:
    """`nodes`: the tree of `stream` at `at_ms` (Unix ms); `outages`: the failures of its nodes in the time range, latest first.

    `streams`: all streams with the number of their nodes. `chosen`: the names of the nodes that match the filters. `idle`: relays
    that report, but carry no stream. Beyond MOST_FAILURES, the oldest failures are left out.
    """

    stream: str
    streams: Mapping[str, int]
    at_ms: int
    nodes: tuple[SwarmNode, ...]
    outages: tuple[Outage, ...]
    chosen: frozenset[str]
    idle: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The latest first."""
        return tuple(failure for each in self.outages for failure in reversed(each.failures))


def swarm(
    table: FeedbackTable,
    *,
    span: Span,
    period_s: float,
    stream: str = "",
    where: Mapping[str, str] | None = None,
    exactly: bool = True,
) -> Swarm | None:
    """The swarm at the end of `span`; None if no node of an overlay has reported in it.

    `stream`: one that was reported, or empty for the largest. `exactly`: at the end of `span` even if all nodes have left; else at
    the last moment with nearly all nodes.
    """
    with table.reading() as cursor:
        at_ms = span.to_ms
        reports = _reports(cursor, table, at_ms, period_s)
        if not exactly and not any(_is_here(each, at_ms, period_s) for each in reports):
            at_ms = _last_full_ms(cursor, table, span, period_s)
            reports = _reports(cursor, table, at_ms, period_s)
        failures = _failures(cursor, table, span)
        chosen = _chosen(cursor, table, Span(min(span.from_ms, at_ms - _kept_ms(period_s)), at_ms), where or {})
    streams = streams_of(reports)
    if not streams:
        return None
    shown = stream if stream in streams else next(iter(streams))
    before = [each for each in failures if each.at_ms < at_ms]
    nodes = tree_at(reports, at_ms=at_ms, period_s=period_s, stream=shown, failures=before)
    names = {each.name for each in nodes}
    of_stream = [each for each in failures if each.channel == shown or (each.channel is None and each.peer_id in names)]
    return Swarm(
        stream=shown,
        streams=streams,
        at_ms=at_ms,
        nodes=nodes[:MOST_NODES],
        outages=outages(of_stream, within_ms=TOGETHER_PERIODS * period_s * 1000),
        chosen=frozenset(names) if not where else frozenset(chosen & names),
        idle=idle_relays(reports, at_ms=at_ms, period_s=period_s),
    )


def _is_here(report: NodeReport, at_ms: int, period_s: float) -> bool:
    return report.channel is not None and not report.left and at_ms - report.at_ms <= SILENT_PERIODS * period_s * 1000


def _kept_ms(period_s: float) -> int:
    return round(max(KEPT_PERIODS * period_s * 1000, LEAST_KEPT_MS))


def _reports(cursor: duckdb.DuckDBPyConnection, table: FeedbackTable, at_ms: int, period_s: float) -> list[NodeReport]:
    """The latest report of each node in each stream before `at_ms`."""
    selection = table.select(Span(at_ms - _kept_ms(period_s), at_ms), {})
    numbers = [name if name in _COLUMNS else _extra_number(name) for name in _NUMBERS]
    columns = ", ".join(f"{sql} AS {name}" for name, sql in zip(_NUMBERS, numbers, strict=True))
    sql = f"""
        SELECT received_ms AS at_ms, peer_id, session_id, event = 'leave' AS "left", channel, {_extra_text("role")} AS role,
               {_extra_text("parent")} AS parent, {_extra_text("second_parent")} AS second_parent, {_extra_text("path")} AS path,
               {columns}
        FROM ({_of_nodes(selection)})
        QUALIFY row_number() OVER (PARTITION BY peer_id, channel ORDER BY received_ms DESC, seq DESC) = 1
        ORDER BY peer_id, channel
    """
    return [_report(row) for row in _rows(cursor.execute(sql, selection.parameters))]


def _report(row: dict[str, Any]) -> NodeReport:
    path = tuple(row["path"].split(PATH_SEPARATOR)) if row["path"] not in (None, OTHER) else ()
    return NodeReport(**row | {name: _known(row[name]) for name in ("channel", "parent", "second_parent")} | {"path": path})


def _failures(cursor: duckdb.DuckDBPyConnection, table: FeedbackTable, span: Span) -> list[Failure]:
    """Each report in `span` with more failovers than the one before it. The parent that failed is the one before it."""
    selection = table.select(Span(max(0, span.from_ms - LOOK_BACK_MS), span.to_ms), {})
    lost = f"coalesce({_extra_number('missed_packets')}, 0) + coalesce({_extra_number('skipped_packets')}, 0)"
    before = "coalesce(lag({0} IGNORE NULLS) OVER session, CASE WHEN first_value(seq) OVER session = 0 THEN 0 END)"
    sql = f"""
        WITH sent AS (
            SELECT received_ms, peer_id, session_id, seq, channel, {_extra_text("role")} AS role,
                   nullif({_extra_text("parent")}, '') AS parent, {_extra_number("failovers")} AS failovers,
                   {_extra_number("failover_gap_ms")} AS gap_ms, {lost} AS lost, coalesce(stall_count, 0) AS stalls
            FROM ({_of_nodes(selection)})
        ), compared AS (
            SELECT received_ms AS at_ms, peer_id, session_id, role, channel, parent, gap_ms,
                   lag(parent IGNORE NULLS) OVER session AS failed, failovers - {before.format("failovers")} AS count,
                   lost - {before.format("lost")} AS lost, stalls - {before.format("stalls")} AS stalls
            FROM sent WINDOW session AS (PARTITION BY session_id ORDER BY seq)
        )
        SELECT * FROM compared WHERE count >= 1 AND at_ms >= {selection.bind(span.from_ms)}
        ORDER BY at_ms DESC, session_id LIMIT {MOST_FAILURES}
    """
    return [_failure(row) for row in _rows(cursor.execute(sql, selection.parameters))]


def _failure(row: dict[str, Any]) -> Failure:
    whole = {name: max(0, int(row[name] or 0)) for name in ("count", "lost", "stalls")}
    return Failure(**row | whole | {name: _known(row[name]) for name in ("channel", "failed", "parent")})


def _last_full_ms(cursor: duckdb.DuckDBPyConnection, table: FeedbackTable, span: Span, period_s: float) -> int:
    """The end of the last period of `span` in which nearly the most nodes reported; the end of `span` if none did."""
    step_ms = max(1, round(period_s * 1000))
    selection = table.select(span, {})
    sql = f"""
        SELECT (received_ms - {span.from_ms}) // {step_ms} AS step, count(DISTINCT peer_id) AS nodes
        FROM ({_of_nodes(selection)}) WHERE event <> 'leave' GROUP BY step
        QUALIFY nodes >= {NEARLY_ALL} * max(nodes) OVER () ORDER BY step DESC LIMIT 1
    """
    found = cursor.execute(sql, selection.parameters).fetchall()
    return min(span.from_ms + (int(found[0][0]) + 1) * step_ms, span.to_ms) if found else span.to_ms


def _chosen(cursor: duckdb.DuckDBPyConnection, table: FeedbackTable, span: Span, where: Mapping[str, str]) -> set[str]:
    """The nodes with a report that matches `where`."""
    if not where:
        return set()
    selection = table.select(span, where)
    sql = f"SELECT DISTINCT peer_id FROM ({_of_nodes(selection)})"
    return {name for (name,) in cursor.execute(sql, selection.parameters).fetchall()}


def _of_nodes(selection: MessageSelection) -> str:
    """SQL: the selected messages of the overlay's nodes."""
    return f"SELECT * FROM ({selection.sql('*')}) WHERE extra IS NOT NULL AND {_extra_text('role')} IN {ROLES}"


def _extra_text(name: str) -> str:
    return f"json_extract_string(extra, '/{name}')"


def _extra_number(name: str) -> str:
    """SQL: a number of `extra`; NULL for a text, and for a number that no node measures."""
    return f"(CASE WHEN abs(TRY_CAST({_extra_text(name)} AS DOUBLE)) <= 1e12 THEN TRY_CAST({_extra_text(name)} AS DOUBLE) END)"


def _known(text: str | None) -> str | None:
    """A name; None for a field that was not sent, or whose name the live table did not keep."""
    return None if text in (None, UNKNOWN, OTHER) else text


def _rows(found: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
