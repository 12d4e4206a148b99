"""Which sealed logs have to go. An open journal never does: its records have not even had the chance to be fetched."""

from collections.abc import Sequence

from feedback_server.settings import DAY_S
from feedback_wire.catalogue import LogEntry


def to_retire(sealed: Sequence[LogEntry], *, now_s: int, keep_days: int | None, keep_bytes: int | None) -> list[LogEntry]:
    """The oldest of `sealed` (oldest first) that are beyond the days or the bytes to keep, without gaps."""
    too_old_s = now_s - keep_days * DAY_S if keep_days is not None else 0
    surplus = sum(entry.bytes for entry in sealed) - keep_bytes if keep_bytes is not None else 0
    retired: list[LogEntry] = []
    for entry in sealed:
        if entry.name.begins_s >= too_old_s and surplus <= 0:
            break
        retired.append(entry)
        surplus -= entry.bytes
    return retired
