"""What the paper tells of the event, and what it leaves open: our reading of it, each constant in its place.

Told (its section 4.4): 17 days from July 27 to August 12, 177,245 distinct users, up to about 7,000 at once, a message each 30 s,
views of more than 40 minutes, more than an hour a day for each user, and a flash crowd around 9:30 on August 7. It also tells of a
few thousand new users each day, but 177,245 over 17 days are 10,426 a day: the sum is kept.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

HONG_KONG = timezone(timedelta(hours=8))
OPENING = datetime(2012, 7, 27, tzinfo=HONG_KONG)
DAYS = 17
USERS = 177_245
PERIOD_MS = 30_000
DAY_MS = 86_400_000
MINUTE_MS = 60_000
CLOSING_MS = 2_000
END_MS = round(OPENING.timestamp() * 1000) + DAYS * DAY_MS - CLOSING_MS
"""When the broadcast ends for everybody: so shortly before midnight that every leave is received on the last day."""

# How the days differ in new users: the opening night, two weekends, fewer and fewer who have not come yet.
NEW_BY_DAY = (0.72, 1.22, 1.25, 1.10, 1.08, 1.10, 1.06, 1.04, 1.16, 1.18, 1.00, 1.02, 0.96, 0.92, 0.88, 0.90, 0.86)
RETURNING = 0.5
"""Users who were there before, as a share of a mean day's new ones; they need some days to become that many."""

# Arrivals by hour in Hong Kong: London's finals are its late evening, replays its breakfast.
ARRIVALS_BY_HOUR = (50, 35, 22, 14, 8, 5, 6, 13, 24, 28, 24, 22, 26, 26, 24, 26, 32, 40, 50, 60, 66, 72, 74, 64)

VIEWS_MORE = 0.5
"""Views of a user on a day beyond the first, on average."""
VIEW_MEDIAN_S, VIEW_SIGMA = 2200.0, 0.65
"""Log-normal with a mean of 45 minutes; those that midnight cuts in two make it a little less a day."""
AWAY_S = 1500.0

TROUBLE = 0.8
"""How often lines stall, compared to the live simulation's: every day's continuity was above 0.988, the crowd's day too."""

CROWD_DAY = 11
CROWD_AT_MS = (9 * 60 + 30) * MINUTE_MS
CROWD_COMES_S = 45.0
CROWD_STAYS_S = 1200.0
CROWD_LASTS_S = 300.0
"""After this time a third of the crowd's pressure on everybody is left."""
MOST_AT_ONCE = 6_900
"""Who is there when the crowd has come; the next minutes add some dozens."""

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
    """The days of an event with that share of the users; ValueError for a share that leaves nobody on a day."""
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
