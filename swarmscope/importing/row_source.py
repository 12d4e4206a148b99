"""Reads the rows of imported files as text, in order of time. DuckDB sorts them, on disk if memory is not sufficient.

DuckDB also reads Parquet. `csv_rows` and `json_lines_file` read text, because DuckDB needs some kilobytes of memory for each broken
line of CSV, ends at a JSON line of more than 16 MiB, and takes a compressed file that ends too early for a complete one.
"""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Entries
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from feedback_analysis.reading.log_files import NotReadable, check_file, is_gone
from serving.locked_scratch import scratch_folder
from swarmscope.importing.csv_rows import LONGEST_VALUE_CHARS, BrokenLine, CsvFile
from swarmscope.importing.json_lines_file import JsonLinesFile
from swarmscope.importing.mapping import TIME, UNITS_MS, Mapping, SourceColumn

ROWS_AT_ONCE = 4096
CHARS_AT_ONCE = 2**20
"""So many rows, or JSON lines with so much text, are handed to DuckDB at once."""

MEMORY = "1GB"
"""Memory limit of sorting; DuckDB stores more rows in a temporary folder."""

_ENDINGS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "json", ".ndjson": "json"}
_COMPRESSIONS = (".gz", ".zst")

NUMBER = r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*"
"""The regular expression of a number, also with a fraction or an exponent."""

# The name of the column that contains the file of a row. Imported files are unlikely to use it.
_FILE = "swarmscope file"
_PARQUET = f"read_parquet($paths, union_by_name = true, hive_partitioning = false, filename = '{_FILE}')"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of a file. `number` counts from 1 without the header; `time_ms` is None without a valid time; `texts` are by field."""

    file: str
    number: int
    time_ms: int | None
    texts: Entries[str, str | None]


class RowSource:
    """Files of one kind with known columns. `rows` can be called once."""

    def __init__(self, db: duckdb.DuckDBPyConnection, links: Entries[Path, Path], form: str) -> None:
        """`links` are links to the files. Their names, unlike those of the files, mean nothing to DuckDB."""
        self._db = db
        self._form = form
        self._files = {str(link): str(path) for link, path in links.items()}
        # By the names of their links: the names of files may not be UTF-8, and DuckDB accepts nothing else.
        self._csv_files = {str(link): CsvFile(path) for link, path in links.items()} if form == "csv" else {}
        self._json_files = {str(link): JsonLinesFile(path) for link, path in links.items()} if form == "json" else {}
        self._failure: ValueError | None = None
        self.columns = self._columns()

    def rows(
        self, mapping: Mapping, sources: Entries[str, SourceColumn], on_broken: Callable[[BrokenLine], None]
    ) -> Iterator[SourceRow]:
        """The rows in order of time, rows without a time first. ValueError if a file cannot be read completely.

        `on_broken` is called for each line of a text file that is not a row.
        """
        names = list(sources)
        time = f"c{names.index(TIME)}"
        factor = UNITS_MS[mapping.unit] * sources[TIME].factor
        sql = f"""
            WITH numbered AS ({self._numbered_rows(sources, on_broken)})
            SELECT file, number, CASE
                WHEN regexp_full_match({time}, '{NUMBER}') THEN TRY_CAST(round(TRY_CAST({time} AS DOUBLE) * {factor}) AS BIGINT)
                ELSE epoch_ms(TRY_CAST({time} AS TIMESTAMPTZ)) END AS time_ms, * EXCLUDE (file, number, place)
            FROM numbered ORDER BY time_ms NULLS FIRST, place
        """
        self._db.execute("SET TimeZone = $zone", {"zone": mapping.zone})
        try:
            found = self._db.execute(sql, self._parameters())
            while rows := found.fetchmany(ROWS_AT_ONCE):
                for file, number, time_ms, *values in rows:
                    yield SourceRow(self._files.get(file, file), number, time_ms, dict(zip(names, values, strict=True)))
        except duckdb.Error as error:
            raise self._failure or self._unreadable(error) from error

    def _numbered_rows(self, sources: Entries[str, SourceColumn], on_broken: Callable[[BrokenLine], None]) -> str:
        """A query of all rows: file, number in the file, place among all rows, and the texts of `sources` as c0, c1 and so on."""
        if self._form == "csv":
            self._db.register("csv_rows", self._csv_rows([column.name for column in sources.values()], on_broken))
            return "SELECT *, row_number() OVER () AS place FROM csv_rows"
        if self._form == "json":
            paths = ", ".join(_quoted(self._json_path(column.name)) for column in sources.values())
            texts = ", ".join(f"{_cut(f'found[{at}]')} AS c{at - 1}" for at in range(1, len(sources) + 1))
            # A list of paths, because each call would parse the row again.
            found = f"SELECT file, number, json_extract_string(json, [{paths}]) AS found FROM ({self._json_rows(on_broken)})"
            return f"SELECT file, number, row_number() OVER () AS place, {texts} FROM ({found})"
        texts = ", ".join(f"{_cut(self._column(column.name))} AS c{place}" for place, column in enumerate(sources.values()))
        placed = f'SELECT "{_FILE}" AS file, row_number() OVER () AS place, {texts} FROM {_PARQUET}'
        return f"SELECT *, place - min(place) OVER (PARTITION BY file) + 1 AS number FROM ({placed})"

    def _csv_rows(self, columns: Sequence[str], on_broken: Callable[[BrokenLine], None]) -> pa.RecordBatchReader:
        rows = (
            (link, number, *values) for link, file in self._csv_files.items() for number, values in file.rows(columns, on_broken)
        )
        return self._reader([f"c{place}" for place in range(len(columns))], iter(lambda: list(islice(rows, ROWS_AT_ONCE)), []))

    def _json_rows(self, on_broken: Callable[[BrokenLine], None]) -> str:
        """A query of all rows of JSON lines: file, number in the file, and the row as `json`; NULL if it is not JSON."""
        rows = ((link, number, line) for link, file in self._json_files.items() for number, line in file.rows(on_broken))
        self._db.register("json_rows", self._reader(["line"], _chunks(rows)))
        return "SELECT file, number, TRY_CAST(line AS JSON) AS json FROM json_rows"

    def _reader(self, texts: Sequence[str], chunks: Iterator[list[tuple[Any, ...]]]) -> pa.RecordBatchReader:
        """The rows (file, number, texts) for DuckDB, a chunk at a time."""
        schema = pa.schema([("file", pa.string()), ("number", pa.int64()), *((name, pa.string()) for name in texts)])

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                for rows in chunks:
                    yield pa.RecordBatch.from_arrays([*map(pa.array, zip(*rows, strict=True), schema.types)], schema=schema)
            except (ValueError, OSError) as error:
                self._failure = ValueError(str(error))  # DuckDB would show only a part of it
                raise

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _columns(self) -> tuple[str, ...]:
        if self._form == "csv":
            return tuple(dict.fromkeys(name for file in self._csv_files.values() for name in file.columns))
        if self._form == "json":
            found = self._json_rows(lambda _: None)  # reported when the rows are read
            keys = f"SELECT DISTINCT unnest(json_keys(json)) FROM ({found}) WHERE json_type(json) = 'OBJECT'"
            return tuple(sorted(name for (name,) in self._ask(keys)))
        return tuple(name for name, *_ in self._ask(f'DESCRIBE SELECT * EXCLUDE ("{_FILE}") FROM {_PARQUET}'))

    def _parameters(self) -> dict[str, list[str]]:
        return {"paths": list(self._files)} if self._form == "parquet" else {}

    def _ask(self, sql: str) -> list[tuple[str, ...]]:
        try:
            return self._db.execute(sql, self._parameters()).fetchall()
        except duckdb.Error as error:
            raise self._failure or self._unreadable(error) from error

    def _json_path(self, column: str) -> str:
        return "$" + "".join('."' + part.replace('"', '\\"') + '"' for part in self._parts(column))

    def _column(self, column: str) -> str:
        """An SQL expression for the value of a column of Parquet as text."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in self._parts(column)) + "::VARCHAR"

    def _parts(self, column: str) -> list[str]:
        """A column, or the names of the objects that contain a value."""
        return [column] if column in self.columns else column.split(".")

    def _unreadable(self, error: duckdb.Error) -> ValueError:
        why = str(error).splitlines()[0]
        for link, path in self._files.items():
            why = why.replace(link, path)
        what = next(iter(self._files.values())) if len(self._files) == 1 else "a file"
        return ValueError(f"{what} cannot be read: {why}")


