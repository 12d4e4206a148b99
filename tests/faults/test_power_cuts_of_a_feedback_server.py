"""The power fails at any call of a feedback server: what it had acknowledged is stored once, unaltered, whatever the disk lost."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback_server import recovery
from feedback_server.recent_batches import RecentBatches
from feedback_server.sealer import Sealer
from feedback_server.stores.data_folder import DataFolder
from feedback_wire.log_name import LogName
from tests.faults.recorded_calls import RecordedCalls, memory_folder
from tests.faults.simulated_disk import Call, Survivor, after, kept, left_to, noted
from tests.faults.stepped_server import Format, SteppedServer, stored
from tests.harness.tested_counts import POWER_CUT

Step = int | Literal["roll", "seal", "restart"]
LIVES = {"chance": st.randoms(use_true_random=False), "form": st.sampled_from(["jsonl", "jsonl", "jsonl", "csv", "parquet"])}
STEPS = st.lists(st.one_of(st.integers(1, 3), st.sampled_from(["roll", "seal", "restart"])), min_size=1, max_size=10)
DATA = "srv/data"
LATE = 1_000
"""Batches from this number on are stored after the power came back."""


def work(recorded: RecordedCalls, steps: Sequence[Step], form: Format = "jsonl", *, first: int = 0) -> list[int]:
    """A server's life, ended by a kill; the numbers of all batches that it was given."""
    data = Path(recorded.root) / DATA
    sent = list(range(first, first + sum(step for step in steps if isinstance(step, int))))
    fresh = iter(sent)
    server = SteppedServer(data, recorded.note, form)
    for step in steps:
        match step:
            case "roll":
                server.roll()
            case "seal":
                server.seal()
            case "restart":
                server.die()
                server = SteppedServer(data, recorded.note, form)
            case _:
                server.store(*(next(fresh) for _ in range(step)))
    server.die()
    return sent


def recorded(root: Path, steps: Sequence[Step], form: Format = "jsonl", *, lying: bool = False) -> tuple[list[Call], list[int]]:
    with RecordedCalls(root) as calls:
        calls.syncs_that_lie = lying
        sent = work(calls, steps, form)
    return calls.calls, sent


def cut(calls: Sequence[Call], survivor: Survivor, into: Path) -> Path:
    """A folder as a power cut after the last of `calls` leaves it."""
    into.mkdir()
    after(calls, survivor).write_to(into)
    return into


def assert_once_each(data: Path, numbers: set[int]) -> None:
    copies = stored(data)
    assert not numbers - copies.keys(), f"lost: {sorted(numbers - copies.keys())}"
    assert not copies.keys() - numbers, f"invented: {sorted(copies.keys() - numbers)}"
    assert max(copies.values()) == 1, f"stored twice: {copies}"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def prove(steps: Sequence[Step], form: Format, chance: Random, *, lying: bool = False) -> None:
    """A life that ends at any call, a second one that ends during or after its recovery, and what a power cut at that moment
    leaves.
    """
    with memory_folder() as base:
        (base / "first").mkdir()
        calls, sent = recorded(base / "first", steps, form, lying=lying)
        calls = calls[: chance.randint(0, len(calls))]
        acknowledged = noted(calls)
        killed = chance.random() < 0.5  # the kernel continues, and keeps what was never synced
        root = cut(calls, kept if killed else left_to(chance), base / "second")
        with RecordedCalls(root, calls if killed else None) as second:
            live_again(second, sent[: chance.randint(0, len(sent))], form, chance)
        calls = second.calls[: chance.randint(second.before, len(second.calls))]
        acknowledged += noted(calls[second.before :])
        root = cut(calls, left_to(chance), base / "third")
        check_what_is_left(root, acknowledged, sent, form)


