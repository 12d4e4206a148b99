"""Control messages: every message is decoded as it was encoded, and all other bytes end the connection."""

import json
import os
import pickle
import random
import typing
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay import messages
from overlay.messages import LENGTH, LONGEST_BYTES, Control, ControlReader, ProtocolError, decode, encode

NONCE, MAC = bytes(range(16)), bytes(range(32))
GOLDEN = Path(__file__).parents[1] / "golden/v1/overlay_control.json"

BODIES: list[messages.Body] = [
    messages.Leave(drain_ms=500),
    messages.Subscribe(stream="news", file="clip.mp4"),
    messages.Unsubscribe(stream="news"),
    messages.Play(stream="news"),
    messages.Pause(stream="news"),
    messages.InstallTree(stream="news", stream_number=7, tree_epoch=3, parent="n1", children=["n3", "n4"], backup="n5"),
    messages.Graft(stream="news", from_sequence=65535),
    messages.Prune(stream="news"),
    messages.LinkState(neighbor="n2", round_trip_ms=12.5, loss=0.01, rate_kbps=2000.0),
    messages.NodeDown(node="n2"),
    messages.Nack(ranges=[(5, 7), (9, 9)]),
    messages.Error(reason="wrong proof"),
    messages.InstallTree(stream="news", stream_number=7, tree_epoch=4, parent="n1", children=[], second_parent="n2"),
    messages.InstallTree(stream="news", stream_number=7, tree_epoch=5, parent="n1", children=[], parity_group=8),
    messages.FilesOffer(stream="news", files=["a.mp4", "b.mp4"]),
    messages.FilesOffer(stream="news", files=["a.mp4"], source="n1", left=1),
    messages.ListOffers(),
    messages.Play(stream="news", file="a.mp4"),
    messages.Error(reason="stream 'news' has no file 'c.mp4'", stream="news", file="c.mp4"),
]
SAMPLES: list[Control] = [
    messages.Ack(version=1, node="n1", nonce=NONCE, time_ms=1_700_000_000_000, tcp_port=7000, udp_port=7001, mac=MAC),
    messages.Speers(
        node="b",
        nonce=NONCE,
        epoch=2,
        lease_s=3.0,
        neighbors=[messages.Neighbor(node="n2", host="10.0.0.1", tcp_port=7000, udp_port=7001)],
        mac=MAC,
    ),
    messages.FinalAck(node="n1", neighbor=True, mac=MAC),
    messages.Ping(node="n1", number=4, target="p1", hops=[messages.Hop(node="n2", time_ns=123)]),
    messages.Data(packet=bytes(40)),
    *(messages.GeneralMessage(node="n1", body=body, target="b", path=["n1"], time_ns=5) for body in BODIES),
]


def test_there_is_a_sample_of_every_message():
    assert {type(sample) for sample in SAMPLES} == {*typing.get_args(Control)}
    assert {type(body) for body in BODIES} == {*typing.get_args(messages.Body)}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda each: type(getattr(each, "body", each)).__name__)
def test_a_message_is_decoded_as_it_was_encoded(sample: Control):
    assert list(ControlReader().feed(encode(sample))) == [sample]


def test_golden_bytes_are_still_read():
    """Written by the first version; later versions add lines and change none."""
    golden = json.loads(GOLDEN.read_text("utf-8"))
    assert [decode(bytes.fromhex(each)[LENGTH.size :]) for each in golden] == SAMPLES


@settings(max_examples=50)
@given(st.lists(st.sampled_from(SAMPLES), max_size=6), st.lists(st.integers(0, 2000), max_size=8))
def test_messages_survive_any_cut_of_the_bytes(sent: list[Control], cuts: list[int]):
    data, reader, received = b"".join(map(encode, sent)), ControlReader(), []
    borders = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for begin, end in pairwise(borders):
        received += reader.feed(data[begin:end])
    assert received == sent


def test_a_field_of_a_later_version_is_ignored_and_an_unknown_message_is_not():
    later = msgspec.msgpack.encode({"type": "FINALACK", "node": "n1", "neighbor": True, "mac": MAC, "mood": "good"})
    assert decode(later) == messages.FinalAck(node="n1", neighbor=True, mac=MAC)
    with pytest.raises(ProtocolError, match="no control message"):
        decode(msgspec.msgpack.encode({"type": "EXEC", "node": "n1"}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "FINALACK", "node": "n1", "neighbor": "yes", "mac": MAC},
        {"type": "FINALACK", "node": "n1", "neighbor": True, "mac": MAC[:31]},
        {"type": "FINALACK", "node": "n" * 65, "neighbor": True, "mac": MAC},
        {"type": "FINALACK", "node": "", "neighbor": True, "mac": MAC},
        {"type": "PING", "node": "n1", "number": -1},
        {
            "type": "MESSAGE",
            "node": "n1",
            "body": {"type": "LINKSTATE", "neighbor": "a", "round_trip_ms": 1, "loss": 2, "rate_kbps": 1},
        },
        {"type": "MESSAGE", "node": "n1", "body": {"type": "NACK", "ranges": [[0, 1]] * 257}},
        ["FINALACK"],
        5,
    ],
)
def test_a_value_out_of_range_is_a_protocol_error(wrong: object):
    with pytest.raises(ProtocolError):
        decode(msgspec.msgpack.encode(wrong))


@pytest.mark.parametrize("length", [0, LONGEST_BYTES + 1, 2**32 - 1])
def test_an_impossible_length_is_refused_before_anything_is_kept(length: int):
    with pytest.raises(ProtocolError, match=f"a message of {length} bytes is announced"):
        list(ControlReader().feed(LENGTH.pack(length)))


def test_a_message_that_is_too_long_is_not_sent():
    with pytest.raises(ValueError, match="is longer than 65536"):
        encode(messages.GeneralMessage(node="n1", body=messages.InstallTree(**_tree(["n" * 64] * 1000))))
    encode(messages.GeneralMessage(node="n1", body=messages.InstallTree(**_tree(["n" * 20] * 1000))))


def _tree(children: list[str]) -> dict[str, typing.Any]:
    return {"stream": "news", "stream_number": 1, "tree_epoch": 1, "parent": None, "children": children}


@pytest.mark.parametrize("frames", [2_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_random_bytes_and_damaged_messages_end_in_a_protocol_error_and_nothing_else(frames: int):
    chance, refused = random.Random(12), 0
    for _ in range(frames):
        if chance.random() < 0.5:
            body = chance.randbytes(chance.randint(1, 200))
        else:
            changed = bytearray(encode(chance.choice(SAMPLES))[LENGTH.size :])
            changed[chance.randrange(len(changed))] = chance.randrange(256)
            body = bytes(changed)
        try:
            list(ControlReader().feed(LENGTH.pack(len(body)) + body))
        except ProtocolError:
            refused += 1
    assert refused > frames / 2


def test_a_pickle_is_refused_and_does_not_run(tmp_path: Path):
    canary = tmp_path / "canary"

    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(canary),)

    payload = pickle.dumps(Attack())
    pickle.loads(payload)
    assert canary.exists()  # the payload works where pickles are read
    canary.rmdir()
    with pytest.raises(ProtocolError):
        list(ControlReader().feed(LENGTH.pack(len(payload)) + payload))
    assert not canary.exists()
