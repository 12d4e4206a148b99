"""The Disagreements page: the sessions whose reported quality differs most from what a model inferred, with the likely reason.

Its own parameters in the address are `p.find` (the first characters of a peer ID or session ID), `p.reason`, `p.model`, `p.sort`,
`p.order=reverse` and `p.min` (the least disagreement, from 0 to 1).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import LayoutDOM

from feedback_analysis.inferences.disagreement import DISAGREES, Disagreement, Reason
from feedback_analysis.measures.registry import MEASURES
from feedback_wire.kinds import RecordKind
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.inferred_beside_reported import (
    STALLED,
    banded,
    complete_from_ms,
    disagreements_in,
    explanation,
    has_inferences,
    model_in_words,
)
from monitor_platform.dashboard.snapshot import span_of
from monitor_platform.dashboard.tables import Cell, Table
from monitor_platform.views.number_format import format_count, format_value

MOST_ROWS = 200
LONGEST_TEXT = 200

SORTS: Mapping[str, Callable[[Disagreement], Any]] = {
    "score": lambda each: each.score,
    "stalled": lambda each: each.stalled,
    "mos": lambda each: each.mos,
    "startup": lambda each: each.startup,
    "reason": lambda each: str(each.reason),
    "peer": lambda each: each.reported.peer_id,
    "session": lambda each: each.reported.session_id,
    "app": lambda each: each.reported.app,
    "model": lambda each: each.inferred.model,
    "since": lambda each: each.reported.first_ms,
}
"""What the table can be sorted by. Differences are sorted by their size."""

_DIFFERENCES = ("stalled", "mos", "startup")
_ASCENDING = ("reason", "peer", "session", "app", "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The order of the table and what it leaves out."""

    find: str
    reason: str
    model: str
    least: float
    sort: str
    reverse: bool

    @classmethod
    def of(cls, query: AddressQuery) -> "Choice":
        """The choice that an address asks for. A value that makes no sense is ignored."""
        own = query.own
        find, reason, model, least, sort = (own.get(name, "")[:LONGEST_TEXT] for name in ("find", "reason", "model", "min", "sort"))
        return cls(
            find=find,
            reason=reason if reason in tuple(Reason) else "",
            model=model,
            least=_share(least, DISAGREES),
            sort=sort if sort in SORTS else "score",
            reverse=own.get("order") == "reverse",
        )

    @classmethod
    def of_script(cls, *, reason: str, model: str, least: float) -> "Choice":
        """The choice of a script, in the order of the page."""
        return cls(find="", reason=reason, model=model, least=least, sort="score", reverse=False)

    def apply(self, found: Sequence[Disagreement]) -> list[Disagreement]:
        """The rows of the table, in order; sessions without a value of the sorted column are last."""
        chosen = [each for each in found if self._has(each)]
        known = [each for each in chosen if self._key(each) is not None]
        missing = [each for each in chosen if self._key(each) is None]
        return [*sorted(known, key=self._key, reverse=(self.sort not in _ASCENDING) != self.reverse), *missing]

    def _has(self, each: Disagreement) -> bool:
        ids = (each.reported.peer_id, each.reported.session_id)
        return (
            each.score >= self.least
            and any(name.startswith(self.find) for name in ids)
            and self.reason in ("", each.reason)
            and self.model in ("", each.inferred.model)
        )

    def _key(self, each: Disagreement) -> Any:  # noqa: ANN401 - a text or a number, the same for all rows
        value = SORTS[self.sort](each)
        return abs(value) if self.sort in _DIFFERENCES and value is not None else value


def _share(text: str, otherwise: float) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return otherwise


