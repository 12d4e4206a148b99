"""Sends refused messages from a quarantine again, after the cause of the refusal is fixed.

The coordinator checks the messages again. Accepted messages get the current time of receipt; refused messages return to the
quarantine. A message may be sent twice, because each (session_id, seq) counts once.
"""

import errno
import json
import os
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from coordinator.quarantine import FILE_BYTES
from feedback_analysis.reading.log_files import NotReadable, check_file, is_gone, reading_from
from feedback_server.forms.framed import line_frames
from feedback_wire.frames import Damage, walk
from feedback_wire.kinds import RecordKind
from serving.few_lines import few_lines
from serving.regular_files import read_regular
from swarmscope.sending.coordinator_client import CoordinatorClient, SendCounts, batches

_LARGEST_FILE_BYTES = 8 * FILE_BYTES
"""A coordinator begins a new file after `FILE_BYTES` and one frame. A much larger file would only fill the memory."""

_LONGEST_LINE_BYTES = 1024 * 1024
"""A coordinator keeps 64 KiB of a message, in which JSON may need 6 bytes for each."""

_Refused = tuple[str, RecordKind, str]
"""The sender's address, the kind and the payload of a refused message."""


def replay(files: Iterable[Path], coordinator: str, key: str) -> SendCounts:
    """Send the messages in `files` to `coordinator`; OSError or ValueError if sending fails.

    An unreadable file is listed in `damages`, and the other files are sent. FileNotFoundError for a missing file, before the first
    message is sent.
    """
    counts = SendCounts()
    files = list(files)
    sender = CoordinatorClient(coordinator, key)
    for file in files:
        if is_gone(file):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    for file in files:
        for messages in _frames(file, counts):
            for (ip, kind), alike in groupby(sorted(messages, key=itemgetter(0, 1)), itemgetter(0, 1)):
                for batch in batches([_line(payload) for _, _, payload in alike]):
                    sender.send(batch, ip, counts, kind)
    return counts


def _frames(file: Path, counts: SendCounts) -> Iterator[list[_Refused]]:
    """The messages of each intact frame. Damage is added to `damages`."""
    try:
        if check_file(file) > _LARGEST_FILE_BYTES:
            raise NotReadable(errno.EFBIG, f"a file of a quarantine has at most {_LARGEST_FILE_BYTES:,} bytes", str(file))
        with reading_from(file):
            data = read_regular(file)
    except NotReadable as error:
        counts.damages.append(f"{file}: not read: {error.strerror}")
        return
    with few_lines(counts.damages.append, f"damaged parts of {file}") as damaged:
        for found in line_frames(walk(data)):
            if isinstance(found, Damage):
                damaged(f"{file}: {found.size} bytes at offset {found.offset} are damaged: {found.reason}")
                continue
            messages = [message for line in BytesIO(found.text) if (message := _message(line))]
            if others := found.header.records - len(messages):
                damaged(f"{file}: {others} lines at offset {found.offset} are not refused messages of a coordinator")
            yield messages


def _message(line: bytes) -> _Refused | None:
    """A line of a quarantine; None for another line."""
    if len(line) > _LONGEST_LINE_BYTES:
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    ip, kind, payload = entry.get("ip"), entry.get("kind", RecordKind.FEEDBACK), entry.get("payload")
    if not isinstance(ip, str) or not isinstance(payload, str) or kind not in tuple(RecordKind):
        return None
    return ip, RecordKind(kind), payload


def _line(payload: str) -> bytes:
    """A payload as one line. JSON contains line ends only as whitespace, so a space is equivalent."""
    return payload.replace("\n", " ").replace("\r", " ").strip().encode(errors="replace") or b"?"
