"""The daily table of the history, compared with the same table from a hand-written DuckDB query over the logs.

The query does not verify the files, remove duplicates or locate addresses, and it sums in floating point. It reads the logs each
time. The benchmark also prints the cost of adding the logs to the history.
"""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from benchmarks.analyze import FILES, RECORDS, write_logs
from feedback_analysis.geo.locator import Locator
from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.daily import daily
from feedback_analysis.history.store import Basis, HistoryStore
from feedback_analysis.quality.mos import MosModel
from feedback_wire.log_name import Form

RUNS = 5
BASIS = Basis(mos=MosModel())
_MEANS = ", ".join(
    f"sum({name} * weight) / sum(weight) FILTER ({name} IS NOT NULL)"
    for name in ("mos", "continuity", "upload_kbps", "download_kbps", "playback_kbps")
)
_ONLINE = "(max(uptime_ms) - min(uptime_ms)) / 1000.0"


def main() -> None:
    """Print the cost of adding the logs, and the time of both sides."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder, Locator() as locator:
        logs = Path(folder) / "logs"
        logs.mkdir()
        files = write_logs(logs, Form.PARQUET)
        with HistoryStore(Path(folder) / "history", BASIS) as store:
            began = time.perf_counter()
            taken = catch_up(store, [logs], locator)
            took = time.perf_counter() - began
        began = time.perf_counter()
        with HistoryStore(Path(folder) / "history", BASIS) as store:
            opened = time.perf_counter() - began
            times = [(_seconds(lambda: daily(store)), _seconds(lambda: _by_hand(files))) for _ in range(RUNS)]
        ours, theirs = (statistics.median(side) for side in zip(*times, strict=True))
        print(f"{RECORDS:,} records in {FILES} Parquet files; {taken.messages:,} added at {taken.messages / took:,.0f}/s")
        print(f"restart {opened * 1000:,.0f} ms; daily table {ours * 1000:,.0f} ms, hand-written query {theirs * 1000:,.0f} ms")
        print(f"ratio {theirs / ours:.1f}; memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


def _seconds(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def _by_hand(files: list[str]) -> None:
    mos = BASIS.mos.sql()
    rows = f"SELECT *, (received_ms // 86400000) AS day, {mos} AS mos FROM read_parquet($files)"
    db = duckdb.connect()
    days = f"SELECT day, count(*), count(DISTINCT peer_id), {_MEANS} FROM ({rows}) GROUP BY day"
    sessions = f"SELECT day, session_id, {_ONLINE} AS online, max(startup_ms) AS startup FROM ({rows}) GROUP BY day, session_id"
    for sql in (days, f"SELECT day, avg(online), avg(startup) FROM ({sessions}) GROUP BY day"):
        db.execute(sql, {"files": files}).fetchall()
