"""A database whose file is replaced, overwritten or removed while it is in use: lookups continue, and each change is counted."""

import asyncio
import json
import os
import time
import urllib.request
from contextlib import closing
from types import SimpleNamespace

import pytest

from feedback_analysis.geo.atlas import atlas_for
from feedback_analysis.geo.databases import LocationFileError
from feedback_analysis.geo.location import UNKNOWN_COUNTRY
from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.mos import MosModel
from feedback_wire import routes
from feedback_wire.record import Origin
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.health_page import HealthPart
from tests.feedback_analysis.geo.mmdb import mmdb
from tests.harness.logs import add, record, write_log
from tests.harness.waiting import eventually

GERMANY, FRANCE = ({"country": {"iso_code": code}, "location": {"latitude": 50.0, "longitude": 5.0}} for code in ("DE", "FR"))
HERE, THERE = "81.2.69.0/24", "81.2.70.0/24"


def countries(here, there=GERMANY):
    return mmdb("GeoLite2-City", {HERE: here, THERE: there})


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "live.mmdb"
    path.write_bytes(countries(GERMANY))
    return path


@pytest.fixture
def locator(database):
    return Locator(city=database, atlas=atlas_for(city=database))


def country(locator, ip="81.2.69.5"):
    return locator.locate(ip).country


def overwritten(path, content):
    """In place, as cp does it; the clock of file times may not have advanced since the last change."""
    before = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(before, before + 1_000_000))


def renamed(path, content):
    """As geoipupdate does it."""
    path.with_suffix(".new").write_bytes(content)
    path.with_suffix(".new").replace(path)


def refreshed(locator):
    """A change is noticed at the first call, and read at the second one if the file has not changed since."""
    locator.refresh()
    locator.refresh()
    return locator.databases[0].counts


@pytest.mark.parametrize("replace", [overwritten, renamed])
def test_a_replaced_database_is_read_again(database, locator, replace):
    assert country(locator) == "DE"
    replace(database, countries(FRANCE))
    assert country(locator) == "DE"
    assert refreshed(locator).read_anew == 1
    assert country(locator) == "FR"
    assert refreshed(locator).read_anew == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a readable MaxMind DB file"),
        (b"garbage" * 1000, "not a readable MaxMind DB file"),
        (mmdb("GeoLite2-Country", {HERE: FRANCE}), "'GeoLite2-Country'; cities need"),
        (mmdb("GeoLite2-City", {HERE: {"carrier": "x"}}), "their fields are carrier"),
        (mmdb("GeoLite2-City", {HERE: "FR"}), "the record is of type str"),
        (mmdb("GeoLite2-City", {}), "it holds no record"),
        (None, "does not exist"),
        ("folder", "Is a directory"),
    ],
)
def test_a_file_that_cannot_replace_the_database_is_counted_and_logged_once(database, locator, caplog, content, reason):
    if content is None:
        database.unlink()
    elif content == "folder":
        database.unlink()
        database.mkdir()
    else:
        overwritten(database, content)
    for _ in range(3):
        assert refreshed(locator).kept == 1
    assert (country(locator), country(locator, "81.2.70.5")) == ("DE", "DE")
    [line] = caplog.messages
    assert line.startswith(f"the current copy of {database} stays in use: ")
    assert reason in line
    if content == "folder":
        database.rmdir()
    renamed(database, countries(FRANCE))
    assert refreshed(locator).read_anew == 1
    assert country(locator) == "FR"


def test_a_database_that_is_truncated_in_place_does_not_end_the_process_that_reads_it(database, locator):
    os.truncate(database, 0)
    assert country(locator, "81.2.70.5") == "DE"


def test_a_file_that_is_still_changing_is_not_read(database, locator):
    for half in (b"a", b"ab", b"abc"):
        overwritten(database, half)
        locator.refresh()
    assert refreshed(locator).kept == 1
    for _ in range(3):
        overwritten(database, countries(FRANCE))
        locator.refresh()
    assert country(locator) == "DE"
    assert refreshed(locator).read_anew == 1


def test_a_pipe_is_no_database(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LocationFileError, match="is not a regular file; give the path"):
        Locator(city=tmp_path / "pipe")


