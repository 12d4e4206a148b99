"""When each session's next report is due: a random part of the period after its join, then every period, so that a crowd that came
together does not report in step."""

import heapq
from collections.abc import Iterator
from itertools import count

from endhost_sdk.session import Session


class Schedule:
    """Open sessions by the time of their next report; `now_s` is any clock that never runs backwards."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._due: list[tuple[float, int, Session]] = []
        self._known: set[Session] = set()
        self._order = count()

    def __contains__(self, session: Session) -> bool:
        return session in self._known

    def add(self, session: Session, now_s: float, chance: float) -> None:
        """`chance` is a random number from 0 to 1: the phase."""
        self._known.add(session)
        self._push(session, now_s + chance * self._period_s)

    def remove(self, session: Session) -> None:
        self._known.discard(session)

    def open(self) -> list[Session]:
        return list(self._known)

    def next_s(self) -> float | None:
        """When the next report is due; None if there is no session."""
        return self._due[0][0] if self._due else None

    def due(self, now_s: float) -> Iterator[Session]:
        """The sessions that are to report now, each put back for its next time."""
        while self._due and self._due[0][0] <= now_s:
            due_s, _, session = heapq.heappop(self._due)
            if session not in self._known:
                continue
            # Whoever slept through some periods reports once and keeps its phase.
            missed = (now_s - due_s) // self._period_s
            self._push(session, due_s + (missed + 1) * self._period_s)
            yield session

    def _push(self, session: Session, due_s: float) -> None:
        heapq.heappush(self._due, (due_s, next(self._order), session))
