"""One end host's way to the coordinators: its messages leave one by one, in order, each until it has a final answer.

What a request looks like, what an answer means, and when to try which coordinator again is the SDK's own code; only the waiting is
asyncio's here, because thousands of SDK threads in one process would measure the threads.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp

from endhost_sdk.backoff import asked_s
from endhost_sdk.buffer import Batch
from endhost_sdk.coordinators import Coordinator, Coordinators
from endhost_sdk.request import Outcome, encode, request_for, understand
from endhost_sdk.transport import Answer, Unreachable
from feedback_wire.message import Message
from swarmscope.audience.tally import Tally

LONGEST_LAST_PAUSE_S = 1.0
"""Between attempts once the audience has gone home."""

Witness = Callable[[Message], None]


class Uplink:
    """Delivers what one end host says; `witness` hears of every message that was acknowledged."""

    def __init__(
        self,
        *,
        urls: Sequence[str],
        ip: str,
        key: str,
        http: aiohttp.ClientSession,
        tally: Tally,
        witness: Witness,
        closing: asyncio.Event,
    ) -> None:
        self._coordinators = Coordinators(urls)
        self._ip = ip
        self._key = key
        self._http = http
        self._tally = tally
        self._witness = witness
        self._closing = closing
        self._waiting: asyncio.Queue[Message] = asyncio.Queue()

    def send(self, message: Message) -> None:
        """Never waits; `deliver` does."""
        self._tally.built += 1
        self._waiting.put_nowait(message)

    async def deliver(self) -> None:
        """Send what there is, for ever."""
        while True:
            message = await self._waiting.get()
            # The bytes are made once: an attempt must never change what a message says.
            line = encode(message)
            while not await self._settled(message, line):
                await self._pause()
            self._waiting.task_done()

    async def emptied(self) -> None:
        """Returns when every message that was sent so far has its final answer."""
        await self._waiting.join()

    async def _settled(self, message: Message, line: bytes) -> bool:
        """One attempt; whether it brought a final answer."""
        coordinator = self._coordinators.next(time.monotonic())
        if coordinator is None:
            return False
        try:
            answer = await self._post(coordinator.url, line)
        except Unreachable as error:
            self._failed(coordinator, str(error), None)
            return False
        verdict = understand(answer, 1)
        if verdict.outcome in {Outcome.FAILED, Outcome.BLOCKED}:
            self._failed(coordinator, verdict.detail, answer.retry_after)
            return False
        coordinator.succeeded()
        if verdict.refused_for:
            self._tally.refused.update(verdict.refused_for)
            self._tally.last_failure = f"{coordinator.url}: {verdict.detail}"
        else:
            self._tally.acknowledged += 1
            self._witness(message)
        return True

    async def _post(self, url: str, line: bytes) -> Answer:
        body, headers = request_for(Batch((line,), 0), self._key)
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
        coordinator.failed(time.monotonic(), asked_s=asked, chance=random.random())  # noqa: S311 - spreads load, guards nothing
        self._tally.failed_attempts += 1
        self._tally.last_failure = f"{coordinator.url}: {why}"

    async def _pause(self) -> None:
        """Until a coordinator may be tried; the end of the simulation cuts that short."""
        pause_s = max(self._coordinators.ready_at_s() - time.monotonic(), 0)
        if self._closing.is_set() and pause_s > 0:
            await asyncio.sleep(min(pause_s, LONGEST_LAST_PAUSE_S))
            self._coordinators.hurry()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._closing.wait()
