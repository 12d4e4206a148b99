"""How long to wait before the next request to a coordinator. Full jitter, because end hosts that failed together must
not retry together.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LEAST_S = 0.5
MOST_S = 60.0
LONGEST_ASKED_S = 3600.0
"""A longer `Retry-After` is limited to one hour."""


def rest_s(failures: int, chance: float) -> float:
    """Seconds to wait after this number of consecutive `failures` (1 or more): evenly distributed from 0.5 to 1, 2, 4, ... 60.

    `chance` is a random number from 0 to 1.
    """
    # The exponent is limited, because 2.0 ** 1024 overflows, and an outage can last for days.
    most_s = min(MOST_S, LEAST_S * 2.0 ** min(failures, 10))
    return LEAST_S + chance * (most_s - LEAST_S)


def asked_s(retry_after: str | None, now: datetime) -> float:
    """The seconds in a `Retry-After` header (RFC 9110 section 10.2.3: seconds or a date); 0 if the header is invalid."""
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
