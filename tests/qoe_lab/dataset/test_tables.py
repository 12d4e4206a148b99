"""What is written to the tables is read again, by `open_training` in each form; files of another version are refused."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement

import swarmscope
from qoe_lab.dataset.invalid_session import ExportReason
from qoe_lab.dataset.parquet_tables import arrow_schema, read_table, write_table
from qoe_lab.dataset.session_doubts import DOUBTS
from qoe_lab.dataset.sessions_csv import HEADER, LABELS, NOT_MEASURED
from qoe_lab.dataset.table_columns import FLOWS, SLOTS, TABLES, VERSION_KEY, TableColumn
from qoe_lab.traffic.flow_columns import DIRECTION_COLUMNS
from qoe_lab.traffic.slot_features import SLOT_FEATURES, STATE_FEATURES, WINDOW_FEATURES, WINDOWS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "formats" / "training-dataset.md"
IMPORT_NAMES = {"dnspython": "dns", "maxminddb-rust": "maxminddb_rust"}
"""The packages of the other extras whose modules have another name."""


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


def with_the_extra_of_the_lab_alone(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run Python in which no module of the other extras can be imported."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    missing = [IMPORT_NAMES.get(name, name) for name in sorted(packages(extras, "all") - packages(extras, "qoe-lab"))]
    hidden = f"import sys; sys.modules.update(dict.fromkeys({missing}))\n"
    assert "h3" in missing
    return subprocess.run([sys.executable, "-c", hidden + code, *args], capture_output=True, text=True, timeout=60)


def packages(extras: dict[str, list[str]], extra: str) -> set[str]:
    """The packages that an extra installs, with those of the extras that it names."""
    asked = [Requirement(each) for each in extras[extra]]
    named = {name for each in asked if each.name == "swarmscope" for name in each.extras}
    return {each.name for each in asked if each.name != "swarmscope"}.union(*(packages(extras, name) for name in named))


def test_the_extra_of_the_lab_suffices_to_open_a_training(training: Path) -> None:
    code = "import swarmscope; print(len(swarmscope.open_training(sys.argv[1], as_=sys.argv[2])))"
    for form in ("pandas", "duckdb"):
        done = with_the_extra_of_the_lab_alone(code, str(training), form)
        assert (done.stdout, done.stderr) == ("2\n", "")
    refused = with_the_extra_of_the_lab_alone("import swarmscope.notebooks")
    assert "ModuleNotFoundError" in refused.stderr  # so the modules of the other extras were hidden


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
    with pytest.raises(ValueError, match="empty has no data set; give the folder of a training"):
        swarmscope.open_training(tmp_path / "empty")
    (tmp_path / "empty" / "training.json").write_text("{}")
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
    pq.write_table(written.drop_columns(["doubts"]), file)
    with pytest.raises(ValueError, match="has no column doubts; make it again with swarmscope lab export"):
        swarmscope.open_training(training)
    place = written.schema.get_field_index("mos")
    pq.write_table(written.set_column(place, "mos", pa.array(["good"] * len(written))), file)
    with pytest.raises(ValueError, match=r"has a column of another type: .*make it again with swarmscope lab export"):
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


def row(column: TableColumn) -> str:
    return f"| `{column.name}` | {column.type} | {column.unit} | {column.meaning} |"


@pytest.mark.parametrize("table", ["trainings", "sessions", "events"])
def test_the_page_of_the_format_has_exactly_the_columns_of_a_table(table: str) -> None:
    assert documented(table.capitalize()) == [row(column) for column in TABLES[table]]


def test_the_page_of_the_format_has_exactly_the_columns_of_the_flows() -> None:
    """The columns of a direction stand there once, without the prefix."""
    names = [column.name for column in FLOWS]
    assert names[-2 * len(DIRECTION_COLUMNS) :] == [
        f"{prefix}{each.name}" for prefix in ("up_", "down_") for each in DIRECTION_COLUMNS
    ]
    types = {column.name: column.type for column in FLOWS}
    of_direction = [
        row(TableColumn(name=each.name, type=types[f"up_{each.name}"], unit=each.unit.replace("0/1", ""), meaning=each.meaning))
        for each in DIRECTION_COLUMNS
    ]
    assert documented("Flows") == [row(column) for column in FLOWS[: -2 * len(DIRECTION_COLUMNS)]] + of_direction


def test_the_page_of_the_format_has_exactly_the_columns_of_the_slots() -> None:
    """The features of a window stand there once, without the prefix."""
    features = len(SLOT_FEATURES)
    assert [column.name for column in SLOTS[-features:]] == [each.name for each in SLOT_FEATURES]
    assert features == len(WINDOWS) * len(WINDOW_FEATURES) + len(STATE_FEATURES)
    shown = [
        row(TableColumn(name=each.name, type="number", unit=each.unit, meaning=each.meaning))
        for each in (*WINDOW_FEATURES, *STATE_FEATURES)
    ]
    assert documented("Slots") == [row(column) for column in SLOTS[:-features]] + shown


def test_every_reason_of_the_export_is_on_the_page_of_the_format() -> None:
    assert [each.split("`")[1] for each in documented("Reasons")] == [reason.value for reason in ExportReason]


def test_every_doubt_is_on_the_page_of_the_format() -> None:
    assert documented("Doubts") == [f"| `{name}` | {meaning} |" for name, (meaning, _) in DOUBTS.items()]


def test_every_column_of_the_csv_file_is_on_the_page_of_the_format() -> None:
    ranges = "".join(documented("Columns of the CSV file"))
    assert [name for name in (*LABELS, *NOT_MEASURED, HEADER[0], HEADER[-1]) if f"`{name}`" not in ranges] == []
