"""Which function executes which technique, and how its end becomes an outcome."""

import time
from collections.abc import Callable
from typing import Any

from measurement.operation import Operation, Technique
from measurement.outcome import Outcome, Status
from measurement.technique_parameters import ParameterError, read_parameters
from measurement.techniques.broute import broute
from measurement.techniques.dns_query import dns_query
from measurement.techniques.http_get import http_get
from measurement.techniques.igi import igi
from measurement.techniques.iperf import responsiveness, throughput
from measurement.techniques.pathneck import pathneck
from measurement.techniques.ping import ping
from measurement.techniques.rtp import rtp
from measurement.techniques.send import tcp_send, udp_send
from measurement.techniques.sip import sip_invite, sip_options
from measurement.techniques.task import Findings, NotMeasured, ProbeSettings, Task, findings_of_error
from measurement.techniques.traceroute import traceroute

TECHNIQUES: dict[Technique, Callable[[Task, Any], Findings]] = {
    Technique.PING: ping,
    Technique.TRACEROUTE: traceroute,
    Technique.IGI: igi,
    Technique.PATHNECK: pathneck,
    Technique.BROUTE: broute,
    Technique.DNS: dns_query,
    Technique.HTTP: http_get,
    Technique.SIP_OPTIONS: sip_options,
    Technique.SIP_INVITE: sip_invite,
    Technique.RTP: rtp,
    Technique.UDP_SEND: udp_send,
    Technique.TCP_SEND: tcp_send,
    Technique.THROUGHPUT: throughput,
    Technique.RESPONSIVENESS: responsiveness,
}

NO_SETTINGS = ProbeSettings()


def measure(operation: Operation, report: Callable[[Outcome], None], settings: ProbeSettings = NO_SETTINGS) -> Outcome:
    """Execute an operation and return its outcome, which always has values, hops or a reason.

    `report` gets what has been found so far, as outcomes with the status `partial`. Blocks until the end, at most a little longer
    than the operation's time limit.
    """
    begin, started_ms = time.monotonic(), time.time_ns() // 10**6

    def outcome(found: Findings) -> Outcome:
        return Outcome(
            operation_id=operation.operation_id,
            status=found.status,
            reason=found.reason[:1024],
            started_ms=started_ms,
            duration_ms=(time.monotonic() - begin) * 1e3,
            values=found.values,
            hops=found.hops,
            quality="degraded" if found.degraded else "good" if found.status in _MEASURED else "",
        )

    task = Task(
        operation=operation,
        settings=settings,
        report=lambda found: report(outcome(found)),
        deadline=begin + operation.time_limit_s,
    )
    return outcome(_find(task))


_MEASURED = (Status.OK, Status.PARTIAL)


def _find(task: Task) -> Findings:
    technique = task.operation.technique
    try:
        return TECHNIQUES[technique](task, read_parameters(technique, task.operation.parameters))
    except ParameterError as error:
        return Findings(status=Status.REFUSED, reason=str(error))
    except NotMeasured as error:
        return error.findings
    except OSError as error:
        return findings_of_error(error)
