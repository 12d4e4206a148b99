"""Builds a monitoring platform from its settings: the table, the feed that fills it, and the server of the dashboard.

Everything opened here is closed by `opened`, in reverse order. In static mode building reads all files.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector
from yarl import URL

from feedback_analysis.geo.locator import Locator, locator_for
from feedback_analysis.history.catch_up import last_minutes
from feedback_analysis.history.follow import HistoryFollower
from feedback_analysis.history.retention import Retention
from feedback_analysis.history.store import Basis, HistoryStore
from feedback_analysis.live_record_table import MOST_RECORDS, LiveRecordTable, RecordBounds
from feedback_analysis.measures.selection import REPORTING_PERIOD_S, Span
from feedback_analysis.messages.budgets import Budgets, budgets_of
from feedback_analysis.messages.extent import extent, warning_of_seconds
from feedback_analysis.messages.live_table import Bounds, LiveTable
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.all_models import Models, models_of, mos_of
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.log_files import passed_over_in_words
from feedback_analysis.reading.rows import reasons_in_words
from feedback_analysis.record_table import open_records, paths_of_kind
from feedback_analysis.time_units import MINUTE_MS
from feedback_wire import routes
from feedback_wire.kinds import RecordKind
from monitor_platform.access.gate import Gate
from monitor_platform.access.listener import Connections, limits_here
from monitor_platform.access.roles import VIEWS
from monitor_platform.alerts.alert_diagnoses import AlertDiagnoses
from monitor_platform.alerts.alert_service import AlertService
from monitor_platform.alerts.rules import Rules
from monitor_platform.alerts.rules_file import RulesFile
from monitor_platform.alerts.silences import Silences
from monitor_platform.api.alert_handlers import ROUTES as ALERT_ROUTES
from monitor_platform.api.annotation_handlers import ANNOTATION, AnnotationHandler, AnnotationsHandler
from monitor_platform.api.disagreement_handler import DISAGREEMENTS, DisagreementHandler
from monitor_platform.api.history_handler import HISTORY, HistoryHandler
from monitor_platform.api.record_handlers import ROUTES as RECORD_ROUTES
from monitor_platform.api.record_handlers import RecordsHandler
from monitor_platform.api.rule_handlers import ROUTES as RULE_ROUTES
from monitor_platform.api.summary_handler import SummaryHandler
from monitor_platform.api.table_handler import TABLE, TableHandler
from monitor_platform.api.training_handlers import ROUTES as TRAINING_ROUTES
from monitor_platform.api.trigger_handler import TRIGGER, TriggerHandler
from monitor_platform.api.view_handlers import VIEW, ViewHandler, ViewsHandler
from monitor_platform.dashboard.annotations import Annotations
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.history_queries import HistoryQueries
from monitor_platform.dashboard.older_records import OlderRecords
from monitor_platform.dashboard.page_figures import SpareFigures
from monitor_platform.dashboard.pages import PAGES
from monitor_platform.dashboard.saved_views import SavedViews
from monitor_platform.dashboard_server import DashboardServer, Pages, UrlPattern, patterns
from monitor_platform.diagnosing.diagnosis_loop import DiagnosisLoop
from monitor_platform.entrance import allowed_hosts, gate_of, listen
from monitor_platform.kind_records import KEPT_MINUTES, OTHER_KINDS, AllKinds, KindRecords
from monitor_platform.lab_server import LabServer
from monitor_platform.measuring.master_requests import MasterRequests
from monitor_platform.metrics.access_metrics import AccessMetrics
from monitor_platform.metrics.audience_metrics import AudienceMetrics
from monitor_platform.metrics.disagreement_metrics import DisagreementMetrics
from monitor_platform.metrics.location_metrics import LocationMetrics
from monitor_platform.metrics.platform_metrics import PlatformMetrics
from monitor_platform.recorded_logs import RecordedLogs
from monitor_platform.retrieval.feed import Feed
from monitor_platform.retrieval.kind_tables import FeedbackRecords, KindTable, OtherRecords
from monitor_platform.retrieval.mirror import NOTES, Mirror
from monitor_platform.settings import Settings
from serving.listening import url_of
from serving.tls import Tls

log = logging.getLogger(__name__)

_MEMORY_OF_OTHERS = 8
"""Each other kind than feedback takes at most this part of --memory-mib in addition."""

_MOST_INFERENCES = 1_000_000
"""There is one each second for each judged session, and it takes 150 bytes. In practice, the memory is the limit."""

BackgroundTask = Coroutine[Any, Any, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Records:
    """The sources of records: the table in memory, the logs on disk, and in live mode the feed into the table. `others`: the other
    kinds than feedback."""

    table: FeedbackTable
    logs: RecordedLogs
    feed: Feed | None
    others: AllKinds
    kept: Span | None
    """In static mode with a history: the time range that is loaded into the table. None: the table is not limited to one."""

    @property
    def begins_ms(self) -> int:
        """The start of `kept`, Unix ms."""
        return self.kept.from_ms if self.kept is not None else 0


def assemble(
    settings: Settings, tls: Tls, rules: Rules | None, opened: ExitStack
) -> tuple[DashboardServer, str, list[BackgroundTask]]:
    """The dashboard server, its address, and the tasks that run with it. In static mode this reads all files.

    OSError or ValueError if something that the operator configured cannot be used.
    """
    mirror = _mirror(settings, opened)
    _use_scratch(settings, mirror)
    locator = opened.enter_context(locator_for(settings))
    models = models_of(settings)
    records = _records(settings, locator, models, tls, mirror, opened)
    history = _history(settings, locator, mos_of(models), opened)
    notes = _notes(settings)
    alerts = _alert_service(settings, rules, records, notes) if rules is not None else None
    state = _state(settings, records, alerts, history, notes, opened)
    master = _master(settings, tls)
    state.can_measure = master is not None
    older = _older_records(settings, records, state)
    sockets, port = listen(settings, opened)
    gate, connections = gate_of(settings, port, opened), Connections(limits_here())
    audience, locations, disagreements = AudienceMetrics(state), LocationMetrics(locator), DisagreementMetrics(state)
    platform = PlatformMetrics(records.table, state, records.feed, records.others)
    loop = _diagnosis_loop(master, alerts, records)
    registry = _registry(platform, AccessMetrics(gate, connections), audience, locations, disagreements, alerts, loop)
    routes_without_pages = patterns(settings, gate, records.feed, registry)
    server = DashboardServer(
        gate,
        connections,
        sockets=sockets,
        tls=tls,
        patterns=routes_without_pages + _interfaces(state, older, gate, master) + _trainings(settings, tls),
        pages=Pages(state=state, older=older, spares=SpareFigures(state.atlas, PAGES)),
        origins=allowed_hosts(settings, port),
        public_path=settings.public_path,
    )
    url = url_of(settings.host, port, secure=settings.tls_cert is not None)
    tasks: list[BackgroundTask] = [audience.run(), locations.run(), disagreements.run()]
    if records.feed is not None:
        tasks.append(records.feed.run())
    tasks += (other.feed.run() for other in records.others.values() if other.feed is not None)
    if loop is not None:
        tasks.append(loop.run())
    if alerts is not None:
        tasks += _alerts(settings, alerts, records, tls, settings.behind_proxy.rstrip("/") or url)
    return server, url, tasks


def _records(settings: Settings, locator: Locator, models: Models, tls: Tls, mirror: Mirror | None, opened: ExitStack) -> _Records:
    kept = last_minutes(_paths(settings), settings.keep_minutes) if settings.history is not None and not settings.live else None
    logs = _logs(settings, locator, models)
    table = opened.enter_context(closing(_table(settings, locator, models, logs, kept)))
    _log_damages(table)
    others = {kind: _others(kind, settings, tls, mirror, opened) for kind in OTHER_KINDS}
    feed = None if mirror is None else _feed(settings, FeedbackRecords(table), tls, mirror, keep_minutes=settings.keep_minutes)
    return _Records(table=table, logs=logs, feed=feed, others=others, kept=kept)


def _others(kind: RecordKind, settings: Settings, tls: Tls, mirror: Mirror | None, opened: ExitStack) -> KindRecords:
    """The records of another kind: in live mode an empty table, which its feed fills, and in static mode those of all files."""
    if mirror is None:
        recorded, added = open_records(_paths(settings, kind), kind)
        opened.enter_context(closing(recorded))
        if added.unreadable or added.damages:
            log.error("%d %s records could not be read; %d damaged places", added.unreadable, kind, len(added.damages))
        return KindRecords(table=recorded, feed=None, paths=_paths(settings, kind))
    records = _MOST_INFERENCES if kind is RecordKind.INFERENCE else MOST_RECORDS
    bounds = RecordBounds(memory_mib=settings.memory_mib // _MEMORY_OF_OTHERS, records=records)
    table = opened.enter_context(closing(LiveRecordTable(kind, bounds)))
    feed = _feed(settings, OtherRecords(table), tls, mirror, keep_minutes=KEPT_MINUTES)
    return KindRecords(table=table, feed=feed, paths=[mirror.of_kind(kind).directory])


def _state(
    settings: Settings,
    records: _Records,
    alerts: AlertService | None,
    history: HistoryQueries | None,
    notes: Path | None,
    opened: ExitStack,
) -> DashboardState:
    state = DashboardState(
        records.table,
        records.feed,
        period_s=records.table.period_s,
        poll_s=settings.poll_seconds,
        begins_ms=records.begins_ms,
        alerting=alerts,
        history=history,
        annotations=Annotations(notes) if notes is not None else None,
        views=SavedViews(notes) if notes is not None else None,
        others=records.others,
        has_lab=bool(settings.lab_url),
    )
    opened.callback(state.close)
    return state


def _older_records(settings: Settings, records: _Records, state: DashboardState) -> OlderRecords:
    logs = replace(records.logs, most=settings.keep_messages)
    return OlderRecords(logs, state, begins_ms=_memory_begin(settings, records), minutes=settings.keep_minutes)


def _master(settings: Settings, tls: Tls) -> MasterRequests | None:
    """The client of the measurement master; None without one."""
    if not settings.measurement_master:
        return None
    return MasterRequests(url=settings.measurement_master, key=settings.read_measurement_key(), tls=tls)


def _registry(*collectors: Collector | None) -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in filter(None, collectors):
        registry.register(collector)
    return registry


def _notes(settings: Settings) -> Path | None:
    """The folder of what users write on the dashboard: in the mirror or in the history, which no other process uses."""
    folder = settings.mirror if settings.live else settings.history
    return folder / NOTES if folder is not None else None


def _alert_service(settings: Settings, rules: Rules, records: _Records, notes: Path | None) -> AlertService:
    """Users of a live platform can silence alerts and change rules."""
    table, measurements = records.table, records.others[RecordKind.MEASUREMENT].table
    if not settings.live or settings.alerts is None or notes is None:
        return AlertService(rules, table, measurements=measurements)
    file = RulesFile(settings.alerts)
    return AlertService(
        file.rules, table, measurements=measurements, silences=Silences(notes), diagnoses=AlertDiagnoses(notes), file=file
    )


def _interfaces(state: DashboardState, older: OlderRecords, gate: Gate, master: MasterRequests | None) -> list[UrlPattern]:
    """The interfaces for scripts."""
    interfaces: list[UrlPattern] = [
        (routes.SUMMARY, SummaryHandler, {"state": state, "older": older}),
        (TABLE, TableHandler, {"older": older, "records_of": state.records_of}),
        (DISAGREEMENTS, DisagreementHandler, {"older": older, "records_of": state.records_of}),
        *(
            (route.path, RecordsHandler, {"route": route, "queries": state.records_of(kind)})
            for kind, route in RECORD_ROUTES.items()
        ),
    ]
    if master is not None:
        interfaces.append((TRIGGER, TriggerHandler, {"master": master}))
    if state.history is not None:
        interfaces.append((HISTORY, HistoryHandler, {"history": state.history}))
    if state.alerting is not None:
        interfaces += ((path, handler, {"alerts": state.alerting, "gate": gate}) for path, handler in (*ALERT_ROUTES, *RULE_ROUTES))
    if state.annotations is not None and state.views is not None:
        notes = {"annotations": state.annotations, "gate": gate}
        interfaces += [(routes.ANNOTATIONS, AnnotationsHandler, notes), (ANNOTATION, AnnotationHandler, notes)]
        views = {"views": state.views, "gate": gate}
        interfaces += [(VIEWS, ViewsHandler, views), (VIEW, ViewHandler, views)]
    return interfaces


def _trainings(settings: Settings, tls: Tls) -> list[UrlPattern]:
    """The interfaces of trainings, if the platform has a lab."""
    if not settings.lab_url:
        return []
    lab = LabServer(url=URL(settings.lab_url), token=settings.lab_token(), tls=tls)
    return [(path, handler, {"lab": lab}) for path, handler in TRAINING_ROUTES]


def _diagnosis_loop(master: MasterRequests | None, alerts: AlertService | None, records: _Records) -> DiagnosisLoop | None:
    """The loop from alerts to diagnoses; None without a measurement master."""
    if alerts is None or alerts.diagnoses is None or master is None:
        return None
    measurements = records.others[RecordKind.MEASUREMENT].table
    loop = DiagnosisLoop(master, records.table, measurements, alerts.diagnoses, on_verdict=alerts.notify_of_diagnosis)
    alerts.on_begin = loop.begin
    return loop


def _alerts(settings: Settings, alerts: AlertService, records: _Records, tls: Tls, dashboard_url: str) -> list[BackgroundTask]:
    """The task that evaluates the rules. Rules over recorded files are evaluated here, once."""
    if records.feed is None:
        alerts.evaluate_recorded()
        return []
    complete = partial(_is_complete, [records.feed, *(each.feed for each in records.others.values() if each.feed is not None)])
    return [alerts.run(complete=complete, dashboard_url=dashboard_url, poll_s=settings.poll_seconds, tls=tls)]


def _is_complete(feeds: Sequence[Feed]) -> bool:
    return not any(feed.status().reading_back for feed in feeds)


def _logs(settings: Settings, locator: Locator, models: Models) -> RecordedLogs:
    paths = _paths(settings)
    period_s = REPORTING_PERIOD_S if settings.live and settings.period is None else settings.period
    return RecordedLogs(paths=paths, locator=locator, models=models, period_s=period_s)


def _paths(settings: Settings, kind: RecordKind = RecordKind.FEEDBACK) -> list[Path]:
    """The folders and files that may have logs of `kind`."""
    return [settings.mirror] if settings.live else paths_of_kind(settings.static, kind)


def _table(settings: Settings, locator: Locator, models: Models, logs: RecordedLogs, kept: Span | None) -> FeedbackTable:
    """In live mode an empty table, which the feed fills. In static mode the records of all files, or of the time range `kept`."""
    if settings.live:
        bounds = Bounds(rows=settings.keep_messages, memory_mib=settings.memory_mib, messages_mib=settings.memory_mib // 2)
        budgets, period_s = Budgets(budgets_of(settings.budget)), settings.period or REPORTING_PERIOD_S
        return LiveTable(locator, mos_of(models), models=models, budgets=budgets, bounds=bounds, period_s=period_s)
    return logs.table(kept)


def _memory_begin(settings: Settings, records: _Records) -> Callable[[], int]:
    """The start of the time of which all messages are in memory, in Unix ms; static files without a history are all in memory."""
    if records.feed is not None:
        return partial(_live_begin_ms, records.table, records.feed, settings.keep_minutes * MINUTE_MS)
    return lambda: records.begins_ms


def _live_begin_ms(table: FeedbackTable, feed: Feed, keep_ms: int) -> int:
    begins_ms = table.begins_ms if isinstance(table, LiveTable) else 0
    return max(time.time_ns() // 1_000_000 - keep_ms, begins_ms, feed.begins_ms)


def _history(settings: Settings, locator: Locator, mos: MosModel, opened: ExitStack) -> HistoryQueries | None:
    """The history, which starts to follow the logs on disk; ValueError if the folder has a history of other settings."""
    if settings.history is None:
        return None
    store = opened.enter_context(HistoryStore(settings.history, Basis(mos=mos, period_s=settings.period or REPORTING_PERIOD_S)))
    paths = _paths(settings)
    retention = Retention(days=settings.history_days, live=settings.live)
    follower = opened.enter_context(HistoryFollower(store, paths, locator, retention=retention))
    return opened.enter_context(closing(HistoryQueries(store, follower)))


def _log_damages(table: FeedbackTable) -> None:
    """Log the losses of static files in one line, and each file that cannot be read. A feed logs its own losses."""
    for unread in table.unread:
        log.error("not read: %s", unread)
    if table.passed_over:
        log.warning("%s", passed_over_in_words(table.passed_over))
    if wrong := table.wrong_clocks.in_words():
        log.warning("%s", wrong)
    if table.damages or table.unreadable:
        first = f", the first in {table.damages[0]}" if table.damages else ""
        why = reasons_in_words(table.unreadable_for)
        log.error("%d records could not be read%s; %d damaged places%s", table.unreadable, why, len(table.damages), first)
    if warning := warning_of_seconds(extent(table)):
        log.warning("%s", warning)


def _mirror(settings: Settings, opened: ExitStack) -> Mirror | None:
    """The mirror, locked for this process; None in static mode."""
    if not settings.live:
        return None
    mirror = Mirror(settings.mirror)
    opened.enter_context(mirror.owned())
    return mirror


def _use_scratch(settings: Settings, mirror: Mirror | None) -> None:
    """Put temporary files into a configured folder, because the system's may be missing, full or read-only; OSError without any.

    This is set for the whole process, because libraries make temporary files, too.
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


def _feed(settings: Settings, table: KindTable, tls: Tls, mirror: Mirror, *, keep_minutes: int) -> Feed:
    return Feed(
        settings.feedback_server,
        settings.read_token,
        mirror,
        table,
        poll_seconds=settings.poll_seconds,
        keep_minutes=keep_minutes,
        tls=tls,
    )
