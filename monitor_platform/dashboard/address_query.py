"""What a page shows, as the query part of its address. All parts of a page ask for their numbers with it.

People type, mail and bookmark addresses, so a parameter that has become invalid is ignored instead of refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

from feedback_analysis.history.periods import zone_of
from feedback_analysis.measures.filters import Range, at_span, is_filter, is_mean_filter
from feedback_analysis.measures.registry import MEASURES, View, named
from feedback_analysis.measures.selection import MEAN, Span, is_dimension
from monitor_platform.dashboard.query_limits import check_bounds

DEFAULT_MEASURE = "mos"
MOST_SERIES = 4
"""More panels are too flat to read on a laptop."""

COLOURING = tuple(name for name, measure in MEASURES.items() if "region" in measure.views)
"""The measures that can colour maps."""

SERIES = tuple(name for name, measure in MEASURES.items() if "timeline" in measure.views)
"""The measures that a timeline can show."""

COMPARE = {"before": "the time before", "hour": "an hour earlier", "day": "a day earlier", "week": "a week earlier"}
"""Other times to compare with. An address can also name the start of another time in Unix milliseconds."""

COLOURS = ("value", "change")
"""What colours the maps. Without a choice: the value, or in a comparison the change."""

FIXED = "fixed"
"""The range of the colours over the whole range of a measure; without it, the range adapts to the values."""

VERSUS = "vs."
"""Prefix of the filters of a comparison's other cohort: `vs.channel=…`."""

ANYBODY = "*"
"""Value of such a filter that means: no filter by this field."""

OWN = "p."
"""Prefix of parameters that belong to one page."""

REPLAY = "replay"
"""The parameter `p.replay`: the end of the time range is the replay's clock, and later records are hidden."""

EARLIEST_MS = 10**11
"""March 1973. An earlier time in an address is nearly always in seconds, and is ignored."""

LONGEST_QUERY = 4096
MINUTES = (5, 15, 30, 60, 180, 360, 720, 1440, 10_080, 43_200, 525_600)
"""The lengths of a time range that ends now; those of days are for the History page."""

DEFAULT_MINUTES = 15
TABLES = ("timeline", "map", "district", "histogram", "breakdown", "slices")
"""The views that can have a table."""

