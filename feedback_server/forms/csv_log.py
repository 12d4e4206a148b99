"""Records as CSV. An absent value is nothing between two commas; an empty text is `""`. Some tools do not distinguish them."""

import io

import pyarrow as pa
from pyarrow import csv

from feedback_server.forms.columns import SCHEMAS, to_lines, to_table
from feedback_wire.kinds import RecordKind

_WRITE_HEADER = csv.WriteOptions(include_header=True)
_WRITE = csv.WriteOptions(include_header=False)
_CONVERT = {
    kind: csv.ConvertOptions(
        column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False, check_utf8=True
    )
    for kind, schema in SCHEMAS.items()
}
_PARSE = csv.ParseOptions(newlines_in_values=True)


def to_csv(lines: bytes, first: bool, *, kind: RecordKind = RecordKind.FEEDBACK) -> bytes:
    """Whole JSON lines as CSV rows; with the row of column names if they are the `first` ones of their log."""
    text = io.BytesIO()
    csv.write_csv(to_table(lines, kind), text, _WRITE_HEADER if first else _WRITE)
    return text.getvalue()


def from_csv(text: bytes, first: bool, *, kind: RecordKind = RecordKind.FEEDBACK) -> bytes:
    """The result of `to_csv` as JSON lines; ValueError if it is not CSV in the columns of this kind."""
    # One block for the whole text, because a row must not cross two blocks.
    read = csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=SCHEMAS[kind].names, skip_rows=int(first))
    try:
        table = csv.read_csv(io.BytesIO(text), read, _PARSE, _CONVERT[kind])
    except pa.ArrowException as error:
        raise ValueError(f"not CSV in the columns of a log: {error}") from error
    return to_lines(table, kind)
