"""What is written to the tables is read again, by `open_training` in each form; files of another version are refused."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import swarmscope
from qoe_lab.dataset.parquet_tables import arrow_schema, read_table, write_table
from qoe_lab.dataset.table_columns import DIRECTIONS, FLOWS, TABLES, TCP_STATISTICS, VERSION_KEY, Column

PAGE = Path(__file__).parents[3] / "docs" / "formats" / "training-dataset.md"


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """A training with two sessions, one of them without a first picture."""
    folder = tmp_path / "trainings" / "first" / "dataset"
    folder.mkdir(parents=True)
    sessions = [
        {"session_id": "a", "training_id": "first", "valid": True, "stall_count": 0, "startup_ms": 812.5, "split": "train"},
        {"session_id": "b", "training_id": "first", "valid": True, "stall_count": 3},
    ]
    for table in TABLES:
        write_table(folder, table, sessions if table == "sessions" else [])
    return folder.parent


def test_an_unknown_value_is_null_and_not_zero(training: Path) -> None:
    rows = read_table([training], "sessions").to_pylist()
    assert [(row["stall_count"], row["startup_ms"], row["split"]) for row in rows] == [(0, 812.5, "train"), (3, None, None)]


def test_a_training_opens_by_its_folder_by_its_data_set_and_by_the_folder_of_all(training: Path) -> None:
    for path in (training, training / "dataset", training.parent, str(training)):
        assert swarmscope.open_training(path).session_id.tolist() == ["a", "b"]


def test_a_data_set_that_is_named_twice_is_read_once(training: Path) -> None:
    assert len(swarmscope.open_training(training, training.parent)) == 2


def test_a_relation_of_duckdb_outlives_the_call(training: Path) -> None:
    relation = swarmscope.open_training(training, as_="duckdb")
    assert relation.aggregate("count(*), count(startup_ms), sum(stall_count)").fetchall() == [(2, 1, 3)]


def test_every_table_opens_with_its_columns(training: Path) -> None:
    for table, columns in TABLES.items():
        assert list(swarmscope.open_training(training, table=table).columns) == [column.name for column in columns]


def test_an_invalid_call_is_refused_with_what_to_do(training: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="pandas, polars, duckdb"):
        swarmscope.open_training(training, as_="excel")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="trainings, sessions, slots, flows, events"):
        swarmscope.open_training(training, table="cells")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        swarmscope.open_training("nowhere")
    with pytest.raises(ValueError, match="empty has no data set; make it with: swarmscope lab export"):
        swarmscope.open_training(tmp_path / "empty")
    with pytest.raises(ValueError, match="no path"):
        swarmscope.open_training()


def test_a_file_of_another_version_is_refused_and_so_is_a_damaged_one(training: Path) -> None:
    file = training / "dataset" / "sessions.parquet"
    written = pq.read_table(file)
    pq.write_table(written.replace_schema_metadata({VERSION_KEY: b"99"}), file)
    with pytest.raises(ValueError, match="of version 99, and this program reads version 1"):
        swarmscope.open_training(training)
    pq.write_table(pa.table({"session_id": ["a"]}), file)
    with pytest.raises(ValueError, match="without a version"):
        swarmscope.open_training(training)
    file.write_bytes(b"PAR1" + bytes(20))
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        swarmscope.open_training(training)


def test_a_row_with_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the table slots has no column colour"):
        write_table(tmp_path, "slots", [{"session_id": "a", "colour": "red"}])


def test_the_same_rows_give_the_same_bytes(training: Path, tmp_path: Path) -> None:
    rows = read_table([training], "sessions").to_pylist()
    write_table(tmp_path, "sessions", rows)
    assert (tmp_path / "sessions.parquet").read_bytes() == (training / "dataset" / "sessions.parquet").read_bytes()


def test_every_column_has_a_meaning_and_each_name_of_a_table_is_used_once() -> None:
    for table, columns in TABLES.items():
        names = [column.name for column in columns]
        assert len(set(names)) == len(names)
        assert all(column.meaning for column in columns)
        assert [field.metadata[b"meaning"].decode() for field in arrow_schema(table)] == [column.meaning for column in columns]


def documented(heading: str) -> list[str]:
    """The rows of the tables of a section of the page."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `.*", section, re.MULTILINE)


def row(column: Column) -> str:
    return f"| `{column.name}` | {column.type} | {column.unit} | {column.meaning} |"


@pytest.mark.parametrize("table", ["trainings", "sessions", "slots", "events"])
def test_the_page_of_the_format_has_exactly_the_columns_of_a_table(table: str) -> None:
    assert documented(table.capitalize()) == [row(column) for column in TABLES[table]]


def test_the_page_of_the_format_has_exactly_the_columns_of_the_flows() -> None:
    """The statistics stand there once, for both directions."""
    own = [column for column in FLOWS if column.name.partition("_")[0] not in DIRECTIONS]
    assert documented("Flows") == [row(column) for column in (*own, *TCP_STATISTICS)]
    assert {column.name for column in FLOWS} - {column.name for column in own} == {
        f"{prefix}_{column.name}" for prefix in DIRECTIONS for column in TCP_STATISTICS
    }
