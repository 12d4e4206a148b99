"""`swarmscope analyze`, compared with DuckDB queries that an expert would write for the same files.

One query computes the same measures (each message, session and peer once). The other assumes that there are no duplicates and
ignores sessions, which is faster and often sufficient. Neither verifies the files or sums exactly. All sides read the same files in
turn, with a warm file system cache. On a busy machine, processor time is more reliable than wall time.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import duckdb
import orjson

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.column_table import columns_for
from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.rows import SQL_TYPES
from feedback_server.forms import log_writer
from feedback_wire.log_name import Form, LogName
from feedback_wire.record import NAMED_FIELDS

RECORDS = 1_000_000
FILES = 20
PEERS = 20_000
PERIOD_MS = 30_000
RUNS = 5
BEGIN_MS = 1_344_331_800_000
LINES_AT_ONCE = 4096

_COLUMNS = "{" + ", ".join(f"{field.name}: '{SQL_TYPES[field.kind]}'" for field in NAMED_FIELDS) + "}"
_SOURCES = {
    Form.JSONL: f"read_json($files, format = 'newline_delimited', columns = {_COLUMNS}, compression = 'zstd')",
    Form.PARQUET: "read_parquet($files)",
}
_BOTH = "upload_kbps IS NOT NULL AND download_kbps IS NOT NULL"
_VALUES = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "mos")
_STATISTICS = ", ".join(
    f"sum({value} * weight) / sum(weight) AS {value}_mean, quantile_disc({value}, [0.5, 0.95]) AS {value}_ranks"
    for value in _VALUES
)


def main() -> None:
    """Print the records per second of each side, for JSON lines and Parquet."""
    print(f"{RECORDS:,} records in {FILES} files, medians of {RUNS} rounds, all cores; ratio: wall time (processor time)\n")
    print(f"{'form':10} {'analyze':>14} {'same numbers':>14} {'trusting':>14}   {'ratio: same':>14} {'trusting':>14}")
    for form in _SOURCES:
        with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder:
            files = write_logs(Path(folder), form)
            ours, *others = rounds(
                [partial(analyzed, Path(folder)), partial(same_numbers, form, files), partial(trusting, form, files)]
            )
        speeds = " ".join(f"{RECORDS / side[0]:>12,.0f}/s" for side in (ours, *others))
        ratios = " ".join(f"{f'{other[0] / ours[0]:.2f} ({other[1] / ours[1]:.2f})':>14}" for other in others)
        print(f"{form:10} {speeds}   {ratios}", flush=True)


def rounds(sides: Sequence[Callable[[], int]]) -> list[tuple[float, float]]:
    """The median wall and processor seconds of each side. All sides must count the same messages."""
    seconds: list[list[tuple[float, float]]] = [[] for _ in sides]
    for _ in range(RUNS):
        for measured, run in zip(seconds, sides, strict=True):
            begin, computed = time.perf_counter(), time.process_time()
            if (count := run()) != RECORDS:
                raise SystemExit(f"{run} counted {count} messages instead of {RECORDS}")
            measured.append((time.perf_counter() - begin, time.process_time() - computed))
    return [(statistics.median(wall for wall, _ in each), statistics.median(cpu for _, cpu in each)) for each in seconds]


def analyzed(folder: Path) -> int:
    with Locator() as locator:
        table = open_logs([folder], locator=locator, mos=MosModel(), columns=columns_for(["channel"]))
    summary = summarize(table, by=("channel",))
    table.close()
    return int(summary["messages"])


def same_numbers(form: Form, files: list[str]) -> int:
    """An expert's query for the same measures: each message, session and peer once, with gaps counted."""
    sql = f"""
        WITH message AS MATERIALIZED (
            SELECT *, {MosModel().sql()} AS mos FROM {_SOURCES[form]}
            QUALIFY row_number() OVER (PARTITION BY session_id, seq ORDER BY received_ms, via, ip) = 1
        ), session AS (
            SELECT channel, GROUPING(channel) AS total, max(weight) AS weight, max(seq) - min(seq) + 1 - count(*) AS missing,
                   arg_max(startup_ms, seq) FILTER (WHERE startup_ms IS NOT NULL) AS startup_ms,
                   coalesce(max(uptime_ms) - min(uptime_ms), max(received_ms) - min(received_ms)) / 1000 AS online_s
            FROM message GROUP BY GROUPING SETS ((session_id), (session_id, channel))
        ), over_sessions AS (
            SELECT total, channel, sum(weight), sum(startup_ms * weight) / sum(weight) FILTER (WHERE startup_ms IS NOT NULL),
                   quantile_disc(startup_ms, [0.5, 0.95]), sum(online_s * weight) / sum(weight), sum(missing * weight)
            FROM session GROUP BY total, channel
        ), peer AS (
            SELECT channel, GROUPING(channel) AS total, max(weight) AS weight
            FROM message GROUP BY GROUPING SETS ((peer_id), (peer_id, channel))
        ), over_peers AS (SELECT total, channel, sum(weight) AS peers FROM peer GROUP BY total, channel)
        SELECT messages.* FROM (
            SELECT GROUPING(channel) AS total, channel, sum(weight) AS messages, {_STATISTICS},
                   sum(upload_kbps * weight) FILTER (WHERE {_BOTH}) / sum(download_kbps * weight) FILTER (WHERE {_BOTH})
            FROM message GROUP BY GROUPING SETS ((), (channel))
        ) AS messages
        JOIN over_sessions ON over_sessions.total = messages.total AND over_sessions.channel IS NOT DISTINCT FROM messages.channel
        JOIN over_peers ON over_peers.total = messages.total AND over_peers.channel IS NOT DISTINCT FROM messages.channel
    """
    return _total(sql, files)


def trusting(form: Form, files: list[str]) -> int:
    """The fastest approximate query: it assumes that there are no duplicate messages."""
    sql = f"""
        WITH scored AS (SELECT *, {MosModel().sql()} AS mos FROM {_SOURCES[form]})
        SELECT GROUPING(channel) AS total, channel, sum(weight), count(DISTINCT peer_id), count(DISTINCT session_id), {_STATISTICS},
               sum(upload_kbps * weight) / sum(download_kbps * weight), quantile_disc(startup_ms, [0.5, 0.95])
        FROM scored GROUP BY GROUPING SETS ((), (channel))
    """
    return _total(sql, files)


def _total(sql: str, files: list[str]) -> int:
    with duckdb.connect() as db:
        rows = db.execute(sql, {"files": files}).fetchall()
    return int(next(row[2] for row in rows if row[1] is None))


def write_logs(folder: Path, form: Form) -> list[str]:
    """Write logs of `form` as feedback servers do."""
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
    """An endless series of records. Each peer reports once per period."""
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
            "stall_ms": seq // 10 * 400,
            "played_ms": seq * PERIOD_MS - seq // 10 * 400,
            "buffer_ms": 4000 + at % 3000,
            "partners": 8 + at % 20,
            "p2p_ratio": round(chance.random(), 3),
            "extra": {"codec": "h264"},
        }
        yield orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        at += 1
