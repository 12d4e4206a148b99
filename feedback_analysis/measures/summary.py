"""The summary of records, as `analyze --json`, the summary API and the simulator's truth file have it.

Three queries are answered about the selected records: over messages, over peers and over sessions. A peer or a session counts
once, however many messages it sent. docs/measures.md defines each number.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb

from feedback_analysis.measures.exact import exact_sum, number, quotient
from feedback_analysis.measures.loss import losses
from feedback_analysis.measures.partials import MERGED_WEIGHT, ONLINE, RATES, STARTUP, STARTUP_SUMS, VIEWING, Partials, Source
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.statistics import Group, Quantiles, Rows, quantiles
from feedback_analysis.measures.summary_fields import COSTS, COUNTED, DISTRIBUTIONS

RANKABLE = ("messages", "peers", "sessions", *VIEWING, *DISTRIBUTIONS, "contribution_ratio")
"""The numbers by which groups can be sorted; of a distribution, its mean."""

DEFAULT_GROUPS = 1_000
"""Groups of an answer, unless the query asks for another number: twice the ISPs of a large audience."""

MOST_GROUPS = 10_000
"""Groups that a request over HTTP may ask for: about 12 MB of JSON."""

Summary = dict[str, Any]
_Numbers = dict[Group, dict[str, Any]]
"""Some fields of each group and of the total."""


def summarize(
    source: Source,
    *,
    span: Span | None = None,
    where: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    top: int = DEFAULT_GROUPS,
    proved_ms: int | None = None,
) -> Summary:
    """The measures of the records in `span` (None: all) that match `where`, in total and for each combination of `by`.

    If there are more than `top` groups, those with the most messages stay separate; the others become one group, `(other)`. A
    history answers for the whole hours of `span`. `proved_ms`: see `costs`. ValueError if `where` or `by` names something that
    cannot be filtered or grouped by.
    """
    with source.reading() as cursor:
        selection = source.select(span, where or {}, by)
        numbers, sessions, left_out = _measured(cursor, selection, top)
        everything = source.select(span, {})
        cost = costs(cursor, source, everything, everything.numbered_sessions(cursor) if where else sessions, proved_ms=proved_ms)
        covered = selection.covered(cursor)
    total = numbers.pop((None,) * len(by))
    ends = {"from": covered.from_ms if covered else None, "to": covered.to_ms if covered else None}
    return ends | total | cost | {"groups": _groups(by, numbers), "groups_left_out": left_out}


def totals(source: Source, *, span: Span, where: Mapping[str, str] | None = None) -> Summary:
    """Only the measures of `summarize`: without groups, and without COSTS, which no filter changes."""
    with source.reading() as cursor:
        numbers, _, _ = _measured(cursor, source.select(span, where or {}), top=0)
    return numbers[()]


def costs(
    cursor: duckdb.DuckDBPyConnection, source: Source, everything: Partials, sessions: Rows, *, proved_ms: int | None = None
) -> dict[str, Any]:
    """The fields COSTS of `everything`, all records of a time range, whose session rows are `sessions`.

    A gap in the numbers of a session is lost if the message after it was received before `proved_ms` (None: at any time). Other
    gaps are late: their messages may be on their way, or in a log that is not fetched yet.
    """
    missing, implausible = losses(cursor, everything, sessions)
    duplicates, conflicts = everything.left_out(cursor)
    lost, span = missing, everything.span
    if proved_ms is not None and span is not None and proved_ms < span.to_ms and (missing or implausible):
        before = source.select(Span(span.from_ms, max(span.from_ms, proved_ms)), {})
        lost, implausible = losses(cursor, before, before.numbered_sessions(cursor))
    return {
        "duplicates": duplicates,
        "conflicts": conflicts,
        "unreadable": source.unreadable_records(cursor),
        "lost": number(lost),
        "late": number(max(0, missing - lost)),
        "implausible": implausible,
    }


def _measured(cursor: duckdb.DuckDBPyConnection, selection: Partials, top: int) -> tuple[_Numbers, Rows, int]:
    """The numbers of each group and the total, the session rows behind them, and the number of groups in `(other)`."""
    sessions = selection.sessions(cursor)
    shown, left_out = selection.largest(cursor, top, sessions)
    if left_out:
        sessions = shown.sessions(cursor)
    messages = _over_messages(*shown.summary_sums(cursor))
    rest = (_over_peers(cursor, sessions), _over_sessions(cursor, sessions), _viewed(shown.viewing(cursor), messages))
    return {group: _shape(found, *(other[group] for other in rest)) for group, found in messages.items()}, sessions, left_out


def _groups(by: Sequence[str], numbers: _Numbers) -> list[dict[str, Any]]:
    """The largest group first."""
    largest = sorted(numbers, key=lambda group: (-numbers[group]["messages"], group))
    return [{"by": dict(zip(by, group, strict=True))} | numbers[group] for group in largest]


def _shape(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of one group, in the documented order."""
    known: dict[str, Any] = dict.fromkeys(COSTS)
    for part in parts:
        known |= part
    known["online_s_per_peer"] = quotient(known.pop("online"), known.pop("all_peers"))
    order = (*COUNTED, "contribution_ratio", *VIEWING, *DISTRIBUTIONS)
    return {name: known[name] for name in (*order, "online_s_per_view", "online_s_per_peer")}


