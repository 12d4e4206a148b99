"""Trainings on disk, as the QoE lab leaves them."""

import dataclasses
from pathlib import Path
from typing import Any

from feedback_wire.trainings import SessionStatus, TrainingSettings
from qoe_lab.running.session_journal import SessionJournal, StatusChange
from qoe_lab.running.training_folder import TrainingFolder, create_training

HOSTILE = "<img src=x onerror=\"document.title='run'\">"
EVENING = TrainingSettings(name="hls-evening", sessions=7, limits_mbps=(0.5, 2.0), seconds=20)
NIGHT = TrainingSettings(name="dash-night", sessions=3, limits_mbps=(1.0,), seconds=30, source="dash")


def played(training: TrainingFolder, number: int, attempt: int, *statuses: SessionStatus, **more: Any) -> None:
    """An attempt that had these statuses; `more` is about a discarded one."""
    with SessionJournal(training.journal) as journal:
        for status in statuses:
            change = StatusChange(
                number=number,
                attempt=attempt,
                session_id=training.session_id(number, attempt),
                status=status,
                wall_ms=attempt * 1000,
            )
            journal.append(dataclasses.replace(change, **more) if status is SessionStatus.DISCARDED else change)


def write_trainings(data: Path) -> None:
    """A training that was interrupted after some sessions, and one that was cancelled."""
    evening = create_training(data / EVENING.name, EVENING, {})
    for number in range(3):
        played(evening, number, 1, SessionStatus.UNDER_CAPTURING, SessionStatus.CAPTURED)
    played(evening, 3, 1, SessionStatus.UNDER_CAPTURING, SessionStatus.DISCARDED, reason="no_first_frame", detail=HOSTILE)
    evening.note_failure("the disk is full")
    create_training(data / NIGHT.name, NIGHT, {}).request_cancel()
