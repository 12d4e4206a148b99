"""The contract of the feedback message and of its record in a log."""

import json

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from feedback_wire.message import FIELDS, REQUIRED, message_schema
from feedback_wire.record import RECORD_FIELD_NAMES, Origin, record_schema, stamp_received

SMALLEST = {"v": 1, "peer_id": "p", "session_id": "s", "seq": 0, "event": "join", "sent_ms": 1_344_330_000_000}


def test_the_message_has_the_22_fields_of_the_seed():
    assert len(FIELDS) == 22
    assert REQUIRED == ("v", "peer_id", "session_id", "seq", "event", "sent_ms")
    assert not {field.name for field in FIELDS} & set(RECORD_FIELD_NAMES)


def test_both_schemas_are_valid_and_accept_the_smallest_message():
    for schema in (message_schema(), record_schema()):
        Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(message_schema()).is_valid(SMALLEST)
    assert not Draft202012Validator(message_schema()).is_valid(SMALLEST | {"continuity": 1.5})
    assert not Draft202012Validator(message_schema()).is_valid({**SMALLEST, "extra": {"nested": {}}})
    record = SMALLEST | {"received_ms": 1, "ip": "", "weight": 1, "via": "c1"}
    assert Draft202012Validator(record_schema()).is_valid(record)
    assert not Draft202012Validator(record_schema()).is_valid(record | {"weight": 0.5})


@given(
    st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none(), min_size=1), min_size=1, max_size=5),
    st.text(),
    st.integers(0, 2**53 - 1),
)
def test_stamping_text_gives_the_same_record_as_building_it(messages, ip, received_ms):
    origin = Origin(ip=ip, weight=10.0, via="c1")
    raw = [json.dumps({"seq": n} | message) for n, message in enumerate(messages)]
    lines = b"".join(origin.prefix() + line.encode()[1:] + b"\n" for line in raw)
    stamped = [json.loads(line) for line in stamp_received(lines, received_ms).split(b"\n")[:-1]]
    added = {"received_ms": received_ms, "ip": ip, "weight": 10.0, "via": "c1"}
    assert stamped == [added | {"seq": n} | message for n, message in enumerate(messages)]
