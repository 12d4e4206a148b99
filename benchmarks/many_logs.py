"""A feedback server with five years of logs, one per minute: its start with and without an index, and a page of its catalogue.

The logs are 2.6 million links to a few small valid files in one temporary folder. SWARMSCOPE_BENCH_LOGS sets another number.
"""

import io
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import orjson

from feedback_server.counters import Counters
from feedback_server.forms import log_writer
from feedback_server.recovery import recover
from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.offered_logs import OfferedLogs
from feedback_server.stores.sealed_log_index import SealedLogIndex
from feedback_wire.log_name import Form, LogName
from monitor_platform.retrieval.feedback_server_client import PAGE_LOGS
from monitor_platform.retrieval.mirror import Mirror

LOGS = int(os.environ.get("SWARMSCOPE_BENCH_LOGS", "2628000"))
BEGAN_S = 1_577_836_800
# ext4 allows 65,000 links per file.
LINKS = 60_000

T = TypeVar("T")


def main() -> None:
    """Print the wall time and processor time of each step."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as scratch:
        data = Path(scratch) / "fs1"
        data.mkdir()
        _write(data)
        _start("first start, opens each log", data, close=False)
        _start("start after a crash, compares the names with the index", data, close=True)
        _start("start after an orderly stop", data, close=True)
        since_ms = (BEGAN_S + 60 * LOGS - 3600) * 1000
        _timed(
            "start of a monitoring platform, reads the names in its mirror", lambda: Mirror(Path(scratch)).overview("fs1", since_ms)
        )
    print(f"maximum memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB, all in one process")


def _start(what: str, data: Path, *, close: bool) -> None:
    folder = DataFolder(data)
    try:
        found = _timed(f"{what}, {LOGS:,} logs", lambda: recover(folder, Counters()))
        offered = OfferedLogs("fs1", found.offered_journals, sealed=found.sealed)
        middle = LogName(BEGAN_S + 30 * LOGS, "fs1", 0, Form.JSONL).stem
        _timed(f"  a page of {PAGE_LOGS} from the middle", lambda: orjson.dumps(offered.after(middle, PAGE_LOGS)[0].to_json()))
        index = SealedLogIndex(folder, offered)
        index.count_changes(LOGS)
        (index.close if close else index.save_if_due)()
        if not close:
            (data / "changed").touch()
    finally:
        folder.close()


def _timed(what: str, work: Callable[[], T]) -> T:
    began_s, worked_s = time.perf_counter(), time.process_time()
    result = work()
    print(f"{what}: {time.perf_counter() - began_s:,.3f} s, {time.process_time() - worked_s:,.3f} s of processor time", flush=True)
    return result


def _write(data: Path) -> None:
    file = io.BytesIO()
    log = log_writer(Form.JSONL, file)
    origin = b'{"received_ms":1577836800000,"ip":"203.0.113.0",'
    log.add(origin + b'"v":1,"peer_id":"p","session_id":"s","seq":0,"event":"report","sent_ms":5}\n', 1)
    log.finish()
    source = data
    for number in range(LOGS):
        path = data / str(LogName(BEGAN_S + 60 * number, "fs1", 0, Form.JSONL))
        if number % LINKS == 0:
            path.write_bytes(file.getvalue())
            source = path
        else:
            path.hardlink_to(source)
