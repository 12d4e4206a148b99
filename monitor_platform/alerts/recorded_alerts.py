"""Evaluates rules over recorded logs, one hour at a time, so logs of any length need only the memory for one hour."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.load import open_logs
from feedback_analysis.messages.table import DamagedLog
from feedback_analysis.quality.all_models import Models, mos_of
from feedback_analysis.reading.log_files import UnreadLog, find_logs, passed_over_in_words
from feedback_analysis.time_units import HOUR_MS, MINUTE_MS
from feedback_wire.log_name import LogName
from monitor_platform.alerts.alert_watch import AlertWatch, ExplainedAlert
from monitor_platform.alerts.rules import Rule


def evaluate_logs(
    rules: tuple[Rule, ...], paths: Sequence[Path], locator: Locator, models: Models, *, lacks: Callable[[str], None]
) -> Iterator[ExplainedAlert]:
    """The alerts that the rules find, in order. `lacks` is called once for each file or place that cannot be read.

    Raises as `open_logs` does for paths that are not logs.
    """
    found_alerts: list[ExplainedAlert] = []
    watch = AlertWatch(rules, found_alerts.append)
    found = find_logs(paths)
    named: set[str] = set()
    _name(found.unread, (), named, lacks)
    if found.passed_over:
        lacks(passed_over_in_words(found.passed_over))
    for span in _hours(found.logs):
        opened = open_logs(found, locator=locator, mos=mos_of(models), models=models, span=span, look_around_ms=HOUR_MS)
        with closing(opened) as table:
            _name(table.unread, table.damages, named, lacks)
            whole = extent(table)
            if whole is not None:
                last_ms = whole.to_ms + MINUTE_MS
                watch.evaluate(table, last_ms if span is None else min(span.to_ms, last_ms))
        yield from found_alerts
        found_alerts.clear()


def _name(unread: Iterable[UnreadLog], damages: Iterable[DamagedLog], named: set[str], lacks: Callable[[str], None]) -> None:
    """Report each text once, although a log may be read for two hours."""
    for text in (*(f"not read: {each}" for each in unread), *(f"damaged: {each}" for each in damages)):
        if text not in named:
            named.add(text)
            lacks(text)


def _hours(logs: Sequence[Path]) -> Iterator[Span | None]:
    """The hours in which logs begin, and the following hours, because logs may end there; None (all hours) if a file has no log
    name."""
    try:
        begins_ms = {LogName.parse(path.name).begins_s * 1000 for path in logs}
    except ValueError:
        yield None
        return
    hours = {at // HOUR_MS + further for at in begins_ms for further in (0, 1)}
    for hour in sorted(hours):
        yield Span(hour * HOUR_MS, (hour + 1) * HOUR_MS)
