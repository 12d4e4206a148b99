"""What an import has read, taken and refused: counts and first examples by reason; every refusal in a file on request."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TextIO

EXAMPLES = 3
"""Refusals that are kept of each reason to be shown."""


@dataclass(kw_only=True)
class Report:
    """Counts rows; `refusals` takes a JSON line for each that is refused."""

    refusals: TextIO | None = None
    rows: int = 0
    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    first_ms: int | None = None
    last_ms: int | None = None

    def take(self, time_ms: int) -> None:
        """A row has become a message of this time."""
        self.rows += 1
        self.taken += 1
        self.first_ms = time_ms if self.first_ms is None else self.first_ms
        self.last_ms = time_ms

    def refuse(self, *, file: str, place: str, number: int, reason: str, detail: str) -> None:
        """A row is none; `place` says what `number` counts: `row` or `line`."""
        self.rows += 1
        self.refused[reason] += 1
        if len(self.examples[reason]) < EXAMPLES:
            self.examples[reason].append(f"{file}, {place} {number}: {detail}")
        if self.refusals is not None:
            refusal = {"file": file, place: number, "reason": reason, "detail": detail}
            self.refusals.write(json.dumps(refusal, ensure_ascii=False) + "\n")
