"""The comparison of reported and inferred quality finds the sessions that disagree, and names the likely reason with evidence."""

import dataclasses

import pytest

from feedback_analysis.inferences.disagreement import DISAGREES, Reason
from feedback_analysis.inferences.inferred_values import BandedValue
from feedback_analysis.inferences.judged_sessions import disagreements
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import open_records
from feedback_wire.kinds import RecordKind
from tests.harness.inferences import inference_record, write_inferences
from tests.harness.judged_sessions import (
    BROKEN,
    CHEAT,
    HONEST,
    MISJUDGED,
    SECONDS,
    SESSIONS,
    STALL_BEGINS_S,
    STALL_ENDS_S,
    STALLED_MOS,
    STALLS,
    JudgedSession,
)
from tests.harness.measurements import BEGIN_MS


@pytest.fixture
def compare(table_of, tmp_path):
    def compare(*sessions, span=None, where=None, more=()):
        table = table_of([each for session in sessions for each in session.feedback()])
        log = write_inferences(tmp_path, [*(each for session in sessions for each in session.slots()), *more])
        inferences, _ = open_records([log], RecordKind.INFERENCE)
        return disagreements(table, inferences=inferences, span=span, where=where)

    return compare


def test_each_session_gets_the_reason_that_its_evidence_names(compare):
    reasons = {each.reported.session_id: each.reason for each in compare(*SESSIONS)}
    assert reasons == {
        "cheat": Reason.CHEAT,
        "broken": Reason.BROKEN_APP,
        "misjudged": Reason.WRONG_MODEL,
        "stalls": Reason.AGREES,
        "honest": Reason.AGREES,
        **{f"well-{number}": Reason.AGREES for number in range(5)},
    }


def test_the_stalled_share_is_that_of_the_counters_and_of_the_slots(compare):
    [found] = compare(STALLS)
    share = (STALL_ENDS_S - STALL_BEGINS_S) / SECONDS
    assert found.reported.stalled_share == pytest.approx(share)
    assert found.inferred.stalled_share == pytest.approx(share, abs=0.02)
    assert found.score < DISAGREES


def test_the_largest_disagreement_is_first_and_its_evidence_has_the_numbers(compare):
    found = compare(HONEST, CHEAT, MISJUDGED)
    assert [each.reported.session_id for each in found] == ["misjudged", "cheat", "honest"]
    assert found[0].score > found[1].score > found[2].score
    assert found[1].reports_better
    assert (Reason.CHEAT, "reports a download of 2,500 kbit/s, and its packets carried 400 kbit/s") in found[1].evidence
    assert found[1].inferred.mos == BandedValue(value=2.6, low=2.1, high=3.1)


def test_a_report_within_the_band_is_no_disagreement_and_beyond_it_only_the_excess_counts():
    band = BandedValue(value=4, low=3.5, high=4.5)
    assert [band.exceeded_by(mos, 0.5) for mos in (3.5, 4.5, 5, 3)] == [0, 0, 0.5, -0.5]
    assert [BandedValue(value=4).exceeded_by(mos, 0.5) for mos in (4.4, 5, 3)] == [0, 0.5, -0.5]


def test_a_model_that_disagrees_with_many_sessions_is_probably_wrong(compare):
    many = [dataclasses.replace(MISJUDGED, name=f"m{number}", probabilities=(0.01, 0.99), carried_kbps=1800) for number in range(6)]
    found = compare(*many)
    assert {each.reason for each in found} == {Reason.BROKEN_APP}  # each reports half of what its packets carried
    same_rates = [dataclasses.replace(each, carried_kbps=900) for each in many]
    found = compare(*same_rates)
    assert {each.reason for each in found} == {Reason.WRONG_MODEL}
    assert (Reason.WRONG_MODEL, "the model disagrees with 6 of 6 sessions") in found[0].evidence


def test_a_report_that_is_worse_than_its_packets_is_not_taken_for_cheating(compare):
    worse = JudgedSession(name="worse", reports_stalls=True, reported_kbps=2500, carried_kbps=400)
    [found] = compare(worse)
    assert found.score >= DISAGREES
    assert not found.reports_better
    assert Reason.CHEAT not in {reason for reason, _ in found.evidence}


def test_without_evidence_the_reason_is_unclear(compare):
    [found] = compare(JudgedSession(name="dark", infers_stalls=True, mos=STALLED_MOS, carried_kbps=None))
    assert found.score >= DISAGREES
    assert (found.reason, found.evidence) == (Reason.UNCLEAR, ())


def test_slots_of_another_time_or_of_unknown_sessions_are_not_compared(compare):
    later = inference_record(0, "honest", inference_id="later", slot_ms=BEGIN_MS + 3_600_000, stalled_probability=1.0)
    unknown = inference_record(0, "nobody", inference_id="nobody")
    nameless = inference_record(0, None, inference_id="nameless")
    [found] = compare(HONEST, more=(later, unknown, nameless))
    assert found.inferred.slots == SECONDS


def test_two_models_of_one_session_are_compared_separately(compare):
    other = [each | {"inference_id": f"o-{each['slot']}", "model": "forest-2", "model_sha256": "cd" * 32} for each in CHEAT.slots()]
    found = compare(CHEAT, more=other)
    assert [each.inferred.model for each in found] == ["boosted-1", "forest-2"]


def test_a_time_range_and_filters_select_the_reports(compare):
    first = Span(BEGIN_MS, BEGIN_MS + 30_000)
    found = compare(STALLS, HONEST, span=first, where={"channel": "drama"})
    assert {each.reported.stalled_share for each in found} == {0}
    assert compare(STALLS, where={"channel": "news"}) == []


def test_a_model_that_infers_nothing_about_a_session_agrees_with_it(compare):
    silent = {"stalled_probability": None, "mos": None, "mos_low": None, "mos_high": None, "startup_ms": None}
    unjudged = dataclasses.replace(CHEAT, name="unjudged")
    slots = [inference_record(slot, "unjudged", inference_id=f"none-{slot}", **silent) for slot in range(5)]
    [cheat, found] = compare(CHEAT, dataclasses.replace(unjudged, seconds=0), more=slots)
    assert (found.reported.session_id, found.differences, found.reason) == ("unjudged", (), Reason.AGREES)
    assert cheat.score >= DISAGREES


def test_contradicting_counters_are_named(compare):
    [found] = [each for each in compare(BROKEN, HONEST) if each.reported.session_id == "broken"]
    assert found.evidence[0] == (Reason.BROKEN_APP, "reports 240 s of playing and stalling in 120 s")
