"""What ITU-T P.1203 mode 0 needs of a session, in the input format of its public reference implementation.

The model itself is not shipped: its licence forbids it. We see intervals, not segments, so this is an approximation: an interval is
one segment at its mean bitrate (audio and video together, given as video), and the stalls of an interval are spread evenly over it,
each as long as the others. Codec, resolution and frame rate come from `extra` (codec, resolution, fps) if the app says them, else
they are left out, and the reference implementation will ask for them.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

from monitor_platform.measures.selection import Selection, Span
from monitor_platform.measures.spreadsheet import write_csv
from monitor_platform.measures.table import FeedbackTable

_SAID = ("seq", "playback_kbps", "played_ms", "startup_ms", "stall_count", "stall_ms")
_EXTRAS = ("codec", "resolution", "fps")
_STREAM = 1

Message = Mapping[str, Any]


def write_inputs(folder: Path, table: FeedbackTable, *, span: Span | None = None, where: Mapping[str, str] | None = None) -> int:
    """A JSON file per session that played, and `sessions.csv` that says which is whose; how many there are."""
    selection = Selection(span, where or {})
    extras = (f"json_extract_string(extra, '/{name}') AS {name}" for name in _EXTRAS)
    sql = f"{selection.sql('session_id', *_SAID, *extras)} ORDER BY session_id, seq"
    written = []
    with table.reading() as cursor:
        found = cursor.execute(sql, selection.parameters)
        names = [column[0] for column in found.description]
        said = (dict(zip(names, row, strict=True)) for row in iter(found.fetchone, None))
        for session, messages in groupby(said, key=lambda each: each["session_id"]):
            answer = session_input(messages)
            if answer["I13"]["segments"]:
                # End hosts choose session ids; no file name may be made of what strangers write.
                name = f"{sha256(session.encode()).hexdigest()[:32]}.json"
                (folder / name).write_text(json.dumps(answer, indent=1), encoding="utf-8")
                written.append((name, session))
    with (folder / "sessions.csv").open("w", encoding="utf-8") as file:
        write_csv(file, ("file", "session_id"), written)
    return len(written)


def session_input(messages: Iterator[Message]) -> dict[str, Any]:
    """The input of one session, from its messages by `seq`. Times are seconds of media."""
    segments: list[dict[str, Any]] = []
    stalls: list[list[float]] = []
    media_s, played_ms, stall_count, stall_ms, startup_ms = 0.0, 0, 0, 0, None
    for said in messages:
        startup_ms = said["startup_ms"] if said["startup_ms"] is not None else startup_ms
        duration_s = ((said["played_ms"] or played_ms) - played_ms) / 1000
        count, stalled_ms = (said["stall_count"] or stall_count) - stall_count, (said["stall_ms"] or stall_ms) - stall_ms
        if stalled_ms > 0:
            times = max(1, count)
            stalls += [[_s(media_s + duration_s * (at + 0.5) / times), _s(stalled_ms / 1000 / times)] for at in range(times)]
        stall_count, stall_ms = stall_count + max(0, count), stall_ms + max(0, stalled_ms)
        if duration_s > 0 and said["playback_kbps"] is not None:
            segments.append({"bitrate": said["playback_kbps"], "duration": _s(duration_s), "start": _s(media_s)} | _known(said))
        media_s, played_ms = media_s + max(0.0, duration_s), played_ms + max(0, round(duration_s * 1000))
    waited = [[0.0, _s(startup_ms / 1000)]] if startup_ms else []
    return {
        "I11": {"segments": [], "streamId": _STREAM},
        "I13": {"segments": segments, "streamId": _STREAM},
        "I23": {"stalling": waited + stalls, "streamId": _STREAM},
    }


def _known(said: Message) -> dict[str, Any]:
    known = {name: said[name] for name in ("codec", "resolution") if said.get(name) is not None}
    try:
        return known | {"fps": float(said["fps"])}
    except (KeyError, TypeError, ValueError):
        return known


def _s(seconds: float) -> float:
    return round(seconds, 3)
