"""A real feedback server, and a feed that runs beside the test as it would beside the dashboard."""

import asyncio
import contextlib
import hashlib
import itertools
import json
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.mos import MosModel
from feedback_wire import routes
from feedback_wire.record import Origin
from monitor_platform.retrieval.feed import Feed
from monitor_platform.retrieval.feed_status import FeedStatus
from monitor_platform.retrieval.kind_tables import FeedbackRecords
from monitor_platform.retrieval.mirror import Mirror

ORIGIN = Origin(ip="1.36.0.1", weight=1, via="c1").prefix()


def lines_of(identities: list[tuple[str, int]], sent_ms: int) -> bytes:
    """Records as a coordinator sends them; one field holds all that makes CSV hard."""
    messages = [
        {
            "v": 1,
            "peer_id": session,
            "session_id": session,
            "seq": seq,
            "event": "report",
            "sent_ms": sent_ms,
            "channel": 'a\n"b", c',
        }
        for session, seq in identities
    ]
    return b"".join(ORIGIN + json.dumps(message).encode()[1:] + b"\n" for message in messages)


@dataclass
class Sender:
    """Writes records to feedback servers as a coordinator does, and keeps those that were acknowledged."""

    acknowledged: Counter[tuple[str, int]] = field(default_factory=Counter)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def send(self, url: str, records: int = 10, *, again: bool = False) -> None:
        """One batch; `again`: its records have been written before, as other batches."""
        new = [(f"s{next(self._numbers)}", 0) for _ in range(records)]
        identities = list(self.acknowledged)[-records:] if again else new
        request = urllib.request.Request(
            url + routes.RECORDS,
            data=lines_of(identities, time.time_ns() // 1_000_000),
            headers={"Content-Type": routes.NDJSON, routes.BATCH_HEADER: uuid.uuid4().hex},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer) == {"stored": records}
        self.acknowledged.update(identities)


class RunningFeed:
    """A feed in an event loop and thread of its own."""

    def __init__(self, servers: list[str], mirror: Path, **settings: Any) -> None:
        self.table = FeedbackTable(Locator(), MosModel())
        self._mirror = Mirror(mirror)
        self.feed = Feed(servers, "", self._mirror, FeedbackRecords(self.table), **({"poll_seconds": 0.1} | settings))
        self.ended_by: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._task = self._loop.create_task(self.feed.run())
        try:
            with self._mirror.owned():
                self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - the test tells it
            self.ended_by = error
        finally:
            self._loop.close()

    def end(self) -> None:
        """May be called repeatedly."""
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)
        self.table.close()

    def stop(self) -> None:
        """As an operator ends it; it must not have failed before."""
        self.end()
        assert self.ended_by is None, self.ended_by

    def status(self) -> FeedStatus:
        return self.feed.status()

    def identities(self) -> Counter[tuple[str, int]]:
        with self.table.reading() as cursor:
            return Counter(cursor.execute("SELECT session_id, seq FROM feedback").fetchall())


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
def start_feed(tmp_path: Path) -> Iterator[Callable[..., RunningFeed]]:
    """Start feeds that end with the test; a feed that shares the mirror of an earlier one must start after that one's `stop`."""
    running: list[RunningFeed] = []

    def start(*servers: str, **settings: Any) -> RunningFeed:
        running.append(RunningFeed(list(servers), tmp_path / "mirror", **settings))
        return running[-1]

    yield start
    for feed in running:
        feed.end()


@pytest.fixture
def feedback_server(serve: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Start the feedback server `name`, or start it again on the same files."""

    def start(
        name: str = "fs1", *, form: str = "jsonl", listen: str = "127.0.0.1:0", roll: int = 2, data: Path | None = None
    ) -> Any:
        return serve(
            "feedback-server", "--insecure", "--listen", listen, "--data", str(data or tmp_path / name), "--name", name,
            "--format", form, "--roll-seconds", str(roll),
        )  # fmt: skip

    return start


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every sealed log in a folder, by name."""
    logs = [path for path in folder.iterdir() if path.name[:4].isdigit() and not path.name.endswith((".journal", ".part", ".tmp"))]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in logs}


@pytest.fixture
def sha256() -> Callable[[Path], dict[str, str]]:
    return checksums
