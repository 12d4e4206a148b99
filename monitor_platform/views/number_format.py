"""Numbers as text: with thousands separators and units, and "–" for no value."""

import math
from collections.abc import Iterable

from feedback_analysis.measures.registry import COUNTS, Measure, shown_in

NOTHING = "–"
_THIN_SPACE = "\u202f"


def format_value(measure: Measure, value: float | None, *, largest: float | None = None) -> str:
    """`value` in the measure's unit: "3.82", "861 kbit/s", "1.20 Mbit/s", "98.80 %", "1.25 s".

    `largest`: the largest of the values that have one unit with it, such as those of an axis; None: only this value.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    factor, unit, digits = shown_in(measure, value if largest is None else largest)
    return with_unit(f"{value * factor:,.{digits}f}", unit)


def largest_of(values: Iterable[float | None]) -> float:
    """The largest absolute value; 0 without any."""
    return max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)


def difference(value: float | None, other: float | None) -> float | None:
    """`value` minus `other`; None if one is None."""
    return None if value is None or other is None else value - other


def format_change(measure: Measure, by: float | None, *, largest: float | None = None) -> str:
    """A difference with its sign: "+0.12", "−3 kbit/s", "±0", "+0.92 points" of a percentage. `largest`: see `format_value`."""
    if by is None or not math.isfinite(by):
        return NOTHING
    text = format_value(measure, abs(by), largest=largest).replace("%", "points")
    if not any(digit in text for digit in "123456789"):
        return f"±{text}"
    return f"{'+' if by > 0 else '−'}{text}"


def title_of(measure: Measure, largest: float = 0.0) -> str:
    """The title with its unit, unless the title contains it: "Upload rate (kbit/s)", "Startup (s)", "Concurrent peers".

    `largest`: the largest value that is shown under the title.
    """
    unit = shown_in(measure, largest)[1]
    return f"{measure.title} ({unit})" if unit and measure.kind not in COUNTS else measure.title


def with_unit(number: str, unit: str) -> str:
    return f"{number}{_THIN_SPACE}{unit}" if unit else number


def format_share(share: float, *, digits: int = 0) -> str:
    """A share of 1 in percent: "32.50 %"."""
    return with_unit(f"{share * 100:.{digits}f}", "%")


def format_count(n: float, one: str) -> str:
    """`n` and a noun: "1 peer", "6,941 peers". With sampling n is an estimate, rounded to a whole number."""
    return f"{n:,.0f} {one}{'' if round(n) == 1 else 's'}"
