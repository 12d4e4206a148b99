"""Access to the metrics, and the cost of many scrapes."""

import json
import time

import pytest

from coordinator.http.exposition import Exposition
from coordinator.worker_counters import WorkerCounters

KEYED = ("--key", "ingest", "--token", "servers")


def asked(coordinator, authorization: str = "") -> tuple[int, str]:
    """Status, and the reason if the answer is a problem."""
    headers = {"authorization": authorization} if authorization else {}
    status, answered, body = coordinator.request("GET", "/metrics", **headers)
    assert (status == 401) == ("www-authenticate" in answered)
    return status, json.loads(body)["reason"] if status != 200 else ""


def test_metrics_need_the_metrics_token(coordinators, receiver):
    coordinator = coordinators(receiver, flags=(*KEYED, "--metrics-token", "scraper"))
    assert asked(coordinator, "Bearer scraper") == asked(coordinator, "bearer  scraper") == (200, "")
    for wrong in ("", "Bearer ingest", "Bearer servers", "Bearer scrape", "Bearer ", "Basic scraper", "scraper", "Bearer \xe9"):
        assert asked(coordinator, wrong) == (401, "unauthorized")


def test_metrics_without_a_configured_token_are_refused_with_advice(coordinators, receiver):
    coordinator = coordinators(receiver, flags=(*KEYED, "--metrics-token", ""))
    assert asked(coordinator) == asked(coordinator, "Bearer ") == asked(coordinator, "Bearer servers") == (403, "metrics_closed")
    assert "--metrics-token" in json.loads(coordinator.request("GET", "/metrics")[2])["detail"]


def test_metrics_of_an_insecure_coordinator_are_open_unless_it_has_a_token(coordinators, receiver):
    assert asked(coordinators(receiver)) == (200, "")
    assert asked(coordinators(receiver, flags=("--metrics-token", "scraper"))) == (401, "unauthorized")


def test_many_scrapes_share_one_text_per_second():
    made: list[WorkerCounters] = []

    def total() -> WorkerCounters:
        made.append(WorkerCounters(requests=len(made)))
        return made[-1]

    exposition = Exposition(total, "", insecure=True)
    began = time.monotonic()
    for _ in range(1000):
        assert b"requests_total" in exposition.text(fresh=False)
    assert len(made) <= 1 + time.monotonic() - began
    assert exposition.text(fresh=True) != exposition.text(fresh=True)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_authorization_scheme_is_case_insensitive(coordinators, receiver, message, scheme: str):
    coordinator = coordinators(receiver, flags=KEYED)
    assert coordinator.post(json.dumps(message()).encode(), authorization=f"{scheme} ingest")[0] == 202
