"""Records for tests, and log files of them, written by the feedback server's own code where possible."""

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import zstandard
from hypothesis import strategies as st

from feedback_analysis.messages.ingest import Added
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.reading.verified_log import open_log
from feedback_server.forms import log_writer
from feedback_wire.frames import PREAMBLE, records_frame
from feedback_wire.log_name import Form, LogName

BEGIN_MS = 1_344_331_800_000
"""2012-08-07T09:30:00Z, the time of the flash crowd in the paper."""

Record = dict[str, Any]
numbers = itertools.count()


def record(**fields: Any) -> Record:
    """A whole record; `fields` are replaced or added, and omitted if None."""
    known = {
        "received_ms": BEGIN_MS,
        "ip": "1.36.0.1",
        "weight": 1,
        "via": "c1",
        "v": 1,
        "peer_id": "p",
        "session_id": "s",
        "seq": 0,
    }
    known |= {"event": "report", "sent_ms": BEGIN_MS - 200} | fields
    return {name: value for name, value in known.items() if value is not None}


def lines_of(records: Iterable[Record]) -> list[bytes]:
    return [json.dumps(each).encode() + b"\n" for each in records]


def write_log(folder: Path, records: Sequence[Record], form: Form = Form.JSONL, *, begin_s: int = 0, frames: int = 1) -> Path:
    """A log of `records` with a new name; a journal gets `frames` frames."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / str(LogName(begin_s or BEGIN_MS // 1000, "fs1", next(numbers) % 10_000, form))
    lines = lines_of(records)
    if form is Form.JOURNAL:
        path.write_bytes(_journal(lines, frames))
    else:
        with path.open("wb") as file:
            writer = log_writer(form, file)
            writer.add(b"".join(lines), len(lines))
            writer.finish()
    return path


def _journal(lines: Sequence[bytes], frames: int) -> bytes:
    data, first = PREAMBLE, 0
    for number in range(frames):
        part = lines[len(lines) * number // frames : len(lines) * (number + 1) // frames]
        text = b"".join(part)
        payload = zstandard.compress(text)
        data += records_frame(payload, number=number, first_record=first, records=len(part), inflated=len(text))
        first += len(part)
    return data


def add(table: FeedbackTable, path: Path) -> Added:
    with open_log(path) as log:
        return table.add(log)


_TEXT = st.sampled_from([None, "a", "b", '頻道 "1"'])
# Six decimals, more than any meter has: exact sums keep fifteen digits, and the fractions of the oracle keep all.
_RATE = st.none() | st.sampled_from([0, 850, 850.5, 1200.25]) | st.floats(0, 10_000).map(lambda rate: round(rate, 6))
_SHARE = st.none() | st.sampled_from([0, 0.5, 0.9, 0.988, 1]) | st.floats(0, 1).map(lambda share: round(share, 6))
_MS = st.none() | st.integers(0, 100_000)


def records(*, weights: Sequence[float] = (1, 10, 2.5), most: int = 30) -> st.SearchStrategy[list[Record]]:
    """Lists of records of a few peers and sessions, some of them copies of one message received twice."""
    message = st.fixed_dictionaries(
        {
            "received_ms": st.integers(BEGIN_MS, BEGIN_MS + 120_000),
            "ip": st.sampled_from(["", "1.36.0.1", "14.0.128.1", "8.8.8.8", "10.0.0.1"]),
            "weight": st.sampled_from(weights),
            "via": st.sampled_from(["c1", "c2"]),
            "peer_id": st.sampled_from(["p0", "p1", "p2", "p3"]),
            "session_id": st.sampled_from(["s0", "s1", "s2", "s3", "s4"]),
            "seq": st.integers(0, 5),
            "uptime_ms": _MS,
            "channel": _TEXT,
            "isp": _TEXT,
            "upload_kbps": _RATE,
            "download_kbps": _RATE,
            "playback_kbps": _RATE,
            "continuity": _SHARE,
            "startup_ms": _MS,
            "event": st.sampled_from(["join", "report", "report", "leave"]),
            "stall_count": st.none() | st.integers(0, 4),
            "stall_ms": _MS,
            "played_ms": _MS,
            "p2p_ratio": _SHARE,
            "extra": st.none() | st.fixed_dictionaries({"codec": st.sampled_from(["h264", "av1"]), "level": st.integers(0, 3)}),
        }
    )
    return st.lists(message.map(lambda fields: record(**fields)), max_size=most, unique_by=rank)


def rank(each: Record) -> tuple[Any, ...]:
    """The order that decides which copy counts. Equal copies are ordered by their content, which plain Python does not model."""
    return tuple(each[name] for name in ("session_id", "seq", "received_ms", "via", "ip", "weight"))
