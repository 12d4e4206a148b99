"""Opens DuckDB databases with the settings that the table of messages and the history share."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

# DuckDB has all it needs compiled in, and must not download extensions. The order of rows is not needed and costs memory.
_SWITCHED_OFF = ("autoinstall_known_extensions", "autoload_known_extensions", "preserve_insertion_order")


def open_database(path: Path | None = None, *, temp: str, memory_mib: int | None = None) -> duckdb.DuckDBPyConnection:
    """The database in the file `path` (None: in memory).

    `temp`: the folder for data that does not fit into memory; empty: no folder. `memory_mib`: the limit of memory; None: DuckDB's
    own limit, a share of the machine's memory.
    """
    config: dict[str, str | bool | int | float | list[str]] = dict.fromkeys(_SWITCHED_OFF, False)
    config["temp_directory"] = temp
    if memory_mib is not None:
        config["memory_limit"] = f"{memory_mib}MiB"
    return duckdb.connect(":memory:" if path is None else path, config=config)


_CURSOR_OPENS_S = 0.001


def close_database(db: duckdb.DuckDBPyConnection) -> None:
    """Close `db`, while other threads may be opening cursors on it. From then on they get duckdb.ConnectionException."""
    while True:
        try:
            return db.close()
        except duckdb.ResourceInUseException:  # DuckDB refuses to close instead of waiting until the cursor is open
            time.sleep(_CURSOR_OPENS_S)


# DuckDB's names for the memory of running queries.
_QUERY_MEMORY = "'HASH_TABLE', 'ORDER_BY', 'COLUMN_DATA', 'WINDOW', 'PARQUET_READER', 'CSV_READER'"


def table_bytes(db: duckdb.DuckDBPyConnection) -> int:
    """The memory of the tables now, without the memory of running queries."""
    [(held,)] = db.execute(
        f"SELECT coalesce(sum(memory_usage_bytes), 0)::BIGINT FROM duckdb_memory() WHERE tag NOT IN ({_QUERY_MEMORY})"
    ).fetchall()
    return int(held)


@contextmanager
def transaction(db: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A transaction, which an error in the block rolls back."""
    db.execute("BEGIN TRANSACTION")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
