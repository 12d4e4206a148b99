"""Evaluates rules over recorded logs, one hour at a time, so logs of any length need only the memory for two hours.

As in a running platform, one table gets the logs in the order of their time and drops old messages. It remembers their numbers, so
a copy that arrives hours after its message is recognised.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.load import add_logs
from feedback_analysis.messages.table import DamagedLog, FeedbackTable
from feedback_analysis.quality.all_models import Models, mos_of
from feedback_analysis.reading.log_files import UnreadLog, find_logs, passed_over_in_words
from feedback_analysis.reading.verified_log import open_if_readable
from feedback_analysis.record_table import RecordTable, paths_of_kind
from feedback_analysis.time_units import HOUR_MS, MINUTE_MS
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import LogName, kind_of
from monitor_platform.alerts.alert_watch import AlertWatch, ExplainedAlert, last_record_ms
from monitor_platform.alerts.measurement_observations import LOOK_BACK_MS
from monitor_platform.alerts.rules import Rule


def evaluate_logs(
    rules: tuple[Rule, ...], paths: Sequence[Path], locator: Locator, models: Models, *, lacks: Callable[[str], None]
) -> Iterator[ExplainedAlert]:
    """The alerts that the rules find, in order. `lacks` is called once for each file or place that cannot be read.

    Raises as `find_logs` does for paths that are not logs.
    """
    found_alerts: list[ExplainedAlert] = []
    measurements = RecordTable(RecordKind.MEASUREMENT)
    watch = AlertWatch(rules, found_alerts.append, measurements=measurements)
    found, measured = (find_logs(paths_of_kind(paths, kind), kind=kind) for kind in (RecordKind.FEEDBACK, RecordKind.MEASUREMENT))
    named: set[str] = set()
    _name((*found.unread, *measured.unread), (), named, lacks)
    if found.passed_over:
        lacks(passed_over_in_words(found.passed_over))
    with closing(FeedbackTable(locator, mos_of(models), models=models)) as table, closing(measurements):
        for span, logs in _hours((*found.logs, *measured.logs)):
            add_logs(table, [path for path in logs if kind_of(path.name) is RecordKind.FEEDBACK])
            _name(*_add_measurements(measurements, logs), named, lacks)
            _name(table.unread, table.damages, named, lacks)
            if span is not None:
                watch.evaluate(table, min(span.to_ms, _last_ms(table, measurements)))
                table.drop_before(span.from_ms)
                measurements.drop_before(span.from_ms - LOOK_BACK_MS, forget_before_ms=span.from_ms - 2 * LOOK_BACK_MS)
            yield from found_alerts
            found_alerts.clear()
        watch.evaluate(table, _last_ms(table, measurements))  # a log may cover many hours
        yield from found_alerts


def _add_measurements(measurements: RecordTable, logs: Sequence[Path]) -> tuple[list[UnreadLog], list[DamagedLog]]:
    """Add the logs of measurements among `logs`; returns those that cannot be read, and damaged parts."""
    unread, damages = [], []
    for path in logs:
        if kind_of(path.name) is RecordKind.MEASUREMENT:
            with open_if_readable(path) as log:
                if isinstance(log, UnreadLog):
                    unread.append(log)
                else:
                    damages += [DamagedLog(source, damage) for source, damage in measurements.add([log]).damages]
    return unread, damages


def _last_ms(table: FeedbackTable, measurements: RecordTable) -> int:
    """The end of the last minute with records; 0 without records."""
    last_ms = last_record_ms(table, measurements)
    return 0 if last_ms is None else last_ms + MINUTE_MS


def _name(unread: Iterable[UnreadLog], damages: Iterable[DamagedLog], named: set[str], lacks: Callable[[str], None]) -> None:
    """Report each text once, although a log may be read for two hours."""
    for text in (*(f"not read: {each}" for each in unread), *(f"damaged: {each}" for each in damages)):
        if text not in named:
            named.add(text)
            lacks(text)


def _hours(logs: Sequence[Path]) -> Iterator[tuple[Span | None, list[Path]]]:
    """The hours in which logs begin, and the following hours, because logs may end there, each with the logs that begin in it.

    None (all hours) with all logs, if a file has no log name.
    """
    hours: defaultdict[int, list[Path]] = defaultdict(list)
    try:
        for path in logs:
            hour = LogName.parse(path.name).begins_s * 1000 // HOUR_MS
            hours[hour].append(path)
            hours[hour + 1]  # exists from now on
    except ValueError:
        yield None, list(logs)
        return
    for hour in sorted(hours):
        yield Span(hour * HOUR_MS, (hour + 1) * HOUR_MS), hours[hour]
