"""Sealed logs in their three forms: one writer each, and one way to read them all back as JSON lines.

pyarrow costs a quarter of a second and 60 MB to import, so only the forms that need it do.
"""

from typing import BinaryIO, Protocol

from feedback_wire.log_name import Form


class LogWriter(Protocol):
    """A sealed log that is being written."""

    def add(self, lines: bytes, records: int) -> None:
        """Take `records` more records, as whole JSON lines."""

    def finish(self) -> int:
        """Write what remains and what ends the log; the number of its records. The file stays open."""


def log_writer(form: Form, file: BinaryIO) -> LogWriter:
    """The writer of a log in `form` at the begin of `file`; memory stays bounded, whatever the log's length."""
    match form:
        case Form.JSONL:
            from feedback_server.forms.framed import FramedWriter, as_it_is

            return FramedWriter(file, as_it_is)
        case Form.CSV:
            from feedback_server.forms.csv_log import to_csv
            from feedback_server.forms.framed import FramedWriter

            return FramedWriter(file, to_csv)
        case Form.PARQUET:
            from feedback_server.forms.parquet_log import ParquetLogWriter

            return ParquetLogWriter(file)
        case Form.JOURNAL:
            raise ValueError("a journal is no sealed form; the sealed forms are jsonl, csv and parquet")
