"""`swarmscope analyze` beside the one query that an expert would write for the same files.

That query trusts the files, drops no duplicate, locates nobody and sums in floating point; the ratio is what checking,
deduplicating, placing and exact sums cost. Both sides take turns on the same files, with the operating system's cache warm.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import duckdb
import orjson

from feedback_server.archive import log_writer
from feedback_wire.log_name import Form, LogName
from monitor_platform.geo.locator import Locator
from monitor_platform.measures.mos import MosModel
from monitor_platform.measures.open import open_logs
from monitor_platform.measures.summary import summarize
from monitor_platform.reading.rows import ROW_FIELDS, SQL_TYPES

RECORDS = 1_000_000
FILES = 20
PEERS = 20_000
PERIOD_MS = 30_000
RUNS = 5
BEGIN_MS = 1_344_331_800_000
LINES_AT_ONCE = 4096

_COLUMNS = "{" + ", ".join(f"{field.name}: '{SQL_TYPES[field.kind]}'" for field in ROW_FIELDS) + "}"
_SOURCES = {
    Form.JSONL: f"read_json($files, format = 'newline_delimited', columns = {_COLUMNS}, compression = 'zstd')",
    Form.PARQUET: "read_parquet($files)",
}
_VALUES = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "mos")
_STATISTICS = ", ".join(
    f"sum({value} * weight) / sum(weight) AS {value}_mean, quantile_disc({value}, [0.5, 0.95]) AS {value}_ranks"
    for value in _VALUES
)


def main() -> None:
    """Print records a second of both sides, for JSON lines and for Parquet."""
    print(f"{RECORDS:,} records in {FILES} files, median of {RUNS} paired runs, all cores\n")
    print(f"{'form':10} {'analyze':>14} {'own query':>14} {'ratio':>7}")
    for form in _SOURCES:
        with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder:
            files = write_logs(Path(folder), form)
            ours, theirs = paired(partial(analyzed, Path(folder)), partial(queried, form, files))
        print(f"{form:10} {RECORDS / ours:>12,.0f}/s {RECORDS / theirs:>12,.0f}/s {theirs / ours:>7.2f}", flush=True)


def paired(ours: Callable[[], int], theirs: Callable[[], int]) -> tuple[float, float]:
    """Median seconds of each side; they have to count the same."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        counts = set()
        for side, run in zip(seconds, (ours, theirs), strict=True):
            begin = time.perf_counter()
            counts.add(run())
            side.append(time.perf_counter() - begin)
        if counts != {RECORDS}:
            raise SystemExit(f"the two sides counted {counts} messages, and there are {RECORDS}")
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def analyzed(folder: Path) -> int:
    with Locator() as locator:
        table = open_logs([folder], locator=locator, mos=MosModel())
    summary = summarize(table, by=("channel",))
    table.close()
    return int(summary["messages"])


def queried(form: Form, files: list[str]) -> int:
    sql = f"""
        WITH scored AS (SELECT *, {MosModel().sql()} AS mos FROM {_SOURCES[form]})
        SELECT channel, sum(weight), count(DISTINCT peer_id), count(DISTINCT session_id), {_STATISTICS},
               sum(upload_kbps * weight) / sum(download_kbps * weight), quantile_disc(startup_ms, [0.5, 0.95])
        FROM scored GROUP BY GROUPING SETS ((), (channel))
    """
    with duckdb.connect() as db:
        rows = db.execute(sql, {"files": files}).fetchall()
    return int(next(row[1] for row in rows if row[0] is None))


def write_logs(folder: Path, form: Form) -> list[str]:
    """Logs of `form` as feedback servers seal them."""
    lines = records()
    paths = [folder / str(LogName(BEGIN_MS // 1000 + 60 * at, "fs1", 0, form)) for at in range(FILES)]
    for path in paths:
        with path.open("wb") as file:
            writer, left = log_writer(form, file), RECORDS // FILES
            while left:
                batch = [next(lines) for _ in range(min(left, LINES_AT_ONCE))]
                writer.add(b"".join(batch), len(batch))
                left -= len(batch)
            writer.finish()
    return [str(path) for path in paths]


def records() -> Iterator[bytes]:
    """Records of peers that all report once a period, for ever."""
    chance = random.Random(1)
    peers = [
        (f"{chance.getrandbits(128):032x}", f"{chance.getrandbits(128):032x}", f"1.36.{at // 256 % 256}.0") for at in range(PEERS)
    ]
    at = 0
    while True:
        seq, who = divmod(at, PEERS)
        peer_id, session_id, ip = peers[who]
        received_ms = BEGIN_MS + at * PERIOD_MS // PEERS
        record = {
            "received_ms": received_ms,
            "ip": ip,
            "weight": 1.0,
            "via": "c1",
            "v": 1,
            "peer_id": peer_id,
            "session_id": session_id,
            "seq": seq,
            "event": "report" if seq else "join",
            "sent_ms": received_ms - 200,
            "uptime_ms": seq * PERIOD_MS,
            "channel": f"channel-{who % 12}",
            "isp": "HKBN" if who % 3 else None,
            "app": "player/1.2",
            "platform": "linux",
            "upload_kbps": round(chance.uniform(0, 1600), 3),
            "download_kbps": round(chance.uniform(400, 1200), 3),
            "playback_kbps": round(chance.uniform(700, 900), 3),
            "continuity": round(1 - chance.random() ** 8, 4),
            "startup_ms": 300 + who % 4000,
            "stall_count": seq // 10,
            "stall_ms": seq * 40,
            "played_ms": seq * 29_960,
            "buffer_ms": 4000 + at % 3000,
            "partners": 8 + at % 20,
            "p2p_ratio": round(chance.random(), 3),
            "extra": {"codec": "h264"},
        }
        yield orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        at += 1
