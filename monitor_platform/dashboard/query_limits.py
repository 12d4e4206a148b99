"""Limits of a query's filters. All filters become SQL, and few threads answer all users.

The cost of filters grows with their number. The cost of ranges of means grows with the factorial of their number, because each is
computed over the records that all others select: in a query of 20 ms, three take 0.25 s, five take 4 s, and eight do not end.
"""

from collections.abc import Mapping

from feedback_analysis.measures.selection import MEAN, NOT, left_out_by
from feedback_wire.problem import Problem

MOST_FILTERS = 16
"""Eleven dimensions, and some entries of `extra`."""

MOST_VALUES = 256
"""Values in all `not.` filters together."""

MOST_RANGES = 3


def check_bounds(where: Mapping[str, str]) -> None:
    """Problem (400) for more filters than a query may have."""
    _at_most(MOST_FILTERS, len(where), "filters")
    _at_most(MOST_RANGES, sum(name.startswith(MEAN) for name in where), "filters by a range of means")
    _at_most(MOST_VALUES, sum(len(_left_out(name, value)) for name, value in where.items()), "values in not. filters")


def _left_out(name: str, value: str) -> list[str]:
    if not name.startswith(NOT):
        return []
    try:
        return left_out_by(value)
    except ValueError as error:
        raise Problem(400, "bad_parameter", f"{name!r}: {error}") from error


def _at_most(limit: int, asked: int, what: str) -> None:
    if asked > limit:
        raise Problem(400, "too_many_filters", f"{asked} {what} are too many for one query; use at most {limit}")
