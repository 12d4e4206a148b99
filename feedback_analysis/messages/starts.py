"""Failed starts: the share of the sessions that tried to start and never played.

A session tried if it sent `join` within the time range, and its result is known: it played, it left, or two reporting periods have
passed since the join. It failed if it never played: no startup delay, no time played, no continuity above 0. A session that joined
just now has not failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from feedback_analysis.measures.exact import exact_sum_where, number, quotient
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.table import FeedbackTable

PATIENCE_PERIODS = 2
"""An end host that plays reports it in its next message; one message may be late."""

_FIELDS = ("startup_ms", "played_ms", "continuity")
_PLAYED = "startup_ms IS NOT NULL OR coalesce(played_ms, 0) > 0 OR coalesce(continuity, 0) > 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """Weights of sessions; `share` is None if no session tried."""

    tried: float
    failed: float
    share: float | None


def starts(table: FeedbackTable, *, span: Span, period_s: float, where: Mapping[str, str] | None = None) -> Starts:
    """How many sessions tried to start within `span`, and how many of them failed."""
    sessions = (
        table.select(span, where or {})
        .rows("session_id", "weight", "event", "received_ms", *_FIELDS)
        .each(
            "session_id",
            "max(weight) AS weight",
            f"bool_or({_PLAYED}) AS played",
            "bool_or(event = 'leave') AS gone",
            "min(received_ms) FILTER (WHERE event = 'join') AS joined_ms",
        )
    )
    patient_ms = span.to_ms - round(PATIENCE_PERIODS * period_s * 1000)
    tried = f"joined_ms IS NOT NULL AND (played OR gone OR joined_ms < {patient_ms})"
    with table.reading() as cursor:
        [(all_of_them, failed)] = sessions.aggregate(
            cursor, exact_sum_where("weight", tried), exact_sum_where("weight", f"{tried} AND NOT played")
        ).values()
    return Starts(tried=number(all_of_them), failed=number(failed), share=quotient(failed, all_of_them))
