"""Reads the messages of simple workers, and turns them into measurement messages; only with `--lenient`.

A worker is a program of some lines in any language that measures a latency and posts it. The messages of the QoS worker tool have
five fields, and differ by language: the latency is a number or a text, the timestamp has seconds or milliseconds.

    {"latency": "4000.00", "public_ip": "92.250.97.136", "hostname": "zephyrus", "lang": "luvit", "timestamp": 1714601635000}

Each correction has a name, which the coordinator counts. A message that cannot be corrected is left as it is, and then refused.
"""

import hashlib
import json
import math
from typing import Any

from coordinator.dialects.exact_check import Refused, json_value
from feedback_wire.limits import MESSAGE_BYTES

_UNITS = (
    (1e11, 1000.0, "timestamp_in_seconds"),
    (1e14, 1.0, ""),
    (1e17, 1e-3, "timestamp_in_microseconds"),
    (1e20, 1e-6, "timestamp_in_nanoseconds"),
)
"""Upper bound of a Unix time in this unit, factor to milliseconds, name of the correction. The bounds lie in the year 5138."""


def corrected(raw: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The measurement message for a worker's message, and the names of the corrections; `raw` itself if it is no such message."""
    if len(raw) > MESSAGE_BYTES:
        return raw, ()
    try:
        content = json_value(raw)
    except Refused:
        return raw, ()
    if not isinstance(content, dict) or "latency" not in content or "operation_id" in content:
        return raw, ()
    corrections = ["worker_fields"]
    latency_ms = _number(content["latency"], "latency_as_text", corrections)
    started_ms = _milliseconds(content.get("timestamp"), corrections)
    if latency_ms is None or latency_ms < 0 or started_ms is None:
        return raw, ()
    return json.dumps(_measurement(content, latency_ms, started_ms), ensure_ascii=False).encode(), tuple(corrections)


def _measurement(content: dict[str, Any], latency_ms: float, started_ms: int) -> dict[str, Any]:
    """The measurement message. The id is made of the content, so a message that is sent again counts once."""
    identity = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    optional = {
        "agent_address": _text(content.get("public_ip")),
        "address": _text(content.get("address")),
        "tags": {"lang": lang} if (lang := _text(content.get("lang"))) else None,
    }
    return {
        "v": 1,
        "operation_id": f"worker-{identity}",
        "request_id": "worker",
        "technique": _text(content.get("technique")) or "PING",
        "agent": _text(content.get("hostname")) or "unknown",
        "destination": _text(content.get("destination")) or "unknown",
        "status": "ok",
        "started_ms": started_ms,
        "values": {"latency_ms": latency_ms},
        **{name: value for name, value in optional.items() if value},
    }


def _number(value: object, as_text: str, corrections: list[str]) -> float | None:
    """A finite number, also from a text, which adds the correction `as_text`; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
        corrections.append(as_text)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _milliseconds(value: object, corrections: list[str]) -> int | None:
    """A Unix time as milliseconds; its size shows its unit."""
    time = _number(value, "timestamp_as_text", corrections)
    if time is None or time < 0:
        return None
    for bound, factor, correction in _UNITS:
        if time < bound:
            corrections += [correction] if correction else []
            return round(time * factor)
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
