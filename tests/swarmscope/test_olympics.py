"""The Olympics data set: its logs agree with its expected values for every reader, and its event is that of the paper."""

import io
import json
import subprocess
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zstandard
from jsonschema import Draft202012Validator

from feedback_analysis.time_units import MINUTE_MS
from feedback_wire.log_name import Form
from feedback_wire.record import record_schema
from swarmscope.olympics.days import DayTask, write_day
from swarmscope.olympics.planned_views import views_of
from swarmscope.olympics.programme import CROWD_DAY, DAYS, MOST_CONCURRENT, USERS, programme
from tests.harness.processes import run_swarmscope

SCALE = 0.005


def lines_of(path):
    with zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True) as text:
        return io.TextIOWrapper(text).readlines()


def order(into, number, **changed):
    return DayTask(**{"into": into, "form": Form.JSONL, "number": number, "seed": 1, "scale": SCALE} | changed)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """The logs of the crowd's day, and their expected values."""
    into = tmp_path_factory.mktemp("crowd")
    return into, write_day(order(into, CROWD_DAY))


def test_the_event_has_the_papers_days_and_users():
    days = programme(1)
    assert (len(days), days[0].date, days[-1].date) == (DAYS, "2012-07-27", "2012-08-12")
    assert sum(day.new for day in days) == USERS
    assert all(later.first_new == earlier.first_new + earlier.new for earlier, later in pairwise(days))
    assert all(day.returning <= day.first_new for day in days)


def test_every_user_of_the_paper_appears():
    came = [views_of(day, seed=1, scale=1) for day in programme(1)]
    assert len(np.unique(np.concatenate([views.peer for views in came]))) == USERS


def test_every_line_is_a_record_as_documented(crowd):
    folder, _ = crowd
    check = Draft202012Validator(record_schema())
    lines = [line for path in folder.glob("20120807T013*") for line in lines_of(path)]
    assert len(lines) > 300
    for line in lines:
        check.validate(json.loads(line))


def test_a_log_holds_one_minute_of_one_server_in_order_of_receipt(crowd):
    folder, _ = crowd
    path = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    received = [json.loads(line)["received_ms"] for line in lines_of(path)]
    assert received == sorted(received)
    assert received[0] // MINUTE_MS == received[-1] // MINUTE_MS
    assert path.name.startswith("20120807T01")  # the crowd of 9:30 in Hong Kong
    assert {path.name.split("-")[1] for path in folder.iterdir()} == {"fs1", "fs2"}


def test_the_platform_computes_the_expected_values(tmp_path):
    truth = write_day(order(tmp_path, 0, scale=0.001))
    found = json.loads(run_swarmscope("analyze", tmp_path, "--json").stdout)
    expected = truth.numbers(new=0, cumulative=0)
    assert (found["messages"], found["peers"], found["sessions"]) == (
        expected["messages"],
        expected["total_users"],
        expected["views"],
    )
    assert (found["duplicates"], found["unreadable"], found["lost"]) == (0, 0, 0)
    for name in ("upload_kbps", "download_kbps", "continuity", "mos"):
        assert found[name]["mean"] == pytest.approx(expected[name], rel=1e-9)
    assert found["online_s_per_view"] == pytest.approx(expected["online_s_per_view"], rel=1e-9)
    assert found["online_s_per_peer"] == pytest.approx(expected["online_s_per_user"], rel=1e-9)


def test_a_flash_crowd_arrives_at_half_past_nine_and_lowers_the_quality_of_all(crowd):
    _, truth = crowd
    at = 9 * 60 + 30
    watching = [concurrent for concurrent, _ in truth.minutes]
    scores = [score for _, score in truth.minutes]
    assert max(watching[at - 10 : at]) * 3 < max(watching[at : at + 10])
    assert max(watching) == pytest.approx(MOST_CONCURRENT * SCALE, rel=0.1)
    assert sum(scores[at + 1 : at + 6]) / 5 < sum(scores[at + 40 : at + 60]) / 20 - 0.15


def test_days_join_at_midnight_without_a_gap_or_a_copy(tmp_path):
    days = [write_day(order(tmp_path, number)) for number in range(2)]
    records = [json.loads(line) for path in sorted(tmp_path.iterdir()) for line in lines_of(path)]
    seqs = defaultdict(list)
    for record in records:
        seqs[record["session_id"]].append(record["seq"])
    midnight = [record for record in records if record["received_ms"] >= programme(SCALE)[1].begins_ms]
    over_midnight = {record["session_id"] for record in midnight if record["session_id"].startswith("2012-07-27")}
    assert over_midnight
    assert all(sorted(seqs[name]) == list(range(len(seqs[name]))) for name in over_midnight)
    assert sum(day.messages for day in days) == len(records)


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    written = []
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        into = tmp_path / name
        into.mkdir()
        write_day(order(into, 0, scale=0.001, seed=seed))
        written.append({path.name: path.read_bytes() for path in into.iterdir()})
    assert written[0] == written[1] != written[2]


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "mine").touch()
    refused = run_swarmscope("simulate", "olympics", "--into", tmp_path, "--scale", "0.001")
    assert refused.returncode == 2
    assert "is not empty" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("scale", [0, 0.0001, 1.5, float("nan")])
def test_a_scale_without_an_audience_is_refused(scale):
    with pytest.raises(ValueError, match="needs a share"):
        programme(scale)


def reproduced(into):
    example = Path(__file__).parents[2] / "examples" / "olympics" / "reproduce.py"
    command = [sys.executable, str(example), str(into), "--scale", "0.001"]
    return subprocess.run(command, capture_output=True, check=False, timeout=600, text=True)


@pytest.mark.soak
def test_the_example_draws_the_papers_figures_and_the_history_of_all_17_days_has_the_expected_values(tmp_path):
    done = reproduced(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Figure 5(b)" in (tmp_path / "figures.html").read_text()
    truth = json.loads((tmp_path / "truth.json").read_text())
    truth["days"][11]["total_users"] += 1
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    doubted = reproduced(tmp_path)
    assert doubted.returncode == 1
    assert "2012-08-07: daily says total_peers" in doubted.stderr
