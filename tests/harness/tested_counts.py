"""How many messages, kills and faults a run has tried. A loss or a duplicate needs no count: it fails its test."""

from collections import Counter
from collections.abc import Callable, Iterable

import pytest

RecordProperty = Callable[[str, object], None]
"""The type of pytest's `record_property`."""

ACKNOWLEDGED = "messages acknowledged"
PROCESS_FAULT = "times a process was killed, frozen or stopped"
POWER_CUT = "simulated power cuts"
FAILED_CALL = "failed calls of the file system"
FLIPPED_BIT = "flipped bits"

COUNTED = (ACKNOWLEDGED, PROCESS_FAULT, POWER_CUT, FAILED_CALL, FLIPPED_BIT)


def tested_counts(reports: Iterable[pytest.TestReport]) -> Counter[str]:
    """The sum of each count over the tests that ran."""
    total: Counter[str] = Counter()
    for report in reports:
        for name, value in report.user_properties:
            if name in COUNTED and isinstance(value, int):
                total[name] += value
    return total