def live_again(recorded: RecordedCalls, sent: Sequence[int], form: Format, chance: Random) -> None:
    """Recover, and accept some repeated batches, before or after the recovered journals are sealed."""
    server = SteppedServer(Path(recorded.root) / DATA, recorded.note, form)
    if chance.random() < 0.5:
        server.seal()
    for number in sent:
        server.store(number)
    server.seal()
    server.die()


def check_what_is_left(root: Path, acknowledged: Sequence[object], sent: Sequence[int], form: Format) -> None:
    """Everything acknowledged is there; another start changes nothing; a repeated batch is stored once."""
    with RecordedCalls(root):
        SteppedServer(root / DATA, lambda _: None, form).stop()
        left = stored(root / DATA)
        assert not set(acknowledged) - left.keys(), f"lost: {set(acknowledged) - left.keys()}"
        before = contents(root)
        SteppedServer(root / DATA, lambda _: None, form).stop()
        assert contents(root) == before, "a second recovery finds nothing to do"
        server = SteppedServer(root / DATA, lambda _: None, form)
        again = [number for number in sent if number not in acknowledged]
        for number in (*again, LATE):
            assert server.store(number)
        server.stop()
        assert_once_each(root / DATA, {*sent, LATE})


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    """Drops the warnings of thousands of torn files."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@settings(max_examples=80)
@given(steps=STEPS, **LIVES)
def test_after_any_power_cut_everything_acknowledged_is_stored_once_and_unaltered(steps, form, chance, record_property):
    prove(steps, form, chance)
    record_property(POWER_CUT, 1)


@pytest.mark.soak
@settings(max_examples=12_000)
@given(steps=STEPS, **LIVES)
def test_after_any_of_12_000_power_cuts_everything_acknowledged_is_stored_once_and_unaltered(steps, form, chance, record_property):
    prove(steps, form, chance)
    record_property(POWER_CUT, 1)


def first_loss(**how: bool) -> str:
    """The check's verdict on a server that breaks its promise; fails if the check finds no fault."""
    for seed in range(500):
        chance = Random(seed)
        steps: list[Step] = [chance.choice([1, 2, "roll", "seal"]) for _ in range(6)]
        try:
            prove(steps, "jsonl", chance, **how)
        except AssertionError as found:
            return str(found)
    pytest.fail("the check finds no fault")


def test_the_check_detects_a_server_that_acknowledges_unsynced_batches():
    assert first_loss(lying=True).startswith("lost: ")


def test_the_check_detects_a_server_that_does_not_sync_its_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DataFolder, "sync", lambda _: None)
    assert first_loss().startswith("lost: ")


def test_the_check_detects_a_recovery_that_trusts_unsynced_data(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DataFolder, "sync_file", lambda *_: None)
    assert first_loss().startswith("lost: ")


def test_the_check_detects_a_sealer_that_removes_the_journal_first(monkeypatch: pytest.MonkeyPatch):
    write = Sealer._write

    def hasty(self: Sealer, name: LogName, data: bytes, sealed: LogName) -> int:
        journal = self._folder.path / str(name)
        gone = journal.rename(f"{journal}.gone")
        self._folder.sync()
        gone.rename(journal)
        return write(self, name, data, sealed)

    monkeypatch.setattr(Sealer, "_write", hasty)
    assert first_loss().startswith("lost: ")


def test_the_check_detects_a_recovery_that_forgets_its_batch_ids(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recovery, "_known_batches", lambda *_: RecentBatches())
    assert first_loss().startswith("stored twice: ")


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_replaying_all_recorded_calls_reproduces_the_files(tmp_path: Path, form: Format):
    (tmp_path / "real").mkdir()
    calls, _ = recorded(tmp_path / "real", [2, "roll", 3, 1, "seal", "roll", 1, "restart", 1, "seal", "roll", 1, "seal", 1], form)
    assert contents(cut(calls, kept, tmp_path / "replayed")) == contents(tmp_path / "real")
    assert {type(call).__name__ for call in calls} == {"Create", "Rename", "Unlink", "Write", "Sync", "Noted"}
