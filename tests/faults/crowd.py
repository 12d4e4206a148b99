"""A crowd of end hosts in a process of its own, bounded and ended by its own clock: thousands of sockets, one event loop.

`python -m tests.faults.crowd` reads a plan as JSON from standard input and writes the results as JSON to standard output. Every
sender has a session, and its messages go through the ledger as with `Load`. In a crowd that arrives, each sends one message, and
again after `Retry-After`, until it is acknowledged; in a storm each sends one request after the other without waiting.
"""

import asyncio
import itertools
import json
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from tests.faults.ledger import Ledger, messages_of

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a crowd does. It ends after `patience_s` at the latest."""

    url: str
    ledger: str
    """Folder of the crowd's ledger; each crowd has its own."""
    senders: int
    name: str = "crowd"
    within_s: float = 1.0
    """The time within which the senders arrive."""
    storm_s: float = 0
    """How long each sends one request after the other; 0: one message, until it is acknowledged."""
    batch: int = 1
    pause_s: float = 0
    key: str = ""
    patience_s: float = 60


@dataclass(slots=True)
class Happened:
    """The answers that the senders got, how often each, and the faults in them."""

    answers: dict[str, int]
    broken: dict[str, int]
    """Connections that ended without an answer, by kind."""
    hasty: int
    """Refusals with 503 or 429 without a time to come again."""
    acknowledged: int
    sent: int
    arrived_s: float
    """The time after which all senders had been connected once."""


def start(plan: Plan) -> "subprocess.Popen[str]":
    crowd = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.crowd"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert crowd.stdin is not None
    crowd.stdin.write(json.dumps(asdict(plan)))
    crowd.stdin.close()
    return crowd


def result(crowd: "subprocess.Popen[str]", *, within_s: float) -> Happened:
    """Wait for the end of a crowd."""
    try:
        crowd.wait(within_s)
        assert crowd.stdout is not None
        assert crowd.returncode == 0
        return Happened(**json.loads(crowd.stdout.read()))
    finally:
        crowd.kill()
        crowd.wait()
        if crowd.stdout is not None:
            crowd.stdout.close()


class Crowd:
    """The senders of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ledger = Ledger(Path(plan.ledger))
        url = urlsplit(plan.url)
        self._host, self._port = url.hostname, url.port
        key = f"authorization: Bearer {plan.key}\r\n" if plan.key else ""
        self._head = f"POST /v1/feedback HTTP/1.1\r\nhost: coordinator\r\n{key}content-length: %d\r\n\r\n".encode()
        self._until_s = time.monotonic() + plan.patience_s
        self._answers: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()
        self._hasty = self._acknowledged = self._sent = 0
        self._arrived_s = 0.0
        self._all_done = asyncio.Event()
        self._done = 0

    async def run(self) -> Happened:
        began_s = time.monotonic()
        senders = [self._sender(number, began_s) for number in range(self._plan.senders)]
        await asyncio.gather(*senders)
        self._ledger.close()
        return Happened(dict(self._answers), dict(self._broken), self._hasty, self._acknowledged, self._sent, self._arrived_s)

    async def _sender(self, number: int, began_s: float) -> None:
        plan = self._plan
        roll = random.Random(f"{plan.name}-{number}")
        messages = messages_of(f"{plan.name}-{number}", roll)
        await asyncio.sleep(plan.within_s * number / plan.senders)
        storm_until_s = time.monotonic() + plan.storm_s
        connection = None
        while True:
            batch = list(itertools.islice(messages, plan.batch))
            self._ledger.sending(batch)
            self._sent += len(batch)
            connection = await self._deliver(batch, connection, roll, began_s)
            if time.monotonic() >= min(storm_until_s, self._until_s):
                break
            await asyncio.sleep(plan.pause_s)
        # A sender that was served stays connected until all were served, as viewers do.
        self._done += 1
        if self._done == plan.senders or plan.storm_s:
            self._all_done.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_done.wait(), max(0.0, self._until_s - time.monotonic()))
        if connection is not None:
            connection[1].close()

    async def _deliver(
        self, batch: Sequence[bytes], connection: "Connection | None", roll: random.Random, began_s: float
    ) -> "Connection | None":
        """Send until it is acknowledged, or, in a storm, once; return the connection if it may be used again."""
        body = batch[0] if len(batch) == 1 else b"[" + b",".join(batch) + b"]"
        while time.monotonic() < self._until_s:
            after_s = 0.2
            try:
                if connection is None:
                    connection = await asyncio.open_connection(self._host, self._port)
                    self._arrived_s = max(self._arrived_s, time.monotonic() - began_s)
                connection[1].write(self._head % len(body) + body)
                status, after_s, goes_on = await asyncio.wait_for(self._answer(connection[0]), 20)
            except (OSError, EOFError, TimeoutError) as error:
                self._broken[type(error).__name__] += 1
                status, goes_on = 0, False
            if not goes_on and connection is not None:
                connection[1].close()
                connection = None
            if status == 202:
                self._ledger.acknowledged(batch)
                self._acknowledged += len(batch)
            if status == 202 or self._plan.storm_s:
                return connection
            await asyncio.sleep(after_s * (1 + roll.random()))
        return connection

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, float, bool]:
        """Status, when to come again, and whether the connection stays open."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        body = await reader.readexactly(int(fields["content-length"]))
        status = int(lines[0].split()[1])
        self._answers[f"{status} {json.loads(body)['reason']}" if status != 202 else "202"] += 1
        self._hasty += status in (429, 503) and "retry-after" not in fields
        return status, float(fields.get("retry-after", 0)), fields.get("connection") != "close"


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    plan = Plan(**json.load(sys.stdin))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        json.dump(asdict(runner.run(_run(plan))), sys.stdout)


async def _run(plan: Plan) -> Happened:
    return await Crowd(plan).run()


if __name__ == "__main__":
    main()
