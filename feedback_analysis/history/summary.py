"""The summary of `measures.summary`, from sums: the same keys and, over whole hours, the same numbers.

A sum does not know how messages were spread, so the median and p95 of rates are null; those of startup delays are
exact, for a session has one.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import duckdb

from feedback_analysis.history.cut import Cut, mean_sums, weighed, whole_hours, with_largest
from feedback_analysis.history.schema import BLOCK, MEANS
from feedback_analysis.history.store import HistoryStore, extent
from feedback_analysis.measures.exact import exact_sum, exact_sum_where, number, quotient
from feedback_analysis.measures.largest import DEFAULT
from feedback_analysis.measures.loss import plausible
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.statistics import Group, Rows, quantiles
from feedback_analysis.measures.summary import COSTS, DISTRIBUTIONS, RATES

Summary = dict[str, Any]
_Numbers = dict[Group, dict[str, Any]]

_ORDER = ("messages", *COSTS, "peers", "sessions", "contribution_ratio", *DISTRIBUTIONS)
MEDIAN_AND_P95 = (Fraction(1, 2), Fraction(19, 20))


def summarize(
    store: HistoryStore,
    *,
    span: Span | None = None,
    where: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    top: int = DEFAULT,
) -> Summary:
    """The measures of what was kept of the hours of `span` (None: all), in total and for each combination of `by`.

    Of more than `top` groups those with the most messages are told apart; the others are one group, `(other)`. ValueError
    if `where` or `by` names something that is not kept.
    """
    where = where or {}
    with store.reading() as cursor:
        cut, left_out = with_largest(cursor, Cut(span, where, by), top)
        messages = _over_messages(cursor, cut)
        rest = (_over_peers(cursor, cut), _over_sessions(cursor, cut))
        lost, implausible = _missing(cursor, span)
        cost = {
            "duplicates": _left_out(cursor, span, "copies"),
            "conflicts": _left_out(cursor, span, "conflicts"),
            "unreadable": _unreadable(cursor),
            "lost": lost,
            "implausible": implausible,
        }
    numbers = {group: _shape(found, *(other[group] for other in rest)) for group, found in messages.items()}
    total = numbers.pop((None,) * len(by))
    covered = whole_hours(span) if span is not None else extent(store)
    ends = {"from": covered.from_ms if covered else None, "to": covered.to_ms if covered else None}
    largest = sorted(numbers, key=lambda group: (-numbers[group]["messages"], group))
    groups = [{"by": dict(zip(by, group, strict=True))} | numbers[group] for group in largest]
    return ends | total | cost | {"groups": groups, "groups_left_out": left_out}


def session_means(
    store: HistoryStore, *, measure: str, span: Span | None = None, where: Mapping[str, str] | None = None
) -> dict[str, float | None]:
    """Median and p95 over sessions, each with its own mean of `measure`: what can be said of the spread of a rate."""
    if measure not in MEANS:
        raise ValueError(f"{measure!r} has no mean in a session; choose from {', '.join(MEANS)}")
    cut = Cut(span, where or {})
    above, below = mean_sums(measure)
    sessions = cut.rows("session_hour", "session", "weight", f"{measure}_sum", f"{measure}_n").each(
        "session", "max(weight) AS weight", f"CASE WHEN {below} > 0 THEN {above} / {below} END AS value"
    )
    with store.reading() as cursor:
        [found] = quantiles(cursor, sessions, ("value",), MEDIAN_AND_P95).values()
    return dict(zip(("p50", "p95"), found["value"], strict=True))


def _shape(*parts: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = dict.fromkeys(COSTS)
    for part in parts:
        known |= part
    known["online_s_per_peer"] = quotient(known.pop("online"), known.pop("all_peers"))
    return {name: known[name] for name in (*_ORDER, "online_s_per_view", "online_s_per_peer")}


def _over_messages(cursor: duckdb.DuckDBPyConnection, cut: Cut) -> _Numbers:
    columns = [column for rate in RATES for column in (f"{rate}_sum", f"{rate}_n")]
    rows = cut.rows("session_hour", "weight", "messages", "both_upload_sum", "both_download_sum", *columns)
    sums = [weighed("messages"), *mean_sums("contribution_ratio"), *(each for rate in RATES for each in mean_sums(rate))]
    numbers: _Numbers = {}
    for group, (messages, upload, download, *moments) in rows.aggregate(cursor, *sums).items():
        numbers[group] = {"messages": number(messages), "contribution_ratio": quotient(upload, download)}
        for rate, above, below in zip(RATES, moments[::2], moments[1::2], strict=True):
            numbers[group][rate] = {"mean": quotient(above, below), "p50": None, "p95": None}
    return numbers


def _over_peers(cursor: duckdb.DuckDBPyConnection, cut: Cut) -> _Numbers:
    peers = cut.rows("session_hour", "peer", "weight").each("peer", "max(weight) AS weight")
    found = peers.aggregate(cursor, exact_sum("weight"))
    return {group: {"peers": number(weight), "all_peers": weight} for group, (weight,) in found.items()}


SESSION_COLUMNS = ("session", "weight", "startup_ms", "startup_seq", "min_uptime_ms", "max_uptime_ms", "first_ms", "last_ms")
STARTUP = "arg_max(startup_ms, startup_seq) FILTER (WHERE startup_ms IS NOT NULL)::DOUBLE AS startup_ms"
STARTUP_SUMS = (exact_sum("startup_ms * weight"), exact_sum_where("weight", "startup_ms IS NOT NULL"))
ONLINE = "coalesce(max(max_uptime_ms) - min(min_uptime_ms), max(last_ms) - min(first_ms)) / 1000 AS online_s"


def _over_sessions(cursor: duckdb.DuckDBPyConnection, cut: Cut) -> _Numbers:
    sessions = cut.rows("session_hour", *SESSION_COLUMNS).each("session", "max(weight) AS weight", STARTUP, ONLINE)
    # Half a million sessions are put together once, not once for each of the questions.
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE session_sums AS {sessions.sql}", sessions.parameters)
    kept = Rows(sql="SELECT * FROM session_sums", parameters={}, aliases=cut.aliases, total=False)
    sums = (exact_sum("weight"), *STARTUP_SUMS, exact_sum("online_s * weight"))
    found, ranks = kept.aggregate(cursor, *sums), quantiles(cursor, kept, ("startup_ms",))
    return {
        group: {
            "sessions": number(weight),
            "startup_ms": {"mean": quotient(startup, started)}
            | dict(zip(("p50", "p95"), ranks.get(group, {}).get("startup_ms", (None, None)), strict=True)),
            "online_s_per_view": quotient(online, weight),
            "online": online,
        }
        for group, (weight, startup, started, online) in found.items()
    }


def _left_out(cursor: duckdb.DuckDBPyConnection, span: Span | None, table: str) -> int:
    hours = Cut(span, {}).condition(table)
    return int(cursor.execute(f"SELECT coalesce(sum({table}), 0) FROM {table} WHERE {hours}").fetchall()[0][0])


def _unreadable(cursor: duckdb.DuckDBPyConnection) -> int:
    return int(cursor.execute("SELECT coalesce(sum(unreadable), 0) FROM logs").fetchall()[0][0])


def _missing(cursor: duckdb.DuckDBPyConnection, span: Span | None) -> tuple[float, int]:
    """Lost messages, and implausible numbers, of the sessions in `span`; what was received outside of it is not missing."""
    rows = Cut(span, {}).rows("session_hour", "session", "weight", "messages", "min_seq", "max_seq", "first_ms", "last_ms")
    each = rows.each(
        "session",
        *("session", "max(weight) AS weight", "min(min_seq) AS low", "max(max_seq) AS high", "sum(messages)::BIGINT AS heard"),
        "max(last_ms) - min(first_ms) AS elapsed_ms",
    )
    # Few sessions have lost anything, and only they are looked at closely.
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE broken AS FROM ({each.sql}) WHERE high - low + 1 <> heard", each.parameters)
    sql = f"""
        SELECT {weighed("lost")}, coalesce(sum(missing - lost), 0)::HUGEINT FROM (
            SELECT weight, missing, {plausible("missing", "elapsed_ms")} AS lost FROM (
                SELECT weight, elapsed_ms, high - low + 1 - coalesce(received, heard) AS missing
                FROM broken LEFT JOIN ({_received() if span is not None else _NOTHING_ELSE}) AS known USING (session)
            )
        )
    """
    [(lost, implausible)] = cursor.execute(sql).fetchall()
    return number(lost), int(implausible)


_NOTHING_ELSE = "SELECT NULL::INTEGER AS session, NULL::BIGINT AS received WHERE false"


def _received() -> str:
    """SQL: how many numbers from `low` to `high` were received of each session in `broken`, at any time."""
    bits = f"bit_count(bit_or(numbers) & {_mask('low', 'high')})"
    return f"""
        SELECT session, sum(received)::BIGINT AS received FROM (
            SELECT session, block, {bits} AS received FROM seen JOIN broken USING (session)
            WHERE block BETWEEN low // {BLOCK} AND high // {BLOCK} GROUP BY session, block, low, high
        ) GROUP BY session
    """


def _mask(low: str, high: str) -> str:
    """SQL: the bits of a block whose numbers lie from `low` to `high`, of which some do."""
    first = f"greatest(0, {low} - block * {BLOCK})"
    last = f"least({BLOCK - 1}, {high} - block * {BLOCK})"
    return f"(({2**BLOCK - 1}::UBIGINT >> ({BLOCK - 1} - {last} + {first})::UBIGINT) << {first}::UBIGINT)"
