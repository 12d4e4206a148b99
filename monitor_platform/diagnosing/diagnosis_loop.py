"""Runs the diagnoses that alerts start, one after the other: it submits requests to the measurement master, waits until the
operations have arrived as records, and concludes from them.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace
from typing import Any

import duckdb
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback_analysis.diagnosis.diagnosis_facts import as_json, headline
from feedback_analysis.diagnosis.recorded_diagnosis import EARLIER_MS
from feedback_analysis.diagnosis.recorded_viewers import viewers_by_minute
from feedback_analysis.diagnosis.rule_table import diagnose
from feedback_analysis.diagnosis.verdict import Diagnosis, NotEnoughEvidence, Verdict
from feedback_analysis.measurements.measured_operations import operations_of
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_units import MINUTE_MS
from feedback_wire.problem import Problem
from monitor_platform.alerts.alert_diagnoses import AlertDiagnoses, AlertDiagnosis
from monitor_platform.alerts.alert_watch import ExplainedAlert
from monitor_platform.alerts.detector import Alert
from monitor_platform.diagnosing.diagnosis_limits import NoDiagnosis, why_none
from monitor_platform.diagnosing.diagnosis_plan import is_own_measurement, plan_of
from monitor_platform.measuring.master_requests import MasterRequests

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
MEASURED_WITHIN_S = 300.0
"""The agents measure one after the other."""
ARRIVED_WITHIN_S = 180.0
"""From the master over the coordinator and the feedback server into memory."""
VIEWERS_MS = 10 * MINUTE_MS
OTHERS_MS = 5 * MINUTE_MS
"""Before a diagnosis: operations of other requests that may belong to the same problem."""
LIVE = ("running", "waiting")
"""The states of a request that has not ended."""

NO_DESTINATION = "not enough evidence: no destination is known, because no agent has measured in the last day; give destinations"


class DiagnosisLoop(Collector):
    """`on_verdict` is called when a diagnosis has ended. Use it on the event loop."""

    def __init__(
        self,
        master: MasterRequests,
        table: FeedbackTable,
        measurements: RecordTable,
        diagnoses: AlertDiagnoses,
        *,
        on_verdict: Callable[[ExplainedAlert], None],
    ) -> None:
        self._master = master
        self._table = table
        self._measurements = measurements
        self._diagnoses = diagnoses
        self._on_verdict = on_verdict
        self._waiting: asyncio.Queue[ExplainedAlert] = asyncio.Queue()
        self.outcomes = Counter(dict.fromkeys(("done", "failed", *NoDiagnosis), 0))

    def begin(self, explained: ExplainedAlert) -> None:
        """An alert has begun, or has ended."""
        if explained.alert.rule.diagnose and explained.alert.ended_ms is None:
            self._waiting.put_nowait(explained)

    async def run(self) -> None:
        """Diagnose until cancelled."""
        while True:
            explained = await self._waiting.get()
            try:
                await self._consider(explained)
            except (Problem, duckdb.Error):
                log.exception("the diagnosis of %s could not be stored or computed", explained.alert.rule.name)
                self.outcomes["failed"] += 1

    def describe(self) -> list[Metric]:
        """Nothing. Otherwise the registration would call `collect`."""
        return []

    def collect(self) -> Iterator[Metric]:
        counter = CounterMetricFamily(
            "swarmscope_monitor_diagnoses_total", "Diagnoses that alerts wanted, by outcome.", labels=["outcome"]
        )
        for outcome, number in self.outcomes.items():
            counter.add_metric([outcome], number)
        yield counter

    async def _consider(self, explained: ExplainedAlert) -> None:
        alert, now_ms, known = explained.alert, _now_ms(), self._diagnoses.all
        requests = tuple(request for each in known for request in each.requests)
        own = await asyncio.to_thread(is_own_measurement, self._measurements, alert, requests)
        why = why_none(alert, now_ms=now_ms, earlier=known, measured_by_diagnosis=own)
        if why is not None:
            self.outcomes[why] += 1
            log.info("%s starts no diagnosis: %s", alert.rule.name, why)
            return
        begun = AlertDiagnosis(rule=alert.rule.name, slice=alert.slice, began_ms=alert.began_ms, at_ms=now_ms)
        await self._diagnoses.put(begun)
        try:
            ended = await self._diagnosed(begun, alert)
        except Problem as problem:
            ended = replace(begun, state="failed", text=problem.detail)
            log.warning("the diagnosis of %s failed: %s", alert.rule.name, problem.detail)
        self.outcomes[ended.state] += 1
        await self._diagnoses.put(ended)
        self._on_verdict(explained)

    async def _diagnosed(self, begun: AlertDiagnosis, alert: Alert) -> AlertDiagnosis:
        plan = await asyncio.to_thread(plan_of, self._measurements, alert, begun.at_ms)
        if not plan.destinations:
            return replace(begun, state="done", text=NO_DESTINATION)
        begun = replace(begun, requests=await self._submitted(plan.requests()))
        await self._diagnoses.put(begun)
        expected = await self._measured(begun.requests)
        arrived = await self._arrived(begun.requests, expected)
        found = await asyncio.to_thread(self._verdicts, begun)
        missing = f"; {expected - arrived} of {expected} operations did not arrive" if arrived < expected else ""
        return replace(begun, state="done", text=headline(found) + missing, facts=as_json(found))

    async def _submitted(self, requests: Sequence[dict[str, Any]]) -> tuple[str, ...]:
        """The ids of the accepted requests. An agent of the alert may be gone; Problem only if no request is accepted."""
        accepted: list[str] = []
        refused: Problem | None = None
        for request in requests:
            try:
                accepted.append(str((await self._master.submit(request))["id"]))
            except Problem as problem:
                refused = problem
                log.warning("a measurement of a diagnosis was refused: %s", problem.detail)
        if not accepted and refused is not None:
            raise refused
        return tuple(accepted)

    async def _measured(self, requests: Sequence[str]) -> int:
        """The number of operations that have ended, when all requests have ended or the time is over."""
        until = time.monotonic() + MEASURED_WITHIN_S
        while True:
            states = [await self._master.state_of(each) for each in requests]
            if time.monotonic() > until or not any(each.get("state") in LIVE for each in states):
                return sum(sum(each.get("statuses", {}).values()) for each in states)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _arrived(self, requests: Sequence[str], expected: int) -> int:
        """The number of these operations in memory, when all have arrived or the time is over."""
        until = time.monotonic() + ARRIVED_WITHIN_S
        while True:
            arrived = await asyncio.to_thread(self._count, requests)
            if arrived >= expected or time.monotonic() > until:
                return arrived
            await asyncio.sleep(LOOK_EVERY_S)

    def _count(self, requests: Sequence[str]) -> int:
        with self._measurements.reading() as db:
            [(count,)] = db.execute(
                "SELECT count(*) FROM measurement WHERE request_id IN (SELECT unnest($requests))", {"requests": list(requests)}
            ).fetchall()
        return int(count)

    def _verdicts(self, begun: AlertDiagnosis) -> Diagnosis:
        """Concludes from the operations of the requests, from others since the start of the alert, which may clear more links, from
        those of the hour before, and from the viewers of the agents' ISPs."""
        own = [each for request in begun.requests for each in operations_of(self._measurements, where={"request_id": request})]
        meanwhile = Span(max(begun.began_ms, begun.at_ms - OTHERS_MS), _now_ms())
        now = [*own, *operations_of(self._measurements, span=meanwhile)]
        earlier = operations_of(self._measurements, span=Span(begun.began_ms - EARLIER_MS, begun.began_ms))
        isps = {each.tags["isp"] for each in own if "isp" in each.tags}
        last_ms = _now_ms() // MINUTE_MS * MINUTE_MS
        viewers = viewers_by_minute(self._table, span=Span(last_ms - VIEWERS_MS, last_ms), isps=isps) if isps else ()
        return about_measured(diagnose(now, earlier=earlier, viewers=viewers), {each.operation_id for each in own})


def about_measured(found: Diagnosis, operation_ids: Set[str]) -> Diagnosis:
    """What a diagnosis says about paths that these operations measured, or about viewers only."""

    def is_about(answer: Verdict | NotEnoughEvidence) -> bool:
        parts = answer.evidence if isinstance(answer, Verdict) else (answer,)
        ids = {each for part in parts for each in part.operation_ids}
        return not ids or not ids.isdisjoint(operation_ids)

    return Diagnosis(verdicts=tuple(filter(is_about, found.verdicts)), not_enough=tuple(filter(is_about, found.not_enough)))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
