"""What a table of measurements says about paths: numbers, routes, bottlenecks, percentiles over time and changes of routes."""

from pathlib import Path

import pytest

from feedback_analysis.diagnosis import diagnose
from feedback_analysis.measurements.latency_bands import latency_bands, loss_steps
from feedback_analysis.measurements.measured_operations import operations_of
from feedback_analysis.measurements.measured_paths import host_of, measured_paths
from feedback_analysis.measurements.path_history import extent_of_measurements, path_history
from feedback_analysis.measurements.path_map import names_of, path_map, with_names
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import open_records
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form
from tests.harness.measurements import BEGIN_MS, measurement_record, write_measurements

GOLDEN = Path(__file__).parents[2] / "golden" / "v1"
MINUTE_MS = 60_000


def hop(ttl, address, rtt_ms=None):
    return {"ttl": ttl, "address": address, "rtt_ms": rtt_ms}


def ping(name, agent, minute, rtt_ms, *, lost=0, **more):
    values = {"rtt_median_ms": rtt_ms, "packets_sent": 10, "packets_answered": 10 - lost, "loss_ratio": lost / 10}
    return measurement_record(name, agent=agent, started_ms=BEGIN_MS + minute * MINUTE_MS, values=values, hops=None, **more)


def trace(name, agent, minute, *hops, reached=1, technique="TRACEROUTE", **values):
    at = {"started_ms": BEGIN_MS + minute * MINUTE_MS, "technique": technique}
    return measurement_record(name, agent=agent, **at, values={"reached": reached} | values, hops=list(hops))


END = hop(3, "203.0.113.9", 9.0)
RECORDS = [
    *(ping(f"p{minute}", "hk-1", minute, 10.0 + minute, lost=minute % 2) for minute in range(10)),
    ping("late", "hk-2", 9, 50.0, tags={"isp": "HKBN"}),
    trace("t0", "hk-1", 0, hop(1, "10.0.0.1", 1.0), hop(2, "10.0.0.2", 4.0), END),
    trace("t1", "hk-1", 1, hop(1, "10.0.0.1", 2.0), hop(2, None), END),
    trace("t2", "hk-1", 5, hop(1, "10.0.0.1", 3.0), hop(2, "10.9.9.9", 8.0), END),
    trace("n0", "hk-1", 6, hop(1, "10.0.0.1"), hop(2, "10.9.9.9"), technique="PATHNECK", bottleneck_ttl=2, bottleneck_kbps=900),
    measurement_record("igi", technique="IGI", agent="hk-1", values={"capacity_kbps": 1000.0}, hops=None),
    measurement_record("worker", technique="HTTP", agent="w1", destination="unknown", address=None, values={"latency_ms": 7.5}),
    measurement_record("lost", agent="hk-3", status="agent_lost", reason="gone", values=None, hops=None, tags=None),
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    found, added = open_records(
        [write_measurements(tmp_path_factory.mktemp("logs"), RECORDS, Form.PARQUET)], RecordKind.MEASUREMENT
    )
    assert added.records == len(RECORDS)
    yield found
    found.close()


def test_names_that_traces_observed_stand_beside_the_addresses(tmp_path):
    named = [hop(1, "10.0.0.1") | {"name": "core"}, hop(2, "203.0.113.9") | {"name": "media.example"}]
    records = [trace("t0", "a", 0, *named), trace("t1", "a", 1, hop(1, "10.0.0.1"), hop(2, "203.0.113.9"))]
    found, _ = open_records([write_measurements(tmp_path, records)], RecordKind.MEASUREMENT)
    paths = measured_paths(found)
    found.close()
    assert names_of(paths) == {"10.0.0.1": "core", "203.0.113.9": "media.example"}
    nodes = path_map(paths, most_nodes=10).nodes
    assert [(node.label, node.text) for node in nodes if node.id == "10.0.0.1"] == [("10.0.0.1", "10.0.0.1 (core)")]
    assert with_names("after 10.0.0.1 up to 10.0.0.11", names_of(paths)) == "after 10.0.0.1 (core) up to 10.0.0.11"


def test_each_pair_of_agent_and_destination_has_its_numbers(table):
    paths = {path.id: path for path in measured_paths(table)}
    assert set(paths) == {"hk-1|203.0.113.9", "hk-2|203.0.113.9", "hk-3|203.0.113.9", "w1|unknown"}
    first = paths["hk-1|203.0.113.9"]
    assert (first.operations, first.statuses, first.capacity_kbps) == (15, {"ok": 15}, 1000.0)
    assert (first.delay_ms, first.delay_low_ms, first.delay_high_ms) == pytest.approx((14.5, 10.9, 18.1))
    assert (first.packets_lost, first.packets_sent, first.loss) == (5, 100, 0.05)
    assert first.hop_delays_ms == {"10.0.0.1": 2.0, "10.0.0.2": 4.0, "10.9.9.9": 8.0, "203.0.113.9": 9.0}
    assert (first.bottlenecks, first.bottleneck_kbps) == ({"10.9.9.9": 1}, 900.0)
    assert [(found.route.routers, found.traces) for found in first.routes] == [
        (("10.0.0.1", "10.9.9.9"), 3),
        (("10.0.0.1", "10.0.0.2"), 1),
    ]
    assert paths["hk-2|203.0.113.9"].tags == {"isp": "HKBN"}
    lost = paths["hk-3|203.0.113.9"]
    assert (lost.statuses, lost.delay_ms, lost.loss, lost.routes) == ({"agent_lost": 1}, None, None, ())
    assert paths["w1|unknown"].delay_ms == 7.5


def test_a_time_range_and_dimensions_select_operations(table):
    span = Span(BEGIN_MS + 9 * MINUTE_MS, BEGIN_MS + 10 * MINUTE_MS)
    assert {path.agent: path.delay_ms for path in measured_paths(table, span=span)} == {"hk-1": 19.0, "hk-2": 50.0}
    assert [path.agent for path in measured_paths(table, where={"tags.isp": "HKBN"})] == ["hk-2"]
    with pytest.raises(ValueError, match="is not a dimension"):
        measured_paths(table, where={"isp": "HKBN"})


def test_percentiles_over_time_are_those_of_each_agent_and_technique(table):
    span = Span(BEGIN_MS, BEGIN_MS + 10 * MINUTE_MS)
    bands = {(band.agent, band.technique): band for band in latency_bands(table, span=span, step_s=300)}
    assert set(bands) == {("hk-1", "PING"), ("hk-2", "PING"), ("w1", "HTTP")}
    pings = bands["hk-1", "PING"]
    assert pings.at_ms == (BEGIN_MS + 150_000, BEGIN_MS + 450_000)
    assert pings.low_ms + pings.middle_ms + pings.high_ms == pytest.approx((10.4, 15.4, 12.0, 17.0, 13.6, 18.6))
    assert pings.operations == (5, 5)
    [own] = latency_bands(table, span=span, step_s=600, agent="hk-2", target="203.0.113.9")
    assert own.middle_ms == (50.0,)


def test_the_loss_of_a_path_over_time_counts_packets(table):
    span = Span(BEGIN_MS, BEGIN_MS + 10 * MINUTE_MS)
    found = loss_steps(table, span=span, step_s=300, agent="hk-1", target="203.0.113.9")
    assert (found.loss, found.packets) == ((0.04, 0.06), (50, 50))


def test_the_history_of_a_path_has_a_stretch_for_each_route(table):
    found = path_history(table, span=Span(BEGIN_MS, BEGIN_MS + 600_000), agent="hk-1", target="203.0.113.9")
    assert [(each.route.routers, each.traces) for each in found] == [
        (("10.0.0.1", "10.0.0.2"), 2),
        (("10.0.0.1", "10.9.9.9"), 1),
    ]
    assert found[1].from_ms == BEGIN_MS + 5 * MINUTE_MS


def test_the_golden_records_have_one_path_and_their_bottleneck_is_not_known():
    table, _ = open_records([GOLDEN / "20261129T030000Z-fs2-0000.measurement.parquet"], RecordKind.MEASUREMENT)
    paths = {path.address: path for path in measured_paths(table)}
    assert extent_of_measurements(table) == Span(BEGIN_MS, BEGIN_MS + 1)
    assert (paths["203.0.113.9"].delay_ms, paths["203.0.113.9"].loss, paths["203.0.113.9"].bottlenecks) == (12.5, 0.0, {})
    assert [found.route.routers for found in paths["203.0.113.9"].routes] == [("10.0.0.1",)]
    table.close()


HOSTILE = [
    {"hops": [{"ttl": "x", "address": 5}, {"ttl": -1, "address": "r"}, {"ttl": 1e300}]},
    {"hops": [{"ttl": 1, "address": "'; DROP TABLE measurement; --", "rtt_ms": "fast"}]},
    {"values": {"rtt_median_ms": 1e308, "packets_sent": -5, "packets_answered": 1e18, "reached": None}},
    {"values": {"bottleneck_ttl": 1.5, "bottleneck_kbps": -1}, "hops": [{"ttl": 1, "address": "r"}]},
]


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("hk.example:80", "hk.example"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        (":80", ":80"),
        ("[", ""),
    ],
)
def test_the_ports_of_a_host_are_one_destination(written, host):
    assert host_of(written) == host


