"""Five years of logs, one per minute.

Of a feedback server: its start with and without an index, and a page of its catalogue. Of a monitoring platform: its start, a look
for the logs of an older hour, and its history's searches for new logs. The logs are 2.6 million links to a few small valid files in
one temporary folder. SWARMSCOPE_BENCH_LOGS sets another number.
"""

import io
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import orjson

from feedback_analysis.geo.locator import Locator
from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.log_file import LogFile, note
from feedback_analysis.history.new_logs import SettledFiles
from feedback_analysis.history.store import Basis, HistoryStore
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.log_files import Begins, find_logs
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
AT_ONCE = 100_000
HOUR_MS = 3_600_000

T = TypeVar("T")


def main() -> None:
    """Print the wall time, processor time and memory of each step. Each step has a process of its own."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as scratch:
        mirror, history = Path(scratch) / "logs", Path(scratch) / "history"
        data = mirror / "fs1"
        data.mkdir(parents=True)
        _alone(_write, data)
        _alone(_start, "first start of a feedback server, opens each log", data, close=False)
        _alone(_start, "start after a crash, compares the names with the index", data, close=True)
        _alone(_start, "start after an orderly stop", data, close=True)
        _alone(_platform, mirror)
        _alone(_note_all, history, data)
        _alone(_follow, history, mirror)


def _alone(step: Callable[..., None], *args: object, **flags: object) -> None:
    """Run a step in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=step, args=args, kwargs=flags)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{step.__name__} failed")


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
    _print_memory()


def _platform(mirror: Path) -> None:
    end_ms = (BEGAN_S + 60 * LOGS) * 1000
    _timed(
        "start of a monitoring platform, reads the names in its mirror", lambda: Mirror(mirror).overview("fs1", end_ms - HOUR_MS)
    )
    middle_ms = (BEGAN_S + 30 * LOGS) * 1000
    _timed("an older hour, its logs are searched", lambda: find_logs([mirror], Begins.between(middle_ms, middle_ms + HOUR_MS)))
    _print_memory()


def _note_all(history: Path, data: Path) -> None:
    """A history that has all logs. Their content is not read."""
    with HistoryStore(history, Basis(mos=MosModel())) as store:
        for first in range(0, LOGS, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, LOGS))
            files = {LogFile.at(_path(data, number)): f"{number:064x}" for number in numbers}
            with store.writing() as db:
                note(db, files, {})


def _follow(history: Path, mirror: Path) -> None:
    settled = SettledFiles()
    with Locator() as locator, HistoryStore(history, Basis(mos=MosModel())) as store:
        for what in ("first search of a history for new logs", "each later search"):
            _timed(what, lambda: catch_up(store, [mirror], locator, settled=settled))
    _print_memory()


def _print_memory() -> None:
    """Print the most memory that this process has used."""
    print(f"  at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB of memory", flush=True)


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
        path = _path(data, number)
        if number % LINKS == 0:
            path.write_bytes(file.getvalue())
            source = path
        else:
            path.hardlink_to(source)


def _path(data: Path, number: int) -> Path:
    return data / str(LogName(BEGAN_S + 60 * number, "fs1", 0, Form.JSONL))
