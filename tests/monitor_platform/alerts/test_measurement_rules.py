"""Rules about measurements: values, failures, changed paths, and agents that report nothing."""

import json

import pytest

from feedback_analysis.measures.selection import Span
from feedback_analysis.reading.verified_log import open_log
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_units import MINUTE_MS
from feedback_wire.kinds import RecordKind
from monitor_platform.alerts.alert_text import as_json
from monitor_platform.alerts.alert_watch import AlertWatch
from monitor_platform.alerts.dry_run import dry_run
from monitor_platform.alerts.rules import rule_of
from tests.harness.measurements import BEGIN_MS, measurement_record, write_measurements
from tests.harness.processes import run_swarmscope

MINUTES = 30


def hops(*addresses):
    return [{"ttl": ttl, "address": each} for ttl, each in enumerate(addresses, 1)]


def measured(number, minute, agent="hk-1", **fields):
    name = f"{agent}-{fields.get('technique', 'PING')}-{minute}-{number}"
    return measurement_record(name, received_ms=BEGIN_MS + minute * MINUTE_MS + number, agent=agent, **fields)


def pings(agent="hk-1", minutes=range(MINUTES), *, bad=(), tags=None):
    return [
        measured(1, minute, agent, values={"rtt_median_ms": 200.0 if minute in bad else 20.0}, tags=tags or {"isp": "HKBN"})
        for minute in minutes
    ]


def traces(agent="hk-1", *, changed_at):
    old, new = hops("10.0.0.1", "10.0.1.1", "203.0.113.9"), hops("10.0.0.1", "10.0.2.2", "203.0.113.9")
    return [
        measured(2, minute, agent, technique="TRACEROUTE", hops=new if minute >= changed_at else old, values={"reached": 1})
        for minute in range(MINUTES)
    ]


@pytest.fixture
def table(table_of):
    return table_of([])


@pytest.fixture
def measurements(tmp_path):
    tables = []

    def make(records):
        table = RecordTable(RecordKind.MEASUREMENT)
        tables.append(table)
        if records:
            with open_log(write_measurements(tmp_path / "logs", records)) as log:
                assert table.add([log]).records == len(records)
        return table

    yield make
    for each in tables:
        each.close()


def rule(**fields):
    return rule_of({"name": "r", "kind": "measurement"} | fields)


def found(table, measurements, one):
    changes = []
    AlertWatch((one,), changes.append, measurements=measurements).evaluate(table, BEGIN_MS + MINUTES * MINUTE_MS)
    return changes


def minute_of(at_ms):
    return (at_ms - BEGIN_MS) // MINUTE_MS


SLOW = rule(measure="rtt_median_ms", by="agent", where={"technique": "PING"}, above=100, window_minutes=1)


def test_a_value_above_its_limit_raises_an_alert_of_its_slice_only(table, measurements):
    records = measurements([*pings(bad=range(5, 9)), *pings("hk-2")])
    begun, ended = found(table, records, SLOW)
    assert begun.alert.slice == {"agent": "hk-1"}
    assert (minute_of(begun.alert.began_ms), minute_of(ended.alert.ended_ms)) == (6, 11)
    facts = as_json(ended.alert, ended.evidence)
    assert (facts["kind"], facts["value"], facts["operations"], facts["slice"]) == (
        "measurement", 200, 1, {"technique": "PING", "agent": "hk-1"},
    )  # fmt: skip
    assert "rtt_median_ms of technique PING, agent hk-1 is above 100" in facts["title"]


def test_slices_may_be_tags_of_agents(table, measurements):
    records = measurements([*pings(bad=range(5, 9)), *pings("hk-2", tags={"isp": "PCCW"})])
    [begun, _] = found(table, records, rule(measure="rtt_median_ms", by="tags.isp", above=100, window_minutes=1))
    assert begun.alert.slice == {"tags.isp": "HKBN"}


def test_the_share_of_failed_operations_is_a_measure(table, measurements):
    failed = [measured(3, minute, status="timeout_target", values=None, reason="no reply") for minute in range(5, 10)]
    [begun, _] = found(table, measurements(pings() + failed), rule(measure="failed_ratio", above=0.3, window_minutes=1))
    assert (minute_of(begun.alert.began_ms), begun.alert.value) == (6, 0.5)


