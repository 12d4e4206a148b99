"""Feedback messages sent to a coordinator by a command: batches, one after the other, until each is taken or refused.

A coordinator judges them as those of any end host. Sending a message twice does no harm: every (session_id, seq) counts once.
"""

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from feedback_wire.routes import FEEDBACK, NDJSON, bearer

BATCH_BYTES = 512 * 1024
BATCH_MESSAGES = 1000
ANSWER_S = 30
PATIENCE_S = 60
"""A coordinator that still says "later" after so long is not going to take any."""


@dataclass
class Tally:
    """How many messages the coordinator took, and how many it refused for which reason."""

    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    damages: list[str] = field(default_factory=list)


def check_url(coordinator: str) -> SplitResult:
    """The parts of a coordinator's URL; ValueError if it is none."""
    with suppress(ValueError):  # for a port that is none
        url = urlsplit(coordinator)
        if url.scheme in ("http", "https") and url.hostname and url.port != 0:
            return url
    raise ValueError(f"--coordinator is {coordinator!r}; it needs a coordinator's URL, such as http://127.0.0.1:8080")


class Sender:
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


def batches(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
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
