"""Sends messages to a coordinator in batches, one after the other, until each message is accepted or refused.

The SDK's own code interprets the answers: only an answer in the coordinator's format accepts or refuses messages. A message may be
sent twice, because each (session_id, seq) counts once.
"""

import http.client
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from endhost_sdk.request import DeliveryOutcome, interpret
from endhost_sdk.transport import Answer
from feedback_wire.routes import FEEDBACK, NDJSON, bearer

BATCH_BYTES = 512 * 1024
BATCH_MESSAGES = 1000
ANSWER_S = 30
PATIENCE_S = 60
"""Sending ends when a coordinator answers 429 or 503 for this time."""


@dataclass
class SendCounts:
    """Counts of accepted and refused messages, and descriptions of damaged files."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    damages: list[str] = field(default_factory=list)


def check_url(coordinator: str) -> SplitResult:
    """The parts of a coordinator's URL; ValueError for another text."""
    with suppress(ValueError):  # an invalid port
        url = urlsplit(coordinator)
        if url.scheme in ("http", "https") and url.hostname and url.port != 0:
            return url
    raise ValueError(f"--coordinator is {coordinator!r}; it must be a URL such as http://127.0.0.1:8080")


class CoordinatorClient:
    """A connection to a coordinator, which is opened again when it was closed."""

    def __init__(self, coordinator: str, key: str) -> None:
        url = check_url(coordinator)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(url.hostname or "", url.port, timeout=ANSWER_S)
        self._path = url.path.rstrip("/") + FEEDBACK
        self._batch_messages = BATCH_MESSAGES
        self._headers = {"content-type": NDJSON} | ({"authorization": bearer(key)} if key else {})

    def send(self, lines: Sequence[bytes], ip: str, counts: SendCounts) -> None:
        """Send messages of one sender. ValueError for an answer that neither accepts nor refuses them.

        After a 413, which a proxy can send for a smaller limit than the coordinator's, this and all further batches are smaller.
        """
        # A coordinator uses this header if it trusts this machine as a proxy. Otherwise the records contain this machine's address.
        headers = self._headers | ({"x-forwarded-for": ip} if ip else {})
        left = list(lines)
        while left:
            batch = left[: self._batch_messages]
            answer = self._answer_to(b"\n".join(batch), headers)
            verdict = interpret(answer, len(batch))
            if verdict.outcome is DeliveryOutcome.TOO_LARGE:
                self._batch_messages = len(batch) // 2
                continue
            if verdict.outcome not in (DeliveryOutcome.ACCEPTED, DeliveryOutcome.REFUSED):
                raise ValueError(f"the coordinator answered {answer.status}: {verdict.detail}")
            counts.refused.update(verdict.refused_for)
            counts.accepted += len(batch) - verdict.refused_for.total()
            del left[: len(batch)]

    def _answer_to(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer to a request, which is repeated after 429 and 503 for `PATIENCE_S`."""
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            answer = self._ask(body, headers)
            if answer.status not in (429, 503) or time.monotonic() > give_up_s:
                return answer
            asked_s = answer.retry_after or ""
            time.sleep(float(asked_s) if asked_s.isdecimal() else 1.0)

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
    """Divide messages into batches of at most `BATCH_MESSAGES` and about `BATCH_BYTES`."""
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
