"""Feedback messages sent to a coordinator by a command: batches, one after the other, until each is taken or refused.

A coordinator judges them as those of any end host, and its answers are understood as the SDK understands them: nothing but its own
words counts. Sending a message twice does no harm: every (session_id, seq) counts once.
"""

import http.client
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from endhost_sdk.request import Outcome, understand
from endhost_sdk.transport import Answer
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
        """Send one batch, as often as the coordinator asks for it; ValueError for an answer that decides nothing."""
        # Believed by a coordinator that counts this machine among its trusted proxies; else the records have our address.
        headers = self._headers | ({"x-forwarded-for": ip} if ip else {})
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            answer = self._ask(b"\n".join(lines), headers)
            if answer.status not in (429, 503) or time.monotonic() > give_up_s:
                break
            asked_s = answer.retry_after or ""
            time.sleep(float(asked_s) if asked_s.isdecimal() else 1.0)
        verdict = understand(answer, len(lines))
        if verdict.outcome not in (Outcome.ACCEPTED, Outcome.REFUSED):
            raise ValueError(f"the coordinator answered {answer.status}: {verdict.detail}")
        tally.refused.update(verdict.refused_for)
        tally.taken += len(lines) - verdict.refused_for.total()

    def _ask(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        self._connection.request("POST", self._path, body, dict(headers))
        answer = self._connection.getresponse()
        return Answer(
            status=answer.status,
            body=answer.read(),
            retry_after=answer.getheader("retry-after", ""),
            content_type=answer.getheader("content-type", ""),
        )


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
