"""How much a run has asked of the promises; what was lost or doubled needs no count: it fails the test that finds it."""

from collections import Counter
from collections.abc import Callable, Iterable

import pytest

Record = Callable[[str, object], None]
"""pytest's `record_property`."""

ACKNOWLEDGED = "messages acknowledged"
HURT = "times a process was killed, frozen or stopped"
POWER_CUT = "simulated power cuts"
FAILED_CALL = "failed calls of the file system"
FLIPPED_BIT = "flipped bits"

ASKED = (ACKNOWLEDGED, HURT, POWER_CUT, FAILED_CALL, FLIPPED_BIT)


def asked(reports: Iterable[pytest.TestReport]) -> Counter[str]:
    """The sum of each, over the tests that ran."""
    total: Counter[str] = Counter()
    for report in reports:
        for name, value in report.user_properties:
            if name in ASKED and isinstance(value, int):
                total[name] += value
    return total
