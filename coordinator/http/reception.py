"""What happens to a request once its body is there: inflate, split, check, sample, place. HTTP itself is the intake's business."""

import logging
import time
from collections.abc import Callable, Generator, Iterable
from functools import lru_cache, partial
from typing import Protocol

from coordinator.admission import kept, next_share, recorded_address
from coordinator.carriers.batch import Fate
from coordinator.carriers.outbox import Outbox
from coordinator.counters import Counters
from coordinator.dialects.native_body import UNIT_BYTES, Form, cost, cost_of_size, screen, split
from coordinator.dialects.native_message import Checked, Refused, check, judge, one_line, recognise
from coordinator.http.answers import RETRY_AFTER_S, Answers
from coordinator.http.connection_limits import MOST_REFUSING, Places
from coordinator.http.content_encoding import inflate
from coordinator.http.feedback_head import FeedbackHead, HeadReader
from coordinator.http.notice import Notice
from coordinator.http.sliced_work import SlicedWork, Work
from coordinator.keys import FREE_TIMES, Key, Keys, KeyTerms
from coordinator.quarantine import Entry, Quarantine
from coordinator.settings import Settings
from feedback_wire.limits import BATCH_INFLATED_BYTES, MESSAGE_BYTES
from feedback_wire.problem import Problem, Refusal
from feedback_wire.record import Origin
from serving.forwarded import Sender, is_trusted, parse_networks, sender

_PROBLEMS = {
    Fate.SPOOL_FULL: Problem(503, "spool_full", "no feedback server answers and the spool is full; send it again later"),
    Fate.NO_SERVER: Problem(503, "no_feedback_server", "no feedback server answers; send it again later"),
    Fate.REJECTED: Problem(503, "rejected_by_feedback_server", "the feedback server refused the batch; send it again later"),
}
KNOWN_SENDERS = 16_384
KNOWN_CHARS = 100
"""Of a proxy's header; all known senders together take at most 15 MiB."""

INLINE_BYTES = 16 * 1024
"""A larger compressed body is inflated on a thread: one made for that purpose takes 0.2 s for each MiB."""

WORK_BYTES = 2048
"""What a request that waits to be checked takes beside its body."""

CHECKED_AT_ONCE = 16
"""Messages of a batch that the fast reader looks at before others get a turn: 0.1 ms for usual ones, 5 ms for 64 KiB each."""

PLACED_AT_ONCE = 256
"""Messages of a batch that are placed together, while the rest is not checked yet."""

_log = logging.getLogger(__name__)
_now = time.perf_counter


def busy() -> Problem:
    """A new one each time: an exception that is raised again and again keeps the frames, and so the bodies, of all those times."""
    return Problem(503, "overloaded", "too much is waiting to become durable; send it again later")


class Connection(Protocol):
    """Where answers go."""

    def answered(self, turn: "Turn") -> None:
        """`turn.answer` is there; it may be written when every earlier turn has been."""


class Turn:
    """One request and its answer; answers leave in the order of the requests."""

    # Defaults of the class, not set for each of many thousand turns a second.
    answer = b""
    last = False
    retry_after_s = RETRY_AFTER_S
    held_bytes = 0
    parts = 1
    accepted = 1
    forgotten = 0
    fate = Fate.STORED
    refusals: tuple[Refusal, ...] = ()

    key: Key
    keeps: float
    """The share of end hosts in force when the request came: what its prefix says, however late its messages are checked."""

    def __init__(self, connection: Connection, reception: "Reception") -> None:
        self.connection = connection
        self.reception = reception
        self.began_s = _now()

    def settled(self, fate: Fate) -> None:
        """One part of the request is durable, or will not be."""
        if not fate.durable:
            self.fate = fate
        if self.parts == 1:
            self.reception.conclude(self)
        else:
            self.parts -= 1


