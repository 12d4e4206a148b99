"""What happens to a request with messages after its last byte: it is charged, decompressed, split, checked, sampled and placed.

A message of the usual form is checked at once. Everything that can take longer runs in slices (`sliced_work`).
"""

import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial
from typing import Protocol

from coordinator.admission import Sampling, kept
from coordinator.carriers.batch import Outcome
from coordinator.carriers.outbox import Outbox
from coordinator.dialects.exact_check import CheckedMessage, Refused, one_line
from coordinator.dialects.inference_message import check_inference
from coordinator.dialects.measurement_message import check_measurement
from coordinator.dialects.native_body import UNIT_BYTES, BodyForm, check_array, cost, cost_of_size, split
from coordinator.dialects.native_message import check, check_exactly, check_usual
from coordinator.dialects.worker_message import corrected
from coordinator.http.answers import RETRY_AFTER_S, Answers
from coordinator.http.connection_limits import ConnectionLimits
from coordinator.http.content_encoding import inflate
from coordinator.http.feedback_head import FeedbackHead, HeadReader
from coordinator.http.record_prefixes import RecordPrefixes
from coordinator.http.sliced_work import SlicedWork, Work
from coordinator.ingest_keys import FREE_TIMES, IngestKey, IngestKeys, KeyTerms
from coordinator.quarantine import Quarantine, RefusedMessage
from coordinator.settings import Settings
from coordinator.worker_counters import WorkerCounters
from feedback_wire.kinds import RecordKind
from feedback_wire.limits import BATCH_INFLATED_BYTES, MESSAGE_BYTES
from feedback_wire.problem import Problem, Refusal
from feedback_wire.record import unsampled

_PROBLEMS = {
    Outcome.SPOOL_FULL: Problem(503, "spool_full", "no feedback server answers and the spool is full; send it again later"),
    Outcome.NO_SERVER: Problem(503, "no_feedback_server", "no feedback server answers; send it again later"),
    Outcome.REJECTED: Problem(503, "rejected_by_feedback_server", "the feedback server refused the batch; send it again later"),
    Outcome.BLOCKED: Problem(503, "batch_blocked", "something in front of every feedback server refuses this; send it again later"),
}

UNUSUAL_BYTES = UNIT_BYTES
"""An unusual message up to this size is checked at once if there is time."""

INLINE_BYTES = 16 * 1024
"""A larger compressed body is inflated on a thread: one that is made to be slow takes 0.2 s for each MiB."""

WORK_BYTES = 2048
"""Memory that a request takes in addition to its body while it waits to be checked."""

CHECKED_AT_ONCE = 16
"""Messages of a batch that are checked in one step: 0.1 ms for usual ones, 5 ms if each has 64 KiB."""

PLACED_AT_ONCE = 256
"""Messages of a batch that are placed together, before the rest is checked."""

_FEEDBACK = RecordKind.FEEDBACK  # a global name costs less than an attribute of an enum, and every request needs it
_EXACT_CHECKS: Mapping[RecordKind, Callable[[bytes], CheckedMessage]] = {
    RecordKind.FEEDBACK: check_exactly,
    RecordKind.MEASUREMENT: check_measurement,
    RecordKind.INFERENCE: check_inference,
}
_log = logging.getLogger(__name__)
_now = time.perf_counter


def overloaded() -> Problem:
    """A new refusal each time: one exception that is raised repeatedly would keep its frames, and the request bodies in them."""
    return Problem(503, "overloaded", "too much is waiting to become durable; send it again later")


class AnswerWriter(Protocol):
    """Writes the answers of one connection."""

    def answered(self, exchange: "FeedbackExchange") -> None:
        """`exchange.answer` is set; it may be written when the answers of all earlier requests have been."""


class FeedbackExchange:
    """One feedback request and its answer."""

    # Defaults of the class, because setting them costs time for each of many thousand requests a second.
    answer = b""
    last = False
    retry_after_s = RETRY_AFTER_S
    held_bytes = 0
    parts = 1
    accepted = 1
    forgotten = 0
    outcome = Outcome.STORED
    refusals: tuple[Refusal, ...] = ()
    kind = RecordKind.FEEDBACK
    outbox: Outbox | None = None
    """The outbox of a kind other than feedback."""

    key: IngestKey
    share: float
    """The share of end hosts that was kept when the request came. Its prefix has the weight of that moment, so its messages are
    sampled with that share, even if they are checked later."""

    def __init__(self, connection: AnswerWriter, handler: "FeedbackHandler") -> None:
        self.connection = connection
        self.handler = handler
        self.began_s = _now()

    def settled(self, outcome: Outcome) -> None:
        """One part of the request is durable, or failed. The last part concludes the exchange."""
        if not outcome.durable:
            self.outcome = outcome
        if self.parts == 1:
            self.handler.conclude(self)
        else:
            self.parts -= 1


