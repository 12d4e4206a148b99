"""Additional lines of a panel: the other side of a comparison (dashed), or one line for each value of a breakdown."""

from typing import Any

from monitor_platform.dashboard.display_names import place_name
from monitor_platform.dashboard.page_data import PageData
from monitor_platform.views.palette import CATEGORIES, GROUND
from monitor_platform.views.timeline_view import Curve

OTHERS_COLOUR = CATEGORIES[-1]
OTHERS = "others"
EVERYBODY = {"colour": GROUND, "text": "all", "name": "", "value": ""}


def curves_of(data: PageData) -> list[Curve]:
    """The line of the comparison, and those of the breakdown."""
    return [*_ghost(data), *_breakdown_curves(data)]


def legend(data: PageData) -> list[dict[str, Any]]:
    """Colour and name of each line, and the filter that a click on it sets."""
    lines = [
        {"colour": curve.colour, "text": curve.name, "name": data.question.by, "value": line.name or ""}
        for curve, line in zip(_breakdown_curves(data), data.breakdown, strict=True)
    ]
    return [*lines, EVERYBODY] if lines else []


def _ghost(data: PageData) -> list[Curve]:
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
        Curve(
            name=OTHERS if line.name is None else place_name(line.name),
            audience=line.audience,
            timeline=line.timeline,
            colour=OTHERS_COLOUR if line.name is None else CATEGORIES[at % len(CATEGORIES)],
        )
        for at, line in enumerate(data.breakdown)
    ]
