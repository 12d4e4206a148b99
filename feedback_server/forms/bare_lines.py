"""Bare JSON lines, as `swarmscope logs cat` writes them: without frames and footer, so only single lines can be checked."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import orjson

from feedback_wire.frames import Damage
from serving.regular_files import open_regular

BARE: Literal["jsonl"] = "jsonl"
"""The suffix of such a file. It is not a log of a server: it is read if it is named, and skipped in a folder."""

LONGEST_LINE_BYTES = 1024 * 1024
"""A longer line is no record: a message has at most 64 KiB."""

PIECE_BYTES = 4 * 1024 * 1024


def bare_pieces(path: Path) -> Iterator[tuple[int, bytes] | Damage]:
    """Pieces of whole lines with their number of lines, and every line that is not a record."""
    good: list[bytes] = []
    offset = size = 0
    with open_regular(path) as file:
        for length, line in _lines(file):
            whole = line if line.endswith(b"\n") else line + b"\n"
            wrong = _wrong(whole) if length == len(line) else f"the line is longer than {LONGEST_LINE_BYTES:,} bytes"
            if wrong:
                if good:
                    yield len(good), b"".join(good)
                good, size = [], 0
                yield Damage(offset, length, wrong, torn=whole is not line)
            else:
                good.append(whole)
                size += len(whole)
            offset += length
            if size >= PIECE_BYTES:
                yield len(good), b"".join(good)
                good, size = [], 0
    if good:
        yield len(good), b"".join(good)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines with their lengths. Only the last part of a line that is longer than `LONGEST_LINE_BYTES` is in memory."""
    while line := file.readline(LONGEST_LINE_BYTES):
        length = len(line)
        while not line.endswith(b"\n") and (more := file.readline(LONGEST_LINE_BYTES)):
            length, line = length + len(more), more
        yield length, line


def _wrong(line: bytes) -> str:
    """Why the line is not a record; empty if it is one."""
    try:
        record = orjson.loads(line)
        orjson.dumps(record)  # fails if it is nested too deeply to be written again
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        return f"the line is not JSON: {error}"
    if not isinstance(record, dict) or type(record.get("received_ms")) is not int:
        return "the line is not a record: a record is a JSON object with a whole number received_ms"
    return ""
