"""Every measure: what it says, in which unit, by which formula, and where that comes from."""

from collections.abc import Mapping
from typing import Any

from bokeh.models import LayoutDOM

from monitor_platform.dashboard.page import Look, Page, Show
from monitor_platform.measures.definitions import definition_of
from monitor_platform.measures.registry import MEASURES


class MeasuresPart:
    """The definitions, which no record changes."""

    figures: Mapping[str, LayoutDOM] = {}

    async def ask(self, look: Look) -> Show:
        """Nothing has to be asked: definitions do not depend on what is recorded."""
        return lambda: {"measures": [_row(name) for name in MEASURES]}


MEASURES_PAGE = Page(
    name="measures",
    path="/measures",
    title="Measures",
    template="measures.html",
    script=True,
    part=MeasuresPart,
    filters=False,
    tiles=False,
    stands_alone=True,
)


def _row(name: str) -> dict[str, Any]:
    measure, said = MEASURES[name], definition_of(MEASURES[name])
    return {
        "name": name,
        "title": measure.title,
        "unit": measure.unit or ("1…5" if name == "mos" else "0…1" if measure.range == (0.0, 1.0) else "–"),
        "views": sorted(measure.views),
        "says": said.says,
        "formula": said.formula,
        "source": said.source,
    }
