"""The state that the routes of the master share."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from feedback_wire import routes
from feedback_wire.problem import Problem
from measurement.master.command_streams import CommandStreams
from measurement.master.dispatcher import Dispatcher
from measurement.master.keepalive_timers import KeepaliveTimers
from measurement.master.kept_requests import KeptRequests
from measurement.master.measurement_keys import MeasurementKeys
from measurement.master.operation_journal import OperationJournal, RecordCursor
from measurement.master.record_forwarding import RecordForwarder
from measurement.master.requester_limits import RequesterLimits
from measurement.master.settings import Settings

REQUEST_BYTES = 512 * 1024
REPORTS_BYTES = 8 * 1024 * 1024


@dataclass(eq=False)
class TooEarly(Problem):
    """A refusal that states when to try again."""

    retry_after_s: int = 1


@dataclass(slots=True, kw_only=True)
class MasterContext:
    """One running master."""

    settings: Settings
    timers: KeepaliveTimers
    dispatcher: Dispatcher
    streams: CommandStreams
    keys: MeasurementKeys
    limits: RequesterLimits
    journal: OperationJournal
    kept: KeptRequests
    threads: Executor
    planner: Executor
    monotonic: Callable[[], float]
    forwarder: RecordForwarder | None = None
    """None without a coordinator."""
    own_addresses: set[str] = field(default_factory=set)
    """Addresses at which control connections arrive."""
    refused: Counter[str] = field(default_factory=Counter)
    """Refused requests, by reason."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    saving: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def do_parts(self) -> None:
        """Do what takes time in parts: operations of new rounds get into the queues of their agents, and cancelled ones end."""
        while self.dispatcher.do_part():  # noqa: ASYNC110 - it waits for nothing, and lets others run
            await asyncio.sleep(0)

    async def durable(self) -> None:
        """Return when all records so far are durable; Problem 503 if this is not possible."""
        try:
            await self.journal.synced(self.threads)
        except OSError as error:
            raise Problem(503, "not_durable", f"the master cannot write its records: {error.strerror}; try again later") from None

    async def save_requests(self) -> None:
        """Return when the present requests are saved and all records so far are durable; Problem 503 if this is not possible."""
        async with self.saving:
            behind, data = await self._durable_snapshot()
            try:
                self.kept.save(data)
            except OSError as error:
                detail = f"the master cannot save its requests: {error.strerror}; try again later"
                raise Problem(503, "not_durable", detail) from None
            self.journal.needed_from = behind.segment

    async def _durable_snapshot(self) -> tuple[RecordCursor, bytes]:
        """The end of the records, and the requests as they are with these records; Problem 503 as above."""
        while True:
            failed_syncs, behind = self.journal.failed_syncs, self.journal.end
            data = self.kept.snapshot(self.dispatcher.requests.values(), behind)
            await self.durable()
            if self.journal.failed_syncs == failed_syncs:  # else the records were moved
                return behind, data

    def learn_own_address(self, request: Request) -> None:
        """Add the address at which this connection arrived to the addresses that must not be measured."""
        server = request.scope.get("server")
        if server is not None:
            self.own_addresses.add(str(server[0]))


async def body_of(request: Request, most: int) -> bytes:
    """The body; Problem 413 if it is larger than `most` bytes."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise Problem(413, "request_too_large", f"a request on this route has at most {most} bytes")
        parts.append(part)
    return b"".join(parts)


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:  # noqa: ANN401 - anything that msgspec encodes
    """An answer whose body is `value` as JSON."""
    return Response(msgspec.json.encode(value), status, headers, media_type=routes.JSON)
