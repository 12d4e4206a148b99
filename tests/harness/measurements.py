"""Measurement messages for tests."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from feedback_server.forms import log_writer
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form, LogName

BEGIN_MS = 1_795_921_200_000
"""2026-11-29T03:00:00Z"""


def measurement(operation: str = "op-0", **fields: Any) -> dict[str, Any]:
    """A whole measurement message; `fields` are replaced or added, and omitted if None."""
    known = {
        "v": 1,
        "operation_id": operation,
        "request_id": "r1",
        "round": 0,
        "technique": "PING",
        "agent": "hk-1",
        "agent_address": "1.36.0.1",
        "destination": "media.example",
        "address": "203.0.113.9",
        "status": "ok",
        "started_ms": BEGIN_MS,
        "duration_ms": 1012.5,
        "values": {"rtt_median_ms": 12.5, "loss_ratio": 0.0},
        "hops": [{"ttl": 1, "address": "10.0.0.1", "rtt_ms": 0.4}],
        "tags": {"country": "HK"},
    }
    return {name: value for name, value in (known | fields).items() if value is not None}


def measurement_record(operation: str = "op-0", *, received_ms: int = BEGIN_MS, **fields: Any) -> dict[str, Any]:
    """The record of a measurement message."""
    return {"received_ms": received_ms, "ip": "192.0.2.0", "weight": 1, "via": "c1"} | measurement(operation, **fields)


def ndjson(messages: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in messages)


def write_kind(folder: Path, kind: RecordKind, records: Sequence[dict[str, Any]], form: Form, *, part: int) -> Path:
    """A log with `records` of this kind in `folder`, which is created if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / str(LogName(BEGIN_MS // 1000, "fs1", part, form, kind))
    with path.open("wb") as file:
        writer = log_writer(form, file, kind)
        writer.add(ndjson(records), len(records))
        writer.finish()
    return path


def write_measurements(folder: Path, records: Sequence[dict[str, Any]], form: Form = Form.JSONL, *, part: int = 0) -> Path:
    return write_kind(folder, RecordKind.MEASUREMENT, records, form, part=part)


def post(url: str, body: bytes, content_type: str = "application/x-ndjson") -> tuple[int, dict[str, Any]]:
    """The status and the JSON body of the answer."""
    request = urllib.request.Request(url, body, {"content-type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)
