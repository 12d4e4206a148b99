"""Measurements for scripts: from recorded files, from the memory of a live platform, and from the logs of an earlier time."""

import csv
import io
import json
import urllib.error
import urllib.request

import pytest

from tests.harness.logs import record, write_log
from tests.harness.measurements import BEGIN_MS, measurement_record, write_measurements
from tests.harness.processes import start_server

RECORDS = [
    measurement_record("op-0", values={"rtt_median_ms": 10.0}),
    measurement_record("op-1", values={"rtt_median_ms": 30.0}, received_ms=BEGIN_MS + 60_000),
    measurement_record("op-2", status="timeout_target", reason="no reply", values=None),
    measurement_record("op-3", agent="hk-2", tags={"country": "PT"}, values={"rtt_median_ms": 200}),
    measurement_record("op-4", agent="=1+1", values={"rtt_median_ms": 5}),
]


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    write_log(folder, [record()])
    server = start_server(
        "monitor", "--static", str(folder), str(write_measurements(folder, RECORDS)), "--listen", "127.0.0.1:0",
        log=tmp_path_factory.mktemp("log") / "log",
    )  # fmt: skip
    yield server
    assert server.stop() == 0


def asked(server, query=""):
    status, body = get(f"{server.url}/api/v1/measurements{query}")
    assert status == 200, body
    return json.loads(body)


def test_recorded_measurements_are_grouped_and_filtered(static):
    found = asked(static, "?by=agent&where.tags.country=HK")
    [first, second] = found["groups"]
    assert (first["by"], first["operations"], first["statuses"]) == ({"agent": "hk-1"}, 3, {"ok": 2, "timeout_target": 1})
    assert first["values"]["rtt_median_ms"] == {"n": 2, "mean": 20, "min": 10, "p50": 20, "p95": 29, "max": 30}
    assert (second["by"], found["groups_left_out"]) == ({"agent": "=1+1"}, 0)


def test_a_time_range_and_the_largest_groups_are_chosen(static):
    found = asked(static, f"?by=agent&top=1&from={BEGIN_MS}&to={BEGIN_MS + 60_000}")
    assert [(each["by"], each["operations"]) for each in found["groups"]] == [({"agent": "hk-1"}, 2)]
    assert (found["groups_left_out"], found["from"], found["to"]) == (2, BEGIN_MS, BEGIN_MS + 60_000)


def test_a_spreadsheet_gets_a_row_for_each_value_and_no_formula(static):
    status, body = get(f"{static.url}/api/v1/measurements?by=agent&where.technique=PING&format=csv")
    rows = list(csv.reader(io.StringIO(body)))
    assert (status, rows[0]) == (200, ["agent", "operations", "ok", "value", "n", "mean", "min", "p50", "p95", "max"])
    assert ["hk-1", "3", "2", "rtt_median_ms", "2", "20.0", "10.0", "20.0", "29.0", "30.0"] in rows
    assert {row[0] for row in rows[1:]} == {"hk-1", "hk-2", "'=1+1"}


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("?by=isp", "is not a dimension of measurements"),
        ("?where.tags.=x", "is not a dimension"),
        ("?format=xml", "json, csv"),
        ("?from=1795921200001&to=1795921200000", "later than"),
        ("?top=1001", "from 1 to 1,000"),
        ("?measure=mos", "not a parameter"),
    ],
)
def test_a_wrong_parameter_gets_the_reason(static, query, why):
    status, body = get(f"{static.url}/api/v1/measurements{query}")
    assert status == 400
    assert why in json.loads(body)["detail"]


def test_a_group_of_hostile_names_is_no_sql(static):
    assert asked(static, "?where.tags.x%27)%20OR%20true--=1")["groups"] == []
    assert asked(static, '?where.tags.a"b=1')["groups"] == []
