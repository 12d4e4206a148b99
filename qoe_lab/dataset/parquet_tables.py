"""Reads and writes the tables of data sets as Parquet. The same rows give the same bytes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from qoe_lab.dataset.table_columns import TABLES, TYPES, VERSION, VERSION_KEY, TableName, TableRow
from serving.regular_files import check_regular

ROWS_PER_GROUP = 20_000
FOLDER = "dataset"
"""Name of the folder with the data set in the folder of its training."""


def arrow_schema(table: TableName) -> Any:  # noqa: ANN401 - pyarrow has no types
    """The schema of a table, with the unit and meaning of each column and the version."""
    fields = [
        pa.field(column.name, TYPES[column.type], metadata={"unit": column.unit, "meaning": column.meaning})
        for column in TABLES[table]
    ]
    return pa.schema(fields, metadata={VERSION_KEY: str(VERSION)})


class TableFile:
    """Writes one table. The rows may come in any portions: they are divided into groups of ROWS_PER_GROUP."""

    def __init__(self, folder: Path, table: TableName) -> None:
        self.rows = 0
        self._schema = arrow_schema(table)
        self._table = table
        self._known = set(self._schema.names)
        self._waiting: list[TableRow] = []
        self._writer = pq.ParquetWriter(folder / f"{table}.parquet", self._schema, compression="zstd")

    def add(self, rows: Iterable[TableRow]) -> None:
        """Add rows. A row may lack columns, which are null then; it may not have others."""
        for row in rows:
            if unknown := row.keys() - self._known:
                raise ValueError(f"the table {self._table} has no column {', '.join(sorted(unknown))}")
            self._waiting.append(row)
            self.rows += 1
            if len(self._waiting) == ROWS_PER_GROUP:
                self._write_group()

    def close(self) -> None:
        """Complete the file."""
        if self._waiting or not self.rows:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        columns = [pa.array([row.get(field.name) for row in self._waiting], type=field.type) for field in self._schema]
        self._writer.write_table(pa.table(columns, schema=self._schema))
        self._waiting = []


def write_table(folder: Path, table: TableName, rows: Iterable[TableRow]) -> None:
    """Write a table's file from all of its rows."""
    file = TableFile(folder, table)
    file.add(rows)
    file.close()


def read_table(paths: Sequence[Path], table: TableName) -> Any:  # noqa: ANN401 - pyarrow has no types
    """A table of the data sets in `paths`, one below the other. ValueError for a path without a data set."""
    if table not in TABLES:
        raise ValueError(f"table is {table!r}; choose from {', '.join(TABLES)}")
    files = [folder / f"{table}.parquet" for path in paths for folder in _folders(path)]
    read = [_read(file, table) for file in dict.fromkeys(files)]
    return pa.concat_tables(read) if read else arrow_schema(table).empty_table()


def _folders(path: Path) -> Iterator[Path]:
    """The folders with data sets that `path` means: itself, that of its training, or those of the trainings in it."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    for folder in (path, path / FOLDER):
        if (folder / "sessions.parquet").is_file():
            yield folder
            return
    found = [each.parent for each in sorted(path.glob(f"*/{FOLDER}/sessions.parquet"))]
    if not found:
        is_training = (path / "training.json").is_file()
        hint = f"make it with: swarmscope lab export {path}" if is_training else "give the folder of a training"
        raise ValueError(f"{path} has no data set; {hint}")
    yield from found


def _read(file: Path, table: TableName) -> Any:  # noqa: ANN401 - pyarrow has no types
    try:
        check_regular(file)
        read = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{file} cannot be read as Parquet: {error}; make it again with swarmscope lab export") from error
    version = (read.schema.metadata or {}).get(VERSION_KEY)
    if version != str(VERSION).encode():
        found = "without a version" if version is None else f"of version {version.decode(errors='replace')}"
        raise ValueError(f"{file} is {found}, and this program reads version {VERSION}; make it again with swarmscope lab export")
    schema = arrow_schema(table)
    if lacking := [name for name in schema.names if name not in read.schema.names]:
        raise ValueError(f"{file} has no column {', '.join(lacking)}; make it again with swarmscope lab export")
    try:
        return read.select(schema.names).cast(schema)
    except (ValueError, pa.ArrowException) as error:
        raise ValueError(f"{file} has a column of another type: {error}; make it again with swarmscope lab export") from error
