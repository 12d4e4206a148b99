"""The probe process: reads operations from standard input and writes outcomes to standard output, one JSON text per line.

A line of the input is `{"operation": {...}, "settings": {...}}`. Each operation gives any number of lines
`{"outcome": {...}, "final": false}`, and one with `"final": true`. The process executes one operation after the other and ends
when the input ends.
"""

import sys
import traceback

import msgspec
from msgspec import Struct

from measurement.operation import Operation
from measurement.outcome import Outcome, Status
from measurement.techniques.registry import measure
from measurement.techniques.task import ProbeSettings


class ProbeOrder(Struct, frozen=True, kw_only=True):
    """What the agent writes to the probe process."""

    operation: Operation
    settings: ProbeSettings = ProbeSettings()


class ProbeAnswer(Struct, frozen=True, kw_only=True):
    """What the probe process writes to the agent."""

    outcome: Outcome
    final: bool


def main() -> None:
    """Execute the operations of standard input."""
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=ProbeOrder)
        _write(_execute(order), final=True)


def _execute(order: ProbeOrder) -> Outcome:
    try:
        return measure(order.operation, lambda outcome: _write(outcome, final=False), order.settings)
    except Exception as error:  # noqa: BLE001 - the agent needs an outcome for a fault of the code too
        traceback.print_exc()
        reason = f"the agent's probe process failed: {type(error).__name__}: {error}"[:1024]
        return Outcome(
            operation_id=order.operation.operation_id, status=Status.AGENT_LOST, reason=reason, started_ms=0, duration_ms=0.0
        )


def _write(outcome: Outcome, *, final: bool) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(ProbeAnswer(outcome=outcome, final=final)) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