FILTERS = ("channel", "isp", "district", "area")
"""Filters with a control on the page. An address can filter by every dimension."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressQuery:
    """`span`: a fixed time range; None for the last `minutes`, or for the page's own default (0). An empty filter selects all.

    `others`: filters by dimensions without a control, such as `extra.NAME`. `by`: the breakdown of the timeline. `compare` and
    `versus`: the other time and the other cohort of a comparison. `tables`: the views that also show a table. `zone`: the time
    zone of the page's texts; empty for the browser's. `colour` and `scale`: one of COLOURS and FIXED, or empty.
    """

    measure: str = DEFAULT_MEASURE
    series: tuple[str, ...] = ()
    channel: str = ""
    isp: str = ""
    district: str = ""
    area: str = ""
    others: tuple[tuple[str, str], ...] = ()
    page_own: tuple[tuple[str, str], ...] = ()
    by: str = ""
    compare: str = ""
    versus: tuple[tuple[str, str], ...] = ()
    colour: str = ""
    scale: str = ""
    tables: tuple[str, ...] = ()
    minutes: int = 0
    zone: str = ""
    span: Span | None = None

    @classmethod
    def parse(cls, query: str) -> "AddressQuery":
        """The query in the query part of an address."""
        given = dict(parse_qsl(query.removeprefix("?")[:LONGEST_QUERY]))
        measure = given.get("measure", "")
        return cls(
            measure=measure if _shows(measure, "region") else DEFAULT_MEASURE,
            series=_series(given.get("series", "")),
            channel=given.get("channel", ""),
            isp=given.get("isp", ""),
            district=given.get("district", ""),
            area="" if given.get("district") else given.get("area", ""),
            others=tuple(sorted((name, value) for name, value in given.items() if _filters(name, value))),
            page_own=tuple(sorted((name, value) for name, value in given.items() if name.startswith(OWN))),
            by=given.get("by", "") if is_dimension(given.get("by", "")) else "",
            compare=_compare(given.get("compare", "")),
            versus=tuple(sorted(_versus(given))),
            colour=_one_of(COLOURS, given.get("colour", "")),
            scale=_one_of((FIXED,), given.get("scale", "")),
            tables=tuple(sorted({name for name in given.get("table", "").split(",") if name in TABLES})),
            minutes=_minutes(given.get("minutes", "")),
            zone=_zone(given.get("zone", "")),
            span=_span(given),
        )

    @classmethod
    def filtered(cls, where: Mapping[str, str]) -> "AddressQuery":
        """The query with the filters `where`, which may have both a district and an area."""
        channel, isp, district, area = (where.get(name, "") for name in FILTERS)
        others = tuple(sorted((name, value) for name, value in where.items() if name not in FILTERS))
        return cls(channel=channel, isp=isp, district=district, area=area, others=others)

    def text(self) -> str:
        """The query part of this query's address, without default values."""
        given = {"measure": self.measure if self.measure != DEFAULT_MEASURE else "", "series": ",".join(self.series)}
        given |= {name: getattr(self, name) for name in FILTERS} | dict(self.others)
        given |= dict(self.page_own) | {VERSUS + name: value for name, value in self.versus}
        given |= {
            "by": self.by,
            "compare": self.compare,
            "colour": self.colour,
            "scale": self.scale,
            "table": ",".join(self.tables),
            "zone": self.zone,
        }
        # Both: a paused page continues with the same length.
        given["minutes"] = str(self.minutes) if self.minutes else ""
        if self.span is not None:
            given |= {"from": str(self.span.from_ms), "to": str(self.span.to_ms)}
        return urlencode({name: value for name, value in given.items() if value})

    @property
    def own(self) -> dict[str, str]:
        """The page's own parameters, without their prefix."""
        return {name.removeprefix(OWN): value for name, value in self.page_own}

    @property
    def colours_change(self) -> bool:
        """Whether maps are coloured by the change since the other side of the comparison, or since the time before."""
        return self.colour == "change" or (not self.colour and bool(self.compare or self.versus))

    @property
    def clock_ms(self) -> int | None:
        """The clock of a replay: the end of the time range. None without a replay."""
        return self.span.to_ms if self.span is not None and REPLAY in self.own else None

    def where(self, span: Span | None = None, *, without: str = "") -> dict[str, str]:
        """The filters for a query. A view ignores its own filter (`without`), so that its other values can still be chosen.

        `span`: the time range over which a filter by a range of means is computed.
        """
        filters = {name: getattr(self, name) for name in FILTERS} | dict(self.others)
        chosen = {name: value for name, value in filters.items() if value and name != without}
        return chosen if span is None else {name: _bound(name, value, span) for name, value in chosen.items()}

    def check_bounds(self) -> None:
        """Problem (400) for more filters than a query may have, those of the other cohort included."""
        check_bounds(self.where() | dict(self.versus))

    def with_filter(self, name: str, value: str) -> "AddressQuery":
        """The same query with this filter; with an empty value, without it."""
        if name in FILTERS:
            given = dict(parse_qsl(self.text())) | {name: value} | ({"district": ""} if name == "area" else {})
            return AddressQuery.parse(urlencode(given))
        others = dict(self.others) | {name: value}
        return replace(self, others=tuple(sorted((each, given) for each, given in others.items() if given)))

    def placed(self, dimension: str, region: str) -> "AddressQuery":
        """The same query for one district or area, or for all (empty). District and area exclude each other."""
        return replace(self, district=region if dimension == "district" else "", area=region if dimension == "area" else "")


def _bound(name: str, value: str, span: Span) -> str:
    return at_span(value, span) if name.startswith(MEAN) else value


def _filters(name: str, value: str) -> bool:
    if name in FILTERS or not is_filter(name):
        return False
    return not is_mean_filter(name) or _is_range(value)


def _is_range(text: str) -> bool:
    try:
        Range.parse(text)
    except ValueError:
        return False
    return True


def _compare(text: str) -> str:
    return text if text in COMPARE or (text.isascii() and text.isdecimal() and int(text) < 2**53) else ""


def _one_of(known: tuple[str, ...], text: str) -> str:
    return text if text in known else ""


def _versus(given: Mapping[str, str]) -> list[tuple[str, str]]:
    named = ((name.removeprefix(VERSUS), value) for name, value in given.items() if name.startswith(VERSUS))
    return [(name, value) for name, value in named if is_dimension(name)]


def _series(text: str) -> tuple[str, ...]:
    known = dict.fromkeys(name for name in text.split(",") if _shows(name, "timeline"))
    return tuple(known)[:MOST_SERIES]


def _shows(name: str, view: View) -> bool:
    measure = named(name)
    return measure is not None and view in measure.views


def _minutes(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and int(text) in MINUTES else 0


def _zone(text: str) -> str:
    try:
        return zone_of(text).key if text else ""
    except ValueError:
        return ""


def _span(given: Mapping[str, str]) -> Span | None:
    begin, end = given.get("from", ""), given.get("to", "")
    if not (begin.isascii() and begin.isdecimal() and end.isascii() and end.isdecimal()):
        return None
    # Without this check, a time in seconds would show a page of 1970 without an error.
    return Span(int(begin), int(end)) if EARLIEST_MS <= int(begin) < int(end) < 2**53 else None
