"""The label manager's CSV files get the right names: each value has a number that shows which statistic it is."""

from pathlib import Path

import pytest

from qoe_lab.dataset.label_manager_csv import RIGHT, WRITTEN, read_label_manager, write_right_names
from qoe_lab.traffic.label_manager_columns import WRITTEN_AS
from tests.harness.processes import run_here

TSTAT = (
    *("packets", "data_pkts", "data_bytes", "rexmit_pkts", "rexmit_bytes", "rtt_avg", "rtt_min", "rtt_max", "stdev_rtt"),
    *("rtt_count", "ttl_min", "ttl_max", "max_seg_size", "min_seg_size", "win_max", "win_min", "rtx_RTO", "rtx_FR", "reordering"),
    *("net_dup", "flow_control", "unnece_rtx_RTO", "unnece_rtx_FR"),
)
"""The statistics in the order in which the label manager computes them."""

TRUE = dict(
    zip(
        TSTAT,
        (16, 5, 2678, 1, 273, 13.4, 13.1, 13.8, 0.3, 5, 63, 64, 1448, 80, 64256, 63872, 2, 3, 4, 6, 7, 8, 9),
        strict=True,
    )
)


def as_the_label_manager_writes(values: dict[str, float]) -> dict[str, float]:
    """The label manager's steps: 23 values, one after the other, under the names of a list that has `reordering` twice."""
    names = list(TSTAT)
    names.insert(names.index("ttl_min"), "reordering")
    written: dict[str, float] = {}
    for name, statistic in zip(names, TSTAT, strict=False):
        written[name] = values[statistic]
    return written


def csv_of(*sessions: dict[str, float], header: tuple[str, ...] = WRITTEN) -> str:
    lines = [
        ",".join([str(number), "1.25", "60", *(str(value) for value in session.values()), "0", "2", "0", "5", "1.7.0"])
        for number, session in enumerate(sessions, start=1)
    ]
    return "\n".join([",".join(header), *lines]) + "\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sessions.csv"
    path.write_text(csv_of(as_the_label_manager_writes(TRUE), as_the_label_manager_writes(TRUE)))
    return path


def test_the_names_that_the_label_manager_writes_are_those_that_the_importer_knows() -> None:
    assert tuple(as_the_label_manager_writes(TRUE)) == tuple(WRITTEN_AS)


def test_twelve_of_the_22_statistics_get_another_name_and_ttl_min_is_lost() -> None:
    assert len(WRITTEN_AS) == 22
    assert sum(written != right for written, right in WRITTEN_AS.items()) == 12
    assert set(TSTAT) - set(WRITTEN_AS.values()) == {"ttl_min"}


def test_every_value_is_under_the_name_of_its_statistic(file: Path) -> None:
    rows = read_label_manager(file).rows
    assert len(rows) == 2
    for row in rows:
        assert {name: row[name] for name in WRITTEN_AS.values()} == {name: TRUE[name] for name in WRITTEN_AS.values()}
        assert (row["bw"], row["duration"], row["stallCount"], row["qualityChanges"]) == (1.25, 60, 0, 2)


def test_rows_that_cannot_be_true_are_kept_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv"
    wrong = as_the_label_manager_writes(TRUE | {"win_min": 70_000, "rtt_avg": 99})
    path.write_text(csv_of(as_the_label_manager_writes(TRUE), wrong))
    sessions = read_label_manager(path)
    assert len(sessions.rows) == 2
    assert sessions.doubts == {"rtt_avg is not between rtt_min and rtt_max": 1, "win_min is above win_max": 1}


def test_repeated_ids_are_counted(file: Path) -> None:
    header, first, second = file.read_text().splitlines()
    file.write_text("\n".join([header, first, second, first, first]) + "\n")
    assert read_label_manager(file).repeated_ids == 2


def test_a_file_whose_names_are_right_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv"
    path.write_text(csv_of({name: TRUE[name] for name in WRITTEN_AS}))
    with pytest.raises(ValueError, match="each ttl_max is a possible time to live"):
        read_label_manager(path)


def test_a_corrected_file_has_right_names_and_is_refused_by_the_importer(file: Path, tmp_path: Path) -> None:
    write_right_names(read_label_manager(file), tmp_path / "right.csv")
    assert (tmp_path / "right.csv").read_text().splitlines()[0] == ",".join(RIGHT)
    with pytest.raises(FileExistsError):
        write_right_names(read_label_manager(file), tmp_path / "right.csv")
    with pytest.raises(ValueError, match="is not a CSV file of the label manager: its header lacks ttl_min"):
        read_label_manager(tmp_path / "right.csv")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("packets,", "", 1), "its header lacks packets"),
        (lambda text: text.replace("packets,", "packets,colour,", 1), "its header also has colour"),
        (lambda text: "", "its header lacks id, bw, duration"),
        (lambda text: text.splitlines()[0] + "\n", "has no sessions"),
        (lambda text: text.replace("1.25", "fast"), "sessions.csv:2: bw is 'fast', which is not a number"),
        (lambda text: text.replace("13.4", "nan", 1), "sessions.csv:2: rtt_avg is 'nan', which is not a number"),
        (lambda text: text.replace("id,bw", "bw,id"), "its header has another order"),
        (lambda text: text.replace("1.7.0", "1.7.0,1"), "sessions.csv:2 has 31 values, and the header has 30"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_place(file: Path, change, reason: str) -> None:
    file.write_text(change(file.read_text()))
    with pytest.raises(ValueError, match=reason):
        read_label_manager(file)


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(ValueError, match="is not a CSV file of the label manager"):
        read_label_manager(file)


def test_the_command_writes_the_right_names_and_prints_what_it_found(file: Path, tmp_path: Path) -> None:
    done = run_here("lab", "import", file, "--into", tmp_path / "right.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert "right.csv: 2 sessions, 0 with the id of an earlier one" in done.stdout
    assert (tmp_path / "right.csv").read_text().splitlines()[0] == ",".join(RIGHT)
    again = run_here("lab", "import", file, "--into", tmp_path / "right.csv")
    assert again.returncode == 2
    assert "right.csv exists; remove it, or give another --into" in again.stderr
