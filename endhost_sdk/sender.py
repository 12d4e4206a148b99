"""All that happens in the background thread of a process: build what is due, send what is buffered, wait.

The app's threads never touch the buffer or a connection. They only put a session into `_heard`, a SimpleQueue: the one queue of
Python that may be put into from a signal handler that interrupted another put.
"""

import logging
import math
import queue
import threading
import time
from datetime import UTC, datetime
from random import SystemRandom

from endhost_sdk.backoff import asked_s
from endhost_sdk.buffer import Batch, Buffer
from endhost_sdk.coordinators import Coordinator, Coordinators
from endhost_sdk.misfits import Misfits
from endhost_sdk.pulse import Pulse
from endhost_sdk.request import Outcome, Verdict, encode, plain, request_for, understand
from endhost_sdk.schedule import Schedule
from endhost_sdk.session import Session
from endhost_sdk.stats import Stats, Tally
from endhost_sdk.terms import Terms
from endhost_sdk.transport import Answer, Transport, Unanswered, Unreachable
from feedback_wire.message import Event

log = logging.getLogger("endhost_sdk")
# Not the functions of `random`: the app may have seeded them, and a crowd of apps with one seed would report in step. This one has
# no state that a fork could copy either.
_chance = SystemRandom().random

FLUSH_SHARE = 0.95
"""So much of `flush_s` is for sending, and the rest for the thread's own end: where no file can be opened any more, Python aborts
the whole process if it finds a daemon thread alive at its end."""

_LAST_INSTRUCTIONS_S = 0.2

BLOCKED_REASON = "blocked_on_the_way"
"""Counts messages that no coordinator has seen: each way to one lets others through, and not these."""


