"""How long to leave a coordinator alone. Full jitter, because a crowd that failed together must not come back together."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LEAST_S = 0.5
MOST_S = 60.0
LONGEST_ASKED_S = 3600.0
"""A coordinator may ask for a rest of an hour; more is taken for a mistake."""


def rest_s(failures: int, chance: float) -> float:
    """Seconds to wait after that many `failures` in a row (1 or more): evenly spread from 0.5 up to 1, 2, 4, ... 60.

    `chance` is a random number from 0 to 1.
    """
    # The exponent is bounded too: 2.0 ** 1024 overflows, and an outage may last for days.
    most_s = min(MOST_S, LEAST_S * 2.0 ** min(failures, 10))
    return LEAST_S + chance * (most_s - LEAST_S)


def asked_s(retry_after: str | None, now: datetime) -> float:
    """Seconds that a `Retry-After` header (RFC 9110 section 10.2.3: seconds or a date) asks for; 0 if it cannot be read."""
    if retry_after is None:
        return 0.0
    text = retry_after.strip()
    seconds = float(text) if text.isascii() and text.isdigit() else _until_s(text, now)
    return min(max(seconds, 0.0), LONGEST_ASKED_S)


def _until_s(date: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(date)
        return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    except (ValueError, OverflowError):
        return 0.0
