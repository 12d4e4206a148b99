"""The page of one session: its messages from join to leave, the terms of its score, and the quality of its neighbours.

The session is a filter in the address (`session_id=…`). The page ignores all other filters, and its links to other pages leave the
session out. In a replay the page ends at the clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from bokeh.models import LayoutDOM

from feedback_analysis.inferences.judged_sessions import JudgedSession
from feedback_analysis.measures.registry import MEASURES, Measure, measure_of
from feedback_analysis.messages.message_timeline import timeline
from feedback_analysis.messages.scores import Score, scores
from feedback_analysis.messages.sessions import NEIGHBOURS, SERIES, Band, Stalls, WholeSession, neighbours, whole_session
from feedback_analysis.messages.table import FeedbackTable
from feedback_wire.kinds import RecordKind
from monitor_platform.dashboard.address_query import DEFAULT_MEASURE
from monitor_platform.dashboard.annotations import marks_of, rows_of
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.display_names import dimension_name, place_name
from monitor_platform.dashboard.inferred_beside_reported import comparison_rows, explanation, judged_by_models, model_in_words
from monitor_platform.dashboard.page_data import distributed
from monitor_platform.views import thinning
from monitor_platform.views.inferred_panels import InferredSeries
from monitor_platform.views.number_format import NOTHING, format_change, format_count, format_share, format_value
from monitor_platform.views.session_view import SessionView, ShownSession, stalls_in_words, stretch_in_words

MODELS = ("mos", "mos_stalling")
FACTS = ("peer_id", "channel", "isp", "area", "district", "country", "app", "platform", "via")
LISTED = ("mos", "continuity", "playback_kbps", "download_kbps", "upload_kbps", "buffer_ms", "partners")

MOST_ROWS = 500
"""Four hours with a message each 30 s. The figures show the whole session."""

STEP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDetails:
    """A session's records, its values of the chosen measure, its scores, and its neighbours."""

    session: WholeSession
    own: tuple[tuple[int, ...], tuple[float | None, ...]]
    band: Band
    scores: Mapping[str, Score]


def session_details(table: FeedbackTable, *, session_id: str, measure: str, period_s: float) -> SessionDetails | None:
    """All data of the page, as one shared answer; None for an unknown session."""
    found = whole_session(table, session_id=session_id, period_s=period_s)
    if found is None:
        return None
    where = {"session_id": session_id}
    return SessionDetails(
        session=found,
        own=_own(table, found, measure, period_s),
        band=neighbours(table, of=found, measure=measure),
        scores=next(iter(scores(table, MODELS, where=where).values()), {}),
    )


