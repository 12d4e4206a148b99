"""The folders of one worker: its part of the spool and its files in the quarantine."""

from pathlib import Path

from coordinator.carriers.spool_carrier import SpoolCarrier
from coordinator.quarantine import Quarantine
from coordinator.settings import Settings
from feedback_wire.kinds import RecordKind

OTHER_KINDS_PART = 8
"""The spool of another kind than feedback may take this part of --spool-max-bytes in addition."""


class WorkerFolders:
    """The spool folders and the quarantine files of one worker, each with its share of the maximum size; none before `open`."""

    quarantine: Quarantine | None = None

    def __init__(self, settings: Settings, *, number: int, workers: int) -> None:
        self._settings = settings
        self._number = number
        self._workers = workers
        self.spools: dict[RecordKind, SpoolCarrier] = {}

    def open(self) -> None:
        """OSError if a folder cannot be used."""
        settings, number, workers = self._settings, self._number, self._workers
        if settings.spool_max_bytes:
            for kind in RecordKind:
                folder = settings.spool if kind is RecordKind.FEEDBACK else settings.spool / kind
                most = settings.spool_max_bytes if kind is RecordKind.FEEDBACK else settings.spool_max_bytes // OTHER_KINDS_PART
                stranded = _folders_of_missing_workers(folder, number=number, workers=workers)
                self.spools[kind] = SpoolCarrier(folder / f"worker-{number}", most // workers, stranded)
        if settings.quarantine_folder is not None:
            stem = f"{settings.name}-{number}"
            self.quarantine = Quarantine(settings.quarantine_folder, stem, settings.quarantine_max_bytes // workers)


def _folders_of_missing_workers(spool: Path, *, number: int, workers: int) -> list[Path]:
    """Spool folders of workers that no longer exist. Each is taken over by one of the existing workers."""
    texts = (path.name.removeprefix("worker-") for path in spool.glob("worker-*"))
    ended = sorted(int(text) for text in texts if text.isascii() and text.isdigit() and int(text) >= workers)
    return [spool / f"worker-{each}" for each in ended if each % workers == number]
