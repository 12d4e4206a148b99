"""The bad link of the demo's network: when it begins, what viewers notice, and when a diagnosis of the recorded logs names it."""

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

from feedback_analysis.diagnosis.recorded_diagnosis import diagnose_recorded
from feedback_analysis.diagnosis.verdict import Verdict
from feedback_analysis.measurements.path_map import with_names
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import open_records
from feedback_wire import routes
from feedback_wire.kinds import RecordKind
from swarmscope.demo import network_topology
from swarmscope.demo.demo_network import DemoNetwork
from swarmscope.demo.network_topology import BAD_ISP, BAD_LOSS, uplink_ends
from swarmscope.demo.pipeline_status import ANSWERS_WITHIN_S

LOOKS_EVERY_S = 5.0
FELT = 0.3
"""The MOS of the viewers behind the link has fallen when it is lower by this."""

_SETTLED_S = 15.0
"""The first seconds after the failure, in which buffers still play, do not count for the MOS."""


class LinkFailure:
    """What happens to the network, as lines for the terminal."""

    def __init__(self, network: DemoNetwork, folders: Sequence[Path], monitor: str, fail_after_s: float) -> None:
        """`folders`: of the feedback servers. `monitor`: URL of the monitoring platform."""
        self._network, self._folders, self._monitor = network, folders, monitor
        self._fails_s = self._looks_s = time.monotonic() + fail_after_s
        self._failed_ms: int | None = None
        self._before: Mapping[str, float] = {}
        self._felt = False
        self._named: set[str] = set()

    def new_lines(self) -> Iterator[str]:
        """What has happened since the last call."""
        self._network.check()
        now_s = time.monotonic()
        if now_s < self._looks_s:
            return
        self._looks_s = now_s + LOOKS_EVERY_S
        if self._failed_ms is None:
            self._before = self._mos(_now_ms() - 60_000)
            self._failed_ms = _now_ms()
            self._network.break_link()
            ends = with_names(" and ".join(uplink_ends(BAD_ISP)), network_topology.names())
            yield f"network: the link between {ends} loses {BAD_LOSS:.0%} of its packets from now on"
            return
        if not self._felt:
            yield from self._fall(self._failed_ms)
        yield from self._verdict(self._failed_ms)

    def _fall(self, failed_ms: int) -> Iterator[str]:
        now, before = self._mos(failed_ms + round(_SETTLED_S * 1000)), self._before.get(BAD_ISP)
        if BAD_ISP in now and before is not None and now[BAD_ISP] <= before - FELT:
            self._felt = True
            others = ", ".join(f"{isp} {mos:.1f}" for isp, mos in sorted(now.items()) if isp != BAD_ISP)
            fall = f"from {before:.1f} to {now[BAD_ISP]:.1f}"
            yield f"network: the MOS of the viewers of {BAD_ISP} has fallen {fall}; others: {others}"

    def _verdict(self, failed_ms: int) -> Iterator[str]:
        """What a diagnosis blames for the first time. More measurements may name a shorter part of the network."""
        for verdict in self._verdicts(Span(failed_ms, _now_ms())):
            if verdict.subject.text not in self._named:
                self._named.add(verdict.subject.text)
                subject = with_names(verdict.subject.text, network_topology.names())
                yield f"network: verdict of a diagnosis: {subject} ({verdict.cause}, {verdict.confidence} confidence)"

    def _verdicts(self, span: Span) -> tuple[Verdict, ...]:
        table, _ = open_records(self._folders, RecordKind.MEASUREMENT)
        try:
            return diagnose_recorded(table, span=span).verdicts
        finally:
            table.close()

    def _mos(self, from_ms: int) -> dict[str, float]:
        """The MOS of the viewers of each ISP since then; empty if the platform is too busy to answer."""
        address = f"{self._monitor}{routes.SUMMARY}?from={from_ms}&by=isp"
        try:
            with urllib.request.urlopen(address, timeout=ANSWERS_WITHIN_S) as answer:  # noqa: S310 - one of our own servers
                groups = json.load(answer).get("groups", ())
        except (OSError, HTTPException):
            return {}
        found = {group["by"]["isp"]: group.get("mos", {}).get("mean") for group in groups}
        return {isp: mos for isp, mos in found.items() if mos is not None}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
