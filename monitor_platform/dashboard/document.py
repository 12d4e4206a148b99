"""Builds the document of a newly opened page: its template with its scripts and styles, and its figures."""

from collections.abc import Mapping
from pathlib import Path

from bokeh.document import Document
from bokeh.settings import settings
from jinja2 import Environment, FileSystemLoader

from feedback_analysis.geo.maps import CREDIT_HTML
from monitor_platform.access import plain_page
from monitor_platform.dashboard.alerts_page import RULE_DIMENSIONS, RULE_MEASURES
from monitor_platform.dashboard.controls import first_texts
from monitor_platform.dashboard.dashboard_page import DashboardPage
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.joined_files import joined
from monitor_platform.dashboard.older_records import OlderRecords
from monitor_platform.dashboard.page_data import series_of
from monitor_platform.dashboard.page_document import PageDocument, query_of
from monitor_platform.dashboard.page_figures import PageFigures, SpareFigures
from monitor_platform.dashboard.pages import NAVIGATION
from monitor_platform.dashboard.tiles import TILE_COUNT
from monitor_platform.dashboard.trainings_page import TRAINING_CHOICES

TEMPLATES_FOLDER = Path(__file__).with_name("templates")
ASSETS_FOLDER = Path(__file__).with_name("assets")
TEMPLATES = Environment(
    loader=FileSystemLoader([TEMPLATES_FOLDER, plain_page.TEMPLATES_FOLDER]),
    autoescape=False,  # noqa: S701 - see page.html
)


_BASE_SCRIPTS = ("times", "dashboard", "controls", "time_range", "tiles", "lists", "tables", "pictures", "plots", "maps", "keys")


def scripts(*names: str) -> str:
    """The address of the scripts of these names, joined in this order."""
    return joined(tuple(ASSETS_FOLDER / f"{name}.js" for name in names))


def build(document: Document, *, page: DashboardPage, state: DashboardState, older: OlderRecords, spares: SpareFigures) -> None:
    """Fill the document of a newly opened `page`."""
    query, figures = query_of(document), spares.take(page)
    annotating = state.annotations is not None and any(name == "timeline" for name, _, _ in page.cards)
    saving, silencing = state.views is not None and page.timed, state.silences is not None
    document.title = f"{page.title} · Swarmscope"
    document.template = TEMPLATES.get_template("page.html")
    document.template_variables.update(
        page=page.name,
        heading=page.title,
        first=first_texts(query, live=state.live) | ({"time": "…"} if page.reads_back else {}),
        panels=len(series_of(query)),
        here=page.part_of or page.path,
        listed=page.listed,
        pages=[(each.path, each.title, each is not page and not each.has_content(state)) for each in NAVIGATION],
        cards=page.cards,
        content=page.template,
        styles=_styles(page, live=state.live),
        base_scripts=_base_scripts({"views": saving, "annotations": annotating, "silence": silencing}, lab=state.has_lab),
        own_scripts=_own_scripts(page, silencing=silencing),
        filters=page.filters,
        ranged=page.ranged,
        timed=page.timed,
        tiles=TILE_COUNT if page.tiles else 0,
        live=state.live,
        annotating=annotating,
        saving=saving,
        silencing=silencing,
        alerting=state.alerting is not None,
        lab=state.has_lab,
        **TRAINING_CHOICES,
        rule_measures=RULE_MEASURES,
        rule_dimensions=RULE_DIMENSIONS,
        credit=CREDIT_HTML,
        scripts=scripts,
        # Without Bokeh's widgets, tables and MathJax: three megabytes that no page uses.
        bokehjs=joined((settings.bokehjs_path() / "js/bokeh.min.js",)),
    )
    PageDocument(document, page, state, older, figures)
    document.template_variables["places"] = _places(document, figures)


def _places(document: Document, figures: PageFigures) -> Mapping[str, str]:
    """The ids of the models with a place on the page, by name, in the order in which the document gets them as roots.

    Bokeh's own list has the roots that the document has now, so without the later figures.
    """
    return {str(root.name): root.id for root in document.roots} | {name: figure.id for name, figure in figures.later.items()}


def _styles(page: DashboardPage, *, live: bool) -> str:
    """The address of the styles of `page`; those of narrow windows override all others."""
    own = [page.name] if (ASSETS_FOLDER / f"{page.name}.css").exists() else []
    names = ("dashboard", *own, *(() if live else ("replay",)), "narrow")
    return joined(tuple(ASSETS_FOLDER / f"{name}.css" for name in names))


def _base_scripts(changes: Mapping[str, bool], *, lab: bool) -> str:
    """The address of the scripts of all pages, with those of what users can change here."""
    names = [name for name, changed in changes.items() if changed]
    return scripts(*_BASE_SCRIPTS, *(["changes"] if names or lab else []), *names)


def _own_scripts(page: DashboardPage, *, silencing: bool) -> str:
    """The address of the scripts of `page` alone; empty if there are none."""
    names = ["rules"] if page.name == "alerts" and silencing else []
    names += [page.name] if page.script else []
    return scripts(*names) if names else ""
