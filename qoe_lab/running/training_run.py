"""Runs the sessions of a training: starts each as a process, writes its result to the journal, queues failed ones again.

A single thread does everything, so the journal has one writer and needs no locks.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from feedback_wire.trainings import IN_A_BROWSER, MediaPlayer, SessionStatus, TrainingProgress
from qoe_lab.running.session_files import InvalidReason, PlannedCell, SessionFolder
from qoe_lab.running.session_journal import SessionJournal, StatusChange
from qoe_lab.running.session_queue import INTERRUPTED, SessionQueue
from qoe_lab.running.training_folder import TrainingFolder
from qoe_lab.training_plan import PlannedSession, plan_sessions, player_of_block

CHECK_EACH_S = 0.1
SESSION_LONGER_S = 180.0
"""A session takes this much longer than it plays, at most. One that hangs is killed."""
ENDS_WITHIN_S = 10.0
MOST_FAILURES_IN_A_ROW = 10


class TrainingFailedError(Exception):
    """The training cannot continue: session after session fails. It can be resumed when the cause is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a training is run, which does not change its data."""

    parallel: int
    contents: Path
    content_ids: tuple[str, ...]
    """The contents. Each block plays one, so that all limits of a block have the same content."""
    rungs: Mapping[str, str] = field(default_factory=dict)
    """For each content, the rung that the overlay streams. Empty for other sources."""
    coordinator_socket: Path | None = None
    ingest_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunningSession:
    change: StatusChange
    folder: SessionFolder
    process: "subprocess.Popen[bytes]"
    began_s: float
    client: str


class TrainingRun:
    """A training that runs. `changed` is called for each change, with the progress after it.

    `check` is called often; it raises if what the sessions need has ended, and this ends the training too.
    """

    def __init__(
        self,
        training: TrainingFolder,
        options: RunOptions,
        *,
        changed: Callable[[StatusChange, TrainingProgress], None],
        check: Callable[[], None],
    ) -> None:
        self._training, self._options, self._changed, self._check = training, options, changed, check
        self._queue = SessionQueue(plan_sessions(training.settings))
        self._running: list[_RunningSession] = []
        self._failures_in_a_row = 0
        self._stopped = False

    def stop(self) -> None:
        """End the running sessions, which are queued again, and return from `run`. May be called in a signal handler."""
        self._stopped = True

    def run(self) -> TrainingProgress:
        """Run until the plan is done, or until it is stopped, paused or cancelled. The caller holds the lock of the training.

        TrainingFailedError if many sessions in a row fail.
        """
        with SessionJournal(self._training.journal) as journal:
            self._queue = SessionQueue(self._queue.plan, journal.changes)
            for change in self._queue.running():
                self._note(journal, change, SessionStatus.DISCARDED, INTERRUPTED, "the process that ran the training ended")
            with self._interrupting(journal):
                while not (self._stopped or self._training.must_stop):
                    self._check()
                    self._reap(journal)
                    self._fill(journal)
                    if not self._running and self._queue.next() is None:
                        break
                    time.sleep(CHECK_EACH_S)
        return self._training.progress_of(self._queue, running=False)

    @contextmanager
    def _interrupting(self, journal: SessionJournal) -> Iterator[None]:
        """End all running sessions after the block, also after an error."""
        try:
            yield
        finally:
            for session in self._running:
                session.process.send_signal(signal.SIGTERM)
            for session in self._running:
                _wait_or_kill(session.process)
                self._note(journal, session.change, SessionStatus.DISCARDED, INTERRUPTED, "the training was stopped")
            self._running.clear()

    def _fill(self, journal: SessionJournal) -> None:
        while len(self._running) < self._options.parallel and (planned := self._queue.next()) is not None:
            client = self._player(planned).client
            if not may_run_beside(client, [each.client for each in self._running]):
                break
            self._start(journal, planned, client)

    def _player(self, planned: PlannedSession) -> MediaPlayer:
        return player_of_block(self._training.settings.players, planned.block, len(self._options.content_ids))

    def _start(self, journal: SessionJournal, planned: PlannedSession, client: str) -> None:
        attempt = self._queue.attempt_of(planned.number) + 1
        session_id = self._training.session_id(planned.number, attempt)
        folder = SessionFolder(self._training.session(session_id))
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.write_cell(self._cell(planned, session_id, attempt))
        change = StatusChange(
            number=planned.number,
            attempt=attempt,
            session_id=session_id,
            status=SessionStatus.UNDER_CAPTURING,
            wall_ms=_now_ms(),
        )
        self._append(journal, change)
        process = self._process(folder)
        self._running.append(
            _RunningSession(change=change, folder=folder, process=process, began_s=time.monotonic(), client=client)
        )

    def _cell(self, planned: PlannedSession, session_id: str, attempt: int) -> PlannedCell:
        settings, contents = self._training.settings, self._options.content_ids
        content_id, player = contents[planned.block % len(contents)], self._player(planned)
        return PlannedCell(
            session_id=session_id,
            training_id=self._training.training_id,
            number=planned.number,
            block=planned.block,
            attempt=attempt,
            limit_mbps=planned.limit_mbps,
            content_id=content_id,
            source=player.source,
            client=player.client,
            seconds=settings.seconds,
            delay_ms=settings.delay_ms,
            loss=settings.loss,
            queue_ms=settings.queue_ms,
            congestion_control=settings.congestion_control,
            rung=self._options.rungs[content_id] if player.source == "overlay" else None,
            trace=settings.trace,
            # Each block plays another stretch, and all limits of a block the same one.
            trace_begin_s=planned.block * settings.seconds if settings.trace is not None else None,
        )

    def _process(self, folder: SessionFolder) -> "subprocess.Popen[bytes]":
        command = [
            sys.executable,
            "-m",
            "qoe_lab.running",
            str(folder.path.absolute()),
            "--contents",
            str(self._options.contents.absolute()),
            "--parent",
            str(os.getpid()),
        ]
        if self._options.coordinator_socket is not None:
            command += ["--coordinator-socket", str(self._options.coordinator_socket)]
        key = {"SWARMSCOPE_KEY": self._options.ingest_key} if self._options.ingest_key else {}
        with (folder.path / "session.log").open("wb") as log:
            # A group of its own: Ctrl-C reaches this process only, which then ends the sessions.
            return subprocess.Popen(  # noqa: S603 - no shell
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **key}, process_group=0
            )

    def _reap(self, journal: SessionJournal) -> None:
        for session in list(self._running):
            hangs = time.monotonic() - session.began_s > self._training.settings.seconds + SESSION_LONGER_S
            if hangs:
                session.process.kill()
                session.process.wait()
            if session.process.poll() is not None:
                self._running.remove(session)
                self._note_end(journal, session, hung=hangs)

    def _note_end(self, journal: SessionJournal, session: _RunningSession, *, hung: bool) -> None:
        result = None if hung else session.folder.read_result()
        if result is not None:
            self._note(journal, session.change, result.status, result.invalid_reason, result.detail)
        elif hung:
            detail = f"it did not end within {SESSION_LONGER_S:g} s after its time, and was killed"
            self._note(journal, session.change, SessionStatus.DISCARDED, InvalidReason.SESSION_HUNG, detail)
        else:
            log = session.folder.path / "session.log"
            detail = f"its process ended with exit code {session.process.returncode} and no result; see {log}"
            self._note(journal, session.change, SessionStatus.DISCARDED, InvalidReason.SESSION_CRASHED, detail)
        self._failures_in_a_row = 0 if result is not None and result.valid else self._failures_in_a_row + 1
        if self._failures_in_a_row >= MOST_FAILURES_IN_A_ROW:
            raise TrainingFailedError(self._failure())

    def _failure(self) -> str:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in self._queue.discarded.most_common())
        return (
            f"the last {MOST_FAILURES_IN_A_ROW} sessions all failed; discarded so far: {reasons}. "
            f"`swarmscope lab show {self._training.path}` has the details. Remove the cause, then resume the training"
        )

    def _note(
        self, journal: SessionJournal, change: StatusChange, status: SessionStatus, reason: str | None, detail: str | None
    ) -> None:
        self._append(
            journal,
            StatusChange(
                number=change.number,
                attempt=change.attempt,
                session_id=change.session_id,
                status=status,
                wall_ms=_now_ms(),
                reason=str(reason) if reason is not None else None,
                detail=detail,
            ),
        )

    def _append(self, journal: SessionJournal, change: StatusChange) -> None:
        journal.append(change)
        self._queue.apply(change)
        self._changed(change, self._training.progress_of(self._queue, running=True))


def may_run_beside(client: str, running: Sequence[str]) -> bool:
    """Whether a session may begin while sessions of these clients run. A browser would disturb them, and they the browser."""
    return not running or IN_A_BROWSER.isdisjoint({client, *running})


def _wait_or_kill(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
