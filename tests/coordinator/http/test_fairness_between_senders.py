"""A request costs time only to its own sender: long work is checked in slices, and each key is charged for its cost."""

import asyncio
import gc
import gzip
import json
import struct
import threading
import time
import zlib

import pytest
import zstandard

from coordinator.carriers.http_carrier import HttpCarrier
from coordinator.carriers.outbox import Outbox
from coordinator.dialects.native_body import UNIT_BYTES, UNIT_VALUES, BodyForm
from coordinator.http.answers import Answers
from coordinator.http.connection_limits import ConnectionLimits
from coordinator.http.content_encoding import MEMBERS
from coordinator.http.feedback_handler import FeedbackExchange, FeedbackHandler
from coordinator.http.feedback_head import FeedbackHead
from coordinator.http.sliced_work import SlicedWork, Work
from coordinator.ingest_keys import IngestKey, IngestKeys
from coordinator.settings import Settings
from coordinator.worker_counters import WorkerCounters
from feedback_wire.kinds import RecordKind
from feedback_wire.limits import BATCH_INFLATED_BYTES, BATCH_WIRE_BYTES, MESSAGE_VALUES
from tests.harness.processor_speed import slowness

DEADLINE_S = 15
LONGEST_STALL_S = 0.050
"""The most processor time of the event loop before it serves other senders again, as docs/coordinator-limits.md promises."""

TRIES = 12

GOOD = b'{"v":1,"peer_id":"p","session_id":"s","seq":0,"event":"join","sent_ms":1}'
MIB = 2**20


def with_values(value: bytes, count: int) -> bytes:
    """A message with an unknown field that is a list of `count` values."""
    return b'{"x":[' + b",".join([value] * count) + b"]," + GOOD[1:]


