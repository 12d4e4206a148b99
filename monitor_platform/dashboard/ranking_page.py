"""The Ranking page: every value of a dimension with all measures, the worst first.

Its own parameters in the address are `p.by` (the dimension), `p.sort` (a measure, `name`, `peers` or `sessions`), `p.order=best`,
`p.min` (the fewest sessions of a value; without it, `usual_least`), `p.find` (part of a name) and `p.page`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bokeh.models import LayoutDOM

from feedback_analysis.measures.registry import LOWER_IS_BETTER, MEASURES
from feedback_analysis.measures.selection import OTHER
from feedback_analysis.measures.summary import Summary, summarize
from feedback_analysis.messages.ranking import number_of
from feedback_analysis.messages.slices import SLICED_BY, THIN_SESSIONS
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.display_names import dimension_name, place_name
from monitor_platform.dashboard.shared_answers import SharedAnswers
from monitor_platform.dashboard.snapshot import Snapshot, span_of
from monitor_platform.dashboard.tables import Cell, Table, stored_title
from monitor_platform.dashboard.tiles import NEUTRAL as TILES_NEUTRAL
from monitor_platform.dashboard.tiles import is_slight, standard_error
from monitor_platform.views.number_format import format_value, largest_of

RANKED_BY = (*SLICED_BY, "country")

RANKED = (
    *("mos", "rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "start_failures", "startup_ms"),
    *("continuity", "upload_kbps", "download_kbps", "playback_kbps", "contribution_ratio", "p2p_ratio"),
)
"""The measures of a summary, in the order of the columns."""

SORTS = ("name", "peers", "sessions", *RANKED)
NEUTRAL = TILES_NEUTRAL | {"playback_kbps"}
ROWS_PER_PAGE = 50

FEW_SESSIONS = 5
LEAST_SHARE_OF_SESSIONS = 0.02
"""The usual minimum: this share of all sessions, at least FEW_SESSIONS and at most THIN_SESSIONS."""

MOST_REASONS = 3

GroupSummary = Mapping[str, Any]
Otherwise = TypeVar("Otherwise", int, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The order of the table and what it leaves out."""

    by: str
    sort: str
    best_first: bool
    least_sessions: int | None
    find: str
    page: int

    @classmethod
    def of(cls, query: AddressQuery) -> "Ranking":
        """The ranking that an address asks for. A value that makes no sense is ignored."""
        own = query.own
        by, sort, least, page = (own.get(name, "") for name in ("by", "sort", "min", "page"))
        measure = query.measure if query.measure in RANKED else "mos"
        return cls(
            by=by if by in RANKED_BY else "isp",
            sort=sort if sort in SORTS else measure,
            best_first=own.get("order") == "best",
            least_sessions=_number(least, None),
            find=own.get("find", "")[:200],
            page=_number(page, 1),
        )

    def least(self, all_sessions: float) -> int:
        """The fewest sessions of a value that the table shows."""
        return usual_least(all_sessions) if self.least_sessions is None else self.least_sessions

    def with_few(self, summary: Summary) -> int:
        """How many values the table leaves out because they have too few sessions."""
        least = self.least(summary["sessions"])
        return sum(each["sessions"] < least and self._is_found(each) for each in summary["groups"])

    def apply(self, summary: Summary) -> list[GroupSummary]:
        """The groups that the table shows, in order. `(other)`, the exact rest beyond the budget of groups, is always the last."""
        least = self.least(summary["sessions"])
        chosen = [each for each in summary["groups"] if each["sessions"] >= least and self._is_found(each)]
        known = [each for each in chosen if self._key(each) is not None]
        known.sort(key=lambda each: each["by"][self.by])
        known.sort(key=self._key, reverse=self._descends())
        missing = [each for each in chosen if self._key(each) is None]
        return sorted([*known, *missing], key=lambda each: each["by"][self.by] == OTHER)

    def _is_found(self, group: GroupSummary) -> bool:
        name = group["by"][self.by]
        return name == OTHER or self.find.lower() in place_name(name).lower()

    def _key(self, group: GroupSummary) -> Any:  # noqa: ANN401 - a text or a number, the same for all groups
        return place_name(group["by"][self.by]) if self.sort == "name" else number_of(group, self.sort)

    def _descends(self) -> bool:
        """Worst first: the highest value of a measure of which less is better, the most peers, the first name."""
        worst_is_highest = self.sort in LOWER_IS_BETTER or self.sort in {"peers", "sessions"}
        return worst_is_highest != self.best_first


def usual_least(all_sessions: float) -> int:
    """The fewest sessions of a value in an audience of `all_sessions`, unless the address states another number."""
    return min(max(round(LEAST_SHARE_OF_SESSIONS * all_sessions), FEW_SESSIONS), THIN_SESSIONS)


def _number(text: str, otherwise: Otherwise) -> int | Otherwise:
    return int(text[:9]) if text.isascii() and text.isdecimal() else otherwise


async def ranked_groups(answers: SharedAnswers, snapshot: Snapshot, query: AddressQuery) -> tuple[Summary, list[GroupSummary]]:
    """The summary by the dimension of the ranking, and the groups that the table shows."""
    span, ranking = span_of(query, snapshot), Ranking.of(query)
    # A choice does not filter the view in which it is made: a chosen ISP remains one line among all ISPs.
    where = {name: value for name, value in query.where(span).items() if name != ranking.by}
    summary = await answers.ask(snapshot.moment, summarize, span=span, where=where, by=(ranking.by,))
    return summary, ranking.apply(summary)


