import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from coordinator.dialects.exact_check import Refused, one_line
from coordinator.dialects.native_message import check, check_usual
from feedback_wire.limits import EXTRA_KEYS, LARGEST_INT, MESSAGE_BYTES, MESSAGE_VALUES, TEXT_CHARS
from feedback_wire.message import FIELDS, message_schema
from feedback_wire.record import RECORD_FIELD_NAMES

FIELD_NAMES = tuple(field.name for field in FIELDS)
SCHEMA = Draft202012Validator(message_schema())
GOOD = {"v": 1, "peer_id": "peer", "session_id": "view", "seq": 0, "event": "join", "sent_ms": 1_700_000_000_000}


def encoded(message: object) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode()


def is_taken(raw: bytes) -> bool:
    try:
        check(raw)
    except Refused:
        return False
    return True


def reason(raw: bytes) -> str:
    with pytest.raises(Refused) as refused:
        check(raw)
    assert refused.value.detail
    return refused.value.reason


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "join", "a:b", '"', "x" * TEXT_CHARS, "é" * TEXT_CHARS, "x" * (TEXT_CHARS + 1)]
)
# JSON Schema accepts 1.0 as an integer; the coordinator does not, because column types would read it differently.
numbers = st.sampled_from([-1, 0, 1, 0.5, 2, -0.5, 10**9, 10**9 + 1, LARGEST_INT, LARGEST_INT + 1, 2**70, 1e300]).filter(
    lambda number: isinstance(number, int) or not number.is_integer() or number > 2**60
)
scalars = st.none() | st.booleans() | texts | numbers
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(texts, scalars, max_size=2)
extras = st.dictionaries(texts, scalars, max_size=3) | values
unknown = st.dictionaries(
    st.text(string.ascii_letters, min_size=1, max_size=5).filter(
        lambda name: name not in (*RECORD_FIELD_NAMES, *FIELD_NAMES, "extra")
    ),
    values,
    max_size=2,
)


@st.composite
def nearly_good(draw: st.DrawFn) -> dict:
    """A valid message with a few fields replaced, added, or removed."""
    message = dict(GOOD)
    for name in draw(st.lists(st.sampled_from(FIELD_NAMES), max_size=3)):
        message[name] = draw(values)
    if draw(st.booleans()):
        message["extra"] = draw(extras)
    for name in draw(st.lists(st.sampled_from(FIELD_NAMES), max_size=1)):
        message.pop(name, None)
    return message | draw(unknown)


@given(nearly_good())
def test_the_coordinator_accepts_exactly_what_the_published_schema_allows(message: dict):
    whole_as_float = any(
        field.kind is int and isinstance(message.get(field.name), float) and message[field.name].is_integer() for field in FIELDS
    )
    if not whole_as_float:
        assert is_taken(encoded(message)) == SCHEMA.is_valid(message)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_field_is_accepted_up_to_its_bounds_and_refused_beyond(field):
    def accepted(value: object) -> bool:
        return is_taken(encoded(GOOD | {field.name: value}))

    if field.least is not None:
        assert accepted(field.least)
        assert accepted(field.most)
        assert not accepted(field.least - 1)
        assert not accepted(field.most + 1)
    assert accepted(None) is not field.required
    assert not accepted([])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "malformed"),
        (b"[]", "malformed"),
        (b"null", "malformed"),
        (encoded(GOOD)[:-1], "malformed"),
        (encoded(GOOD) + b"{}", "malformed"),
        (encoded({"peer_id": "x"}), "missing_field"),
        (encoded(GOOD | {"seq": "1"}), "invalid_field"),
        (encoded(GOOD | {"seq": True}), "invalid_field"),
        (encoded(GOOD | {"seq": 1.0}), "invalid_field"),
        (encoded(GOOD | {"extra": {f"k{n}": 1 for n in range(EXTRA_KEYS + 1)}}), "invalid_field"),
        (encoded(GOOD | {"extra": {"k": None}}), "invalid_field"),
        (encoded(GOOD | {"x": "y" * MESSAGE_BYTES}), "message_too_large"),
    ],
)
def test_a_refusal_names_its_reason(raw: bytes, expected: str):
    assert reason(raw) == expected


@pytest.mark.parametrize("name", RECORD_FIELD_NAMES)
def test_a_message_cannot_set_the_fields_of_the_servers(name: str):
    assert reason(encoded(GOOD | {name: "x"})) == "reserved_name"
    assert reason(encoded(GOOD)[:-1] + b',"' + b"".join(b"\\u%04x" % ord(char) for char in name) + b'":1}') == "reserved_name"


