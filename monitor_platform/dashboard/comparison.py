"""The other side of a comparison: another time range, another cohort, or both. Without a choice, tiles compare with the time
before."""

from dataclasses import dataclass
from datetime import UTC, datetime

from feedback_analysis.measures.selection import Span
from feedback_analysis.time_units import DAY_MS, HOUR_MS
from monitor_platform.dashboard.address_query import ANYBODY, COMPARE, AddressQuery
from monitor_platform.dashboard.display_names import dimension_name, value_name

_SHIFT_MS = {"hour": HOUR_MS, "day": DAY_MS, "week": 7 * DAY_MS}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSide:
    """One side of a comparison: a time range and a cohort; `name` is for people."""

    span: Span
    where: dict[str, str]
    name: str


def other_side(query: AddressQuery, span: Span, *, follows: bool = False) -> ComparisonSide | None:
    """The side that the query compares with; None without a comparison. `follows`: `span` ends now."""
    if not query.compare and not query.versus:
        return None
    there = shifted(query.compare, span) if query.compare else span
    return ComparisonSide(span=there, where=_cohort(query, there), name=" · ".join(_words(query, follows=follows)))


def time_before(query: AddressQuery, span: Span) -> ComparisonSide:
    """The same cohort over the same length of time just before."""
    there = shifted("before", span)
    return ComparisonSide(span=there, where=query.where(there), name=COMPARE["before"])


def time_name(compare: str, *, follows: bool) -> str:
    """The name of one of COMPARE. `follows`: the time range ends now."""
    return COMPARE[compare].replace("earlier", "ago") if follows else COMPARE[compare]


def shifted(compare: str, span: Span) -> Span:
    """The time range of the same length that `compare` names."""
    length = span.to_ms - span.from_ms
    if compare.isdecimal():
        return Span(int(compare), int(compare) + length)
    back = _SHIFT_MS.get(compare, length)
    begin = max(span.from_ms - back, 0)
    return Span(begin, begin + length)


def versus_words(name: str, value: str) -> str:
    """Text of a filter of the other cohort."""
    title = dimension_name(name)
    field = title if title.isupper() else title.lower()
    return f"any {field}" if value == ANYBODY else f"{field} {value_name(name, value)}"


def _cohort(query: AddressQuery, span: Span) -> dict[str, str]:
    mixed = query.where(span) | dict(query.versus)
    return {name: value for name, value in mixed.items() if value != ANYBODY}


def _from(compare: str) -> str:
    """The start of the other time as text. An address can name a time beyond the calendar."""
    try:
        return f"{datetime.fromtimestamp(int(compare) / 1000, UTC):%Y-%m-%d %H:%M:%S UTC}"
    except (OverflowError, ValueError):
        return "another time"


def _words(query: AddressQuery, *, follows: bool) -> list[str]:
    cohort = [versus_words(name, value) for name, value in query.versus]
    if query.compare in COMPARE:
        return [*cohort, time_name(query.compare, follows=follows)]
    return [*cohort, _from(query.compare)] if query.compare else cohort
