"""The lines beside a panel's own: the other side of a comparison as a dashed ghost, or one line for each value of a breakdown."""

from typing import Any

from monitor_platform.dashboard.names import place_name
from monitor_platform.dashboard.picture import Picture
from monitor_platform.views.palette import CATEGORIES, GROUND
from monitor_platform.views.timeline import Curve

OTHERS_COLOUR = CATEGORIES[-1]
OTHERS = "others"
EVERYBODY = {"colour": GROUND, "text": "everybody", "name": "", "value": ""}


def curves_of(picture: Picture) -> list[Curve]:
    """The ghost, and the lines of the breakdown."""
    return [*_ghost(picture), *_broken_down(picture)]


def legend(picture: Picture) -> list[dict[str, Any]]:
    """Which colour is whose, and what choosing it filters by."""
    lines = [
        {"colour": curve.colour, "text": curve.name, "name": picture.question.by, "value": line.name or ""}
        for curve, line in zip(_broken_down(picture), picture.breakdown, strict=True)
    ]
    return [*lines, EVERYBODY] if lines else []


def _ghost(picture: Picture) -> list[Curve]:
    beside = picture.beside
    if beside is None or beside.audience is None or beside.timeline is None:
        return []
    shift = picture.span.from_ms - beside.other.span.from_ms
    return [
        Curve(
            name=beside.other.name, audience=beside.audience, timeline=beside.timeline, colour=GROUND, shift_ms=shift, dashed=True
        )
    ]


def _broken_down(picture: Picture) -> list[Curve]:
    return [
        Curve(
            name=OTHERS if line.name is None else place_name(line.name),
            audience=line.audience,
            timeline=line.timeline,
            colour=OTHERS_COLOUR if line.name is None else CATEGORIES[at % len(CATEGORIES)],
        )
        for at, line in enumerate(picture.breakdown)
    ]
