"""Tables for spreadsheets and notebooks: CSV in which no text can act as a formula, and Parquet with the same rows."""

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

# A spreadsheet that expects other separators starts new cells within our texts. Some trim spaces, some remove quotes, and some
# treat the wide characters of East Asian keyboards like the narrow ones.
_FORMULA = re.compile(r"""(?:^|(?<=[;,\t\r\n]))(?=[\s\x00-\x20\u200b-\u200f\ufeff"]*[=+\-@＝＋－＠])|^(?=[\t\r\n])""")

# Control characters of terminals. Line feeds and tabs stay, because they are safe within quotes.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def cell(value: object) -> str:
    """A cell that a spreadsheet shows and never computes, for any text and any separators that the spreadsheet expects.

    Control characters are written as their number, so that a terminal can show the file safely.
    """
    if not isinstance(value, str):
        return "" if value is None else str(value)
    # End hosts choose these texts. Spreadsheets themselves put an apostrophe before a text that looks like a formula.
    text = _FORMULA.sub("'", _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", value))
    return f'"{text.replace(chr(34), chr(34) * 2)}"'


def write_csv(file: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    file.writelines(",".join(map(cell, row)) + "\n" for row in (names, *rows))


def write_parquet(path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]], *, texts: Collection[str]) -> None:
    """The rows with their own types; `texts` names the columns of text.

    A column of numbers has floating-point type if a number is not whole or if it has no value. Parquet's own type for a column
    without a value is null, which most readers cannot combine with the same column of another file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [_alike(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    empty = {name: pa.string() if name in texts else pa.float64() for name in names}
    arrays = {
        name: pa.array(column, empty[name] if all(cell is None for cell in column) else None)
        for name, column in zip(names, columns, strict=True)
    }
    pq.write_table(pa.table(arrays), path, compression="zstd")


def _alike(column: Sequence[Any]) -> list[Any]:
    fractions = any(isinstance(cell, float) for cell in column)
    return [float(cell) if fractions and cell is not None else cell for cell in column]
