"""TRACEROUTE: the routers on the path. By default as Paris traceroute: with a constant flow, so that a load balancer sends all
probes over one path. With a changing flow, a trace joins routers of different paths, and shows links that do not exist.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from socket import gethostbyaddr

import msgspec

from measurement.estimates.as_table import AsTable, AsTableError, read_as_table
from measurement.estimates.multipath import probes_to_stop
from measurement.outcome import Hop, Status, Value
from measurement.technique_parameters import MOST_FLOWS, TracerouteParameters
from measurement.techniques.icmp_extensions import mpls_labels
from measurement.techniques.kernel_sockets import wait_readable
from measurement.techniques.task import Findings, NotMeasured, ProbeSettings, Task, values_of
from measurement.techniques.trace_socket import TIME_EXCEEDED, USUAL_PORT, TraceProbe, TraceSocket
from serving.regular_files import read_regular_text

SHORTEST_TIMEOUT_S = 0.25
NAMES_WITHIN_S = 3.0
LIMITED = "some routers answered only some of the probes; they may limit the rate of their answers"


def traceroute(task: Task, parameters: TracerouteParameters) -> Findings:
    """Trace the path. Reports the hops that are known so far."""
    hops, reached = trace(task, parameters, port=task.port(USUAL_PORT))
    if parameters.names:
        hops = _named(hops, min(NAMES_WITHIN_S, task.left_s()))
    return _findings(task, with_as_numbers(hops, task.settings), reached)


def trace(task: Task, parameters: TracerouteParameters, *, port: int) -> tuple[list[Hop], bool]:
    """The hops, and whether the destination was reached. At `port`, or from it on, nothing should listen there."""
    search = _multipath if parameters.mode == "multipath" else _single
    return search(task, parameters, port)


def _single(task: Task, parameters: TracerouteParameters, port: int) -> tuple[list[Hop], bool]:
    with closing(TraceSocket.open(task)) as prober:
        ttl, window = 1, parameters.window
        while ttl <= parameters.max_ttl and not task.expired():
            ttls = range(ttl, min(ttl + window, parameters.max_ttl + 1))
            for _ in range(parameters.attempts):
                sent = [prober.send(each, _port(port, prober, parameters)) for each in ttls]
                _await([prober], sent, _timeout_s(prober.probes, parameters))
                if prober.short_quotes:
                    window = 1
            task.report(Findings(status=Status.PARTIAL, reason="still tracing", hops=hops_of(prober.probes)))
            if any(map(prober.ends_path, prober.probes)) or _silent_end(prober.probes) >= parameters.gap_limit:
                break
            ttl = ttls[-1] + 1
        return _cut(prober.probes, prober), any(map(prober.is_destination, prober.probes))


def _port(first: int, prober: TraceSocket, parameters: TracerouteParameters) -> int:
    return min(first + len(prober.probes) % 512, 65_535) if parameters.mode == "classic" else first


def _timeout_s(probes: Iterable[TraceProbe], parameters: TracerouteParameters) -> float:
    """Three times the slowest answer so far, within reason; the whole timeout before there is an answer."""
    slowest_ms = max((probe.rtt_ms for probe in probes if probe.rtt_ms is not None), default=float(parameters.timeout_ms))
    return min(parameters.timeout_ms / 1e3, max(3 * slowest_ms / 1e3, SHORTEST_TIMEOUT_S))


def _await(probers: Sequence[TraceSocket], sent: Sequence[TraceProbe], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while any(probe.answer is None for probe in sent) and (left := end - time.monotonic()) > 0:
        wait_readable([prober.sock for prober in probers], left)
        for prober in probers:
            prober.receive()


def _silent_end(probes: Sequence[TraceProbe]) -> int:
    """How many of the last TTLs did not answer."""
    last_answered = max((probe.ttl for probe in probes if probe.answer), default=0)
    return max(probe.ttl for probe in probes) - last_answered


def _cut(probes: Sequence[TraceProbe], prober: TraceSocket) -> list[Hop]:
    """The hops up to the first one that ends the path, or up to the last one that answered."""
    end = min((probe.ttl for probe in probes if prober.ends_path(probe)), default=0)
    end = end or max((probe.ttl for probe in probes if probe.answer), default=0)
    return hops_of([probe for probe in probes if probe.ttl <= end])


def _multipath(task: Task, parameters: TracerouteParameters, port: int) -> tuple[list[Hop], bool]:
    """Each TTL gets probes of different flows until the stopping rule of MDA holds. A flow is a source port."""
    flows: list[TraceSocket] = []
    found: list[TraceProbe] = []
    silent = 0
    try:
        for ttl in range(1, parameters.max_ttl + 1):
            probes = _all_interfaces(task, parameters, flows, ttl, port)
            found += probes
            silent = 0 if any(probe.answer for probe in probes) else silent + 1
            task.report(Findings(status=Status.PARTIAL, reason="still tracing", hops=hops_of(found)))
            if any(map(flows[0].ends_path, probes)) or silent >= parameters.gap_limit or task.expired():
                break
        return _cut(found, flows[0]), any(map(flows[0].is_destination, found))
    finally:
        for flow in flows:
            flow.close()


def _all_interfaces(
    task: Task, parameters: TracerouteParameters, flows: list[TraceSocket], ttl: int, port: int
) -> list[TraceProbe]:
    probes: list[TraceProbe] = []
    while not task.expired():
        addresses = {probe.answer.address for probe in probes if probe.answer}
        needed = min(probes_to_stop(max(len(addresses), 1)), MOST_FLOWS)
        if len(probes) >= needed or (not addresses and len(probes) >= parameters.attempts):
            break
        batch = range(len(probes), min(needed, len(probes) + (parameters.attempts if not addresses else 8)))
        while len(flows) < batch[-1] + 1:
            flows.append(TraceSocket.open(task))
        sent = [flows[place].send(ttl, port) for place in batch]
        _await(flows, sent, _timeout_s([probe for flow in flows for probe in flow.probes], parameters))
        probes += sent
    return probes


def hops_of(probes: Iterable[TraceProbe]) -> list[Hop]:
    """One hop for each TTL and address, in this order; a TTL without an answer is one silent hop."""
    by_ttl: dict[int, list[TraceProbe]] = {}
    for probe in probes:
        by_ttl.setdefault(probe.ttl, []).append(probe)
    hops = []
    for ttl, sent in sorted(by_ttl.items()):
        answers: dict[str, list[TraceProbe]] = {}
        for probe in sent:
            if probe.answer:
                answers.setdefault(probe.answer.address, []).append(probe)
        hops += [_hop(ttl, len(sent), address, each) for address, each in answers.items()] or [Hop(ttl=ttl, sent=len(sent))]
    return hops


def _hop(ttl: int, sent: int, address: str, answered: Sequence[TraceProbe]) -> Hop:
    first = answered[0].answer
    return Hop(
        ttl=ttl,
        address=address,
        rtt_ms=min((probe.rtt_ms for probe in answered if probe.rtt_ms is not None), default=None),
        sent=sent,
        answered=len(answered),
        icmp_type=first.icmp_type if first else None,
        icmp_code=first.icmp_code if first else None,
        mpls_labels=" ".join(map(str, mpls_labels(first.extensions))) or None if first else None,
    )


def _findings(task: Task, hops: list[Hop], reached: bool) -> Findings:
    answered = [hop for hop in hops if hop.address is not None]
    silent = len(hops) - len(answered)
    values = [
        *values_of({"hops": max((hop.ttl for hop in hops), default=0), "silent_hops": silent, "reached": float(reached)}),
        Value(name="rtt_min_ms", value=hops[-1].rtt_ms if reached and hops else None, method="the smallest of the destination"),
    ]
    limited = any(hop.answered < hop.sent for hop in answered) and len({hop.ttl for hop in answered}) == len(answered)
    if not answered:
        raise NotMeasured(Status.TIMEOUT_TARGET, "no router and no destination answered", values)
    if task.expired():
        return Findings(status=Status.TIMEOUT_AGENT, reason="the time limit ended the trace", values=values, hops=hops)
    if reached and not silent:
        return Findings(values=values, hops=hops, degraded=limited, reason=LIMITED if limited else "")
    last = answered[-1]
    if not reached and last.icmp_type != TIME_EXCEEDED[task.family]:
        reason = f"{last.address} does not forward: ICMP type {last.icmp_type}, code {last.icmp_code}"
        return Findings(status=Status.UNREACHABLE, reason=reason, values=values, hops=hops)
    reason = f"{silent} hops are silent" if reached else f"after hop {last.ttl}, nothing answered"
    return Findings(status=Status.PARTIAL, reason=reason, values=values, hops=hops, degraded=limited)


def with_as_numbers(hops: list[Hop], settings: ProbeSettings) -> list[Hop]:
    """The hops with the AS numbers of the agent's table, if it has one."""
    table = as_table(settings)
    if table is None:
        return hops
    return [msgspec.structs.replace(hop, as_number=table.as_number(hop.address)) for hop in hops]


