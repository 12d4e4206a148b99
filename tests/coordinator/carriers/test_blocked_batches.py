"""A blocked batch is a file: it outlives the process and its worker, and damage to it costs only that batch."""

from pathlib import Path

import pytest

from coordinator.carriers.blocked_batches import BlockedBatch, BlockedBatches
from coordinator.carriers.spool import SpooledBatch


def batch(number: int) -> SpooledBatch:
    return SpooledBatch(batch_id=bytes([number]) * 16, lines=b'{"n":%d}\n' % number * 2, messages=2, segment=1, end=number)


def kept(folder: Path, *numbers: int) -> BlockedBatches:
    folder.mkdir(exist_ok=True)
    blocked = BlockedBatches(folder)
    for number in numbers:
        blocked.keep(batch(number))
    return blocked


def tried(blocked: BlockedBatches) -> BlockedBatch:
    found = blocked.next()
    assert found is not None
    return found


def test_blocked_batches_take_turns_even_after_a_restart(tmp_path: Path):
    kept(tmp_path, 1, 2)
    blocked = BlockedBatches(tmp_path)
    assert blocked.messages == 4
    assert blocked.size_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert [tried(blocked).batch_id[0] for _ in range(4)] == [1, 2, 1, 2]
    found = tried(blocked)
    assert (found.lines, found.messages) == (batch(1).lines, 2)
    blocked.drop(found)
    assert [tried(blocked).batch_id[0] for _ in range(2)] == [2, 2]
    assert [path.name for path in tmp_path.iterdir()] == [f"blocked-{'02' * 16}.spool"]


def test_a_rejected_batch_is_kept_as_text_and_not_tried_again(tmp_path: Path):
    blocked = kept(tmp_path, 1)
    blocked.set_aside(tried(blocked))
    assert blocked.next() is None
    assert blocked.messages == blocked.size_bytes == 0
    [path] = tmp_path.iterdir()
    assert (path.name, path.read_bytes()) == (f"blocked-{'01' * 16}.rejected.jsonl", batch(1).lines)


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "remove"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_damaged_or_removed_file_costs_only_its_batch_and_is_named(tmp_path: Path, caplog, harm: str, restart: bool):
    blocked = kept(tmp_path, 1, 2)
    harmed = min(tmp_path.iterdir())
    data = harmed.read_bytes()
    if harm == "remove":
        harmed.unlink()
    else:
        harmed.write_bytes({"cut": data[:-1], "flip": data[:-1] + bytes([data[-1] ^ 1]), "empty": b""}[harm])
    blocked = BlockedBatches(tmp_path) if restart else blocked
    assert [tried(blocked).batch_id[0] for _ in range(2)] == [2, 2]
    assert blocked.messages == 2
    assert harmed.exists() == (harm != "remove")
    assert (harmed.name in caplog.text) == (harm != "remove" or not restart)


def test_blocked_batches_of_a_removed_worker_are_taken_over_even_after_a_kill_during_that(tmp_path: Path):
    kept(tmp_path / "ended", 1, 2)
    existing = kept(tmp_path / "existing", 3)
    (tmp_path / "existing" / f"blocked-{'01' * 16}.spool").hardlink_to(tmp_path / "ended" / f"blocked-{'01' * 16}.spool")
    existing.adopt(tmp_path / "ended")
    assert existing.messages == 6
    assert sorted(tried(existing).batch_id[0] for _ in range(3)) == [1, 2, 3]
    assert not list((tmp_path / "ended").iterdir())
