"""Sends each finished operation as a measurement message to a coordinator, so that it gets into the logs beside the feedback.

The journal keeps an operation until a coordinator has accepted or refused it. After a crash, messages may be sent again: readers
count an operation once.
"""

import asyncio
import logging
import random
from collections import Counter
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from endhost_sdk.backoff import asked_s, rest_s
from endhost_sdk.request import DeliveryOutcome, Verdict, interpret, plain
from endhost_sdk.transport import HttpTransport, Unreachable
from feedback_wire.limits import EXTRA_KEYS, TEXT_CHARS
from feedback_wire.measurement import HOPS, MEASUREMENT_VERSION
from feedback_wire.routes import NDJSON, bearer
from measurement.finished_operation import FinishedOperation
from measurement.master.operation_journal import OperationJournal

BATCH = 500
"""The most operations in one request. An operation has about 1 KB."""

ANSWER_S = 10.0
RETRY_S = 2.0
LOOK_EVERY_S = 0.25
"""The pause after a batch, full or not. Each batch costs several disk syncs here and at the servers that store it."""

log = logging.getLogger(__name__)


def measurement_message(operation: FinishedOperation) -> dict[str, Any]:
    """The message of one operation (docs/formats/measurement.md), for msgspec. Values above their limits are cut."""
    outcome, destination = operation.outcome, operation.destination
    optional = {
        "agent_address": operation.agent_address,
        "address": destination.address,
        "port": destination.port,
        "reason": outcome.reason[:TEXT_CHARS],
        "quality": outcome.quality,
        "hops": outcome.hops[:HOPS],
        "tags": {name: text[:TEXT_CHARS] for name, text in list(operation.tags.items())[:EXTRA_KEYS]},
    }
    return {
        "v": MEASUREMENT_VERSION,
        "operation_id": outcome.operation_id,
        "request_id": operation.request_id,
        "round": operation.round,
        "technique": str(operation.technique),
        "agent": operation.agent,
        "destination": destination.name,
        "status": str(outcome.status),
        "started_ms": outcome.started_ms,
        "duration_ms": outcome.duration_ms,
        "values": {value.name: value.value for value in outcome.values[:EXTRA_KEYS]},
        **{name: value for name, value in optional.items() if value},
    }


@dataclass(slots=True)
class RecordForwarder:
    """Sends the lines of the journal to one coordinator, one batch after the other, in order."""

    journal: OperationJournal
    url: str
    """The coordinator's route for measurements."""
    threads: Executor
    """One thread: requests are sent one after the other."""
    key: str = field(default="", repr=False)
    """The coordinator's ingest key; empty without one."""
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Operations that the coordinator refused permanently, by reason. They stay in the master's answers only."""
    failure: str = ""
    """Why nothing can be sent now; empty while sending works."""
    _batch: int = BATCH
    _transport: HttpTransport = field(default_factory=HttpTransport)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            try:
                waiting = await self._forward()
            except OSError as error:
                if self.failure != (failure := f"the records cannot be read, or what was sent cannot be noted: {error.strerror}"):
                    log.error("measurements are not forwarded now: %s; it is tried again", failure)  # noqa: TRY400
                self.failure = failure
                await asyncio.sleep(RETRY_S)
                continue
            if not waiting:
                await asyncio.sleep(LOOK_EVERY_S)

    async def _forward(self) -> bool:
        """Send a batch. Returns whether more may wait. OSError if the journal cannot be read, or its cursor not moved."""
        wanted = self._batch
        lines, cursor = self.journal.read(wanted)
        if lines and await self._settled([message for line in lines if (message := self._message(line))]):
            await self.journal.move(cursor, self.threads)
        return len(lines) == wanted

    def close(self) -> None:
        self._transport.close()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def _message(self, line: bytes) -> bytes:
        """The message of a line of the journal; empty, and counted, if the line is no operation."""
        try:
            return msgspec.json.encode(measurement_message(msgspec.json.decode(line, type=FinishedOperation)))
        except (ValueError, RecursionError) as error:
            log.error("a record of the journal cannot be read and is not forwarded: %s", error)  # noqa: TRY400 - the line is the fault
            self.refused["unreadable"] += 1
            return b""

    async def _settled(self, messages: list[bytes]) -> bool:
        """Send messages until a coordinator has accepted or refused each of them; False if smaller batches are needed."""
        failures = 0
        while messages:
            verdict, pause_s = await self._verdict(messages)
            if verdict.outcome is DeliveryOutcome.TOO_LARGE:
                self._batch = max(1, len(messages) // 2)
                return False
            if verdict.outcome in (DeliveryOutcome.ACCEPTED, DeliveryOutcome.REFUSED):
                self._count(verdict, len(messages))
                break
            failures += 1
            if failures == 1:
                log.warning("measurements are not forwarded to %s now: %s; it is tried again", self.url, verdict.detail)
            self.failure = verdict.detail
            await asyncio.sleep(max(pause_s, rest_s(failures, random.random())))  # noqa: S311 - spreads load
        return True

    def _count(self, verdict: Verdict, messages: int) -> None:
        if self.failure:
            log.warning("measurements are forwarded to %s again", self.url)
        self.failure = ""
        self.refused.update(verdict.refused_for)
        self.accepted += messages - verdict.refused_for.total()
        if verdict.refused_for:
            log.warning("%s refused %d measurements: %s", self.url, verdict.refused_for.total(), verdict.detail)

    async def _verdict(self, messages: list[bytes]) -> tuple[Verdict, float]:
        """The meaning of the coordinator's answer, and the pause that it asks for."""
        headers = {"content-type": NDJSON} | ({"authorization": bearer(self.key)} if self.key else {})
        body = b"\n".join(messages) + b"\n"
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self.threads, self._transport.post, self.url, body, headers, ANSWER_S)
        except Unreachable as error:
            return Verdict(outcome=DeliveryOutcome.FAILED, detail=plain(str(error)), refused_for=Counter()), 0.0
        return interpret(answer, len(messages)), asked_s(answer.retry_after, datetime.now(UTC))
