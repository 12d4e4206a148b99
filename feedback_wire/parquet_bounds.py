"""What a reader of Parquet files accepts, so that a small file of any origin takes bounded memory and time.

A file of a kilobyte can state a billion rows, or contain one text of a gigabyte.
"""

from collections import Counter
from collections.abc import Sequence

MOST_ROWS_UNCHECKED = 1_000_000
"""A real record takes some 65 bytes."""

BYTES_AT_ONCE = 4 * 1024 * 1024
"""Rows of about this size are decoded together."""

ROWS_AT_ONCE = 4096


def row_claim(rows: int, size: int) -> str:
    """Why a file of `size` bytes is not read, if it cannot have the `rows` that its metadata states; otherwise empty."""
    if rows <= max(MOST_ROWS_UNCHECKED, size):
        return ""
    return f"its metadata states {rows} records, which is less than a byte for each"


def column_repeated(names: Sequence[str]) -> str:
    """Why a file with these columns is not read, if two have the same name: readers take different ones. Otherwise empty."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    return f"the column {repeated[0][:40]!r} occurs twice" if repeated else ""


def rows_at_once(rows: int, size: int) -> int:
    """How many rows of a row group to decode together. `rows` and `size` are the rows and decompressed bytes of the group."""
    return max(1, min(ROWS_AT_ONCE, rows * BYTES_AT_ONCE // max(1, size)))
