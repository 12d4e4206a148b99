"""How much a stranger's question may filter by: all of it becomes SQL, and two threads answer everybody.

Filters cost by their number. Ranges of means cost by its factorial, since each looks at what all the others leave: three take a
quarter of a second of a query that takes 20 ms, five take four, and eight would not end.
"""

from collections.abc import Mapping

from feedback_analysis.measures.selection import MEAN, NOT, left_out_by
from feedback_wire.problem import Problem

MOST_FILTERS = 16
"""There are eleven columns; the others are entries of `extra`."""

MOST_VALUES = 256
"""In the lists of all `not.` filters together."""

MOST_RANGES = 3


def check_bounds(where: Mapping[str, str]) -> None:
    """Problem (400) if `where` filters by more than a question may."""
    _at_most(MOST_FILTERS, len(where), "filters")
    _at_most(MOST_RANGES, sum(name.startswith(MEAN) for name in where), "filters by a range of means")
    _at_most(MOST_VALUES, sum(len(_left_out(name, value)) for name, value in where.items()), "values that are left out")


def _left_out(name: str, value: str) -> list[str]:
    if not name.startswith(NOT):
        return []
    try:
        return left_out_by(value)
    except ValueError as error:
        raise Problem(400, "bad_parameter", f"{name!r}: {error}") from error


def _at_most(limit: int, asked: int, what: str) -> None:
    if asked > limit:
        raise Problem(
            400, "too_many_filters", f"{asked} {what} are too many for one question; at most {limit} can be asked for at once"
        )
