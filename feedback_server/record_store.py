"""Everything that stores and offers the records of one kind: its folder, its writer, its sealer and its offered logs.

Each kind has a folder of its own, so that its logs roll, expire and are fetched for themselves. Feedback is in the data folder,
another kind in its subfolder.
"""

import logging

from feedback_server.batch_route import BatchRoute
from feedback_server.counters import Counters
from feedback_server.index_verification import IndexVerification
from feedback_server.recovery import recover
from feedback_server.sealer import Sealer
from feedback_server.settings import Settings
from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.offered_logs import OfferedLogs, foreign_text
from feedback_server.writer import Writer
from feedback_wire.kinds import RecordKind

log = logging.getLogger(__name__)


class RecordStore:
    """The records of one kind in an open folder, which the store closes at its stop."""

    def __init__(self, settings: Settings, kind: RecordKind, folder: DataFolder) -> None:
        self.kind = kind
        self.folder = folder
        self.counters = Counters()
        found = recover(folder, self.counters, kind)
        self.offered = OfferedLogs(settings.name, found.offered_journals, sealed=found.sealed)
        self.sealer = Sealer(settings, folder, offered=self.offered, counters=self.counters)
        self.writer = Writer(
            settings,
            folder,
            offered=self.offered,
            recent=found.recent,
            newest=found.newest_name,
            counters=self.counters,
            seal=self.sealer.seal_later,
            kind=kind,
        )
        self.batch_route = BatchRoute(self.writer, self.counters, token=settings.token)
        self._verification = IndexVerification(folder, self.offered)
        for journal in found.journals_to_seal:
            self.sealer.seal_later(journal)
        self.sealer.index.count_changes(found.missing_in_index)
        self._warn_of_foreign_logs(settings)

    @property
    def stores_now(self) -> bool:
        """Whether a batch would be stored now, as far as this is known."""
        return self.writer.is_alive() and self.writer.ready

    def start(self) -> None:
        self.sealer.start()
        self.writer.start()
        self._verification.start()

    def stop(self) -> None:
        """Store what waits, seal everything, and close the folder."""
        self._verification.stop()
        self.writer.stop()
        self.sealer.stop()
        self.folder.close()

    def _warn_of_foreign_logs(self, settings: Settings) -> None:
        """Warn if the server was renamed, or if the folder is a copy of another server's folder."""
        if foreign := self.offered.foreign():
            log.warning(
                "%s in %s have another server name than %s: they are offered unchanged, and new logs have the name %s",
                foreign_text(foreign),
                self.folder.path,
                settings.name,
                settings.name,
            )


def open_stores(settings: Settings) -> dict[RecordKind, RecordStore]:
    """A store for each kind of records; OSError if the data folder cannot be used.

    If the subfolder of a kind cannot be made, the server works without this kind: a full or read-only disk may have feedback.
    """
    stores = {RecordKind.FEEDBACK: RecordStore(settings, RecordKind.FEEDBACK, DataFolder(settings.data))}
    for kind in RecordKind:
        if kind is not RecordKind.FEEDBACK:
            try:
                stores[kind] = RecordStore(settings, kind, DataFolder(settings.data / kind))
            except OSError as error:
                log.warning("%s records are refused until the next start: their folder cannot be used: %s", kind, error)
    return stores
