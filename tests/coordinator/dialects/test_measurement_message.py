"""A measurement message is accepted if it is complete and valid; a refusal names the field."""

import json

import pytest

from coordinator.dialects.exact_check import Refused
from coordinator.dialects.measurement_message import check_measurement
from feedback_wire.measurement import MEASUREMENT_FIELDS, STATUSES
from measurement.outcome import Status
from tests.harness.measurements import measurement


def check(**fields):
    return check_measurement(json.dumps(measurement(**fields)).encode())


def test_an_agent_stands_for_the_end_host_when_a_server_is_chosen():
    assert check().peer_id == "hk-1"


@pytest.mark.parametrize("name", [field.name for field in MEASUREMENT_FIELDS if field.required and field.name != "operation_id"])
def test_a_required_field_must_be_there(name):
    with pytest.raises(Refused, match=name):
        check(**{name: None})


@pytest.mark.parametrize(
    "fields",
    [
        {"values": {"rtt_ms": "12"}},
        {"values": [12]},
        {"hops": {"ttl": 1}},
        {"hops": [{"ttl": [1]}]},
        {"tags": {"country": 1}},
        {"status": "fine"},
        {"started_ms": -1},
        {"duration_ms": -0.5},
        {"v": 2},
    ],
    ids=str,
)
def test_a_value_of_another_type_or_out_of_bounds_is_refused(fields):
    with pytest.raises(Refused) as refused:
        check(**fields)
    assert refused.value.reason == "invalid_field"


def test_an_unknown_value_is_null_and_an_unknown_field_is_kept():
    check(values={"rtt_median_ms": None}, future={"nested": [1]})


def test_the_statuses_of_the_wire_are_those_of_the_outcomes():
    assert tuple(Status) == STATUSES
