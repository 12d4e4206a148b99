"""The import as a whole: rows in, feedback out, and a report of both."""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Entries
from dataclasses import dataclass
from itertools import groupby, islice

from coordinator.dialects.native_message import Refused
from coordinator.settings import AddressPolicy
from swarmscope.importing.logs import LogFolder
from swarmscope.importing.mapping import Column, Mapping
from swarmscope.importing.report import Report
from swarmscope.importing.rows import Feedback, Reader
from swarmscope.importing.source import Source
from swarmscope.sending import Sender, Tally, batches

VIA = "import"
"""The coordinator that imported records name."""

# Messages of one address travel together; so many are looked at once to find them.
SENT_AT_ONCE = 10_000

Progress = Callable[[int], None]
"""Called with the number of rows read so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Files, what their columns mean, and where the refusals are counted."""

    source: Source
    mapping: Mapping
    sources: Entries[str, Column]
    report: Report
    progress: Progress

    def check(self) -> Reader:
        """Read all rows and write nothing; the reader knows which fields were filled."""
        reader = self._reader()
        for _ in self._feedback(reader):
            pass
        return reader

    def write(self, folder: LogFolder, policy: AddressPolicy) -> int:
        """Write all that can be read as logs; how many logs that are. FileExistsError leaves the folder as it was."""
        with folder.writing():
            return folder.add((each, each.record(VIA, policy)) for each in self._feedback(self._reader()))

    def send(self, sender: Sender) -> Tally:
        """Send all that can be read to a coordinator, behind which a server stamps the time of receipt.

        ValueError, OSError or HTTPException if it does not go on.
        """
        tally = Tally()
        messages = self._feedback(self._reader(keeps_time=True))
        while some := list(islice(messages, SENT_AT_ONCE)):
            for ip, same in groupby(sorted(some, key=_ip), _ip):
                for batch in batches([each.message for each in same]):
                    sender.send(batch, ip, tally)
        return tally

    def _reader(self, *, keeps_time: bool = False) -> Reader:
        return Reader(self.mapping, self.sources, keeps_time=keeps_time)

    def _feedback(self, reader: Reader) -> Iterator[Feedback]:
        """All that can be read, in order of time; the rest is counted."""
        for row in self.source.rows(self.mapping, self.sources):
            try:
                feedback = reader.read(row)
            except Refused as refused:
                self.report.refuse(file=row.file, place="row", number=row.number, reason=refused.reason, detail=refused.detail)
            else:
                self.report.take(feedback.time_ms)
                yield feedback
            self.progress(self.report.rows)
        for broken in self.source.broken():
            self.report.refuse(file=broken.file, place="line", number=broken.line, reason="broken_line", detail=broken.why)


def _ip(feedback: Feedback) -> str:
    return feedback.ip
