"""Feeding refused messages back, once what refused them is mended.

A coordinator judges them anew: what it takes is stored as received now, what it refuses goes to its quarantine once more. Sending
a message twice does no harm, since every (session_id, seq) counts once.
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
from swarmscope.sending import Sender, Tally, batches


def replay(files: Iterable[Path], coordinator: str, key: str) -> Tally:
    """Send all that `files` hold to `coordinator`; OSError or ValueError, in words for a person, if it cannot go on.

    A file that cannot be read is named in the tally, and the others are sent. FileNotFoundError, before anything is sent, for one
    that is not there.
    """
    tally = Tally()
    files = list(files)
    for file in files:
        if is_gone(file):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    sender = Sender(coordinator, key)
    for file in files:
        for entries in _frames(file, tally):
            for ip, sent_from in groupby(sorted(entries, key=itemgetter("ip")), itemgetter("ip")):
                for batch in batches([_line(entry["payload"]) for entry in sent_from]):
                    sender.send(batch, ip, tally)
    return tally


def _frames(file: Path, tally: Tally) -> Iterator[list[dict[str, str]]]:
    """The entries of each whole frame; what is damaged is named in the tally."""
    try:
        with open_file(file) as opened, reading_from(file):
            data = opened.read()
    except NotReadable as error:
        tally.damages.append(f"{file}: not read: {error.strerror}")
        return
    for piece in walk(data):
        if isinstance(piece, Damage):
            tally.damages.append(f"{file}: {piece.size} bytes at offset {piece.offset} are damaged: {piece.reason}")
        elif isinstance(piece, Frame) and piece.header.records:
            try:
                text = zstandard.ZstdDecompressor().decompress(piece.payload, max_output_size=piece.header.inflated)
            except zstandard.ZstdError as error:
                tally.damages.append(f"{file}: the frame at offset {piece.offset} is whole but not readable: {error}")
                continue
            entries = [json.loads(line) for line in text.splitlines()]
            if not all("payload" in entry and "ip" in entry for entry in entries):
                raise ValueError(f"{file} holds no refused messages; a coordinator keeps them in its --quarantine")
            yield entries


def _line(payload: str) -> bytes:
    """A payload as one line: JSON has line ends only between its parts, where a space means the same."""
    return payload.replace("\n", " ").replace("\r", " ").strip().encode(errors="replace") or b"?"
