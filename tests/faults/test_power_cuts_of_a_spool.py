"""The power fails at any call of a coordinator's spool: every acknowledged batch is on a feedback server or waits on the disk.

A batch may be drained more than once, always under its own id, by which feedback servers recognise it; never altered, never torn.
"""

import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.carriers import spool as spool_module
from coordinator.carriers import spool_files
from coordinator.carriers.spool import Spool
from tests.faults.recorded_calls import RecordedCalls, memory_folder
from tests.faults.simulated_disk import Call, Survivor, after, kept, left_to, noted
from tests.harness.tested_counts import POWER_CUT

Step = Literal["append", "drain", "reject", "fail", "restart", "fewer workers"]
STEPS = st.lists(
    st.sampled_from(["append", "append", "append", "drain", "drain", "reject", "fail", "restart", "fewer workers"]), max_size=14
)
CHANCE = st.randoms(use_true_random=False)
ROOM = 10**6
SPOOL = "srv/spool"


@pytest.fixture(autouse=True)
def _silent_and_small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 400)  # two or three batches
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def batch(number: int) -> tuple[bytes, bytes, int]:
    noise = random.Random(number).randbytes(20).hex()
    return (number + 1).to_bytes(16), f'{{"n":{number},"noise":"{noise}"}}\n'.encode() * 2, 2


class Life:
    """One run of a coordinator's spool; `workers` is 1 or 2, and only the last worker accepts batches."""

    def __init__(self, recorded: RecordedCalls, first: int) -> None:
        self._recorded = recorded
        self._folder = Path(recorded.root) / SPOOL
        self._next = first
        self._spool = Spool(self._folder / "worker-1", ROOM)

    def run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case "append":
                    self._append()
                case "restart":
                    self._spool.close()
                    self._spool = Spool(self._folder / "worker-1", ROOM)
                case "fewer workers":
                    self._spool.close()
                    drain(self._folder, self._recorded, most=1)
                    self._spool = Spool(self._folder / "worker-1", ROOM)
                case _:
                    self._drain(step)
        self._spool.close()

    def _append(self) -> None:
        number, self._next = self._next, self._next + 1
        self._spool.append(*batch(number))
        self._recorded.note(number)

    def _drain(self, step: Step) -> None:
        found = self._spool.oldest()
        if found is None:
            return
        if step == "fail":
            self._spool.rewind()
        elif step == "reject":
            self._spool.set_aside(found)
        else:
            self._recorded.note(("on a feedback server", int.from_bytes(found.batch_id) - 1))
            self._spool.drop(found)


def drain(folder: Path, recorded: RecordedCalls, *, most: int = 1000) -> list[int]:
    """What a coordinator of one worker sends to a feedback server, which accepts it; checks that nothing was altered."""
    spool = Spool(folder / "worker-0", ROOM)
    if (folder / "worker-1").is_dir():
        spool.adopt(folder / "worker-1")
    numbers: list[int] = []
    while len(numbers) < most and (found := spool.oldest()) is not None:
        number = int.from_bytes(found.batch_id) - 1
        assert (found.batch_id, found.lines, found.messages) == batch(number), "altered"
        recorded.note(("on a feedback server", number))
        numbers.append(number)
        spool.drop(found)
    if len(numbers) < most:
        assert (spool.messages, spool.size_bytes) == (0, 0)
    spool.close()
    return numbers


def put_aside(folder: Path) -> set[int]:
    texts = [path.read_bytes() for path in folder.glob("worker-*/*.rejected.jsonl")]
    return {number for number in range(100) for text in texts if text == batch(number)[1]}


def safe(calls: Sequence[Call]) -> set[int]:
    return {what[1] for what in noted(calls) if isinstance(what, tuple)}


def acknowledged(calls: Sequence[Call]) -> set[int]:
    return {what for what in noted(calls) if isinstance(what, int)}


def cut(calls: Sequence[Call], survivor: Survivor, into: Path) -> Path:
    into.mkdir()
    after(calls, survivor).write_to(into)
    return into


