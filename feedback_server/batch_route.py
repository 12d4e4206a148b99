"""POST /v1/records: each batch is counted when its request begins, and again with its result.

Only the event loop changes these counters, so at any moment: received = stored + duplicates + refused (by reason) + in flight.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from feedback_server.counters import Counters
from feedback_server.received_batch import ReceivedBatch
from feedback_server.writer import StoreOutcome, Writer
from feedback_wire import routes
from feedback_wire.limits import BATCH_INFLATED_BYTES
from feedback_wire.problem import Problem, no_memory
from serving.tokens import require_token

BATCH_BYTES = BATCH_INFLATED_BYTES
"""Coordinators send at most BATCH_WIRE_BYTES; other senders may send as much as a decompressed request of an end host."""

BODY_WITHIN_S = 10.0
# Eight of the largest batches, or half a second of writing to one disk. Further batches would wait longer than their senders do.
_WAITING_BYTES = 8 * BATCH_BYTES


class BatchRoute:
    """Accepts batches and hands them to the writer."""

    def __init__(self, writer: Writer, counters: Counters, *, token: str | None) -> None:
        self._writer = writer
        self._counters = counters
        self._token = token
        self._arriving_bytes = 0

    async def accept(self, request: Request) -> tuple[ReceivedBatch, StoreOutcome]:
        """The batch of a request, once it is durable or known to be a duplicate. Problem if it is refused."""
        with self._counted():
            batch = await self._admitted(request)
            outcome = await self._writer.store(batch)
            if outcome is StoreOutcome.FAILED:
                raise not_durable(self._writer)
            self._count(batch, outcome)
        return batch, outcome

    @contextmanager
    def _counted(self) -> Iterator[None]:
        counters = self._counters
        counters.batches_received += 1
        counters.batches_in_flight += 1
        try:
            with _refusing_without_memory():
                yield
        except Problem as problem:
            counters.batches_refused[problem.reason] += 1
            raise
        except (ClientDisconnect, asyncio.CancelledError):
            counters.batches_refused["sender_left"] += 1
            raise
        finally:
            counters.batches_in_flight -= 1

    def _count(self, batch: ReceivedBatch, outcome: StoreOutcome) -> None:
        counters = self._counters
        if outcome is StoreOutcome.DUPLICATE:
            counters.duplicates += 1
            return
        counters.batches += 1
        counters.records += batch.records
        counters.received_bytes += len(batch.lines)

    async def _admitted(self, request: Request) -> ReceivedBatch:
        require_token(self._token, authorization=request.headers.get("authorization"), flag="--token")
        _check_type(request)
        _check_length(request)
        batch = ReceivedBatch.parse(request.headers.get(routes.BATCH_HEADER), await self._body(request))
        if not self._writer.is_alive():
            raise not_durable(self._writer)
        return batch

    async def _body(self, request: Request) -> bytes:
        """The body; Problem if it is too large, too slow, or if too many bytes wait already."""
        body = bytearray()  # not a list of pieces: a body that arrives in single bytes would take fifty times its size
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                async for piece in request.stream():
                    self._arriving_bytes += len(piece)
                    body += piece
                    if len(body) > BATCH_BYTES:
                        raise _too_large()
                    if self._arriving_bytes + self._writer.waiting_bytes > _WAITING_BYTES:
                        raise Problem(503, "overloaded", "batches arrive faster than they can be stored; send this one again later")
        except TimeoutError:
            raise Problem(408, "slow_body", f"the body did not arrive within {BODY_WITHIN_S:.0f} seconds") from None
        finally:
            self._arriving_bytes -= len(body)
        return bytes(body)


@contextmanager
def _refusing_without_memory() -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise no_memory() from None


def not_durable(writer: Writer) -> Problem:
    """The refusal while nothing can be stored."""
    why = writer.write_error or "see this server's log"
    return Problem(
        503, "not_durable", f"records cannot be written to disk now: {why}. Send the same batch again later, or to another server"
    )


def _check_type(request: Request) -> None:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != routes.NDJSON:
        raise Problem(415, "content_type", f"send records as Content-Type: {routes.NDJSON}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "content_encoding", "send records without a Content-Encoding")


def _check_length(request: Request) -> None:
    length = request.headers.get("content-length", "0")
    if len(length) > len(str(BATCH_BYTES)) or int(length) > BATCH_BYTES:
        raise _too_large()


def _too_large() -> Problem:
    return Problem(413, "batch_too_large", f"a batch of records has at most {BATCH_BYTES} bytes; send smaller batches")
