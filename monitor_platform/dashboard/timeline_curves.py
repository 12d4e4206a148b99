"""Additional lines of a panel: the other side of a comparison (dashed), or one line for each value of a breakdown."""

from typing import Any

from monitor_platform.dashboard.display_names import place_name
from monitor_platform.dashboard.page_data import BreakdownLine, PageData
from monitor_platform.views.histogram_view import HistogramPart
from monitor_platform.views.palette import CATEGORIES, GROUND
from monitor_platform.views.timeline_view import Curve

OTHERS_COLOUR = CATEGORIES[-1]
OTHERS = "others"
EVERYBODY = {"colour": GROUND, "text": "all", "name": "", "value": ""}


def curves_of(data: PageData) -> list[Curve]:
    """The line of the comparison, and those of the breakdown."""
    return [*_comparison_curve(data), *_breakdown_curves(data)]


def legend(data: PageData) -> list[dict[str, Any]]:
    """Colour and name of each line, and the filter that a click on it sets."""
    lines = [
        {"colour": _colour(at, line), "text": _name_of(line), "name": data.query.by, "value": line.name or ""}
        for at, line in enumerate(data.breakdown)
    ]
    return [*lines, EVERYBODY] if lines else []


def _comparison_curve(data: PageData) -> list[Curve]:
    comparison = data.comparison
    if comparison is None or comparison.audience is None or comparison.timeline is None:
        return []
    shift = data.span.from_ms - comparison.other.span.from_ms
    return [
        Curve(
            name=comparison.other.name,
            audience=comparison.audience,
            timeline=comparison.timeline,
            colour=GROUND,
            shift_ms=shift,
            dashed=True,
        )
    ]


def _breakdown_curves(data: PageData) -> list[Curve]:
    return [
        Curve(name=_name_of(line), audience=line.audience, timeline=line.timeline, colour=_colour(at, line))
        for at, line in enumerate(data.breakdown)
        if line.audience is not None and line.timeline is not None
    ]


def parts_of(data: PageData) -> list[HistogramPart]:
    """The distribution of each value of the breakdown, in the colour of its line."""
    return [
        HistogramPart(name=_name_of(line), colour=_colour(at, line), histogram=line.histogram)
        for at, line in enumerate(data.breakdown)
        if line.histogram is not None
    ]


def _name_of(line: BreakdownLine) -> str:
    return OTHERS if line.name is None else place_name(line.name)


def _colour(at: int, line: BreakdownLine) -> str:
    return OTHERS_COLOUR if line.name is None else CATEGORIES[at % len(CATEGORIES)]
