"""`swarmscope history` as an analyst uses it."""

import csv
import io
import json

import pytest

from swarmscope.commands.history import QUALITY
from tests.feedback_analysis.history.audience import audience, write_minutes
from tests.harness.logs import record, write_log
from tests.harness.processes import run_swarmscope


def history(*arguments):
    return run_swarmscope("history", *arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A history of two days."""
    logs, folder = tmp_path_factory.mktemp("logs"), tmp_path_factory.mktemp("history")
    sent = audience(peers=10, hours=2, days=(0, 1))
    write_minutes(logs, sent, minutes=60)
    built = history("build", logs, "--into", folder)
    assert built.returncode == 0, built.stderr
    copies = len(sent) - len({(each["session_id"], each["seq"]) for each in sent})
    assert f"{len(sent) - copies:,} messages, {copies} duplicates skipped, 0 unreadable records" in built.stderr
    assert built.stdout == ""
    return folder


def test_days_are_printed_as_json_csv_and_a_table(folder):
    rows = json.loads(history("show", folder, "--json").stdout)
    assert [row["period"] for row in rows] == ["2012-08-07", "2012-08-08"]
    assert rows[-1]["cumulative_peers"] == sum(row["new_peers"] for row in rows)
    printed = list(csv.DictReader(io.StringIO(history("show", folder, "--csv").stdout)))
    assert [row["total_peers"] for row in printed] == [str(row["total_peers"]) for row in rows]
    assert "cumulative peers" in history("show", folder).stdout


@pytest.mark.parametrize(
    ("figure", "names"),
    [
        ("online", {"period", "total_peers", "sessions", "online_s_per_peer", "online_s_per_view"}),
        ("quality", {*QUALITY}),
        ("minutes", {"at", "concurrent_peers", "mos"}),
        ("isps", {"period", "isp", "peers", "share"}),
    ],
)
def test_every_figure_has_its_columns(folder, figure, names):
    shown = history("show", folder, "--figure", figure, "--from", "2012-08-07T09:00Z", "--to", "2012-08-07T11:00Z", "--json")
    rows = json.loads(shown.stdout)
    assert set(rows[0]) == names
    assert len(rows) == 120 or figure != "minutes"


def test_an_error_is_reported_in_one_line(folder, tmp_path):
    for arguments, code, sent in [
        ((tmp_path,), 2, "there is no history in"),
        ((folder, "--timezone", "Mars/Olympus"), 2, "not a time zone"),
        ((folder, "--where", "event=join"), 2, "not kept in the history"),
        ((folder, "--where", "channel"), 2, "it needs a name and a value"),
        ((folder, "--from", "2013-01-01"), 1, "has no data for this time range"),
        ((folder, "--json", "--csv"), 2, "use only one of them"),
    ]:
        shown = history("show", *arguments)
        assert (shown.returncode, shown.stdout) == (code, "")
        assert sent in shown.stderr
        assert "Traceback" not in shown.stderr


def test_building_with_another_model_is_refused(folder, tmp_path):
    write_log(tmp_path / "logs", [record()])
    built = history("build", tmp_path / "logs", "--into", folder, "--mos-c1", "-4")
    assert built.returncode == 2
    assert "another one in another folder" in built.stderr


def test_times_without_a_zone_are_in_the_requested_zone(folder):
    """10:00 to 12:00 UTC is 18:00 to 20:00 in Hong Kong."""
    at = ("--figure", "minutes", "--json", "--timezone")
    utc = history("show", folder, *at, "UTC", "--from", "2012-08-07T10:00", "--to", "2012-08-07T11:00")
    local = history("show", folder, *at, "Asia/Hong_Kong", "--from", "2012-08-07T18:00", "--to", "2012-08-07T19:00")
    named = history("show", folder, *at, "Asia/Hong_Kong", "--from", "2012-08-07T10:00Z", "--to", "2012-08-07T11:00Z")
    assert len(json.loads(utc.stdout)) == 60
    assert utc.stdout == local.stdout == named.stdout
    evening = ("--from", "2012-08-07T18:00", "--to", "2012-08-07T19:00")
    table = history("show", folder, "--figure", "minutes", "--timezone", "Asia/Hong_Kong", *evening)
    assert "2012-08-07 18:01+08:00" in table.stdout
