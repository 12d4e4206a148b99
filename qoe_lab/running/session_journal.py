"""The journal of a training: each change of a session's status, appended and synced before the next step.

A crash can cut only the last line, since each line is durable before the next is written. A reader leaves a cut line out, and the
next writer removes it.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from feedback_wire.trainings import SessionStatus
from serving.regular_files import read_regular


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """From `wall_ms` on, an attempt to play a planned session has this status."""

    number: int
    """The planned session."""
    attempt: int
    """Counts from 1 for each planned session."""
    session_id: str
    status: SessionStatus
    wall_ms: int
    reason: str | None = None
    """Why the session was discarded."""
    detail: str | None = None

    def line(self) -> bytes:
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(values | {"status": int(self.status)}, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "StatusChange":
        """ValueError if the line is no status change."""
        try:
            values = json.loads(line)
            change = cls(**values | {"status": SessionStatus(values["status"])})
        except (TypeError, KeyError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"it is no status change: {error}") from error
        whole = (change.number, change.attempt, change.wall_ms)
        if not all(type(each) is int for each in whole) or not isinstance(change.session_id, str):
            raise ValueError("number, attempt and wall_ms are whole numbers, and session_id is a text")
        return change


def read_changes(path: Path) -> list[StatusChange]:
    """All changes so far, none if there is no file yet. ValueError if a line in the middle is damaged."""
    try:
        content = read_regular(path)
    except FileNotFoundError:
        return []
    return [change for _, change in _whole_lines(path, content)]


class SessionJournal:
    """The journal, open for one writer. `changes` are those that it had."""

    def __init__(self, path: Path) -> None:
        """Remove a line that a crash has cut."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            lines = list(_whole_lines(path, read_regular(path)))
            self.changes = [change for _, change in lines]
            os.ftruncate(self._descriptor, lines[-1][0] if lines else 0)
            os.fsync(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, change: StatusChange) -> None:
        """Return when the change is durable."""
        line = change.line()
        while line:
            line = line[os.write(self._descriptor, line) :]
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _whole_lines(path: Path, content: bytes) -> Iterator[tuple[int, StatusChange]]:
    """Each change with the position of its end. What follows the last whole line is left out."""
    begin = 0
    while (end := content.find(b"\n", begin) + 1) > 0:
        try:
            yield end, StatusChange.from_line(content[begin:end])
        except ValueError as error:
            if content.find(b"\n", end) >= 0:
                number = content.count(b"\n", 0, end)
                raise ValueError(
                    f"{path}:{number} is damaged: {error}; restore the file from a copy, or begin a new training"
                ) from error
            return
        begin = end
