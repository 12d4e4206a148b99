"""The pages: the overview joins the four views, the others show one of them at full size."""

from dataclasses import dataclass

from monitor_platform.dashboard.question import MOST_SERIES

Card = tuple[str, str, str]
"""Name of a view, its heading, and its description for whoever cannot see it."""

MAP: Card = ("map", "Map", "Map of Hong Kong in areas of about equal size, coloured by the chosen measure")
DISTRICT: Card = (
    "district",
    "District",
    "Map of the 18 districts, coloured by the chosen measure; choose one with the pointer or under Location",
)
HISTOGRAM: Card = ("histogram", "Histogram", "Histogram: share of peers in each range of the chosen measure")
TIMELINE: Card = ("timeline", "Timeline", "Timeline: audience and chosen measures over time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the dashboard; `panels` is how many measures its timeline has room for."""

    name: str
    path: str
    title: str
    cards: tuple[Card, ...]
    panels: int = 1

    @property
    def views(self) -> frozenset[str]:
        return frozenset(name for name, _, _ in self.cards)


PAGES = (
    Page(name="overview", path="/", title="Overview", cards=(TIMELINE, MAP, DISTRICT, HISTOGRAM)),
    Page(name="map", path="/map", title="Map", cards=(MAP,)),
    Page(name="district", path="/district", title="District", cards=(DISTRICT, HISTOGRAM)),
    Page(name="histogram", path="/histogram", title="Histogram", cards=(HISTOGRAM,)),
    Page(name="timeline", path="/timeline", title="Timeline", cards=(TIMELINE,), panels=MOST_SERIES),
)
