"""Delivery of one end host's messages: one at a time, in order, each repeated until it has a final answer.

Requests, answers, and the choice of a coordinator are the SDK's own code. Only the waiting uses asyncio here, because a load test
with thousands of SDK threads in one process would measure the threads.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp

from endhost_sdk.backoff import asked_s
from endhost_sdk.buffer import MessageBatch
from endhost_sdk.coordinators import Coordinator, Coordinators
from endhost_sdk.request import DeliveryOutcome, encode, interpret, request_for
from endhost_sdk.transport import Answer, Unreachable
from feedback_wire.message import Message
from swarmscope.audience.message_counts import MessageCounts

LONGEST_LAST_PAUSE_S = 1.0
"""Longest pause between attempts after the end hosts have left."""

OnAcknowledged = Callable[[Message], None]


class MessageDelivery:
    """Delivers the messages of one end host and calls `on_acknowledged` for each acknowledged message."""

    def __init__(
        self,
        *,
        urls: Sequence[str],
        ip: str,
        key: str,
        http: aiohttp.ClientSession,
        counts: MessageCounts,
        on_acknowledged: OnAcknowledged,
        closing: asyncio.Event,
    ) -> None:
        self._coordinators = Coordinators(urls)
        self._ip = ip
        self._key = key
        self._http = http
        self._counts = counts
        self._on_acknowledged = on_acknowledged
        self._closing = closing
        self._waiting: asyncio.Queue[Message] = asyncio.Queue()

    def send(self, message: Message) -> None:
        """Queue a message; returns immediately. `deliver` sends it."""
        self._counts.built += 1
        self._waiting.put_nowait(message)

    async def deliver(self) -> None:
        """Send queued messages until cancelled."""
        while True:
            message = await self._waiting.get()
            # Encoded once, so each attempt sends the same bytes.
            line = encode(message)
            while not await self._attempt(message, line):
                await self._pause()
            self._waiting.task_done()

    async def wait_until_empty(self) -> None:
        """Wait until each queued message has a final answer."""
        await self._waiting.join()

    async def _attempt(self, message: Message, line: bytes) -> bool:
        """Try once to send the message; True if the answer is final."""
        coordinator = self._coordinators.next(time.monotonic())
        if coordinator is None:
            return False
        try:
            answer = await self._post(coordinator.url, line)
        except Unreachable as error:
            self._failed(coordinator, str(error), None)
            return False
        verdict = interpret(answer, 1)
        if verdict.outcome in {DeliveryOutcome.FAILED, DeliveryOutcome.BLOCKED}:
            self._failed(coordinator, verdict.detail, answer.retry_after)
            return False
        coordinator.succeeded()
        if verdict.refused_for:
            self._counts.refused.update(verdict.refused_for)
            self._counts.last_failure = f"{coordinator.url}: {verdict.detail}"
        else:
            self._counts.acknowledged += 1
            self._on_acknowledged(message)
        return True

    async def _post(self, url: str, line: bytes) -> Answer:
        body, headers = request_for(MessageBatch((line,), 0), self._key)
        try:
            async with self._http.post(url, data=body, headers=headers | {"X-Forwarded-For": self._ip}) as response:
                return Answer(
                    status=response.status,
                    retry_after=response.headers.get("Retry-After"),
                    content_type=response.headers.get("Content-Type", ""),
                    body=await response.read(),
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    def _failed(self, coordinator: Coordinator, why: str, retry_after: str | None) -> None:
        asked = asked_s(retry_after, datetime.now(UTC))
        coordinator.failed(time.monotonic(), asked_s=asked, chance=random.random())  # noqa: S311 - spreads load, not used for security
        self._counts.failed_attempts += 1
        self._counts.last_failure = f"{coordinator.url}: {why}"

    async def _pause(self) -> None:
        """Wait until a coordinator may be tried. The end of the simulation shortens the wait."""
        pause_s = max(self._coordinators.ready_at_s() - time.monotonic(), 0)
        if self._closing.is_set() and pause_s > 0:
            await asyncio.sleep(min(pause_s, LONGEST_LAST_PAUSE_S))
            self._coordinators.hurry()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._closing.wait()
