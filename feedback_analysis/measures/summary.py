"""The one shape of numbers: `analyze --json`, the summary API and the simulator's truth file all speak it.

Three questions are asked of the chosen records: over messages, over peers and over sessions, since a peer or a session counts once
however many messages it sent. The records are read twice for that: once for the messages, once to put each session's together into
"spells" (a session, for as long as it belongs to one group), which are few. docs/measures.md defines each number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from feedback_analysis.measures.exact import exact_sum, exact_sum_where, exact_weight, number, quotient
from feedback_analysis.measures.largest import DEFAULT, largest
from feedback_analysis.measures.loss import losses
from feedback_analysis.measures.selection import Selection, Span
from feedback_analysis.measures.statistics import Group, Quantiles, Rows, equally_weighted, quantiles
from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.table import FeedbackTable

RATES = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "mos")
"""Summarized over messages."""

DISTRIBUTIONS = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "startup_ms", "mos")
"""The fields of a summary that have a mean, a median and a 95th percentile, in order."""

COSTS = ("duplicates", "conflicts", "unreadable", "lost", "implausible")
"""What dedupe, damage and loss cost: known of all records, not of groups."""

Summary = dict[str, Any]
_Numbers = dict[Group, dict[str, Any]]
"""Some of the fields, of each group and the total."""

_BOTH = "upload_kbps IS NOT NULL AND download_kbps IS NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What dedupe, damage and loss have cost; `sent`: the messages heard and the `lost` ones.

    `conflicts` are records with the identity of another message, `implausible` missing numbers that no sender can have used,
    `unread_logs` log files of which nothing could be read.
    """

    duplicates: int
    conflicts: int
    unreadable: int
    lost: float
    implausible: int
    sent: float
    unread_logs: int


def summarize(
    table: FeedbackTable,
    *,
    span: Span | None = None,
    where: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    top: int = DEFAULT,
) -> Summary:
    """The measures of the records in `span` (None: all) that match `where`, in total and for each combination of `by`.

    Of more than `top` groups those with the most messages are told apart; the others are one group, `(other)`. ValueError if
    `where` or `by` names something that is no column.
    """
    with table.reading() as cursor:
        numbers, spells, left_out = _measured(cursor, Selection(span, where or {}, by), top)
        found = _missing(cursor, table, span, spells if not where else _spells(cursor, Selection(span, {})))
    total = numbers.pop((None,) * len(by))
    span = span or extent(table)
    ends = {"from": span.from_ms if span else None, "to": span.to_ms if span else None}
    cost = {name: getattr(found, name) for name in COSTS}
    return ends | total | cost | {"groups": _groups(by, numbers), "groups_left_out": left_out}


def totals(table: FeedbackTable, *, span: Span, where: Mapping[str, str] | None = None) -> Summary:
    """The measures alone, without groups: what is `missing` is the same whatever is filtered, and need not be counted each time."""
    with table.reading() as cursor:
        numbers, _, _ = _measured(cursor, Selection(span, where or {}), top=0)
    return numbers[()]


def missing(table: FeedbackTable, *, span: Span) -> Missing:
    """What is missing of all records in `span`."""
    with table.reading() as cursor:
        return _missing(cursor, table, span, _spells(cursor, Selection(span, {})))


def _measured(cursor: duckdb.DuckDBPyConnection, selection: Selection, top: int) -> tuple[_Numbers, Rows, int]:
    """The numbers of each group and the total, the spells that they were made of, and how many groups `(other)` stands for."""
    spells = _spells(cursor, selection)
    shown, left_out = largest(cursor, selection, top, among=f"({spells.sql})")
    if left_out:
        spells = _spells(cursor, shown)
    messages = _over_messages(cursor, shown)
    rest = (_over_peers(cursor, spells), _over_sessions(cursor, spells))
    return {group: _shape(found, *(other[group] for other in rest)) for group, found in messages.items()}, spells, left_out


def _groups(by: Sequence[str], numbers: _Numbers) -> list[dict[str, Any]]:
    """The largest first."""
    largest = sorted(numbers, key=lambda group: (-numbers[group]["messages"], group))
    return [{"by": dict(zip(by, group, strict=True))} | numbers[group] for group in largest]