def test_an_agent_that_falls_silent_raises_an_alert_until_it_reports_again(table, measurements):
    records = measurements([*pings(minutes=[*range(10), *range(20, MINUTES)]), *pings("hk-2")])
    begun, ended = found(table, records, rule(measure="operations", by="agent", below=1, window_minutes=3))
    assert begun.alert.slice == ended.alert.slice == {"agent": "hk-1"}
    assert (minute_of(begun.alert.began_ms), begun.alert.value, minute_of(ended.alert.ended_ms)) == (13, 0, 22)


def test_an_expected_agent_that_has_never_reported_raises_an_alert(table, measurements):
    one = rule(measure="operations", by="agent", below=1, expected=["hk-1", "hk-9"])
    [begun] = found(table, measurements(pings()), one)
    assert begun.alert.slice == {"agent": "hk-9"}


def test_a_changed_path_raises_an_alert_that_names_both_routes(table, measurements):
    records = measurements([*traces(changed_at=15), *traces("hk-2", changed_at=MINUTES)])
    one = rule(measure="path_changes", by=["agent", "destination"], above=0, for_minutes=1, window_minutes=5)
    begun, ended = found(table, records, one)
    assert begun.alert.slice == {"agent": "hk-1", "destination": "media.example"}
    assert (minute_of(begun.alert.began_ms), minute_of(ended.alert.ended_ms)) == (19, 24)
    assert begun.evidence.paths == ("hk-1 to 203.0.113.9: before 10.0.0.1 10.0.1.1; now 10.0.0.1 10.0.2.2",)
    assert as_json(begun.alert, begun.evidence)["changed_paths"] == list(begun.evidence.paths)


def test_a_baseline_finds_a_step_of_the_delay(table, measurements):
    one = rule(measure="rtt_median_ms", by="agent", deviates=4, window_minutes=1)
    [begun, *_] = found(table, measurements(pings(bad=range(20, MINUTES))), one)
    assert (minute_of(begun.alert.began_ms), begun.alert.limit) == (21, pytest.approx(20.8))


@pytest.mark.parametrize(
    ("value", "more_is_worse"),
    [
        *(("rtt_median_ms", True), ("loss_ratio", True), ("jitter_forward_ms", True), ("hops", True)),
        *(("operations", False), ("throughput_kbps", False), ("mos_forward", False), ("certificate_days_left", False)),
        *(("round_trips_per_minute_loaded", False), ("packets_returned", False)),
    ],
)
def test_a_rule_that_follows_a_baseline_knows_which_values_are_worse(value, more_is_worse):
    assert rule(measure=value, deviates=4).worse_is_higher == more_is_worse


def test_a_dry_run_needs_no_feedback(table, measurements):
    tried = dry_run(table, SLOW, BEGIN_MS + MINUTES * MINUTE_MS, measurements(pings(bad=range(5, 9))))
    assert tried.span == Span(BEGIN_MS, BEGIN_MS + MINUTES * MINUTE_MS)
    assert [minute_of(each.began_ms) for each in tried.alerts] == [6]


def test_the_command_evaluates_recorded_measurements(tmp_path):
    write_measurements(tmp_path / "logs", pings(bad=range(5, 9)))
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[[rule]]\nname = "slow"\nkind = "measurement"\nmeasure = "rtt_median_ms"\nby = "agent"\nabove = 100\nwindow_minutes = 1\n'
    )
    done = run_swarmscope("alerts", "test", rules, tmp_path / "logs", "--json")
    assert done.returncode == 0, done.stderr
    begun, ended = map(json.loads, done.stdout.splitlines())
    assert (begun["slice"], begun["until"], minute_of(ended["until"])) == ({"agent": "hk-1"}, None, 11)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"measure": "RTT"}, "such as rtt_median_ms"),
        ({"measure": "rtt_ms", "by": "isp"}, "is not a dimension of measurements"),
        ({"measure": "rtt_ms", "least_sessions": 3}, "least_sessions is not a field of a rule about measurement"),
        ({"measure": "rtt_ms", "expected": ["a"]}, "expected needs measure"),
        ({"measure": "operations", "by": "agent", "expected": "hk-1"}, "expected takes texts"),
        ({"measure": "mos", "kind": "feedback", "window_minutes": 9}, "window_minutes is not a field of a rule about feedback"),
        ({"measure": "rtt_ms", "kind": "inference"}, "choose from feedback, measurement"),
        ({"measure": "rtt_ms", "window_minutes": 0}, "window_minutes is 0"),
        ({"measure": "rtt_ms", "diagnose": 1}, "needs true or false"),
    ],
)
def test_a_wrong_rule_gets_the_reason(fields, why):
    with pytest.raises(ValueError, match=why):
        rule(above=1, **fields)