def test_operations_have_what_their_records_have(table):
    found = {each.operation_id: each for each in operations_of(table)}
    assert len(found) == len(RECORDS)
    assert [each.started_ms for each in operations_of(table)] == sorted(each.started_ms for each in found.values())
    traced = found["t1"]
    assert [(each.ttl, each.address, each.rtt_ms) for each in traced.hops] == [
        (1, "10.0.0.1", 2.0),
        (2, None, None),
        (3, "203.0.113.9", 9.0),
    ]
    assert (traced.technique, traced.agent, traced.address, traced.tags) == ("TRACEROUTE", "hk-1", "203.0.113.9", {"country": "HK"})
    assert (found["lost"].status, found["lost"].values, found["lost"].hops, found["lost"].tags) == ("agent_lost", {}, (), {})


@pytest.mark.parametrize("fields", HOSTILE)
@pytest.mark.parametrize("technique", ["PING", "TRACEROUTE", "PATHNECK"])
def test_no_record_breaks_a_query(tmp_path, fields, technique):
    log = write_measurements(tmp_path, [measurement_record(technique=technique, **fields)], Form.JSONL)
    table, added = open_records([log], RecordKind.MEASUREMENT)
    span = extent_of_measurements(table)
    assert added.records == 1
    assert len(measured_paths(table, span=span)) == 1
    assert len(latency_bands(table, span=span, step_s=1)) <= 1
    path_history(table, span=span, agent="hk-1", target="203.0.113.9")
    loss_steps(table, span=span, step_s=1, agent="hk-1", target="203.0.113.9")
    diagnose(operations_of(table), earlier=operations_of(table))
    table.close()


def test_a_path_whose_every_trace_is_another_route_keeps_the_latest_routes(tmp_path):
    write_measurements(tmp_path, [trace(f"t{n}", "a", n, hop(1, f"10.0.{n}.1"), hop(2, "203.0.113.9")) for n in range(120)])
    records, _ = open_records([tmp_path], RecordKind.MEASUREMENT)
    (path,) = measured_paths(records, span=Span(0, 2**52))
    assert [found.route.routers for found in path.routes] == [(f"10.0.{n}.1",) for n in reversed(range(70, 120))]