def as_table(query: AddressQuery, groups: Sequence[GroupSummary]) -> Table:
    """All shown groups, for a CSV."""
    by = Ranking.of(query).by
    columns = ((dimension_name(by), None), ("n (peers)", None), ("n (sessions)", None))
    rows: list[tuple[Cell, ...]] = [
        (place_name(each["by"][by]), *(number_of(each, name) for name in ("peers", "sessions", *RANKED))) for each in groups
    ]
    measures = tuple((stored_title(MEASURES[name]), MEASURES[name]) for name in RANKED)
    return Table(columns=(*columns, *measures), rows=rows, filters=[None] * len(rows))


RATES = tuple(name for name in RANKED if MEASURES[name].unit == "kbit/s")


class RankingPart:
    """The table."""

    figures: Mapping[str, LayoutDOM] = {}

    async def ask(self, context: PageContext) -> Show:
        """The values of the chosen dimension in the time range, under all filters."""
        if context.snapshot is None:
            return dict
        query, ranking = context.query, Ranking.of(context.query)
        summary, groups = await ranked_groups(context.answers, context.snapshot, query)
        pages = max(1, -(-len(groups) // ROWS_PER_PAGE))
        page = min(max(1, ranking.page), pages)
        shown = groups[(page - 1) * ROWS_PER_PAGE : page * ROWS_PER_PAGE]
        rate = largest_of(number_of(each, name) for each in (*shown, summary) for name in RATES)
        largest = dict.fromkeys(RATES, rate)  # one unit for all rates of the table
        content = {
            "by": ranking.by,
            "dimensions": [[name, dimension_name(name)] for name in RANKED_BY],
            "sort": ranking.sort,
            "best_first": ranking.best_first,
            "min": ranking.least(summary["sessions"]),
            "usual_min": usual_least(summary["sessions"]),
            "with_few": ranking.with_few(summary),
            "find": ranking.find,
            "head": [["name", dimension_name(ranking.by)], ["peers", "Peers"], ["sessions", "Sessions"], *_headings()],
            "rows": [_row(ranking.by, each, summary, largest) for each in shown],
            "chosen": query.where().get(ranking.by, ""),
            "total": _cells(summary, largest),
            "page": page,
            "pages": pages,
            "note": _note(ranking, summary, len(groups)),
        }
        return lambda: content


def _headings() -> list[list[str]]:
    return [[name, MEASURES[name].title] for name in RANKED]


def _row(by: str, group: GroupSummary, whole: Summary, largest: Mapping[str, float]) -> dict[str, Any]:
    name = group["by"][by]
    worse = [each for each in RANKED if is_worse(each, group, whole)]
    return {
        "value": name if name != OTHER else "",
        "text": place_name(name),
        "cells": _cells(group, largest),
        "thin": group["sessions"] < THIN_SESSIONS,
        "worse": [False, False, *(name in worse for name in RANKED)],
        "reasons": reasons(worse),
    }


def reasons(worse: Sequence[str]) -> str:
    """The first measures that are worse, for windows that do not show all columns."""
    titles = [MEASURES[name].title for name in worse]
    return ", ".join(titles[:MOST_REASONS]) + (f" and {len(titles) - MOST_REASONS} more" if len(titles) > MOST_REASONS else "")


def is_worse(name: str, group: GroupSummary, whole: Summary) -> bool:
    """Whether the value of `group` is worse than that of all by more than the noise, and not only slightly.

    The noise is twice the standard error of the difference. A thin group, and a measure without a standard error or without a
    better side, is never worse.
    """
    here, all_values = number_of(group, name), number_of(whole, name)
    if name in NEUTRAL or here is None or all_values is None or group["sessions"] < THIN_SESSIONS:
        return False
    by = here - all_values if name in LOWER_IS_BETTER else all_values - here
    errors = [standard_error(name, each) for each in (group, whole)]
    return all(errors) and by > 2 * math.hypot(*errors) and not is_slight(by, all_values, MEASURES[name])


def _cells(group: GroupSummary, largest: Mapping[str, float]) -> list[str]:
    counts = [f"{group[name]:,.0f}" for name in ("peers", "sessions")]
    values = {name: number_of(group, name) for name in RANKED}
    return counts + [format_value(MEASURES[name], value, largest=largest.get(name)) for name, value in values.items()]


def _note(ranking: Ranking, summary: Summary, shown: int) -> str:
    every = len(summary["groups"]) + max(0, summary["groups_left_out"] - 1)
    side = "best" if ranking.best_first else "worst"
    order = "by name" if ranking.sort == "name" else f"{_sorted_by(ranking.sort)}, {side} first"
    fewest = ranking.least(summary["sessions"])
    least = f", at least {fewest:,} sessions" if fewest > 1 else ""
    rest = f"; (other): {summary['groups_left_out']:,} more together" if summary["groups_left_out"] else ""
    return f"{shown:,} of {every:,}, {order}{least}{rest}"


def _sorted_by(sort: str) -> str:
    return MEASURES[sort].title if sort in MEASURES else sort.capitalize()


RANKING_PAGE = DashboardPage(
    name="ranking",
    path="/ranking",
    title="Ranking",
    template="ranking.html",
    script=True,
    part=RankingPart,
)
