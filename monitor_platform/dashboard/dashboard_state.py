"""The state that all open pages share: the table, its answers, the moment that is shown now, and the status of the feed.

The moment changes only when the table has changed or a few seconds have passed, and for all pages at once, so they share answers.
"""

import time
from collections import deque
from statistics import median
from typing import Protocol

from feedback_analysis.geo.atlas import Atlas
from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.live_table import LiveTable
from feedback_analysis.messages.table import FeedbackTable
from feedback_wire.kinds import RecordKind
from monitor_platform.alerts.alert_service import AlertService
from monitor_platform.alerts.alert_watch import AlertWatch
from monitor_platform.alerts.silences import Silence
from monitor_platform.dashboard.annotations import Annotations
from monitor_platform.dashboard.history_queries import HistoryQueries
from monitor_platform.dashboard.pill import Delay, Pill, live_pill, static_pill
from monitor_platform.dashboard.record_queries import RecordQueries
from monitor_platform.dashboard.saved_views import SavedViews
from monitor_platform.dashboard.shared_answers import Moment, SharedAnswers
from monitor_platform.dashboard.snapshot import Snapshot
from monitor_platform.kind_records import AllKinds
from monitor_platform.retrieval.feed_status import FeedStatus
from monitor_platform.retrieval.server_clock import NOTICED_MS

# Without new records the pages still change: end hosts that stop reporting leave the audience.
MOVES_EVERY_MS = 5_000

REMEMBERED_PAGES = 60

# Queries over a large window take longer than the next records take to arrive. This is a little less than the shortest poll period,
# so the records of each poll are shown.
REFRESH_MS = 900

# A user who sends expensive queries all the time must not delay the other pages for longer.
STALLED_MS = 10_000

# All servers are polled at the same moments. This waits for the answers of the slower ones.
SETTLES_MS = 100


LATE_MS = 60_000
"""How long a gap in the numbers of a session is late before it is lost. Coordinators and end hosts send again within that time."""


class LiveFeed(Protocol):
    """The part of `retrieval.feed.Feed` that the dashboard uses."""

    def status(self) -> FeedStatus: ...

    def delay(self) -> Delay | None: ...


