"""The report of an import: counts of rows, with first examples per reason of refusal, and a file of all refusals on request."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TextIO

from feedback_analysis.reading.log_files import is_utf_8

EXAMPLES = 3
"""Examples to show for each reason of refusal."""


@dataclass(kw_only=True)
class ImportReport:
    """Counts of rows. `refusals` gets one JSON line per refused row."""

    refusals: TextIO | None = None
    rows: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    unreadable_ips: int = 0
    """Accepted rows whose `ip` is not an address; their records have no address."""
    first_ms: int | None = None
    last_ms: int | None = None

    def accept(self, time_ms: int) -> None:
        """Count a row that was converted to a message with this time."""
        self.rows += 1
        self.accepted += 1
        self.first_ms = time_ms if self.first_ms is None else self.first_ms
        self.last_ms = time_ms

    def refuse(self, *, file: str, unit: str, number: int, reason: str, detail: str) -> None:
        """Count a refused row. `unit` is what `number` counts: `row` or `line`."""
        self.rows += 1
        self.refused[reason] += 1
        if len(self.examples[reason]) < EXAMPLES:
            self.examples[reason].append(f"{file}, {unit} {number}: {detail}")
        if self.refusals is not None:
            refusal = {"file": file, unit: number, "reason": reason, "detail": detail}
            text = json.dumps(refusal, ensure_ascii=False)
            # A file name that is not UTF-8 has half surrogate pairs, which only an escape can write.
            self.refusals.write((text if is_utf_8(text) else json.dumps(refusal)) + "\n")
