"""Exports for analysts: tables of groups and of sessions, frames for a notebook, inputs for P.1203."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import swarmscope
from feedback_wire.log_name import Form
from tests.feedback_analysis.measures.test_analyze import analyze
from tests.harness.logs import BEGIN_MS, record, write_log

STATED = [
    record(session_id="s1", seq=0, channel="=1+1", playback_kbps=800, continuity=1, startup_ms=2000, played_ms=0, uptime_ms=0),
    record(
        session_id="s1", seq=1, channel="=1+1", received_ms=BEGIN_MS + 30_000, playback_kbps=1000, continuity=0.9, startup_ms=2000
    )
    | {
        "played_ms": 27_000,
        "stall_count": 2,
        "stall_ms": 3000,
        "uptime_ms": 30_000,
        "extra": {"resolution": "1280x720", "fps": 25},
    },
    record(session_id="../s2", seq=0, channel="2", received_ms=BEGIN_MS + 1, extra={"codec": "h264"}),
]


@pytest.fixture
def logs(tmp_path):
    write_log(tmp_path / "logs", [*STATED, STATED[0]], Form.PARQUET)
    return tmp_path / "logs"


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_models_are_shown_side_by_side_with_their_terms(logs):
    answer = json.loads(
        analyze(logs, "--models", "all", "--model-set", "mos_stalling.length=0", "--json", "--by", "channel").stdout
    )
    stalling = answer["models"]["mos_stalling"]
    assert stalling["coefficients"]["length"] == 0
    assert sum(stalling["terms"].values()) == pytest.approx(stalling["mean"])
    assert [set(group["models"]) for group in answer["groups"]] == [set(answer["models"])] * 2
    assert answer["models"]["mos"]["mean"] == answer["mos"]["mean"]


def test_the_terms_of_a_score_are_shown(logs):
    assert "number_of_stalls -" in analyze(logs, "--models", "mos_stalling").stdout


def test_each_session_is_a_row_with_its_facts_and_scores(logs, tmp_path):
    target = tmp_path / "sessions.parquet"
    assert analyze(logs, "--sessions", "--models", "all", "--parquet", target).returncode == 0
    found = duckdb.execute("SELECT * FROM read_parquet($1) ORDER BY begin_ms", [str(target)])
    names = [column[0] for column in found.description]
    first, second = (dict(zip(names, row, strict=True)) for row in found.fetchall())
    assert (first["session_id"], first["messages"], first["online_s"], first["playback_kbps"]) == ("s1", 2, 30, 900)
    assert first["mos_stalling"] == pytest.approx(sum(first[name] for name in names if name.startswith("mos_stalling_")))
    assert first["qoe_linear_switches"] == pytest.approx(-0.1)
    assert (second["session_id"], second["mos"], second["startup_ms"]) == ("../s2", None, None)


def test_groups_are_the_same_as_csv_and_as_parquet(logs, tmp_path):
    target = tmp_path / "groups.parquet"
    rows = rows_of(analyze(logs, "--by", "app", "--models", "mos", "--csv").stdout)
    assert analyze(logs, "--by", "app", "--models", "mos", "--parquet", target).returncode == 0
    found = duckdb.execute("SELECT * FROM read_parquet($1)", [str(target)])
    assert [column[0] for column in found.description] == list(rows[0])
    assert [row[list(rows[0]).index("mos_mean")] for row in found.fetchall()] == [float(row["mos_mean"]) for row in rows]


def test_no_text_of_an_end_host_acts_as_a_formula(logs):
    assert {row["channel"] for row in rows_of(analyze(logs, "--by", "channel", "--csv").stdout)} == {"", "'=1+1", "2"}
    assert {row["channel"] for row in rows_of(analyze(logs, "--sessions", "--csv").stdout)} == {"'=1+1", "2"}


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--sessions"], "--csv or --parquet"),
        (["--sessions", "--csv", "--by", "isp"], "cannot be combined with --by"),
        (["--csv", "--parquet", "x.parquet"], "use only one of --json, --csv and --parquet"),
        (["--parquet", "/nowhere/x.parquet"], "no folder"),
        (["--models", "nonsense"], "not a quality model"),
        (["--model-set", "mos=1"], "MODEL.COEFFICIENT=VALUE"),
    ],
)
def test_invalid_queries_are_refused_before_any_work(tmp_path, flags, complaint):
    answer = analyze(tmp_path, *flags)
    assert answer.returncode != 0
    assert complaint in " ".join(answer.stderr.split())


def test_inputs_for_p1203_contain_what_the_intervals_report(logs, tmp_path):
    folder = tmp_path / "p1203"
    assert analyze(logs, "--p1203", folder).returncode == 0
    [listed] = rows_of((folder / "sessions.csv").read_text())
    assert listed["session_id"] == "s1"
    answer = json.loads((folder / listed["file"]).read_text())
    assert answer["I13"]["segments"] == [{"bitrate": 1000, "duration": 27, "start": 0, "resolution": "1280x720", "fps": 25}]
    assert answer["I23"]["stalling"] == [[0, 2], [6.75, 1.5], [20.25, 1.5]]


def test_a_notebook_gets_each_message_once_located_and_scored(logs):
    frame = swarmscope.open_logs(logs, models=["mos", "mos_stalling"], where={"channel": "=1+1"})
    assert list(frame.seq) == [0, 1]
    assert set(frame.country) == {"HK"}
    assert frame.mos_stalling.isna().tolist() == [True, False]


def test_a_notebook_chooses_its_map_as_a_command_does(tmp_path):
    write_log(tmp_path / "logs", [record(ip="1.36.209.7")])
    [usual] = swarmscope.open_logs(tmp_path / "logs").district
    [country] = swarmscope.open_logs(tmp_path / "logs", districts="countries").district
    assert (usual, country) == ("Yuen Long", "Hong Kong")
    (tmp_path / "wards.geojson").write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"ward": "All of it"}, "geometry": '
        '{"type": "Polygon", "coordinates": [[[113, 22], [115, 22], [115, 23], [113, 23], [113, 22]]]}}]}'
    )
    [own] = swarmscope.open_logs(tmp_path / "logs", districts=tmp_path / "wards.geojson", district_name="ward").district
    assert own == "All of it"
    with pytest.raises(ValueError, match="nowhere does not exist"):
        swarmscope.open_logs(tmp_path / "logs", districts="nowhere")


def test_a_relation_outlives_the_call(logs):
    relation = swarmscope.open_logs(logs, as_="duckdb", end="2100-01-01")
    assert relation.aggregate("count(*), count(DISTINCT session_id)").fetchall() == [(3, 2)]


def test_an_invalid_call_of_a_notebook_is_refused(logs):
    with pytest.raises(ValueError, match="pandas, polars, duckdb"):
        swarmscope.open_logs(logs, as_="excel")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        swarmscope.open_logs("nowhere")


def test_importing_swarmscope_loads_nothing_heavy():
    code = "import sys, swarmscope; print([name for name in ('duckdb', 'pandas', 'bokeh', 'pyarrow') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_notebook_example_of_the_documentation_runs(tmp_path, monkeypatch):
    write_log(tmp_path / "mirror", [record(channel="1", playback_kbps=850, continuity=0.988)])
    page = Path(__file__).parents[3] / "docs" / "analyze.md"
    [example] = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(example, namespace)
    assert namespace["frame"].mos.round(2).tolist() == [3.82]


def test_a_parquet_column_without_any_value_has_the_type_of_its_values(logs, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, flags in {"sessions": ("--sessions",), "groups": ("--by", "app")}.items():
        analyze(logs, *flags, "--parquet", tmp_path / name)
        types = pq.read_schema(tmp_path / name).types
        assert pa.null() not in types
    sessions = pq.read_table(tmp_path / "sessions")
    assert sessions["buffer_ms"].null_count == len(sessions)
    assert sessions.schema.field("buffer_ms").type == pa.float64()
