"""A monitoring platform put together from what the operator has said: the table, what fills it, what is shown of it.

Whatever is opened here is closed, last first, when `opened` is left. In static mode putting together reads all the files.
"""

import logging
import tempfile
import time
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

from feedback_analysis.geo.locator import Locator, locator_for
from feedback_analysis.history.catch_up import last_minutes
from feedback_analysis.history.follow import Follower
from feedback_analysis.history.retention import Retention
from feedback_analysis.history.store import Basis, HistoryStore
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.budgets import Budgets, budgets_of
from feedback_analysis.messages.extent import extent, warning_of_seconds
from feedback_analysis.messages.live_table import Bounds, LiveTable
from feedback_analysis.messages.load import DAY_MS, open_logs
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.catalogue import Models, models_of, mos_of
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.rows import reasons_in_words
from feedback_wire import routes
from monitor_platform.alerts.alert_service import AlertService
from monitor_platform.alerts.rules import Rules
from monitor_platform.api.history_handler import HISTORY, HistoryHandler
from monitor_platform.api.summary_handler import Archive, SummaryHandler
from monitor_platform.api.table_handler import TABLE, TableHandler
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.history_queries import HistoryQueries
from monitor_platform.dashboard.past import Past
from monitor_platform.entrance import allowed_hosts, gate_of, listen
from monitor_platform.metrics.access_metrics import AccessMetrics
from monitor_platform.metrics.audience_metrics import AudienceMetrics
from monitor_platform.metrics.location_metrics import LocationMetrics
from monitor_platform.metrics.platform_metrics import PlatformMetrics
from monitor_platform.retrieval.feed import Feed
from monitor_platform.retrieval.mirror import Mirror
from monitor_platform.settings import Settings
from monitor_platform.website import Route, Website, patterns
from serving.listening import url_of
from serving.tls import Tls

log = logging.getLogger(__name__)

# A table that is only summed up takes less than half the memory for each message.
_SUMMED = 2

Task = Coroutine[Any, Any, None]


def assemble(settings: Settings, tls: Tls, rules: Rules | None, opened: ExitStack) -> tuple[Website, str, list[Task]]:
    """Everything that may fail on the ground of what the operator has said; in static mode this reads all the files.

    Also what is to run beside the server, until it ends.
    """
    mirror = _mirror(settings, opened)
    _use_scratch(settings, mirror)
    locator = opened.enter_context(locator_for(settings))
    models = models_of(settings)
    kept = last_minutes(settings.static, settings.keep_minutes) if settings.history is not None and not settings.live else None
    table = opened.enter_context(closing(_table(settings, locator, models, kept)))
    _tell_damages(table)
    feed = _feed(settings, table, tls, mirror)
    history = _history(settings, locator, mos_of(models), opened)
    begins_ms = kept.from_ms if kept is not None else 0
    state = DashboardState(table, feed, period_s=settings.period, poll_s=settings.poll_seconds, begins_ms=begins_ms)
    opened.callback(state.answers.close)
    state.history = history
    state.past = _past(settings, locator, models, kept, table)
    sockets, port = listen(settings, opened)
    gate = gate_of(settings, port, opened)
    figures = PlatformMetrics(table, state, feed)
    routed = patterns(settings, gate, feed, figures) + _numbers(state, _archive(settings, locator, mos_of(models), table))
    server = Website(gate, sockets, tls, routed, state, allowed_hosts(settings, port))
    figures.add(AccessMetrics(gate, server.listener))
    url = url_of(settings.host, port, secure=settings.tls_cert is not None)
    audience = AudienceMetrics(state)
    figures.add(audience)
    geolocation = LocationMetrics(locator)
    figures.add(geolocation)
    tasks: list[Task] = [audience.run(), geolocation.run()] + ([feed.run()] if feed is not None else [])
    if rules is not None:
        alerting = AlertService(rules, table)
        state.alerts = alerting.watch
        figures.add(alerting)
        tasks += _alerts(settings, alerting, feed, tls, settings.behind_proxy.rstrip("/") or url)
    return server, url, tasks


def _numbers(state: DashboardState, archive: Archive | None) -> list[Route]:
    """The interfaces for scripts."""
    numbers: list[Route] = [
        (routes.SUMMARY, SummaryHandler, {"state": state, "archive": archive}),
        (TABLE, TableHandler, {"state": state}),
    ]
    return numbers if state.history is None else [*numbers, (HISTORY, HistoryHandler, {"history": state.history})]


def _alerts(settings: Settings, alerting: AlertService, feed: Feed | None, tls: Tls, dashboard_url: str) -> list[Task]:
    """Recorded files are judged here and now."""
    if feed is None:
        alerting.judge_recorded()
        return []
    complete = partial(_is_complete, feed)
    return [alerting.run(complete=complete, dashboard_url=dashboard_url, poll_s=settings.poll_seconds, tls=tls)]


