"""Messages that wait for a feedback server: they are sent together, and ingest keys take turns."""

import asyncio
import itertools

from hypothesis import given
from hypothesis import strategies as st

from coordinator.carriers.batch import PART_BYTES, Batch, CarrierFailed, Outcome
from coordinator.carriers.lane import TURN_BYTES, Lane
from coordinator.carriers.outbox import Outbox
from coordinator.ingest_keys import IngestKey
from coordinator.worker_counters import WorkerCounters
from feedback_wire.limits import BATCH_WIRE_BYTES

MIB = 2**20


class Recorder:
    """A carrier that records what it carries, once it is released."""

    outcome = Outcome.STORED

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.batches: list[bytes] = []

    async def carry(self, batch: Batch) -> None:
        await self.released.wait()
        self.batches.append(batch.lines)


class Sender:
    """Counts the parts that are settled."""

    settled_parts = 0

    def settled(self, outcome: Outcome) -> None:
        assert outcome is Outcome.STORED
        self.settled_parts += 1


def test_a_keys_first_message_does_not_wait_behind_48_mib_of_another_key():
    async def promise() -> tuple[int, int]:
        recorder, sender = Recorder(), Sender()
        outbox = Outbox({"http://x": recorder}, None, "round-robin", WorkerCounters())
        greedy, web = IngestKey("greedy"), IngestKey("web")
        part = b"g" * (PART_BYTES - 1) + b"\n"
        for _ in range(48 * MIB // PART_BYTES):
            outbox.place("p", part, 1, greedy, sender)
        outbox.place("p", b"w\n", 1, web, sender)
        recorder.released.set()
        while sender.settled_parts <= 48 * MIB // PART_BYTES:  # noqa: ASYNC110 — the sender has no event
            await asyncio.sleep(0)
        await outbox.close()
        assert outbox.held_bytes == 0
        before = next(index for index, lines in enumerate(recorder.batches) if b"w\n" in lines)
        return before, len(recorder.batches)

    before, batches = asyncio.run(asyncio.wait_for(promise(), 30))
    assert batches > 40, "it took many batches"
    assert before == 0, "it departed in the first batch, as the other key's second turn came after it"


def test_a_batch_that_failed_elsewhere_and_new_messages_take_turns():
    async def order() -> list[str]:
        lane, sender = Lane(Recorder(), asyncio.get_running_loop()), Sender()
        for _ in range(3):
            lane.add_batch(Batch(b"old\n", 1, [sender], 0.0))
        departed = []
        for _ in range(2):
            lane.add(b"new\n", 1, "web", sender)
            departed += [(await lane.next_batch()).lines for _ in range(2)]
        return [lines.decode().strip() for lines in departed]

    assert asyncio.run(order()) == ["old", "new", "old", "new"]


sizes = st.integers(1, PART_BYTES)


@given(st.dictionaries(st.integers(0, 6), st.lists(sizes, min_size=1, max_size=12), min_size=1))
def test_every_part_is_sent_once_in_the_order_of_its_key_and_no_key_waits_longer_than_one_turn_of_the_others(waiting):
    async def promise() -> None:
        lane = Lane(Recorder(), asyncio.get_running_loop())
        numbers = itertools.count()
        placed: dict[int, list[int]] = {}
        waiters = []
        for key, parts in waiting.items():
            for size in parts:
                waiters.append((key, size))
                placed.setdefault(key, []).append(next(numbers))
                lane.add(b"x" * size, 1, key, len(waiters) - 1)  # type: ignore[arg-type] — only carried along
        messages = lane.pending
        batches = lane.clear()
        assert lane.pending == 0
        assert sum(batch.messages for batch in batches) == messages
        assert all(len(batch.lines) <= BATCH_WIRE_BYTES for batch in batches)
        departed = [waiter for batch in batches for waiter in batch.waiters]
        for key, numbers_placed in placed.items():
            assert [number for number in departed if waiters[number][0] == key] == numbers_placed
        ahead = 0
        for number in departed[: departed.index(placed[max(placed)][0])]:
            ahead += waiters[number][1]
        assert ahead <= len(waiting) * TURN_BYTES or len(batches) == 1

    asyncio.run(promise())


class Proxied:
    """A carrier whose path answers every batch itself."""

    outcome = Outcome.STORED

    def __init__(self) -> None:
        self.batches: list[bytes] = []

    async def carry(self, batch: Batch) -> None:
        self.batches.append(batch.lines)
        raise CarrierFailed("answered 400", foreign_answer=True)


class Learning:
    """Keeps the outcome of its request."""

    outcome: Outcome | None = None

    def settled(self, outcome: Outcome) -> None:
        self.outcome = outcome


def test_requests_that_are_blocked_together_are_not_suspected_one_by_one():
    async def outcomes(requests: int) -> set[Outcome | None]:
        proxied = Proxied()
        outbox = Outbox({"http://127.0.0.1:9": proxied}, None, "round-robin", WorkerCounters())
        senders = [Learning() for _ in range(requests)]
        for sender in senders:
            outbox.place("p", b"x\n", 1, IngestKey("web"), sender)
        while not all(sender.outcome for sender in senders):  # noqa: ASYNC110 — they have no event
            await asyncio.sleep(0)
        assert len(proxied.batches) == 1
        await outbox.close()
        return {sender.outcome for sender in senders}

    assert asyncio.run(outcomes(1)) == {Outcome.BLOCKED}
    assert asyncio.run(outcomes(2)) == {Outcome.NO_SERVER}
