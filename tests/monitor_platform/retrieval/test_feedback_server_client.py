"""A feedback server is not trusted: its answers are checked, and no more is read than was requested.

The lying server here is a small HTTP server of our own, because a real feedback server does not lie.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aiohttp
import pytest

from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import LogName
from feedback_wire.problem import Problem
from feedback_wire.routes import PROBLEM
from monitor_platform.retrieval.feedback_server_client import (
    LOG_BYTES,
    FeedbackServerClient,
    Gone,
    UnknownKind,
    UnusableAnswer,
    checked_url,
)

NAME = LogName.parse("20120807T093000Z-fs1-0000.jsonl.zst")


@pytest.fixture
def liar() -> Iterator[Callable[..., str]]:
    """Start a server that gives every request the same answer; its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int = 200, body: bytes = b"", **headers: str) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for name, value in ({"Content_Length": str(len(body))} | headers).items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Answer))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(url: str, query: Callable[[FeedbackServerClient], Awaitable[Any]]) -> Any:
    async def talk() -> Any:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            return await query(FeedbackServerClient(session, checked_url(url), "key"))

    return asyncio.run(talk())


def test_a_server_that_is_older_than_a_kind_of_records_is_known_as_such(liar):
    body = Problem(400, "bad_log_name", "'measurement' is not a log name").body()
    url = liar(400, body, Content_Type=PROBLEM)

    async def measurements(client: FeedbackServerClient) -> Any:
        return await replace(client, kind=RecordKind.MEASUREMENT).latest()

    with pytest.raises(UnknownKind, match="older than measurement records"):
        ask(url, measurements)
    with pytest.raises(UnusableAnswer) as refused:
        latest(url)
    assert not isinstance(refused.value, UnknownKind), "feedback is known to every server"


def latest(url: str) -> Any:
    return ask(url, lambda client: client.latest())


def listing(url: str) -> Any:
    return ask(url, lambda client: client.catalogue(after=None, wait_s=0, unless=None))


def piece(url: str) -> Any:
    return ask(url, lambda client: client.piece(NAME, 0, 4))


@pytest.mark.parametrize(
    ("catalogue", "complaint"),
    [
        ({"server": "../up", "logs": []}, "not a valid name"),
        ({"logs": []}, "cannot be read"),
        ([], "cannot be read"),
    ],
)
def test_an_impossible_catalogue_is_refused(liar, catalogue, complaint):
    with pytest.raises(UnusableAnswer, match=complaint):
        listing(liar(body=json.dumps(catalogue).encode()))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"name": "../../etc/passwd", "bytes": 1, "records": 1}, "is not a log that this version knows"),
        ({"name": str(NAME), "bytes": -1, "records": 1}, "is not a log that this version knows"),
        ({"name": f"{NAME}x", "bytes": 1, "records": 1}, "is not a log that this version knows"),
        (5, "is not a log that this version knows"),
        ({"name": str(NAME), "bytes": LOG_BYTES + 1, "records": 1}, "has more than 512 MiB"),
        ({"name": str(NAME), "bytes": 0, "records": 0}, "is empty"),
    ],
)
def test_an_invalid_entry_is_named_and_the_others_are_accepted(liar, entry, reason):
    other = {"name": str(LogName.parse("20120807T093100Z-fs1-0000.parquet")), "bytes": 1, "records": 1}
    foreign = {"name": str(LogName.parse("20120807T093200Z-former-0000.parquet")), "bytes": 1, "records": 1}
    found = listing(liar(body=json.dumps({"server": "fs1", "logs": [entry, other, foreign]}).encode()))
    assert [str(log.name) for log in found.catalogue.logs] == [other["name"], foreign["name"]]
    assert [skipped.reason for skipped in found.skipped] == [reason]
    assert str(found.last) == foreign["name"]


def test_an_answer_that_is_not_json_is_refused(liar):
    with pytest.raises(UnusableAnswer, match="cannot be read"):
        listing(liar(body=b"<html>"))


def test_a_redirect_is_refused_and_not_followed(liar):
    elsewhere = liar(body=b'{"server":"fs1","logs":[]}')
    with pytest.raises(UnusableAnswer, match="redirects"):
        listing(liar(302, Location=elsewhere))


