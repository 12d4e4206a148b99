"""An alert starts at most one diagnosis, and an alert about the measurements of a diagnosis starts none."""

import asyncio
from dataclasses import replace

import pytest

from feedback_analysis.diagnosis.rule_table import diagnose
from feedback_analysis.reading.verified_log import open_log
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_units import HOUR_MS, MINUTE_MS
from feedback_wire.kinds import RecordKind
from monitor_platform.alerts.alert_diagnoses import MOST_DIAGNOSES, AlertDiagnoses, AlertDiagnosis
from monitor_platform.alerts.detector import Alert
from monitor_platform.alerts.rules import rule_of
from monitor_platform.diagnosing.diagnosis_limits import COOL_DOWN_MS, MOST_PER_HOUR, NoDiagnosis, why_none
from monitor_platform.diagnosing.diagnosis_loop import about_measured
from monitor_platform.diagnosing.diagnosis_plan import DiagnosisPlan, is_own_measurement, plan_of
from tests.feedback_analysis.diagnosis.scenarios import Measurements
from tests.harness.measurements import BEGIN_MS, measurement_record, write_measurements

SLOW = rule_of({"name": "slow", "kind": "measurement", "measure": "rtt_median_ms", "by": "agent", "above": 100, "diagnose": True})
STALLS = rule_of({"name": "stalls", "measure": "continuity", "by": "isp", "below": 0.9, "diagnose": True})
NOW_MS = BEGIN_MS + HOUR_MS


def alert(rule=SLOW, *names, began_ms=NOW_MS - 2 * MINUTE_MS):
    return Alert(rule=rule, names=names or ("hk-1",) * len(rule.by), began_ms=began_ms, value=1, worst=1, limit=1, sessions=1)


def earlier(minutes, slice_of=None):
    return AlertDiagnosis(rule="slow", slice=slice_of or {"agent": "hk-1"}, began_ms=0, at_ms=NOW_MS - minutes * MINUTE_MS)


def refused(one, known=(), *, own=False):
    return why_none(one, now_ms=NOW_MS, earlier=known, measured_by_diagnosis=own)


