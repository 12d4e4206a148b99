"""All pages. The overview has all views; the others show one view in full size, or their own part (see dashboard_page.py)."""

from monitor_platform.dashboard.address_query import MOST_SERIES
from monitor_platform.dashboard.alerts_page import ALERTS_PAGE
from monitor_platform.dashboard.dashboard_page import Card, DashboardPage
from monitor_platform.dashboard.disagreements_page import DISAGREEMENTS_PAGE
from monitor_platform.dashboard.health_page import HEALTH_PAGE
from monitor_platform.dashboard.history_page import HISTORY_PAGE
from monitor_platform.dashboard.measures_page import MEASURES_PAGE
from monitor_platform.dashboard.network_page import NETWORK_PAGE
from monitor_platform.dashboard.ranking_page import RANKING_PAGE
from monitor_platform.dashboard.session_page import SESSION_PAGE
from monitor_platform.dashboard.sessions_page import SESSIONS_PAGE
from monitor_platform.dashboard.swarm_page import SWARM_PAGE
from monitor_platform.dashboard.trainings_page import TRAININGS_PAGE

MAP: Card = ("map", "Map", "Map in areas of about equal size, coloured by the chosen measure")
DISTRICT: Card = (
    "district",
    "District",
    "Map of the districts or countries, coloured by the chosen measure; choose one with the pointer or under Location",
)
HISTOGRAM: Card = ("histogram", "Histogram", "Histogram: share of peers in each range of the chosen measure")
TIMELINE: Card = ("timeline", "Timeline", "Timeline: audience and chosen measures over time")
SLICES: Card = (
    "slices",
    "Where it hurts",
    "Slices of the audience with the largest impact: peers times how much worse than the rest",
)
HEALTH: Card = ("health", "Data health", "Losses and delays of the data")

PAGES = (
    DashboardPage(name="overview", path="/", title="Overview", cards=(TIMELINE, SLICES, MAP, DISTRICT, HISTOGRAM, HEALTH)),
    DashboardPage(name="map", path="/map", title="Map", cards=(MAP,)),
    DashboardPage(name="district", path="/district", title="District", cards=(DISTRICT, HISTOGRAM)),
    DashboardPage(name="histogram", path="/histogram", title="Histogram", cards=(HISTOGRAM,)),
    DashboardPage(name="timeline", path="/timeline", title="Timeline", cards=(TIMELINE,), panels=MOST_SERIES),
    RANKING_PAGE,
    SESSIONS_PAGE,
    SESSION_PAGE,
    DISAGREEMENTS_PAGE,
    SWARM_PAGE,
    NETWORK_PAGE,
    HISTORY_PAGE,
    TRAININGS_PAGE,
    ALERTS_PAGE,
    HEALTH_PAGE,
    MEASURES_PAGE,
)

_FIRST = ("/", "/alerts", "/ranking", "/sessions", "/timeline")

NAVIGATION = sorted(
    (page for page in PAGES if page.listed), key=lambda page: _FIRST.index(page.path) if page.path in _FIRST else len(_FIRST)
)
"""The pages in the order of the navigation. A phone shows the first five: what a person on call needs is among them."""
