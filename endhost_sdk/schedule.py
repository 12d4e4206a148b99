"""The time of each session's next report: after a random part of the first period, then once per period. The random part prevents
that sessions which begin together report together.
"""

import heapq
from collections.abc import Iterator
from itertools import count
from math import inf

from endhost_sdk.session import Session

_MOST_OUT_OF_DATE = 100


class Schedule:
    """Open sessions, ordered by the time of their next report. `now_s` is on a clock that never runs backwards."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._due: list[tuple[float, int, Session]] = []
        self._known: dict[Session, float] = {}
        """The time of each session's next report. Entries of `_due` with another time are out of date."""
        self._hurried_s: dict[Session, float] = {}
        self._order = count()

    def __contains__(self, session: Session) -> bool:
        return session in self._known

    def add(self, session: Session, now_s: float, chance: float) -> None:
        """Add a session. `chance` is a random number from 0 to 1 for the first report."""
        self._push(session, now_s + chance * self._period_s)

    def remove(self, session: Session) -> None:
        self._known.pop(session, None)
        self._hurried_s.pop(session, None)
        # Sessions that left must not stay in memory until their report would be due, which may be a day.
        if len(self._due) > 2 * len(self._known) + _MOST_OUT_OF_DATE:
            self._due = [entry for entry in self._due if self._known.get(entry[2]) == entry[0]]
            heapq.heapify(self._due)

    def hurry(self, session: Session, now_s: float, due_s: float) -> None:
        """Report at `due_s` already. No effect if a report is due earlier, or if the last request is less than a period old."""
        if session not in self._known or now_s < self._hurried_s.get(session, -inf) + self._period_s:
            return
        self._hurried_s[session] = now_s
        if due_s < self._known[session]:
            self._push(session, due_s)

    def open(self) -> list[Session]:
        return list(self._known)

    def next_s(self) -> float | None:
        """The time of the next report; None if there is no session."""
        return self._due[0][0] if self._due else None

    def due(self, now_s: float) -> Iterator[Session]:
        """The sessions whose report is due. Their next reports are scheduled."""
        while self._due and self._due[0][0] <= now_s:
            due_s, _, session = heapq.heappop(self._due)
            if self._known.get(session) != due_s:
                continue
            # After missed periods, a session reports once and keeps its phase.
            missed = (now_s - due_s) // self._period_s
            self._push(session, due_s + (missed + 1) * self._period_s)
            yield session

    def _push(self, session: Session, due_s: float) -> None:
        self._known[session] = due_s
        heapq.heappush(self._due, (due_s, next(self._order), session))
