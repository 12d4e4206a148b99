"""Sends messages to a coordinator in batches, one after the other, until each message is accepted or refused.

The SDK's own code sends the requests and interprets the answers: only an answer in the coordinator's format accepts or refuses
messages. A message may be sent twice, because each (session_id, seq) counts once.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from endhost_sdk.backoff import asked_s
from endhost_sdk.request import DeliveryOutcome, interpret, plain
from endhost_sdk.telemetry_settings import check_key, feedback_urls
from endhost_sdk.transport import Answer, HttpTransport, Unreachable
from feedback_wire.kinds import RecordKind
from feedback_wire.routes import FEEDBACK, MESSAGES, NDJSON, bearer
from serving.forwarded import address_of

BATCH_BYTES = 512 * 1024
BATCH_MESSAGES = 1000
ANSWER_S = 30
PATIENCE_S = 60
"""Sending ends when a coordinator does not accept a batch for this time."""

_LEAST_PAUSE_S = 1.0
# A busy coordinator, and a proxy whose coordinator restarts.
_NOT_NOW = (429, 502, 503, 504)


@dataclass
class SendCounts:
    """Counts of accepted and refused messages, and descriptions of damaged files."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    damages: list[str] = field(default_factory=list)


class CoordinatorClient:
    """Sends to one coordinator, over a connection that is opened again when it was closed."""

    def __init__(self, coordinator: str, key: str) -> None:
        """ValueError for an invalid URL or key. Without authentication, `key` is empty."""
        try:
            [self._url] = feedback_urls(coordinator)
        except ValueError as error:
            raise ValueError(f"--coordinator: {error}") from error
        check_key(key)
        self._transport = HttpTransport()
        self._has_answered = False
        self._batch_messages = BATCH_MESSAGES
        self._headers = {"content-type": NDJSON} | ({"authorization": bearer(key)} if key else {})

    def send(self, lines: Sequence[bytes], ip: str, counts: SendCounts, kind: RecordKind = RecordKind.FEEDBACK) -> None:
        """Send messages of one sender and one kind.

        ConnectionError for no answer, ValueError for one that neither accepts nor refuses them.

        After a 413, which a proxy can send for a smaller limit than the coordinator's, this and all further batches are smaller.
        """
        # A coordinator uses this header if it trusts this machine as a proxy. Otherwise the records contain this machine's address.
        headers = self._headers | {"x-forwarded-for": str(address_of(ip) or "unknown")}
        left = list(lines)
        while left:
            batch = left[: self._batch_messages]
            try:
                answer = self._answer_to(self._url_of(kind), b"\n".join(batch), headers)
            except Unreachable as error:
                raise ConnectionError(f"the coordinator does not answer: {plain(str(error))}{_so_far(counts)}") from error
            verdict = interpret(answer, len(batch))
            if verdict.outcome is DeliveryOutcome.TOO_LARGE:
                self._batch_messages = len(batch) // 2
                continue
            if verdict.outcome not in (DeliveryOutcome.ACCEPTED, DeliveryOutcome.REFUSED):
                raise ValueError(f"the coordinator answered {answer.status}: {verdict.detail}{_so_far(counts)}")
            counts.refused.update(verdict.refused_for)
            counts.accepted += len(batch) - verdict.refused_for.total()
            del left[: len(batch)]

    def _url_of(self, kind: RecordKind) -> str:
        return self._url.removesuffix(FEEDBACK) + MESSAGES[kind]

    def _answer_to(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer to a request, repeated for `PATIENCE_S` while the coordinator is busy or restarts. Unreachable for none."""
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            pause_s = 0.0
            try:
                answer = self._transport.post(url, body, headers, ANSWER_S)
            except Unreachable:
                # A coordinator that has never answered probably has another URL.
                if not self._has_answered or time.monotonic() > give_up_s:
                    raise
            else:
                self._has_answered = True
                if answer.status not in _NOT_NOW or time.monotonic() > give_up_s:
                    return answer
                pause_s = asked_s(answer.retry_after, datetime.now(UTC))
            left_s = give_up_s - time.monotonic()
            time.sleep(max(min(pause_s, left_s), _LEAST_PAUSE_S))


def _so_far(counts: SendCounts) -> str:
    return f"; {counts.accepted:,} messages were accepted before, and count once if they are sent again" if counts.accepted else ""


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