def test_a_slice_starts_one_diagnosis_in_its_cool_down_and_others_may_start_theirs():
    assert refused(alert()) is None
    assert refused(alert(), [earlier(29)]) is NoDiagnosis.COOL_DOWN
    assert refused(alert(), [earlier(COOL_DOWN_MS // MINUTE_MS)]) is None
    assert refused(alert(SLOW, "hk-2"), [earlier(29)]) is None


def test_an_hour_has_a_budget():
    known = [earlier(31 + number, {"agent": f"a{number}"}) for number in range(MOST_PER_HOUR)]
    assert refused(alert(), known) is NoDiagnosis.OVER_BUDGET
    assert refused(alert(), known[1:]) is None
    assert refused(alert(), [replace(each, at_ms=each.at_ms - HOUR_MS) for each in known]) is None


def test_diagnoses_of_a_wrong_date_in_the_future_refuse_none():
    """They refused every diagnosis until that date."""
    assert refused(alert(), [earlier(-400 * 24 * 60)] * MOST_PER_HOUR) is None
    assert refused(alert(), [earlier(-5)]) is NoDiagnosis.COOL_DOWN


def test_an_alert_of_an_earlier_hour_and_one_about_own_measurements_start_none():
    assert refused(alert(began_ms=NOW_MS - HOUR_MS)) is NoDiagnosis.OLD_ALERT
    assert refused(alert(), own=True) is NoDiagnosis.OWN_MEASUREMENT


@pytest.fixture
def measurements(tmp_path):
    table = RecordTable(RecordKind.MEASUREMENT)
    records = [
        *(measurement_record(f"r-{n}", received_ms=NOW_MS - n, request_id="routine", destination="a.example") for n in range(3)),
        measurement_record("h-0", received_ms=NOW_MS - 9, request_id="routine", destination="a.example:8000"),
        measurement_record("d-0", received_ms=NOW_MS - 1000, request_id="diagnosis-1", destination="b.example"),
        measurement_record("p-0", received_ms=NOW_MS - 1000, agent="pccw", destination="c.example", tags={"isp": "PCCW"}),
    ]
    with open_log(write_measurements(tmp_path, records)) as log:
        table.add([log])
    yield table
    table.close()


def test_operations_of_a_diagnosis_behind_an_alert_are_found(measurements):
    raised_now = alert(began_ms=NOW_MS - MINUTE_MS)
    assert is_own_measurement(measurements, raised_now, ("diagnosis-1",))
    assert not is_own_measurement(measurements, raised_now, ("other",))
    assert not is_own_measurement(measurements, alert(SLOW, "pccw"), ("diagnosis-1",))
    assert not is_own_measurement(measurements, alert(STALLS, "HGC"), ("diagnosis-1",))


def test_operations_that_came_after_an_alert_was_raised_are_not_behind_it(measurements):
    waited = alert(began_ms=NOW_MS - 2 * MINUTE_MS)
    assert waited.raised_ms < NOW_MS - 1000, "the operation of the diagnosis arrived later"
    assert not is_own_measurement(measurements, waited, ("diagnosis-1",))


def test_a_plan_measures_what_the_rule_or_the_alert_names_and_else_what_is_usual(measurements):
    named = rule_of({"name": "n", "measure": "mos", "below": 3, "diagnose": True, "destinations": ["x.example"]})
    assert plan_of(measurements, alert(named), NOW_MS) == DiagnosisPlan(destinations=("x.example",), agents=("AUTO",))
    assert plan_of(measurements, alert(), NOW_MS) == DiagnosisPlan(destinations=("a.example", "b.example"), agents=("AUTO", "hk-1"))
    isp = plan_of(measurements, alert(STALLS, "PCCW"), NOW_MS)
    assert isp == DiagnosisPlan(destinations=("c.example",), agents=("AUTO", "isp=PCCW"))
    assert plan_of(measurements, alert(STALLS, "HGC"), NOW_MS).destinations == ("a.example", "b.example", "c.example")
    pairs = replace(SLOW, by=("agent", "destination"))
    assert plan_of(measurements, alert(pairs, "hk-1", "b.example"), NOW_MS).destinations == ("b.example",)


def test_each_selection_of_agents_measures_loss_and_route():
    requests = DiagnosisPlan(destinations=("a.example",), agents=("AUTO", "hk-1")).requests()
    assert [(each["technique"], each["agents"]) for each in requests] == [
        ("PING", ["AUTO"]), ("TRACEROUTE", ["AUTO"]), ("PING", ["hk-1"]), ("TRACEROUTE", ["hk-1"]),
    ]  # fmt: skip


def test_other_measurements_of_the_same_time_locate_a_problem_but_only_that_of_the_diagnosed_paths_is_reported():
    own, routine = Measurements("own"), Measurements("routine")
    own.path("a", "10.9.0.1", "10.1.0.1", "10.8.0.1", "10.8.0.2", lost=30)
    alone = about_measured(diagnose(own), {each.operation_id for each in own})
    assert alone.verdicts == (), "one path tells no links apart"
    assert len(alone.not_enough) == 1
    routine.path("a", "10.8.0.1", "10.1.0.1")
    routine.path("b", "10.9.0.1", "10.2.0.1", "10.8.0.2")
    routine.path("c", "10.9.0.9", "10.7.0.1", lost=30)
    answer = about_measured(diagnose([*own, *routine]), {each.operation_id for each in own})
    assert [each.subject.text for each in answer.verdicts] == ["after 10.8.0.1 on the way to 10.8.0.2"]
    assert answer.not_enough == ()
    assert [each.about.agent for each in diagnose([*own, *routine]).not_enough] == ["c"], "another problem of the same time"


def test_diagnoses_survive_a_restart_and_an_interrupted_one_has_failed(tmp_path):
    async def write():
        kept = AlertDiagnoses(tmp_path)
        done = replace(earlier(9), state="done", text="no problem was measured", requests=("r",), facts={"verdicts": []})
        await kept.put(earlier(9))
        await kept.put(done)
        await kept.put(earlier(5))
        return done

    done = asyncio.run(write())
    first, second = AlertDiagnoses(tmp_path).all
    assert first == done
    assert (second.state, second.text) == ("failed", "the platform ended before the verdict")


def test_only_the_last_diagnoses_are_kept(tmp_path):
    async def write():
        kept = AlertDiagnoses(tmp_path)
        for minute in range(MOST_DIAGNOSES + 5):
            await kept.put(earlier(minute))
        return kept.all

    assert len(asyncio.run(write())) == MOST_DIAGNOSES
