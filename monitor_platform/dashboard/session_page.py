"""One viewer's story: what a session said from its join to its leave, why its score is what it is, and how its neighbours fared.

Which session it is stands in the address as a filter (`session_id=…`), so the header's links lead to that session on other pages.
Of the other filters this page takes no notice: a session is the same whoever looks for it. A replay's clock cuts the story off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from bokeh.models import LayoutDOM

from feedback_analysis.measures.registry import MEASURES, Measure, measure_of
from feedback_analysis.messages.scores import Score, scores
from feedback_analysis.messages.sessions import NEIGHBOURS, SERIES, Band, Stalls, Story, Stretch, neighbours, story
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.messages.timeline import timeline
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.display_names import dimension_name, place_name
from monitor_platform.dashboard.page_data import distributed
from monitor_platform.dashboard.question import DEFAULT_MEASURE
from monitor_platform.views import thinning
from monitor_platform.views.number_format import NOTHING, format_change, format_count, format_value
from monitor_platform.views.session_view import Chapter, SessionView, length_in_words, stalls_in_words

MODELS = ("mos", "mos_stalling")
FACTS = ("peer_id", "channel", "isp", "area", "district", "country", "app", "platform", "via")
LISTED = ("mos", "continuity", "playback_kbps", "download_kbps", "upload_kbps", "buffer_ms", "partners")

MOST_ROWS = 500
"""Four hours of a message each 30 s; the figures show all of it."""

STEP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDetails:
    """A story, its own values of the chosen measure, its scores, and its neighbours."""

    story: Story
    own: tuple[tuple[int, ...], tuple[float | None, ...]]
    band: Band
    scores: Mapping[str, Score]


def session_details(table: FeedbackTable, *, session_id: str, measure: str, period_s: float) -> SessionDetails | None:
    """All that the page asks, as one shared answer; None if nothing is known of the session."""
    found = story(table, session_id=session_id, period_s=period_s)
    if found is None:
        return None
    where = {"session_id": session_id}
    return SessionDetails(
        story=found,
        own=_own(table, found, measure, period_s),
        band=neighbours(table, of=found, measure=measure),
        scores=next(iter(scores(table, MODELS, where=where).values()), {}),
    )


def _own(table: FeedbackTable, found: Story, measure: str, period_s: float) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """What each message said of `measure`; of a measure that no single message says, its minutes."""
    if measure in SERIES:
        return found.at_ms, found.series[measure]
    where = {"session_id": found.session_id}
    series = timeline(table, span=found.span, where=where, measures=(measure,), step_s=STEP_S, period_s=period_s, window_s=STEP_S)
    return tuple(series.at_ms), tuple(series.values[measure])


class SessionPart:
    """The story as figures, facts and a table."""

    def __init__(self) -> None:
        self._view = SessionView()

    @property
    def figures(self) -> Mapping[str, LayoutDOM]:
        return {"story": self._view.figure}

    async def ask(self, context: PageContext) -> Show:
        """The story of the session that the address names."""
        session_id = dict(context.question.others).get("session_id", "")
        if context.snapshot is None or not session_id:
            return lambda: self._unknown(session_id)
        measure = distributed(context.question.measure)
        told = await context.answers.ask(
            context.snapshot.moment,
            session_details,
            session_id=session_id,
            measure=measure.name,
            period_s=context.snapshot.period_s,
        )
        if told is None:
            return lambda: self._unknown(session_id)
        known = told
        return lambda: self._show(known, measure, context)

    def _unknown(self, session_id: str) -> dict[str, Any]:
        self._view.clear()
        return {"known": False, "session_id": session_id}

    def _show(self, told: SessionDetails, measure: Measure, context: PageContext) -> dict[str, Any]:
        until_ms = context.question.clock_ms
        chapter = Chapter.of(told.story, until_ms)
        at_ms, values = told.own
        said = [value for at, value in zip(at_ms, values, strict=True) if until_ms is None or at < until_ms]
        self._view.show(chapter, measure, (at_ms[: len(said)], said), told.band)
        return {
            "known": True,
            "session_id": told.story.session_id,
            "from": chapter.span.from_ms,
            "until": told.story.at_ms[-1],
            "not_yet": not chapter.at_ms,
            "facts": _facts(told.story),
            "scores": [_score(name, told.scores[name]) for name in MODELS if name in told.scores],
            "ribbon": [
                [each.state, each.from_ms, length_in_words(each.to_ms - each.from_ms)]
                for each in thinning.stretches(chapter.ribbon)
            ],
            "thinned": _thinned(told.story, chapter),
            "shares": _shares(chapter),
            "neighbours": _neighbours(told, measure, live=context.snapshot is not None and context.snapshot.live),
            "rows": _rows(chapter),
            "rows_of": len(chapter.at_ms),
        }


SESSION_PAGE = DashboardPage(
    name="session",
    path="/session",
    title="Session",
    template="session.html",
    script=True,
    part=SessionPart,
    tiles=False,
    listed=False,
    stands_alone=True,
)


def _stretch(each: Stretch) -> list[Any]:
    return [each.state, each.from_ms, length_in_words(each.to_ms - each.from_ms)]


def _thinned(found: Story, chapter: Chapter) -> str:
    """What the figures leave out of a long session; empty if they show all of it."""
    said = []
    if found.messages > len(found.at_ms):
        said.append(f"the latest {len(found.at_ms):,} of {found.messages:,} messages")
    if len(chapter.at_ms) > thinning.MOST_POINTS:
        said.append(f"about {thinning.MOST_POINTS:,} of {len(chapter.at_ms):,} points a line, with the least and the greatest")
    if len(chapter.ribbon) > thinning.MOST_STRETCHES:
        said.append(f"the {len(chapter.ribbon):,} states joined to about {thinning.MOST_STRETCHES:,}, with every stall")
    if len(chapter.stalls) > thinning.MOST_STALLS:
        said.append(f"marks for the {thinning.MOST_STALLS:,} longest of {len(chapter.stalls):,} reports of stalls")
    return f"The figures show {'; '.join(said)}." if said else ""


def _facts(found: Story) -> list[list[str]]:
    facts = [[dimension_name(name), place_name(value)] for name in FACTS if (value := found.facts[name])]
    stalls, stalled_ms = sum(each.count for each in found.stalls), sum(each.for_ms for each in found.stalls)
    return [
        *facts,
        [
            "Startup delay",
            format_value(MEASURES["startup_ms"], found.startup_ms) if found.startup_ms is not None else "no picture yet",
        ],
        ["Stalls", stalls_in_words(Stalls(0, stalls, stalled_ms)) if stalls else "none reported"],
        ["Messages", f"{found.messages:,}"],
        ["Messages lost", f"{found.lost:,}" if found.lost else "none"],
        *([["Implausible numbers", f"{found.implausible:,}"]] if found.implausible else []),
    ]


def _score(name: str, score: Score) -> dict[str, Any]:
    """A score and what made it, the largest part first but the one that it begins from: "−1.40 from stalls"."""
    measure = MEASURES[name]
    parts = [(term, value) for term, value in score.terms.items() if value is not None]
    base, others = parts[:1], sorted(parts[1:], key=lambda each: -abs(each[1]))
    terms = [[f"{value:.2f}", "to begin with"] for _, value in base]
    terms += [[format_change(measure, value), _WORDS.get(term, f"from {term}")] for term, value in others if abs(value) >= 0.005]
    return {"title": measure.title, "value": format_value(measure, score.mean), "terms": terms if score.mean is not None else []}


_WORDS = {
    "bounds": "from keeping it within 1 to 5",
    "number_of_stalls": "from the number of stalls",
    "length_of_stalls": "from their length",
}


def _shares(chapter: Chapter) -> str:
    """ "playing 92 %, stalled 5 %, starting 3 %": the ribbon for whoever cannot see it."""
    spent: dict[str, int] = {}
    for each in chapter.ribbon:
        spent[each.state] = spent.get(each.state, 0) + each.to_ms - each.from_ms
    whole = sum(spent.values())
    shares = sorted(((ms / whole, state) for state, ms in spent.items() if whole and ms), reverse=True)
    said = [f"{state} {share:.0%}" for share, state in shares]
    return ", ".join([*said, "then gone"] if "gone" in spent else said)


def _neighbours(told: SessionDetails, measure: Measure, *, live: bool) -> dict[str, str]:
    """Who they are, and the overview of their slice in the minutes of the band."""
    where = {name: value for name in NEIGHBOURS if (value := told.story.facts[name])}
    asked = dict(where) | ({"measure": measure.name} if measure.name != DEFAULT_MEASURE else {})
    if not live:
        asked |= {"from": str(told.band.at_ms[0] - 30_000), "to": str(told.story.at_ms[-1] + 1)}
    who = ", ".join(place_name(value) for value in where.values()) or "everywhere"
    found = told.band.neighbours
    said = f"{format_count(found, 'neighbour')} at most in a minute" if found else "No neighbour in these minutes"
    return {"text": f"{said}: {who}", "href": f"/?{urlencode(asked)}", "title": measure.title, "found": str(found)}


def _rows(chapter: Chapter) -> list[list[Any]]:
    """Messages, the latest first: time, state, numbers, stalls."""
    stalls = {each.at_ms: stalls_in_words(each) for each in chapter.stalls}
    begin, states = max(0, len(chapter.at_ms) - MOST_ROWS), _states(chapter)
    rows = [
        [at, states[i], *(_cell(name, chapter.series[name][i]) for name in LISTED), stalls.get(at, NOTHING)]
        for i, at in enumerate(chapter.at_ms[begin:], begin)
    ]
    return rows[::-1]


def _cell(name: str, value: float | None) -> str:
    if name == "partners" and value is not None:
        return format_count(value, "peer")  # a message counts them; only a mean has tenths
    return format_value(measure_of(name, "timeline"), value)


def _states(chapter: Chapter) -> list[str]:
    """The state that each message ends; that of the first is the one that it begins."""
    states: list[str] = []
    at = 0
    for moment in chapter.at_ms:
        while at + 1 < len(chapter.ribbon) and chapter.ribbon[at].to_ms < moment:
            at += 1
        states.append(chapter.ribbon[at].state if chapter.ribbon else "starting")
    return states