def as_table(settings: ProbeSettings) -> AsTable | None:
    """The agent's table; None if it has none. NotMeasured if it cannot be read."""
    if not settings.as_table:
        return None
    try:
        return read_as_table(read_regular_text(Path(settings.as_table)).splitlines())
    except (OSError, UnicodeDecodeError, AsTableError) as error:
        raise NotMeasured(Status.REFUSED, f"the agent's AS table {os.fspath(settings.as_table)}: {error}") from error


def _named(hops: list[Hop], within_s: float) -> list[Hop]:
    """The hops with their DNS names. All look-ups together end in time, because a resolver may be slow."""
    names: dict[str, str] = {}
    addresses = {hop.address for hop in hops if hop.address}
    look_ups = [threading.Thread(target=_look_up(address, names), daemon=True) for address in addresses]
    for look_up in look_ups:
        look_up.start()
    end = time.monotonic() + within_s
    for look_up in look_ups:
        look_up.join(max(end - time.monotonic(), 0))
    return [msgspec.structs.replace(hop, name=names.get(hop.address or "")) for hop in hops]


def _look_up(address: str, names: dict[str, str]) -> Callable[[], None]:
    def look_up() -> None:
        with suppress(OSError):
            names[address] = gethostbyaddr(address)[0][:1024]

    return look_up
