"""Bare JSON lines, such as `swarmscope logs cat` writes: no frames and no footer, so nothing but each line can be checked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import orjson

from feedback_wire.frames import Damage

BARE: Literal["jsonl"] = "jsonl"
"""How such a file's name ends. It is no log of a server, so it is read when it is named, and passed over in a folder."""

PIECE_BYTES = 4 * 1024 * 1024


def bare_pieces(path: Path) -> Iterator[tuple[int, bytes] | Damage]:
    """Whole lines, with how many there are, and every line that is no record."""
    good: list[bytes] = []
    offset = size = 0
    with path.open("rb") as file:
        for line in file:
            whole = line if line.endswith(b"\n") else line + b"\n"
            wrong = _wrong(whole)
            if wrong:
                if good:
                    yield len(good), b"".join(good)
                good, size = [], 0
                yield Damage(offset, len(line), wrong, torn=whole is not line)
            else:
                good.append(whole)
                size += len(whole)
            offset += len(line)
            if size >= PIECE_BYTES:
                yield len(good), b"".join(good)
                good, size = [], 0
    if good:
        yield len(good), b"".join(good)


def _wrong(line: bytes) -> str:
    """Why the line is no record; empty if it is one."""
    try:
        record = orjson.loads(line)
        orjson.dumps(record)  # what is nested too deep to be written again
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        return f"the line is no JSON: {error}"
    if not isinstance(record, dict) or type(record.get("received_ms")) is not int:
        return "the line is no record: one is a JSON object with received_ms, a whole number"
    return ""