def _own(
    table: FeedbackTable, found: WholeSession, measure: str, period_s: float
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The value of `measure` in each message, or in each minute if single messages have no value."""
    if measure in SERIES:
        return found.at_ms, found.series[measure]
    where = {"session_id": found.session_id}
    series = timeline(table, span=found.span, where=where, measures=(measure,), step_s=STEP_S, period_s=period_s, window_s=STEP_S)
    return tuple(series.at_ms), tuple(series.values[measure])


class SessionPart:
    """Figures, facts and a table of one session."""

    def __init__(self) -> None:
        self._view = SessionView()

    @property
    def figures(self) -> Mapping[str, LayoutDOM]:
        return {"story": self._view.figure}

    async def ask(self, context: PageContext) -> Show:
        """The data of the session in the address."""
        session_id = dict(context.query.others).get("session_id", "")
        if context.snapshot is None or not session_id:
            return lambda: self._unknown(session_id)
        measure = distributed(context.query.measure)
        details = await context.answers.ask(
            context.snapshot.moment,
            session_details,
            session_id=session_id,
            measure=measure.name,
            period_s=context.snapshot.period_s,
        )
        if details is None:
            return lambda: self._unknown(session_id)
        known = details
        judged = await judged_by_models(
            context.state.records_of(RecordKind.INFERENCE), context.answers, context.snapshot, known.session
        )
        return lambda: self._show(known, measure, context, judged)

    def _unknown(self, session_id: str) -> dict[str, Any]:
        self._view.clear()
        return {"known": False, "session_id": session_id}

    def _show(
        self, details: SessionDetails, measure: Measure, context: PageContext, judged: Sequence[JudgedSession] = ()
    ) -> dict[str, Any]:
        until_ms = context.query.clock_ms
        shown_session = ShownSession.of(details.session, until_ms)
        at_ms, values = details.own
        shown = [value for at, value in zip(at_ms, values, strict=True) if until_ms is None or at < until_ms]
        annotations = context.state.annotations.all if context.state.annotations is not None else ()
        marks = marks_of(annotations, shown_session.span)
        chosen = _chosen(judged, context.query.own.get("model", ""))
        series = InferredSeries(slots=chosen.slots, heights=chosen.heights) if chosen is not None else None
        if series is not None and until_ms is not None:
            series = series.until(until_ms)
        self._view.show(shown_session, measure, (at_ms[: len(shown)], shown), details.band, marks, series)
        return {
            "known": True,
            "session_id": details.session.session_id,
            "peer": details.session.facts["peer_id"] or "",
            "of": " · ".join(place_name(value) for name in ("isp", "channel") if (value := details.session.facts[name])),
            "from": shown_session.span.from_ms,
            "until": details.session.at_ms[-1],
            "not_yet": not shown_session.at_ms,
            "facts": _facts(details.session),
            "longest_stall": _longest_stall(details.session),
            "scores": [_score(name, details.scores[name]) for name in MODELS if name in details.scores],
            "ribbon": [[each.state, each.from_ms, stretch_in_words(each)] for each in thinning.stretches(shown_session.ribbon)],
            "annotations": rows_of(annotations, shown_session.span),
            "thinned": _thinned(details.session, shown_session),
            "shares": _shares(shown_session),
            "neighbours": _neighbours(details, measure, live=context.snapshot is not None and context.snapshot.live),
            "inferred": _inferred(judged, chosen) if chosen is not None else None,
            "rows": _rows(shown_session),
            "rows_of": len(shown_session.at_ms),
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
    part_of="/sessions",
    stands_alone=True,
)


def _chosen(judged: Sequence[JudgedSession], model: str) -> JudgedSession | None:
    """The judgement of the model with this SHA-256, or of the one with the most slots."""
    wanted = (each for each in judged if each.disagreement.inferred.model_sha256 == model)
    return next(wanted, judged[0] if judged else None)


def _inferred(judged: Sequence[JudgedSession], chosen: JudgedSession) -> dict[str, Any]:
    """Inferred beside reported values, and the models that judged the session."""
    found = chosen.disagreement
    return explanation(found) | {
        "rows": comparison_rows(found),
        "models": [[each.disagreement.inferred.model_sha256, model_in_words(each.disagreement)] for each in judged],
        "model": found.inferred.model_sha256,
    }


def _thinned(found: WholeSession, shown_session: ShownSession) -> str:
    """The text about points of a long session that the figures leave out; empty if there are none."""
    parts = []
    if found.messages > len(found.at_ms):
        parts.append(f"the latest {len(found.at_ms):,} of {found.messages:,} messages")
    if len(shown_session.at_ms) > thinning.MOST_POINTS:
        parts.append(
            f"about {thinning.MOST_POINTS:,} of {len(shown_session.at_ms):,} points a line, with the least and the greatest"
        )
    if len(shown_session.ribbon) > thinning.MOST_STRETCHES:
        parts.append(f"the {len(shown_session.ribbon):,} states joined to about {thinning.MOST_STRETCHES:,}, with every stall")
    if len(shown_session.stalls) > thinning.MOST_STALLS:
        parts.append(f"marks for the {thinning.MOST_STALLS:,} longest of {len(shown_session.stalls):,} reports of stalls")
    return f"The figures show {'; '.join(parts)}." if parts else ""


def _facts(found: WholeSession) -> list[list[str]]:
    facts = [[dimension_name(name), place_name(value)] for name in FACTS if (value := found.facts[name])]
    stalls, stalled_ms = sum(each.count for each in found.stalls), sum(each.for_ms for each in found.stalls)
    return [
        *facts,
        ["Session", found.session_id],
        [
            "Startup",
            format_value(MEASURES["startup_ms"], found.startup_ms) if found.startup_ms is not None else "not started yet",
        ],
        ["Stalls", stalls_in_words(Stalls(0, stalls, stalled_ms)) if stalls or stalled_ms else "none reported"],
        ["Messages", f"{found.messages:,}"],
        ["Messages lost", f"{found.lost:,}" if found.lost else "none"],
        *([["Implausible numbers", f"{found.implausible:,}"]] if found.implausible else []),
    ]


def _longest_stall(found: WholeSession) -> dict[str, Any] | None:
    """Its length, and when it was reported."""
    longest = found.longest_stall
    if longest is None:
        return None
    return {"length": format_value(MEASURES["longest_stall_ms"], longest.length_ms), "at": longest.at_ms}


def _score(name: str, score: Score) -> dict[str, Any]:
    """A score and its terms: the base value, then the largest term first, such as "−1.40 from stalls"."""
    measure = MEASURES[name]
    parts = [(term, value) for term, value in score.terms.items() if value is not None]
    base, others = parts[:1], sorted(parts[1:], key=lambda each: -abs(each[1]))
    terms = [[f"{value:.2f}", "base value"] for _, value in base]
    terms += [[format_change(measure, value), _WORDS.get(term, f"from {term}")] for term, value in others if abs(value) >= 0.005]
    return {"title": measure.title, "value": format_value(measure, score.mean), "terms": terms if score.mean is not None else []}


_WORDS = {
    "bounds": "from the limits 1 and 5",
    "number_of_stalls": "from the number of stalls",
    "length_of_stalls": "from the length of stalls",
}


def _shares(shown_session: ShownSession) -> str:
    """ "playing 92 %, stalled 5 %, starting 3 %": the ribbon as text."""
    spent: dict[str, int] = {}
    for each in shown_session.ribbon:
        spent[each.state] = spent.get(each.state, 0) + each.to_ms - each.from_ms
    whole = sum(spent.values())
    shares = sorted(((ms / whole, state) for state, ms in spent.items() if whole and ms), reverse=True)
    parts = [f"{state} {format_share(share) if share >= 0.005 else 'below ' + format_share(0.01)}" for share, state in shares]
    return ", ".join([*parts, "then gone"] if "gone" in spent else parts)


def _neighbours(details: SessionDetails, measure: Measure, *, live: bool) -> dict[str, str]:
    """Text about the neighbours, and the address of the overview with their slice and minutes."""
    where = {name: value for name in NEIGHBOURS if (value := details.session.facts[name])}
    asked = dict(where) | ({"measure": measure.name} if measure.name != DEFAULT_MEASURE else {})
    if not live:
        asked |= {"from": str(details.band.at_ms[0] - 30_000), "to": str(details.session.at_ms[-1] + 1)}
    who = ", ".join(place_name(value) for value in where.values()) or "everywhere"
    found = details.band.neighbours
    number = f"p10 to p90 of up to {format_count(found, 'neighbour')} in a minute" if found else "No neighbour in these minutes"
    return {"text": f"{number}: {who}", "href": f"./?{urlencode(asked)}", "title": measure.title, "found": str(found)}


def _rows(shown_session: ShownSession) -> list[list[Any]]:
    """Messages, the latest first: time, state, numbers, stalls."""
    stalls = {each.at_ms: stalls_in_words(each) for each in shown_session.stalls}
    begin, states = max(0, len(shown_session.at_ms) - MOST_ROWS), _states(shown_session)
    rows = [
        [at, states[i], *(_cell(name, shown_session.series[name][i]) for name in LISTED), stalls.get(at, NOTHING)]
        for i, at in enumerate(shown_session.at_ms[begin:], begin)
    ]
    return rows[::-1]


def _cell(name: str, value: float | None) -> str:
    if name == "partners" and value is not None:
        return format_count(value, "peer")  # peers are whole; only a mean has decimals
    return format_value(measure_of(name, "timeline"), value)


def _states(shown_session: ShownSession) -> list[str]:
    """The state before each message; for the first message, the state after it."""
    states: list[str] = []
    at = 0
    for moment in shown_session.at_ms:
        while at + 1 < len(shown_session.ribbon) and shown_session.ribbon[at].to_ms < moment:
            at += 1
        states.append(shown_session.ribbon[at].state if shown_session.ribbon else "starting")
    return states
