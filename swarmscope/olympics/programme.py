"""The programme of the event: the paper's figures, and our assumptions where the paper states none.

The paper (section 4.4) states 17 days from July 27 to August 12, 177,245 distinct users, up to about 7,000 users at once, a message
every 30 s, views of more than 40 minutes, more than an hour per user and day, and a flash crowd around 9:30 on August 7. It also
states a few thousand new users each day. 177,245 users in 17 days are 10,426 per day, so the simulation keeps the total.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from feedback_analysis.time_units import DAY_MS, MINUTE_MS

HONG_KONG = timezone(timedelta(hours=8))
OPENING = datetime(2012, 7, 27, tzinfo=HONG_KONG)
DAYS = 17
USERS = 177_245
PERIOD_MS = 30_000
CLOSING_MS = 2_000
END_MS = round(OPENING.timestamp() * 1000) + DAYS * DAY_MS - CLOSING_MS
"""The end of the broadcast. It is shortly before midnight, so each leave is received on the last day."""

# Relative number of new users per day: the opening night, two weekends, and a decline because most users have come already.
NEW_BY_DAY = (0.72, 1.22, 1.25, 1.10, 1.08, 1.10, 1.06, 1.04, 1.16, 1.18, 1.00, 1.02, 0.96, 0.92, 0.88, 0.90, 0.86)
RETURNING = 0.5
"""Returning users per day, relative to the new users of a mean day. The first days have fewer."""

# Relative arrivals per hour in Hong Kong. London's finals are in the late evening there, and replays are in the morning.
ARRIVALS_BY_HOUR = (50, 35, 22, 14, 8, 5, 6, 13, 24, 28, 24, 22, 26, 26, 24, 26, 32, 40, 50, 60, 66, 72, 74, 64)

MORE_VIEWS = 0.5
"""Mean number of further views per user and day, after the first."""
VIEW_MEDIAN_S, VIEW_SIGMA = 2200.0, 0.65
"""Log-normal with a mean of 45 minutes. Views that midnight divides make the mean per day slightly shorter."""
AWAY_S = 1500.0

TROUBLE = 0.8
"""Frequency of stalls, relative to the live simulation. The paper's continuity is above 0.988 on each day, even with the crowd."""

CROWD_DAY = 11
CROWD_AT_MS = (9 * 60 + 30) * MINUTE_MS
CROWD_COMES_S = 45.0
CROWD_STAYS_S = 1200.0
CROWD_LASTS_S = 300.0
"""The effect of the flash crowd decays exponentially: after this time, 1/e (about a third) is left."""
MOST_CONCURRENT = 6_900
"""Concurrent users after the arrival of the flash crowd. The next minutes add a few dozen."""

SERVERS = ("fs1", "fs2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day of the event, from midnight to midnight in Hong Kong; `new` and `returning` are users."""

    number: int
    new: int
    first_new: int
    returning: int

    @property
    def begins_ms(self) -> int:
        return round(OPENING.timestamp() * 1000) + self.number * DAY_MS

    @property
    def date(self) -> str:
        return (OPENING + timedelta(days=self.number)).date().isoformat()


def programme(scale: float) -> tuple[Day, ...]:
    """The days of an event with this share of the users; ValueError for a share that leaves a day without users."""
    if not 0.001 <= scale <= 1:
        raise ValueError(f"--scale is {scale:g}; it needs a share of the {USERS:,} users from 0.001 to 1, such as 0.01")
    users = round(USERS * scale)
    shares = [sum(NEW_BY_DAY[:number]) / sum(NEW_BY_DAY) for number in range(DAYS + 1)]
    firsts = [round(users * share) for share in shares]
    returning = users / DAYS * RETURNING
    return tuple(
        Day(
            number=number,
            new=firsts[number + 1] - firsts[number],
            first_new=firsts[number],
            returning=min(firsts[number], round(returning * min(1.0, number / 3))),
        )
        for number in range(DAYS)
    )
