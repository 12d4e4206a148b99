"""A training whose files were damaged is named, and hides no other training."""

import json
import os
from pathlib import Path

import pytest

from feedback_wire.trainings import SessionStatus, TrainingSettings
from qoe_lab.running.session_journal import SessionJournal, StatusChange
from qoe_lab.running.training_folder import NoTrainingError, create_training, find_trainings, open_training_folder
from tests.harness.rights import without_rights_of_root

SETTINGS = TrainingSettings(name="t", sessions=6, limits_mbps=(0.5, 1.0, 3.0), seconds=20)


@pytest.mark.parametrize("damage", [b"[" * 100_000, b"1" * 5000, b"\xff", b"[]", {"created_ms": float("inf")}, {"settings": None}])
def test_a_damaged_description_is_named_and_other_trainings_are_listed(tmp_path: Path, damage: bytes | dict[str, object]) -> None:
    create_training(tmp_path / "whole", SETTINGS, {})
    damaged = create_training(tmp_path / "damaged", SETTINGS, {})
    file = damaged.path / "training.json"
    file.write_bytes(damage if isinstance(damage, bytes) else json.dumps(json.loads(file.read_bytes()) | damage).encode())
    with pytest.raises(NoTrainingError, match=r"training\.json"):
        open_training_folder(damaged.path)
    found, unreadable = find_trainings(tmp_path)
    assert [each.path.name for each in found] == ["whole"]
    assert len(unreadable) == 1


def test_a_journal_of_another_plan_is_named(tmp_path: Path) -> None:
    training = create_training(tmp_path / "t", SETTINGS, {})
    with SessionJournal(training.journal) as journal:
        journal.append(StatusChange(number=99, attempt=1, session_id="s", status=SessionStatus.UNDER_CAPTURING, wall_ms=1))
    with pytest.raises(ValueError, match=r"sessions\.jsonl is damaged: .* session 99"):
        training.progress()


def test_a_folder_that_this_user_may_not_search_is_named_and_hides_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as `lost+found` on a disk of its own."""
    create_training(tmp_path / "whole", SETTINGS, {})
    (tmp_path / "lost+found").mkdir(mode=0o000)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # the folders above it belong to root alone, too
    with without_rights_of_root():
        found, unreadable = find_trainings(Path())
        assert [each.path.name for each in found] == ["whole"]
        assert unreadable == ["lost+found/training.json cannot be read: Permission denied"]
        assert find_trainings(Path("lost+found")) == ([], ["lost+found cannot be read: Permission denied"])


def test_a_pipe_in_the_place_of_a_description_is_named_and_hides_no_training(tmp_path: Path) -> None:
    """A plain `open` would wait for a writer."""
    create_training(tmp_path / "whole", SETTINGS, {})
    create_training(tmp_path / "piped", SETTINGS, {})
    (tmp_path / "piped" / "training.json").unlink()
    os.mkfifo(tmp_path / "piped" / "training.json")
    found, unreadable = find_trainings(tmp_path)
    assert [each.path.name for each in found] == ["whole"]
    assert unreadable == [f"{tmp_path}/piped/training.json cannot be read: it is a pipe, and a file is needed"]
