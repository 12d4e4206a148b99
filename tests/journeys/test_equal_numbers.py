"""The simulated audience's own numbers, the logs, and the platform's numbers are the same."""

import json
import subprocess
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.harness.deployment import Deployment
from tests.harness.processes import Server
from tests.harness.waiting import eventually

pytestmark = pytest.mark.journey
FORMS = ("jsonl", "csv", "parquet")
ONE_FORM = ("jsonl", *(pytest.param(form, marks=pytest.mark.soak) for form in FORMS[1:]))
SIMULATED_ADDRESSES = ("--trusted-proxy", "127.0.0.1/32")
"""Lets the coordinator believe the addresses that the simulated audience forwards."""


def summary(monitor: Server, **query: str | int) -> dict[str, Any]:
    with urllib.request.urlopen(f"{monitor.url}/api/v1/summary?{urlencode(query)}", timeout=60) as answer:
        return json.load(answer)


def finish(audience: subprocess.Popen[str], *, within_s: float = 90) -> None:
    out, err = audience.communicate(timeout=within_s)
    assert audience.returncode == 0, out + err


@pytest.mark.parametrize("form", ONE_FORM)
def test_every_acknowledged_message_is_in_exactly_one_log_and_counted_once(deployment, form):
    watch_and_compare(deployment, form, peers=60, period=1, duration=6)


@pytest.mark.soak
@pytest.mark.parametrize("form", FORMS)
def test_the_numbers_are_equal_for_two_thousand_peers_over_two_minutes(deployment, form):
    watch_and_compare(deployment, form, peers=2000, period=5, duration=120)


def watch_and_compare(deployment: Deployment, form: str, *, peers: int, period: float, duration: float) -> None:
    """Two coordinators, two feedback servers, a live platform: truth, logs, live summary and analysis must agree."""
    for _ in range(2):
        deployment.feedback_server("--format", form)
    for _ in range(2):
        deployment.coordinator(*SIMULATED_ADDRESSES)
    monitor = deployment.monitor()
    finish(deployment.simulate(peers=peers, period=period, duration=duration), within_s=duration + 300)
    truth = deployment.truth()
    assert truth["messages"] > 0.8 * peers * duration / period

    eventually(lambda: summary(monitor)["messages"] == truth["messages"])
    live = {column: summary(monitor, by=column) for column in ("channel", "isp")}
    deployment.stop()

    stored = deployment.stored_copies()
    assert set(stored.values()) == {1}
    assert len(stored) == truth["messages"]
    for column in ("channel", "isp"):
        static = deployment.analysis("--by", column)
        assert_same_numbers(static, truth)
        assert_same_groups(static, truth, [column])
        assert_same_numbers(live[column], static)
        assert_same_groups(live[column], static, [column])


def test_a_killed_feedback_server_loses_nothing_that_was_acknowledged(deployment):
    for _ in range(2):
        deployment.feedback_server()
    deployment.coordinator(*SIMULATED_ADDRESSES)
    monitor = deployment.monitor()
    audience = deployment.simulate(duration=9)
    before = eventually(lambda: (seen := summary(monitor)["messages"]) > 150 and seen)

    deployment.feedback_servers[0].kill()
    assert deployment.feedback_servers[0].running.process.returncode == -9
    killed_at = eventually(
        lambda: (seen := summary(monitor)["messages"]) > before + 80 and seen
    )  # the live view continues meanwhile
    deployment.feedback_servers[0].start()
    finish(audience)

    truth = deployment.truth()
    assert truth["messages"] > killed_at
    eventually(lambda: summary(monitor)["messages"] == truth["messages"])
    deployment.stop()
    stored = deployment.stored_copies()
    assert len(stored) == truth["messages"]
    assert_same_numbers(deployment.analysis(), truth)


def test_without_a_feedback_server_the_spool_keeps_what_was_acknowledged(deployment):
    deployment.feedback_server()
    coordinator = deployment.coordinator(*SIMULATED_ADDRESSES)
    audience = deployment.simulate(peers=30, duration=6)
    eventually(lambda: coordinator.metrics()["messages_forwarded_total"] > 0)
    deployment.feedback_servers[0].kill()
    eventually(lambda: coordinator.metrics()["messages_spooled_total"] > 0)
    deployment.feedback_servers[0].start()
    finish(audience)
    deployment.settle()
    truth = deployment.truth()
    stored = deployment.stored_copies()
    assert set(stored.values()) == {1}
    assert len(stored) == truth["messages"]
    assert_same_numbers(deployment.analysis(), truth)


COUNTS = ("messages", "peers", "sessions")
DISTRIBUTIONS = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "startup_ms", "mos")


def assert_same_numbers(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Counts exactly, means within 1e-9 relative, quantiles exactly (they are values that were sent)."""
    for count in COUNTS:
        assert found[count] == expected[count], count
    assert found["contribution_ratio"] == pytest.approx(expected["contribution_ratio"], rel=1e-9)
    for name in DISTRIBUTIONS:
        assert found[name]["mean"] == pytest.approx(expected[name]["mean"], rel=1e-9), name
        for quantile in ("p50", "p95"):
            assert found[name][quantile] == pytest.approx(expected[name][quantile], rel=1e-12), (name, quantile)


def groups_by(summary: dict[str, Any], column: str) -> dict[str, dict[str, Any]]:
    return {group["by"][column]: group for group in summary["groups"] if list(group["by"]) == [column]}


def assert_same_groups(found: dict[str, Any], expected: dict[str, Any], columns: Sequence[str]) -> None:
    for column in columns:
        ours, theirs = groups_by(found, column), groups_by(expected, column)
        assert ours.keys() == theirs.keys()
        for value, group in ours.items():
            assert_same_numbers(group, theirs[value])