class Sender:
    """The one thread of a Telemetry in one process, and what only that thread may touch."""

    def __init__(self, terms: Terms, transport: Transport, misfits: Misfits, pulse: Pulse) -> None:
        self._terms = terms
        self._transport = transport
        self._misfits = misfits
        self._pulse = pulse
        # Looked up now, not when we were imported: a server may preload its app and let gevent patch the world afterwards, and then
        # Python's own queue would make every greenlet of a worker wait for what only our thread should wait for.
        self._heard: queue.SimpleQueue[Session | None] = queue.SimpleQueue()
        self._schedule = Schedule(terms.period_s)
        self._buffer = Buffer(terms.buffer_messages)
        self._coordinators = Coordinators(terms.urls)
        self._failures: dict[str, bool] = {}  # of the coordinators since the last batch was done with: whether one was blocked
        self._tally = Tally()
        self._warned: set[str] = set()
        self._ended = False
        self._ends_s = math.inf
        # Waited for instead of the thread itself, whose join() knows nothing of a gevent that came later.
        self._done = threading.Event()
        # A daemon, because no app's exit may wait for a coordinator's answer.
        self._thread = threading.Thread(target=self._run, name="endhost_sdk", daemon=True)

    def start(self) -> None:
        """RuntimeError where no thread can be started."""
        self._thread.start()
        self._pulse.start()

    def hear(self, session: Session) -> None:
        """`session` is new, or has ended. Never waits."""
        if not self._ended:
            self._heard.put(session)

    def close(self) -> None:
        """Send what is left; returns after at most `flush_s`."""
        self._pulse.stop()
        self._heard.put(None)
        if self._done.wait(self._terms.flush_s):
            # Both threads are done. A subinterpreter must not end while one of them is on its last instructions.
            self._thread.join(_LAST_INSTRUCTIONS_S)
            self._pulse.join(_LAST_INSTRUCTIONS_S)

    def stats(self) -> Stats:
        tally = self._tally
        return Stats(
            built=tally.built,
            sent=tally.sent,
            refused=tally.refused,
            refused_for=tally.refused_for.copy(),
            forgotten=self._buffer.forgotten,
            buffered=len(self._buffer),
            failed_attempts=tally.failed_attempts,
            last_failure=tally.last_failure,
        )

    def _run(self) -> None:
        try:
            while self._listen(self._idle_s()):
                self._report()
                self._deliver()
            self._flush()
            self._transport.close()
        except Exception:
            # The last line: a mistake of ours, or of the app's own transport, costs the telemetry and nothing else.
            log.exception("telemetry has ended because of an unexpected error")
        finally:
            self._pulse.stop()
            self._ended = True
            self._done.set()

    def _idle_s(self) -> float | None:
        """How long there is nothing to do but to listen; None: until something is heard."""
        moments = [self._schedule.next_s(), self._coordinators.ready_at_s() if self._buffer.has_batch else None]
        first = min((moment for moment in moments if moment is not None), default=None)
        return None if first is None else max(first - time.monotonic(), 0.0)

    def _listen(self, idle_s: float | None) -> bool:
        """Take in all that was heard, after waiting for at most `idle_s`; False when it is time to end."""
        try:
            session = self._heard.get(timeout=idle_s)
            while session is not None:
                self._take_in(session)
                session = self._heard.get_nowait()
        except queue.Empty:
            return True
        return False

    def _take_in(self, session: Session) -> None:
        if session.built == 0:
            self._schedule.add(session, time.monotonic(), _chance())
            self._build(session, "join")
        # An end that came quickly is seen already when the begin is heard; then it is heard once more.
        if session.has_left and session in self._schedule:
            self._schedule.remove(session)
            self._build(session, "leave")

    def _report(self) -> None:
        for session in self._schedule.due(time.monotonic()):
            self._build(session, "report")
        if self._misfits.first:
            self._warn("the app says what fits no feedback message", self._misfits.first)

    def _build(self, session: Session, event: Event) -> None:
        # A crowd that joins, reports or leaves at once has more messages than fit; they wait in their sessions while some are sent.
        while self._buffer.is_full and self._deliver():
            pass
        self._buffer.add(encode(session.message(event)))
        self._tally.built += 1
        if self._buffer.forgotten:
            self._warn("the oldest messages are lost", f"{len(self._buffer)} wait already, which is all that the buffer holds")

    def _deliver(self) -> bool:
        """Send one batch to the coordinator whose turn it is, if there are both; whether something came of it."""
        now_s = time.monotonic()
        coordinator, timeout_s = self._coordinators.next(now_s), min(self._terms.timeout_s, self._ends_s - now_s)
        if coordinator is None or not self._buffer.has_batch or timeout_s <= 0:
            return False
        batch = self._buffer.batch()
        body, headers = request_for(batch, self._terms.key)
        try:
            answer = self._transport.post(coordinator.url, body, headers, timeout_s)
        except Unreachable as error:
            self._failed(coordinator, plain(str(error)), None)
            self._note(coordinator, batch, blocked=isinstance(error, Unanswered))
            return False
        return self._heed(coordinator, batch, answer)

    def _heed(self, coordinator: Coordinator, batch: Batch, answer: Answer) -> bool:
        """Do what `answer` asks for; whether `batch` is done with, or a smaller one may go at once."""
        verdict = understand(answer, len(batch.lines))
        if verdict.outcome in {Outcome.FAILED, Outcome.BLOCKED}:
            self._failed(coordinator, verdict.detail, answer.retry_after)
            self._note(coordinator, batch, blocked=verdict.outcome is Outcome.BLOCKED)
            return False
        coordinator.succeeded()
        self._failures.clear()
        if verdict.outcome is Outcome.TOO_LARGE:
            self._buffer.halve(batch)
            self._tally.fail(f"{coordinator.url}: {verdict.detail}")
            return True
        self._buffer.settle(batch, told=verdict.outcome is Outcome.ACCEPTED)
        self._tally.sent += len(batch.lines) - verdict.refused_for.total()
        self._refused(coordinator, verdict)
        return True

    def _failed(self, coordinator: Coordinator, why: str, retry_after: str | None) -> None:
        asked = asked_s(retry_after, datetime.now(UTC))
        coordinator.failed(time.monotonic(), asked_s=asked, chance=_chance())
        self._tally.fail(f"{coordinator.url}: {why}")
        self._warn("a coordinator takes no messages now, they are kept", self._tally.last_failure)

    def _note(self, coordinator: Coordinator, batch: Batch, *, blocked: bool) -> None:
        """`batch` got nowhere at `coordinator`; when none of them is left to try, the buffer learns of it."""
        self._failures[coordinator.url] = blocked
        if len(self._failures) < len(set(self._terms.urls)):
            return
        everywhere, anywhere = all(self._failures.values()), any(self._failures.values())
        self._failures.clear()
        given_up = self._buffer.blocked(batch, everywhere=everywhere) if anywhere else 0
        if given_up:
            self._tally.refuse(BLOCKED_REASON, given_up)
            self._warn("messages that nothing on the way to a coordinator lets through are lost", self._tally.last_failure)

    def _refused(self, coordinator: Coordinator, verdict: Verdict) -> None:
        if not verdict.refused_for:
            return
        for reason, messages in verdict.refused_for.items():
            self._tally.refuse(reason, messages)
        self._tally.last_failure = f"{coordinator.url}: {verdict.detail}"
        self._warn("a coordinator refused messages, they are lost", self._tally.last_failure)

    def _flush(self) -> None:
        """Let every open session leave, and send what there is within `flush_s`."""
        self._ends_s = time.monotonic() + FLUSH_SHARE * self._terms.flush_s
        self._coordinators.hurry()
        self._buffer.hurry()
        for session in self._schedule.open():
            session.left()
            self._build(session, "leave")
        while self._buffer.has_batch and (left_s := self._ends_s - time.monotonic()) > 0:
            self._deliver()
            pause_s = self._coordinators.ready_at_s() - time.monotonic()
            if self._buffer.has_batch and pause_s > 0:
                time.sleep(min(pause_s, left_s))

    def _warn(self, what: str, detail: str) -> None:
        """Once for each `what`: whoever has read it looks at the counts."""
        if what not in self._warned:
            self._warned.add(what)
            log.warning("%s: %s (said once; telemetry.stats() counts on)", what, detail)
