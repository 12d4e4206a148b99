"""A connection of an end host goes through the states of the transition table, and through no others."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httptools
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from coordinator.carriers.batch import Batch, Outcome
from coordinator.carriers.outbox import Outbox
from coordinator.http.answers import Answers
from coordinator.http.connection_limits import ConnectionLimits
from coordinator.http.connection_state import (
    CLOSED,
    DISCARDING,
    IDLE,
    LAST_ANSWERS,
    OVER_LIMIT,
    RECEIVING,
    TRANSITIONS,
    WHEN_ALL_ANSWERED,
    ConnectionEvent,
    ConnectionState,
)
from coordinator.http.feedback_handler import FeedbackHandler
from coordinator.http.feedback_protocol import OVER_LIMIT_S, PIPELINED, FeedbackProtocol
from coordinator.ingest_keys import IngestKeys
from coordinator.settings import Settings
from coordinator.worker_counters import WorkerCounters
from feedback_wire.kinds import RecordKind

REQUEST_S, IDLE_S = 30, 90
BODY = b'{"v":1,"peer_id":"p","session_id":"s","seq":0,"event":"join","sent_ms":1}'


def post(*headers: bytes, body: bytes = BODY) -> bytes:
    lines = [b"POST /v1/feedback HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


GOOD = post()
LAST = post(b"Connection: close")
REFUSED = post(b"Content-Type: image/png")
UPGRADE = post(b"Connection: Upgrade", b"Upgrade: websocket")
WAITS = post(b"Expect: 100-continue").removesuffix(BODY)
OTHER = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
TUNNEL = b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"
GARBAGE = b"\x00\x01\r\n\r\n"
BEYOND = GOOD * (2 * PIPELINED + 1)
"""As many as make the connection end."""


class Held:
    """A carrier that stores once it is released."""

    outcome = Outcome.STORED

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def carry(self, _batch: Batch) -> None:
        await self.released.wait()


class Wire(asyncio.Transport):
    """A transport that records what is done with it, and calls its protocol as asyncio's transports do."""

    def __init__(self, protocol: FeedbackProtocol) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.open = True
        self.writing = True
        self._protocol = protocol

    def write(self, data: Any) -> None:
        assert self.open, "nothing is written to a closed transport"
        assert self.writing, "nothing is written behind the end"
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.writing = False

    def is_closing(self) -> bool:
        return not self.open

    def close(self) -> None:
        if self.open:
            self.open = False
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class Traced(FeedbackProtocol):
    """A connection that records its transitions."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.trace: list[tuple[ConnectionState, ConnectionEvent]] = []

    def _change(self, event: ConnectionEvent) -> None:
        self.trace.append((self.state, event))
        super()._change(event)


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Driven:
    """A connection, and the hands that move it."""

    def __init__(self, *, serving: int = 10, refusing: int = 10) -> None:
        self.carrier = Held()
        counters = WorkerCounters()
        self.outbox = Outbox({"http://x": self.carrier}, None, "round-robin", counters)
        settings = Settings(feedback_server=("http://x",), insecure=True)
        limits = ConnectionLimits(serving=serving, refusing=refusing)
        handler = FeedbackHandler(
            settings, IngestKeys(()), {RecordKind.FEEDBACK: self.outbox}, None, counters, Answers(), connection_limits=limits
        )
        config = uvicorn.Config(app, lifespan="off", log_config=None)
        config.load()
        self.connection = Traced(config, ServerState(), {"handler": handler})
        self.wire = Wire(self.connection)
        self.connection.connection_made(self.wire)

    async def play(self, steps: list[str | bytes]) -> None:
        for step in steps:
            await (self.send(step) if isinstance(step, bytes) else getattr(self, step)())

    async def send(self, data: bytes) -> None:
        if self.wire.open:
            self.connection.data_received(data)
        await self._pass_time()

    async def send_end(self) -> None:
        if self.wire.open and not self.connection.eof_received():
            self.wire.close()
        await self._pass_time()

    async def store(self) -> None:
        self.carrier.released.set()
        await self._pass_time()
        self.carrier.released.clear()

    async def stop_server(self) -> None:
        if self.connection in self.connection.connections:
            self.connection.shutdown()
        await self._pass_time()

    async def wait(self, seconds: int = IDLE_S + 1) -> None:
        self.connection.handler.seconds += seconds
        if self.connection in self.connection.connections:
            self.connection.sweep(self.connection.handler.seconds, request_s=REQUEST_S, idle_s=IDLE_S)
        await self._pass_time()

    async def wait_briefly(self) -> None:
        await self.wait(OVER_LIMIT_S + 1)

    async def lose(self) -> None:
        self.wire.close()
        await self._pass_time()

    async def _pass_time(self) -> None:
        for _ in range(12):
            await asyncio.sleep(0)

    async def close(self) -> None:
        await self.lose()
        self.connection.handler.sliced_work.close()
        await self.outbox.close()


def drive(script: Callable[[Driven], Any], **limits: int) -> Traced:
    async def run() -> Traced:
        driven = Driven(**limits)
        try:
            await script(driven)
            return driven.connection
        finally:
            await driven.close()

    return asyncio.run(asyncio.wait_for(run(), 20))


@dataclass(frozen=True, kw_only=True)
class Script:
    """What the sender and the server do, and what follows from it."""

    steps: list[str | bytes]
    """Bytes that arrive, or names of methods of `Driven`."""
    trace: list[tuple[ConnectionState, ConnectionEvent]]
    open: bool = True
    """Whether the transport is open afterwards."""
    writing: bool = True
    """Whether its writing direction was not closed by itself."""
    limits: dict[str, int] = field(default_factory=dict)


BEGINS, ENDS, REFUSAL, END, LOST = (
    ConnectionEvent.REQUEST_BEGINS,
    ConnectionEvent.REQUEST_ENDS,
    ConnectionEvent.REFUSED,
    ConnectionEvent.END,
    ConnectionEvent.LOST,
)
ONE = [(IDLE, BEGINS), (RECEIVING, ENDS)]
HALF = [(IDLE, BEGINS)]
HALF_REFUSED = [(IDLE, BEGINS), (RECEIVING, REFUSAL)]
LAST_ONE = [(IDLE, BEGINS), (RECEIVING, ConnectionEvent.LAST_REQUEST_ENDS)]
MANY = ONE * (2 * PIPELINED + 1) + [(IDLE, REFUSAL)]
TOO_MANY = [(IDLE, ConnectionEvent.LIMIT_REACHED)]
NO_ROOM = {"serving": 0}

SCRIPTS = {
    "two requests": Script(steps=[GOOD * 2], trace=ONE * 2),
    "a request in two pieces": Script(steps=[GOOD[:20], GOOD[20:]], trace=ONE),
    "an upgrade that is ignored": Script(steps=[UPGRADE], trace=[(IDLE, BEGINS), (RECEIVING, BEGINS), (RECEIVING, ENDS)]),
    "the last request, not answered yet": Script(steps=[LAST], trace=LAST_ONE),
    "the last request, answered": Script(steps=[LAST, "store"], trace=LAST_ONE, open=False),
    "bytes that are not HTTP": Script(steps=[GARBAGE], trace=HALF_REFUSED, writing=False),
    "a refused head": Script(steps=[REFUSED[:-1]], trace=HALF_REFUSED, writing=False),
    "a refused request": Script(steps=[REFUSED], trace=[*HALF_REFUSED, (DISCARDING, ENDS)], writing=False),
    "a refused head, then its rest": Script(steps=[REFUSED[:-1], REFUSED[-1:]], trace=HALF_REFUSED, writing=False),
    "a refused head, then the sender closes": Script(
        steps=[REFUSED[:-1], "send_end"], trace=[*HALF_REFUSED, (DISCARDING, END)], open=False, writing=False
    ),
    "a refused head, then the sender stays": Script(
        steps=[REFUSED[:-1], "wait"], trace=[*HALF_REFUSED, (DISCARDING, LOST)], open=False, writing=False
    ),
    "a slow request": Script(steps=[GOOD[:20], "wait"], trace=HALF_REFUSED, writing=False),
    "an idle sender": Script(steps=["wait"], trace=[(IDLE, END), (LAST_ANSWERS, LOST)], open=False),
    "a lost idle connection": Script(steps=["lose"], trace=[(IDLE, LOST)], open=False),
    "a connection lost within a request": Script(steps=[GOOD[:20], "lose"], trace=[*HALF, (RECEIVING, LOST)], open=False),
    "a sender that closes within a request": Script(
        steps=[GOOD[:20], "send_end"], trace=[*HALF, (RECEIVING, END), (LAST_ANSWERS, LOST)], open=False
    ),
    "the server stops": Script(steps=[GOOD, "stop_server"], trace=[*ONE, (IDLE, END)]),
    "the server stops twice": Script(steps=[GOOD, "stop_server", "stop_server"], trace=[*ONE, (IDLE, END), (LAST_ANSWERS, END)]),
    "far too many requests": Script(steps=[BEYOND], trace=MANY),
    "one more behind them": Script(steps=[BEYOND + GOOD], trace=[*MANY, (LAST_ANSWERS, BEGINS), (DISCARDING, ENDS)]),
    "a connection too many": Script(steps=[GOOD], trace=TOO_MANY, writing=False, limits=NO_ROOM),
    "a connection too many that closes": Script(
        steps=["send_end"], trace=[*TOO_MANY, (OVER_LIMIT, END), (LAST_ANSWERS, LOST)], open=False, writing=False, limits=NO_ROOM
    ),
    "a connection too many that stays": Script(
        steps=["wait_briefly"], trace=[*TOO_MANY, (OVER_LIMIT, LOST)], open=False, writing=False, limits=NO_ROOM
    ),
    "a connection beyond all limits": Script(
        steps=["stop_server"], trace=[(IDLE, LOST), (CLOSED, END), (CLOSED, LOST)], open=False, limits=NO_ROOM | {"refusing": 0}
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_connection_changes_its_state_as_the_table_shows(name: str):
    script = SCRIPTS[name]

    async def play(driven: Driven) -> None:
        await driven.play(script.steps)
        assert (driven.wire.open, driven.wire.writing) == (script.open, script.writing)

    trace = drive(play, **script.limits).trace
    assert trace[: len(script.trace)] == script.trace


def test_the_scripts_reach_every_transition_of_the_table():
    reached = {pair for script in SCRIPTS.values() for pair in script.trace}
    assert reached == {(state, event) for state, events in TRANSITIONS.items() for event in events}


def test_every_state_has_an_action_and_is_reached_and_no_ending_state_leads_back():
    assert set(TRANSITIONS) == set(WHEN_ALL_ANSWERED) == set(ConnectionState)
    assert {after for events in TRANSITIONS.values() for after in events.values()} == set(ConnectionState)
    ending = set(ConnectionState) - {IDLE, RECEIVING}
    assert all(after in ending for state in ending for after in TRANSITIONS[state].values())
    assert all(TRANSITIONS[state][ConnectionEvent.LOST] is CLOSED for state in ConnectionState)


class AnswerCounter:
    """Reads the statuses of the answers in a byte stream."""

    def __init__(self, stream: bytes) -> None:
        self.statuses: list[int] = []
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(stream)

    def on_message_complete(self) -> None:
        self.statuses.append(self._parser.get_status_code())


PIECES = [GOOD, GOOD[:20], GOOD[20:], LAST, REFUSED, REFUSED[:-5], UPGRADE, WAITS, BODY, OTHER, TUNNEL, GARBAGE, BEYOND, b"\r\n"]
steps = st.sampled_from(["store", "wait", "send_end", "stop_server"]) | st.sampled_from(PIECES)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=8))
def test_no_sequence_leaves_the_table_keeps_bytes_or_writes_behind_the_last_answer(steps: list[str | bytes]):
    async def play(driven: Driven) -> None:
        await driven.play([*steps, "store"])
        statuses = AnswerCounter(driven.wire.written).statuses
        assert {*statuses} <= {100, 202, 204, 400, 408, 415, 429}
        assert not any(status in (408, 415) for status in statuses[:-1]), "these end the connection"

    connection = drive(play)
    for (before, event), (after, _) in itertools.pairwise(connection.trace):
        assert TRANSITIONS[before][event] is after
    assert connection.trace[-1][1] is ConnectionEvent.LOST
    assert connection.handler.keys.anyone.held_bytes == 0
