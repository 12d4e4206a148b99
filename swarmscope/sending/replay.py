"""Sends refused messages from a quarantine again, after the cause of the refusal is fixed.

The coordinator checks the messages again. Accepted messages get the current time of receipt; refused messages return to the
quarantine. A message may be sent twice, because each (session_id, seq) counts once.
"""

import errno
import json
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import zstandard

from feedback_analysis.reading.log_files import NotReadable, is_gone, open_file, reading_from
from feedback_wire.frames import Damage, Frame, walk
from swarmscope.sending.coordinator_client import CoordinatorClient, SendCounts, batches


def replay(files: Iterable[Path], coordinator: str, key: str) -> SendCounts:
    """Send the messages in `files` to `coordinator`; OSError or ValueError if sending fails.

    An unreadable file is listed in `damages`, and the other files are sent. FileNotFoundError for a missing file, before the first
    message is sent.
    """
    counts = SendCounts()
    files = list(files)
    for file in files:
        if is_gone(file):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    client = CoordinatorClient(coordinator, key)
    for file in files:
        for entries in _frames(file, counts):
            for ip, sent_from in groupby(sorted(entries, key=itemgetter("ip")), itemgetter("ip")):
                for batch in batches([_line(entry["payload"]) for entry in sent_from]):
                    client.send(batch, ip, counts)
    return counts


def _frames(file: Path, counts: SendCounts) -> Iterator[list[dict[str, str]]]:
    """The entries of each intact frame. Damage is added to `damages`."""
    try:
        with open_file(file) as opened, reading_from(file):
            data = opened.read()
    except NotReadable as error:
        counts.damages.append(f"{file}: not read: {error.strerror}")
        return
    for piece in walk(data):
        if isinstance(piece, Damage):
            counts.damages.append(f"{file}: {piece.size} bytes at offset {piece.offset} are damaged: {piece.reason}")
        elif isinstance(piece, Frame) and piece.header.records:
            try:
                text = zstandard.ZstdDecompressor().decompress(piece.payload, max_output_size=piece.header.inflated)
            except zstandard.ZstdError as error:
                counts.damages.append(f"{file}: the frame at offset {piece.offset} is intact but cannot be decompressed: {error}")
                continue
            entries = [json.loads(line) for line in text.splitlines()]
            if not all("payload" in entry and "ip" in entry for entry in entries):
                raise ValueError(f"{file} contains no refused messages; use files from a coordinator's --quarantine folder")
            yield entries


def _line(payload: str) -> bytes:
    """A payload as one line. JSON contains line ends only as whitespace, so a space is equivalent."""
    return payload.replace("\n", " ").replace("\r", " ").strip().encode(errors="replace") or b"?"