def lines(message: bytes, size: int) -> bytes:
    return (message + b"\n") * min(10_000, size // (len(message) + 1))


def empty_deflate_blocks(size: int) -> bytes:
    """A gzip body of `size` bytes whose blocks have Huffman tables and no content: 11 bytes each, a microsecond each."""
    # Per block: not the last, dynamic; 257 literal and 1 distance codes, 18 code length codes, of which 18 and 1 have a bit each.
    bits = "0" + "01" + "00000" + "00000" + "0111" + "000" * 2 + "100" + "000" * 14 + "100"
    bits += "1" + "1111111" + "1" + "0101011" + "0" + "0" + "0"  # 138 and 117 zeros, then lengths 1 for 255, 256 and the distance
    bits += "1"
    blocks = bits * (size * 8 // len(bits)) + "1" + "10" + "0000000"  # the last one: fixed codes, and its end
    packed = int(blocks[::-1], 2).to_bytes(-(-len(blocks) // 8), "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + packed + struct.pack("<II", zlib.crc32(b""), 0)


ATTACKS = {
    "64 messages of 19,000 empty objects": (lines(with_values(b"{}", 19_000), 64 * 57_000), "zstd", BodyForm.LINES),
    "as many values as are allowed": (lines(with_values(b"{}", MESSAGE_VALUES - 8), MIB), "zstd", BodyForm.LINES),
    "many names": (lines(b"{" + b"".join(b'"%x":1,' % n for n in range(4000)) + GOOD[1:], MIB), "zstd", BodyForm.LINES),
    "escapes": (lines(b'{"x":"' + rb"\u0041" * 10_000 + b'",' + GOOD[1:], MIB), "zstd", BodyForm.LINES),
    "quotes without end": (lines(b'{"x":[' + b'"\\"' * 20_000, MIB), "zstd", BodyForm.LINES),
    "small unknown fields": (lines(b'{"x":1,' + GOOD[1:], MIB), "zstd", BodyForm.LINES),
    "refused one by one": (b"1\n" * 10_000, "zstd", BodyForm.LINES),
    "an array of one message": (b"[" + b",".join([GOOD] * 10_000) + b"]", "zstd", BodyForm.JSON),
    "an array of as many objects as are allowed": (b"[" + b"{}," * 59_000 + b"{}]", "zstd", BodyForm.JSON),
    "an array of as many numbers as are allowed": (b"[" + b"1," * 49_000 + b"1]", "zstd", BodyForm.JSON),
    "an array of a message of two million values": (b'[{"x":[' + b"1," * 2_000_000 + b"1]}]", "zstd", BodyForm.JSON),
    "an array of a hundred values a message": (
        b"[" + b",".join([b'{"x":[' + b"1," * 180 + b"1]}"] * 10_000) + b"]",
        "zstd",
        BodyForm.JSON,
    ),
    "an array of numbers": (b"[" + b"1," * 2_000_000 + b"1]", "zstd", BodyForm.JSON),
    "a large gzip body": (lines(b'{"x":"' + b"y" * 400 + b'",' + GOOD[1:], BATCH_INFLATED_BYTES), "gzip", BodyForm.LINES),
}
MEMBER = gzip.compress(b"", mtime=0)
RAW_ATTACKS = {
    "members without content": (MEMBER * 52_000, "gzip"),
    "frames without content": (zstandard.compress(b"") * (BATCH_WIRE_BYTES // 9), "zstd"),
    "skippable frames": (b"\x50\x2a\x4d\x18\0\0\0\0" * (BATCH_WIRE_BYTES // 8), "zstd"),
    "as many members as are allowed": (MEMBER * (MEMBERS - 1) + gzip.compress(lines(GOOD, MIB)), "gzip"),
    "blocks without content": (empty_deflate_blocks(BATCH_WIRE_BYTES - 100), "gzip"),
}
PACKERS = {"zstd": zstandard.compress, "gzip": gzip.compress}
BODIES = {name: (PACKERS[encoding](body), encoding, form) for name, (body, encoding, form) in ATTACKS.items()} | {
    name: (body, encoding, BodyForm.LINES) for name, (body, encoding) in RAW_ATTACKS.items()
}


class Sender:
    """A connection that keeps its answers."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []

    def answered(self, exchange: FeedbackExchange) -> None:
        self.answers.append(exchange.answer)


@pytest.fixture
def _as_in_a_worker() -> None:
    """The garbage collector skips objects that existed before, as in a worker: those of other tests would cost it 0.1 s."""
    gc.collect()
    gc.freeze()


async def longest_turn_s(begin, done) -> float:
    """The most processor time that one turn of the event loop takes, from `begin()` until `done()`."""
    longest, before = 0.0, time.thread_time()
    begin()
    while not done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, before = max(longest, now - before), now
    return longest


def test_the_blocks_without_content_are_valid_gzip():
    assert gzip.decompress(empty_deflate_blocks(1000)) == b""


@pytest.mark.usefixtures("_as_in_a_worker")
@pytest.mark.parametrize("name", BODIES)
def test_no_request_holds_the_event_loop_for_50_ms_of_processor_time(receiver, name):
    async def promise() -> float:
        settings = Settings(feedback_server=(receiver.url,), insecure=True)
        links = {url.geturl(): HttpCarrier(url, "", lambda: settings.tls().link) for url in settings.servers}
        counters, keys, sender = WorkerCounters(), IngestKeys(()), Sender()
        outbox = Outbox(links, None, "round-robin", counters)
        handler = FeedbackHandler(
            settings,
            keys,
            {RecordKind.FEEDBACK: outbox},
            None,
            counters,
            Answers(),
            connection_limits=ConnectionLimits(serving=100, refusing=100),
        )
        body, encoding, form = BODIES[name]
        head = FeedbackHead(keys.anyone, form=form, encoding=encoding)

        def send() -> None:
            for _ in range(2):
                handler.receive(FeedbackExchange(sender, handler), head, body, handler.prefixes.of("192.0.2.1"))

        longest_s = await longest_turn_s(send, lambda: len(sender.answers) == 2)
        assert outbox.held_bytes == keys.anyone.held_bytes == handler.sliced_work.waiting == 0
        handler.sliced_work.close()
        await outbox.close()
        return longest_s

    # A busy machine, and a host that takes the processor away from a virtual one, make a turn longer now and then.
    # A request that holds the loop does so each time.
    turns = (asyncio.run(promise()) / slowness() for _ in range(TRIES))
    assert any(longest_s < LONGEST_STALL_S for longest_s in turns)


def test_keys_take_turns_on_the_decompression_thread():
    async def order() -> list[bytes]:
        backlog, begun, ended, inflated = SlicedWork(), threading.Event(), asyncio.Event(), []

        def work(name: bytes) -> Work:
            inflated.append((yield lambda: begun.wait(DEADLINE_S) and name))
            if len(inflated) == 5:
                ended.set()

        for number in range(4):
            backlog.add(greedy, number, work(b"greedy"))
        backlog.add(web, 4, work(b"web"))
        begun.set()
        await asyncio.wait_for(ended.wait(), DEADLINE_S)
        backlog.close()
        assert backlog.waiting == 0
        return inflated

    greedy, web = IngestKey("greedy"), IngestKey("web")
    assert asyncio.run(order()) == [b"greedy", b"greedy", b"web", b"greedy", b"greedy"]


@pytest.mark.parametrize("spent_s", [0.0, 1.0], ids=["begun", "waiting for a first slice"])
def test_a_closed_backlog_starts_no_more_work_on_its_thread(spent_s: float):
    async def mistakes() -> list[dict]:
        backlog, begun, found = SlicedWork(), threading.Event(), []
        backlog.spend(spent_s)
        asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))

        def work() -> Work:
            yield lambda: begun.wait(DEADLINE_S) and b""

        for number in range(3):
            backlog.add(web, number, work())
        begun.set()
        backlog.close()
        for _ in range(10):
            await asyncio.sleep(0)
        return found

    web = IngestKey("web")
    assert asyncio.run(mistakes()) == []


def test_other_senders_are_answered_while_the_batches_of_one_key_are_checked(coordinators, receiver, tmp_path, message):
    file = tmp_path / "keys.toml"
    file.write_text('[keys.greedy]\nsecret = "g"\n[keys.web]\nsecret = "w"\n')
    coordinator = coordinators(receiver, flags=("--keys", str(file), "--token", "t"))
    body = zstandard.compress(lines(with_values(b"{}", MESSAGE_VALUES - 8), BATCH_INFLATED_BYTES))
    head = b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer g\r\nContent-Encoding: zstd\r\n"
    head += b"Content-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n" % len(body)
    with coordinator.connect() as greedy:
        greedy.sendall((head + body) * 20)  # about ten seconds of work
        for sent in (message(), message(unknown=1), [message(), message(channel="a:b")]):
            status, answer = coordinator.post(json.dumps(sent).encode(), Authorization="Bearer w")
            assert status == 202, answer
        assert coordinator.metrics()["requests_waiting"] > 0
    coordinator.kill()  # instead of waiting for the rest of it


def test_a_key_is_charged_for_the_work_that_its_requests_cause(coordinators, receiver, tmp_path, message):
    file = tmp_path / "keys.toml"
    file.write_text('[keys.web]\nsecret = "w"\nmessages_per_second = 20\n')
    coordinator = coordinators(receiver, flags=("--keys", str(file), "--token", "t"))

    def charged(body: bytes, **headers: str) -> int:
        before = coordinator.metrics()['key_charged_total{key="web"}']
        coordinator.post(body, authorization="Bearer w", **headers)
        return round(coordinator.metrics()['key_charged_total{key="web"}'] - before)

    usual = json.dumps(message()).encode()
    assert charged(usual) == 1
    assert charged(json.dumps([message(), message(), message()]).encode()) == 3
    assert charged(usual.ljust(2 * UNIT_BYTES)) == 3
    assert charged(with_values(b"1", 8 * UNIT_VALUES)) == 9
    assert charged(gzip.compress(usual.ljust(10 * UNIT_BYTES)), content_encoding="gzip") == 11
    assert (
        charged(gzip.compress(bytes(BATCH_INFLATED_BYTES + 1)), content_encoding="gzip") == 1 + BATCH_INFLATED_BYTES // UNIT_BYTES
    )
    assert coordinator.post(usual, authorization="Bearer w")[0] == 429
