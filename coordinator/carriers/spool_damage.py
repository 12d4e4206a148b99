"""Damaged bytes of a spool: counted and logged once, and kept in files of their own, so that a person can look at them."""

import logging
from collections.abc import Callable
from pathlib import Path

from feedback_wire.frames import Damage
from serving.durable_files import replace_file

_log = logging.getLogger(__name__)


class SpoolDamage:
    """The damage that this process has found in one spool folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[tuple[int, int]] = set()
        """Segment and offset. A segment is read once more when its draining fails, and its damage is found again."""
        self.size_bytes = 0

    def is_known(self, segment: int, damage: Damage) -> bool:
        return (segment, damage.offset) in self._known

    def keep_aside(self, segment: int, damage: Damage, data: bytes, report: Callable[[str], None]) -> bool:
        """Write the damaged part of the segment's `data` to a file. False if a full disk does not take it.

        `report` logs an error.
        """
        path = self._folder / f"{segment:012d}-{damage.offset}.damaged"
        if not self.is_known(segment, damage):
            self._known.add((segment, damage.offset))
            self._note(segment, damage, path, report)
        try:
            replace_file(path, data[damage.offset : damage.offset + damage.size])
        except OSError:
            return False
        return True

    def _note(self, segment: int, damage: Damage, path: Path, report: Callable[[str], None]) -> None:
        if not path.exists():  # else an earlier run has counted it
            self.size_bytes += damage.size
        where = f"spool segment {segment}, offset {damage.offset}: {damage.size} bytes are no batch ({damage.reason})"
        text = f"{where}; kept in {path} or, on a full disk, with their whole segment"
        # A torn end was never acknowledged, because a batch is acknowledged when it is synced completely.
        if damage.torn:
            _log.warning("%s", text)
        else:
            report(text)
