"""Operations that were open when the master ended: an agent may still deliver what it has measured; the others expire.

An agent that has lost its master stops, clears its queue, and delivers its spool when it registers again.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from measurement.control_messages import Report
from measurement.finished_operation import FinishedOperation
from measurement.master.live_request import LiveRequest
from measurement.master.operation_recorder import OperationRecorder, Pair
from measurement.outcome import Status

log = logging.getLogger(__name__)

MOST_DIGITS = 10
"""A damaged record may have a longer number."""

RESTARTED = "the master restarted before an outcome arrived"


@dataclass(slots=True, kw_only=True)
class RestoredOperations:
    """The open operations of the last run, by their id."""

    recorder: OperationRecorder
    open: dict[str, Pair] = field(default_factory=dict)
    until_s: float = 0.0
    """The time at which all agents have had the time to return."""

    def restore(self, requests: Iterable[LiveRequest], lines: Iterable[bytes], until_s: float) -> None:
        """Take over requests as they were saved, and the records that were written after that."""
        found = {each.request_id: each for each in requests}
        for line in lines if found else ():
            operation = _operation(line)
            if operation is None or self.recorder.has_ended(operation.outcome.operation_id):  # twice after a failed sync
                continue
            if (live := found.get(operation.request_id)) is not None:
                _end_recorded(live, operation, line)
                self.recorder.remember(operation.outcome.operation_id)
        self.until_s = until_s
        for live in found.values():
            for (number, agent), bits in live.open_pairs.items():
                pairs = [Pair(live, number, agent, index) for index in range(len(live.destinations)) if bits >> index & 1]
                self.open |= {pair.operation_id: pair for pair in pairs}

    def report(self, agent: str, report: Report) -> Pair | None:
        """An outcome that an agent measured for the last run; None if no such operation is open."""
        pair = self.open.get(report.outcome.operation_id)
        if pair is None or pair.agent != agent:
            return None
        del self.open[report.outcome.operation_id]
        self.recorder.end(pair, report.outcome)
        return pair

    def expire(self, now_s: float) -> None:
        """End the operations that no agent has delivered in time."""
        if self.open and now_s >= self.until_s:
            pairs, self.open = self.open, {}
            self.recorder.end_many(pairs.values(), Status.EXPIRED, RESTARTED)


def _operation(line: bytes) -> FinishedOperation | None:
    try:
        return msgspec.json.decode(line, type=FinishedOperation)
    except (ValueError, RecursionError) as error:
        log.warning("a record of the journal cannot be read: %s", error)
        return None


def _end_recorded(live: LiveRequest, operation: FinishedOperation, line: bytes) -> None:
    """End an operation that ended after the request was saved. It may also have been planned after that."""
    digits = operation.outcome.operation_id.rpartition(".")[2]
    destination = int(digits) if digits.isdecimal() and len(digits) < MOST_DIGITS else len(live.destinations)
    if destination >= len(live.destinations):
        log.warning("a record of the journal has a destination that the request %s does not have", live.request_id)
        return
    if not live.is_open(operation.round, operation.agent, destination):
        live.plan(operation.round, operation.agent, 1 << destination)
    live.ended(operation.round, operation.agent, destination, operation.outcome.status, line)
