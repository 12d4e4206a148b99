"""The row of a training in the table of trainings. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from qoe_lab.dataset.recorded_training import RecordedTraining
from qoe_lab.dataset.table_columns import TableRow


def training_row(training: RecordedTraining, sessions: Sequence[TableRow]) -> dict[str, Any]:
    """The facts about the training from its folder, and how many of its sessions are in the data set."""
    settings = training.settings
    row: dict[str, Any] = {name: settings.text(name) for name in ("source", "client", "trace", "congestion_control")}
    row |= {name: settings.number(name) for name in ("seconds", "delay_ms", "loss", "queue_ms")}
    begins = [session["begin_ms"] for session in sessions if session.get("begin_ms") is not None]
    ends = [session["end_ms"] for session in sessions if session.get("end_ms") is not None]
    valid = sum(bool(session["valid"]) for session in sessions)
    return row | {
        "training_id": training.training_id,
        "begin_ms": min(begins, default=None),
        "end_ms": max(ends, default=None),
        "sessions_planned": settings.integer("sessions"),
        "sessions_valid": valid,
        "sessions_invalid": len(sessions) - valid,
        "limits_mbps": settings.numbers("limits_mbps"),
        "seed": settings.integer("seed"),
        "environment": json.dumps(training.environment.all, sort_keys=True),
    }
