"""Which session of a plan runs next, and how far the plan is. Pure: the plan and the journal decide.

A session that failed is queued again in its place: it keeps its number, its limit and its block, and runs before later numbers, so
that its block stays together in time. After MOST_FAILURES failures it is given up. An attempt that a pause or a crash interrupted
does not count as a failure.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from feedback_wire.trainings import LimitProgress, SessionProgress, SessionStatus
from qoe_lab.running.session_journal import StatusChange
from qoe_lab.training_plan import PlannedSession

MOST_FAILURES = 3
INTERRUPTED = "interrupted"
"""The reason of a session that ran when its training was paused or crashed."""


class SessionQueue:
    """The planned sessions with their attempts. `apply` takes each change of the journal, in order."""

    def __init__(self, plan: Sequence[PlannedSession], changes: Iterable[StatusChange] = ()) -> None:
        self.plan = plan
        self._latest: dict[int, StatusChange] = {}
        self._failures: Counter[int] = Counter()
        self._settled: set[int] = set()
        self.discarded: Counter[str] = Counter()
        """Discarded attempts by reason."""
        self._took_ms: dict[int, int] = {}
        """How long each captured session took."""
        self._running: set[int] = set()
        self._at_once = 1
        """The most sessions that have run at the same time."""
        self._first_waiting = 0
        """No session before this number waits, unless one of them fails."""
        for change in changes:
            self.apply(change)

    def apply(self, change: StatusChange) -> None:
        """ValueError if the change belongs to another plan."""
        if not 0 <= change.number < len(self.plan):
            raise ValueError(f"the journal has session {change.number}, and the plan has {len(self.plan)} sessions")
        before = self._latest.get(change.number)
        self._latest[change.number] = change
        self._running.discard(change.number)
        if change.status == SessionStatus.UNDER_CAPTURING:
            self._running.add(change.number)
            self._at_once = max(self._at_once, len(self._running))
        elif change.status == SessionStatus.CAPTURED:
            self._settled.add(change.number)
            if before is not None:
                self._took_ms[change.number] = change.wall_ms - before.wall_ms
        elif change.status == SessionStatus.DISCARDED:
            self.discarded[change.reason or "unknown"] += 1
            self._failures[change.number] += change.reason != INTERRUPTED
            if self._failures[change.number] >= MOST_FAILURES:
                self._settled.add(change.number)
            self._first_waiting = min(self._first_waiting, change.number)

    def next(self) -> PlannedSession | None:
        """The next session to run; None if none waits now."""
        while self._first_waiting < len(self.plan):
            number = self._first_waiting
            if number not in self._settled and self._status(number) != SessionStatus.UNDER_CAPTURING:
                return self.plan[number]
            self._first_waiting += 1
        return None

    def attempt_of(self, number: int) -> int:
        """The number of the latest attempt; 0 before the first."""
        return self._latest[number].attempt if number in self._latest else 0

    def running(self) -> list[StatusChange]:
        """The attempts that are under capturing. After a crash: those that it interrupted."""
        return [self._latest[number] for number in sorted(self._running)]

    @property
    def captured(self) -> int:
        return sum(change.status == SessionStatus.CAPTURED for change in self._latest.values())

    @property
    def given_up(self) -> int:
        return len(self._settled) - self.captured

    @property
    def is_done(self) -> bool:
        """Whether each planned session is captured or given up."""
        return len(self._settled) == len(self.plan)

    def remaining_s(self, usual_s: float, is_alone: Callable[[PlannedSession], bool] = lambda _: False) -> float:
        """Expected time to the end. `usual_s` is that of a session before one of its kind was captured.

        `is_alone`: whether no other session may run beside a session. Such sessions also take longer: browsers start slowly.
        """
        alone = [each for each in self.plan if is_alone(each)]
        others = [each for each in self.plan if not is_alone(each)]
        return self._together_s(alone, usual_s) + self._together_s(others, usual_s) / self._at_once

    def _together_s(self, sessions: Sequence[PlannedSession], usual_s: float) -> float:
        """How long those of the sessions that are not settled will take, one after the other."""
        took_ms = [self._took_ms[each.number] for each in sessions if each.number in self._took_ms]
        each_s = sum(took_ms) / len(took_ms) / 1000 if took_ms else usual_s
        return each_s * sum(each.number not in self._settled for each in sessions)

    def limits(self) -> tuple[LimitProgress, ...]:
        """Planned and captured sessions of each limit, in ascending order."""
        planned = Counter(session.limit_mbps for session in self.plan)
        captured = Counter(session.limit_mbps for session in self.plan if self._status(session.number) == SessionStatus.CAPTURED)
        return tuple(LimitProgress(limit_mbps=limit, planned=planned[limit], captured=captured[limit]) for limit in sorted(planned))

    def sessions(self) -> list[SessionProgress]:
        """Each planned session with its latest attempt, in the order of the plan."""
        return [self._progress(session, self._latest.get(session.number)) for session in self.plan]

    def _progress(self, session: PlannedSession, latest: StatusChange | None) -> SessionProgress:
        if latest is None:
            status = SessionStatus.NOT_CAPTURED
            return SessionProgress(
                number=session.number, block=session.block, limit_mbps=session.limit_mbps, attempt=0, status=status
            )
        return SessionProgress(
            number=session.number,
            block=session.block,
            limit_mbps=session.limit_mbps,
            attempt=latest.attempt,
            status=latest.status,
            session_id=latest.session_id,
            reason=latest.reason,
            detail=latest.detail,
            changed_ms=latest.wall_ms,
        )

    def _status(self, number: int) -> SessionStatus:
        return self._latest[number].status if number in self._latest else SessionStatus.NOT_CAPTURED
