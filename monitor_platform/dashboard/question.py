"""What a viewer asks the page to show: the same few words in the page's address, in what the browser sends, and in every query.

An address is typed, mailed and kept for months, so whatever in it no longer makes sense is left out instead of refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

from feedback_analysis.measures.filters import Range, at_span, is_filter, is_mean_filter
from feedback_analysis.measures.registry import MEASURES, View, named
from feedback_analysis.measures.selection import MEAN, Span, is_column
from monitor_platform.dashboard.question_limits import check_bounds

DEFAULT_MEASURE = "mos"
MOST_SERIES = 4
"""More panels than this are too flat to read on a laptop."""

COLOURING = tuple(name for name, measure in MEASURES.items() if "region" in measure.views)
"""What maps can be coloured by."""

SERIES = tuple(name for name, measure in MEASURES.items() if "timeline" in measure.views)
"""What a timeline can show."""

COMPARE = {"before": "the time before", "day": "the day before", "week": "the week before"}
"""With which other time to compare; an address can also name its begin in Unix milliseconds."""

VERSUS = "vs."
"""Begins the names of filters that make the other cohort of a comparison: `vs.channel=…`."""

ANYBODY = "*"
"""The value of such a filter that stands for no filter at all."""

OWN = "p."
"""Begins the names in an address that a page keeps for itself."""

REPLAY = "replay"
"""The word `p.replay` in the address: the end of the time range is a clock, and what comes after it is not known yet."""

EARLIEST_MS = 10**11
"""March 1973: an earlier time in an address is nearly always one in seconds, and is left out."""

LONGEST_QUERY = 4096
MINUTES = (5, 15, 30, 60)
DEFAULT_MINUTES = 15
TABLES = ("timeline", "map", "district", "histogram", "breakdown", "slices")
"""The views beside which a table can stand."""

FILTERS = ("channel", "isp", "district", "area")
"""What has a control on the page; an address can filter by every other column as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`span` is a fixed range of time (static), else the last `minutes` count; filters are empty for "all".

    `others`: filters by columns without a control, `extra.NAME` among them, by name. `by`: what the timeline is broken down by.
    `compare` and `versus`: the other time and the other cohort of a comparison. `tables`: the views whose numbers are listed too.
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
    tables: tuple[str, ...] = ()
    minutes: int = DEFAULT_MINUTES
    span: Span | None = None

    @classmethod
    def parse(cls, query: str) -> "Question":
        """The question in the query part of an address."""
        said = dict(parse_qsl(query.removeprefix("?")[:LONGEST_QUERY]))
        measure = said.get("measure", "")
        return cls(
            measure=measure if _shows(measure, "region") else DEFAULT_MEASURE,
            series=_series(said.get("series", "")),
            channel=said.get("channel", ""),
            isp=said.get("isp", ""),
            district=said.get("district", ""),
            area="" if said.get("district") else said.get("area", ""),
            others=tuple(sorted((name, value) for name, value in said.items() if _filters(name, value))),
            page_own=tuple(sorted((name, value) for name, value in said.items() if name.startswith(OWN))),
            by=said.get("by", "") if is_column(said.get("by", "")) else "",
            compare=_compare(said.get("compare", "")),
            versus=tuple(sorted(_versus(said))),
            tables=tuple(sorted({name for name in said.get("table", "").split(",") if name in TABLES})),
            minutes=_minutes(said.get("minutes", "")),
            span=_span(said),
        )

    @classmethod
    def filtered(cls, where: Mapping[str, str]) -> "Question":
        """The question that has the filters `where`, of which district and area may be both."""
        channel, isp, district, area = (where.get(name, "") for name in FILTERS)
        others = tuple(sorted((name, value) for name, value in where.items() if name not in FILTERS))
        return cls(channel=channel, isp=isp, district=district, area=area, others=others)

    def query(self) -> str:
        """The address's query that asks this again; what is as usual is not in it."""
        said = {"measure": self.measure if self.measure != DEFAULT_MEASURE else "", "series": ",".join(self.series)}
        said |= {name: getattr(self, name) for name in FILTERS} | dict(self.others)
        said |= dict(self.page_own) | {VERSUS + name: value for name, value in self.versus}
        said |= {"by": self.by, "compare": self.compare, "table": ",".join(self.tables)}
        if self.span is not None:
            said |= {"from": str(self.span.from_ms), "to": str(self.span.to_ms)}
        elif self.minutes != DEFAULT_MINUTES:
            said["minutes"] = str(self.minutes)
        return urlencode({name: value for name, value in said.items() if value})

    @property
    def own(self) -> dict[str, str]:
        """What the page keeps in the address for itself."""
        return {name.removeprefix(OWN): value for name, value in self.page_own}

    @property
    def clock_ms(self) -> int | None:
        """Where a replay's clock stands, which is the end of the time range; None without one."""
        return self.span.to_ms if self.span is not None and REPLAY in self.own else None

    def where(self, span: Span | None = None, *, without: str = "") -> dict[str, str]:
        """The filters for a query; a view leaves its own out (`without`), or nothing else would be on it to choose.

        `span`: whose means decide which peers lie in a range, if one is chosen.
        """
        filters = {name: getattr(self, name) for name in FILTERS} | dict(self.others)
        chosen = {name: value for name, value in filters.items() if value and name != without}
        return chosen if span is None else {name: _bound(name, value, span) for name, value in chosen.items()}

    def check_bounds(self) -> None:
        """Problem (400) if it filters by more than a question may; the other cohort's filters count too."""
        check_bounds(self.where() | dict(self.versus))

    def with_filter(self, name: str, value: str) -> "Question":
        """The same with one filter more, or, with an empty value, without it."""
        if name in FILTERS:
            said = dict(parse_qsl(self.query())) | {name: value} | ({"district": ""} if name == "area" else {})
            return Question.parse(urlencode(said))
        others = dict(self.others) | {name: value}
        return replace(self, others=tuple(sorted((each, said) for each, said in others.items() if said)))

    def placed(self, column: str, region: str) -> "Question":
        """The same for one district or area, or for everywhere (empty); the two exclude each other."""
        return replace(self, district=region if column == "district" else "", area=region if column == "area" else "")


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


def _versus(said: Mapping[str, str]) -> list[tuple[str, str]]:
    named = ((name.removeprefix(VERSUS), value) for name, value in said.items() if name.startswith(VERSUS))
    return [(name, value) for name, value in named if is_column(name)]


def _series(text: str) -> tuple[str, ...]:
    known = dict.fromkeys(name for name in text.split(",") if _shows(name, "timeline"))
    return tuple(known)[:MOST_SERIES]


def _shows(name: str, view: View) -> bool:
    measure = named(name)
    return measure is not None and view in measure.views


def _minutes(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and int(text) in MINUTES else DEFAULT_MINUTES


def _span(said: Mapping[str, str]) -> Span | None:
    begin, end = said.get("from", ""), said.get("to", "")
    if not (begin.isascii() and begin.isdecimal() and end.isascii() and end.isdecimal()):
        return None
    # What was meant in seconds would show a page of 1970 without a word.
    return Span(int(begin), int(end)) if EARLIEST_MS <= int(begin) < int(end) < 2**53 else None
