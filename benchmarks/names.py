"""The cost of made-up names for the monitoring platform: an audience with real names, compared with one with made-up names.

Both mirrors contain the last minutes of 300 messages per second from 9,000 viewers. In the first, they watch 20 channels through
500 ISPs. In the second, each viewer has one of 5,000 channels and 3,000 ISPs, and each message has three of 100,000 names in
`extra`. A separate platform reads each mirror, and answers the queries of an overview and the summary by channel and ISP. Each
query has a new filter that selects all messages, so no answer is cached. The budgets of names, not the machine, keep the ratio
small.
"""

import http.client
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from benchmarks.measured_process import MeasuredProcess, serving
from feedback_server.forms import log_writer
from feedback_wire.log_name import Form, LogName

MINUTES = 15
A_SECOND = 300
VIEWERS = 9_000
ROUNDS = 5
GIVE_UP_S = 120.0

QUIET = (20, 500, 0)
MADE_UP = (5_000, 3_000, 100_000)
"""Channels, ISPs, names in `extra`."""

QUERIES = {
    **{f"table of {view}": f"/api/v1/table?view={view}" for view in ("timeline", "map", "district", "histogram", "slices")},
    "broken down by channel": "/api/v1/table?view=breakdown&by=channel",
    "summary by channel": "/api/v1/summary?by=channel",
    "summary by channel and ISP": "/api/v1/summary?by=channel,isp",
}


def main() -> None:
    """Print one line per query: seconds and bytes of both sides, and their ratio."""
    print(f"{MINUTES} minutes of {A_SECOND} messages a second, medians of {ROUNDS} rounds\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder:
        quiet, made_up = (_measured(Path(folder) / name, names) for name, names in (("quiet", QUIET), ("made-up", MADE_UP)))
    print(f"{'':28} {'quiet':>10} {'made up':>10} {'ratio':>7}   {'answer, KB':>12} {'made up':>10}")
    for name in quiet:
        (before_s, before_bytes), (after_s, after_bytes) = quiet[name], made_up[name]
        sizes = f"{before_bytes / 1000:>12,.0f} {after_bytes / 1000:>10,.0f}" if before_bytes else ""
        print(f"{name:28} {before_s:>10,.2f} {after_s:>10,.2f} {after_s / before_s:>7.1f}   {sizes}")


def _measured(folder: Path, names: tuple[int, int, int]) -> dict[str, tuple[float, int]]:
    """Seconds and bytes of each query, and MiB of memory at the end."""
    _write_mirror(folder / "fs1", names)
    began = time.monotonic()
    no_server = ("--feedback-server", "http://127.0.0.1:9", "--poll-seconds", "3600")
    with serving("monitor", *no_server, "--mirror", str(folder)) as monitor:
        while _get(monitor, "/readyz")[1] != 200:
            time.sleep(0.1)
        found = {"reading the mirror back, s": (time.monotonic() - began, 0)}
        begin_ms = time.time_ns() // 1_000_000 - (MINUTES + 5) * 60_000
        for query, address in QUERIES.items():
            rounds = []
            for each in range(ROUNDS):
                new_filter = f"&from={begin_ms + each}" if "summary" in address else f"&not.via={each}"
                started = time.monotonic()
                body, status = _get(monitor, address + new_filter)
                if status != 200:
                    print(f"{query}: {status} {body[:200]!r}", file=sys.stderr)
                rounds.append((time.monotonic() - started, len(body)))
            found[query] = (statistics.median(each[0] for each in rounds), max(each[1] for each in rounds))
        found["memory at its peak, MiB"] = (_peak_mib(monitor), 0)
    return found


def _get(monitor: MeasuredProcess, address: str) -> tuple[bytes, int]:
    connection = http.client.HTTPConnection(urlsplit(monitor.url).netloc, timeout=GIVE_UP_S)
    try:
        connection.request("GET", address)
        answer = connection.getresponse()
        return answer.read(), answer.status
    except TimeoutError:
        return b"no answer in time", 0
    finally:
        connection.close()


def _peak_mib(monitor: MeasuredProcess) -> float:
    status = Path(f"/proc/{monitor.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _write_mirror(folder: Path, names: tuple[int, int, int]) -> None:
    folder.mkdir(parents=True)
    begin_s = (int(time.time()) // 60 - MINUTES) * 60
    for minute in range(MINUTES):
        at_s = begin_s + minute * 60
        with (folder / str(LogName(at_s, "fs1", 0, Form.JSONL))).open("wb") as file:
            writer = log_writer(Form.JSONL, file)
            for line in _lines(at_s * 1000, minute, names):
                writer.add(line, 1)
            writer.finish()


def _lines(at_ms: int, minute: int, names: tuple[int, int, int]) -> Iterator[bytes]:
    channels, isps, extras = names
    chosen = random.Random(minute)
    for number in range(60 * A_SECOND):
        viewer = number % VIEWERS
        received_ms = at_ms + number * 1000 // A_SECOND
        record: dict[str, object] = {
            "received_ms": received_ms,
            "ip": f"1.{36 + viewer % 4}.{viewer % 200}.0",
            "weight": 1,
            "via": "c1",
            "v": 1,
            "peer_id": f"p{viewer}",
            "session_id": f"s{viewer}",
            "seq": minute * 2 + number // VIEWERS,
            "event": "report",
            "sent_ms": received_ms - 200,
            "channel": f"channel {viewer % channels}",
            "isp": f"ISP {viewer * 7 % isps}",
            "app": "player 1.0",
            "platform": ("web", "tv", "android")[viewer % 3],
            "upload_kbps": chosen.randrange(900),
            "download_kbps": chosen.randrange(2_000),
            "playback_kbps": 850,
            "continuity": chosen.choice((1, 1, 1, 0.9)),
            "startup_ms": 900 + viewer % 500,
        }
        if extras:
            record["extra"] = {f"name {chosen.randrange(extras)}": chosen.randrange(1_000) for _ in range(3)}
        yield orjson.dumps(record) + b"\n"


if __name__ == "__main__":
    main()
