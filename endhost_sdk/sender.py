"""The background thread of a process: it builds messages that are due, sends buffered messages, and waits.

The app's threads never use the buffer or a connection. They only put sessions into `_changed`, a SimpleQueue: Python's only queue
whose `put` is safe in a signal handler that interrupted another `put`.
"""

import logging
import math
import queue
import threading
import time
from datetime import UTC, datetime
from random import SystemRandom

from endhost_sdk.background_thread import background_thread, is_subinterpreter
from endhost_sdk.backoff import asked_s
from endhost_sdk.buffer import Buffer, MessageBatch
from endhost_sdk.coordinators import Coordinator, Coordinators
from endhost_sdk.invalid_values import InvalidValues
from endhost_sdk.request import DeliveryOutcome, Verdict, encode, interpret, plain, request_for
from endhost_sdk.schedule import Schedule
from endhost_sdk.session import Session
from endhost_sdk.stats import SenderCounts, Stats
from endhost_sdk.stop_detector import StopDetector
from endhost_sdk.telemetry_settings import TelemetrySettings
from endhost_sdk.transport import Answer, Transport, Unanswered, Unreachable
from feedback_wire.message import Event

log = logging.getLogger("endhost_sdk")
# Not the functions of `random`: if apps seed them identically, all apps report at the same time. SystemRandom also has no state
# that a fork could copy.
_chance = SystemRandom().random

FLUSH_SHARE = 0.95
"""The share of `flush_s` for sending. The rest is for the end of the thread: if no more files can be opened, Python aborts the
process when a daemon thread is alive at exit."""

SOON_S = 1.0
"""A report that the app asks for comes after a random part of this time: many end hosts may notice the same event."""

_LAST_INSTRUCTIONS_S = 0.2

BLOCKED_REASON = "blocked_on_the_way"
"""The reason for messages that no coordinator received: each path lets other messages pass, but not these."""


