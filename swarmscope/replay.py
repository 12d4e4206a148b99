"""Feeding refused messages back, once what refused them is mended.

A coordinator judges them anew: what it takes is stored as received now, what it refuses goes to its quarantine once more. Sending
a message twice does no harm, since every (session_id, seq) counts once.
"""

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import zstandard

from feedback_wire.frames import Damage, Frame, walk
from feedback_wire.routes import FEEDBACK, NDJSON, bearer

BATCH_BYTES = 512 * 1024
BATCH_MESSAGES = 1000
ANSWER_S = 30
PATIENCE_S = 60
"""A coordinator that still says "later" after so long is not going to take any."""


@dataclass
class Tally:
    """What became of the messages."""

    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    damages: list[str] = field(default_factory=list)


def replay(files: Iterable[Path], coordinator: str, key: str) -> Tally:
    """Send all that `files` hold to `coordinator`; OSError or ValueError, in words for a person, if it cannot go on."""
    tally = Tally()
    sender = _Sender(coordinator, key)
    for file in files:
        for entries in _frames(file, tally):
            for ip, sent_from in groupby(sorted(entries, key=itemgetter("ip")), itemgetter("ip")):
                for batch in _batches([_line(entry["payload"]) for entry in sent_from]):
                    sender.send(batch, ip, tally)
    return tally


def check_url(coordinator: str) -> SplitResult:
    """The parts of a coordinator's URL; ValueError if it is none."""
    with suppress(ValueError):  # for a port that is none
        url = urlsplit(coordinator)
        if url.scheme in ("http", "https") and url.hostname and url.port != 0:
            return url
    raise ValueError(f"--coordinator is {coordinator!r}; it needs a coordinator's URL, such as http://127.0.0.1:8080")


class _Sender:
    """One connection to a coordinator, opened anew when it has ended."""

    def __init__(self, coordinator: str, key: str) -> None:
        url = check_url(coordinator)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(url.hostname or "", url.port, timeout=ANSWER_S)
        self._path = url.path.rstrip("/") + FEEDBACK
        self._headers = {"content-type": NDJSON} | ({"authorization": bearer(key)} if key else {})

    def send(self, lines: Sequence[bytes], ip: str, tally: Tally) -> None:
        """Send one batch, as often as the coordinator asks for it."""
        # Believed by a coordinator that counts this machine among its trusted proxies; else the records have our address.
        headers = self._headers | ({"x-forwarded-for": ip} if ip else {})
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            status, retry_after_s, answer = self._ask(b"\n".join(lines), headers)
            if status not in (429, 503) or time.monotonic() > give_up_s:
                break
            time.sleep(retry_after_s)
        refused = answer.get("refused", ())
        if status == 400 and len(lines) == 1:
            refused = (answer,)
        elif status != 202 and answer.get("reason") != "all_refused":
            raise ValueError(f"the coordinator answered {status}: {answer.get('detail', 'nothing that is known here')}")
        tally.refused.update(each["reason"] for each in refused)
        tally.taken += len(lines) - len(refused)

    def _ask(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, float, dict[str, Any]]:
        self._connection.request("POST", self._path, body, dict(headers))
        answer = self._connection.getresponse()
        content = answer.read()
        retry_after = answer.getheader("retry-after", "1")
        try:
            told = json.loads(content)
        except (ValueError, RecursionError):
            told = {}
        return answer.status, float(retry_after) if retry_after.isdigit() else 1.0, told if isinstance(told, dict) else {}


def _frames(file: Path, tally: Tally) -> Iterator[list[dict[str, str]]]:
    """The entries of each whole frame; what is damaged is named in the tally."""
    for piece in walk(file.read_bytes()):
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


def _batches(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if len(batch) == BATCH_MESSAGES or (batch and size + len(line) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    if batch:
        yield batch
