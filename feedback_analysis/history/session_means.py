"""The spread of a rate over sessions, each with its own mean.

A history keeps sums. It does not know how the values of single messages were distributed, so it has no median of them.
"""

from collections.abc import Mapping

from feedback_analysis.history.history_selection import HourSelection, mean_sums
from feedback_analysis.history.schema import MEANS
from feedback_analysis.history.store import HistoryStore
from feedback_analysis.measures.partials import MERGED_WEIGHT
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.statistics import quantiles


def session_means(
    store: HistoryStore, *, measure: str, span: Span | None = None, where: Mapping[str, str] | None = None
) -> dict[str, float | None]:
    """`p50` and `p95` over the sessions' own means of `measure`, in its unit; ValueError if it has no mean per session."""
    if measure not in MEANS:
        raise ValueError(f"{measure!r} has no mean in a session; choose from {', '.join(MEANS)}")
    above, below = mean_sums(measure)
    sessions = (
        HourSelection(span, where or {})
        .rows("session_hour", "session", "weight", f"{measure}_sum", f"{measure}_n")
        .each("session", MERGED_WEIGHT, f"CASE WHEN {below} > 0 THEN {above} / {below} END AS value")
    )
    with store.reading() as cursor:
        [found] = quantiles(cursor, sessions, ("value",)).values()
    return dict(zip(("p50", "p95"), found["value"], strict=True))
