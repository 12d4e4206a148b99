"""Slow paths: a change of the route, congestion at a hop, and a hop that limits the capacity without being congested."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from feedback_analysis.diagnosis.baselines import DelayStep, Judgement
from feedback_analysis.diagnosis.observed_paths import ObservedPath, number, route_of, traces_of
from feedback_analysis.diagnosis.verdict import Cause, DiagnosisAnswer, Evidence, NotEnoughEvidence, Subject, agreed


def find_routing_changes(paths: Sequence[ObservedPath]) -> Iterator[DiagnosisAnswer]:
    """Paths whose route differs from all earlier ones, and whose delay has risen."""
    for path in paths:
        step = path.delay()
        if step.judgement is Judgement.BAD:
            yield from _compared_route(path, step)


def _compared_route(path: ObservedPath, step: DelayStep) -> Iterator[DiagnosisAnswer]:
    subject = Subject(text=f"route from {path}", agent=path.key.agent, destination=path.key.address)
    now, earlier = traces_of(path.now), traces_of(path.earlier)
    if not now or not earlier:
        yield NotEnoughEvidence(about=subject, missing="a TRACEROUTE now and one from before the delay rose")
    elif not any(trace.agrees(before) for trace in now for before in earlier):
        ids = path.ids("PING", "TRACEROUTE") + _ids_of_earlier_traces(path)
        text = f"the route from {path} differs from {len(earlier)} earlier traces, and the delay rose"
        yield agreed(Cause.ROUTING_CHANGE, subject, {path.key.agent: _delay_evidence(text, ids, step)})


def _ids_of_earlier_traces(path: ObservedPath) -> tuple[str, ...]:
    return tuple(each.operation_id for each in path.earlier if each.technique == "TRACEROUTE")


def find_slow_hops(paths: Sequence[ObservedPath]) -> Iterator[DiagnosisAnswer]:
    """Hops at which the gaps of packet trains grow: congestion if the delay rises there too, capacity if it does not."""
    found: dict[tuple[Cause, str], dict[str, Evidence]] = defaultdict(dict)
    for path in paths:
        answer = _slow_hop(path)
        if isinstance(answer, NotEnoughEvidence):
            yield answer
        elif answer is not None:
            cause, address, evidence = answer
            found[cause, address][path.key.agent] = evidence
    for (cause, address), each in sorted(found.items()):
        yield agreed(cause, Subject(text=f"link into {address}", address=address), each)


def _slow_hop(path: ObservedPath) -> tuple[Cause, str, Evidence] | NotEnoughEvidence | None:
    ids, address, bandwidth_kbps = _last_bottleneck(path)
    if address is None:
        return None
    about = Subject(text=f"link into {address}, on the path from {path}", agent=path.key.agent, address=address)
    step, before = path.hop_delay(address), _delay_before(path, address)
    ids += path.ids("TRACEROUTE")
    if step.judgement is Judgement.UNKNOWN:
        return NotEnoughEvidence(about=about, missing=f"delays of this hop by TRACEROUTE: {step.missing}", operation_ids=ids)
    if step.judgement is Judgement.GOOD:
        text = f"the gap of trains from {path} grows at {address}, the delay is as usual"
        return Cause.CAPACITY, address, _delay_evidence(text, ids, step, bandwidth_kbps)
    if before is Judgement.GOOD:
        text = f"the gap of trains from {path} grows at {address}, and the delay rises there"
        return Cause.CONGESTION, address, _delay_evidence(text, ids, step, bandwidth_kbps)
    missing = "delays of the hop before it, now and earlier, that are as usual"
    return NotEnoughEvidence(about=about, missing=missing, operation_ids=ids)


def _last_bottleneck(path: ObservedPath) -> tuple[tuple[str, ...], str | None, float | None]:
    """The ids of PATHNECK and the address of the hop that its newest answer names. Each answer is that of five trains or more."""
    for operation in reversed(list(path.of("PATHNECK"))):
        ttl = number(operation, "bottleneck_ttl")
        hop = next((hop for hop in operation.hops if hop.ttl == ttl), None)
        if hop is not None and hop.address and hop.ttl > 1:
            return (operation.operation_id,), hop.address, number(operation, "bottleneck_kbps")
    return (), None, None


def _delay_before(path: ObservedPath, address: str) -> Judgement:
    """The delay of the nearest hop before this one that answers. Before the first hop is the agent, which has none."""
    route = route_of(path)
    if route is None or address not in route:
        return Judgement.UNKNOWN
    known = [node for node in route[1 : route.index(address)] if node is not None]
    return path.hop_delay(known[-1]).judgement if known else Judgement.GOOD


def _delay_evidence(text: str, ids: tuple[str, ...], step: DelayStep, bandwidth_kbps: float | None = None) -> Evidence:
    numbers = {"now_ms": step.now_ms, "earlier_ms": step.earlier_ms, "bandwidth_kbps": bandwidth_kbps}
    return Evidence(text=text, operation_ids=ids, numbers={name: each for name, each in numbers.items() if each is not None})
