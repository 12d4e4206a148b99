"""Hours, days, months and years of a time zone, as periods of whole hours of the history.

The history has sums of whole UTC hours. In a zone with an offset such as +05:30, a day begins with the UTC hour that is nearest to
its midnight (at most 30 minutes away), and hours are those of UTC.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from feedback_analysis.measures.selection import Span
from feedback_analysis.time_units import HOUR_MS

Unit = Literal["hour", "day", "month", "year"]
UNITS: tuple[Unit, ...] = get_args(Unit)
DAYS = UNITS[1:]
"""The units of the daily table and of the table of ISPs."""
MOST_PERIODS = 200_000
"""The hours of 22 years; a query for more is a mistake."""

_LAST_MS = 253_370_764_800_000
"""The year 9999, where calendars end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """`begins_ms[i]` to `begins_ms[i + 1]` is the period called `names[i]`; there is one more begin than names."""

    begins_ms: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def span(self) -> Span:
        return Span(self.begins_ms[0], self.begins_ms[-1])

    def at(self, moment_ms: int) -> int:
        """The number of the period that contains `moment_ms`."""
        return bisect_right(self.begins_ms, moment_ms) - 1

    @property
    def by_hour(self) -> dict[int, int]:
        """The number of the period by hour since 1970."""
        return {hour: self.at(hour * HOUR_MS) for hour in range(self.begins_ms[0] // HOUR_MS, self.begins_ms[-1] // HOUR_MS)}

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters of `JOINED`."""
        by_hour = self.by_hour
        return {"hours": list(by_hour), "steps": list(by_hour.values())}


JOINED = "JOIN (SELECT unnest($hours)::INTEGER AS hour, unnest($steps)::INTEGER AS step) AS steps USING (hour)"
"""SQL: adds the column `step`, the number of the period that contains a row's hour."""


@lru_cache(maxsize=100)
def periods(span: Span, unit: Unit, zone: str = "UTC") -> Periods:
    """The whole periods that cover `span`; ValueError for an unknown zone."""
    clock = zone_of(zone)
    begin = _begin(min(span.from_ms, _LAST_MS), unit, clock)
    if _ms(_next(begin, unit, clock)) <= span.from_ms:  # the span begins between the whole hour and midnight
        begin = _next(begin, unit, clock)
    elif _ms(begin) > span.from_ms:
        begin = _begin(span.from_ms - HOUR_MS, unit, clock)
    begins = [begin]
    while _ms(begins[-1]) < min(span.to_ms, _LAST_MS) or len(begins) < 2:
        begins.append(_next(begins[-1], unit, clock))
        if len(begins) > MOST_PERIODS:
            raise ValueError(f"the range holds more than {MOST_PERIODS:,} periods; choose a shorter one or a longer unit")
    return Periods(begins_ms=tuple(map(_ms, begins)), names=tuple(_name(each, unit) for each in begins[:-1]))


def offset_note(begin_ms: int, zone: str) -> str:
    """Text that names the local time at which days begin, if that is not midnight; `begin_ms`: the start of one."""
    begin = datetime.fromtimestamp(begin_ms / 1000, zone_of(zone))
    if not begin.minute:
        return ""
    return f"days in {zone} begin at {begin:%H:%M}, because the history has sums of whole UTC hours"


def zone_of(name: str) -> ZoneInfo:
    """The time zone called `name`, such as Asia/Hong_Kong; ValueError if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone; use one such as UTC or Asia/Hong_Kong") from error


def _begin(ms: int, unit: Unit, clock: ZoneInfo) -> datetime:
    if unit == "hour":
        return datetime.fromtimestamp(ms // HOUR_MS * HOUR_MS / 1000, clock)
    day = datetime.fromtimestamp(ms / 1000, clock).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return day if unit == "day" else day.replace(day=1) if unit == "month" else day.replace(day=1, month=1)


def _next(begin: datetime, unit: Unit, clock: ZoneInfo) -> datetime:
    if unit == "hour":  # in UTC, because local hours may be skipped or repeated
        return (begin.astimezone(UTC) + timedelta(hours=1)).astimezone(clock)
    if unit == "day":
        return begin + timedelta(days=1)
    if unit == "month" and begin.month < 12:
        return begin.replace(month=begin.month + 1)
    return begin.replace(year=begin.year + 1, month=1)


def _name(begin: datetime, unit: Unit) -> str:
    if unit == "hour":
        return begin.isoformat(timespec="minutes")
    return begin.strftime({"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}[unit])


def _ms(at: datetime) -> int:
    """The whole UTC hour that is nearest to `at`; the earlier one of two."""
    return -((HOUR_MS // 2 - round(at.timestamp() * 1000)) // HOUR_MS) * HOUR_MS
