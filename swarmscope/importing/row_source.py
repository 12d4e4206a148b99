"""Reads the rows of imported files as text, in order of time. DuckDB reads and sorts them, on disk if memory is not sufficient."""

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Entries
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from swarmscope.importing.mapping import TIME, UNITS_MS, Mapping, SourceColumn

ROWS_AT_ONCE = 4096
MEMORY = "1GB"
"""Memory limit of sorting; DuckDB stores more rows in a temporary folder."""

LONGEST_LINE_BYTES = 1024 * 1024
_ENDINGS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "json", ".ndjson": "json"}
_COMPRESSIONS = (".gz", ".zst")

# The digits of a number, with a fraction or an exponent.
_NUMBER = r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*"

# The name of the column that contains the file of a row. Imported files are unlikely to use it.
_FILE = "swarmscope file"


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A line of a CSV file that is not a valid row."""

    file: str
    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file. `number` counts from 1 without the header; `time_ms` is None without a valid time; `texts` are by field."""

    file: str
    number: int
    time_ms: int | None
    texts: Entries[str, str | None]


class RowSource:
    """Files of one kind with known columns. `rows` can be called once."""

    def __init__(self, db: duckdb.DuckDBPyConnection, paths: Sequence[Path], form: str) -> None:
        self._db = db
        self._form = form
        self._scan = _scan(form)
        self._paths = {"paths": [str(path) for path in paths]}
        self.columns = self._columns()

    def rows(self, mapping: Mapping, sources: Entries[str, SourceColumn]) -> Iterator[Row]:
        """The rows in order of time, rows without a time first. ValueError if a file cannot be read completely."""
        names = list(sources)
        texts = ", ".join(f"{self._text(sources[name].name)} AS c{place}" for place, name in enumerate(names))
        time = f"c{names.index(TIME)}"
        factor = UNITS_MS[mapping.unit] * sources[TIME].factor
        sql = f"""
            WITH numbered AS (SELECT "{_FILE}" AS file, row_number() OVER () AS place, {texts} FROM {self._scan})
            SELECT file, place - min(place) OVER (PARTITION BY file) + 1 AS number, CASE
                WHEN regexp_full_match({time}, '{_NUMBER}') THEN TRY_CAST(round(TRY_CAST({time} AS DOUBLE) * {factor}) AS BIGINT)
                ELSE epoch_ms(TRY_CAST({time} AS TIMESTAMPTZ)) END AS time_ms, * EXCLUDE (file, place)
            FROM numbered ORDER BY time_ms NULLS FIRST, place
        """
        self._db.execute("SET TimeZone = $zone", {"zone": mapping.zone})
        try:
            found = self._db.execute(sql, self._paths)
            while rows := found.fetchmany(ROWS_AT_ONCE):
                for file, number, time_ms, *values in rows:
                    yield Row(file, number, time_ms, dict(zip(names, values, strict=True)))
        except duckdb.Error as error:
            raise _unreadable(error) from error

    def broken_lines(self) -> list[BrokenLine]:
        """The invalid lines of CSV files. Call it after `rows`."""
        if self._form != "csv":
            return []
        lines = """
            SELECT DISTINCT ON (file_path, line) file_path, line, error_message
            FROM reject_errors JOIN reject_scans USING (scan_id, file_id) ORDER BY file_path, line
        """
        return [BrokenLine(file, int(line), why.splitlines()[0]) for file, line, why in self._db.execute(lines).fetchall()]

    def _columns(self) -> tuple[str, ...]:
        if self._form == "json":
            keys = f"SELECT DISTINCT unnest(json_keys(json)) FROM {self._scan} WHERE json_type(json) = 'OBJECT'"
            return tuple(sorted(name for (name,) in self._ask(keys)))
        return tuple(name for name, *_ in self._ask(f'DESCRIBE SELECT * EXCLUDE ("{_FILE}") FROM {self._scan}'))

    def _ask(self, sql: str) -> list[tuple[str, ...]]:
        try:
            return self._db.execute(sql, self._paths).fetchall()
        except duckdb.Error as error:
            raise _unreadable(error) from error

    def _text(self, column: str) -> str:
        """An SQL expression for the column's value as text."""
        parts = [column] if column in self.columns else column.split(".")
        if self._form == "json":
            path = "".join('."' + part.replace('"', '\\"') + '"' for part in parts)
            return f"json_extract_string(json, {_quoted('$' + path)})"
        return ".".join('"' + part.replace('"', '""') + '"' for part in parts) + "::VARCHAR"


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[RowSource]:
    """Open files of one kind: CSV with a header line, Parquet or JSON lines, as the ends of their names state.

    Text files can be compressed (`.gz`, `.zst`). ValueError if a file does not exist or cannot be read.
    """
    forms = {form_of(path) for path in paths}
    if len(forms) > 1:
        raise ValueError(f"the files are of different kinds ({', '.join(sorted(forms))}); import each kind separately")
    if missing := [path for path in paths if not path.is_file()]:
        raise ValueError(f"file not found: {missing[0]}")
    with TemporaryDirectory(prefix="swarmscope-") as scratch:
        # The required extensions are built in; DuckDB must not download others.
        db = duckdb.connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "memory_limit": MEMORY,
                "temp_directory": scratch,
            }
        )
        with db:
            yield RowSource(db, paths, forms.pop())


def form_of(path: Path) -> str:
    """`csv`, `parquet` or `json`, from the end of the file's name; ValueError for another name."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in _COMPRESSIONS]
    form = _ENDINGS.get(suffixes[-1].casefold() if suffixes else "", "")
    if not form:
        raise ValueError(
            f"{path} cannot be imported; its name must end in {', '.join(_ENDINGS)}, optionally followed by .gz or .zst"
        )
    return form


def _scan(form: str) -> str:
    named = f"filename = '{_FILE}'"
    if form == "parquet":
        return f"read_parquet($paths, union_by_name = true, {named})"
    if form == "json":
        return (
            '(SELECT json, filename AS "' + _FILE + "\" FROM read_json_objects($paths, format = 'newline_delimited', "
            f"ignore_errors = true, maximum_object_size = {LONGEST_LINE_BYTES}, filename = true))"
        )
    return (
        f"read_csv($paths, header = true, all_varchar = true, store_rejects = true, {named}, max_line_size = {LONGEST_LINE_BYTES})"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unreadable(error: duckdb.Error) -> ValueError:
    return ValueError(f"a file cannot be read: {str(error).splitlines()[0]}")
