"""The shares of peers in ranges of a measure, as `measures.histogram` draws them, over whole hours."""

from collections.abc import Mapping, Sequence

from feedback_analysis.history.cut import Cut, kept_measure, mean_sums
from feedback_analysis.history.store import HistoryStore
from feedback_analysis.measures.exact import exact_sum
from feedback_analysis.measures.histogram import Histogram, check_edges, shares_of
from feedback_analysis.measures.registry import Kind, Measure
from feedback_analysis.measures.selection import Span

# As in measures: who always said 0.9 lies at the edge 0.9, not a binary fraction below it.
_DECIMALS = 9


def histogram(
    store: HistoryStore,
    *,
    measure: str,
    span: Span | None,
    where: Mapping[str, str] | None = None,
    edges: Sequence[float] | None = None,
) -> Histogram:
    """The distribution of peers over the ranges between `edges` (None: about twenty round ones).

    ValueError for a measure that peers do not have a value of, and for edges that do not ascend.
    """
    chosen = kept_measure(measure, "histogram")
    check_edges(edges)
    with store.reading() as cursor:
        sql, parameters = _peers(chosen, Cut(span, where or {}))
        held = f"SELECT value, {exact_sum('weight')} FROM ({sql}) WHERE value IS NOT NULL GROUP BY value ORDER BY value"
        return shares_of(chosen, cursor.execute(held, parameters).fetchall(), edges)


def _peers(measure: Measure, cut: Cut) -> tuple[str, dict[str, object]]:
    """SQL: `weight` and `value` of each peer."""
    if measure.kind is Kind.SESSION:
        # The last that the peer said; of two sessions that spoke in one millisecond, the one with the larger number.
        value = "arg_max(heard_startup_ms, heard_rank) FILTER (WHERE heard_rank IS NOT NULL)"
    else:
        above, below = mean_sums(measure.name)
        value = f"CASE WHEN {below} > 0 THEN {above} / {below} END"
    rows = cut.sql("session_hour", "max(weight) AS weight", f"round({value}, {_DECIMALS}) AS value")
    return f"{rows} GROUP BY peer", cut.parameters