def prove(steps: Sequence[Step], chance: Random, *, lying: bool = False) -> None:
    """A life that ends at any call, a second one that ends at any call, and what a power cut at that moment leaves."""
    with memory_folder() as base:
        (base / "first").mkdir()
        with RecordedCalls(base / "first") as first:
            first.syncs_that_lie = lying
            Life(first, 0).run(steps)
        calls = first.calls[: chance.randint(0, len(first.calls))]
        promised, on_servers = acknowledged(calls), safe(calls)
        killed = chance.random() < 0.5
        root = cut(calls, kept if killed else left_to(chance), base / "second")
        with RecordedCalls(root, calls if killed else None) as second:
            second.syncs_that_lie = lying
            Life(second, 50).run(steps[::-1])
        calls = second.calls[: chance.randint(second.before, len(second.calls))]
        promised |= acknowledged(calls)
        on_servers |= safe(calls)
        root = cut(calls, left_to(chance), base / "third")
        check_what_is_left(root, promised - on_servers)


def check_what_is_left(root: Path, waiting: set[int]) -> None:
    """All waiting batches are drained or set aside; nothing else is drained; then nothing is left."""
    with RecordedCalls(root) as recorded:
        out = drain(root / SPOOL, recorded)
        missing = waiting - set(out) - put_aside(root / SPOOL)
        assert not missing, f"lost: {missing}"
        assert drain(root / SPOOL, recorded) == []


@settings(max_examples=80)
@given(steps=STEPS, chance=CHANCE)
def test_after_any_power_cut_every_spooled_batch_is_on_a_server_or_waits(steps, chance, record_property):
    prove(steps, chance)
    record_property(POWER_CUT, 1)


@pytest.mark.soak
@settings(max_examples=8_000)
@given(steps=STEPS, chance=CHANCE)
def test_after_any_of_eight_thousand_power_cuts_every_spooled_batch_is_on_a_server_or_waits(steps, chance, record_property):
    prove(steps, chance)
    record_property(POWER_CUT, 1)


def first_loss(**how: bool) -> str:
    """The check's verdict on a spool that breaks its promise; fails if the check finds no fault."""
    for seed in range(500):
        chance = Random(seed)
        steps: list[Step] = [chance.choice(["append", "append", "drain", "restart", "fewer workers"]) for _ in range(8)]
        try:
            prove(steps, chance, **how)
        except AssertionError as found:
            return str(found)
    pytest.fail("the check finds no fault")


def test_the_check_detects_a_spool_that_acknowledges_unsynced_batches():
    assert first_loss(lying=True).startswith("lost: ")


def test_the_check_detects_a_spool_that_does_not_sync_its_folder(monkeypatch: pytest.MonkeyPatch):
    for module in (spool_module, spool_files):
        monkeypatch.setattr(module, "sync_folder", lambda _: None)
    assert first_loss().startswith("lost: ")


def test_the_check_detects_a_spool_that_does_not_sync_the_folders_above_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spool_module, "make_folder", lambda folder: folder.mkdir(parents=True, exist_ok=True))
    monkeypatch.setattr(spool_module, "sync_ancestors", lambda _: None)
    assert first_loss().startswith("lost: ")


def test_the_check_detects_a_cursor_that_runs_ahead(monkeypatch: pytest.MonkeyPatch):
    oldest = Spool.oldest

    def hasty(self: Spool):
        found = oldest(self)
        if found is not None:
            with suppress(OSError):
                spool_module.replace_file(self._folder / "cursor", f"{found.segment} {found.end}\n".encode())
        return found

    monkeypatch.setattr(Spool, "oldest", hasty)
    assert first_loss()


def test_the_check_detects_a_spool_that_is_removed_before_its_worker_is_taken_over(monkeypatch: pytest.MonkeyPatch):
    def hasty(self: Spool, stranded: Path) -> None:
        for path in stranded.glob("*.spool"):
            path.unlink()

    monkeypatch.setattr(Spool, "adopt", hasty)
    assert first_loss().startswith("lost: ")
