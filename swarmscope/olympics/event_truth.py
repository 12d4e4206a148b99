"""The true measures per day, computed from the columns of the messages without any code of the monitoring platform.

Sums use whole numbers (shares in units of their last digit), so the days add up exactly. Only means and MOS are floats.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedback_analysis.time_units import DAY_MS, MINUTE_MS
from swarmscope.olympics.message_columns import MessageColumns
from swarmscope.olympics.planned_views import Whole
from swarmscope.olympics.programme import CROWD_DAY, PERIOD_MS, Day

SHARE = 10_000
_MINUTES = DAY_MS // MINUTE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class DayMessages:
    """The messages of a day, with the peer and view of each. Their numbers are unique in the whole event."""

    peer: Whole
    view: Whole
    columns: MessageColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTruth:
    """Sums of one day. `peers` are distinct; `minutes` (on the day of the flash crowd) are pairs of concurrent peers
    and mean MOS.
    """

    day: Day
    peers: Whole
    messages: int
    reports: int
    views: int
    online_ms: int
    upload: int
    download: int
    playback: int
    continuity: int
    mos: float
    minutes: list[tuple[int, float | None]] = field(default_factory=list)

    def numbers(self, *, new: int, cumulative: int) -> dict[str, Any]:
        """The measures for the JSON file, in users, seconds, kbit/s, shares and MOS."""
        return {
            "date": self.day.date,
            "new_users": new,
            "total_users": len(self.peers),
            "cumulative_users": cumulative,
            "messages": self.messages,
            "views": self.views,
            "online_s_per_view": self.online_ms / self.views / 1000,
            "online_s_per_user": self.online_ms / len(self.peers) / 1000,
            "upload_kbps": self.upload / self.reports,
            "download_kbps": self.download / self.reports,
            "continuity": self.continuity / self.reports / SHARE,
            "mos": self.mos / self.reports,
        }


def truth_of(day: Day, messages: DayMessages) -> DayTruth:
    """The measures of the messages received on `day`."""
    columns = messages.columns
    reported = columns.take(columns.reports)
    scores = mos(reported)
    return DayTruth(
        day=day,
        peers=np.unique(messages.peer),
        messages=len(messages.peer),
        reports=len(scores),
        views=len(np.unique(messages.view)),
        online_ms=_online_ms(messages),
        upload=int(reported.upload_kbps.sum()),
        download=int(reported.download_kbps.sum()),
        playback=int(reported.playback_kbps.sum()),
        continuity=int(np.rint(reported.continuity * SHARE).astype(np.int64).sum()),
        mos=float(scores.sum()),
        minutes=_minutes(day, messages, scores) if day.number == CROWD_DAY else [],
    )


def mos(messages: MessageColumns) -> NDArray[np.float64]:
    """Equation 1 of the paper, shifted by -1 so that its maximum is 5, and limited to the range 1 to 5."""
    bare = -5 * (1 - messages.continuity) + 4 * (1 - np.exp(-0.0015 * messages.playback_kbps)) + 2
    scores: NDArray[np.float64] = np.clip(bare - 1, 1, 5)
    return scores


def event_numbers(days: list[DayTruth]) -> dict[str, Any]:
    """The measures of the whole event. `days` are in order."""
    seen = np.array([], dtype=np.int64)
    each = []
    for day in days:
        known = len(seen)
        seen = np.union1d(seen, day.peers)
        each.append(day.numbers(new=len(seen) - known, cumulative=len(seen)))
    reports = sum(day.reports for day in days)
    minutes = days[CROWD_DAY].minutes
    return {
        "messages": sum(day.messages for day in days),
        "peers": len(seen),
        "contribution_ratio": sum(day.upload for day in days) / sum(day.download for day in days),
        "upload_kbps": sum(day.upload for day in days) / reports,
        "download_kbps": sum(day.download for day in days) / reports,
        "playback_kbps": sum(day.playback for day in days) / reports,
        "continuity": sum(day.continuity for day in days) / reports / SHARE,
        "mos": sum(day.mos for day in days) / reports,
        "most_at_once": max(concurrent for concurrent, _ in minutes),
        "days": each,
        "minutes": {
            "date": days[CROWD_DAY].day.date,
            "concurrent_peers": [concurrent for concurrent, _ in minutes],
            "mos": [score for _, score in minutes],
        },
    }


def _online_ms(messages: DayMessages) -> int:
    """The sum over all views of the time between the first and last message of the day."""
    order = np.lexsort((messages.columns.uptime_ms, messages.view))
    view, uptime_ms = messages.view[order], messages.columns.uptime_ms[order]
    first = np.flatnonzero(np.diff(view, prepend=view[0] - 1))
    last = np.append(first[1:], len(view)) - 1
    return int((uptime_ms[last] - uptime_ms[first]).sum())


def _minutes(day: Day, messages: DayMessages, scores: NDArray[np.float64]) -> list[tuple[int, float | None]]:
    """For each minute: the distinct peers with a message in the period before its end, and the mean MOS of the minute."""
    at_ms = messages.columns.received_ms - day.begins_ms
    minute = at_ms[messages.columns.reports] // MINUTE_MS
    scored = np.bincount(minute, minlength=_MINUTES)
    summed = np.bincount(minute, weights=scores, minlength=_MINUTES)
    concurrent = []
    for end_ms in range(MINUTE_MS, DAY_MS + 1, MINUTE_MS):
        lately = (at_ms > end_ms - PERIOD_MS) & (at_ms <= end_ms)
        concurrent.append(len(np.unique(messages.peer[lately])))
    means = [float(total / count) if count else None for total, count in zip(summed, scored, strict=True)]
    return list(zip(concurrent, means, strict=True))
