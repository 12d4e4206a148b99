"""The folders of one worker: its part of the spool and its files in the quarantine."""

from pathlib import Path

from coordinator.carriers.spool_carrier import SpoolCarrier
from coordinator.quarantine import Quarantine
from coordinator.settings import Settings


class WorkerFolders:
    """The spool folder and the quarantine files of one worker, each with its share of the maximum size; None before `open`."""

    spool: SpoolCarrier | None = None
    quarantine: Quarantine | None = None

    def __init__(self, settings: Settings, *, number: int, workers: int) -> None:
        self._settings = settings
        self._number = number
        self._workers = workers

    def open(self) -> None:
        """OSError if a folder cannot be used."""
        settings, number, workers = self._settings, self._number, self._workers
        if settings.spool_max_bytes:
            stranded = _folders_of_missing_workers(settings.spool, number=number, workers=workers)
            self.spool = SpoolCarrier(settings.spool / f"worker-{number}", settings.spool_max_bytes // workers, stranded)
        if settings.quarantine_folder is not None:
            stem = f"{settings.name}-{number}"
            self.quarantine = Quarantine(settings.quarantine_folder, stem, settings.quarantine_max_bytes // workers)


def _folders_of_missing_workers(spool: Path, *, number: int, workers: int) -> list[Path]:
    """Spool folders of workers that no longer exist. Each is taken over by one of the existing workers."""
    texts = (path.name.removeprefix("worker-") for path in spool.glob("worker-*"))
    ended = sorted(int(text) for text in texts if text.isascii() and text.isdigit() and int(text) >= workers)
    return [spool / f"worker-{each}" for each in ended if each % workers == number]
