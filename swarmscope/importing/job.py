"""An import: reads rows, writes logs or sends messages, and counts both in a report."""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Entries
from dataclasses import dataclass
from itertools import groupby, islice

from coordinator.dialects.exact_check import Refused
from coordinator.settings import AddressPolicy
from serving.forwarded import address_of
from swarmscope.importing.csv_rows import BrokenLine
from swarmscope.importing.import_report import ImportReport
from swarmscope.importing.log_folder import LogFolder
from swarmscope.importing.mapping import Mapping, SourceColumn
from swarmscope.importing.row_reader import ImportedMessage, RowReader
from swarmscope.importing.row_source import RowSource
from swarmscope.sending.coordinator_client import CoordinatorClient, SendCounts, batches

VIA = "import"
"""The coordinator's name in imported records."""

# Messages are grouped by IP address in blocks of this size, because a request has one sender.
SENT_AT_ONCE = 10_000

ImportProgress = Callable[[int], None]
"""Called with the number of rows read so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """The files to import, their mapping, and the report."""

    source: RowSource
    mapping: Mapping
    sources: Entries[str, SourceColumn]
    report: ImportReport
    progress: ImportProgress

    def check(self) -> RowReader:
        """Read all rows without writing. The returned reader contains the number of values per field."""
        reader = self._reader()
        for _ in self._feedback(reader):
            pass
        return reader

    def write(self, folder: LogFolder, policy: AddressPolicy) -> int:
        """Write the messages as logs and return the number of logs. FileExistsError leaves the folder unchanged."""
        with folder.writing():
            return folder.add((each, each.record(VIA, policy)) for each in self._feedback(self._reader()))

    def send(self, client: CoordinatorClient) -> SendCounts:
        """Send the messages to a coordinator. The feedback server sets the time of receipt.

        ValueError or OSError if sending fails.
        """
        counts = SendCounts()
        messages = self._feedback(self._reader(keeps_time=True))
        while block := list(islice(messages, SENT_AT_ONCE)):
            for ip, sent_from in groupby(sorted(block, key=_ip), _ip):
                for batch in batches([each.message for each in sent_from]):
                    client.send(batch, ip, counts)
        return counts

    def _reader(self, *, keeps_time: bool = False) -> RowReader:
        return RowReader(self.mapping, self.sources, keeps_time=keeps_time)

    def _feedback(self, reader: RowReader) -> Iterator[ImportedMessage]:
        """The messages in order of time. Refused rows are counted in the report."""
        for row in self.source.rows(self.mapping, self.sources, self._refuse):
            try:
                feedback = reader.read(row)
            except Refused as refused:
                self.report.refuse(file=row.file, unit="row", number=row.number, reason=refused.reason, detail=refused.detail)
            else:
                self.report.accept(feedback.time_ms)
                if feedback.ip and address_of(feedback.ip) is None:
                    self.report.unreadable_ips += 1
                yield feedback
            self.progress(self.report.rows)

    def _refuse(self, broken: BrokenLine) -> None:
        self.report.refuse(file=broken.file, unit="line", number=broken.line, reason="broken_line", detail=broken.why)


def _ip(feedback: ImportedMessage) -> str:
    return feedback.ip
