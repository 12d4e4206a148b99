"""The three forms of sealed logs: one writer for each, and one reader that turns all of them into JSON lines.

Importing pyarrow takes a quarter of a second and 60 MB, so only the forms that need it import it.
"""

from functools import partial
from typing import BinaryIO, Protocol

from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form


class LogWriter(Protocol):
    """A sealed log that is being written."""

    def add(self, lines: bytes, records: int) -> None:
        """Add `records` records, given as whole JSON lines."""

    def finish(self) -> int:
        """Write the remaining records and the end of the log; return its number of records. The file stays open."""


def log_writer(form: Form, file: BinaryIO, kind: RecordKind = RecordKind.FEEDBACK) -> LogWriter:
    """The writer of a log of this kind in `form` at the start of `file`. Its memory is bounded for a log of any length."""
    match form:
        case Form.JSONL:
            from feedback_server.forms.framed import FramedWriter, unchanged

            return FramedWriter(file, unchanged)
        case Form.CSV:
            from feedback_server.forms.csv_log import to_csv
            from feedback_server.forms.framed import FramedWriter

            return FramedWriter(file, partial(to_csv, kind=kind))
        case Form.PARQUET:
            from feedback_server.forms.parquet_log import ParquetLogWriter

            return ParquetLogWriter(file, kind)
        case Form.JOURNAL:
            raise ValueError("a journal is not a sealed form; the sealed forms are jsonl, csv and parquet")
