"""How long a history is kept: whole days of UTC, the last of which is not over.

Live it is the clock that says which day it is, so that nothing stays because nobody reports any more. Recorded files end when they
end: there it is the last message.
"""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from monitor_platform.history.store import Forgotten, HistoryStore, extent

log = logging.getLogger(__name__)

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The last `days` are kept; None: all."""

    days: int | None = None
    live: bool = True

    def apply(self, store: HistoryStore) -> Forgotten:
        """Drop the days that are too old, and say so in the log."""
        before_ms = self._before_ms(store)
        begins_ms = store.begins_ms() if before_ms is not None else None
        if before_ms is None or begins_ms is None or begins_ms >= before_ms:
            return Forgotten()
        gone = store.forget_before(before_ms)
        day = datetime.fromtimestamp(before_ms / 1000, UTC).date()
        log.warning("history: %d days before %s dropped, with the sums of %d messages", gone.days, day, gone.messages)
        return gone

    def _before_ms(self, store: HistoryStore) -> int | None:
        if self.days is None:
            return None
        kept = None if self.live else extent(store)
        if self.live:
            return first_day_ms(time.time_ns() // 1_000_000, self.days)
        return None if kept is None else first_day_ms(kept.to_ms - 1, self.days)


def first_day_ms(now_ms: int, days: int) -> int:
    """When the first of the last `days` began."""
    return (now_ms // DAY_MS - days + 1) * DAY_MS


KEEP_ALL = Retention()
