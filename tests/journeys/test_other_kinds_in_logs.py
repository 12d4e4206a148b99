"""Measurements and inferences take the same path as feedback, into separate logs."""

import json
import urllib.request

import pytest

from feedback_wire.record import RECORD_FIELD_NAMES
from tests.harness.inferences import inference
from tests.harness.measurements import measurement, ndjson, post
from tests.harness.processes import run_swarmscope
from tests.harness.waiting import eventually

pytestmark = pytest.mark.journey

FEEDBACK = {"v": 1, "peer_id": "p", "session_id": "s", "seq": 0, "event": "join", "sent_ms": 1}


def records(*paths, kind="feedback"):
    printed = run_swarmscope("logs", "cat", *paths, "--kind", kind)
    assert printed.returncode == 0, printed.stderr
    return [json.loads(line) for line in printed.stdout.splitlines()]


def catalogue(server, route):
    with urllib.request.urlopen(server.url + route, timeout=60) as answer:
        return [entry["name"] for entry in json.load(answer)["logs"]]


def test_measurements_survive_an_outage_and_are_stored_in_logs_of_their_own(deployment):
    server = deployment.feedback_server("--roll-seconds", "3600")
    coordinator = deployment.coordinator()
    server.kill()
    sent = [measurement(f"op-{number}", values={"rtt_median_ms": 12.5 + number, "gap_us": None}) for number in range(3)]
    assert post(coordinator.url + "/v1/measurements", ndjson(sent)) == (202, {"accepted": 3})
    assert coordinator.metrics()["spool_messages"] == 3
    server.start()
    assert post(coordinator.url + "/v1/feedback", json.dumps(FEEDBACK).encode(), "application/json")[0] == 202
    eventually(lambda: coordinator.metrics()["spool_messages"] == 0, within_s=60)
    [measured] = catalogue(server, "/v1/logs/measurement")
    [feedback] = catalogue(server, "/v1/logs")
    assert (feedback.split(".", 1)[1], measured.split(".", 1)[1]) == ("journal", "measurement.journal")
    deployment.stop()

    assert [record["session_id"] for record in records(*server.folder.glob("*.jsonl.zst"))] == ["s"]
    stored = records(*(server.folder / "measurement").glob("*.measurement.jsonl.zst"), kind="measurement")
    assert [{name: record[name] for name in sent[0]} for record in stored] == sent
    assert {record["weight"] for record in stored} == {1}


def test_an_inference_is_stored_in_a_log_of_its_own_and_wrong_ones_are_refused_with_the_reason(deployment):
    server = deployment.feedback_server("--roll-seconds", "3600")
    coordinator = deployment.coordinator()
    sent = [inference(0), inference(1, None, flow="10.0.0.2:40112 10.0.0.1:443 tcp")]
    wrong = [inference(2, mos=0.5), inference(3, model=None)]
    status, answer = post(coordinator.url + "/v1/inferences", ndjson([*sent, *wrong]))
    assert (status, answer["accepted"]) == (202, 2)
    assert [refusal["reason"] for refusal in answer["refused"]] == ["invalid_field", "missing_field"]
    assert post(coordinator.url + "/v1/inferences", ndjson(sent[:1])) == (202, {"accepted": 1})
    [inferred] = catalogue(server, "/v1/logs/inference")
    assert inferred.split(".", 1)[1] == "inference.journal"
    assert catalogue(server, "/v1/logs") == []
    deployment.stop()

    stored = records(server.folder / "inference", kind="inference")
    own = [{name: value for name, value in record.items() if name not in RECORD_FIELD_NAMES} for record in stored]
    assert own == [*sent, sent[0]]
    analyzed = json.loads(run_swarmscope("analyze", server.folder, "--kind", "inference", "--json").stdout)
    assert (analyzed["inferences"], analyzed["copies"]) == (2, 1)


def test_a_measurement_that_no_reader_would_understand_is_refused_with_the_reason(deployment):
    deployment.feedback_server()
    coordinator = deployment.coordinator()
    messages = [measurement(), measurement("op-1", status="fine"), measurement("op-2", agent=None)]
    status, answer = post(coordinator.url + "/v1/measurements", ndjson(messages))
    assert (status, answer["accepted"]) == (202, 1)
    assert [refusal["reason"] for refusal in answer["refused"]] == ["invalid_field", "missing_field"]
