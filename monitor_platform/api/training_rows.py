"""Trainings, and the attempts of one training, as CSV: one row for each, with the names of the JSON."""

import io
from collections.abc import Sequence
from dataclasses import fields

from feedback_analysis.spreadsheet import write_csv
from feedback_wire.trainings import SessionProgress, SessionStatus, TrainingProgress, TrainingSettings

_SETTINGS = tuple(each.name for each in fields(TrainingSettings))
_PROGRESS = (
    "training_id",
    "state",
    "created_ms",
    "planned",
    "captured",
    "running",
    "given_up",
    "remaining_s",
    "dataset",
    "failure",
)
_ATTEMPT = tuple(each.name for each in fields(SessionProgress))


def trainings_csv(trainings: Sequence[TrainingProgress]) -> str:
    """`limits_mbps` has the limits with spaces between them, and `discarded` the discarded attempts as `reason=count`."""
    rows = [_training_row(each) for each in trainings]
    return _csv((*_SETTINGS, *_PROGRESS, "discarded"), rows)


def attempts_csv(sessions: Sequence[SessionProgress]) -> str:
    """`status` has the name of the status."""
    rows = [[_text(getattr(each, name)) for name in _ATTEMPT] for each in sessions]
    return _csv(_ATTEMPT, rows)


def _training_row(training: TrainingProgress) -> list[object]:
    settings = training.settings.to_json() | {"limits_mbps": " ".join(f"{limit:g}" for limit in training.settings.limits_mbps)}
    progress = training.to_json()
    discarded = " ".join(f"{reason}={count}" for reason, count in sorted(training.discarded.items()))
    return [*(settings[name] for name in _SETTINGS), *(_text(progress[name]) for name in _PROGRESS), discarded]


def _text(value: object) -> object:
    if isinstance(value, SessionStatus):
        return value.name.lower().replace("_", " ")
    return str(value).lower() if isinstance(value, bool) else value


def _csv(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    write_csv(out, names, rows)
    return out.getvalue()