def test_a_refused_key_is_reported_with_advice(liar):
    with pytest.raises(UnusableAnswer, match="give the one it was started with"):
        listing(liar(401))


def test_the_servers_reason_for_a_refusal_is_shown(liar):
    with pytest.raises(UnusableAnswer, match="HTTP 503 where 200 was expected: come back later"):
        listing(liar(503, Problem(503, "overloaded", "come back later").body(), Content_Type=PROBLEM))


def test_a_compressed_answer_is_refused(liar):
    with pytest.raises(UnusableAnswer, match="compressed"):
        listing(liar(body=b"x", Content_Encoding="gzip"))


@pytest.mark.parametrize("content_range", ["", "bytes 0-4/9", "bytes 1-4/9", "records 0-3/9"])
def test_other_bytes_than_requested_are_refused(liar, content_range):
    with pytest.raises(UnusableAnswer, match="were asked for"):
        piece(liar(206, b"abcd", Content_Range=content_range))


def test_no_more_bytes_than_requested_are_read(liar):
    with pytest.raises(UnusableAnswer, match="more than the 4 bytes"):
        piece(liar(206, b"abcde", Content_Range="bytes 0-3/9"))


def test_fewer_bytes_than_requested_are_refused(liar):
    with pytest.raises(UnusableAnswer, match="3 bytes arrived"):
        piece(liar(206, b"abc", Content_Range="bytes 0-3/9"))


def test_a_truncated_answer_is_refused(liar):
    with pytest.raises(UnusableAnswer, match="broke off after 3 bytes"):
        piece(liar(206, b"abc", Content_Range="bytes 0-3/9", Content_Length="4"))


def test_a_whole_log_instead_of_a_range_is_refused(liar):
    with pytest.raises(UnusableAnswer, match="206 was expected"):
        piece(liar(200, b"abcd"))


@pytest.mark.parametrize("reason", ["no_such_log", "sealed"])
def test_a_log_that_the_feedback_server_does_not_have_is_gone(liar, reason):
    with pytest.raises(Gone):
        piece(liar(404, Problem(404, reason, "why").body(), Content_Type=PROBLEM))


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (404, b"", "text/plain"),
        (404, b"<html>", "text/html"),
        (410, b"", "text/html"),
        (404, Problem(404, "no_such_log", "why").body(), "text/html"),
        (404, Problem(410, "no_such_log", "why").body(), PROBLEM),
        (404, b" " * 5_000 + Problem(404, "no_such_log", "why").body(), PROBLEM),
    ],
)
def test_an_answer_of_a_proxy_does_not_mean_that_a_log_is_gone(liar, status, body, content_type):
    with pytest.raises(UnusableAnswer, match="not an answer of a feedback server") as unusable:
        piece(liar(status, body, Content_Type=content_type))
    assert not isinstance(unusable.value, Gone)


def test_only_the_feedback_server_decides_that_there_is_no_log_at_all(liar):
    assert latest(liar(404, Problem(404, "no_such_log", "why").body(), Content_Type=PROBLEM)) is None
    for status in (404, 410):
        with pytest.raises(UnusableAnswer, match="not an answer of a feedback server"):
            latest(liar(status, b"<html>", Content_Type="text/html"))


def test_not_modified_is_refused_if_nothing_was_known(liar):
    with pytest.raises(UnusableAnswer, match="without If-None-Match"):
        listing(liar(304))


def test_another_refusal_of_the_feedback_server_does_not_mean_that_a_log_is_gone(liar):
    with pytest.raises(UnusableAnswer, match="there is no such route") as unusable:
        piece(liar(404, Problem(404, "no_such_route", "there is no such route").body(), Content_Type=PROBLEM))
    assert not isinstance(unusable.value, Gone)


@pytest.mark.parametrize("address", ["fs1:8090", "ftp://fs1", "http://", "http://key@fs1", "http://fs1/?a=b"])
def test_an_invalid_address_is_refused_immediately(address):
    with pytest.raises(ValueError, match="not the URL of a feedback server"):
        checked_url(address)
