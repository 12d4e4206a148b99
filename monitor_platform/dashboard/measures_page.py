"""The Measures page: meaning, unit, formula and source of every measure."""

from collections.abc import Mapping

from bokeh.models import LayoutDOM

from feedback_analysis.measures.definitions import FIGURES, Definition, definition_of
from feedback_analysis.measures.registry import MEASURES, shown_in
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show


class MeasuresPart:
    """The definitions."""

    figures: Mapping[str, LayoutDOM] = {}

    async def ask(self, context: PageContext) -> Show:
        """Needs no query: definitions do not depend on records."""
        return lambda: {"measures": [*map(_row, MEASURES), *map(_figure, FIGURES)]}


MEASURES_PAGE = DashboardPage(
    name="measures",
    path="/measures",
    title="Measures",
    template="measures.html",
    script=True,
    part=MeasuresPart,
    filters=False,
    ranged=False,
    timed=False,
    tiles=False,
    stands_alone=True,
    reads_back=True,
)


def _row(name: str) -> dict[str, str]:
    measure = MEASURES[name]
    unit = shown_in(measure)[1] or ("" if measure.range is None else "{:g}…{:g}".format(*measure.range))
    if measure.unit == "ms":
        unit += " (ms in CSV and in the API)"
    return _definition_row(name, measure.title, unit or "–", definition_of(measure))


def _figure(name: str) -> dict[str, str]:
    title, unit, definition = FIGURES[name]
    return _definition_row(name, title, unit, definition)


def _definition_row(name: str, title: str, unit: str, definition: Definition) -> dict[str, str]:
    return {
        "name": name,
        "title": title,
        "unit": unit,
        "meaning": definition.meaning,
        "formula": definition.formula,
        "source": definition.source,
    }
