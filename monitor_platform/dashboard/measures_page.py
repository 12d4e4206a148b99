"""Every measure: what it says, in which unit, by which formula, and where that comes from."""

from collections.abc import Mapping

from bokeh.models import LayoutDOM

from feedback_analysis.measures.definitions import FIGURES, Definition, definition_of
from feedback_analysis.measures.registry import MEASURES
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show


class MeasuresPart:
    """The definitions, which no record changes."""

    figures: Mapping[str, LayoutDOM] = {}

    async def ask(self, context: PageContext) -> Show:
        """Nothing has to be asked: definitions do not depend on what is recorded."""
        return lambda: {"measures": [*map(_row, MEASURES), *map(_figure, FIGURES)]}


MEASURES_PAGE = DashboardPage(
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


def _row(name: str) -> dict[str, str]:
    measure = MEASURES[name]
    unit = measure.unit or ("" if measure.range is None else "{:g}…{:g}".format(*measure.range))
    return _said(name, measure.title, unit or "–", definition_of(measure))


def _figure(name: str) -> dict[str, str]:
    title, unit, definition = FIGURES[name]
    return _said(name, title, unit, definition)


def _said(name: str, title: str, unit: str, said: Definition) -> dict[str, str]:
    return {"name": name, "title": title, "unit": unit, "says": said.says, "formula": said.formula, "source": said.source}
