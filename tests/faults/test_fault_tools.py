"""Tests of the instruments: an oracle that cannot find a fault proves nothing."""

import http.client
import itertools
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import zstandard

from feedback_wire.frames import PREAMBLE, records_frame
from tests.faults.chaos_proxy import ChaosProxy, Toxics
from tests.faults.ledger import Ledger, messages_of
from tests.faults.oracle import Verdict, assert_conserved, judge

PREFIX = b'{"received_ms":1700000000000,"ip":"127.0.0.0","weight":1.0,"via":"c1",'


def messages(count: int) -> list[bytes]:
    return list(itertools.islice(messages_of("s", random.Random(1)), count))


def logged(folder: Path, records: list[bytes]) -> Path:
    """A feedback server's folder with one journal of one frame."""
    folder.mkdir()
    lines = b"".join(PREFIX + record[1:] + b"\n" for record in records)
    payload = zstandard.compress(lines)
    frame = records_frame(payload, number=0, first_record=0, records=len(records), inflated=len(lines))
    (folder / "20240101T000000Z-fs1-0000.journal").write_bytes(PREAMBLE + frame)
    return folder


def verdict(ledger: Ledger, tmp_path: Path, *, acknowledged: list[bytes], stored: list[bytes]) -> Verdict:
    ledger.sending(messages(4))
    ledger.acknowledged(acknowledged)
    return judge(ledger, [logged(tmp_path / "fs1", stored)])


def test_the_oracle_accepts_a_store_that_holds_everything_acknowledged_unaltered(ledger: Ledger, tmp_path: Path):
    found = verdict(ledger, tmp_path, acknowledged=messages(3), stored=messages(4))
    found.assert_kept()
    assert (found.acknowledged, found.stored, found.repeated) == (3, 4, 0)


def test_the_oracle_detects_a_single_lost_message(ledger: Ledger, tmp_path: Path):
    found = verdict(ledger, tmp_path, acknowledged=messages(4), stored=messages(3))
    assert found.lost == {("s", 3)}
    with pytest.raises(AssertionError, match="1 of 4 acknowledged messages are lost"):
        found.assert_kept()


def test_the_oracle_detects_one_changed_byte(ledger: Ledger, tmp_path: Path):
    changed = [*messages(3), messages(4)[3].replace(b"1.0e0", b"1.000")]
    assert verdict(ledger, tmp_path, acknowledged=messages(4), stored=changed).altered == {("s", 3)}


def test_the_oracle_detects_a_message_that_was_never_sent(ledger: Ledger, tmp_path: Path):
    found = verdict(ledger, tmp_path, acknowledged=messages(4), stored=messages(5))
    assert found.invented == {("s", 4)}


def test_the_oracle_counts_further_copies(ledger: Ledger, tmp_path: Path):
    found = verdict(ledger, tmp_path, acknowledged=messages(4), stored=messages(4) + messages(2))
    found.assert_kept()
    assert found.repeated == 2


def test_the_oracle_detects_a_flipped_bit_within_a_file(ledger: Ledger, tmp_path: Path):
    folder = logged(tmp_path / "fs1", messages(4))
    [journal] = folder.iterdir()
    data = journal.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    journal.write_bytes(bytes(flipped) + data[len(PREAMBLE) :])
    ledger.sending(messages(4))
    assert judge(ledger, [folder]).damaged == 1


def test_the_check_of_a_coordinators_counters_detects_one_missing_message():
    counted = {
        "messages_received_total": 10.0,
        "messages_forwarded_total": 4.0,
        "messages_spooled_total": 2.0,
        "messages_drained_total": 1.0,
        "messages_sampled_out_total": 1.0,
        "messages_in_flight": 1.0,
        'messages_refused_total{reason="malformed"}': 1.0,
        'messages_refused_total{reason="spool_full"}': 1.0,
    }
    assert_conserved(counted)
    with pytest.raises(AssertionError):
        assert_conserved(counted | {"messages_received_total": 11.0})


@pytest.fixture
def upstream() -> Iterator[ThreadingHTTPServer]:
    """Answers every whole POST with 64 bytes, and keeps its body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(length := int(self.headers["content-length"]))
            if len(body) < length:
                self.close_connection = True
                return
            self.server.bodies.append(body)  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("content-length", "64")
            self.end_headers()
            self.wfile.write(b"x" * 64)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.bodies = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def through(upstream: ThreadingHTTPServer, toxics: Toxics, *, patience_s: float = 5.0) -> tuple[object, float, ChaosProxy]:
    """The answer to one POST of 1,000 bytes through the proxy, or its exception; how long that took; the proxy."""
    with ChaosProxy(f"http://127.0.0.1:{upstream.server_port}", toxics) as proxy:
        connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=patience_s)
        began_s = time.monotonic()
        outcome: object
        try:
            connection.request("POST", "/", b"b" * 1000)
            outcome = connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            outcome = error
        finally:
            connection.close()
        return outcome, time.monotonic() - began_s, proxy


@pytest.mark.parametrize(
    ("toxics", "what", "arrives", "outcome"),
    [
        (Toxics(), None, True, bytes),
        (Toxics(latency_s=0.1, jitter_s=0.02), "latency", True, bytes),
        (Toxics(drip_bytes=100), "drip", True, bytes),
        (Toxics(cut_after_bytes=300), "cut", False, http.client.RemoteDisconnected),
        (Toxics(reset=1), "reset", False, ConnectionResetError),
        (Toxics(half_open=True), "half_open", False, TimeoutError),
        (Toxics(swallow=1), "swallow", True, http.client.RemoteDisconnected),
        (Toxics(swallow_silently=1), "swallow_silently", True, TimeoutError),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_proxy_applies_its_toxics(
    upstream: ThreadingHTTPServer, toxics: Toxics, what: str | None, arrives: bool, outcome: type
):
    found, took_s, proxy = through(upstream, toxics, patience_s=5.0 if outcome is bytes else 0.7)
    assert isinstance(found, outcome), repr(found)
    assert upstream.bodies == ([b"b" * 1000] if arrives else [])  # type: ignore[attr-defined]
    assert what is None or proxy.did[what] > 0
    assert took_s >= 2 * (toxics.latency_s - toxics.jitter_s)
