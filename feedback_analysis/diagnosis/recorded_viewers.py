"""The quality of the viewers of some ISPs in each minute, from a table of messages."""

from collections.abc import Iterable, Mapping

from feedback_analysis.diagnosis.viewer_quality import ViewerQuality
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.message_timeline import timeline
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.time_units import MINUTE_MS

_MEASURES = ("mos", "rebuffering_ratio")


def viewers_by_minute(
    table: FeedbackTable, *, span: Span, isps: Iterable[str], where: Mapping[str, str] | None = None
) -> tuple[ViewerQuality, ...]:
    """One value for each ISP and each minute of `span` in which viewers reported. `where` selects some of them."""
    found: list[ViewerQuality] = []
    if span.from_ms == span.to_ms:
        return ()
    for isp in sorted(set(isps)):
        chosen = dict(where or {}) | {"isp": isp}
        series = timeline(table, measures=_MEASURES, span=span, step_s=60, period_s=table.period_s, window_s=60, where=chosen)
        for at, at_ms in enumerate(series.at_ms):
            mos, stalled = (series.values[name][at] for name in _MEASURES)
            if mos is not None or stalled is not None:
                quality = {"mos": mos, "rebuffering_ratio": stalled}
                found.append(ViewerQuality(isp=isp, area="", minute_ms=at_ms - MINUTE_MS, **quality))
    return tuple(found)
