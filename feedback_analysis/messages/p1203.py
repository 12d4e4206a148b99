"""The input of ITU-T P.1203 mode 0 for a session, in the format of the public reference implementation.

The model itself is not shipped: its licence forbids it. Messages describe intervals, not segments, so this is an approximation: an
interval is one segment at its mean bitrate (audio and video together, given as video), and the stalls of an interval are spread
evenly over it, all of the same length. Codec, resolution and frame rate come from `extra` (codec, resolution, fps). They are
necessary: without them the reference implementation cannot score a segment. The format was confirmed against an independent P.1203
program.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.session_counters import COUNTERS, increases
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.spreadsheet import write_csv

_FIELDS = ("received_ms", "seq", "playback_kbps", "played_ms", "startup_ms", "stall_count", "stall_ms")
_EXTRAS = ("codec", "resolution", "fps")
_STREAM = 1

MessageRow = Mapping[str, Any]


def write_inputs(folder: Path, table: FeedbackTable, *, span: Span | None = None, where: Mapping[str, str] | None = None) -> int:
    """Write a JSON file per session that played, and `sessions.csv`, which maps files to sessions; returns how many."""
    # The values of counters at the start of the time range come from earlier messages.
    selection = table.select(None if span is None else Span(0, span.to_ms), where or {})
    from_ms = 0 if span is None else span.from_ms
    extras = (f"json_extract_string(extra, '/{name}') AS {name}" for name in _EXTRAS)
    sql = f"{selection.sql('session_id', *_FIELDS, *extras)} ORDER BY session_id, seq"
    written = []
    with table.reading() as cursor:
        found = cursor.execute(sql, selection.parameters)
        names = [column[0] for column in found.description]
        sent = (dict(zip(names, row, strict=True)) for row in iter(found.fetchone, None))
        for session, messages in groupby(sent, key=lambda each: each["session_id"]):
            answer = session_input(*_within(messages, from_ms))
            if answer["I13"]["segments"]:
                # End hosts choose session ids, so a session id must not become a file name.
                name = f"{sha256(session.encode()).hexdigest()[:32]}.json"
                (folder / name).write_text(json.dumps(answer, indent=1), encoding="utf-8")
                written.append((name, session))
    with (folder / "sessions.csv").open("w", encoding="utf-8") as file:
        write_csv(file, ("file", "session_id"), written)
    return len(written)


def _within(messages: Iterable[MessageRow], from_ms: int) -> tuple[list[MessageRow], MessageRow | None]:
    """The messages received from `from_ms` on, by `seq`, and the last known counters before the first of them."""
    within: list[MessageRow] = []
    before: dict[str, Any] = {}
    for each in messages:
        if each["received_ms"] >= from_ms:
            within.append(each)
        elif not within:
            before |= {name: each[name] for name in COUNTERS if each[name] is not None}
    return within, dict.fromkeys(COUNTERS) | before if before else None


def session_input(messages: Sequence[MessageRow], before: MessageRow | None = None) -> dict[str, Any]:
    """The input of one session, from its messages by `seq`. Times are seconds of media; bitrates are kbit/s.

    `before`: the counters of the message before them, if the time range excludes it; counters continue from there.
    """
    ahead = before or dict.fromkeys(COUNTERS, 0)
    grown = {name: list(increases([each[name] for each in messages], before=ahead[name])) for name in COUNTERS}
    segments: list[dict[str, Any]] = []
    stalls: list[list[float]] = []
    media_s, startup_ms = 0.0, None
    for at, each in enumerate(messages):
        startup_ms = each["startup_ms"] if each["startup_ms"] is not None else startup_ms
        duration_s, stalled_ms = (grown["played_ms"][at] or 0) / 1000, grown["stall_ms"][at] or 0
        if stalled_ms > 0:
            times = max(1, grown["stall_count"][at] or 0)
            stalls += [[_s(media_s + duration_s * (nth + 0.5) / times), _s(stalled_ms / 1000 / times)] for nth in range(times)]
        if duration_s > 0 and each["playback_kbps"] is not None:
            segments.append({"bitrate": each["playback_kbps"], "duration": _s(duration_s), "start": _s(media_s)} | _known(each))
        media_s += duration_s
    waited = [[0.0, _s(startup_ms / 1000)]] if startup_ms and before is None else []
    return {
        "I11": {"segments": [], "streamId": _STREAM},
        "I13": {"segments": segments, "streamId": _STREAM},
        "I23": {"stalling": waited + stalls, "streamId": _STREAM},
    }


def _known(message: MessageRow) -> dict[str, Any]:
    known = {name: message[name] for name in ("codec", "resolution") if message.get(name) is not None}
    try:
        return known | {"fps": float(message["fps"])}
    except (KeyError, TypeError, ValueError):
        return known


def _s(seconds: float) -> float:
    return round(seconds, 3)