class Reception:
    """Takes requests in; one for a worker."""

    def __init__(
        self, settings: Settings, keys: Keys, outbox: Outbox, quarantine: Quarantine | None, counters: Counters, answers: Answers
    ) -> None:
        self.keys = keys
        self._trusted = parse_networks(settings.trusted_proxy)
        self._proxy_header = settings.proxy_header
        self.heads = HeadReader(keys, proxy_header=settings.proxy_header if self._trusted else "")
        self.answers = answers
        self.counters = counters
        self._ticked_s = time.monotonic()
        self.seconds = int(self._ticked_s)
        """The monotonic clock, a second coarse: good enough for deadlines, and free to read."""
        self.stopping = False
        self.places = Places(serving=settings.connections_max, refusing=MOST_REFUSING)
        self.sliced_work = SlicedWork()
        self._outbox = outbox
        self._quarantine = quarantine
        self._sheds = settings.overload == "sample"
        self._sample = settings.sample
        self._share = 1.0
        self._keeps = self._sample * self._share
        """Share of end hosts whose messages are kept now; its inverse is the weight in the prefixes."""
        self._most_held = settings.in_flight_max_bytes
        self._notice = Notice()
        # Reading and formatting an address take longer than checking a message, and end hosts come back.
        self._known_sender = lru_cache(KNOWN_SENDERS)(self._find_sender)
        self._prefix = lru_cache(KNOWN_SENDERS)(lambda ip: _prefix(ip, settings, self._keeps))

    def tick(self, monotonic_s: float, unix_s: float) -> bool:
        """Called about once a second; whether the weight in force has changed, and with it what `prefix` says."""
        self.keys.refill(monotonic_s - self._ticked_s)
        self._ticked_s, self.seconds = monotonic_s, int(monotonic_s)
        self.answers.tick(unix_s)
        self._notice.tell(self.counters.senders_unknown, self._proxy_header, monotonic_s)
        if self._quarantine is not None:
            self._quarantine.flush()
        return self._sheds and self._weigh(next_share(self._share, self._outbox.held_bytes / self._most_held))

    def _weigh(self, share: float) -> bool:
        """Keep this share of the sample's end hosts from now on; whether that is another one than before."""
        if share == self._share:
            return False
        self._share = share
        self._keeps = self._sample * share
        self._prefix.cache_clear()
        self.counters.workers_shedding = int(share < 1)
        _log.warning("load: of every %d end hosts one is kept now", round(1 / self._keeps))
        return True

    @property
    def obstacle(self) -> str:
        """Why no message should come now; empty if they may."""
        return "the coordinator is stopping" if self.stopping else self._outbox.obstacle

    def crowded(self, key: Key) -> bool:
        """Whether this key holds its share of the room already; everybody does when there is none left."""
        return key.held_bytes >= FREE_TIMES * (self._most_held - self._outbox.held_bytes)

    def hold(self, size: int, key: Key) -> None:
        """Count bytes of an unfinished request among what is held (less if negative)."""
        self._outbox.held_bytes += size
        key.held_bytes += size

    def change_keys(self, terms: Iterable[KeyTerms]) -> None:
        """Only these keys count from the next request on, on open connections too."""
        self.keys.load(terms)
        self.heads.known.clear()

    def is_proxy(self, peer: str) -> bool:
        """Whether this address may speak for others."""
        return is_trusted(peer, self._trusted)

    def prefix(self, peer: str, forwarded: str = "") -> bytes:
        """What goes before every message of the sender; `forwarded` is what a trusted proxy says of the sender."""
        # Behind a header of usual length stand end hosts that come back; the others could fill any memory.
        find = self._known_sender if len(forwarded) <= KNOWN_CHARS else self._find_sender
        found = find(peer, forwarded)
        if found.unknown:
            self.counters.senders_unknown[found.unknown] += 1
        return self._prefix(found.address)

    def _find_sender(self, peer: str, forwarded: str) -> Sender:
        return sender(peer, self._proxy_header, forwarded, self._trusted)

    def receive(self, turn: Turn, head: FeedbackHead, body: bytes, prefix: bytes) -> None:
        """Take a whole request; its turn is answered at once if it is refused, else when its messages are durable."""
        self.counters.requests += 1
        turn.key = key = head.key
        turn.keeps = self._keeps
        if head.forgotten:
            turn.forgotten = head.forgotten
        try:
            if key.allowance <= 0:
                raise self._rate_limited(turn, key)
            if key.held_bytes >= FREE_TIMES * (self._most_held - self._outbox.held_bytes):
                raise busy()
        except Problem as problem:
            self.refuse(turn, problem)
            return
        if head.form is Form.JSON and body[:1] == b"{" and head.encoding == "identity":
            if (message := recognise(body)) is not None:
                self._charge(key, 1, cost_of_size(body))
                self._place_one(turn, message, body, prefix)
                return
            if len(body) <= UNIT_BYTES and self.sliced_work.has_time:
                began_s = _now()
                self._take_unusual(turn, body, prefix)
                self.sliced_work.spend(_now() - began_s)
                return
        held = len(body) + WORK_BYTES
        self.hold(held, key)
        self.sliced_work.add(key, turn.connection, self._check(turn, head, body, prefix, held))

    def _check(self, turn: Turn, head: FeedbackHead, body: bytes, prefix: bytes, held: int) -> Work:
        """Take a request that may take long; of the `held` bytes it gives back what it does not need any more."""
        key = turn.key
        try:
            if key.allowance <= 0:
                raise self._rate_limited(turn, key)
            if head.encoding != "identity":
                body = yield from self._inflated(key, body, head.encoding)
                self.hold(-held, key)
                held = 0
                if self.crowded(key):
                    raise busy()
                held = len(body) + WORK_BYTES
                self.hold(held, key)
                yield None
            if head.form is Form.JSON and body[:1] == b"{":
                # One that came as it is has been before the fast reader.
                self._take_one(turn, body, prefix, judge if head.encoding == "identity" else check)
            else:
                yield from self._take_many(turn, body, head.form, prefix)
        except Problem as problem:
            self.refuse(turn, problem)
        finally:
            self.hold(-held, key)

    def _inflated(self, key: Key, body: bytes, encoding: str) -> Generator[Callable[[], bytes] | None, bytes, bytes]:
        try:
            if len(body) > INLINE_BYTES:
                return (yield partial(inflate, body, encoding))
            return inflate(body, encoding)
        except Problem as problem:
            key.charge(1 + (BATCH_INFLATED_BYTES if problem.status == 413 else len(body)) // UNIT_BYTES)
            raise

    def refuse(self, turn: Turn, problem: Problem) -> None:
        """Answer a request that is refused as a whole."""
        self.counters.requests_refused[problem.reason] += 1
        turn.answer = self.answers.problem(problem, refusals=turn.refusals, retry_after_s=turn.retry_after_s, last=turn.last)
        turn.connection.answered(turn)

    def conclude(self, turn: Turn) -> None:
        """All parts are settled: say so to the sender, and take note how long it took."""
        turn.key.held_bytes -= turn.held_bytes
        if not turn.fate.durable:
            self.refuse(turn, _PROBLEMS[turn.fate])
            return
        self.counters.forgotten += turn.forgotten
        self.counters.latency.observe(_now() - turn.began_s)
        plain = turn.accepted == 1 and not turn.refusals
        turn.answer = self.answers.accepted_one if plain else self.answers.accepted(turn.accepted, turn.refusals)
        turn.connection.answered(turn)

    def _charge(self, key: Key, messages: int, units: int) -> None:
        self.counters.received += messages
        key.messages += messages
        key.charge(units)

    def _rate_limited(self, turn: Turn, key: Key) -> Problem:
        key.rate_limited += 1
        turn.retry_after_s = key.pause_s()
        return Problem(
            429, "rate_limited", f"this key may send {key.messages_per_second:g} messages a second; wait, then send again"
        )

    def _take_unusual(self, turn: Turn, raw: bytes, prefix: bytes) -> None:
        """Take a message that the fast reader does not know, and that is short enough to be judged where it is read."""
        try:
            self._take_one(turn, raw, prefix, judge)
        except Problem as problem:
            self.refuse(turn, problem)

    def _take_one(self, turn: Turn, raw: bytes, prefix: bytes, read: Callable[[bytes], Checked]) -> None:
        self._charge(turn.key, 1, cost(1, raw))
        try:
            message = read(raw)
        except Refused as refused:
            self._note(refused, turn, raw, prefix)
            raise Problem(400, refused.reason, refused.detail) from None
        self._place_one(turn, message, raw, prefix)

    def _place_one(self, turn: Turn, message: Checked, raw: bytes, prefix: bytes) -> None:
        if turn.keeps < 1 and not kept(message.peer_id, turn.keeps):
            self.counters.sampled_out += 1
            turn.settled(Fate.STORED)
            return
        line = prefix + one_line(raw)[1:] + b"\n"
        turn.held_bytes = len(line)
        turn.key.held_bytes += turn.held_bytes
        self._outbox.place(message.peer_id, line, 1, turn)

    def _take_many(self, turn: Turn, body: bytes, form: Form, prefix: bytes) -> Work:
        """Take a batch, a few messages at a time; its turn has one part more than was placed, so that it cannot end before.

        A message counts as received when it is decided where it goes, or the books would not balance between two slices.
        """
        try:
            screen(body, form)
            yield None
            raws = split(body, form)
        except Problem:
            turn.key.charge(cost(1, body))
            raise
        turn.key.messages += len(raws)
        turn.key.charge(cost(len(raws), body))
        yield None
        lines: list[tuple[str, bytes]] = []
        refusals = []
        for index, raw in enumerate(raws):
            try:
                message = recognise(raw)
                if message is None:
                    yield None
                    message = judge(raw)
            except Refused as refused:
                self.counters.received += 1
                self._note(refused, turn, raw, prefix)
                refusals.append(Refusal(index, refused.reason, refused.detail))
                continue
            if turn.keeps < 1 and not kept(message.peer_id, turn.keeps):
                self.counters.received += 1
                self.counters.sampled_out += 1
            else:
                lines.append((message.peer_id, prefix + one_line(raw)[1:] + b"\n"))
            if not index % CHECKED_AT_ONCE:
                yield None
            if len(lines) >= PLACED_AT_ONCE:
                self._place(turn, lines)
                lines = []
        turn.refusals = tuple(refusals)
        turn.accepted = len(raws) - len(refusals)
        if refusals and len(raws) == 1:
            raise Problem(400, refusals[0].reason, refusals[0].detail)
        if refusals and not turn.accepted:
            raise Problem(400, "all_refused", f"none of the {len(raws)} messages can be taken; refused says why")
        self._place(turn, lines)
        turn.settled(Fate.STORED)

    def _note(self, refused: Refused, turn: Turn, raw: bytes, prefix: bytes) -> None:
        """Count a message that is not taken, and keep it for the operator."""
        self.counters.refused[refused.reason] += 1
        if self._quarantine is not None:
            self._quarantine.keep(
                Entry(
                    received_ms=time.time_ns() // 1_000_000,
                    reason=refused.reason,
                    detail=refused.detail,
                    key=turn.key.name,
                    prefix=prefix,
                    payload=raw[:MESSAGE_BYTES],
                )
            )

    def _place(self, turn: Turn, lines: list[tuple[str, bytes]]) -> None:
        """Place messages of one request: together, unless they are many or their end hosts belong on several servers."""
        self.counters.received += len(lines)
        parts = self._outbox.parts(lines)
        turn.parts += len(parts)
        size = sum(len(part) for _, part, _ in parts)
        turn.held_bytes += size
        turn.key.held_bytes += size
        for peer_id, part, messages in parts:
            self._outbox.place(peer_id, part, messages, turn)


def _prefix(ip: str, settings: Settings, share: float) -> bytes:
    return Origin(ip=recorded_address(ip, settings.ip), weight=1 / share, via=settings.name).prefix()