class Sender:
    """The thread of a `Telemetry` in one process, with the state that only this thread uses."""

    def __init__(
        self, settings: TelemetrySettings, transport: Transport, invalid_values: InvalidValues, stop_detector: StopDetector
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._invalid_values = invalid_values
        self._stop_detector = stop_detector
        # `queue.SimpleQueue` is looked up here and not at import, because a server can preload the app and apply gevent's patches
        # later. With the unpatched queue, all greenlets of a worker would wait when this thread waits.
        self._changed: queue.SimpleQueue[Session | None] = queue.SimpleQueue()
        self._hurried: set[Session] = set()
        self._schedule = Schedule(settings.period_s)
        self._buffer = Buffer(settings.buffer_messages)
        self._coordinators = Coordinators(settings.urls)
        self._failures: dict[str, bool] = {}  # per coordinator, since the last settled batch: whether the path was blocked
        self._counts = SenderCounts()
        self._warned: set[str] = set()
        self._ended = False
        self._ends_s = math.inf
        # close() waits for this event, because join() of an unpatched thread does not work after gevent's patches.
        self._done = threading.Event()
        # A daemon thread, because the app's exit must not wait for a coordinator.
        self._thread = background_thread("endhost_sdk", self._run)
        self._must_end = is_subinterpreter()

    def start(self) -> None:
        """Start the thread; RuntimeError if no thread can be started."""
        self._thread.start()
        self._stop_detector.start()

    def notify(self, session: Session) -> None:
        """Notify the thread that `session` is new or has ended. Never waits."""
        if not self._ended:
            self._changed.put(session)

    def hurry(self, session: Session) -> None:
        """Notify the thread that the next report of `session` should be sent soon. Never waits."""
        self._hurried.add(session)
        self.notify(session)

    def close(self) -> None:
        """Send the remaining messages. Returns after at most `flush_s`, in a subinterpreter when the last request has ended."""
        self._stop_detector.stop()
        self._changed.put(None)
        if self._done.wait(None if self._must_end else self._settings.flush_s):
            last_instructions_s = None if self._must_end else _LAST_INSTRUCTIONS_S
            self._thread.join(last_instructions_s)
            self._stop_detector.join(last_instructions_s)

    def stats(self) -> Stats:
        counts = self._counts
        return Stats(
            built=counts.built,
            sent=counts.sent,
            refused=counts.refused,
            refused_for=counts.refused_for.copy(),
            forgotten=self._buffer.forgotten,
            buffered=len(self._buffer),
            failed_attempts=counts.failed_attempts,
            last_failure=counts.last_failure,
        )

    def _run(self) -> None:
        try:
            while self._listen(self._idle_s()):
                self._report()
                self._deliver()
            self._flush()
            self._transport.close()
        except Exception:
            # A bug in the SDK or in the app's transport ends the telemetry, but not the app.
            log.exception("telemetry has ended because of an unexpected error")
        finally:
            self._stop_detector.stop()
            self._ended = True
            self._done.set()

    def _idle_s(self) -> float | None:
        """The time until the next work; None if only a notification can bring work."""
        moments = [self._schedule.next_s(), self._coordinators.ready_at_s() if self._buffer.has_batch else None]
        first = min((moment for moment in moments if moment is not None), default=None)
        return None if first is None else max(first - time.monotonic(), 0.0)

    def _listen(self, idle_s: float | None) -> bool:
        """Wait for at most `idle_s` and process all notifications; False when the thread must end."""
        try:
            session = self._changed.get(timeout=idle_s)
            while session is not None:
                self._process(session)
                session = self._changed.get_nowait()
        except queue.Empty:
            return True
        return False

    def _process(self, session: Session) -> None:
        if session.built == 0:
            self._schedule.add(session, time.monotonic(), _chance())
            self._build(session, "join")
        if session in self._hurried:
            self._hurried.discard(session)
            now_s = time.monotonic()
            self._schedule.hurry(session, now_s, now_s + _chance() * SOON_S)
        # If a session ends quickly, the notification of its begin already shows the end, and the second one changes nothing.
        if session.has_left and session in self._schedule:
            self._schedule.remove(session)
            self._build(session, "leave")

    def _report(self) -> None:
        for session in self._schedule.due(time.monotonic()):
            self._build(session, "report")
        if self._invalid_values.first:
            self._warn("the app sets values that fit no feedback message", self._invalid_values.first)

    def _build(self, session: Session, event: Event) -> None:
        # If many sessions join, report or leave together, their messages wait in the sessions while others are sent.
        while self._buffer.is_full and self._deliver():
            pass
        self._buffer.add(encode(session.message(event)))
        self._counts.built += 1
        if self._buffer.forgotten:
            self._warn("the oldest messages are lost", f"the buffer is full with {len(self._buffer)} messages")

    def _deliver(self) -> bool:
        """Send one batch to the next coordinator, if both exist. Returns whether the batch was settled or can be sent smaller."""
        now_s = time.monotonic()
        coordinator, timeout_s = self._coordinators.next(now_s), min(self._settings.timeout_s, self._ends_s - now_s)
        if coordinator is None or not self._buffer.has_batch or timeout_s <= 0:
            return False
        batch = self._buffer.batch()
        body, headers = request_for(batch, self._settings.key)
        try:
            answer = self._transport.post(coordinator.url, body, headers, timeout_s)
        except Unreachable as error:
            self._failed(coordinator, plain(str(error)), None)
            self._record_failure(coordinator, batch, blocked=isinstance(error, Unanswered))
            return False
        return self._apply(coordinator, batch, answer)

    def _apply(self, coordinator: Coordinator, batch: MessageBatch, answer: Answer) -> bool:
        """Apply `answer`. Returns whether `batch` is settled, or a smaller one can be sent at once."""
        verdict = interpret(answer, len(batch.lines))
        if verdict.outcome in {DeliveryOutcome.FAILED, DeliveryOutcome.BLOCKED}:
            self._failed(coordinator, verdict.detail, answer.retry_after)
            self._record_failure(coordinator, batch, blocked=verdict.outcome is DeliveryOutcome.BLOCKED)
            return False
        coordinator.succeeded()
        self._failures.clear()
        if verdict.outcome is DeliveryOutcome.TOO_LARGE:
            self._buffer.halve(batch)
            self._counts.fail(f"{coordinator.url}: {verdict.detail}")
            return True
        self._buffer.settle(batch, accepted=verdict.outcome is DeliveryOutcome.ACCEPTED)
        self._counts.sent += len(batch.lines) - verdict.refused_for.total()
        self._refused(coordinator, verdict)
        return True

    def _failed(self, coordinator: Coordinator, why: str, retry_after: str | None) -> None:
        asked = asked_s(retry_after, datetime.now(UTC))
        coordinator.failed(time.monotonic(), asked_s=asked, chance=_chance())
        self._counts.fail(f"{coordinator.url}: {why}")
        self._warn("a coordinator accepts no messages now, they are kept", self._counts.last_failure)

    def _record_failure(self, coordinator: Coordinator, batch: MessageBatch, *, blocked: bool) -> None:
        """Record that `batch` failed at `coordinator`. After a failure at each coordinator, inform the buffer."""
        self._failures[coordinator.url] = blocked
        if len(self._failures) < len(set(self._settings.urls)):
            return
        everywhere, anywhere = all(self._failures.values()), any(self._failures.values())
        self._failures.clear()
        given_up = self._buffer.blocked(batch, everywhere=everywhere) if anywhere else 0
        if given_up:
            self._counts.refuse(BLOCKED_REASON, given_up)
            self._warn("messages that are blocked on each path to a coordinator are lost", self._counts.last_failure)

    def _refused(self, coordinator: Coordinator, verdict: Verdict) -> None:
        if not verdict.refused_for:
            return
        for reason, messages in verdict.refused_for.items():
            self._counts.refuse(reason, messages)
        self._counts.last_failure = f"{coordinator.url}: {verdict.detail}"
        self._warn("a coordinator refused messages, they are lost", self._counts.last_failure)

    def _flush(self) -> None:
        """End all open sessions and send the buffered messages within `flush_s`."""
        self._ends_s = time.monotonic() + FLUSH_SHARE * self._settings.flush_s
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
        """Log each `what` only once. The counts show its repetitions."""
        if what not in self._warned:
            self._warned.add(what)
            log.warning("%s: %s (logged once; telemetry.stats() has the counts)", what, detail)
