"""The mirror: byte-identical copies of the feedback servers' logs, at `<directory>/<server>/<log name>`.

It is also the platform's whole memory: after a restart everything that matters is read back from these files. A log under its own
name is therefore either an open journal, which is verified again when it is read, or a sealed log that had arrived whole.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from heapq import nlargest
from pathlib import Path

from feedback_wire.log_name import SERVER_NAME, Form, LogName
from monitor_platform.retrieval.fetch_plan import LONGEST_PERIOD_S
from serving.durable_files import lock

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
            lock(
                held,
                f"another monitoring platform uses the mirror {self.directory}; stop it, or give this one its own --mirror",
            )
            self._clear_scratch()
            yield
        finally:
            os.close(held)

    @property
    def scratch(self) -> Path:
        """Where this platform's temporary files belong: the one folder that it is known to be able to write."""
        return self.directory / ".scratch"

    def _clear_scratch(self) -> None:
        """Remove what a killed platform has left."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(exist_ok=True)

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

    def overview(self, server: str, since_ms: int | None) -> tuple[list[LogName], LogName | None]:
        """The logs of a server that have to be looked at for what was received since `since_ms`, all journals, and the newest log.

        Only names are read: there may be millions. A journal whose sealed log has arrived is removed on sight.
        """
        folder = self.directory / server
        texts = [text for text in os.listdir(folder) if "0" <= text < ":"]  # noqa: PTH208 - a Path for each would take seconds
        begin_s = 0 if since_ms is None else max(0, since_ms // 1000 - LONGEST_PERIOD_S)
        begin = LogName(begin_s, server, 0, Form.JOURNAL).stem
        journal = f".{Form.JOURNAL}"
        names = sorted(_parsed((text for text in texts if text >= begin or text.endswith(journal)), server))
        sealed = {name.stem for name in names if name.form is not Form.JOURNAL}
        for name in names:
            if name.form is Form.JOURNAL and (name.stem in sealed or self._is_sealed(name)):
                self.path(name).unlink()
                sealed.add(name.stem)
        wanted = [name for name in names if name.form is not Form.JOURNAL or name.stem not in sealed]
        return wanted, max(_parsed(nlargest(100, texts), server), key=lambda name: name.stem, default=None)

    def sizes(self, names: Iterable[LogName]) -> list[int]:
        """Bytes of the copy of each log, 0 if there is none."""
        return [size(self.path(name)) for name in names]

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

    def _is_sealed(self, journal: LogName) -> bool:
        return any(self.path(journal.sealed(form)).exists() for form in Form if form is not Form.JOURNAL)


def size(path: Path) -> int:
    """Bytes of a file, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def _log_names(folder: Path) -> Iterator[LogName]:
    yield from _parsed((path.name for path in (folder.iterdir() if folder.is_dir() else ())), folder.name)


def _parsed(texts: Iterable[str], server: str) -> Iterator[LogName]:
    for text in texts:
        try:
            name = LogName.parse(text)
        except ValueError:
            continue  # a part that is still arriving, or somebody's note
        if name.server == server:
            yield name
