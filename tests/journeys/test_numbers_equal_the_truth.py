"""What the audience really did, what lies in the logs, and what the platform says of both: one and the same."""

import json
import urllib.request
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.journeys.pipeline import assert_same_groups, assert_same_numbers
from tests.processes import eventually

pytestmark = pytest.mark.journey
FORMS = ("jsonl", "csv", "parquet")
QUICK = ("jsonl", *(pytest.param(form, marks=pytest.mark.soak) for form in FORMS[1:]))


def summary(monitor: Any, **query: str | int) -> dict[str, Any]:
    with urllib.request.urlopen(f"{monitor.url}/api/v1/summary?{urlencode(query)}", timeout=10) as answer:
        return json.load(answer)


def finish(audience: Any, *, within_s: float = 90) -> None:
    out, err = audience.communicate(timeout=within_s)
    assert audience.returncode == 0, out + err


@pytest.mark.parametrize("form", QUICK)
def test_every_acknowledged_message_is_in_exactly_one_log_and_counted_as_sent(pipeline, form):
    watch_and_compare(pipeline(form), peers=80, period=1, duration=8)


@pytest.mark.soak
@pytest.mark.parametrize("form", FORMS)
def test_the_same_holds_for_two_thousand_peers_over_two_minutes(pipeline, form):
    watch_and_compare(pipeline(form), peers=2000, period=5, duration=120)


def watch_and_compare(pipe: Any, *, peers: int, period: float, duration: float) -> None:
    """Two coordinators, two feedback servers, a live platform: truth, logs, live summary and analysis must agree."""
    for _ in range(2):
        pipe.add_feedback_server()
    for _ in range(2):
        pipe.add_coordinator()
    monitor = pipe.add_monitor()
    finish(pipe.audience(peers=peers, period=period, duration=duration), within_s=duration + 300)
    truth = pipe.truth()
    assert truth["messages"] > 0.8 * peers * duration / period

    eventually(lambda: summary(monitor)["messages"] == truth["messages"])
    live = {column: summary(monitor, by=column) for column in ("channel", "isp")}
    pipe.stop()

    stored = pipe.identities()
    assert set(stored.values()) == {1}
    assert len(stored) == truth["messages"]
    for column in ("channel", "isp"):
        static = pipe.analysis("--by", column)
        assert_same_numbers(static, truth)
        assert_same_groups(static, truth, [column])
        assert_same_numbers(live[column], static)
        assert_same_groups(live[column], static, [column])


def test_a_killed_feedback_server_costs_nothing_that_was_acknowledged(pipeline):
    pipe = pipeline()
    for _ in range(2):
        pipe.add_feedback_server()
    pipe.add_coordinator()
    monitor = pipe.add_monitor()
    audience = pipe.audience(duration=12)
    before = eventually(lambda: (seen := summary(monitor)["messages"]) > 150 and seen)

    pipe.feedback_servers[0].kill()
    assert pipe.feedback_servers[0].process.returncode == -9
    killed_at = eventually(lambda: (seen := summary(monitor)["messages"]) > before + 80 and seen)  # the view goes on meanwhile
    pipe.restart_feedback_server(0)
    finish(audience)

    truth = pipe.truth()
    assert truth["messages"] > killed_at
    eventually(lambda: summary(monitor)["messages"] == truth["messages"])
    pipe.stop()
    stored = pipe.identities()
    assert len(stored) == truth["messages"]
    assert_same_numbers(pipe.analysis(), truth)


def test_when_no_feedback_server_answers_the_spool_keeps_what_was_acknowledged(pipeline):
    pipe = pipeline()
    pipe.add_feedback_server()
    coordinator = pipe.add_coordinator()
    audience = pipe.audience(peers=30, duration=10)
    eventually(lambda: counter(coordinator, "swarmscope_coordinator_messages_forwarded_total") > 0)
    pipe.feedback_servers[0].kill()
    eventually(lambda: counter(coordinator, "swarmscope_coordinator_messages_spooled_total") > 0)
    pipe.restart_feedback_server(0)
    finish(audience)
    truth = pipe.truth()
    eventually(lambda: len(pipe.identities()) == truth["messages"], within_s=30, every_s=1)
    pipe.stop()
    assert_same_numbers(pipe.analysis(), truth)


def counter(server: Any, name: str) -> float:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split(" ")[0] == name)