@pytest.mark.parametrize(
    "addition",
    [b'"seq":5', b'"s\\u0065q":5', b'"seq" : 5', b'"extra":{"a":1,"a":2}', b'"x":1,"x":1', b'"x":{"a":1,"a":2}'],
)
def test_a_duplicate_field_name_is_refused_because_readers_disagree_on_it(addition: bytes):
    assert reason(encoded(GOOD)[:-1] + b"," + addition + b"}") == "duplicate_name"


@pytest.mark.parametrize("place", [b'"channel":%b', b'"extra":{"k":%b}', b'"unknown":%b', b'"unknown":[{"deep":%b}]'])
@pytest.mark.parametrize(
    "text", [b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\udc00x"', b"1e999", b"NaN", b"-Infinity", b"1" * 400]
)
def test_json_that_some_readers_cannot_read_is_refused_at_any_depth(place: bytes, text: bytes):
    assert not is_taken(encoded(GOOD)[:-1] + b"," + place % text + b"}")


def test_a_field_name_that_is_not_utf8_is_refused():
    assert reason(encoded(GOOD)[:-1] + b',"\xff":1}') == "malformed"


def test_deep_nesting_is_refused_and_does_not_end_the_process():
    assert reason(encoded(GOOD)[:-1] + b',"x":' + b"[" * 4_000 + b"]" * 4_000 + b"}") == "malformed"
    assert reason(encoded(GOOD)[:-1] + b',"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}") == "too_many_values"


@pytest.mark.parametrize("value", [b"1", b"{}", b"[ ]", b'",,[{"', b'"\\",,"', b'{"a":1}'], ids=bytes.decode)
def test_a_message_may_have_the_maximum_number_of_values_at_any_depth_and_no_more(value: bytes):
    each = 2 if value.startswith(b'{"') else 1
    room = MESSAGE_VALUES - len(GOOD) - 1  # one for the list itself

    def with_values(count: int) -> bytes:
        return encoded(GOOD)[:-1] + b',"x":[' + b",".join([value] * count) + b"]}"

    assert is_taken(with_values(room // each))
    assert reason(with_values(room // each + 1)) == "too_many_values"


def test_a_message_with_colons_and_escapes_in_its_strings_is_accepted():
    assert check(encoded(GOOD | {"peer_id": "2001:db8::1", "channel": 'a"b:c\\'})).peer_id == "2001:db8::1"
    assert is_taken(json.dumps(GOOD | {"channel": "😀 \ud83d\ude00"}).encode())


@given(nearly_good(), st.sampled_from([None, 0, 2, "\t"]), st.sampled_from(["\n", "\r\n"]))
def test_a_message_on_several_lines_becomes_one_line_with_the_same_content(message: dict, indent: object, line_end: str):
    raw = b" " + json.dumps(message, indent=indent).replace("\n", line_end).encode() + b"\n"
    if is_taken(raw):
        line = one_line(raw)
        assert line.startswith(b"{")
        assert not {10, 13} & set(line)
        assert json.loads(line) == message


def test_a_message_on_one_line_keeps_its_bytes():
    raw = b'{ "v":1,"peer_id":"p","session_id":"\\u0041","seq":0 ,"event":"join","sent_ms":1, "upload_kbps":1.50}'
    check(raw)
    assert one_line(raw) is raw


def test_a_message_with_colons_in_its_strings_is_parsed_only_once():
    for message in (GOOD | {"channel": "a:b"}, GOOD | {"app": "https://a:80/::"}, GOOD | {"extra": {"a:b": "::", "é": 1}}):
        assert check_usual(json.dumps(message, ensure_ascii=False).encode()) is not None


@pytest.mark.parametrize(
    "addition",
    [
        b'"channel":"a:b","channel":"c"',
        b'"channel":":","channel":":"',
        b'"extra":{"a:b":1,"a:b":2}',
        rb'"channel":"\":","channel":""',
    ],
)
def test_colons_in_strings_do_not_hide_a_duplicate_field_name(addition: bytes):
    assert reason(json.dumps(GOOD).encode()[:-1] + b"," + addition + b"}") == "duplicate_name"


def test_a_refusal_quotes_only_the_ends_of_a_long_value():
    with pytest.raises(Refused) as refused:
        check(json.dumps(GOOD | {"event": "A" * 60_000}).encode())
    assert refused.value.detail.startswith("Invalid enum value 'AAA")
    assert refused.value.detail.endswith("AAA' - at `$.event`")
    assert len(refused.value.detail) < 300
