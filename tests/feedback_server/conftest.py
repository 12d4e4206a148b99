"""A feedback server as its clients see it: over HTTP, and as files in its folder."""

import http.client
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import zstandard

from feedback_server.forms.reading import Records, form_of, read_log
from feedback_wire.frames import PREAMBLE, records_frame
from feedback_wire.record import stamp_received
from tests.harness.processes import Server


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FeedbackServer:
    """One feedback server process."""

    server: Server
    data: Path

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        link = http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=30)
        try:
            link.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = link.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            link.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, body: bytes, batch: str | None = None, **headers: str) -> Answer:
        own = {"content_type": "application/x-ndjson", "swarmscope_batch": batch or secrets.token_hex(16)}
        return self.request("POST", "/v1/records", body, **(own | headers))

    def logs(self, query: str = "") -> list[dict[str, Any]]:
        return self.get("/v1/logs" + query).json["logs"]

    def counted(self, name: str) -> float:
        for line in self.get("/metrics", cache_control="no-cache", authorization="Bearer out").body.decode().splitlines():
            if line.startswith(f"swarmscope_feedback_server_{name} "):
                return float(line.split()[-1])
        raise AssertionError(f"no metric {name}")


@pytest.fixture
def start_feedback_server(serve: Callable[..., Server], tmp_path: Path) -> Callable[..., FeedbackServer]:
    """Start a feedback server: `start_feedback_server("--roll-seconds", "1")`; without `data` always on the same folder."""

    def start_feedback_server(*flags: str, data: Path = tmp_path / "data") -> FeedbackServer:
        keys = () if "--token" in flags else ("--insecure",)
        return FeedbackServer(serve("feedback-server", "--listen", "127.0.0.1:0", "--data", str(data), *keys, *flags), data)

    return start_feedback_server


@pytest.fixture
def lines() -> Callable[..., bytes]:
    """A batch of record lines, numbered from `first` in one session."""

    def lines(count: int = 3, *, session: str = "s", first: int = 0) -> bytes:
        origin = '"ip":"203.0.113.0","weight":1.0,"via":"c1"'
        message = '"v":1,"peer_id":"p","session_id":"%s","seq":%d,"event":"report","sent_ms":5,"upload_kbps":846.5'
        return "".join(f"{{{origin},{message % (session, seq)}}}\n" for seq in range(first, first + count)).encode()

    return lines


@pytest.fixture
def stored() -> Callable[[Path], list[tuple[str, int]]]:
    """All (session_id, seq) in the logs of a folder, duplicates included; fails on any damage."""

    def stored(data: Path) -> list[tuple[str, int]]:
        found = []
        for path in sorted(data.iterdir()):
            form = form_of(path)
            for part in read_log(path, form) if form else ():
                assert isinstance(part, Records), (path, part)
                found += [(record["session_id"], record["seq"]) for record in map(json.loads, part.lines.splitlines())]
        return found

    return stored


@pytest.fixture
def journal_bytes(lines: Callable[..., bytes]) -> Callable[..., bytes]:
    """A journal with one frame a batch, as a server writes it; the batch ids are 1, 2, 3, …"""

    def journal_bytes(*counts: int) -> bytes:
        data, first = PREAMBLE, 0
        for number, count in enumerate(counts):
            text = stamp_received(lines(count, first=first), 1_344_331_800_000 + number)
            payload = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(text)
            batch = (number + 1).to_bytes(16, "big")
            data += records_frame(payload, number=number, first_record=first, records=count, inflated=len(text), batch=batch)
            first += count
        return data

    return journal_bytes
