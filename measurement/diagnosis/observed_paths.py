"""The operations of each path, and what they say about its loss, its delay and its route."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from measurement.diagnosis.baselines import FAILING, LOSSY, DelayStep, Judgement, judge_delay, judge_share
from measurement.diagnosis.path_parts import Node
from measurement.diagnosis.tomography import PathKey
from measurement.estimates.packet_loss import loss_ratio
from measurement.finished_operation import FinishedOperation
from measurement.operation import Technique
from measurement.outcome import Status

FAILED = frozenset({Status.TIMEOUT_TARGET, Status.UNREACHABLE})
ANSWERED = frozenset({Status.OK, Status.PARTIAL})


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
        share = loss_ratio(self.bad, self.total)
        return {"bad": self.bad, "total": self.total, "low": share.low or 0.0, "high": 1.0 if share.high is None else share.high}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPath:
    """What one agent measured to one address, in the order of time."""

    key: PathKey
    now: tuple[FinishedOperation, ...]
    earlier: tuple[FinishedOperation, ...]

    def of(self, *techniques: Technique) -> Iterator[FinishedOperation]:
        """The operations of now with these techniques."""
        return (each for each in self.now if each.technique in techniques)

    def loss(self, *, technique: Technique = Technique.PING, received: str = "packets_answered") -> BadShare:
        """Lost packets of all operations together."""
        counted = [each for each in self.of(technique) if None not in (number(each, "packets_sent"), number(each, received))]
        sent, got = (int(sum(number(each, name) or 0 for each in counted)) for name in ("packets_sent", received))
        ids = tuple(each.outcome.operation_id for each in counted)
        lost = max(sent - got, 0)
        ignored = technique is Technique.PING and sent > 0 and not got and any(map(_answers, self.now))
        judgement = Judgement.UNKNOWN if ignored else judge_share(lost, sent, LOSSY)
        return BadShare(bad=lost, total=sent, operation_ids=ids, judgement=judgement, answers_others=ignored)

    def delay(self) -> DelayStep:
        """The round trips of PING beside earlier ones."""
        return judge_delay(*(_numbers(each, "rtt_median_ms") for each in (self.now, self.earlier)))

    def hop_delay(self, address: str) -> DelayStep:
        """The round trips to one hop beside earlier ones."""
        return judge_delay(*(_hop_delays(each, address) for each in (self.now, self.earlier)))

    def ids(self, *techniques: Technique) -> tuple[str, ...]:
        """The ids of the operations of now with these techniques."""
        return tuple(each.outcome.operation_id for each in self.of(*techniques))

    def __str__(self) -> str:
        return f"{self.key.agent} to {self.key.address}"


def share_of(failed: Sequence[FinishedOperation], total: Sequence[FinishedOperation]) -> BadShare:
    """How many operations failed, and whether the service is failing."""
    ids = tuple(each.outcome.operation_id for each in total)
    judgement = judge_share(len(failed), len(total), FAILING)
    return BadShare(bad=len(failed), total=len(total), operation_ids=ids, judgement=judgement)


def observe(now: Iterable[FinishedOperation], earlier: Iterable[FinishedOperation]) -> list[ObservedPath]:
    """The paths of the operations of now. Order and repetitions of operations do not matter."""
    current = {each.outcome.operation_id: each for each in now}
    before = {each.outcome.operation_id: each for each in earlier if each.outcome.operation_id not in current}
    paths, earlier_paths = _by_path(current.values()), _by_path(before.values())
    return [ObservedPath(key=key, now=paths[key], earlier=earlier_paths.get(key, ())) for key in sorted(paths)]


def _by_path(operations: Iterable[FinishedOperation]) -> dict[PathKey, tuple[FinishedOperation, ...]]:
    found: dict[PathKey, list[FinishedOperation]] = defaultdict(list)
    for each in sorted(operations, key=lambda operation: (operation.outcome.started_ms, operation.outcome.operation_id)):
        found[PathKey(each.agent, each.destination.address)].append(each)
    return {key: tuple(each) for key, each in found.items()}


def number(operation: FinishedOperation, name: str) -> float | None:
    """A value of the outcome; None if it is not known."""
    return next((each.value for each in operation.outcome.values if each.name == name), None)


def has_value(operation: FinishedOperation, name: str) -> bool:
    """Whether the outcome has this value, even if it is not known: the technique reached this phase."""
    return any(each.name == name for each in operation.outcome.values)


def _answers(operation: FinishedOperation) -> bool:
    others = operation.technique not in (Technique.PING, Technique.TRACEROUTE, Technique.PATHNECK, Technique.BROUTE)
    return others and operation.outcome.status in ANSWERED


def _numbers(operations: Iterable[FinishedOperation], name: str) -> list[float]:
    values = (number(each, name) for each in operations if each.technique is Technique.PING)
    return [value for value in values if value is not None]


def _hop_delays(operations: Iterable[FinishedOperation], address: str) -> list[float]:
    traces = (each for each in operations if each.technique is Technique.TRACEROUTE)
    hops = (hop for trace in traces for hop in trace.outcome.hops)
    return [hop.rtt_ms for hop in hops if hop.address == address and hop.rtt_ms is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRoute:
    """The routers of one route; None is a silent one, or one of several at the same distance."""

    routers: tuple[Node, ...]
    reached: bool

    def agrees(self, other: "SeenRoute") -> bool:
        """Whether both can be the same route, as far as they are known."""
        lengths = len(self.routers), len(other.routers)
        too_long = (self.reached and lengths[1] > lengths[0]) or (other.reached and lengths[0] > lengths[1])
        pairs = zip(self.routers, other.routers, strict=False)
        return not too_long and all(None in pair or pair[0] == pair[1] for pair in pairs)

    def merged(self, other: "SeenRoute") -> "SeenRoute":
        """What both know."""
        long, short = sorted((self, other), key=lambda trace: (trace.reached, len(trace.routers)), reverse=True)
        padded = short.routers + (None,) * (len(long.routers) - len(short.routers))
        return SeenRoute(routers=tuple(a or b for a, b in zip(long.routers, padded, strict=False)), reached=long.reached)


def traces_of(operations: Iterable[FinishedOperation]) -> list[SeenRoute]:
    """The routes that traceroutes found."""
    traces = (each for each in operations if each.technique is Technique.TRACEROUTE and each.outcome.hops)
    return [_trace(each) for each in traces]


def _trace(operation: FinishedOperation) -> SeenRoute:
    at: dict[int, set[str]] = defaultdict(set)
    for hop in operation.outcome.hops:
        at[hop.ttl] |= {hop.address} if hop.address else set()
    last = max(at)
    reached = number(operation, "reached") == 1 or operation.destination.address in at[last]
    routers = [next(iter(at[ttl])) if len(at[ttl]) == 1 else None for ttl in range(1, last + (0 if reached else 1))]
    while not reached and routers and routers[-1] is None:
        routers.pop()
    return SeenRoute(routers=tuple(routers), reached=reached)


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
