"""The sessions as CSV with the columns of the label manager, each with the statistic that its name states.

The file has the label manager's 30 columns, then those of the opposite direction with the prefix `down_`, then labels that it
did not have. What was not measured is an empty cell: `fpsChanges`, and `twitch_backend` of other sources.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qoe_lab.dataset.table_columns import TableRow
from qoe_lab.traffic.label_manager_columns import LABEL_MANAGER_COLUMNS, LabelManagerColumn

LABELS = {"stallCount": "stall_count", "qualityChanges": "switches", "skippedFrames": "dropped_frames"}
"""The label manager's name → the column of the table of sessions."""
NOT_MEASURED = ("fpsChanges", "twitch_backend")
FURTHER = (
    *("session_id", "training_id", "valid", "invalid_reason", "split", "block", "attempt", "source", "client", "content_id"),
    *("started", "startup_ms", "stall_ms", "stall_ratio", "mean_kbps", "mean_height", "mos"),
)
HEADER = (
    *("id", "bw", "duration"),
    *(column.name for column in LABEL_MANAGER_COLUMNS),
    *LABELS,
    *NOT_MEASURED,
    *(f"down_{column.name}" for column in LABEL_MANAGER_COLUMNS),
    *FURTHER,
)


def csv_rows(sessions: Iterable[TableRow], flows: Iterable[TableRow], seconds: float | None) -> Iterable[dict[str, Any]]:
    """The rows of the file, from those of the tables. `bw` is in 10^6 bit/s; `seconds` is the planned length of a session."""
    of_session: dict[str, list[TableRow]] = {}
    for flow in flows:
        of_session.setdefault(flow["session_id"], []).append(flow)
    for number, session in enumerate(sessions, start=1):
        connections = of_session.get(session["session_id"], [])
        row: dict[str, Any] = {"id": number, "bw": session.get("limit_mbps"), "duration": seconds}
        row |= {column.name: _combined(connections, "up_", column) for column in LABEL_MANAGER_COLUMNS}
        row |= {name: session.get(column) for name, column in LABELS.items()}
        row |= {f"down_{column.name}": _combined(connections, "down_", column) for column in LABEL_MANAGER_COLUMNS}
        yield row | {name: session.get(name) for name in FURTHER}


def _combined(flows: Sequence[TableRow], prefix: str, column: LabelManagerColumn) -> float | None:
    """The value of one direction over all TCP connections that begin in the capture; None where none has it."""
    begun = [flow for flow in flows if flow["up_syn_count"]]
    values = [float(value) for flow in begun if (value := flow[prefix + column.statistic]) is not None]
    return column.combine(values) if values else None


def write_sessions_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows([csv_cell(row.get(name)) for name in HEADER] for row in rows)


def csv_cell(value: object) -> object:
    """The text of a value: empty for None, 1 and 0 for yes and no, and no more digits of a number than it needs."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return value
