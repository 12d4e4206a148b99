"""Messages of simple workers become measurement messages, and every correction has a name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.dialects.measurement_message import check_measurement
from coordinator.dialects.worker_message import corrected

WORKER = {"public_ip": "92.250.97.136", "hostname": "zephyrus"}
MESSAGES = [
    ({"latency": 147.6264, "lang": "go", "timestamp": 1714601608}, 147.6264, 1714601608000, {"timestamp_in_seconds"}),
    ({"latency": 353, "lang": "nodejs", "timestamp": 1714601622953}, 353, 1714601622953, set()),
    ({"latency": 150.00, "lang": "rust", "timestamp": 1714601629708}, 150, 1714601629708, set()),
    ({"latency": "4000.00", "lang": "luvit", "timestamp": 1714601635000}, 4000, 1714601635000, {"latency_as_text"}),
    ({"latency": "1000.00", "lang": "ruby", "timestamp": "1714601641"}, 1000, 1714601641000, None),
]


def encoded(message):
    return json.dumps(message).encode()


@pytest.mark.parametrize(("message", "latency_ms", "started_ms", "names"), MESSAGES, ids=lambda value: str(value)[:20])
def test_the_messages_of_the_qos_worker_tool_become_valid_measurements(message, latency_ms, started_ms, names):
    raw, corrections = corrected(encoded(WORKER | message))
    measurement = json.loads(raw)
    check_measurement(raw)
    assert (measurement["values"], measurement["started_ms"]) == ({"latency_ms": latency_ms}, started_ms)
    assert (measurement["agent"], measurement["agent_address"]) == ("zephyrus", "92.250.97.136")
    assert measurement["tags"] == {"lang": message["lang"]}
    if names is None:
        names = {"latency_as_text", "timestamp_as_text", "timestamp_in_seconds"}
    assert set(corrections) == names | {"worker_fields"}


def test_a_message_that_is_sent_again_is_the_same_operation_and_another_one_is_not():
    once, again = (json.loads(corrected(encoded(WORKER | MESSAGES[0][0]))[0]) for _ in range(2))
    other = json.loads(corrected(encoded(WORKER | MESSAGES[1][0]))[0])
    assert once["operation_id"] == again["operation_id"] != other["operation_id"]


@pytest.mark.parametrize(
    "message",
    [
        {"latency": "fast", "timestamp": 1714601608},
        {"latency": -1, "timestamp": 1714601608},
        {"latency": True, "timestamp": 1714601608},
        {"latency": "nan", "timestamp": 1714601608},
        {"latency": 1},
        {"latency": 1, "timestamp": "yesterday"},
        {"latency": 1, "timestamp": 1e30},
        {"timestamp": 1714601608},
    ],
    ids=str,
)
def test_a_message_that_cannot_be_corrected_is_left_as_it_is(message):
    assert corrected(encoded(message)) == (encoded(message), ())


@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from(["latency", "timestamp", "hostname"]), st.text() | st.floats()).map(encoded)
)
def test_no_bytes_cause_an_error(raw):
    corrected(raw)