def _over_messages(sums: Mapping[Group, tuple[int, ...]], ranks: Quantiles) -> _Numbers:
    numbers: _Numbers = {}
    for group, (messages, upload, download, *moments) in _with_total(sums).items():
        numbers[group] = {"messages": number(messages), "contribution_ratio": quotient(upload, download)}
        for rate, numerator, denominator in zip(RATES, moments[::2], moments[1::2], strict=True):
            numbers[group][rate] = _distribution(quotient(numerator, denominator), ranks, group, rate)
    return numbers


def _with_total(sums: Mapping[Group, tuple[int, ...]]) -> dict[Group, tuple[int, ...]]:
    """Exact sums add up without loss: the total is the sum of the groups."""
    nothing = (None,) * len(next(iter(sums)))
    return {**sums, nothing: tuple(map(sum, zip(*sums.values(), strict=True)))}


def _over_peers(cursor: duckdb.DuckDBPyConnection, sessions: Rows) -> _Numbers:
    """A peer weighs as much as its message with the largest weight."""
    found = sessions.each("peer", MERGED_WEIGHT).aggregate(cursor, exact_sum("weight"))
    return {group: {"peers": number(weight), "all_peers": weight} for group, (weight,) in found.items()}


def _over_sessions(cursor: duckdb.DuckDBPyConnection, sessions: Rows) -> _Numbers:
    """A session weighs as much as its message with the largest weight; its startup is the last that it reported."""
    merged = sessions.each("session", MERGED_WEIGHT, STARTUP, ONLINE).kept(cursor, "merged_session")
    found = merged.aggregate(cursor, exact_sum("weight"), *STARTUP_SUMS, exact_sum("online_s * weight"))
    ranks = quantiles(cursor, merged, ("startup_ms",))
    return {
        group: {
            "sessions": number(weight),
            "startup_ms": _distribution(quotient(startup, started), ranks, group, "startup_ms"),
            "online_s_per_view": quotient(online, weight),
            "online": online,
        }
        for group, (weight, startup, started, online) in found.items()
    }


def _viewed(sums: Mapping[str, Mapping[Group, tuple[int, ...]]], groups: Iterable[Group]) -> _Numbers:
    """The measures VIEWING, the sessions that tried to start, and the stalls; None where the engine does not keep them."""
    counted = {"starts": "start_failures", "stalls": "stall_ms"}
    return {
        group: {name: quotient(*sums[name].get(group, (0, 0))) if name in sums else None for name in VIEWING}
        | {count: number(sums[of].get(group, (0, 0))[1]) if of in sums else None for count, of in counted.items()}
        for group in groups
    }


def _distribution(mean: float | None, ranks: Quantiles, group: Group, field: str) -> dict[str, float | None]:
    p50, p95 = ranks.get(group, {}).get(field, (None, None))
    return {"mean": mean, "p50": p50, "p95": p95}
