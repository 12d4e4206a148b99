"""The truth file holds the measures that a careful person would compute by hand."""

import ast
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmscope.audience import ground_truth as truth_module
from swarmscope.audience.ground_truth import GroundTruth, mos, quantile


def message(session_id, seq, peer_id="p1", channel="Swimming", isp="HKBN", sent_ms=1000, **fields):
    return {"v": 1, "session_id": session_id, "seq": seq, "peer_id": peer_id, "event": "report", "sent_ms": sent_ms,
            "channel": channel, "isp": isp} | fields  # fmt: skip


def measures(*messages):
    truth = GroundTruth()
    for each in messages:
        truth.add(each)
    return truth.measures()


SMALL = (
    message("s1", 0, sent_ms=1000),
    message("s1", 1, sent_ms=2000, upload_kbps=800.0, download_kbps=1000.0, playback_kbps=850, continuity=1.0, startup_ms=1500),
    message("s1", 2, sent_ms=3000, upload_kbps=400.0, playback_kbps=850, continuity=0.9, startup_ms=1700),
    message("s2", 0, "p1", "乒乓球", sent_ms=4000, upload_kbps=900.0, download_kbps=600.0, continuity=0.8, startup_ms=2500),
    message("s3", 0, "p2", "Swimming", "PCCW", sent_ms=500),
)


def test_counts_are_of_messages_peers_and_sessions():
    found = measures(*SMALL)
    assert (found["messages"], found["peers"], found["sessions"]) == (5, 2, 3)
    assert (found["from"], found["to"]) == (500, 4000)
    assert (found["duplicates"], found["unreadable"]) == (0, 0)


def test_means_are_over_the_messages_with_the_field():
    found = measures(*SMALL)
    assert found["upload_kbps"] == {"mean": 700.0, "p50": 800.0, "p95": 900.0}
    assert found["continuity"]["mean"] == pytest.approx(0.9, rel=1e-15)


def test_contribution_counts_only_messages_with_both_rates():
    assert measures(*SMALL)["contribution_ratio"] == 1700 / 1600


def test_startup_is_the_last_known_value_of_each_session():
    assert measures(*SMALL)["startup_ms"] == {"mean": 2100.0, "p50": 1700, "p95": 2500}


def test_mos_is_of_messages_with_bitrate_and_continuity():
    best = 5 - 4 * math.exp(-0.0015 * 850)
    assert measures(*SMALL)["mos"]["mean"] == pytest.approx((best + best - 0.5) / 2, rel=1e-15)


def test_groups_are_by_channel_and_by_isp():
    groups = {tuple(group["by"].items()): group for group in measures(*SMALL)["groups"]}
    assert groups.keys() == {(("channel", "Swimming"),), (("channel", "乒乓球"),), (("isp", "HKBN"),), (("isp", "PCCW"),)}
    swimming = groups[(("channel", "Swimming"),)]
    assert (swimming["messages"], swimming["peers"], swimming["sessions"]) == (4, 2, 2)
    assert groups[(("isp", "PCCW"),)]["upload_kbps"] == {"mean": None, "p50": None, "p95": None}


def test_without_messages_there_are_no_means_and_no_span():
    found = measures()
    assert found["messages"] == 0
    assert found["from"] is None
    assert found["mos"] == {"mean": None, "p50": None, "p95": None}
    assert found["groups"] == []


def test_the_papers_averages_give_the_mos_of_its_figure():
    assert mos(850, 0.988) == pytest.approx(3.82, abs=0.005)
    assert mos(0, 0) == 1
    assert mos(10**9, 1) == 5


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40), st.integers(1, 20))
def test_a_quantile_is_the_smallest_value_at_or_below_which_that_share_lies(values, twentieths):
    share = Fraction(twentieths, 20)
    found = quantile(values, share)
    below = {candidate: sum(value <= candidate for value in values) for candidate in values}
    assert found == min(value for value in values if below[value] >= share * len(values))


def test_the_expected_values_are_computed_without_the_platform():
    tree = ast.parse(Path(truth_module.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not [name for name in imported if name and name.startswith(("monitor_platform", "feedback_analysis", "duckdb", "numpy"))]