class DisagreementsPart:
    """The table."""

    figures: Mapping[str, LayoutDOM] = {}

    async def ask(self, context: PageContext) -> Show:
        """The judged sessions of the time range, under all filters."""
        if context.snapshot is None:
            return dict
        span, choice = span_of(context.query, context.snapshot), Choice.of(context.query)
        where = context.query.where(span)
        inferences = context.state.records_of(RecordKind.INFERENCE)
        found = await disagreements_in(inferences, context.answers, context.snapshot, span, where)
        shown = choice.apply(found)
        content = {
            "rows": [_row(each) for each in shown[:MOST_ROWS]],
            "find": choice.find,
            "reason": choice.reason,
            "model": choice.model,
            "min": choice.least,
            "sort": choice.sort,
            "reverse": choice.reverse,
            "models": sorted({each.inferred.model for each in found}),
            "counts": _counts(found),
            "note": _note(len(shown), len(found)),
            "complete_from": complete_from_ms(inferences, span),
            "judged": len(found),
        }
        return lambda: content


DISAGREEMENTS_PAGE = DashboardPage(
    name="disagreements",
    path="/disagreements",
    title="Disagreements",
    template="disagreements.html",
    script=True,
    part=DisagreementsPart,
    tiles=False,
    offered=has_inferences,
)


def as_table(query: AddressQuery, found: Sequence[Disagreement]) -> Table:
    """All shown rows, for a CSV."""
    shown = Choice.of(query).apply(found)
    texts = ("Session", "Peer", "App", "Platform", "Channel", "ISP", "Model", "SHA-256", "Source", "Training", "Reason", "Evidence")
    numbers = (
        *("Disagreement", "Stalled, reported", "Stalled, inferred", "MOS, reported", "MOS, inferred", "MOS, lower", "MOS, upper"),
        *("Startup, reported (ms)", "Startup, inferred (ms)", "Startup, lower (ms)", "Startup, upper (ms)"),
        *("Download, reported (kbit/s)", "Download, counted (kbit/s)", "Slots", "First (Unix ms)", "Last (Unix ms)"),
    )
    columns = tuple((title, None) for title in (*texts, *numbers))
    return Table(columns=columns, rows=[_cells(each) for each in shown], filters=[None] * len(shown))


def _cells(each: Disagreement) -> tuple[Cell, ...]:
    reported, inferred = each.reported, each.inferred
    mos, startup = inferred.mos, inferred.startup_ms
    return (
        *(reported.session_id, reported.peer_id, reported.app, reported.platform, reported.channel, reported.isp),
        *(inferred.model, inferred.model_sha256, inferred.source, inferred.training_id or ""),
        *(str(each.reason), "; ".join(text for _, text in each.evidence)),
        *(each.score, reported.stalled_share, inferred.stalled_share, reported.mos),
        *((mos.value, mos.low, mos.high) if mos is not None else (None, None, None)),
        *(reported.startup_ms,),
        *((startup.value, startup.low, startup.high) if startup is not None else (None, None, None)),
        *(reported.download_kbps, inferred.download_kbps, inferred.slots, reported.first_ms, reported.last_ms),
    )


def _row(each: Disagreement) -> dict[str, Any]:
    reported, inferred = each.reported, each.inferred
    mos, startup = MEASURES["mos"], MEASURES["startup_ms"]
    return explanation(each) | {
        "session_id": reported.session_id,
        "peer_id": reported.peer_id,
        "app": reported.app,
        "since": reported.first_ms,
        "model": inferred.model,
        "model_text": model_in_words(each),
        "share": each.score,
        "better": each.reports_better,
        "stalled": [format_value(STALLED, reported.stalled_share), format_value(STALLED, inferred.stalled_share)],
        "mos": [format_value(mos, reported.mos), banded(mos, inferred.mos)],
        "startup": [format_value(startup, reported.startup_ms), banded(startup, inferred.startup_ms)],
    }


def _counts(found: Sequence[Disagreement]) -> list[list[Any]]:
    """The number of sessions with each likely reason."""
    return [[str(reason), sum(each.reason is reason for each in found)] for reason in Reason]


def _note(shown: int, judged: int) -> str:
    first = f"the first {MOST_ROWS} of " if shown > MOST_ROWS else ""
    return f"{first}{format_count(shown, 'session')}, of {judged:,} that models judged in this time range"
