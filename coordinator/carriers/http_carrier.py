"""Sends batches to one feedback server, over one keep-alive connection and one batch at a time.

It uses asyncio's Protocol directly. A batch through aiohttp's client costs 150 µs of the core that serves the end hosts, through
this one 30 µs (batches of 100 messages, 56 kB). With 20 messages in a batch the difference is 6 µs a message, half of a message's
total cost.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import SplitResult

import httptools

from coordinator.carriers.batch import Batch, BatchRejected, CarrierFailed, Outcome
from feedback_wire.kinds import RecordKind
from feedback_wire.problem import BATCH_REASONS, is_problem
from feedback_wire.routes import BATCH_HEADER, NDJSON, bearer, records_of

ANSWER_S = 3.0
"""A feedback server writes a batch in milliseconds. One that needs seconds is failing, and end hosts wait for it."""

CONNECT_S = 2.0
LONGEST_ANSWER_BYTES = 64 * 1024


class ServerAnswer:
    """A feedback server's answer, filled by the parser's callbacks."""

    def __init__(self) -> None:
        self.status = 0
        self.retry_after = ""
        self.content_type = ""
        self.body = b""


class _Connection(asyncio.Protocol):
    """A connection that sends one request and parses its answer."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.usable = False
        self.pending: asyncio.Future[ServerAnswer] | None = None
        """The answer to the request that is on its way."""
        self.answer = ServerAnswer()
        self.parser: Any = httptools.HttpResponseParser(self)

    async def exchange(self, request: bytes) -> ServerAnswer:
        """The answer to `request`; ConnectionError if the connection ends before it."""
        self.answer = ServerAnswer()
        self.pending = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.pending

    def close(self) -> None:
        self.usable = False
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.usable = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self.pending is not None and not self.pending.done():
            self.pending.set_exception(ConnectionResetError(str(exc or "the connection was closed before the answer")))

    def data_received(self, data: bytes) -> None:
        if self.pending is None or self.pending.done():
            self.close()  # an answer without a request
            return
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.pending.set_exception(ConnectionError(f"the answer is not HTTP: {error}"))
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        if lowered == b"retry-after":
            self.answer.retry_after = value.decode("latin-1")
        elif lowered == b"content-type":
            self.answer.content_type = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.answer.body += body
        if len(self.answer.body) > LONGEST_ANSWER_BYTES:
            self.close()

    def on_message_complete(self) -> None:
        self.answer.status = self.parser.get_status_code()
        if self.answer.status < 200:
            self.answer = ServerAnswer()  # an interim answer; the real one follows
            return
        self.usable = self.usable and self.parser.should_keep_alive()
        if self.pending is not None and not self.pending.done():
            self.pending.set_result(self.answer)


class HttpCarrier:
    """Carries batches of one kind to one feedback server: connects when needed, sends a batch, interprets the answer."""

    outcome = Outcome.STORED

    def __init__(
        self, url: SplitResult, token: str, tls: Callable[[], ssl.SSLContext], kind: RecordKind = RecordKind.FEEDBACK
    ) -> None:
        secure = url.scheme == "https"
        self._host, self._port = str(url.hostname), url.port or (443 if secure else 80)
        self._tls = tls if secure else None
        authorization = f"authorization: {bearer(token)}\r\n" if token else ""
        self._head = (
            f"POST {url.path.rstrip('/')}{records_of(kind)} HTTP/1.1\r\nhost: {url.netloc}\r\n"
            f"{authorization}content-type: {NDJSON}\r\n"
            f"{BATCH_HEADER.lower()}: "
        ).encode()
        self._connection: _Connection | None = None

    async def carry(self, batch: Batch) -> None:
        request = b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (self._head, batch.id.hex().encode(), len(batch.lines), batch.lines)
        try:
            answer = await self._exchange(request)
        except TimeoutError:
            self.close()
            raise CarrierFailed(f"no answer within {ANSWER_S:g} s") from None
        except OSError as error:
            self.close()
            raise CarrierFailed(str(error)) from None
        except BaseException:
            self.close()  # cancelled: the next bytes on this connection would look like the answer to the next batch
            raise
        _interpret(answer, batch.messages)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _exchange(self, request: bytes) -> ServerAnswer:
        """Use the open connection. A server may close an idle one at any time, so try once more on a new one."""
        if self._connection is not None and self._connection.usable:
            try:
                async with asyncio.timeout(ANSWER_S):
                    return await self._connection.exchange(request)
            except ConnectionError:
                self.close()
        async with asyncio.timeout(CONNECT_S):
            connection = await self._connect()
        async with asyncio.timeout(ANSWER_S):
            return await connection.exchange(request)

    async def _connect(self) -> _Connection:
        self.close()
        context = self._tls() if self._tls else None
        _, self._connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port, ssl=context)
        return self._connection


def _interpret(answer: ServerAnswer, messages: int) -> None:
    """Return if the answer means that the batch is durable, else raise BatchRejected or CarrierFailed.

    Only an answer of the feedback server itself decides about the batch. Answers of reverse proxies and load balancers in front of
    it have another form; they concern the path to this server, not the batch.
    """
    content = _object(answer.body)
    if answer.status == HTTPStatus.OK and _is_stored(content, messages):
        return
    why = f"answered {answer.status}: {answer.body[:200].decode(errors='replace')!r}"
    foreign = not is_problem(content, status=answer.status, content_type=answer.content_type)
    if foreign:
        why = f"{why}, which is not an answer of a feedback server; check the URL and the proxy in front of the server"
    elif answer.status < HTTPStatus.INTERNAL_SERVER_ERROR and content["reason"] in BATCH_REASONS:
        raise BatchRejected(why)
    raise CarrierFailed(why, retry_after_s=retry_after_s(answer.retry_after), foreign_answer=foreign)


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; empty if there is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_stored(content: dict[str, Any], messages: int) -> bool:
    """Whether all `messages` of the batch are durable, by this request or by an earlier one."""
    stored = content.get("stored")
    return type(stored) is int and (stored == messages or (stored == 0 and content.get("duplicate") is True))


def retry_after_s(text: str) -> float:
    """Seconds in a Retry-After header (RFC 9110, section 10.2.3). 0 if it is not a number; a date would need equal clocks."""
    return float(min(int(text), 3600)) if text.isascii() and text.isdigit() else 0.0