def _chunks(rows: Iterator[tuple[str, int, str]]) -> Iterator[list[tuple[Any, ...]]]:
    """The rows (file, number, line) in lists of at most ROWS_AT_ONCE, and of about CHARS_AT_ONCE."""
    chunk: list[tuple[Any, ...]] = []
    chars = 0
    for row in rows:
        chunk.append(row)
        chars += len(row[2])
        if len(chunk) == ROWS_AT_ONCE or chars >= CHARS_AT_ONCE:
            yield chunk
            chunk, chars = [], 0
    if chunk:
        yield chunk


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[RowSource]:
    """Open files of one kind: CSV with a header line, Parquet or JSON lines, as the ends of their names state.

    Text files can be compressed (`.gz`, `.zst`). ValueError if a file does not exist or cannot be read.
    """
    forms = {form_of(path) for path in paths}
    if len(forms) > 1:
        raise ValueError(f"the files are of different kinds ({', '.join(sorted(forms))}); import each kind separately")
    for path in paths:
        _check_readable(path)
    with scratch_folder() as scratch:
        # The required extensions are built in; DuckDB must not download others.
        db = duckdb.connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "memory_limit": MEMORY,
                "temp_directory": str(scratch),
            }
        )
        with db:
            yield RowSource(db, _links(paths, scratch), forms.pop())


def form_of(path: Path) -> str:
    """`csv`, `parquet` or `json`, from the end of the file's name; ValueError for another name."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in _COMPRESSIONS]
    form = _ENDINGS.get(suffixes[-1].casefold() if suffixes else "", "")
    if not form:
        raise ValueError(
            f"{path} cannot be imported; its name must end in {', '.join(_ENDINGS)}, optionally followed by .gz or .zst"
        )
    return form


def _check_readable(path: Path) -> None:
    """ValueError if `path` is not a regular file."""
    if is_gone(path):
        raise ValueError(f"file not found: {path}")
    try:
        check_file(path)
    except NotReadable as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def _links(paths: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Links in `folder` to the files. DuckDB gives a meaning to names such as `*.csv` and `day=1/a.parquet`."""
    links = {folder / str(place): path for place, path in enumerate(paths)}
    for link, path in links.items():
        link.symlink_to(path.absolute())
    return links


def _cut(text: str) -> str:
    """An SQL expression for the value of the expression `text`, cut if it is too long for any field."""
    return f"CASE WHEN length({text}) > {LONGEST_VALUE_CHARS} THEN left({text}, {LONGEST_VALUE_CHARS}) || '…' ELSE {text} END"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