def test_records_that_arrive_after_a_database_was_replaced_are_located_by_the_new_one(database, locator, tmp_path):
    with closing(FeedbackTable(locator, MosModel())) as table:
        add(table, write_log(tmp_path, [record(seq=0, ip="81.2.69.5")]))
        renamed(database, countries(FRANCE))
        refreshed(locator)
        add(table, write_log(tmp_path, [record(seq=1, ip="81.2.69.5")]))
        groups = {group["by"]["country"]: group["messages"] for group in summarize(table, by=("country",))["groups"]}
    assert groups == {"DE": 1, "FR": 1}


def test_the_health_page_counts_failed_lookups_by_name(database, tmp_path):
    database.write_bytes(countries(GERMANY, "DE"))
    with closing(FeedbackTable(Locator(city=database), MosModel())) as table:
        add(table, write_log(tmp_path, [record(ip="81.2.70.5")]))
        state = DashboardState(table, None, period_s=30, poll_s=1)
        try:
            shown = asyncio.run(HealthPart().ask(SimpleNamespace(state=state)))()
        finally:
            state.answers.close()
    counters = {name: (value, meaning) for name, value, meaning in shown["counters"]}
    assert counters["failed_lookups_city"] == ("1", "Failed lookups in live.mmdb; these viewers are not located")
    assert counters["failed_lookups_asn"][0] == counters["databases_kept_city"][0] == "0"


def send(server, peer, ip):
    message = {"v": 1, "peer_id": peer, "session_id": peer, "seq": 0, "event": "join", "sent_ms": time.time_ns() // 1_000_000}
    body = Origin(ip=ip, weight=1, via="c1").prefix() + json.dumps(message).encode()[1:] + b"\n"
    headers = {"Content-Type": routes.NDJSON, routes.BATCH_HEADER: os.urandom(16).hex()}
    with urllib.request.urlopen(urllib.request.Request(server.url + routes.RECORDS, body, headers), timeout=20) as answer:
        assert json.load(answer) == {"stored": 1}


def asked(monitor, path):
    with urllib.request.urlopen(monitor.url + path, timeout=20) as answer:
        return answer.read().decode()


def peers(monitor):
    """How many in each country."""
    groups = json.loads(asked(monitor, "/api/v1/summary?by=country"))["groups"]
    return {group["by"]["country"]: group["peers"] for group in groups}


def counted(monitor, name):
    return float(next(line.split()[-1] for line in asked(monitor, "/metrics").splitlines() if line.startswith(name)))


def test_the_monitor_survives_all_changes_of_its_database_and_starts_again_with_it(serve, database, tmp_path):
    server = serve("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "fs"), "--name", "fs1")
    flags = ("--insecure", "--listen", "127.0.0.1:0", "--poll-seconds", "1", "--mirror", str(tmp_path / "mirror"))
    monitor = serve("monitor", "--feedback-server", server.url, *flags, "--geo-city", str(database))
    send(server, "before", "81.2.69.5")
    eventually(lambda: peers(monitor) == {"DE": 1})

    overwritten(database, countries(GERMANY, "DE"))
    changes = "swarmscope_monitor_database_changes_total"
    eventually(lambda: counted(monitor, f'{changes}{{database="city",outcome="read"}}') == 1)
    for last in range(9):
        send(server, f"unreadable-{last}", f"81.2.70.{last}")
    send(server, "readable", "81.2.69.6")
    eventually(lambda: peers(monitor) == {"DE": 2, UNKNOWN_COUNTRY: 9})
    assert counted(monitor, 'swarmscope_monitor_failed_lookups_total{database="city"}') == 9
    eventually(lambda: f"{database}: " in monitor.log_text())

    overwritten(database, b"garbage")
    eventually(lambda: counted(monitor, f'{changes}{{database="city",outcome="kept"}}') == 1)
    send(server, "after", "81.2.69.7")
    eventually(lambda: peers(monitor) == {"DE": 3, UNKNOWN_COUNTRY: 9})
    assert monitor.stop() == 0

    overwritten(database, countries(GERMANY, "DE"))
    again = serve("monitor", "--feedback-server", server.url, *flags, "--geo-city", str(database))
    eventually(lambda: peers(again) == {"DE": 3, UNKNOWN_COUNTRY: 9})
    assert again.stop() == 0
    assert "Traceback" not in monitor.log_text() + again.log_text()
    # One line as soon as a lookup has failed, and one at the end for later failures.
    for each in (monitor, again):
        assert 1 <= each.log_text().count("these viewers are not located") <= 2
