"""Access to the metrics, and the cost of many scrapes."""

import time

import pytest

from feedback_server.counters import Counters
from feedback_server.metrics import GaugeValues, shared_text


def test_metrics_need_the_metrics_token_or_the_read_token(start_feedback_server):
    server = start_feedback_server("--token", "write", "--read-token", "read", "--metrics-token", "scraper")
    for key in ("Bearer read", "Bearer scraper", "bearer scraper"):
        assert server.get("/metrics", authorization=key).status == 200
    for wrong in ("", "Bearer write", "Bearer scrape", "Basic scraper", "Bearer "):
        answer = server.get("/metrics", authorization=wrong)
        assert (answer.status, answer.json["reason"]) == (401, "unauthorized")
        assert "--metrics-token" in answer.json["detail"]
    assert server.get("/v1/logs", authorization="Bearer scraper").status == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_authorization_scheme_is_case_insensitive(start_feedback_server, lines, scheme: str):
    server = start_feedback_server("--token", "write", "--read-token", "read")
    assert server.post(lines(), authorization=f"{scheme} write").status == 200
    assert server.get("/v1/logs", authorization=f"{scheme} read").status == 200


def test_many_scrapes_share_one_text_per_second():
    made = 0

    def state() -> GaugeValues:
        nonlocal made
        made += 1
        return GaugeValues(
            ready=True,
            journal_age_s=0,
            waiting_bytes=made,
            journals=0,
            journal_records=0,
            sealed_logs=0,
            sealed_log_bytes=0,
            foreign_logs=0,
        )

    exposition = shared_text(Counters, state)
    began = time.monotonic()
    for _ in range(1000):
        assert b"waiting_bytes" in exposition.text(fresh=False)
    assert made <= 1 + time.monotonic() - began
    assert exposition.text(fresh=True) != exposition.text(fresh=True)
