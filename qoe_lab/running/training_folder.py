"""The folder of a training: its settings, its journal, a folder for each session, and the requests to pause or cancel it.

    TRAINING/
      training.json      settings and environment; never changes
      sessions.jsonl     the journal
      sessions/ID/       what one session left
      content/           what is played
      pipeline/          logs and output of the coordinator and the feedback server of this training
      dataset/           the exported data set
      pause, cancel      requests: empty files that the running process looks for; who may write here may send them
      failure.txt        why the process that ran it last ended early
      running            locked by the process that runs the training

A training runs while the lock is held, so a crash or SIGKILL cannot leave a training that seems to run.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedback_wire.trainings import IN_A_BROWSER, TrainingProgress, TrainingState
from qoe_lab.running.session_journal import read_changes
from qoe_lab.running.session_queue import SessionQueue
from qoe_lab.sources.ladder import DEFAULT_CONTENTS
from qoe_lab.training_plan import PlannedSession, TrainingSettings, plan_sessions, player_of_block
from serving.durable_files import lock, make_folder, replace_file
from serving.regular_files import read_regular

FORMAT = 1
SETTINGS_FILE = "training.json"
FAILURE_FILE = "failure.txt"
LOCK_WITHIN_S = 0.5
USUALLY_LONGER_S = 7.0
"""How much longer than it plays a session usually takes."""


class NoTrainingError(ValueError):
    """The folder holds no training that can be used; the message says why."""


class TrainingExistsError(ValueError):
    """The folder already holds a training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFolder:
    """A training on disk."""

    path: Path
    training_id: str
    """The name and a random part, so that two trainings with one name differ in the messages of the pipeline."""
    created_ms: int
    settings: TrainingSettings
    environment: Mapping[str, Any]

    @property
    def journal(self) -> Path:
        return self.path / "sessions.jsonl"

    @property
    def content(self) -> Path:
        return self.path / "content"

    @property
    def pipeline(self) -> Path:
        return self.path / "pipeline"

    @property
    def dataset(self) -> Path:
        return self.path / "dataset"

    def session(self, session_id: str) -> Path:
        return self.path / "sessions" / session_id

    def session_id(self, number: int, attempt: int) -> str:
        return f"{self.training_id}-{number:05d}-{attempt}"

    # Requests

    def request_pause(self) -> None:
        (self.path / "pause").touch()

    def request_cancel(self) -> None:
        """Final: a cancelled training cannot be resumed."""
        replace_file(self.path / "cancel", b"")

    def withdraw_pause(self) -> None:
        (self.path / "pause").unlink(missing_ok=True)

    @property
    def is_cancelled(self) -> bool:
        return (self.path / "cancel").exists()

    @property
    def must_stop(self) -> bool:
        """Whether a pause or a cancellation was requested."""
        return self.is_cancelled or (self.path / "pause").exists()

    def note_failure(self, text: str | None) -> None:
        """Store why the process that runs the training ends early; None, when it begins, removes an earlier reason."""
        path = self.path / FAILURE_FILE
        if text is None:
            path.unlink(missing_ok=True)
        else:
            replace_file(path, f"{text}\n".encode())

    # The lock

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold the lock during the block. BlockingIOError if another process runs this training."""
        descriptor = os.open(self.path / "running", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        """`is_running` of another process may hold the lock for a moment, so this tries for a while."""
        deadline_s = time.monotonic() + LOCK_WITHIN_S
        while True:
            try:
                lock(descriptor, f"another process runs the training {self.path}; wait for it, or pause it")
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.05)
            else:
                return

    def is_running(self) -> bool:
        try:
            descriptor = os.open(self.path / "running", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # A shared lock: two readers at once do not take each other for the process that runs the training.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    # How far it is

    def queue(self) -> SessionQueue:
        """The plan with the changes of the journal applied. ValueError if the journal is damaged or belongs to another plan."""
        changes = read_changes(self.journal)
        try:
            return SessionQueue(plan_sessions(self.settings), changes)
        except ValueError as error:
            raise ValueError(f"{self.journal} is damaged: {error}; restore the file from a copy, or begin a new training") from None

    def progress(self) -> TrainingProgress:
        return self.progress_of(self.queue(), running=self.is_running())

    def progress_of(self, queue: SessionQueue, *, running: bool) -> TrainingProgress:
        return TrainingProgress(
            training_id=self.training_id,
            settings=self.settings,
            state=self._state(queue, running=running),
            created_ms=self.created_ms,
            planned=len(queue.plan),
            captured=queue.captured,
            running=len(queue.running()) if running else 0,
            given_up=queue.given_up,
            discarded=dict(queue.discarded),
            limits=queue.limits(),
            remaining_s=queue.remaining_s(self.settings.seconds + USUALLY_LONGER_S, self._is_alone) if running else None,
            dataset=(self.dataset / "sessions.parquet").exists(),
            failure=_text_of(self.path / FAILURE_FILE),
        )

    def _is_alone(self, planned: PlannedSession) -> bool:
        """Whether a session is expected to be played alone. With other contents, only the order of the blocks differs."""
        players = self.settings.players
        return player_of_block(players, planned.block, len(DEFAULT_CONTENTS)).client in IN_A_BROWSER

    def _state(self, queue: SessionQueue, *, running: bool) -> TrainingState:
        if running:
            return TrainingState.RUNNING
        if self.is_cancelled:
            return TrainingState.CANCELLED
        return TrainingState.FINISHED if queue.is_done else TrainingState.PAUSED


def create_training(path: Path, settings: TrainingSettings, environment: Mapping[str, Any]) -> TrainingFolder:
    """A new training in a new or empty folder. TrainingExistsError if there is one."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise TrainingExistsError(f"{path} exists; give the training another --name, or continue it: swarmscope lab resume {path}")
    make_folder(path)
    make_folder(path / "sessions")
    training = TrainingFolder(
        path=path,
        training_id=f"{settings.name}-{secrets.token_hex(3)}",
        created_ms=time.time_ns() // 1_000_000,
        settings=settings,
        environment=environment,
    )
    described = {
        "format": FORMAT,
        "training_id": training.training_id,
        "created_ms": training.created_ms,
        "settings": settings.to_json(),
        "environment": dict(environment),
    }
    replace_file(path / SETTINGS_FILE, json.dumps(described, indent=2, ensure_ascii=False).encode() + b"\n")
    return training