def _shape(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of one group, in the documented order; what dedupe, damage and loss cost is known of all, not of groups."""
    known: dict[str, Any] = dict.fromkeys(COSTS)
    for part in parts:
        known |= part
    known["online_s_per_peer"] = quotient(known.pop("online"), known.pop("all_peers"))
    order = ("messages", *COSTS, "peers", "sessions", "contribution_ratio", *DISTRIBUTIONS)
    return {name: known[name] for name in (*order, "online_s_per_view", "online_s_per_peer")}


def _over_messages(cursor: duckdb.DuckDBPyConnection, selection: Selection) -> _Numbers:
    rows = Rows.of(selection, "weight", *RATES)
    equal = equally_weighted(cursor, rows)
    sums = [exact_weight("weight", equal=equal)]
    sums += [exact_sum_where(f"{rate} * weight", _BOTH) for rate in ("upload_kbps", "download_kbps")]
    for rate in RATES:
        sums += [exact_sum(f"{rate} * weight"), exact_weight(rate, equal=equal)]
    ranks = quantiles(cursor, rows, RATES, equal=equal)
    numbers: _Numbers = {}
    for group, (messages, upload, download, *moments) in _with_total(rows.aggregate(cursor, *sums, total=False)).items():
        numbers[group] = {"messages": number(messages), "contribution_ratio": quotient(upload, download)}
        for rate, numerator, denominator in zip(RATES, moments[::2], moments[1::2], strict=True):
            numbers[group][rate] = _distribution(quotient(numerator, denominator), ranks, group, rate)
    return numbers


def _with_total(sums: Mapping[Group, tuple[int, ...]]) -> dict[Group, tuple[int, ...]]:
    """Exact sums add up without loss, so that the total need not be summed from the records again."""
    nothing = (None,) * len(next(iter(sums)))
    return {**sums, nothing: tuple(map(sum, zip(*sums.values(), strict=True)))}


def _spells(cursor: duckdb.DuckDBPyConnection, selection: Selection) -> Rows:
    """A row per session and group, from which both can be put together."""
    columns = ("session_id", "peer_id", "seq", "weight", "startup_ms", "uptime_ms", "received_ms")
    groups = "".join(f", {alias}" for alias in selection.aliases)
    sql = f"""
        SELECT session_id, peer_id{groups}, max(weight) AS weight, count(*) AS messages,
               min(seq) AS first_seq, max(seq) AS last_seq,
               min(uptime_ms) AS least_up, max(uptime_ms) AS most_up, min(received_ms) AS first_ms, max(received_ms) AS last_ms,
               arg_max(startup_ms, seq) FILTER (WHERE startup_ms IS NOT NULL) AS startup_ms,
               max(seq) FILTER (WHERE startup_ms IS NOT NULL) AS startup_seq
        FROM ({selection.sql(*columns)}) GROUP BY session_id, peer_id{groups}
    """
    return Rows(sql=sql, parameters=selection.parameters, aliases=selection.aliases).kept(cursor, "spell")


def _over_peers(cursor: duckdb.DuckDBPyConnection, spells: Rows) -> _Numbers:
    """A peer weighs as much as its weightiest message."""
    found = spells.each("peer_id", "max(weight) AS weight").aggregate(cursor, exact_sum("weight"))
    return {group: {"peers": number(weight), "all_peers": weight} for group, (weight,) in found.items()}


def _over_sessions(cursor: duckdb.DuckDBPyConnection, spells: Rows) -> _Numbers:
    """A session weighs as much as its weightiest message; its startup delay is the last that it has reported."""
    sessions = spells.each(
        "session_id",
        "max(weight) AS weight",
        "arg_max(startup_ms, startup_seq) FILTER (WHERE startup_ms IS NOT NULL)::DOUBLE AS startup_ms",
        "coalesce(max(most_up) - min(least_up), max(last_ms) - min(first_ms)) / 1000 AS online_s",
    ).kept(cursor, "viewing")
    started = exact_sum_where("weight", "startup_ms IS NOT NULL")
    found = sessions.aggregate(
        cursor, exact_sum("weight"), exact_sum("startup_ms * weight"), started, exact_sum("online_s * weight")
    )
    ranks = quantiles(cursor, sessions, ("startup_ms",))
    return {
        group: {
            "sessions": number(weight),
            "startup_ms": _distribution(quotient(startup, of_started), ranks, group, "startup_ms"),
            "online_s_per_view": quotient(online, weight),
            "online": online,
        }
        for group, (weight, startup, of_started, online) in found.items()
    }


def _distribution(mean: float | None, ranks: Quantiles, group: Group, field: str) -> dict[str, float | None]:
    p50, p95 = ranks.get(group, {}).get(field, (None, None))
    return {"mean": mean, "p50": p50, "p95": p95}


def _left_out(cursor: duckdb.DuckDBPyConnection, span: Span | None) -> tuple[int, int]:
    """How many duplicates and conflicts were left out, by when each was received; a filter does not apply to them."""
    chosen = Selection(span, {})
    sql = f"SELECT count(*) FILTER (WHERE NOT conflict), count(*) FILTER (WHERE conflict) FROM duplicate WHERE {chosen.condition()}"
    [(duplicates, conflicts)] = cursor.execute(sql, chosen.parameters).fetchall()
    return int(duplicates), int(conflicts)


def _missing(cursor: duckdb.DuckDBPyConnection, table: FeedbackTable, span: Span | None, everything: Rows) -> Missing:
    """Lost are the gaps in sessions' numbers; filters do not apply, since nobody knows what a lost message would have said."""
    sessions = Rows(sql=everything.sql, parameters={}).each(
        "session_id",
        *("session_id", "max(weight) AS weight", "sum(messages)::BIGINT AS heard"),
        *("min(first_seq) AS low", "max(last_seq) AS high", "max(last_ms) - min(first_ms) AS elapsed_ms"),
    )
    rows = Rows(sql=losses(cursor, sessions.sql, span), parameters={})
    sums = (exact_sum("lost * weight"), exact_sum("(heard + lost) * weight"), "coalesce(sum(missing - lost), 0)::HUGEINT")
    [(lost, sent, implausible)] = rows.aggregate(cursor, *sums).values()
    duplicates, conflicts = _left_out(cursor, span)
    return Missing(
        duplicates=duplicates,
        conflicts=conflicts,
        unreadable=table.unreadable,
        lost=number(lost),
        implausible=int(implausible),
        sent=number(sent),
        unread_logs=len(table.unread),
    )
