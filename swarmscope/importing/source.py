"""The rows of foreign files as text, in order of time, however many there are: DuckDB reads and sorts them, on disk if need be."""

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Entries
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from swarmscope.importing.mapping import TIME, UNITS_MS, Column, Mapping

ROWS_AT_ONCE = 4096
MEMORY = "1GB"
"""What sorting may take; beyond it, rows wait in a temporary folder."""

LONGEST_LINE_BYTES = 1024 * 1024
_ENDINGS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "json", ".ndjson": "json"}
_COMPRESSIONS = (".gz", ".zst")

# The digits of a number, with a fraction or an exponent.
_NUMBER = r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*"

# The column that names the file of a row; no file is likely to have one of this name.
_FILE = "swarmscope file"


@dataclass(frozen=True, slots=True)
class Broken:
    """A line of a CSV file that is no row."""

    file: str
    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file: its number in it, from 1 on, the header not counted; its time (None: there is none); its texts by field."""

    file: str
    number: int
    time_ms: int | None
    texts: Entries[str, str | None]


class Source:
    """Files of one form whose columns are known; to be asked for their rows once."""

    def __init__(self, db: duckdb.DuckDBPyConnection, paths: Sequence[Path], form: str) -> None:
        self._db = db
        self._form = form
        self._scan = _scan(form)
        self._paths = {"paths": [str(path) for path in paths]}
        self.columns = self._columns()

    def rows(self, mapping: Mapping, sources: Entries[str, Column]) -> Iterator[Row]:
        """The rows in order of their time, those without one first; ValueError if a file cannot be read to its end."""
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

    def broken(self) -> list[Broken]:
        """The lines of CSV files that are no rows, once the rows were asked for."""
        if self._form != "csv":
            return []
        lines = """
            SELECT DISTINCT ON (file_path, line) file_path, line, error_message
            FROM reject_errors JOIN reject_scans USING (scan_id, file_id) ORDER BY file_path, line
        """
        return [Broken(file, int(line), why.splitlines()[0]) for file, line, why in self._db.execute(lines).fetchall()]

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
        """SQL: the column's value as text."""
        parts = [column] if column in self.columns else column.split(".")
        if self._form == "json":
            path = "".join('."' + part.replace('"', '\\"') + '"' for part in parts)
            return f"json_extract_string(json, {_quoted('$' + path)})"
        return ".".join('"' + part.replace('"', '""') + '"' for part in parts) + "::VARCHAR"


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[Source]:
    """The files at `paths`, all CSV with a header line, Parquet or JSON lines, by their names.

    The text forms may be compressed (`.gz`, `.zst`). ValueError if one is not there or cannot be read.
    """
    forms = {form_of(path) for path in paths}
    if len(forms) > 1:
        raise ValueError(f"the files are of {len(forms)} forms; import {' and '.join(sorted(forms))} one after the other")
    if missing := [path for path in paths if not path.is_file()]:
        raise ValueError(f"there is no file {missing[0]}")
    with TemporaryDirectory(prefix="swarmscope-") as scratch:
        # What DuckDB needs is compiled in; nothing is ever fetched.
        db = duckdb.connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "memory_limit": MEMORY,
                "temp_directory": scratch,
            }
        )
        with db:
            yield Source(db, paths, forms.pop())


def form_of(path: Path) -> str:
    """`csv`, `parquet` or `json` by the file's name; ValueError if it tells none."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in _COMPRESSIONS]
    form = _ENDINGS.get(suffixes[-1].casefold() if suffixes else "", "")
    if not form:
        raise ValueError(
            f"{path} is no file that can be imported; its name ends in {', '.join(_ENDINGS)}, or .gz or .zst after that"
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
    return ValueError(f"this cannot be read: {str(error).splitlines()[0]}")