class DashboardState:
    """The shared state of the dashboard. Use it on the event loop only."""

    def __init__(
        self,
        table: FeedbackTable,
        feed: LiveFeed | None,
        *,
        period_s: float,
        poll_s: float,
        begins_ms: int = 0,
        alerting: AlertService | None = None,
        history: HistoryQueries | None = None,
        annotations: Annotations | None = None,
        views: SavedViews | None = None,
        others: AllKinds | None = None,
        has_lab: bool = False,
    ) -> None:
        self.answers = SharedAnswers(table)
        # Open pages. A set instead of a number, because Bokeh 3.10 makes documents in several threads, where `+= 1` loses some.
        self.viewers: set[object] = set()
        self.alerting = alerting
        # The entries of `extra` that pages need, as far as a message has had them.
        self.seen_extras: frozenset[str] = frozenset()
        self.history = history
        self.annotations = annotations
        self.views = views
        # Whether managers can start measurements: the platform knows a master.
        self.can_measure = False
        self.others: AllKinds = others or {}
        self._queries = {kind: RecordQueries(records) for kind, records in self.others.items()}
        self.has_lab = has_lab
        self._table = table
        self._feed = feed
        self._period_s = period_s
        self._poll_s = poll_s
        # Earlier records in the table only show who is present at this time.
        self._begins_ms = begins_ms
        self._moment = Moment(-1, 0, 0)
        self._news_ms: int | None = None
        self._page_delays_ms: deque[int] = deque(maxlen=REMEMBERED_PAGES)

    @property
    def alerts(self) -> AlertWatch | None:
        return None if self.alerting is None else self.alerting.watch

    @property
    def silences(self) -> tuple[Silence, ...] | None:
        """The silences that last; None if alerts cannot be silenced."""
        if self.alerting is None or self.alerting.silences is None:
            return None
        return self.alerting.silences.active(_clock_ms())

    @property
    def changes(self) -> int:
        """Grows with each change that a user makes, so that all pages show it at once."""
        of_alerts = self.alerting.changes if self.alerting is not None else 0
        return of_alerts + (self.annotations.changes if self.annotations is not None else 0)

    def records_of(self, kind: RecordKind) -> RecordQueries | None:
        """The records of another kind than feedback; None if there are none of it, not even in future."""
        return self._queries.get(kind)

    def close(self) -> None:
        """End the threads of all queries."""
        self.answers.close()
        for queries in self._queries.values():
            queries.close()

    @property
    def atlas(self) -> Atlas:
        return self._table.atlas

    @property
    def locator(self) -> Locator:
        return self._table.locator

    @property
    def live(self) -> bool:
        return self._feed is not None

    def of_older(self, table: FeedbackTable, *, begins_ms: int) -> "DashboardState":
        """The state of another table, which does not change and counts from `begins_ms` on."""
        return DashboardState(
            table,
            None,
            period_s=self._period_s,
            poll_s=self._poll_s,
            begins_ms=begins_ms,
            alerting=self.alerting,
            annotations=self.annotations,
        )

    def moment(self) -> Moment:
        """The moment to show now. It equals the last one if nothing is new."""
        now_ms = _clock_ms()
        version = self._table.version
        if version != self._moment.version and self._news_ms is None:
            self._news_ms = now_ms
        if self._may_move(now_ms):
            self._moment = Moment(version, now_ms, self._news_ms or now_ms)
            self._news_ms = None
        return self._moment

    def newest(self) -> Moment:
        """The moment of the current table, for a script that asks once. Its time is rounded, so that scripts share answers."""
        at_ms = _clock_ms() // MOVES_EVERY_MS * MOVES_EVERY_MS if self.live else 0
        return Moment(self._table.version, at_ms, 0)

    def shown(self, moment: Moment) -> None:
        """Note that an open page has been sent the data of `moment`."""
        self._page_delays_ms.append(_clock_ms() - moment.news_ms)

    def _may_move(self, now_ms: int) -> bool:
        """Whether the last moment is old enough and its queries are answered: the slowest query sets the pace for all pages."""
        if self._moment.version < 0:
            return True
        age_ms = now_ms - self._moment.at_ms
        rested = age_ms >= (STALLED_MS if self.answers.running else REFRESH_MS)
        settled = self._news_ms is not None and now_ms - self._news_ms >= SETTLES_MS
        return rested and (settled or (self.live and age_ms >= MOVES_EVERY_MS))

    async def snapshot(self, moment: Moment) -> Snapshot | None:
        """The snapshot of `moment`; None as long as there is no record."""
        recorded = await self.answers.ask(moment, extent)
        if recorded is None or recorded.to_ms <= self._begins_ms:
            return None
        return Snapshot(
            moment=moment,
            extent=Span(max(recorded.from_ms, self._begins_ms), recorded.to_ms),
            until_ms=self._until_ms(recorded, moment),
            period_s=self._period_s,
            live=self.live,
            atlas=self.atlas,
            alerts=self.alerts.alerts if self.alerts is not None else (),
            silences=self.silences,
            annotations=self.annotations.all if self.annotations is not None else (),
            proved_ms=self._proved_ms(moment),
            polled=self._feed is None or any(not server.failures for server in self._feed.status().servers),
        )

    def _proved_ms(self, moment: Moment) -> int | None:
        """The end of the grace period of late messages. A server that does not answer, or has logs left to fetch, extends it."""
        if self._feed is None:
            return None
        status = self._feed.status()
        incomplete = (each for each in status.servers if each.failures or each.behind_bytes or each.last_success_ms is None)
        ends_ms = (each.last_complete_ms if each.behind_bytes else each.last_success_ms for each in incomplete)
        complete_ms = min([moment.at_ms, *(end or 0 for end in ends_ms)])
        return 0 if status.reading_back else complete_ms - LATE_MS - round(self._poll_s * 1000)

    def has_all(self, span: Span, moment: Moment) -> bool:
        """Whether the records of `span` have arrived, and what is missing is proved to be lost."""
        proved_ms = self._proved_ms(moment)
        return proved_ms is None or span.to_ms < proved_ms

    def pill(self) -> Pill:
        if self._feed is None:
            return static_pill()
        page_ms = median(self._page_delays_ms) if self._page_delays_ms else 0.0
        return live_pill(self._feed.status(), self._feed.delay(), page_ms=page_ms, now_ms=_clock_ms(), poll_s=self._poll_s)

    def status(self) -> FeedStatus | None:
        """Status of the feed; None for recorded files."""
        return None if self._feed is None else self._feed.status()

    def delay(self) -> Delay | None:
        return None if self._feed is None else self._feed.delay()

    @property
    def bounded(self) -> LiveTable | None:
        """The table of a live platform, which drops records beyond its limits; None for recorded files."""
        return self._table if isinstance(self._table, LiveTable) else None

    @property
    def unreadable(self) -> int:
        return self._table.unreadable

    @property
    def unread_logs(self) -> int:
        return len(self._table.unread)

    def _until_ms(self, recorded: Span, moment: Moment) -> int:
        """The time of the newest record while records arrive; the clock's time after a period and a poll without any.

        The clock's time alone would include seconds whose records have not arrived yet, and the audience would seem to leave.
        A record from the future does not count.
        """
        if not self.live:
            return recorded.to_ms
        silent_ms = moment.at_ms - recorded.to_ms
        latest_ms = moment.at_ms + MOVES_EVERY_MS + NOTICED_MS
        if recorded.to_ms > latest_ms:
            return moment.at_ms
        return recorded.to_ms if silent_ms < (self._period_s + self._poll_s) * 1000 else moment.at_ms


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000
