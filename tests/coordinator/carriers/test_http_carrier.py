"""The link to a feedback server uses URL and token unchanged, and only an answer of the server itself decides about a batch."""

import ast
import asyncio
import json
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from coordinator.carriers.batch import Batch, BatchRejected, CarrierFailed
from coordinator.carriers.http_carrier import HttpCarrier
from feedback_wire.problem import BATCH_REASONS, Problem
from feedback_wire.routes import JSON, PROBLEM

BATCH = Batch(lines=b"{}\n{}\n", messages=2, waiters=[], place_until_s=0.0)
STORED = b'{"stored":2}'
# Reasons that concern the path or the moment: a proxy may change headers and framing, drop them, or send slowly.
OF_THE_WAY = {
    *("bad_batch_id", "content_type", "content_encoding", "slow_body", "overloaded", "not_durable", "unauthorized"),
    *("bad_http", "request_too_large", "head_too_large", "too_slow", "too_many_connections", "too_many_pipelined", "no_memory"),
}


def carry(status: int, body: bytes, content_type: str, *, path: str = "", token: str = "") -> bytes:
    """Send BATCH to a server that gives this answer; return the request. Raises what the link makes of the answer."""
    asked = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.extend(await reader.readuntil(BATCH.lines))
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\n"
        writer.write(head.encode() + (b"\r\n" if status == 204 else b"content-length: %d\r\n\r\n%b" % (len(body), body)))

    async def promise() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = HttpCarrier(urlsplit(f"http://127.0.0.1:{port}{path}"), token, ssl.create_default_context)
        try:
            await link.carry(BATCH)
        finally:
            link.close()
            server.close()

    asyncio.run(asyncio.wait_for(promise(), 20))
    return bytes(asked)


def problem(reason: str, status: int = 400, **fields: object) -> bytes:
    return json.dumps(Problem(status, reason, "why").to_json() | fields).encode()


def test_a_per_cent_sign_in_the_url_or_the_token_is_sent_unchanged():
    asked = carry(200, STORED, JSON, path="/eu%20west/%s/", token="50%off%d")
    line, *headers = asked.decode().partition("\r\n\r\n")[0].split("\r\n")
    assert line == "POST /eu%20west/%s/v1/records HTTP/1.1"
    assert {"authorization: Bearer 50%off%d", "content-length: 6", f"swarmscope-batch: {BATCH.id.hex()}"} <= {*headers}


@pytest.mark.parametrize("body", [STORED, b'{"stored":0,"duplicate":true}'])
def test_a_batch_is_stored_if_the_server_counts_all_of_it_or_already_has_it(body):
    assert carry(200, body, JSON)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<html>",
        b"[]",
        b"2",
        b"{}",
        b'{"stored":1}',
        b'{"stored":0}',
        b'{"stored":true}',
        b'{"stored":3}',
        b"[" * 9_000,
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_success_without_a_feedback_servers_body_stores_nothing(status, body):
    with pytest.raises(CarrierFailed, match=f"answered {status}"):
        carry(status, body, JSON)


def test_a_success_of_another_status_stores_nothing_whatever_its_body():
    with pytest.raises(CarrierFailed):
        carry(202, STORED, JSON)


@pytest.mark.parametrize("reason", sorted(BATCH_REASONS))
def test_a_reason_that_concerns_the_batch_rejects_it(reason):
    for status in (400, 413, 422):
        with pytest.raises(BatchRejected, match=reason):
            carry(status, problem(reason, status), f"{PROBLEM}; charset=utf-8")


@pytest.mark.parametrize("status", [301, 400, 403, 404, 405, 409, 413, 415, 422, 426, 431])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "text/plain"),
        (b"<html>\n400 Bad Request\n</html>", "text/html"),
        (problem("bad_lines"), "text/html"),
        (b'{"status":400,"reason":["bad_lines"]}', PROBLEM),
        (b'{"status":499,"reason":"bad_lines"}', PROBLEM),
        (b"[]", PROBLEM),
    ],
)
def test_an_answer_of_a_proxy_is_a_failure_of_the_path(status, body, content_type):
    with pytest.raises(CarrierFailed, match="which is not an answer of a feedback server") as failed:
        carry(status, body, content_type)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize("reason", sorted(OF_THE_WAY | {"a_reason_of_the_future", ""}))
def test_a_reason_that_does_not_concern_the_batch_is_a_failure_of_the_path(reason):
    with pytest.raises(CarrierFailed):
        carry(400, problem(reason), PROBLEM)


def test_a_server_error_rejects_nothing_whatever_its_reason():
    with pytest.raises(CarrierFailed):
        carry(503, problem("bad_lines", 503), PROBLEM)


SERVER_MODULES = (
    "feedback_server/batch_route.py",
    "feedback_server/connection.py",
    "feedback_server/received_batch.py",
    "feedback_wire/problem.py",
    "serving/tokens.py",
)


def test_every_reason_of_a_feedback_server_is_classified_as_one_of_batch_or_path():
    """The reasons are read from the source, so a new one must be classified."""
    named = set()
    for module in SERVER_MODULES:
        source = Path(__file__).parents[3] / module
        calls = [node for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        refusals = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Problem"]
        named |= {call.args[1].value for call in refusals if isinstance(call.args[1], ast.Constant)}
    assert named == BATCH_REASONS | OF_THE_WAY