def open_training_folder(path: Path) -> TrainingFolder:
    """The training in a folder. NoTrainingError if there is none, or another version wrote it."""
    try:
        described = json.loads(read_regular(path / SETTINGS_FILE))
    except FileNotFoundError:
        raise NoTrainingError(f"{path} holds no training: it has no {SETTINGS_FILE}; check the path, or list trainings") from None
    except (ValueError, RecursionError) as error:
        raise NoTrainingError(f"{path / SETTINGS_FILE} is damaged: {error}; restore it from a copy") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise NoTrainingError(f"{path / SETTINGS_FILE} has a format that this version does not know; use a newer version")
    try:
        return TrainingFolder(
            path=path,
            training_id=str(described["training_id"]),
            created_ms=int(described["created_ms"]),
            settings=TrainingSettings.from_json(described["settings"]),
            environment=described["environment"],
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise NoTrainingError(f"{path / SETTINGS_FILE} is damaged: {error}; restore it from a copy") from error


def find_trainings(root: Path) -> tuple[list[TrainingFolder], list[str]]:
    """The trainings in the folders of `root`, the newest first; and for each one that cannot be read, why."""
    found: list[TrainingFolder] = []
    unreadable: list[str] = []
    try:
        paths = sorted(root.iterdir()) if root.is_dir() else []
    except OSError as error:
        return [], [_why_unreadable(root, error)]
    for path in paths:
        try:
            if (path / SETTINGS_FILE).exists():
                found.append(open_training_folder(path))
        except NoTrainingError as error:
            unreadable.append(str(error))
        except OSError as error:  # such as `lost+found` on a disk of its own
            unreadable.append(_why_unreadable(path, error))
    return sorted(found, key=lambda each: each.created_ms, reverse=True), unreadable


def _why_unreadable(path: Path, error: OSError) -> str:
    return f"{error.filename or path} cannot be read: {error.strerror or error}"


def _text_of(path: Path) -> str | None:
    try:
        return read_regular(path).decode(errors="replace").strip()
    except FileNotFoundError:
        return None
