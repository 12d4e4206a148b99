"""The slices of the audience with the largest impact: peers × shortfall.

A slice is the part of the audience with one value of one dimension, such as an ISP, a channel or an area. Its shortfall is how much
worse its mean is than the mean of the rest. Its impact is its number of peers times the shortfall: what would be gained if the
slice were like the rest. The comparison is with the rest and not with the mean of all, because a slice that is most of the audience
dominates the mean of all.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from feedback_analysis.measures.exact import ONE, exact_sum, number, quotient
from feedback_analysis.measures.registry import LOWER_IS_BETTER, Kind, Measure, measure_of
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import DEFAULT_GROUPS
from feedback_analysis.messages.message_selection import KeptGroups, MessageSelection
from feedback_analysis.messages.table import FeedbackTable

SLICED_BY = ("channel", "isp", "area", "district", "app", "platform")
"""The dimensions whose slices are compared."""

THIN_SESSIONS = 25
"""A mean over fewer sessions is not reliable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The audience whose `dimension` is `name`; `impact` is 0 if the slice is no worse than the rest."""

    dimension: str
    name: str
    peers: float
    sessions: int
    mean: float | None
    rest: float | None
    impact: float

    @property
    def thin(self) -> bool:
        return self.sessions < THIN_SESSIONS


def slices(
    table: FeedbackTable,
    *,
    measure: str,
    span: Span,
    dimensions: Sequence[str] = SLICED_BY,
    where: Mapping[str, str] | None = None,
    top: int = DEFAULT_GROUPS,
) -> list[Slice]:
    """Every slice by each of `dimensions`, the largest impact first; ValueError for a measure that has no value per peer.

    If a dimension has more than `top` slices, those with the most messages stay separate; the others become one slice, `(other)`.
    """
    chosen = measure_of(measure, "histogram")
    selection = table.select(span, where or {}, dimensions)
    with table.reading() as cursor:
        found = cursor.execute(_sql(chosen, selection), selection.parameters).fetchall()
        # Too many slices are rare, so the answer is checked for them. If there are too many, the query is repeated.
        sizes = Counter(row[0] for row in found)
        many = [name for at, name in enumerate(dimensions) if sizes[at] > top]
        if many:
            selection.kept = _kept(cursor, selection, many, top)
            found = cursor.execute(_sql(chosen, selection), selection.parameters).fetchall()
    total = len(dimensions)
    rests = _rests(chosen, total, [(which, name, (numerator, base)) for which, name, _, _, numerator, base in found])
    each = [
        _slice(chosen, dimensions[which], name, peers, sessions, (quotient(numerator, base), rests[which, name]))
        for which, name, peers, sessions, numerator, base in found
        if which < total
    ]
    return sorted(each, key=lambda one: (-one.impact, -one.peers, one.dimension, one.name))


def _kept(cursor: duckdb.DuckDBPyConnection, selection: MessageSelection, many: Sequence[str], top: int) -> tuple[KeptGroups, ...]:
    """The slices that stay separate, for each dimension in `many`, which has too many slices."""
    return tuple(
        MessageSelection(selection.span, selection.where, (name,)).keep_largest(cursor, top, table=f"largest_{at}")
        for at, name in enumerate(many)
    )


_Sums = tuple[int, int]


def _rests(measure: Measure, total: int, found: Sequence[tuple[int, str, _Sums]]) -> dict[tuple[int, str], float | None]:
    """For each slice, the value of the rest; `total`: the number of the dimension that is all peers."""
    if measure.kind is Kind.LONGEST:
        ranked = sorted(((quotient(*sums) or 0.0, which, name) for which, name, sums in found if sums[1]), reverse=True)
        return {
            (which, name): next((value for value, of, other in ranked if of == which and other != name), None)
            for which, name, _ in found
        }
    overall = next((sums for which, _, sums in found if which == total), (0, 0))
    return {(which, name): quotient(overall[0] - sums[0], overall[1] - sums[1]) for which, name, sums in found}


def _slice(
    measure: Measure, dimension: str, name: str, peers: int, sessions: int, values: tuple[float | None, float | None]
) -> Slice:
    mean, rest = values
    worse = 0.0 if mean is None or rest is None else (mean - rest if measure.name in LOWER_IS_BETTER else rest - mean)
    lost = number(peers) * max(worse, 0.0)
    return Slice(dimension=dimension, name=name, peers=number(peers), sessions=sessions, mean=mean, rest=rest, impact=lost)


def _sql(measure: Measure, selection: MessageSelection) -> str:
    """Sums per session, then per peer, then per slice: a peer with several sessions counts once. The last set is all peers."""
    rows = selection.values(measure, "peer_id", "session_id", "seq")
    names = rows.aliases
    every = ", ".join(f"({name}, peer_id, session_id)" for name in names)
    # The grouping set of a row: the alias that it is grouped by, or none of them.
    which = " ".join(f"WHEN grouping({name}) = 0 THEN {at}" for at, name in enumerate(names))
    text = f"CASE {' '.join(f'WHEN grouping({name}) = 0 THEN {name}' for name in names)} END"
    # The first step makes one row per session and combination of values, instead of some hundred messages. All sets are computed
    # from these rows.
    spell = f"{exact_sum('value * weight')} AS value, {exact_sum('base * weight')} AS base"
    value, base, merge = "sum(value)", "sum(base)", "sum"
    if measure.kind is Kind.LONGEST:
        spell, merge = "max(value) AS value, max(base) AS base", "max"
        value, base = f"CAST(max(value) * {ONE}::DOUBLE AS HUGEINT)", f"CASE WHEN max(value) IS NOT NULL THEN {ONE}::HUGEINT END"
    if measure.kind is Kind.SESSION:
        known = "FILTER (WHERE value IS NOT NULL)"
        spell = f"arg_max(value, seq) {known} AS value, max(base) AS base, max(seq) {known} AS seq"
        value = f"CAST(arg_max(value, seq) FILTER (WHERE value IS NOT NULL) * max(weight) * {ONE}::DOUBLE AS HUGEINT)"
        base = f"CASE WHEN max(base) IS NOT NULL THEN CAST(max(weight) * {ONE}::DOUBLE AS HUGEINT) END"
    return f"""
        WITH spells AS (
            SELECT {", ".join(names)}, peer_id, session_id, max(weight) AS weight, {spell} FROM ({rows.sql}) GROUP BY ALL
        ), sessions AS (
            SELECT CASE {which} ELSE {len(names)} END AS which, {text} AS name, peer_id, max(weight) AS weight,
                   {value} AS numerator, {base} AS denominator
            FROM spells GROUP BY GROUPING SETS ({every}, (peer_id, session_id))
        ), peers AS (
            SELECT which, name, max(weight) AS weight, count(*) AS sessions,
                   {merge}(numerator) AS numerator, {merge}(denominator) AS denominator
            FROM sessions GROUP BY which, name, peer_id
        )
        SELECT which, name, {exact_sum("weight")}, sum(sessions)::BIGINT,
               coalesce({merge}(numerator), 0), coalesce({merge}(denominator), 0)
        FROM peers GROUP BY which, name
    """
