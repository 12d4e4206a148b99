"""Parses a time from the command line or a URL: ISO 8601, or Unix milliseconds.

A number in another unit is refused, because it would silently mean another time: 1700000000 is in November 2023 as seconds, and in
January 1970 as milliseconds. An offset that no time zone has, such as +25:00, is refused as well: it is a mistake in writing.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo

# The year 33658: milliseconds of more than 15 digits are a mistake.
END_OF_TIME_MS = 10**15

# 12 digits of milliseconds begin in March 1973. As seconds, 9 to 11 digits are the years 1973 to 5138.
_LEAST_DIGITS = 12
_MOST_DIGITS = 15
_DATE_DIGITS = len("20120807")

# No time zone of today differs by more than 14 hours from UTC (Kiribati).
_MOST_OFFSET_MINUTES = 14 * 60
_OFFSET = re.compile(r"[T ].*?[-+](?P<hours>\d\d)(?::?(?P<minutes>\d\d))?(?P<seconds>:?\d\d)?", re.ASCII)
_NAMES_A_ZONE = re.compile(r"[T ][\d:.,\s]*\d\s*[-+A-Za-z]", re.ASCII)
_CLOCK = re.compile(r"[T ]\s*(\d\d?):(\d\d)", re.ASCII)

_EXAMPLE = "2012-08-07T09:30Z"
_WRITE = f"write {_EXAMPLE} or Unix milliseconds"


def unix_ms(text: str, zone: tzinfo = UTC) -> int:
    """The time in `text` as Unix ms, in `zone` unless the text names a zone; ValueError with what to write instead."""
    if text.isascii() and text.isdecimal() and len(text) != _DATE_DIGITS:
        return _milliseconds(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is not a time; {_WRITE}") from error
    check_offset(text)
    try:
        return round((moment if moment.tzinfo else _in_zone(moment, zone)).timestamp() * 1000)
    except OverflowError as error:
        raise ValueError(f"{text!r} is beyond the calendar; {_WRITE}") from error


def check_offset(text: str) -> None:
    """ValueError if the time `text` has an offset from UTC that no time zone has."""
    found = _OFFSET.search(text)
    if found is None:
        return
    minutes = int(found["minutes"] or 0)
    if int(found["hours"]) * 60 + minutes > _MOST_OFFSET_MINUTES or minutes >= 60 or found["seconds"]:
        raise ValueError(f"{text[:40]!r} has no valid offset from UTC; write one from -14:00 to +14:00, such as +08:00")


def check_local(text: str, at_ms: int, zone: tzinfo) -> None:
    """ValueError if `text`, which another parser read in `zone` as `at_ms`, is a local time that does not exist or occurs twice.

    A text that names a zone itself, and a number, are no local times.
    """
    clock = _CLOCK.search(text)
    if clock is None or _NAMES_A_ZONE.search(text):
        return
    local = datetime.fromtimestamp(at_ms / 1000, zone).replace(tzinfo=None)
    # Another parser moves a time that does not exist past the skipped minutes, which are less than half a day.
    moved = local.hour * 60 + local.minute - int(clock[1]) * 60 - int(clock[2])
    _in_zone(local - timedelta(minutes=(moved + 720) % 1440 - 720), zone)


def _milliseconds(digits: str) -> int:
    if _LEAST_DIGITS <= len(digits) <= _MOST_DIGITS or digits == "0":
        return int(digits)
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"{digits[:40]!r} is too large for Unix milliseconds, which have 13 digits today; {_WRITE}")
    if len(digits) > _DATE_DIGITS:
        raise ValueError(f"{digits!r} looks like Unix seconds; write Unix milliseconds ({digits}000) or a time such as {_EXAMPLE}")
    raise ValueError(f"{digits!r} is not a time; {_WRITE}")


def _in_zone(moment: datetime, zone: tzinfo) -> datetime:
    """`moment` as local time of `zone`; ValueError if this local time does not exist or occurs twice."""
    first, second = moment.replace(tzinfo=zone, fold=0), moment.replace(tzinfo=zone, fold=1)
    offset, other = first.utcoffset(), second.utcoffset()
    if offset == other or offset is None or other is None:
        return first
    if offset < other:
        raise ValueError(f"{moment.isoformat()} does not exist in {zone}: clocks are set forward then; write a later time")
    raise ValueError(
        f"{moment.isoformat()} occurs twice in {zone}: clocks are set back; write {first.isoformat()} or {second.isoformat()}"
    )
