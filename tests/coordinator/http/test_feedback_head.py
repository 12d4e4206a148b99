"""A request head that is in the cache is not parsed again.

The meaning of a stream must not depend on how it is split into reads.
"""

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from coordinator.dialects.native_body import BodyForm
from coordinator.http.feedback_head import KNOWN_HEADS, FeedbackHead, HeadReader
from coordinator.ingest_keys import IngestKeys, KeyTerms

KEYS = IngestKeys(())
ANYONE = KEYS.anyone
GOOD = json.dumps({"v": 1, "peer_id": "p", "session_id": "s", "seq": 1, "event": "report", "sent_ms": 1}).encode()


def post(body: bytes, *headers: str) -> bytes:
    return "\r\n".join(["POST /v1/feedback HTTP/1.1", "Host: x", *headers, f"Content-Length: {len(body)}", "", ""]).encode() + body


def chunked(body: bytes) -> bytes:
    head = b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


REQUESTS = {
    post(GOOD): 202,
    post(b"[" + GOOD + b"]"): 202,
    post(GOOD, "X-Other: y"): 202,
    post(b"x" * len(GOOD)): 400,
    post(b""): 400,
    post(post(GOOD), "Content-Type: text/plain"): 400,  # a whole request as a body, as in request smuggling
    post(GOOD + b"\r\n\r\n"): 202,
    post(GOOD, "Content-Type: text/html"): 415,
    chunked(GOOD): 202,
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n": 200,
    post(GOOD).replace(b"/v1/feedback", b"/v1/feedbacks"): 404,
}


def test_a_stream_means_the_same_however_it_is_split_into_reads(coordinators, receiver):
    coordinator = coordinators(receiver)
    chance = random.Random(7)
    plain = [request for request, status in REQUESTS.items() if status != 415]  # a 415 ends the connection
    for _ in range(40):
        requests = chance.choices(plain, k=30)
        stream = b"".join(requests)
        cuts = sorted({*chance.choices(range(len(stream)), k=chance.choice([0, 3, 30])), len(stream)})
        if chance.random() < 0.5:  # a client that does not wait for answers, and sends each request in one piece
            cuts = [sum(map(len, requests[: number + 1])) for number in range(len(requests))]
        with coordinator.connect() as connection:
            begin = 0
            for cut in cuts:
                connection.sendall(stream[begin:cut])
                begin = cut
            reader = connection.makefile("rb")
            assert [_status(reader) for _ in requests] == [REQUESTS[request] for request in requests]
    assert "Traceback" not in coordinator.log_text()


def _status(reader) -> int:
    status = int(reader.readline().split()[1])
    length = 0
    while (line := reader.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split()[1])
    reader.read(length)
    return status


@given(st.lists(st.sampled_from(list(REQUESTS)), min_size=2, max_size=3))
def test_several_requests_in_one_read_are_never_cached_as_one(requests: list[bytes]):
    reader = HeadReader(KEYS)
    head, _, _ = requests[-1].partition(b"\r\n\r\n")
    headers = [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")[1:]]
    reader.learn(b"".join(requests), headers, FeedbackHead(ANYONE))
    assert not reader.known


def test_heads_that_differ_in_each_request_are_not_cached():
    reader = HeadReader(KEYS)
    for head in (
        FeedbackHead(ANYONE, forwarded="1.2.3.4"),
        FeedbackHead(ANYONE, forgotten=1),
        FeedbackHead(ANYONE, expects_continue=True),
    ):
        reader.learn(post(b"{}"), [(b"Content-Length", b"2")], head)
    assert not reader.known


def test_heads_are_evicted_before_they_take_much_memory():
    reader = HeadReader(IngestKeys([KeyTerms(name="one", secret="key")]))
    for number in range(2 * KNOWN_HEADS):
        headers = [(b"Authorization", b"Bearer key"), (b"X", b"%d" % number), (b"Content-Length", b"2")]
        head = reader.read(headers)
        assert head.form is BodyForm.JSON
        reader.learn(b"POST / HTTP/1.1\r\nX: %d\r\n\r\n{}" % number, headers, head)
    assert 0 < len(reader.known) <= KNOWN_HEADS


def test_a_large_head_is_not_cached():
    reader = HeadReader(KEYS)
    headers = [(b"Content-Length", b"2"), (b"X", b"y" * 2_000)]
    reader.learn(b"POST / HTTP/1.1\r\nX: %b\r\n\r\n{}" % (b"y" * 2_000), headers, reader.read(headers))
    assert not reader.known
