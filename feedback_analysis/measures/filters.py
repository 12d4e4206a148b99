"""The filters of a query, and the one filter that is no dimension: the peers whose own mean lies in a range.

That filter is text, which fits into a URL: `mean.mos=3..3.5`, open at either end (`..2` or `4.5..`), the upper end not included.
With `@FROM..TO` (Unix ms) the means are those of that time range, whatever range the query covers. So the filter selects the same
peers when the range of the query changes.
"""

import re
from dataclasses import dataclass

from feedback_analysis.measures.registry import named
from feedback_analysis.measures.selection import MEAN, NOT, Span, is_dimension

_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_GRAMMAR = re.compile(rf"(?P<low>{_NUMBER})?\.\.(?P<high>{_NUMBER})?(?:@(?P<begin>\d{{1,15}})\.\.(?P<end>\d{{1,15}}))?")


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` (included) to `high` (not included); None: open. `span`: the time range of the means; None: that of the query."""

    low: float | None
    high: float | None
    span: Span | None

    @classmethod
    def parse(cls, text: str) -> "Range":
        """The range in `text`; ValueError if it is none."""
        found = _GRAMMAR.fullmatch(text)
        if found is None or (found["low"] is None and found["high"] is None):
            raise ValueError(f"{text[:40]!r} is not a range of means; it needs two numbers, such as 3..3.5, or one, such as ..2")
        low, high = (None if found[name] is None else float(found[name]) for name in ("low", "high"))
        return cls(low, high, None if found["begin"] is None else Span(int(found["begin"]), int(found["end"])))


def is_mean_filter(name: str) -> bool:
    """Whether `name` is a filter by the peers' means of a measure."""
    measure = named(name.removeprefix(MEAN)) if name.startswith(MEAN) else None
    return measure is not None and "histogram" in measure.views


def is_filter(name: str) -> bool:
    """Whether `name` can be filtered by: a dimension, `not.` and a dimension, or `mean.` and a measure."""
    return is_dimension(name.removeprefix(NOT)) or is_mean_filter(name)


def at_span(text: str, span: Span) -> str:
    """The range `text` with the means of `span`, unless it names a time range itself."""
    return text if "@" in text else f"{text}@{span.from_ms}..{span.to_ms}"
