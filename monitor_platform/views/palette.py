"""Colours with one meaning on all pages: the grades of MOS from orange (bad) to blue (excellent), and Cividis for quantities.

Red and green are not used as a contrast, so colour-blind people see all differences, and grades have their names next to the
colour. All glyph colours are legible on white and on near-black. Texts and grounds have the colours of the page's stylesheet.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bokeh.palettes import Cividis256

from feedback_analysis.measures.registry import Measure

GRADES = ("bad", "poor", "fair", "good", "excellent")
"""The names of MOS 1 to 5 on the absolute category rating scale (ITU-T P.800)."""

GRADE_COLOURS = ("#b2470c", "#ee9a4d", "#bdb9b1", "#73a9d6", "#2166b0")

# The eight colours of Okabe and Ito without black and yellow: black cannot be seen on a dark ground, and yellow on a light one. The
# blue is a little lighter, so that it can be seen above a band of the same colour.
CATEGORIES = ("#1a80c0", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

ACCENT = "#3b82d0"
GROUND = "#8a94a3"
"""The colour of land, outlines and other parts without a value."""

NO_DATA = "rgba(138, 148, 163, 0.12)"
"""The colour of a region without a value: `GROUND`, almost transparent, because the region lies on land."""

UNCHANGED = "rgba(138, 148, 163, 0.42)"
"""The colour of a region whose change is within the noise."""

DARK_INK, LIGHT_INK = "#10202f", "#ffffff"
"""The colours of texts on filled parts."""

# Without the palest fifth of Cividis: its yellow cannot be seen on white.
QUANTITY_COLOURS = tuple(Cividis256[:232])


def _between(one: str, other: str, share: float) -> str:
    """The colour at `share` of the way from `one` to `other`, each as #rrggbb."""
    parts = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + "".join(f"{round(begin + (end - begin) * share):02x}" for begin, end in parts)


DIFFERENCE_COLOURS = (
    *(_between(one, other, step / 4) for one, other in pairwise(GRADE_COLOURS) for step in range(4)),
    GRADE_COLOURS[-1],
)
"""From worse to better, with a grey middle: the colours of the grades, in smaller steps."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The colours of the values from `low` to `high`. `marks`: the values with a text in the legend. `signed`: they are changes."""

    low: float
    high: float
    colours: tuple[str, ...]
    marks: tuple[tuple[float, str], ...] = ()
    signed: bool = False

    def colour(self, value: float) -> str:
        """The colour of `value`. Values beyond an end have the colour of that end."""
        place = (value - self.low) / (self.high - self.low) * len(self.colours)
        return self.colours[min(max(int(place), 0), len(self.colours) - 1)]


# Each colour spans half a grade to either side, so that a MOS of 3.82 has the colour of "good" (4), its nearest grade.
MOS_SCALE = Scale(0.5, 5.5, GRADE_COLOURS, tuple((float(grade), f"{grade} {word}") for grade, word in enumerate(GRADES, 1)))


@dataclass(frozen=True, slots=True)
class Legend:
    """The look of a scale: its colours in order, in steps or as a gradient, and texts at places from 0 (low) to 1 (high)."""

    colours: tuple[str, ...]
    stepped: bool
    marks: tuple[tuple[float, str], ...]


def legend_of(scale: Scale, factor: float = 1.0) -> Legend:
    """The legend beside a map. Its numbers are those of the scale times `factor` (see registry.shown_in)."""
    marks = scale.marks or round_marks(scale, factor)
    placed = tuple(((at - scale.low) / (scale.high - scale.low), text) for at, text in marks)
    stepped = len(scale.colours) == len(GRADE_COLOURS)
    return Legend(scale.colours if stepped else scale.colours[:: max(1, len(scale.colours) // 12)], stepped, placed)


def grade(mos: float) -> str:
    """The name of the nearest whole MOS."""
    return GRADES[min(max(round(mos), 1), 5) - 1]


def fixed_scale(measure: Measure) -> Scale | None:
    """The scale over the fixed range of `measure`; None if it has no fixed range."""
    if measure.range is None:
        return None
    low, high = measure.range
    return MOS_SCALE if (low, high) == (1.0, float(len(GRADES))) else Scale(low, high, QUANTITY_COLOURS)


def scale_for(values: Iterable[float | None], *, least: float = 0.0) -> Scale:
    """A scale that adapts to `values`. Its ends are round numbers, so it rarely changes, and at least `least` apart."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if known and max(known) - min(known) < least:
        middle = (max(known) + min(known)) / 2
        known = [middle - least / 2, middle + least / 2]
    low, high = round_ends(known)
    return Scale(low, high, QUANTITY_COLOURS)


def scale_of_differences(values: Iterable[float | None], *, reverse: bool = False) -> Scale:
    """The scale of differences, symmetric around 0: better is blue, worse is orange. `reverse`: lower is better."""
    known = [abs(value) for value in values if value is not None and math.isfinite(value)]
    _, end = round_ends([0.0, *known]) if any(known) else (0.0, 1.0)
    return Scale(-end, end, DIFFERENCE_COLOURS[::-1] if reverse else DIFFERENCE_COLOURS, signed=True)


def round_ends(values: Sequence[float]) -> tuple[float, float]:
    """Round numbers around `values`; 0 and 1 without any."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    step = _round_step((high - low) or abs(high) or 1.0)
    below, above = math.floor(low / step) * step, math.ceil(high / step) * step
    return (below, above) if above > below else (below, below + step)


def round_marks(scale: Scale, factor: float = 1.0) -> list[tuple[float, str]]:
    """The ends and two to five round values between them, with enough digits; the texts have the values times `factor`."""
    span = scale.high - scale.low
    parts = next((parts for parts in (4, 3, 5, 6) if _digits_of(span / parts * factor) is not None), 4)
    step = span / parts
    digits = _digits_of(step * factor)
    digits = min(max(0, 1 - math.floor(math.log10(step * factor))), 6) if digits is None else digits
    sign = "+" if scale.signed else ""
    values = [scale.low + step * i for i in range(parts + 1)]
    return [(value, f"{value * factor:{sign if abs(value) > step / 2 else ''},.{digits}f}".replace("-", "−")) for value in values]


def _digits_of(step: float) -> int | None:
    """The digits after the point of 1, 2, 2.5 or 5 times a power of ten; None for another number."""
    power = math.floor(math.log10(step) + 1e-9)
    times = round(step / 10.0**power, 6)
    if times not in {1.0, 2.0, 2.5, 5.0}:
        return None
    return max(0, -power + (times == 2.5))


def _round_step(span: float) -> float:
    """A quarter of `span`, rounded up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(span / 4))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= span / 4)