class FeedbackHandler:
    """Receives the feedback requests of one worker."""

    def __init__(
        self,
        settings: Settings,
        keys: IngestKeys,
        outboxes: Mapping[RecordKind, Outbox],
        quarantine: Quarantine | None,
        counters: WorkerCounters,
        answers: Answers,
        *,
        connection_limits: ConnectionLimits,
    ) -> None:
        self.keys = keys
        self.answers = answers
        self.counters = counters
        self.sampling = Sampling(settings.sample, reduces=settings.overload == "sample")
        self.prefixes = RecordPrefixes(settings, counters, self.sampling.weight)
        self.heads = HeadReader(keys, proxy_header=settings.proxy_header if self.prefixes.trusts_proxies else "")
        self.sliced_work = SlicedWork()
        self.connection_limits = connection_limits
        self.stopping = False
        self._ticked_s = time.monotonic()
        self.seconds = int(self._ticked_s)
        """The monotonic clock in whole seconds: exact enough for deadlines, and read without a system call."""
        self._outbox = outboxes[RecordKind.FEEDBACK]
        self._outboxes = outboxes
        self._quarantine = quarantine
        self._lenient = settings.lenient
        self._held_max = settings.in_flight_max_bytes

    def tick(self, monotonic_s: float, unix_s: float) -> bool:
        """Called about once a second. True if the weight in force has changed, and with it every prefix."""
        self.keys.refill(monotonic_s - self._ticked_s)
        self._ticked_s, self.seconds = monotonic_s, int(monotonic_s)
        self.answers.tick(unix_s)
        self.prefixes.warn_of_unknown_senders(monotonic_s)
        if self._quarantine is not None:
            self._quarantine.flush()
        changed = self.sampling.adapt(self._outbox.held_bytes / self._held_max)
        if changed:
            self.prefixes.weigh(self.sampling.weight)
            self.counters.workers_shedding = int(self.sampling.is_reduced)
            _log.warning("load: of every %d end hosts one is kept now", round(self.sampling.weight))
        return changed

    @property
    def obstacle(self) -> str:
        """Why no message should be sent now; empty if messages are welcome."""
        return "the coordinator is stopping" if self.stopping else self._outbox.obstacle

    def is_crowded(self, key: IngestKey) -> bool:
        """Whether this key holds its share of the memory already. When none is free, every key does."""
        return key.held_bytes >= FREE_TIMES * (self._held_max - self._outbox.held_bytes)

    def hold(self, size: int, key: IngestKey) -> None:
        """Count bytes among what is held for `key`; a negative `size` gives them back."""
        self._outbox.held_bytes += size
        key.held_bytes += size

    def change_keys(self, terms: Iterable[KeyTerms]) -> None:
        """Only these keys are valid from the next request on, on open connections too."""
        self.keys.load(terms)
        self.heads.known.clear()

    def receive(self, exchange: FeedbackExchange, head: FeedbackHead, body: bytes, prefix: bytes) -> None:
        """Receive a complete request. It is answered at once if it is refused, else when its messages are durable."""
        self.counters.requests += 1
        exchange.key = key = head.key
        exchange.share = self.sampling.share
        if head.forgotten:
            exchange.forgotten = head.forgotten
        if key.allowance <= 0:
            self.refuse(exchange, self._rate_limited(exchange, key))
            return
        if key.held_bytes >= FREE_TIMES * (self._held_max - self._outbox.held_bytes):  # is_crowded; the call would cost 1 %
            self.refuse(exchange, overloaded())
            return
        if head.kind is not _FEEDBACK:
            exchange.kind, exchange.share, prefix = head.kind, 1.0, unsampled(prefix)
            exchange.outbox = outbox = self._outboxes[head.kind]
            if outbox.held_bytes >= self._held_max:
                self.refuse(exchange, overloaded())
                return
        elif head.form is BodyForm.JSON and body[:1] == b"{" and head.encoding == "identity":
            if (message := check_usual(body)) is not None:
                self._charge(key, 1, 1 + len(body) // UNIT_BYTES)  # cost_of_size
                self._place_one(exchange, message, body, prefix)
                return
            if len(body) <= UNUSUAL_BYTES and self.sliced_work.has_time:
                began_s = _now()
                self._accept_unusual(exchange, body, prefix)
                self.sliced_work.spend(_now() - began_s)
                return
        held = len(body) + WORK_BYTES
        self.hold(held, key)
        self.sliced_work.add(key, exchange.connection, self._check(exchange, head, body, prefix, held))

    def refuse(self, exchange: FeedbackExchange, problem: Problem) -> None:
        """Answer a request that is refused as a whole."""
        self.counters.requests_refused[problem.reason] += 1
        exchange.answer = self.answers.problem(
            problem, refusals=exchange.refusals, retry_after_s=exchange.retry_after_s, last=exchange.last
        )
        exchange.connection.answered(exchange)

    def conclude(self, exchange: FeedbackExchange) -> None:
        """Answer a request whose parts are all settled, and record how long it took."""
        exchange.key.held_bytes -= exchange.held_bytes
        if not exchange.outcome.durable:
            self.refuse(exchange, _PROBLEMS[exchange.outcome])
            return
        self.counters.forgotten += exchange.forgotten
        self.counters.latency.observe(_now() - exchange.began_s)
        plain = exchange.accepted == 1 and not exchange.refusals
        exchange.answer = self.answers.accepted_one if plain else self.answers.accepted(exchange.accepted, exchange.refusals)
        exchange.connection.answered(exchange)

    def _check(self, exchange: FeedbackExchange, head: FeedbackHead, body: bytes, prefix: bytes, held: int) -> Work:
        """Check a request in slices. It gives back the `held` bytes when it needs them no longer."""
        key = exchange.key
        try:
            if key.allowance <= 0:
                raise self._rate_limited(exchange, key)
            if head.encoding != "identity":
                body = yield from self._inflated(key, body, head.encoding)
                self.hold(-held, key)
                held = 0
                if self.is_crowded(key):
                    raise overloaded()
                held = len(body) + WORK_BYTES
                self.hold(held, key)
                yield None
            if head.form is BodyForm.JSON and body[:1] == b"{":
                body = self._corrected(exchange, body)
                # `receive` has tried `check_usual` on feedback that was not compressed.
                tried = head.kind is not _FEEDBACK or head.encoding == "identity"
                self._accept_one(exchange, body, prefix, _EXACT_CHECKS[head.kind] if tried else check)
            else:
                yield from self._accept_many(exchange, body, head.form, prefix)
        except Problem as problem:
            self.refuse(exchange, problem)
        finally:
            self.hold(-held, key)

    def _inflated(self, key: IngestKey, body: bytes, encoding: str) -> Generator[Callable[[], bytes] | None, bytes, bytes]:
        try:
            if len(body) > INLINE_BYTES:
                return (yield partial(inflate, body, encoding))
            return inflate(body, encoding)
        except Problem as problem:
            key.charge(1 + BATCH_INFLATED_BYTES // UNIT_BYTES if problem.status == 413 else cost_of_size(body))
            raise

    def _corrected(self, exchange: FeedbackExchange, raw: bytes) -> bytes:
        """`raw`, or the measurement message for a simple worker's message, if the coordinator is lenient."""
        if exchange.kind is not RecordKind.MEASUREMENT or not self._lenient:
            return raw
        message, corrections = corrected(raw)
        for name in corrections:
            self.counters.corrections[name] += 1
        return message

    def _charge(self, key: IngestKey, messages: int, units: int) -> None:
        self.counters.received += messages
        key.messages += messages
        key.charge(units)

    def _rate_limited(self, exchange: FeedbackExchange, key: IngestKey) -> Problem:
        key.rate_limited += 1
        exchange.retry_after_s = key.pause_s()
        return Problem(
            429, "rate_limited", f"this key may send {key.messages_per_second:g} messages a second; wait, then send again"
        )

    def _accept_unusual(self, exchange: FeedbackExchange, raw: bytes, prefix: bytes) -> None:
        """Accept a short message that `check_usual` does not know."""
        try:
            self._accept_one(exchange, raw, prefix, check_exactly)
        except Problem as problem:
            self.refuse(exchange, problem)

    def _accept_one(self, exchange: FeedbackExchange, raw: bytes, prefix: bytes, read: Callable[[bytes], CheckedMessage]) -> None:
        self._charge(exchange.key, 1, cost(1, raw))
        try:
            message = read(raw)
        except Refused as refused:
            self._record_refusal(refused, exchange, raw, prefix)
            raise Problem(400, refused.reason, refused.detail) from None
        self._place_one(exchange, message, raw, prefix)

    def _place_one(self, exchange: FeedbackExchange, message: CheckedMessage, raw: bytes, prefix: bytes) -> None:
        if exchange.share < 1 and not kept(message.peer_id, exchange.share):
            self.counters.sampled_out += 1
            exchange.settled(Outcome.STORED)
            return
        line = prefix + one_line(raw)[1:] + b"\n"
        exchange.held_bytes = len(line)
        exchange.key.held_bytes += exchange.held_bytes
        (exchange.outbox or self._outbox).place(message.peer_id, line, 1, exchange.key, exchange)

    def _accept_many(self, exchange: FeedbackExchange, body: bytes, form: BodyForm, prefix: bytes) -> Work:
        """Accept a batch, a few messages at a time. The exchange has one part more than was placed, so it cannot conclude earlier.

        A message counts as received when its outcome is decided. Otherwise the counters would not balance between two slices.
        """
        raws = yield from self._split(exchange.key, body, form)
        yield None
        lines: list[tuple[str, bytes]] = []
        refusals = []
        for index, sent in enumerate(raws):
            raw = self._corrected(exchange, sent)
            try:
                message = check_usual(raw) if exchange.outbox is None else None
                if message is None:
                    yield None
                    message = _EXACT_CHECKS[exchange.kind](raw)
            except Refused as refused:
                self.counters.received += 1
                self._record_refusal(refused, exchange, raw, prefix)
                refusals.append(Refusal(index, refused.reason, refused.detail))
                continue
            if exchange.share < 1 and not kept(message.peer_id, exchange.share):
                self.counters.received += 1
                self.counters.sampled_out += 1
            else:
                lines.append((message.peer_id, prefix + one_line(raw)[1:] + b"\n"))
            if not index % CHECKED_AT_ONCE:
                yield None
            if len(lines) >= PLACED_AT_ONCE:
                self._place(exchange, lines)
                lines = []
        exchange.refusals = tuple(refusals)
        exchange.accepted = len(raws) - len(refusals)
        if refusals and len(raws) == 1:
            raise Problem(400, refusals[0].reason, refusals[0].detail)
        if refusals and not exchange.accepted:
            raise Problem(400, "all_refused", f"all {len(raws)} messages are refused; `refused` gives the reason for each")
        self._place(exchange, lines)
        exchange.settled(Outcome.STORED)

    def _split(self, key: IngestKey, body: bytes, form: BodyForm) -> Generator[None, bytes, list[bytes]]:
        """The texts of the messages in a batch, which are charged to the key. Problem if the batch cannot be split."""
        try:
            check_array(body, form)
            yield None
            raws = split(body, form)
        except Problem:
            key.charge(cost(1, body))
            raise
        key.messages += len(raws)
        key.charge(cost(len(raws), body))
        return raws

    def _record_refusal(self, refused: Refused, exchange: FeedbackExchange, raw: bytes, prefix: bytes) -> None:
        """Count a refused message, and keep it for the operator."""
        self.counters.refused[refused.reason] += 1
        if self._quarantine is not None:
            self._quarantine.keep(
                RefusedMessage(
                    received_ms=time.time_ns() // 1_000_000,
                    reason=refused.reason,
                    detail=refused.detail,
                    key=exchange.key.name,
                    prefix=prefix,
                    payload=raw[:MESSAGE_BYTES],
                    kind=exchange.kind,
                )
            )

    def _place(self, exchange: FeedbackExchange, lines: list[tuple[str, bytes]]) -> None:
        """Place messages of one request: in one part, unless they are many or their end hosts belong on several servers."""
        self.counters.received += len(lines)
        outbox = exchange.outbox or self._outbox
        parts = outbox.parts(lines)
        exchange.parts += len(parts)
        size = sum(len(part) for _, part, _ in parts)
        exchange.held_bytes += size
        exchange.key.held_bytes += size
        for peer_id, part, messages in parts:
            outbox.place(peer_id, part, messages, exchange.key, exchange)
