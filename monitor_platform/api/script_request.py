"""The query parameters that all JSON interfaces share: time range, filters and groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import DEFAULT_GROUPS, MOST_GROUPS
from feedback_analysis.moments import unix_ms
from feedback_wire.problem import Problem
from monitor_platform.dashboard.query_limits import check_bounds

PARAMETERS = ("from", "to", "by", "top")
WHERE = "where."
"""Prefix of filters: `where.channel=…`, `where.extra.codec=…`."""

MOST_NAMES = 16
"""The most names in `by`. A query with hundreds of names blocks a thread for seconds, and its answer is useless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRequest:
    """The parameters of a request; an open end of the time range is None."""

    from_ms: int | None
    to_ms: int | None
    by: tuple[str, ...]
    where: Mapping[str, str]
    top: int = DEFAULT_GROUPS

    @classmethod
    def parse(cls, given: Mapping[str, Sequence[str]], zone: tzinfo = UTC) -> "ScriptRequest":
        """Parse query parameters, each with all its values. Problem (400) for a bad one.

        `zone`: time zone of times that name none.
        """
        unknown = sorted(name for name in given if name not in PARAMETERS and not name.startswith(WHERE))
        if unknown:
            raise bad_parameter(f"{unknown[0]!r} is not a parameter; the parameters are {', '.join(PARAMETERS)} and {WHERE}NAME")
        twice = sorted(name for name, values in given.items() if len(values) > 1)
        if twice:
            raise bad_parameter(f"{twice[0]!r} is given twice; give each parameter once")
        parameters = {name: values[0] for name, values in given.items()}
        by = tuple(dict.fromkeys(name.strip() for name in parameters.get("by", "").split(",") if name.strip()))
        where = {name.removeprefix(WHERE): value for name, value in parameters.items() if name.startswith(WHERE)}
        if len(by) > MOST_NAMES:
            raise bad_parameter(f"{len(by)} names to group by are too many; use at most {MOST_NAMES}")
        check_bounds(where)
        from_ms, to_ms = time_ms(parameters, "from", zone), time_ms(parameters, "to", zone)
        return cls(from_ms=from_ms, to_ms=to_ms, by=by, where=where, top=_top(parameters.get("top", "")))

    def span(self, *, begin_ms: int, end_ms: int) -> Span:
        """The time range; `begin_ms` and `end_ms` replace its open ends."""
        from_ms = begin_ms if self.from_ms is None else self.from_ms
        to_ms = end_ms if self.to_ms is None else self.to_ms
        if from_ms > to_ms:
            raise bad_parameter("'from' is later than 'to'")
        return Span(from_ms, to_ms)


def _top(text: str) -> int:
    if not text.strip():
        return DEFAULT_GROUPS
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MOST_GROUPS):
        raise bad_parameter(f"'top' is {text[:40]!r}; it needs a whole number of groups from 1 to {MOST_GROUPS:,}")
    return int(text)


def bad_parameter(detail: str) -> Problem:
    return Problem(400, "bad_parameter", detail)


def time_ms(parameters: Mapping[str, str], name: str, zone: tzinfo = UTC) -> int | None:
    """The parameter `name` in Unix milliseconds, from that or ISO 8601 (in `zone` unless it names one); None if absent."""
    text = parameters.get(name, "").strip()
    if not text:
        return None
    try:
        # A plus sign in a query means a space, so the plus sign of a time zone's offset arrives as a space.
        return unix_ms(text.replace(" ", "+") if "T" in text else text, zone)
    except ValueError as error:
        raise bad_parameter(f"{name!r}: {error}") from error
