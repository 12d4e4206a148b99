"""The mirror: byte-identical copies of the feedback servers' logs, at `<directory>/<server>/<log name>`.

It is also the platform's whole memory: after a restart everything that matters is read back from these files. A log under its own
name is therefore either an open journal, which is verified again when it is read, or a sealed log that had arrived whole.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feedback_wire.log_name import SERVER_NAME, Form, LogName

AHEAD = "clock-ahead"
"""In a server's folder: a line for each log whose server's clock was not the platform's."""

_AHEAD_LINE = re.compile(r"(\S+) (-?\d{1,15})", re.ASCII)


class Mirror:
    """Files on disk; every method blocks for as long as the disk does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Keep other platforms out of the directory, which is made if need be; BlockingIOError if one is in it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        held = os.open(self.directory, os.O_RDONLY)
        try:
            self._lock(held)
            yield
        finally:
            os.close(held)

    def path(self, name: LogName) -> Path:
        return self.directory / name.server / str(name)

    def servers(self) -> list[str]:
        """The servers that have been mirrored."""
        return sorted(path.name for path in self.directory.iterdir() if path.is_dir() and SERVER_NAME.fullmatch(path.name))

    def logs(self, server: str) -> list[LogName]:
        """The logs held of a server, one a stem; a journal whose sealed log has arrived is removed on sight."""
        names: dict[str, LogName] = {}
        for name in sorted(_log_names(self.directory / server), key=lambda name: name.form is not Form.JOURNAL):
            if name.stem in names and names[name.stem].form is Form.JOURNAL:
                self.path(names[name.stem]).unlink()
            names[name.stem] = name
        return sorted(names.values())

    def write(self, path: Path, at: int, data: bytes) -> None:
        """Put `data` at byte `at` of a copy that is still growing, and forget whatever was there or behind it."""
        path.parent.mkdir(exist_ok=True)
        with path.open("r+b" if path.exists() else "x+b") as file:
            file.truncate(at)
            file.seek(at)
            file.write(data)

    def cut(self, path: Path, at: int) -> None:
        """Forget what is behind byte `at` of a copy."""
        if path.exists():
            os.truncate(path, at)

    def part(self, name: LogName) -> Path:
        """Where a sealed log lies until it has arrived whole."""
        path = self.path(name)
        return path.with_name(path.name + ".part")

    def note_ahead(self, name: LogName, ahead_ms: int) -> None:
        """Remember how far the server's clock was ahead when a log was first read; the log itself keeps its times."""
        path = self.directory / name.server / AHEAD
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.write(f"{name.stem} {ahead_ms}\n")

    def ahead_ms(self, server: str) -> dict[str, int]:
        """What was remembered of the logs of a server, by stem; a line that cannot be read says nothing."""
        try:
            lines = (self.directory / server / AHEAD).read_text(encoding="ascii", errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        found = (_AHEAD_LINE.fullmatch(line) for line in lines)
        return {match[1]: int(match[2]) for match in found if match}

    def complete(self, name: LogName) -> None:
        """A sealed log has arrived whole: give it its name, and remove the journal that it replaces."""
        with self.part(name).open("rb") as part:
            os.fsync(part.fileno())
        self.part(name).replace(self.path(name))
        self.path(name.sealed(Form.JOURNAL)).unlink(missing_ok=True)

    def _lock(self, held: int) -> None:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                f"another monitoring platform uses the mirror {self.directory}; stop it, or give this one its own --mirror"
            ) from error


def size(path: Path) -> int:
    """Bytes of a file, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def _log_names(folder: Path) -> Iterator[LogName]:
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            name = LogName.parse(path.name)
        except ValueError:
            continue  # a part that is still arriving, or somebody's note
        if name.server == folder.name:
            yield name
