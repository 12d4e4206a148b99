"""The operations of each path, and what they say about its loss, its delay and its route."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from feedback_analysis.diagnosis.baselines import FAILING, LOSSY, DelayStep, Judgement, judge_delay, judge_share
from feedback_analysis.diagnosis.path_parts import Node
from feedback_analysis.diagnosis.tomography import PathKey
from feedback_analysis.measurements.measured_operations import MeasuredOperation
from feedback_analysis.measurements.traced_route import TracedRoute, route_of_hops
from feedback_wire.share_interval import interval_of

FAILED = frozenset({"timeout_target", "unreachable"})
ANSWERED = frozenset({"ok", "partial"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BadShare:
    """How many packets or operations of a path were bad."""

    bad: int
    total: int
    operation_ids: tuple[str, ...]
    judgement: Judgement
    answers_others: bool = False
    """The address answers other techniques, but never PING. Then the share says nothing."""

    @property
    def numbers(self) -> dict[str, float]:
        """As evidence, with the Wilson interval."""
        share = interval_of(self.bad, self.total)
        return {"bad": self.bad, "total": self.total, "low": share.low, "high": share.high}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPath:
    """What one agent measured to one address, in the order of time."""

    key: PathKey
    now: tuple[MeasuredOperation, ...]
    earlier: tuple[MeasuredOperation, ...]

    def of(self, *techniques: str) -> Iterator[MeasuredOperation]:
        """The current operations with these techniques."""
        return (each for each in self.now if each.technique in techniques)

    def loss(self, *, technique: str = "PING", received: str = "packets_answered") -> BadShare:
        """Lost packets of all operations together."""
        counted = [each for each in self.of(technique) if None not in (number(each, "packets_sent"), number(each, received))]
        sent, got = (int(sum(number(each, name) or 0 for each in counted)) for name in ("packets_sent", received))
        ids = tuple(each.operation_id for each in counted)
        lost = max(sent - got, 0)
        ignored = technique == "PING" and sent > 0 and not got and any(map(_answers, self.now))
        judgement = Judgement.UNKNOWN if ignored else judge_share(lost, sent, LOSSY)
        return BadShare(bad=lost, total=sent, operation_ids=ids, judgement=judgement, answers_others=ignored)

    def delay(self) -> DelayStep:
        """The round trips of PING, compared with earlier ones."""
        return judge_delay(*(_numbers(each, "rtt_median_ms") for each in (self.now, self.earlier)))

    def hop_delay(self, address: str) -> DelayStep:
        """The round trips to one hop, compared with earlier ones."""
        return judge_delay(*(_hop_delays(each, address) for each in (self.now, self.earlier)))

    def ids(self, *techniques: str) -> tuple[str, ...]:
        """The ids of the current operations with these techniques."""
        return tuple(each.operation_id for each in self.of(*techniques))

    def __str__(self) -> str:
        return f"{self.key.agent} to {self.key.address}"


def share_of(failed: Sequence[MeasuredOperation], total: Sequence[MeasuredOperation]) -> BadShare:
    """How many operations failed, and whether the service is failing."""
    ids = tuple(each.operation_id for each in total)
    judgement = judge_share(len(failed), len(total), FAILING)
    return BadShare(bad=len(failed), total=len(total), operation_ids=ids, judgement=judgement)


def observe(now: Iterable[MeasuredOperation], earlier: Iterable[MeasuredOperation]) -> list[ObservedPath]:
    """The paths of the current operations. Order and repetitions of operations do not matter."""
    current = {each.operation_id: each for each in now}
    before = {each.operation_id: each for each in earlier if each.operation_id not in current}
    paths, earlier_paths = _by_path(current.values()), _by_path(before.values())
    return [ObservedPath(key=key, now=paths[key], earlier=earlier_paths.get(key, ())) for key in sorted(paths)]


def _by_path(operations: Iterable[MeasuredOperation]) -> dict[PathKey, tuple[MeasuredOperation, ...]]:
    found: dict[PathKey, list[MeasuredOperation]] = defaultdict(list)
    for each in sorted(operations, key=lambda operation: (operation.started_ms, operation.operation_id)):
        found[PathKey(each.agent, each.address)].append(each)
    return {key: tuple(each) for key, each in found.items()}


def number(operation: MeasuredOperation, name: str) -> float | None:
    """A value of the outcome; None if it is not known."""
    return operation.values.get(name)


def has_value(operation: MeasuredOperation, name: str) -> bool:
    """Whether the outcome has this value, even if it is not known: the technique reached this phase."""
    return name in operation.values


def _answers(operation: MeasuredOperation) -> bool:
    others = operation.technique not in ("PING", "TRACEROUTE", "PATHNECK", "BROUTE")
    return others and operation.status in ANSWERED


def _numbers(operations: Iterable[MeasuredOperation], name: str) -> list[float]:
    values = (number(each, name) for each in operations if each.technique == "PING")
    return [value for value in values if value is not None]


def _hop_delays(operations: Iterable[MeasuredOperation], address: str) -> list[float]:
    traces = (each for each in operations if each.technique == "TRACEROUTE")
    hops = (hop for trace in traces for hop in trace.hops)
    return [hop.rtt_ms for hop in hops if hop.address == address and hop.rtt_ms is not None]


def traces_of(operations: Iterable[MeasuredOperation]) -> list[TracedRoute]:
    """The routes that traceroutes found, in the order of `operations`."""
    found = (_trace(each) for each in operations if each.technique == "TRACEROUTE")
    return [route for route in found if route is not None]


def _trace(operation: MeasuredOperation) -> TracedRoute | None:
    hops = ((hop.ttl, hop.address) for hop in operation.hops)
    return route_of_hops(hops, operation.address, reached=number(operation, "reached") == 1)


def route_of(path: ObservedPath) -> tuple[Node, ...] | None:
    """The nodes from the agent to the destination; None without a trace, or if the route changed while it was measured.

    A trace that did not reach the destination is completed by an earlier one of the same route. If there is none, one silent hop
    stands for the unknown rest.
    """
    traces = traces_of(path.now)
    if not traces:
        return None
    route = traces[0]
    for trace in traces[1:]:
        if not route.agrees(trace):
            return None
        route = route.merged(trace)
    if not route.reached:
        earlier = [trace for trace in traces_of(path.earlier) if trace.reached and trace.agrees(route)]
        route = route.merged(earlier[-1]) if earlier else route
    rest = () if route.reached else (None,)
    return (f"agent {path.key.agent}", *route.routers, *rest, path.key.address)
