"""Records as CSV. Absent is nothing between the commas, the empty text is `""`: tools that mix them up lose only that."""

import io

import pyarrow as pa
from pyarrow import csv

from feedback_server.forms.columns import SCHEMA, to_lines, to_table

_WRITE_HEADER = csv.WriteOptions(include_header=True)
_WRITE = csv.WriteOptions(include_header=False)
_CONVERT = csv.ConvertOptions(
    column_types=SCHEMA, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False, check_utf8=True
)
_PARSE = csv.ParseOptions(newlines_in_values=True)


def to_csv(lines: bytes, first: bool) -> bytes:
    """The CSV of whole JSON lines, one row each; with the line of column names if it is the `first` of its log."""
    text = io.BytesIO()
    csv.write_csv(to_table(lines), text, _WRITE_HEADER if first else _WRITE)
    return text.getvalue()


def from_csv(text: bytes, first: bool) -> bytes:
    """What `to_csv` made, as JSON lines; ValueError if it is not CSV in our columns."""
    # A block as large as the text keeps each row within one block.
    read = csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=SCHEMA.names, skip_rows=int(first))
    try:
        table = csv.read_csv(io.BytesIO(text), read, _PARSE, _CONVERT)
    except pa.ArrowException as error:
        raise ValueError(f"not CSV in the columns of a log: {error}") from error
    return to_lines(table)
