"""The mirror: byte-identical copies of the feedback servers' logs, at `<directory>/<server>/<log name>`.

Logs of a kind other than feedback are at `<directory>/<kind>/<server>/<log name>`.

After a restart, the platform's memory is read from these files. So a file with a log's name is either an open
journal, which is verified again when it is read, or a complete sealed log.
"""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from heapq import nlargest
from itertools import islice
from pathlib import Path

from feedback_analysis.reading.wrong_clocks import AHEAD, clock_corrections
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import SERVER_NAME, Form, LogName
from monitor_platform.retrieval.fetch_plan import LONGEST_PERIOD_S
from serving.durable_files import lock, make_folder, sync_folder

log = logging.getLogger(__name__)

LOCK = ".lock"

_NEW = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW

NOTES = ".notes"
"""Folder of what users write on the dashboard, such as silences. Folders of servers do not begin with a dot."""


class Mirror:
    """Files on disk. Every method blocks until the disk has answered."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def of_kind(self, kind: RecordKind) -> "Mirror":
        """The mirror of the logs of one kind, which the lock of this one covers: feedback is here, other kinds have a folder."""
        return self if kind is RecordKind.FEEDBACK else Mirror(self.directory / kind)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Lock the directory, which is created if missing; BlockingIOError if another platform has locked it.

        A network file system may lock only writable files. Only there, a lock file is locked instead: an open writable file
        prevents the kernel from making a file system read-only. If neither can be locked, a warning is logged.
        """
        make_folder(self.directory)
        with ExitStack() as opened:
            error = self._lock_error(self.directory, os.O_RDONLY, opened)
            if error and self._lock_error(self.directory / LOCK, _NEW, opened):
                log.warning("the mirror %s is not locked against a second monitoring platform: %s", self.directory, error)
            self._clear_scratch()
            yield

    def _lock_error(self, path: Path, flags: int, opened: ExitStack) -> str:
        """Lock `path` until `opened` ends; the reason if its file system cannot lock it."""
        try:
            descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
            opened.callback(os.close, descriptor)
            lock(
                descriptor,
                f"another monitoring platform uses the mirror {self.directory}; stop it, or give this one its own --mirror",
            )
        except BlockingIOError:
            raise
        except OSError as error:
            return error.strerror or str(error)
        return ""

    @property
    def scratch(self) -> Path:
        """Folder of this platform's temporary files: the one folder that is certainly writable."""
        return self.directory / ".scratch"

    def _clear_scratch(self) -> None:
        """Remove temporary files that a killed platform left."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(exist_ok=True)

    def path(self, name: LogName) -> Path:
        return self.directory / name.server / str(name)

    def servers(self) -> list[str]:
        """The servers with mirrored logs."""
        if not self.directory.is_dir():
            return []
        return sorted(path.name for path in self.directory.iterdir() if path.is_dir() and SERVER_NAME.fullmatch(path.name))

    def overview(self, server: str, since_ms: int | None) -> tuple[list[LogName], LogName | None]:
        """The logs that may have records received since `since_ms`, all journals, and the newest log of a server.

        Only names are read, part by part, because there may be millions. A journal whose sealed log has arrived is removed.
        """
        begin_s = 0 if since_ms is None else max(0, since_ms // 1000 - LONGEST_PERIOD_S)
        begin = LogName(begin_s, server, 0, Form.JOURNAL).stem
        journal = f".{Form.JOURNAL}"
        texts: list[str] = []
        newest: list[str] = []
        for some in _in_parts(self.directory / server):
            texts += (text for text in some if text >= begin or text.endswith(journal))
            newest = nlargest(100, newest + some)
        names = sorted(_parsed(texts, server))
        sealed = {name.stem for name in names if name.form is not Form.JOURNAL}
        for name in names:
            if name.form is Form.JOURNAL and (name.stem in sealed or self._is_sealed(name)):
                self.path(name).unlink()
                sealed.add(name.stem)
        wanted = [name for name in names if name.form is not Form.JOURNAL or name.stem not in sealed]
        return wanted, max(_parsed(newest, server), key=lambda name: name.stem, default=None)

    def sizes(self, names: Iterable[LogName]) -> list[int]:
        """Bytes of the copy of each log; 0 without a copy."""
        return [size(self.path(name)) for name in names]

    def write(self, path: Path, at: int, data: bytes) -> None:
        """Write `data` at byte `at` of a growing copy, and remove all bytes after it."""
        make_folder(path.parent)
        with path.open("r+b" if path.exists() else "x+b") as file:
            file.truncate(at)
            file.seek(at)
            file.write(data)

    def cut(self, path: Path, at: int) -> None:
        """Remove all bytes of a copy from `at` on."""
        if path.exists():
            os.truncate(path, at)

    def part(self, name: LogName) -> Path:
        """The path of a sealed log until it has arrived completely."""
        path = self.path(name)
        return path.with_name(path.name + ".part")

    def note_ahead(self, name: LogName, ahead_ms: int) -> None:
        """Store how far the server's clock was ahead when a log was first read. The log itself is not changed."""
        path = self.directory / name.server / AHEAD
        make_folder(path.parent)
        with path.open("a", encoding="ascii") as file:
            file.write(f"{name.stem} {ahead_ms}\n")

    def ahead_ms(self, server: str) -> dict[str, int]:
        """The stored clock corrections of a server's logs, by stem. Invalid lines are ignored."""
        return clock_corrections(self.directory / server)

    def complete(self, name: LogName) -> None:
        """Rename a completely fetched sealed log to its name, and remove the journal that it replaces.

        The new name is durable before the journal is removed, so no power cut takes both.
        """
        with self.part(name).open("r+b") as part:
            try:
                os.fsync(part.fileno())
            except OSError:
                self.part(name).unlink()  # to be fetched again: a second sync would report success without the lost pages
                raise
        self.part(name).replace(self.path(name))
        sync_folder(self.path(name).parent)
        self.path(name.sealed(Form.JOURNAL)).unlink(missing_ok=True)

    def _is_sealed(self, journal: LogName) -> bool:
        return any(self.path(journal.sealed(form)).exists() for form in Form if form is not Form.JOURNAL)


def _in_parts(folder: Path) -> Iterator[list[str]]:
    """The names in `folder` that may be those of logs."""
    with os.scandir(folder) as entries:
        texts = (entry.name for entry in entries if "0" <= entry.name < ":")
        while part := list(islice(texts, 10_000)):
            yield part


def size(path: Path) -> int:
    """Bytes of a file; 0 without a file."""
    return path.stat().st_size if path.exists() else 0


def _parsed(texts: Iterable[str], server: str) -> Iterator[LogName]:
    for text in texts:
        try:
            name = LogName.parse(text)
        except ValueError:
            continue  # an incomplete log, or another file
        if name.server == server:
            yield name
