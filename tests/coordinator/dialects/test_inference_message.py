"""An inference message is accepted if it is complete and valid; a refusal names the field."""

import json

import pytest
from jsonschema import Draft202012Validator

from coordinator.dialects.exact_check import Refused
from coordinator.dialects.inference_message import check_inference
from feedback_wire.inference import INFERENCE_FIELDS, inference_schema
from tests.harness.inferences import inference

REQUIRED = [field.name for field in INFERENCE_FIELDS if field.required]


def check(**fields):
    return check_inference(json.dumps(inference(**fields)).encode())


def test_an_address_stands_for_the_end_host_when_a_server_is_chosen():
    assert check().peer_id == "192.0.2.7"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_field_must_be_there(name):
    message = {field: value for field, value in inference().items() if field != name}
    with pytest.raises(Refused, match=name):
        check_inference(json.dumps(message).encode())


def test_a_message_with_only_the_required_fields_is_accepted():
    check_inference(json.dumps({name: inference()[name] for name in REQUIRED}).encode())


@pytest.mark.parametrize(
    "fields",
    [
        {"stalled_probability": 1.01},
        {"stalled_probability": "0.5"},
        {"mos": 0.9},
        {"mos_high": 5.1},
        {"height": 360.5},
        {"slot": -1},
        {"slot_s": 3601},
        {"source": "guess"},
        {"model_sha256": ""},
        {"session_id": 7},
        {"v": 2},
    ],
    ids=str,
)
def test_a_value_of_another_type_or_out_of_bounds_is_refused_and_not_in_the_schema(fields):
    with pytest.raises(Refused) as refused:
        check(**fields)
    assert refused.value.reason == "invalid_field"
    assert not Draft202012Validator(inference_schema()).is_valid(inference(**fields))


def test_an_unknown_value_may_be_null_and_an_unknown_field_is_kept():
    message = inference(future={"nested": [1]}) | {"mos": None, "session_id": None}
    check_inference(json.dumps(message).encode())