def _is_complete(feed: Feed) -> bool:
    return not feed.status().reading_back


def _table(settings: Settings, locator: Locator, models: Models, kept: Span | None) -> FeedbackTable:
    """Live, what comes; static, all the files, or what is `kept` of them beside a history."""
    if settings.live:
        bounds = Bounds(rows=settings.keep_messages, memory_mib=settings.memory_mib, messages_mib=settings.memory_mib // 2)
        return LiveTable(locator, mos_of(models), models=models, budgets=Budgets(budgets_of(settings.budget)), bounds=bounds)
    return _read(settings.static, locator, models, settings.period, kept)


def _read(
    paths: Sequence[Path], locator: Locator, models: Models, period_s: float, span: Span | None, *, most: int | None = None
) -> FeedbackTable:
    table = open_logs(paths, locator=locator, mos=mos_of(models), models=models, span=span, look_around_ms=DAY_MS, most=most)
    if span is not None:
        # Of the log that had begun already, only who was present when the span begins.
        table.forget_before(span.from_ms - round(period_s * 1000))
    table.rest()
    return table


def _past(settings: Settings, locator: Locator, models: Models, kept: Span | None, table: FeedbackTable) -> Past | None:
    """What is on disk and not in memory; None if everything is."""
    minutes = settings.keep_minutes
    if settings.live:
        read = partial(_read, [settings.mirror], locator, models, settings.period, most=settings.keep_messages)
        return Past(read, begins_ms=partial(_in_memory_since_ms, table, minutes * 60_000), minutes=minutes)
    if kept is None:
        return None
    read = partial(_read, settings.static, locator, models, settings.period, most=settings.keep_messages)
    return Past(read, begins_ms=lambda: kept.from_ms, minutes=minutes)


def _history(settings: Settings, locator: Locator, mos: MosModel, opened: ExitStack) -> HistoryQueries | None:
    """The history, which follows the logs on disk from here on; ValueError if the one in the folder is another's."""
    if settings.history is None:
        return None
    store = opened.enter_context(HistoryStore(settings.history, Basis(mos=mos, period_s=settings.period)))
    paths = [settings.mirror] if settings.live else settings.static
    retention = Retention(days=settings.history_days, live=settings.live)
    follower = opened.enter_context(Follower(store, paths, locator, retention=retention))
    return opened.enter_context(closing(HistoryQueries(store, follower)))


def _tell_damages(table: FeedbackTable) -> None:
    """What static files have lost, in one line, and each file that cannot be read; a feed tells its own as it comes."""
    for unread in table.unread:
        log.error("not read: %s", unread)
    if table.damages or table.unreadable:
        first = f", the first in {table.damages[0]}" if table.damages else ""
        why = reasons_in_words(table.unreadable_for)
        log.error("%d records could not be read%s; %d damaged places%s", table.unreadable, why, len(table.damages), first)
    if warning := warning_of_seconds(extent(table)):
        log.warning("%s", warning)


def _mirror(settings: Settings, opened: ExitStack) -> Mirror | None:
    """The mirror, owned from here on; None in static mode."""
    if not settings.live:
        return None
    mirror = Mirror(settings.mirror)
    opened.enter_context(mirror.owned())
    return mirror


def _use_scratch(settings: Settings, mirror: Mirror | None) -> None:
    """Put temporary files into a folder that was given: the system's may be missing, full or read-only. OSError if there is none.

    Set for the whole process, because libraries make temporary files too.
    """
    if mirror is not None:
        tempfile.tempdir = str(mirror.scratch)
    elif settings.history is not None:
        settings.history.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(settings.history)
    try:
        with tempfile.TemporaryFile():
            pass
    except OSError as error:
        raise OSError(f"no temporary file can be made in {tempfile.tempdir or 'TMPDIR or /tmp'}: {error.strerror}") from error


def _feed(settings: Settings, table: FeedbackTable, tls: Tls, mirror: Mirror | None) -> Feed | None:
    """The feed into `mirror`; None without one."""
    if mirror is None:
        return None
    return Feed(
        settings.feedback_server,
        settings.read_token,
        mirror,
        table,
        poll_seconds=settings.poll_seconds,
        keep_minutes=settings.keep_minutes,
        tls=tls,
    )


def _archive(settings: Settings, locator: Locator, mos: MosModel, table: FeedbackTable) -> Archive | None:
    if not settings.live:
        return None
    since_ms = partial(_in_memory_since_ms, table, settings.keep_minutes * 60_000)
    return Archive(paths=[settings.mirror], locator=locator, mos=mos, since_ms=since_ms, most=_SUMMED * settings.keep_messages)


def _in_memory_since_ms(table: FeedbackTable, keep_ms: int) -> int:
    """When the time begins of which every message is in memory."""
    begins_ms = table.begins_ms if isinstance(table, LiveTable) else 0
    return max(time.time_ns() // 1_000_000 - keep_ms, begins_ms)
